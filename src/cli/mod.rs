//! The command line: one file a command. Each gathers what it needs, makes one call into the library, and prints.
//!
//! Exit codes: 0 ready (or done), 1 a component failed, 2 bad input, 3 the deadline passed, 4 the engine can't be
//! reached, 5 locked by another run, 130 interrupted. `exec` and `run` pass on the code of what they ran.

pub mod args;
pub mod error;
pub mod run;

mod chaos;
mod config;
mod connect;
mod copy;
mod copy_archive;
mod desk;
mod doctor;
mod down;
mod ephemeral;
mod exec;
mod flags;
mod foreign_flags;
mod gc;
mod history;
mod interrupt;
mod lists;
mod logs;
mod manual;
mod neon;
mod obtain;
mod one_off;
mod one_off_file;
mod owner;
mod pidfd;
mod plan;
mod port;
mod ps;
mod remove;
mod render;
mod report;
mod restart;
mod session;
mod signals;
mod source;
mod supervise;
mod templates;
mod up;
mod watch;
mod watchers;

pub use args::Cli;
pub use error::CliError;
