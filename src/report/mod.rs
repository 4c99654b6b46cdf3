//! Shows what happens: to people on a terminal, in plain lines, to programs as JSON, and in a record on disk.
//!
//! Reporters are leaves: they read [`crate::event`]s and nothing else, and can't influence a run. What the events add
//! up to is kept by `board`; the terminal, the plain lines and the summary all read that, so they can't disagree.
//! Everything is written by the [`Printer`]. The JSON form is described in `docs/events.md`.

pub mod board;
pub mod failure;
pub mod json;
pub mod lines;
pub mod printer;
pub mod record;
pub mod reporter;
pub mod summary;
pub mod table;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod theme;
pub mod view;
pub mod vigil;
pub mod waterfall;

pub use json::Json;
pub use lines::Lines;
pub use printer::{Captured, LogWriter, Printer};
pub use record::{Record, RunRecord, boot_times, last_recorded, records};
pub use reporter::{Format, Report, Reporters, follow};
pub use table::{BrokenRow, DoctorRow, DoctorStatus, PsRow, RunRow, TemplateRow};
pub use terminal::Terminal;
pub use theme::Theme;
pub use vigil::Vigil;

pub use crate::mask::Masker;
