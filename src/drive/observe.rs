//! Taking in what the engine shows: lists and inspections become what is known of each component.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::driver::{Driver, ENGINE_PATIENCE, ObserveInFlight, SLOW_TICK};
use super::input::Call;
use super::node::{Node, Track};
use super::probing::GOOD_RUN;
use super::retry::pause;
use crate::engine::{EngineError, ErrorKind, HealthStatus, Observed, ObservedContainer, Status, labels};
use crate::event::{EventKind, Outcome, Phase, PlannedAction};
use crate::names::{ComponentName, ContainerId};
use crate::plan::diff;

/// A call about a component is answered within this time, unless something is wrong.
const CALL_ANSWERS: Duration = Duration::from_secs(1);

impl Driver {
    /// Asks for a list or inspections where they are due.
    pub(super) fn look(&mut self) {
        let slow = self.last_observed + SLOW_TICK;
        self.observe_again |= self.observed.is_some() && self.now >= slow;
        // While a list is on its way, or the stream isn't there, what comes next comes by itself.
        if self.observing.is_none() && self.subscribed.is_some() {
            let due = if self.observe_again { self.observe_after } else { slow.max(self.observe_after) };
            if self.observe_again && self.now >= due {
                self.observe();
            } else {
                self.wake_at(due);
            }
        }
        for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
            self.look_at(&name);
        }
    }

    fn observe(&mut self) {
        self.observe_again = false;
        let epochs = self.nodes.iter().map(|(name, node)| (name.clone(), node.epoch)).collect();
        let confirms = self.all_settled();
        self.observing = Some(ObserveInFlight { at: self.now, epochs, confirms });
        self.call(Call::Observe);
    }

    fn look_at(&mut self, name: &ComponentName) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        // Only a list says what there is of one that awaits it, and an inspection meanwhile would make that worthless.
        if !node.dirty || node.inspecting.is_some() || node.awaits_list {
            return;
        }
        // The call's own answer is a reason to look again: looking before it is for a call that hangs.
        let due = node.phase_since + CALL_ANSWERS;
        if node.busy && now < due {
            return self.wake_at(due);
        }
        let [container] = node.containers.as_slice() else {
            // None, or two in the middle of a replacement: a list tells which.
            node.dirty = false;
            self.observe_again = true;
            return;
        };
        node.dirty = false;
        node.inspecting = Some(node.epoch);
        let id = container.id.clone();
        self.call(Call::Inspect(name.clone(), id));
    }

    pub(super) fn take_observed(&mut self, result: Result<Box<Observed>, EngineError>) {
        let Some(asked) = self.observing.take() else { return };
        self.last_observed = self.now;
        let mut observed = match result {
            Ok(observed) => *observed,
            Err(error) => return self.observe_failed(&asked, &error),
        };
        self.list_failures = None;
        diff::adopt_names(&self.cluster, &mut observed);
        self.observed_asked = asked.at;
        let is_first = self.observed.is_none();
        if is_first && !self.is_supervised() && self.refuse_foreign(&observed) {
            return;
        }
        self.look_for_drift(&observed);
        let (mut by_component, surplus) = diff::assign_containers(&self.cluster, &observed);
        if is_first {
            self.announce_plan(&observed);
        }
        self.take_surplus(surplus);
        self.take_objects(&observed, asked.at);
        self.observed = Some(observed);
        for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
            let containers = by_component.remove(&name).unwrap_or_default();
            let Some(node) = self.nodes.get_mut(&name) else { continue };
            if asked.epochs.get(&name) != Some(&node.epoch) {
                node.dirty = true;
                self.observe_again |= node.awaits_list || (node.containers.is_empty() && !node.busy);
                continue;
            }
            node.awaits_list = false;
            // As below: an inspection on its way may be older than this list.
            node.epoch += u64::from(node.inspecting.is_some());
            self.reflect(&name, containers);
        }
        if asked.confirms && self.all_settled() {
            self.confirmed = Some((asked.at, self.now - asked.at));
        }
    }

    fn observe_failed(&mut self, asked: &ObserveInFlight, error: &EngineError) {
        let hint = Some("is the engine healthy? try `convoke doctor`".into());
        let (since, count) = self.list_failures.unwrap_or((asked.at, 0));
        self.list_failures = Some((since, count + 1));
        self.observe_again = true;
        self.observe_after = self.now + pause(count + 1);
        if !error.kind.is_transient() {
            return self.fail_run(error.to_string(), hint, Outcome::Failed);
        }
        if self.now >= since + ENGINE_PATIENCE && count > 0 {
            return self.fail_run(error.to_string(), hint, Outcome::EngineUnreachable);
        }
        self.note_trouble(error);
    }

    /// Notes that the engine answered.
    pub(super) fn engine_answered(&mut self) {
        self.last_answer = self.now;
        self.unanswered = 0;
        self.engine_is_back();
    }

    /// Notes that the engine left a call without an answer; ends the run if that has gone on for too long.
    pub(super) fn note_trouble(&mut self, error: &EngineError) {
        if !matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Timeout(_)) {
            return;
        }
        self.unanswered += 1;
        // One alone may have been lost on its way.
        if self.now >= self.last_answer + ENGINE_PATIENCE && self.unanswered > 1 && self.ending.is_none() {
            let hint = Some("is the engine running? try `convoke doctor`".into());
            self.fail_run(error.to_string(), hint, Outcome::EngineUnreachable);
        }
    }

    fn announce_plan(&mut self, observed: &Observed) {
        let mut plan = diff::plan(&self.cluster, observed, &self.image_ids());
        // Replicas too many of a selected service aren't selected themselves: nobody wants them.
        let services: BTreeSet<&str> = self.selected().map(|(_, node)| node.component.service.as_str()).collect();
        let is_too_many = |name: &ComponentName| {
            let service = observed.containers.iter().find(|at| at.component == *name);
            service.and_then(|at| at.label(labels::COMPOSE_SERVICE)).is_some_and(|service| services.contains(service))
        };
        plan.actions.retain(|action| {
            self.is_selected(&action.component) || (action.action == "remove" && is_too_many(&action.component))
        });
        for orphan in plan.orphans {
            let why = "the file doesn't have it";
            if self.options.remove_orphans {
                plan.actions.push(PlannedAction { component: orphan, action: "remove".into(), reason: why.into() });
            } else {
                let message =
                    format!("{orphan} runs in this cluster, and {why}; `convoke up --remove-orphans` removes it");
                self.emit(EventKind::Warning { message });
            }
        }
        for name in self.withheld() {
            let message = format!("the probe of {name} holds a secret, which no label keeps: `convoke up` asks it");
            self.emit(EventKind::Warning { message });
        }
        self.warn_of_missing_volumes(observed);
        self.emit(EventKind::Planned { actions: plan.actions });
    }

    /// Volumes of a cluster often belong together, as a database does to what it describes. With some there and some
    /// not, and no container left that would have kept them, somebody removed a part.
    fn warn_of_missing_volumes(&mut self, observed: &Observed) {
        if !observed.containers.is_empty() || self.options.only.is_some() {
            return;
        }
        let is_there = |name: &str| observed.volumes.iter().any(|volume| volume.name == name);
        let own = self.cluster.volumes.values().filter(|volume| !volume.external);
        let (kept, missing): (Vec<_>, Vec<_>) =
            own.map(|volume| volume.engine_name.as_str()).partition(|name| is_there(name));
        if kept.is_empty() || missing.is_empty() {
            return;
        }
        let message = format!(
            "these volumes are made anew: {}; these are kept from before: {}; if their contents belong together, \
             `convoke down --volumes` removes all",
            missing.join(", "),
            kept.join(", ")
        );
        self.emit(EventKind::Warning { message });
    }

    /// Components whose readiness probe isn't known here.
    fn withheld(&self) -> Vec<ComponentName> {
        self.selected().filter(|(_, node)| node.component.probes.ready_withheld).map(|(name, _)| name.clone()).collect()
    }

    fn take_surplus(&mut self, surplus: Vec<ObservedContainer>) {
        if self.options.from_labels {
            return;
        }
        let is_there = |id: &ContainerId| surplus.iter().any(|container| container.id == *id);
        self.surplus.retain(|id, state| state.busy || is_there(id));
        let services: BTreeSet<&str> = self.selected().map(|(_, node)| node.component.service.as_str()).collect();
        let is_of = |c: &ObservedContainer| c.label(labels::COMPOSE_SERVICE).is_some_and(|own| services.contains(own));
        let is_orphan = |c: &ObservedContainer| !diff::belongs_to_file(&self.cluster, c);
        let wanted = surplus.into_iter().filter(|container| {
            !diff::is_switched_off(&self.cluster, container)
                && (is_of(container) || (self.options.remove_orphans && is_orphan(container)))
        });
        for container in wanted.collect::<Vec<_>>() {
            self.surplus.entry(container.id).or_default();
        }
    }

    pub(super) fn take_inspected(
        &mut self,
        name: &ComponentName,
        id: &ContainerId,
        result: Result<Option<Box<ObservedContainer>>, EngineError>,
    ) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let asked = node.inspecting.take();
        let seen = match result {
            Ok(seen) => seen,
            Err(error) => {
                // A list shows it as well, and comes with pauses that grow.
                node.awaits_list = true;
                node.epoch += 1;
                self.observe_again = true;
                return self.note_trouble(&error);
            }
        };
        if asked != Some(node.epoch) {
            node.dirty = true;
            return;
        }
        if self.observing.is_some() {
            // Of two answers on their way, either may be the older: the list doesn't count for this one.
            node.epoch += 1;
        }
        let mut containers = std::mem::take(&mut node.containers);
        let had_lost = containers.iter().any(|container| container.id == *id && container.lost_network);
        containers.retain(|container| container.id != *id);
        if let Some(mut container) = seen {
            container.lost_network = had_lost && !is_up(&container);
            containers.insert(0, *container);
        }
        self.reflect(name, containers);
    }

    /// Makes what was seen of a component's containers its state.
    pub(super) fn reflect(&mut self, name: &ComponentName, containers: Vec<ObservedContainer>) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let is_first = !std::mem::replace(&mut node.seen, true);
        node.containers = containers;
        let Some(node) = self.nodes.get(name) else { return };
        let standing = self.standing(node);
        let Some(container) = standing.current.cloned() else {
            let why = standing.outdated.first().map(|(old, why)| why.describe(&node.component, old));
            let is_going = |at: &ObservedContainer| matches!(at.state.status, Status::Dead | Status::Removing);
            let is_lost = standing.outdated.first().is_none_or(|(at, _)| is_going(at));
            return self.reflect_absence(name, why, is_lost);
        };
        let Some(node) = self.nodes.get_mut(name) else { return };
        if is_first && !is_up(&container) {
            node.baseline = container.state.started_at;
        }
        if is_first {
            node.earlier_restarts = container.state.restart_count;
            let began = self.options.began.map(|began| began + self.now);
            node.short_lived = found_in_loop(&container.state, began);
        }
        let restarts_seen = std::mem::replace(&mut node.policy_restarts, container.state.restart_count);
        let was_restarted = !is_first && container.state.restart_count > restarts_seen;
        match container.state.status {
            Status::Running => {
                if was_restarted {
                    self.tell_missed_end(name);
                }
                self.reflect_running(name, &container, is_first);
            }
            Status::Paused => {
                self.reflect_running(name, &container, is_first);
                // What it answered before says nothing of later. Said once: its probe is asked at once again.
                if self.nodes.get(name).is_some_and(|node| node.phase != Phase::Unhealthy) {
                    self.unpass_ready(name, "it is paused".into());
                }
            }
            Status::Restarting => self.reflect_restarting(name, &container),
            Status::Exited | Status::Dead | Status::Removing => self.reflect_ended(name, &container),
            Status::Created => {
                node.stop_running();
                let is_being_started = node.phase == Phase::Starting && node.busy;
                if !is_being_started && node.failure.is_none() {
                    // It may be another container than the one that was seen last.
                    self.enter(name, Phase::Created, None);
                }
            }
        }
    }

    /// It has no container, or one that has to go: how that one is doesn't matter.
    fn reflect_absence(&mut self, name: &ComponentName, outdated: Option<String>, is_lost: bool) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.stop_running();
        node.baseline = None;
        node.outage = false;
        if node.failure.is_none() && node.phase > Phase::Creating {
            self.out.push(super::Effect::Abandon(name.clone()));
            let why = outdated.unwrap_or_else(|| "its container is gone".to_owned());
            self.enter(name, Phase::Pending, Some(why.clone()));
            if is_lost && self.is_supervised() && !self.is_held(name) {
                self.plan_recovery(name, &why, None);
            }
        }
    }

    /// The engine started it again before anybody looked. With what code it had ended isn't kept.
    fn tell_missed_end(&mut self, name: &ComponentName) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        if node.is_running {
            node.ended(now);
            self.out.push(super::Effect::Abandon(name.clone()));
            self.enter(name, Phase::Restarting, Some("it ended, and was started again at once".into()));
        }
    }

    fn reflect_running(&mut self, name: &ComponentName, container: &ObservedContainer, is_first: bool) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.outage = false;
        let started_at = container.state.started_at;
        if node.is_running && (node.started_at.is_none() || node.started_at == started_at) {
            node.started_at = started_at;
        } else {
            node.begin_run(now, started_at);
            self.out.push(super::Effect::Abandon(name.clone()));
            self.take_start_by_another(name);
            let reason = is_first.then(|| "it runs already".to_owned());
            self.enter(name, Phase::Started, reason);
        }
        self.reflect_health(name);
    }

    /// Who starts a component that supervision has given up wants it to be tried again.
    fn take_start_by_another(&mut self, name: &ComponentName) {
        if self.is_supervised() && self.nodes.get(name).is_some_and(|node| node.failure.is_some()) {
            self.renew(name);
        }
    }

    /// The engine's own health check: `healthy` passes, `unhealthy` takes a pass back.
    fn reflect_health(&mut self, name: &ComponentName) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let (health, counts) = (node.engine_health(), node.uses_engine_health());
        // Taken in once: after that, a check of our own that passes is the newer fact.
        let is_news = health == Some(HealthStatus::Unhealthy) && !node.said_unhealthy;
        node.said_unhealthy = health == Some(HealthStatus::Unhealthy);
        match health {
            Some(HealthStatus::Healthy) if counts && node.ready.passed.is_none() => self.pass_ready(name),
            Some(HealthStatus::Unhealthy) if counts && is_news && node.phase == Phase::Ready => {
                self.unpass_ready(name, "the engine calls it unhealthy".into());
            }
            _ => {}
        }
    }

    fn reflect_restarting(&mut self, name: &ComponentName, container: &ObservedContainer) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        let code = container.state.exit_code;
        let is_news = node.is_running || node.phase != Phase::Restarting;
        node.ended(now);
        node.has_run = true;
        node.last_exit = Some(code);
        if is_news {
            self.out.push(super::Effect::Abandon(name.clone()));
            self.say_exit(name, code, container.state.oom_killed, true);
            self.enter(name, Phase::Restarting, Some(format!("exited {code}")));
        }
        // The engine tells of the next start by an event; the slow tick covers a lost one.
    }

    fn reflect_ended(&mut self, name: &ComponentName, container: &ObservedContainer) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.ended(now);
        let has_run = container.state.started_at.is_some() && container.state.started_at != node.baseline;
        if has_run {
            node.has_run = true;
            self.take_start_by_another(name);
            self.out.push(super::Effect::Abandon(name.clone()));
            return self.judge_exit(name, container);
        }
        if node.early_exit.is_some() || node.phase.is_settled() || node.failure.is_some() {
            return;
        }
        if node.component.completes && container.state.exit_code == 0 && container.state.started_at.is_some() {
            return self.enter(name, Phase::Completed, Some("it completed in an earlier run".into()));
        }
        if node.phase < Phase::Starting {
            self.enter(name, Phase::Created, None);
        }
    }

    pub(super) fn image_id_of(&self, node: &Node) -> Option<&str> {
        self.images.get(&node.component.image).and_then(|state| state.info()).map(|info| info.id.as_str())
    }

    /// Ids of the images that are known.
    pub(super) fn image_ids(&self) -> BTreeMap<String, String> {
        self.images
            .iter()
            .filter_map(|(reference, state)| state.info().map(|info| (reference.clone(), info.id.clone())))
            .collect()
    }
}

fn is_up(container: &ObservedContainer) -> bool {
    matches!(container.state.status, Status::Running | Status::Paused | Status::Restarting)
}

/// The engine restarts at once after a first crash, and waits twice as long after each further run that didn't last: a
/// pause of so long or longer is one within a loop.
const LOOP_PAUSE: jiff::SignedDuration = jiff::SignedDuration::from_millis(180);

/// What [`Node::short_lived`] must be for a container that is found as the engine restarts it over and over: it is
/// believed once its present run is a good one. `now` is the wall clock.
fn found_in_loop(state: &crate::engine::ContainerState, now: Option<jiff::Timestamp>) -> Duration {
    let paused = match (state.started_at, state.finished_at) {
        (Some(started), Some(finished)) => started.duration_since(finished) >= LOOP_PAUSE,
        _ => false,
    };
    let ran = |now: jiff::Timestamp| Duration::try_from(now.duration_since(state.started_at?)).ok();
    match state.status {
        // It needs a whole good run.
        Status::Restarting if state.restart_count > 1 => GOOD_RUN / 2,
        Status::Running if state.restart_count > 1 && paused => {
            let ran = now.map_or(GOOD_RUN, |now| ran(now).unwrap_or_default());
            GOOD_RUN.saturating_sub(ran) / 2
        }
        _ => Duration::ZERO,
    }
}

impl Node {
    /// A new run of the component began.
    pub(super) fn begin_run(&mut self, now: Duration, started_at: Option<jiff::Timestamp>) {
        self.run += 1;
        self.is_running = true;
        self.has_run = true;
        self.running_since = now;
        self.started_at = started_at;
        self.early_exit = None;
        self.said_unhealthy = false;
        self.live = Track::default();
        self.ready = Track::default();
    }

    /// Its process ended by itself at `now`.
    fn ended(&mut self, now: Duration) {
        let lasted = now.saturating_sub(self.running_since);
        if self.is_running && self.ready.passed.is_some() && !self.outage && lasted < GOOD_RUN {
            self.short_lived = self.short_lived.max(lasted);
        }
        self.stop_running();
    }

    /// It doesn't run any more.
    pub(super) fn stop_running(&mut self) {
        if self.is_running {
            self.run += 1;
        }
        self.is_running = false;
        self.hooks_due = false;
        self.started_at = None;
        self.live = Track { last: self.live.last.take(), ..Track::default() };
        self.ready = Track { last: self.ready.last.take(), ..Track::default() };
    }

    /// Whether the engine's health status says anything about readiness.
    fn uses_engine_health(&self) -> bool {
        use super::node::Readiness;
        use crate::cluster::ProbeAction;
        match self.readiness() {
            Readiness::Health(_) => true,
            Readiness::Probe(probe) => probe.action == ProbeAction::EngineHealth,
            Readiness::Runs => false,
        }
    }
}
