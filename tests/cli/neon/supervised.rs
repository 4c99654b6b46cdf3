//! Under supervision any component of the storage plane, and any two of them, may be killed: all is ready again.

use std::time::{Duration, Instant};

use convoke::event::{Event, EventKind};

use super::Plane;
use super::plane::{CONTROLLER, DATABASE};
use crate::support::Running;

/// Who was killed, and after how long all was ready again.
type Round = (Duration, Vec<String>);

#[test]
fn each_component_that_is_killed_comes_back() {
    let plane = populated();
    let components = plane.components().to_vec();
    let rounds: Vec<Round> = components.iter().map(|victim| kill(&plane, &[victim])).collect();
    eprintln!("{}", summary("single components", rounds));
}

/// Those that need each other, and some; every pair is below.
#[test]
fn two_components_that_are_killed_at_once_come_back() {
    let plane = populated();
    let rounds = [[CONTROLLER, DATABASE], ["pageserver-1", "pageserver-2"], ["storage-broker", "safekeeper-1"]];
    eprintln!("{}", summary("some pairs", rounds.iter().map(|pair| kill(&plane, pair)).collect()));
}

#[test]
#[ignore = "takes minutes: make soak PARTS=supervised"]
fn every_two_components_that_are_killed_at_once_come_back() {
    let plane = populated();
    let components = plane.components().to_vec();
    let mut rounds = Vec::new();
    for (n, one) in components.iter().enumerate() {
        rounds.extend(components[n + 1..].iter().map(|other| kill(&plane, &[one, other])));
    }
    eprintln!("{}", summary("pairs", rounds));
}

fn populated() -> Plane {
    let plane = Plane::new(2, 3);
    plane.up().exits(0);
    plane.populate();
    plane
}

/// Kills these under a supervisor of their own, as each kill in a row is answered later than the one before.
fn kill(plane: &Plane, victims: &[&str]) -> Round {
    let mut run = plane.cluster.begin(&["--format", "json", "-f", "compose.yaml", "-f", "faults.yaml", "supervise"]);
    run.wait_for("\"event\":\"cluster_ready\"");
    let bystanders = bystanders(plane, victims);
    let seen = events(&run).len();
    let begun = Instant::now();
    let args: Vec<&str> = ["chaos", "kill"].into_iter().chain(victims.iter().copied()).collect();
    plane.cluster.ok(&args);
    while !is_ready_again(&events(&run)[seen..], victims) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{victims:?} don't come back:\n{}", run.so_far());
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = begun.elapsed();
    assert_eq!(self::bystanders(plane, victims), bystanders, "{victims:?}: who was not hit goes on");
    assert!(plane.tenant_is_on().starts_with("pageserver-"), "{victims:?}");
    run.signal("INT");
    run.end().exits(0);
    (took, victims.iter().map(ToString::to_string).collect())
}

/// Identities of those that depend on nobody to stay up. (The controller ends without its database, and is restarted.)
fn bystanders(plane: &Plane, victims: &[&str]) -> Vec<(String, String, String)> {
    let all = plane.cluster.identities().into_iter();
    all.filter(|(name, ..)| name != CONTROLLER && !victims.contains(&name.as_str())).collect()
}

fn events(run: &Running) -> Vec<Event> {
    run.so_far().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Whether since then each of the victims was lost, and all was called ready after that.
fn is_ready_again(events: &[Event], victims: &[&str]) -> bool {
    let lost = |victim: &str| {
        events.iter().position(|event| match &event.kind {
            // One that needs the other may have ended before that was ready: it is started again without further ado.
            EventKind::RecoveryPlanned { component, .. } | EventKind::Exited { component, .. } => {
                component.as_str() == victim
            }
            _ => false,
        })
    };
    let losses: Option<Vec<usize>> = victims.iter().map(|victim| lost(victim)).collect();
    let last = losses.and_then(|losses| losses.into_iter().max());
    last.is_some_and(|last| events[last..].iter().any(|event| matches!(event.kind, EventKind::ClusterReady { .. })))
}

/// For people: nextest shows what tests print with --no-capture.
fn summary(what: &str, mut rounds: Vec<Round>) -> String {
    rounds.sort();
    let at = |percent: usize| rounds[(rounds.len() * percent).div_ceil(100) - 1].0;
    let (slowest, who) = rounds.last().unwrap();
    let (number, median, p95) = (rounds.len(), at(50), at(95));
    format!("{number} {what}: ready again after {median:?} (median), {p95:?} (p95), {slowest:?} ({who:?}) at most")
}
