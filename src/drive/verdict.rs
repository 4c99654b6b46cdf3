//! The verdict: everything ready, all at once; and the deadlines.

use std::time::Duration;

use super::driver::{Driver, START_DEADLINE};
use crate::event::{Outcome, Phase};

/// How old a probe's pass and the last list may be in a verdict.
const FRESH: Duration = Duration::from_secs(1);

impl Driver {
    /// Whether every selected component is ready or completed.
    pub(super) fn all_settled(&self) -> bool {
        self.observed.is_some() && self.selected().all(|(_, node)| node.phase.is_settled() && !node.busy)
    }

    /// Says "ready" when it is so: all probes fresh, and a list after the last pass shows all running since the same
    /// start.
    pub(super) fn check_verdict(&mut self) {
        if self.ending.is_some() || !self.all_settled() || !self.surplus.is_empty() {
            return;
        }
        let known = self.selected().all(|(_, node)| {
            node.inspecting.is_none() && !node.dirty && (node.phase == Phase::Completed || node.started_at.is_some())
        });
        if !known {
            return;
        }
        if !self.refresh_probes(FRESH) {
            return self.advance_probes();
        }
        match self.confirmed_at {
            Some(at) if at + FRESH >= self.now => self.end(Outcome::Ready),
            _ if self.observing.as_ref().is_some_and(|asked| asked.confirms) => {}
            _ => {
                self.observe_again = true;
                self.look();
            }
        }
    }

    /// When the run has to be over.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.options.timeout.or_else(|| self.images_ready_at.map(|at| at + START_DEADLINE))
    }

    pub(super) fn check_deadlines(&mut self) {
        let Some(deadline) = self.deadline() else { return };
        if self.ending.is_some() {
            return;
        }
        if self.now < deadline {
            return self.wake_at(deadline);
        }
        self.fail_by_deadline(deadline);
    }
}
