//! The template `neon` with the simulated programs: its starts, what a start in order would cost, faults, bad input.

mod bad_input;
mod crashes;
mod faults;
mod plane;
mod starts;
mod story;
mod supervised;
mod whole;

use plane::Plane;
use story::Story;
