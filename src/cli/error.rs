//! What a command fails with: a message, what to try, and the exit code.

use crate::compose::Diagnostics;
use crate::engine::{EngineError, ErrorKind};
use crate::report::Printer;
use crate::store::Locked;

/// Exit code of a component or call that failed.
pub const FAILED: u8 = 1;
/// Exit code of bad input.
pub const BAD_INPUT: u8 = 2;
/// Exit code when the engine can't be reached.
pub const UNREACHABLE: u8 = 4;
/// Exit code when another run holds the cluster's lock.
pub const LOCKED: u8 = 5;
/// Exit code after Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// A command that failed.
#[derive(Debug)]
pub struct CliError {
    /// The process's exit code.
    pub code: u8,
    /// What is wrong, where.
    pub error: anyhow::Error,
    /// What to try.
    pub hint: Option<String>,
    /// The message is complete: no `error:` goes before it.
    pub is_rendered: bool,
}

impl CliError {
    /// Bad input.
    pub fn input(message: impl Into<String>) -> Self {
        Self { code: BAD_INPUT, error: anyhow::Error::msg(message.into()), hint: None, is_rendered: false }
    }

    /// Something failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { code: FAILED, error: anyhow::Error::msg(message.into()), hint: None, is_rendered: false }
    }

    /// Ctrl-C came before anything was done.
    #[must_use]
    pub fn interrupted() -> Self {
        Self { code: INTERRUPTED, error: anyhow::Error::msg("interrupted"), hint: None, is_rendered: true }
    }

    /// The same with what to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// All of it as text, without colours.
    #[must_use]
    pub fn text(&self) -> String {
        let message = if self.is_rendered {
            self.error.to_string().trim_end().to_owned()
        } else {
            format!("error: {:#}", self.error)
        };
        match &self.hint {
            Some(hint) => format!("{message}\n  try: {hint}"),
            None => message,
        }
    }

    /// Prints it for people.
    pub fn print(&self, printer: &Printer) {
        if self.is_rendered {
            printer.problem(self.error.to_string().trim_end());
        } else {
            printer.problem(format_args!("error: {:#}", self.error));
        }
        if let Some(hint) = &self.hint {
            printer.problem(format_args!("  try: {hint}"));
        }
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        let (code, hint) = match error.kind {
            ErrorKind::Unreachable | ErrorKind::Timeout(_) => (
                UNREACHABLE,
                Some("start the engine, or say where it is with DOCKER_HOST; `convoke doctor` shows what is found"),
            ),
            ErrorKind::Rejected if matches!(error.verb, crate::engine::Verb::Connect(_)) => (BAD_INPUT, None),
            _ => (FAILED, None),
        };
        Self { code, error: error.into(), hint: hint.map(str::to_owned), is_rendered: false }
    }
}

impl From<Diagnostics> for CliError {
    fn from(diagnostics: Diagnostics) -> Self {
        Self { code: BAD_INPUT, error: anyhow::Error::msg(diagnostics.to_string()), hint: None, is_rendered: true }
    }
}

impl From<Locked> for CliError {
    fn from(locked: Locked) -> Self {
        let hint = Some("wait for it, or leave out --no-wait-lock".to_owned());
        Self { code: LOCKED, error: locked.into(), hint, is_rendered: false }
    }
}
