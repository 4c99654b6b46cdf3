//! What must hold of every run, one function a property. `docs/reliability.md` lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::scenario::{Company, Scenario};
use crate::drive::tests::harness::*;
use crate::engine::fake::{Call, Change, Meddling, Op};
use crate::engine::{Status, labels};
use crate::event::{EventKind, Outcome, Phase};
use crate::names::{ComponentName, ContainerId};

/// Once faults are over, a run takes no longer: calls that hang do so for 30 s, boots and restarts take seconds.
const CONVERGES_WITHIN: Duration = Duration::from_secs(150);

/// Checks a run that ended.
pub(super) fn of_a_run(scene: &Scenario, ran: &Ran) {
    begins_and_ends_once(scene, ran);
    converges_or_explains(scene, ran);
    ready_is_ready(scene, ran);
    steps_are_bounded(scene, ran);
    scene.coverage.borrow_mut().transitions(ran);
}

/// Checks the world, whatever happened in it.
pub(super) fn of_the_world(scene: &Scenario) {
    nothing_foreign_is_touched(scene);
    never_two_run_for_one_component(scene);
    a_job_that_is_done_is_not_run_again(scene);
    networks_are_not_made_twice(scene);
    calls_are_bounded(scene);
}

/// The first event says that it began, the last one how it ended, and time never goes back.
fn begins_and_ends_once(scene: &Scenario, ran: &Ran) {
    let (first, last) = (&ran.events[0].kind, &ran.events.last().unwrap().kind);
    assert!(matches!(first, EventKind::RunStarted { .. }), "{}", scene.tell(ran));
    assert!(matches!(last, EventKind::RunFinished { outcome, .. } if *outcome == ran.outcome), "{}", scene.tell(ran));
    let ends = ran.events.iter().filter(|event| matches!(event.kind, EventKind::RunFinished { .. })).count();
    assert_eq!(ends, 1, "{}", scene.tell(ran));
    assert!(ran.events.is_sorted_by_key(|event| event.at), "{}", scene.tell(ran));
}

/// All is ready, or it is said what failed: for each component that failed, and when the time is up for each that isn't
/// ready.
fn converges_or_explains(scene: &Scenario, ran: &Ran) {
    let failures = ran.failures();
    assert!(failures.iter().all(|failure| !failure.what.is_empty()), "{}", scene.tell(ran));
    if matches!(ran.outcome, Outcome::Ready | Outcome::Interrupted) {
        assert!(failures.is_empty(), "{}", scene.tell(ran));
        return;
    }
    assert!(!failures.is_empty(), "nothing is explained: {}", scene.tell(ran));
    let explained: BTreeSet<&ComponentName> =
        failures.iter().filter_map(|failure| failure.component.as_ref()).collect();
    let whole_run = failures.iter().any(|failure| failure.component.is_none());
    for (name, phase) in ran.last_phases() {
        let failed = phase == Phase::Failed || (ran.outcome == Outcome::DeadlinePassed && !phase.is_settled());
        let optional = ran.warnings().iter().any(|text| text.starts_with(&format!("{name} failed")));
        let fine = !failed || explained.contains(name) || optional || whole_run;
        assert!(fine, "{name} is {phase}, and nobody says why: {}", scene.tell(ran));
    }
}

/// What a run calls ready is ready, by the components' own scripts; what can't be ready never is.
fn ready_is_ready(scene: &Scenario, ran: &Ran) {
    if ran.outcome != Outcome::Ready {
        return;
    }
    // A job that somebody stops may end with 0: then it counts as done.
    let is_stopped_job = |at: &str| {
        let by_hand = |how: &Meddling| matches!(how, Meddling::Stop | Meddling::Restart);
        let stopped = scene.meddling.iter().any(|(_, of, how)| of.as_str() == at && by_hand(how));
        stopped && scene.cluster.components.get(at).is_some_and(|component| component.completes)
    };
    let hopeless: Vec<&String> = scene.doomed.iter().filter(|at| !is_stopped_job(at)).collect();
    assert!(hopeless.is_empty(), "{hopeless:?} can't be ready: {}", scene.tell(ran));
    if scene.engine.now() < scene.until {
        return;
    }
    for (name, component) in &scene.cluster.components {
        let by_running = component.probes.ready.is_none() && component.probes.health.is_none();
        let unsteady = by_running || is_tcp(component) || scene.flapping.contains(name);
        let fine = component.completes || unsteady || scene.engine.is_ready(name.as_str());
        assert!(fine, "{name} isn't ready: {}", scene.tell(ran));
    }
}

/// A tcp probe asks no more than whether connections are accepted.
fn is_tcp(component: &crate::cluster::Component) -> bool {
    use crate::cluster::ProbeAction;
    component.probes.ready.as_ref().is_some_and(|probe| matches!(probe.action, ProbeAction::Tcp { .. }))
}

/// No driver goes round in circles: probes at 4 a second at most, each with an answer and a tick; calls and events
/// besides.
fn steps_are_bounded(scene: &Scenario, ran: &Ran) {
    let bound = 600.0 + ran.took.as_secs_f64() * (10.0 + 20.0 * scene.cluster.components.len() as f64);
    assert!((ran.steps as f64) < bound, "{} steps, {bound} at most: {}", ran.steps, scene.tell(ran));
}

/// When faults have stopped, `up` is ready within a bounded time, and a bounded number of inputs from then on.
pub(super) fn converges_soon(scene: &Scenario, ran: &Ran, began: Duration) {
    let took = scene.engine.now().saturating_sub(scene.until.max(began));
    assert!(took < CONVERGES_WITHIN, "took {took:?}: {}", scene.tell(ran));
    let bound = 300 + 150 * scene.cluster.components.len() as u64 + took.as_secs() * 40;
    let steps = scene.calm_steps.get();
    assert!(steps < bound, "{steps} inputs after the last fault, {bound} at most: {}", scene.tell(ran));
}

/// Nothing that convoke didn't make for this cluster is changed or removed, whatever its name is.
fn nothing_foreign_is_touched(scene: &Scenario) {
    assert_eq!(scene.engine.strangers("test"), scene.strangers, "{scene}");
}

/// No component ever has two running containers, and nobody takes a living one off its network.
fn never_two_run_for_one_component(scene: &Scenario) {
    let violations = scene.engine.violations();
    assert!(violations.is_empty(), "{scene}: {violations:?}");
}

/// In the end there is one container for each component, under its own name, made of what is wanted now.
pub(super) fn one_container_for_each(scene: &Scenario) {
    let mut there: BTreeMap<ComponentName, Vec<(String, Option<String>)>> = BTreeMap::new();
    for container in scene.engine.containers() {
        let hash = container.label(labels::CONFIG_HASH).map(str::to_owned);
        there.entry(container.component).or_default().push((container.name, hash));
    }
    let own = |component: &crate::cluster::Component| {
        vec![(component.container_name.clone(), Some(component.config_hash.clone()))]
    };
    let wanted: BTreeMap<_, _> =
        scene.cluster.components.iter().map(|(name, component)| (name.clone(), own(component))).collect();
    // Those that the file has no more stay unless their removal is asked for.
    there.retain(|name, _| !scene.orphans.contains(name));
    assert_eq!(there, wanted, "{scene}");
}

/// In the end everyone who runs is on each of its networks.
pub(super) fn everyone_is_on_its_networks(scene: &Scenario) {
    for container in scene.engine.containers() {
        let Some(component) = scene.cluster.components.get(&container.component) else { continue };
        let wanted = if component.completes { 0 } else { component.spec.networks.len() };
        assert!(container.networks.len() >= wanted, "{scene}: {} is on {:?}", container.name, container.networks);
    }
}

/// What runs with the configuration that is wanted now is never stopped or removed by `up`: here are those that it ran
/// before, and the calls since.
pub(super) fn no_healthy_container_is_touched(scene: &Scenario, before: &[ContainerId], calls_before: usize) {
    let harmful = |call: &&Call| matches!(call.op, Op::Stop | Op::Remove | Op::Kill);
    let journal = scene.engine.journal();
    let touched = journal[calls_before..].iter().filter(harmful).find(|call| {
        let is_healthy = call.container.as_ref().is_some_and(|id| before.contains(id));
        is_healthy && call.effect.is_some()
    });
    assert!(touched.is_none(), "{scene}: {touched:?}");
}

/// The containers that run as they should: alone for their component, and of the wanted configuration.
pub(super) fn healthy_containers(scene: &Scenario) -> Vec<ContainerId> {
    let all = scene.engine.containers();
    let is_healthy = |container: &&crate::engine::ObservedContainer| {
        let component = scene.cluster.components.get(&container.component);
        let alone = all.iter().filter(|other| other.component == container.component).count() == 1;
        container.state.status == Status::Running
            && component.is_some_and(|c| container.label(labels::CONFIG_HASH) == Some(&c.config_hash))
            && alone
    };
    all.iter().filter(is_healthy).map(|container| container.id.clone()).collect()
}

/// A network of ours has no twin in the end, unless calls of old may have made it after everybody looked.
fn networks_are_not_made_twice(scene: &Scenario) {
    if scene.late_effects || scene.has_died() || scene.company.is_some() {
        return;
    }
    let own = scene.engine.networks_and_volumes().0.into_iter().filter(|name| name == "test_default").count();
    assert!(own <= 1, "{scene}: {own} networks of one name");
}

/// Nothing is called over and over: about what the slow tick and a probe by exec need.
fn calls_are_bounded(scene: &Scenario) {
    let calls = scene.engine.journal().len() as f64;
    let runs = if scene.company.is_some() { 2.0 } else { 1.0 };
    let components = scene.cluster.components.len() as f64;
    let bound = runs * (800.0 + scene.engine.now().as_secs_f64() * 8.0 * (1.0 + components));
    let mut of_each: BTreeMap<Op, u64> = BTreeMap::new();
    scene.engine.journal().iter().for_each(|call| *of_each.entry(call.op).or_default() += 1);
    assert!(calls < bound, "{scene}: {calls} calls, {bound} at most: {of_each:?}");
}

/// A job that ended well isn't started again; what its container's end looks like takes a moment to be known.
fn a_job_that_is_done_is_not_run_again(scene: &Scenario) {
    // Two runs without a lock in common may both start it: docs/reliability.md says so.
    if matches!(scene.company, Some((_, Company::Up))) {
        return;
    }
    let journal = scene.engine.journal();
    let done =
        |change: &&Change| change.code == Some(0) && change.component.as_ref().is_some_and(|at| scene.is_job(at));
    // Who starts one by hand wants it run again, however that ends.
    let by_hand = |at: &ComponentName| {
        scene.meddling.iter().any(|(_, component, how)| component == at && *how == Meddling::Restart)
    };
    for change in scene.engine.changes().iter().filter(done) {
        if change.component.as_ref().is_some_and(by_hand) {
            continue;
        }
        let starts = |call: &&Call| call.op == Op::Start && call.container.as_ref() == Some(&change.container);
        // Begun by a call of a killed run that took effect only after the next run had looked: an event tells of it, and if
        // that is lost too, nothing does.
        let began_late = |call: &Call| call.effect > call.ended && call.effect <= Some(change.at);
        if journal.iter().filter(starts).any(began_late) {
            continue;
        }
        let again = journal.iter().filter(starts).find(|call| call.at > change.at + ms(20));
        assert!(again.is_none(), "{scene}: {:?} ended well at {:?}: {again:?}", change.component, change.at);
    }
}

/// After `down --volumes` nothing of the cluster is there.
pub(super) fn nothing_is_left(scene: &Scenario) {
    let strange =
        |what: &str, name: &String| scene.strangers.iter().any(|line| line.starts_with(&format!("{what} {name}")));
    let (mut networks, mut volumes) = scene.engine.networks_and_volumes();
    networks.retain(|name| !strange("network", name));
    volumes.retain(|name| !strange("volume", name));
    assert_eq!((networks, volumes), (vec![], vec![]), "{scene}");
}
