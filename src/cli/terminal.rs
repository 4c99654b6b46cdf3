//! The terminal of an `exec`: every key goes to the command, and the settings come back afterwards.

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::engine::docker::TerminalSize;

/// Raw mode until it is dropped.
pub(super) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Enters raw mode; None if standard input isn't a terminal after all.
    pub(super) fn enter() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before) {
            tracing::warn!(%error, "the terminal's settings could not be restored: `stty sane` does it");
        }
    }
}

/// The terminal's size; 80 by 24 if it doesn't say.
pub(super) fn window_size() -> TerminalSize {
    match tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 => TerminalSize { width: size.ws_col, height: size.ws_row },
        _ => TerminalSize { width: 80, height: 24 },
    }
}
