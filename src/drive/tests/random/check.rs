//! What must hold of every run.

use std::collections::BTreeMap;

use super::scenario::Scenario;
use crate::drive::tests::harness::*;
use crate::engine::fake::{Call, Change, Op};
use crate::event::{EventKind, Outcome, Phase};
use crate::names::ComponentName;

/// Checks a run that ended; gives its story.
pub(super) fn run(seed: u64, scene: &Scenario, ran: &Ran) -> String {
    let story = ran.story();
    let at = || format!("seed {seed}\n{story}");
    let (first, last) = (&ran.events[0].kind, &ran.events.last().unwrap().kind);
    assert!(matches!(first, EventKind::RunStarted { .. }), "{}", at());
    assert!(matches!(last, EventKind::RunFinished { outcome, .. } if *outcome == ran.outcome), "{}", at());
    let ends = ran.events.iter().filter(|event| matches!(event.kind, EventKind::RunFinished { .. })).count();
    assert_eq!(ends, 1, "{}", at());
    assert!(ran.events.is_sorted_by_key(|event| event.at), "{}", at());
    let explained = ran.failures().iter().all(|failure| !failure.what.is_empty());
    let wants_text = !matches!(ran.outcome, Outcome::Ready | Outcome::Interrupted);
    assert!(explained && wants_text != ran.failures().is_empty(), "{}", at());
    phases(ran, &at);
    // Probes at 4 a second at most, each with an answer and a tick; calls and events besides.
    let bound = 600.0 + ran.took.as_secs_f64() * (10.0 + 20.0 * scene.cluster.components.len() as f64);
    assert!((ran.steps as f64) < bound, "{} steps, {bound} at most: {}", ran.steps, at());
    if ran.outcome == Outcome::Ready {
        ready(scene, &at);
    }
    story.clone()
}

fn ready(scene: &Scenario, at: &dyn Fn() -> String) {
    assert!(scene.doomed.is_empty(), "{:?} can't be ready: {}", scene.doomed, at());
    let faulty = scene.engine.now() < scene.until;
    for (name, component) in &scene.cluster.components {
        let by_running = component.probes.ready.is_none() && component.probes.health.is_none();
        let fine = component.completes || by_running || scene.engine.is_ready(name.as_str()) || is_tcp(component);
        assert!(fine || faulty, "{name} isn't ready: {}", at());
    }
}

/// A tcp probe asks no more than whether connections are accepted.
fn is_tcp(component: &crate::cluster::Component) -> bool {
    use crate::cluster::ProbeAction;
    component.probes.ready.as_ref().is_some_and(|probe| matches!(probe.action, ProbeAction::Tcp { .. }))
}

/// Every change of phase is one that makes sense.
fn phases(ran: &Ran, at: &dyn Fn() -> String) {
    let mut now: BTreeMap<&ComponentName, Phase> = BTreeMap::new();
    for event in &ran.events {
        let EventKind::PhaseChanged { component, phase, .. } = &event.kind else { continue };
        let before = now.insert(component, *phase).unwrap_or(Phase::Pending);
        assert!(is_legal(before, *phase), "{component}: {before} -> {phase}: {}", at());
    }
}

fn is_legal(from: Phase, to: Phase) -> bool {
    use Phase::*;
    match to {
        Pending => !matches!(from, Failed),
        Creating => from == Pending,
        Created => matches!(from, Pending | Creating | Starting | Restarting),
        Starting => matches!(from, Created | Restarting),
        Started => !matches!(from, Failed | Started),
        Live => from == Started,
        Ready => matches!(from, Live | Unhealthy),
        Completed => !matches!(from, Failed | Creating),
        Unhealthy => matches!(from, Ready | Live | Started),
        Failed => true,
        Restarting => !matches!(from, Failed | Creating),
        Stopped => false,
    }
}

/// Checks the world: nothing foreign was touched, and no component ever had two running containers.
pub(super) fn world(seed: u64, scene: &Scenario) {
    let violations = scene.engine.violations();
    assert!(violations.is_empty(), "seed {seed}: {violations:?}");
    jobs_run_once(seed, scene);
    if !scene.late_effects && scene.cuts.is_empty() {
        let networks = scene.engine.networks_and_volumes().0;
        assert!(networks.len() <= 1, "seed {seed}: {networks:?}");
    }
    // Nothing is called over and over: about what the slow tick and a probe by exec need.
    let calls = scene.engine.journal().len() as f64;
    let bound = 800.0 + scene.engine.now().as_secs_f64() * 8.0 * (1.0 + scene.cluster.components.len() as f64);
    assert!(calls < bound, "seed {seed}: {calls} calls, {bound} at most");
}

/// A job that ended well isn't started again; what its container's end looks like takes a moment to be known.
fn jobs_run_once(seed: u64, scene: &Scenario) {
    let done =
        |change: &&Change| change.code == Some(0) && change.component.as_ref().is_some_and(|at| is_job(scene, at));
    for change in scene.engine.changes().iter().filter(done) {
        let again = |call: &&Call| {
            call.op == Op::Start && call.container.as_ref() == Some(&change.container) && call.at > change.at + ms(20)
        };
        let journal = scene.engine.journal();
        // Begun by a call of a killed run that took effect only after the next run had looked: an event tells of it, and if
        // that is lost too, nothing does.
        let began_late = |call: &Call| {
            call.op == Op::Start
                && call.container.as_ref() == Some(&change.container)
                && call.effect > call.ended
                && call.effect <= Some(change.at)
        };
        if journal.iter().any(began_late) {
            continue;
        }
        let again = journal.iter().find(again);
        assert!(again.is_none(), "seed {seed}: {:?} ended well at {:?}: {again:?}", change.component, change.at);
    }
}

fn is_job(scene: &Scenario, name: &ComponentName) -> bool {
    scene.cluster.components[name].completes
}
