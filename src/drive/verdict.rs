//! The verdict: everything ready, all at once; and the deadlines.

use std::time::Duration;

use super::driver::{Driver, START_DEADLINE};
use super::node::Node;
use crate::engine::ObservedContainer;
use crate::event::{Outcome, Phase};

/// How old a probe's pass and the last list may be in a verdict.
const FRESH: Duration = Duration::from_secs(1);

impl Driver {
    /// Whether every selected component is ready or completed, or failed where nobody requires it.
    pub(super) fn all_settled(&self) -> bool {
        let settled = |node: &Node| (node.phase.is_settled() || node.failure.is_some()) && !node.busy;
        let is_done = |(name, node)| settled(node) || self.is_held(name) || self.is_made(node);
        self.observed.is_some() && self.selected().all(is_done)
    }

    /// Whether this run makes its container and leaves the start to others: a one-off container is its caller's.
    pub(super) const fn only_makes(&self, node: &Node) -> bool {
        self.options.only_make || node.component.one_off.is_some()
    }

    /// Whether nothing is left to do about a component that is only to be made.
    pub(super) fn is_made(&self, node: &Node) -> bool {
        let standing = self.standing(node);
        let has_its_name = |current: &ObservedContainer| current.name == node.component.container_name;
        self.only_makes(node)
            && !node.busy
            && standing.outdated.is_empty()
            && standing.current.is_some_and(has_its_name)
    }

    /// Says "ready" when it is so: all probes fresh, and a list after the last pass shows all running since the same
    /// start.
    pub(super) fn check_verdict(&mut self) {
        let is_tidy = self.surplus.is_empty();
        if self.ending.is_some() || !self.awaits_verdict() {
            return;
        }
        if !self.all_settled() || !is_tidy || self.images_ready_at.is_none() {
            return;
        }
        let known = self.selected().all(|(name, node)| {
            let is_over = node.phase == Phase::Completed || node.failure.is_some();
            let is_done = is_over || self.is_held(name) || self.is_made(node);
            node.inspecting.is_none() && !node.dirty && !node.awaits_list && (is_done || node.started_at.is_some())
        });
        if !known {
            return;
        }
        if !self.refresh_probes(self.probes_age()) {
            return self.advance_probes();
        }
        match self.confirmed {
            // A list that takes long is old when it comes.
            Some((at, took)) if at + FRESH + took >= self.now => self.conclude_ready(),
            _ if self.observing.as_ref().is_some_and(|asked| asked.confirms) => {}
            _ => {
                self.observe_again = true;
                self.look();
            }
        }
    }

    fn conclude_ready(&mut self) {
        if self.is_supervised() { self.say_ready() } else { self.end(Outcome::Ready) }
    }

    /// How old a pass may be: with very many components the budget doesn't let all be asked within a second.
    fn probes_age(&self) -> Duration {
        let count = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        FRESH + Duration::from_secs(1) * count / self.options.probes_per_second.max(1)
    }

    /// When the run has to be over.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.options.timeout.or_else(|| self.images_ready_at.map(|at| at + START_DEADLINE))
    }

    pub(super) fn check_deadlines(&mut self) {
        let Some(deadline) = self.deadline() else { return };
        if self.ending.is_some() || self.is_supervised() {
            return;
        }
        if self.now < deadline {
            return self.wake_at(deadline);
        }
        self.fail_by_deadline(deadline);
    }
}
