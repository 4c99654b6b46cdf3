//! What holds a start back, and what doesn't.

use std::time::Duration;

use convoke::event::Phase;

use crate::support::{Ran, TestCluster, http_services};

/// When a component entered a phase.
#[track_caller]
fn at(ran: &Ran, component: &str, phase: Phase) -> Duration {
    let all = ran.entered(phase);
    let found = all.iter().find(|(name, _)| name == component);
    found.unwrap_or_else(|| panic!("{component} was never {phase}:\n{ran}")).1
}

#[test]
fn each_condition_holds_back_what_it_says_and_no_more() {
    let cluster = TestCluster::new(
        r#"
x-target: &target
  image: convoke-test/probe-target:latest
  x-convoke: { ready: { http: { port: 8080, path: /ready } } }
services:
  db:
    <<: *target
    command: [--boot, 600ms]
  seed:
    image: convoke-test/probe-target:latest
    command: [--exit, "0", --after, 500ms]
  after-healthy:
    <<: *target
    depends_on: { db: { condition: service_healthy } }
  after-started:
    <<: *target
    depends_on: { db: { condition: service_started } }
  after-seed:
    <<: *target
    depends_on: { seed: { condition: service_completed_successfully } }
"#,
    );
    let up = cluster.ok(&["--format", "json", "up"]);
    assert!(at(&up, "after-healthy", Phase::Starting) >= at(&up, "db", Phase::Ready));
    assert!(at(&up, "after-started", Phase::Starting) >= at(&up, "db", Phase::Started));
    assert!(at(&up, "after-started", Phase::Starting) < at(&up, "db", Phase::Ready));
    assert!(at(&up, "after-seed", Phase::Starting) >= at(&up, "seed", Phase::Completed));
    cluster.ok(&["ps"]).says(&["completed"]);

    let before = cluster.identities();
    cluster.ok(&["up"]);
    assert_eq!(cluster.identities(), before, "a one-shot that is done isn't done again");
}

#[test]
fn the_members_of_a_cycle_start_together_and_those_that_come_too_early_start_again() {
    let cluster = TestCluster::new(&http_services(&[
        ("broker", "depends_on: { storage: { condition: service_healthy } }, command: [--boot, 3s]"),
        ("storage", "depends_on: { web: { condition: service_healthy } }, command: [--require, 'web:8080']"),
        ("web", "depends_on: { broker: { condition: service_healthy } }, command: [--require, 'broker:8080']"),
    ]));
    let up = cluster.ok(&["--format", "json", "up"]);
    let restarted = up.entered(Phase::Restarting);
    assert!(restarted.iter().any(|(name, _)| name == "web"), "it gives up before the broker listens:\n{up}");
    assert!(at(&up, "storage", Phase::Started) < at(&up, "web", Phase::Ready), "none waits for another:\n{up}");
    assert_eq!(cluster.json(&["ps"]).as_array().unwrap().len(), 3);
    // Nothing of the cycle may be in Compose's label: its `down` would refuse to work.
    for component in ["broker", "storage", "web"] {
        let container = cluster.container(component);
        assert_eq!(container.label("com.docker.compose.depends_on"), Some(""), "{component}");
    }
}

#[test]
fn start_together_ignores_gates_other_than_completion() {
    let cluster = TestCluster::new(
        r#"
x-convoke: { start: together }
x-target: &target
  image: convoke-test/probe-target:latest
  x-convoke: { ready: { http: { port: 8080, path: /ready } } }
services:
  db:
    <<: *target
    command: [--boot, 3s]
  web:
    <<: *target
    depends_on: { db: { condition: service_healthy } }
    command: [--require, "db:8080"]
  migrate:
    image: convoke-test/probe-target:latest
    command: [--exit, "0", --after, 300ms]
  app:
    <<: *target
    depends_on: { migrate: { condition: service_completed_successfully } }
"#,
    );
    let up = cluster.ok(&["--format", "json", "up"]);
    assert!(at(&up, "web", Phase::Started) < at(&up, "db", Phase::Ready), "it doesn't wait:\n{up}");
    assert!(up.entered(Phase::Restarting).iter().any(|(name, _)| name == "web"), "it came too early:\n{up}");
    assert!(at(&up, "app", Phase::Starting) >= at(&up, "migrate", Phase::Completed));
}

#[test]
fn a_component_without_any_probe_is_ready_after_a_second() {
    let cluster = TestCluster::new("services: { plain: { image: 'convoke-test/probe-target:latest' } }");
    let up = cluster.ok(&["--format", "json", "up"]);
    let ran = at(&up, "plain", Phase::Ready) - at(&up, "plain", Phase::Started);
    assert!((900..2500).contains(&ran.as_millis()), "ready after {ran:?}");
}

#[test]
fn the_slowest_component_is_started_first_the_next_time() {
    let quick = "command: [--boot, 100ms]";
    let quick = ["a", "b", "c", "d", "e"].map(|name| (name, quick));
    let cluster = TestCluster::new(&http_services(&[&quick[..], &[("slow", "command: [--boot, 2s]")]].concat()));
    cluster.ok(&["up"]);
    cluster.ok(&["down"]);
    let again = cluster.ok(&["--format", "json", "up"]);
    let order: Vec<_> = again.entered(Phase::Starting).into_iter().map(|(name, _)| name).collect();
    assert_eq!(order.len(), 6);
    assert!(order[..2].contains(&"slow".to_owned()), "started in this order: {order:?}");
}
