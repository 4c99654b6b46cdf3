//! Where the time of a run went: a bar a component, the critical path, and the proof that no start waited for a
//! readiness that nobody asked for.
//!
//! `timeline` is what the events say, `stages` what a component's time was spent on, `path` who held up whom, `starts`
//! the order of start calls and readiness. All of it is pure; `draw` and `text` make it lines for people, `timings` JSON
//! for programs. See `docs/report.md`.

mod draw;
mod path;
mod stages;
mod starts;
#[cfg(test)]
mod tests;
mod text;
mod timeline;
mod timings;

pub use path::{After, Leg, critical_path};
pub use stages::{Spent, Stage};
pub use starts::{GateWait, Starts, starts};
pub use text::{View, brief, full, has_bars};
pub use timeline::{Step, Timeline, Track, Wait};
pub use timings::Timings;
