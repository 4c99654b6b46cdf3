//! When a failed call is made again, and when it is given up.

use std::time::Duration;

use crate::engine::{EngineError, ErrorKind};

/// When to try a failed call again.
#[derive(Debug, Clone, Default)]
pub(super) struct Retry {
    pub(super) at: Duration,
    /// Attempts that the engine failed.
    pub(super) attempts: u32,
    /// All that failed: what pauses grow with.
    pub(super) tries: u32,
}

/// Calls that failed inside the engine so often in a row are given up. Those that never reached it are not counted:
/// that has a limit of its own.
pub(super) const ATTEMPTS: u32 = 8;

impl Retry {
    /// Plans the next attempt; false when there have been enough.
    pub(super) fn again(&mut self, now: Duration, error: &EngineError) -> bool {
        if !matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Timeout(_)) {
            self.attempts += 1;
        }
        self.tries += 1;
        self.at = now + pause(self.tries);
        error.kind.is_transient() && self.attempts < ATTEMPTS
    }
}

/// The pause before the n-th attempt: 0.1 s, doubled up to 3.2 s.
pub(super) fn pause(attempts: u32) -> Duration {
    Duration::from_millis(100 << attempts.saturating_sub(1).min(5))
}
