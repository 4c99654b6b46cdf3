//! The template `neon` with the simulated programs: its starts, what a start in order would cost, faults, bad input.

mod auth;
mod bad_input;
mod crashes;
mod documents;
mod faults;
mod imports;
mod plane;
mod starts;
mod storage;
mod story;
mod supervised;
mod whole;

use plane::Plane;
use story::Story;
