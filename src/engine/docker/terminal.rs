//! This process's terminal: its size, and passing every key on.

use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

impl TerminalSize {
    /// That of this process's terminal, or 80 by 24.
    fn current() -> Self {
        match tcgetwinsize(stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Self { width: size.ws_col, height: size.ws_row },
            _ => Self { width: 80, height: 24 },
        }
    }
}

/// The size now, and each time that it changes.
pub(super) fn sizes() -> watch::Receiver<TerminalSize> {
    let (sender, receiver) = watch::channel(TerminalSize::current());
    tokio::spawn(async move {
        // Without the signal the first size stays.
        let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
        loop {
            tokio::select! {
                () = sender.closed() => return,
                change = changes.recv() => if change.is_none() { return },
            }
            sender.send_replace(TerminalSize::current());
        }
    });
    receiver
}

/// The terminal passes every key on, Ctrl-C included, and echoes none; dropped, it is again as it was.
pub(super) struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// None if standard input isn't a terminal or doesn't take it.
    pub(super) fn enter() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(stdin(), OptionalActions::Now, &self.before) {
            tracing::warn!(%error, "the terminal can't be set back; the command reset does it");
        }
    }
}
