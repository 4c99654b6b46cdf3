//! Supervision: a run that goes on after "ready", and that no component's failure ends.
//!
//! The rest of the driver is the same as for `up`: it looks, judges and acts. What differs is here and in `recover`
//! (what a lost component means), `drift` (what isn't as it should be and isn't ours to change) and `reload` (another
//! description of the cluster).
//!
//! A supervised run changes the cluster only with leave: it asks for it when there is something to do, and gives it
//! back when nothing is in flight. Whoever gives it holds the cluster's lock meanwhile, so that two never act at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::driver::Driver;
use super::input::Effect;
use super::node::Node;
use crate::cluster::Cluster;
use crate::event::{EventKind, Failure, Outcome, Phase};
use crate::names::ComponentName;

/// Leave that was given back without having been used isn't asked for again before this has passed.
const LEAVE_AGAIN: Duration = Duration::from_secs(1);

/// What a supervised run is told besides what the engine says.
#[derive(Debug, Clone)]
pub enum Order {
    /// What is wanted of the cluster.
    Want(Want),
    /// The answer to [`Effect::AskLeave`]: it may act now, or not yet, since somebody else does. A refusal is followed by
    /// another answer.
    Leave(Result<(), String>),
    /// Another description of the cluster.
    Describe(Arc<Cluster>),
    /// The description was changed, and can't be used: why, for people.
    Misdescribed(String),
    /// Supervision is to end, and why.
    End(String),
}

/// What is wanted of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Want {
    /// It is to be left stopped as a whole, and why, for people.
    pub rest: Option<String>,
    /// These were stopped by their names and are left so.
    pub stopped: BTreeSet<ComponentName>,
}

/// What a supervised run knows besides its components.
#[derive(Debug, Default)]
pub(super) struct Supervision {
    pub(super) want: Want,
    leave: Leave,
    leave_after: Duration,
    /// It was said that all is ready, and it still is.
    is_ready: bool,
    /// What was said of things that can't be helped, as long as they hold.
    pub(super) drift: BTreeSet<String>,
    /// Failures of the run as a whole that were said since all was ready.
    said: BTreeSet<String>,
    /// It was said that the engine doesn't answer.
    engine_is_lost: bool,
    /// Given up, and their last log lines are being read.
    pub(super) reading: BTreeMap<ComponentName, Failure>,
}

/// Whether the run may change the cluster.
#[derive(Debug, Default, PartialEq, Eq)]
enum Leave {
    /// Nothing to do.
    #[default]
    NotAsked,
    /// Asked for.
    Asked,
    /// Somebody else changes the cluster, and that was said.
    Refused,
    Given,
}

impl Driver {
    /// Whether the run is a supervised one.
    pub(super) const fn is_supervised(&self) -> bool {
        self.supervision.is_some()
    }

    /// Whether the cluster is to be left as it is.
    pub(super) fn rests(&self) -> bool {
        self.supervision.as_ref().is_some_and(|state| state.want.rest.is_some())
    }

    /// Whether a component was stopped by its name, or with the whole cluster.
    pub(super) fn is_held(&self, name: &ComponentName) -> bool {
        self.supervision.as_ref().is_some_and(|state| state.want.rest.is_some() || state.want.stopped.contains(name))
    }

    pub(super) fn take_order(&mut self, order: Order) {
        if !self.is_supervised() || self.ending.is_some() {
            return;
        }
        match order {
            Order::Want(want) => self.take_want(want),
            Order::Leave(answer) => self.take_leave(answer),
            Order::Describe(cluster) => self.describe(&cluster),
            Order::Misdescribed(message) => self.emit(EventKind::DescriptionRefused { message }),
            Order::End(why) => self.release(why),
        }
    }

    /// Supervision ends, and the cluster goes on without it.
    pub(super) fn release(&mut self, why: String) {
        self.emit(EventKind::SupervisionEnded { why });
        self.ending = None;
        self.end(Outcome::Released);
    }

    fn take_want(&mut self, want: Want) {
        let Some(state) = &mut self.supervision else { return };
        if state.want == want {
            return;
        }
        let before = std::mem::replace(&mut state.want, want.clone());
        match (before.rest, &want.rest) {
            (None, Some(why)) => self.emit(EventKind::SupervisionPaused { why: why.clone() }),
            (Some(_), None) => self.emit(EventKind::SupervisionResumed {}),
            _ => {}
        }
        // Whoever says that it should run means it anew.
        for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
            if !self.is_held(&name) && (before.stopped.contains(&name) || want.rest.is_none()) {
                self.renew(&name);
            } else if self.is_held(&name) {
                self.lay_down(&name);
            }
        }
        self.observe_again = true;
    }

    /// One that doesn't run, and isn't to, is stopped rather than lost.
    fn lay_down(&mut self, name: &ComponentName) {
        let Some(node) = self.nodes.get(name) else { return };
        if !node.is_running && node.has_run && !node.busy && node.phase != Phase::Completed {
            self.enter(name, Phase::Stopped, None);
        }
    }

    // === Leave ===

    /// Whether the cluster may be changed now; asks for it if there is something to change.
    pub(super) fn may_act(&mut self) -> bool {
        let Some(state) = &self.supervision else { return true };
        if state.want.rest.is_some() {
            return false;
        }
        if state.leave == Leave::Given {
            return true;
        }
        let (asks, due) = (state.leave == Leave::NotAsked, state.leave_after);
        if !asks || !self.wants_to_act() {
            return false;
        }
        if self.now < due {
            self.wake_at(due);
            return false;
        }
        self.set_leave(Leave::Asked);
        self.out.push(Effect::AskLeave);
        false
    }

    fn take_leave(&mut self, answer: Result<(), String>) {
        let was_refused = self.supervision.as_ref().is_some_and(|state| state.leave == Leave::Refused);
        match answer {
            Ok(()) => {
                self.set_leave(Leave::Given);
                if was_refused {
                    self.emit(EventKind::SupervisionResumed {});
                    // What the other did isn't known.
                    self.forget_what_was_seen();
                }
            }
            Err(_) if was_refused => {}
            Err(holder) => {
                self.set_leave(Leave::Refused);
                self.emit(EventKind::SupervisionPaused { why: format!("{holder} works on the cluster") });
            }
        }
    }

    /// Nothing is decided before a list shows how things are now.
    pub(super) fn forget_what_was_seen(&mut self) {
        for node in self.nodes.values_mut() {
            node.awaits_list = true;
            node.epoch += 1;
        }
        self.observe_again = true;
    }

    /// Gives the leave back once nothing that changes the cluster is in flight.
    pub(super) fn give_back(&mut self) {
        let is_given = self.supervision.as_ref().is_some_and(|state| state.leave == Leave::Given);
        if !is_given || self.is_changing() {
            return;
        }
        let is_done = self.rests() || !self.wants_to_act();
        if let Some(state) = &mut self.supervision {
            state.leave_after = if is_done { Duration::ZERO } else { self.now + LEAVE_AGAIN };
        }
        self.set_leave(Leave::NotAsked);
        self.out.push(Effect::GiveBack);
    }

    fn set_leave(&mut self, leave: Leave) {
        if let Some(state) = &mut self.supervision {
            state.leave = leave;
        }
    }

    /// Whether a call that changes the cluster is in flight.
    fn is_changing(&self) -> bool {
        self.nodes.values().any(|node| node.busy)
            || self.networks.values().any(|state| state.creating.is_some())
            || self.volumes.values().any(|state| state.creating)
            || self.surplus.values().any(|state| state.busy)
            || !self.twins.is_empty()
    }

    // === The run as a whole ===

    /// Says once, each time, that all of it is ready.
    pub(super) fn say_ready(&mut self) {
        let endpoints = self.endpoints();
        let Some(state) = &mut self.supervision else { return };
        state.is_ready = true;
        state.said.clear();
        self.emit(EventKind::ClusterReady { endpoints });
    }

    /// Whether there is a verdict to be found: all that should run settled, and that isn't said yet.
    pub(super) fn awaits_verdict(&mut self) -> bool {
        let settled = self.selected().all(|(name, node)| {
            let gone_without_harm = node.failure.is_some() && self.is_optional(name);
            self.is_held(name) || node.phase.is_settled() || gone_without_harm
        });
        let Some(state) = &mut self.supervision else { return true };
        if !settled {
            state.is_ready = false;
        }
        settled && !state.is_ready && state.want.rest.is_none()
    }

    /// A failure of the run as a whole ends nothing: it is said once, and tried again.
    pub(super) fn complain(&mut self, failure: &Failure, outcome: Outcome) {
        let Some(state) = &mut self.supervision else { return };
        if outcome == Outcome::EngineUnreachable {
            if !std::mem::replace(&mut state.engine_is_lost, true) {
                self.emit(EventKind::EngineLost { why: failure.what.clone() });
            }
        } else if state.said.insert(failure.what.clone()) {
            let (what, hint) = (failure.what.clone(), failure.hint.clone());
            self.emit(EventKind::DriftFound { component: failure.component.clone(), what, hint });
        }
    }

    /// The engine answers again.
    pub(super) fn engine_is_back(&mut self) {
        if let Some(state) = &mut self.supervision
            && std::mem::take(&mut state.engine_is_lost)
        {
            self.emit(EventKind::EngineFound {});
        }
    }

    /// Components that supervision looks after now.
    pub(super) fn cared_for(&self) -> Vec<ComponentName> {
        let cared = |(name, node): &(&ComponentName, &Node)| !self.is_held(name) && node.failure.is_none();
        self.selected().filter(cared).map(|(name, _)| name.clone()).collect()
    }
}
