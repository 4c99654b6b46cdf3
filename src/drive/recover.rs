//! What a supervised run does about a component that is lost: a pause that grows, a call that brings it back, and an
//! end of it when that helps nothing.

use std::time::Duration;

use super::driver::{Driver, START_DEADLINE};
use super::finish::LOG_PATIENCE;
use super::input::Call;
use super::node::Node;
use crate::engine::{ObservedContainer, Status};
use crate::event::{EventKind, Failure, Phase, Stamp};
use crate::names::ComponentName;

/// A component is brought back at once, then after this pause, then after twice as long, and so on.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause before it.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So often in a row a component is brought back, unless told otherwise; then it is given up.
pub const ATTEMPTS: u32 = 10;
/// One that has been ready for so long is a good one: its next loss is the first again.
pub const STEADY: Duration = Duration::from_secs(60);
/// One that stays unhealthy for so long is restarted.
pub const UNHEALTHY_FOR: Duration = Duration::from_secs(10);

/// What a supervised run remembers of a component.
#[derive(Debug, Default)]
pub struct Care {
    /// How often in a row it was brought back.
    pub(super) attempts: u32,
    /// When the next time has come; None: it has come already, or none is planned.
    pub(super) due: Option<Duration>,
    /// What is wrong with it while it runs, and was taken in.
    pub(super) fault: Option<Fault>,
    /// A call of ours ends its run: that is no loss.
    pub(super) stopping: bool,
    /// A container that isn't ours has its name: it can't be made.
    pub(super) blocked: bool,
    /// Since when its probe, which passed, fails.
    pub(super) failing_since: Option<Duration>,
}

/// What can be wrong with a component whose process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Somebody took it off a network.
    CutOff,
    /// Somebody froze it.
    Paused,
    /// Its probe fails, or the engine calls it unhealthy.
    Unhealthy,
    /// It never became ready.
    Late,
}

impl Fault {
    const fn why(self) -> &'static str {
        match self {
            Self::CutOff => "it was taken off its network",
            Self::Paused => "it is paused",
            Self::Unhealthy => "it stays unhealthy",
            Self::Late => "it doesn't become ready",
        }
    }
}

/// The pause before the n-th attempt in a row.
pub(super) fn pause_before(attempt: u32) -> Duration {
    match attempt {
        0 | 1 => Duration::ZERO,
        n => (FIRST_PAUSE * 2u32.pow((n - 2).min(10))).min(LONGEST_PAUSE),
    }
}

impl Driver {
    /// A component of a supervised run failed: its process ended, or a call about it came to nothing.
    pub(super) fn lose(&mut self, name: &ComponentName, why: String, hint: Option<String>) {
        if self.is_held(name) {
            return self.enter(name, Phase::Stopped, Some(why));
        }
        let from_labels = self.options.from_labels;
        let Some(node) = self.nodes.get_mut(name) else { return };
        if std::mem::take(&mut node.care.stopping) {
            return self.enter(name, Phase::Restarting, Some(why));
        }
        // Nothing can be made without the file, and no restart puts a program into an image.
        let is_hopeless = (from_labels && node.containers.is_empty()) || node.is_hopeless();
        let has_ended = !node.is_running && node.containers.first().is_some_and(|at| at.state.started_at.is_some());
        if !is_hopeless {
            self.plan_recovery(name, &why, hint.clone());
        } else {
            self.give_up(name, why.clone(), hint);
        }
        if has_ended && self.nodes.get(name).is_some_and(|node| node.failure.is_none()) {
            self.enter(name, Phase::Restarting, Some(why));
        }
    }

    /// Brings a component back after a pause, unless that was done too often already.
    pub(super) fn plan_recovery(&mut self, name: &ComponentName, why: &str, hint: Option<String>) {
        let (now, of) = (self.now, self.options.attempts);
        let Some(node) = self.nodes.get_mut(name) else { return };
        if node.care.due.is_some_and(|due| now < due) {
            // Another thing is wrong with it, or is said to be: one attempt is for all of them.
            return;
        }
        node.care.attempts += 1;
        node.failures_in_row = 0;
        node.tries_in_row = 0;
        let attempt = node.care.attempts;
        if attempt > of {
            let what = format!("{why}; brought back {of} times in a row, to no avail");
            return self.give_up(name, what, hint);
        }
        let after = pause_before(attempt);
        node.retry_at = node.retry_at.max(now + after);
        node.care.due = Some(now + after);
        self.wake_at(now + after);
        let why = why.to_owned();
        self.emit(EventKind::RecoveryPlanned { component: name.clone(), why, after: Stamp(after), attempt, of });
    }

    /// It is left alone from now on, until the description changes or somebody starts it.
    fn give_up(&mut self, name: &ComponentName, what: String, hint: Option<String>) {
        let last_probe = self.last_probe(name);
        let try_this = format!("when its cause is gone: `convoke restart {name}`, or change the file");
        let Some(node) = self.nodes.get_mut(name) else { return };
        let failure = Failure {
            component: Some(name.clone()),
            what: what.clone(),
            exit_code: node.last_exit.filter(|_| !node.is_running),
            last_probe,
            log: Vec::new(),
            hint: Some(hint.map_or_else(|| try_this.clone(), |hint| format!("{hint}; {try_this}"))),
        };
        node.failure = Some(failure.clone());
        node.care.fault = None;
        let container = node.containers.first().filter(|_| node.has_run).map(|c| (c.id.clone(), c.state.started_at));
        self.enter(name, Phase::Failed, Some(what));
        match (container, &mut self.supervision) {
            (Some((id, began)), Some(state)) => {
                state.reading.insert(name.clone(), failure);
                self.call(Call::LogTail(name.clone(), id, began, LOG_PATIENCE));
            }
            _ => self.emit(EventKind::GivenUp { failure }),
        }
    }

    /// The last log lines of one that was given up; true if they are of such a one.
    pub(super) fn take_last_words(&mut self, name: &ComponentName, lines: &[String]) -> bool {
        let reading = self.supervision.as_mut().and_then(|state| state.reading.remove(name));
        let is_one = reading.is_some();
        if let Some(mut failure) = reading {
            failure.log = lines.to_vec();
            self.emit(EventKind::GivenUp { failure });
        }
        is_one
    }

    /// A new beginning: what happened before counts no more.
    pub(super) fn renew(&mut self, name: &ComponentName) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let had_failed = node.failure.take().is_some();
        node.care = Care { stopping: node.care.stopping, blocked: node.care.blocked, ..Care::default() };
        node.retry_at = Duration::ZERO;
        node.failures_in_row = 0;
        node.early_restarts = 0;
        node.outage_restarts = 0;
        node.said_impossible = false;
        if had_failed || node.phase == Phase::Stopped {
            // What there is of it now, a list says.
            node.awaits_list = true;
            node.epoch += 1;
            let next = if node.is_running { Phase::Started } else { Phase::Pending };
            self.observe_again = true;
            self.enter(name, next, Some("anew".into()));
        }
    }

    /// After every input: what is wrong with those that run, and who did well.
    pub(super) fn advance_care(&mut self) {
        if !self.is_supervised() || self.observed.is_none() || self.rests() {
            return;
        }
        for name in self.cared_for() {
            self.praise(&name);
            self.find_fault(&name);
        }
    }

    fn praise(&mut self, name: &ComponentName) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        if node.care.attempts == 0 || !node.phase.is_settled() {
            return;
        }
        let due = node.phase_since + STEADY;
        if self.now < due {
            return self.wake_at(due);
        }
        node.care.attempts = 0;
        node.early_restarts = 0;
        node.outage_restarts = 0;
    }

    fn find_fault(&mut self, name: &ComponentName) {
        let fault = self.fault_of(name);
        let Some(node) = self.nodes.get_mut(name) else { return };
        if node.care.fault == fault || node.busy {
            return;
        }
        node.care.fault = fault;
        if let Some(fault) = fault {
            let hint = format!("`convoke logs {name}` shows all it said");
            self.plan_recovery(name, fault.why(), Some(hint));
        }
    }

    fn fault_of(&mut self, name: &ComponentName) -> Option<Fault> {
        let node = self.nodes.get(name)?;
        if !node.is_running || node.started_at.is_none() || node.awaits_list {
            return None;
        }
        if node.engine_says() == Some(Status::Paused) {
            return Some(Fault::Paused);
        }
        if self.missing_network(name).is_some() {
            return Some(Fault::CutOff);
        }
        let (fault, due) = match node.phase {
            Phase::Unhealthy => (Fault::Unhealthy, node.phase_since + UNHEALTHY_FOR),
            Phase::Started | Phase::Live if !node.component.completes && !self.waits_for_peers(node) => {
                let since = node.running_since.max(node.phase_since);
                (Fault::Late, since + self.options.timeout.unwrap_or(START_DEADLINE))
            }
            _ => return None,
        };
        if self.now < due {
            self.wake_at(due);
            return None;
        }
        Some(fault)
    }

    /// Whether it may be for a peer's sake that it isn't ready.
    fn waits_for_peers(&self, node: &Node) -> bool {
        node.peers().any(|peer| self.nodes.get(peer).is_some_and(|peer| !peer.phase.is_settled()))
    }

    /// Restarts one whose fault nothing else helps against.
    pub(super) fn restart_faulty(&mut self, name: &ComponentName, container: &ObservedContainer) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.care.stopping = true;
        node.busy = true;
        let grace = node.component.spec.stop_grace_period.unwrap_or(Duration::from_secs(10));
        let hooks = super::hooks::pre_stop_of(container);
        self.call(Call::Stop(name.clone(), container.id.clone(), grace, hooks));
    }
}

impl Node {
    /// Its probe's program has been missing for too long: see `Driver::check_impossible`.
    fn is_hopeless(&self) -> bool {
        self.is_running && (self.live.impossible_since.is_some() || self.ready.impossible_since.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_at_once_then_ever_later() {
        let pauses: Vec<u64> = (1..=ATTEMPTS).map(|attempt| pause_before(attempt).as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
