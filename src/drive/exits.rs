//! What it means that a component's process ended.

use std::time::Duration;

use super::driver::Driver;
use super::node::{EarlyExit, Node, Readiness};
use super::retry::pause;
use crate::cluster::RestartPolicy;
use crate::engine::ObservedContainer;
use crate::event::{EventKind, Phase};
use crate::names::ComponentName;

/// The early-exit rule starts a component again at most so often.
pub(super) const EARLY_RESTARTS: u32 = 5;
/// Components that went down with the engine are started again at most so often.
const OUTAGE_RESTARTS: u32 = 5;
/// A member of a cycle whose peers wait for it in turn is started again after this, then after three times as long, and
/// so on: 30 s in all, in which peers that boot slowly get to the point where they need it.
const CYCLE_PAUSE: Duration = Duration::from_millis(250);

/// Exit codes of a program that isn't in the image or can't be run: no peer helps against that.
const CANNOT_RUN: [i64; 2] = [126, 127];

impl Driver {
    /// Judges a run that ended: completed, to be started again, or failed.
    pub(super) fn judge_exit(&mut self, name: &ComponentName, container: &ObservedContainer) {
        let unready = self.unready_peers(name);
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        let code = container.state.exit_code;
        let oom = container.state.oom_killed;
        node.last_exit = Some(code);
        let was_ready = node.phase == Phase::Ready;
        // From now on this run is history: a start time that differs is another run.
        node.baseline = container.state.started_at;
        let is_expected = node.care.stopping;
        if (is_expected || self.is_held(name)) && !self.is_job_done(name, code) {
            self.say_exit(name, code, oom, is_expected);
            return self.lose(name, format!("exited {code}, as it was told to"), None);
        }
        let Some(node) = self.nodes.get_mut(name) else { return };
        // An engine that goes away ends servers as well, and many end with 0: only a declared job is done then.
        let was_outage = std::mem::take(&mut node.outage) && node.outage_restarts < OUTAGE_RESTARTS;
        if node.completes(code, was_ready) && (node.component.completes || !was_outage) {
            self.say_exit(name, code, oom, false);
            return self.enter(name, Phase::Completed, None);
        }
        if was_outage {
            node.outage_restarts += 1;
            node.retry_at = now + pause(node.outage_restarts);
            self.say_exit(name, code, oom, true);
            return self.enter(name, Phase::Restarting, Some("the engine was away".into()));
        }
        let peers_may_cure = !unready.is_empty() && !CANNOT_RUN.contains(&code);
        if node.component.restarts_early_exit && peers_may_cure && node.early_restarts < EARLY_RESTARTS {
            let reason = format!("exited {code} before {} was ready", list(unready.iter()));
            node.early_exit = Some(EarlyExit { peers: unready, at: now });
            self.say_exit(name, code, oom, true);
            return self.enter(name, Phase::Restarting, Some(reason));
        }
        self.say_exit(name, code, oom, self.is_supervised());
        let moment = self.nodes.get(name).map_or("", |node| node.moment_of_end(was_ready));
        let what = describe_exit(code, oom, moment, &container.state.error);
        let hint = self.exit_hint(name, code, oom);
        self.fail_component(name, what, Some(hint));
    }

    fn is_job_done(&self, name: &ComponentName, code: i64) -> bool {
        code == 0 && self.nodes.get(name).is_some_and(|node| node.component.completes)
    }

    pub(super) fn say_exit(&mut self, name: &ComponentName, code: i64, oom: bool, restarts: bool) {
        if self.is_selected(name) {
            self.emit(EventKind::Exited { component: name.clone(), code, oom, restarts });
        }
    }

    /// Peers that weren't ready when the component's last run began. That the run ended is known a moment later, on a
    /// busy machine a second: what a peer is now doesn't say what the run met.
    fn unready_peers(&self, name: &ComponentName) -> std::collections::BTreeSet<ComponentName> {
        let Some(node) = self.nodes.get(name) else { return std::collections::BTreeSet::new() };
        let began = node.running_since;
        // One that was ready itself had all it needed.
        let is_late =
            |peer: &Node| !peer.phase.is_settled() || (node.phase != Phase::Ready && peer.phase_since > began);
        let unready = |peer: &&ComponentName| self.nodes.get(*peer).is_some_and(is_late);
        node.peers().filter(|peer| *peer != name).filter(unready).cloned().collect()
    }

    /// Starts components that exited early again, when their peers have come far enough.
    pub(super) fn check_early_exits(&mut self) {
        for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
            let Some(due) = self.early_exit_due(&name) else { continue };
            if self.now < due {
                self.wake_at(due);
                continue;
            }
            let Some(node) = self.nodes.get_mut(&name) else { continue };
            node.early_exit = None;
            node.early_restarts += 1;
            // The next pass starts it.
            self.wake_at(self.now);
        }
    }

    /// When a component that exited early may start again: at once when its peers are ready, after a pause when
    /// those that aren't wait for it in turn (a short one once they accept connections), else not yet (None).
    fn early_exit_due(&self, name: &ComponentName) -> Option<Duration> {
        let node = self.nodes.get(name)?;
        let early = node.early_exit.as_ref()?;
        let waiting: Vec<&Node> =
            early.peers.iter().filter_map(|peer| self.nodes.get(peer)).filter(|p| p.is_awaited()).collect();
        if waiting.is_empty() {
            return Some(early.at);
        }
        let in_turn = |peer: &&Node| self.waits_in_turn(peer, name);
        if !waiting.iter().all(in_turn) {
            return None;
        }
        let came_up = |peer: &&Node| peer.phase == Phase::Live && peer.phase_since > early.at;
        let pause = if waiting.iter().all(came_up) { 1 } else { 3u32.pow(node.early_restarts.min(EARLY_RESTARTS)) };
        Some(early.at + CYCLE_PAUSE * pause)
    }

    /// Whether `peer` declares, directly or through others, that it needs `name`, and all of these are as far as they get
    /// without it: their processes run, or exited early themselves. One whose restart the engine puts off is waited for.
    fn waits_in_turn(&self, peer: &Node, name: &ComponentName) -> bool {
        let is_as_far = |node: &Node| node.is_running || node.early_exit.is_some();
        let mut seen = std::collections::BTreeSet::new();
        let mut todo: Vec<&Node> = [peer].into_iter().filter(|peer| is_as_far(peer)).collect();
        while let Some(node) = todo.pop() {
            for next in node.peers() {
                if next == name {
                    return true;
                }
                if seen.insert(next) {
                    todo.extend(self.nodes.get(next).filter(|node| is_as_far(node)));
                }
            }
        }
        false
    }

    fn exit_hint(&self, name: &ComponentName, code: i64, oom: bool) -> String {
        if oom {
            return "raise its memory limit (`mem_limit`)".into();
        }
        match code {
            0 => format!(
                "if it is a job that ends, `x-convoke: {{ completes: true }}` says so; else `convoke logs {name}`"
            ),
            126 | 127 => "the program isn't in the image, or can't be run: check `command` and `entrypoint`".into(),
            137 => {
                format!("it was killed: by `docker kill`, or its memory ran out; `convoke logs {name}` shows its end")
            }
            _ => format!("`convoke logs {name}` shows all it said"),
        }
    }
}

impl Node {
    /// How far it had come when it ended, for people. A job has no readiness of its own.
    fn moment_of_end(&self, was_ready: bool) -> &'static str {
        match (was_ready, self.component.completes) {
            (_, true) => "",
            (true, false) => " after it was ready",
            (false, false) => " before it was ready",
        }
    }

    /// Whether it may still become ready: one that was given up is waited for in vain.
    const fn is_awaited(&self) -> bool {
        !self.phase.is_settled() && self.failure.is_none()
    }

    /// Whether an end with this code is what was wanted.
    fn completes(&self, code: i64, was_ready: bool) -> bool {
        let one_shot = self.readiness() == Readiness::Runs && self.component.spec.restart == RestartPolicy::No;
        code == 0 && (self.component.completes || (one_shot && !was_ready))
    }
}

fn describe_exit(code: i64, oom: bool, moment: &str, error: &str) -> String {
    let base = if oom { "ran out of memory and was killed".to_owned() } else { format!("exited {code}{moment}") };
    if error.is_empty() { base } else { format!("{base}: {error}") }
}

/// Names for people: `a, b and c`.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a ComponentName>) -> String {
    let names: Vec<&str> = names.map(ComponentName::as_str).collect();
    match names.as_slice() {
        [] => "nobody".into(),
        [one] => (*one).into(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
