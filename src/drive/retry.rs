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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Verb;

    /// The pauses of so many failures of a kind, and whether each may be tried again.
    fn tried(kind: &ErrorKind, times: usize) -> Vec<(u128, bool)> {
        let mut retry = Retry::default();
        let error = EngineError { verb: Verb::Watch, kind: kind.clone(), message: String::new() };
        let now = Duration::from_secs(7);
        (0..times)
            .map(|_| {
                let again = retry.again(now, &error);
                ((retry.at - now).as_millis(), again)
            })
            .collect()
    }

    #[test]
    fn what_the_engine_fails_is_given_up_after_eight_attempts_with_growing_pauses() {
        let found = tried(&ErrorKind::Internal, 8);
        let pauses: Vec<u128> = found.iter().map(|(pause, _)| *pause).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 3200, 3200]);
        assert_eq!(found.iter().filter(|(_, again)| *again).count(), 7);
    }

    #[test]
    fn what_never_reached_it_is_not_given_up_here_and_what_cannot_help_is_at_once() {
        assert!(tried(&ErrorKind::Unreachable, 50).iter().all(|(_, again)| *again));
        assert!(!tried(&ErrorKind::NotFound, 1)[0].1);
    }
}
