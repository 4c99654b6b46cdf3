//! The engine goes away, for a while or for good.

use std::collections::BTreeMap;
use std::time::Duration;

use convoke::engine::{Observed, Status};

use crate::support::{Running, TestCluster};
use crate::{OwnEngine, count, five};

/// What convoke grants an engine that doesn't answer, with some time around it.
const PATIENCE: Duration = Duration::from_secs(45);

fn all_run(observed: &Observed) -> bool {
    observed.containers.len() == 5 && observed.containers.iter().all(|c| c.state.status == Status::Running)
}

/// An `up` whose components run and aren't ready, with what it does in its log.
fn up_underway(cluster: &TestCluster) -> Running {
    let mut command = cluster.command(&["--format", "json", "up"]);
    command.env("RUST_LOG", "convoke=debug");
    let up = Running::begin(command);
    cluster.wait_until("all run", all_run);
    up
}

/// Fails if the log has a second with more lines than a program writes that waits.
#[track_caller]
fn assert_calm(log: &str) {
    let mut seconds: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains(" DEBUG ")) {
        *seconds.entry(line.get(..19).unwrap_or_default()).or_default() += 1;
    }
    let busiest = seconds.iter().max_by_key(|(_, lines)| **lines).unwrap();
    println!("lines in each second: {:?}", seconds.values().collect::<Vec<_>>());
    assert!(*busiest.1 < 250, "{busiest:?}");
}

#[track_caller]
fn assert_ready_in_spite_of(outage: impl FnOnce(&OwnEngine)) {
    let (cluster, engine) = five("4s");
    let up = up_underway(&cluster);
    outage(&engine);
    let up = up.end();
    up.exits(0).says(&["the event stream broke"]);
    assert_calm(&up.err);
    assert!(all_run(&cluster.observe()), "{up}");
}

#[test]
fn restarted_during_up_it_becomes_ready_all_the_same() {
    assert_ready_in_spite_of(OwnEngine::restart);
}

#[test]
fn crashed_during_up_it_becomes_ready_all_the_same() {
    assert_ready_in_spite_of(OwnEngine::crash);
}

#[test]
fn restarted_beside_its_containers_during_up_it_becomes_ready_all_the_same() {
    assert_ready_in_spite_of(OwnEngine::bounce);
}

#[test]
fn restarted_beside_its_containers_nobody_is_touched_and_losses_are_seen_as_before() {
    let (cluster, engine) = five("200ms");
    let mut run = cluster.begin(&["--format", "json", "supervise"]);
    run.wait_for("cluster_ready");
    let before = cluster.identities();
    engine.bounce();
    cluster.ok(&["up"]).says(&["nothing was started"]);
    assert_eq!(cluster.identities(), before);
    cluster.ok(&["chaos", "kill", "plain"]);
    run.wait_for("recovery_planned");
    cluster.wait_until("all run again", all_run);
    let others = |all: Vec<(String, String, String)>| -> Vec<_> {
        all.into_iter().filter(|(name, ..)| name != "plain").collect()
    };
    assert_eq!(others(cluster.identities()), others(before));
    run.signal("INT");
    run.end().exits(0);
}

/// `CONVOKE_RESTARTS` says at how many moments, spread over the time of a start.
#[test]
fn restarted_at_any_moment_of_up_it_becomes_ready_all_the_same() {
    let (cluster, engine) = five("300ms");
    let begun = std::time::Instant::now();
    cluster.ok(&["up"]);
    let whole = begun.elapsed();
    cluster.ok(&["down", "--volumes"]);
    let moments = count("CONVOKE_RESTARTS", 2);
    for number in 0..moments {
        let up = cluster.begin(&["up"]);
        std::thread::sleep(whole * number / moments);
        let moment = up.age();
        if number % 2 == 0 {
            engine.restart()
        } else {
            engine.crash()
        }
        let up = up.end();
        println!("the engine went away after {moment:?} of {whole:?}; ready after {:?}", up.took);
        up.exits(0);
        // One whose end came in the last moment is brought back by the next.
        cluster.ok(&["up"]);
        assert!(all_run(&cluster.observe()), "{up}");
        assert_eq!(cluster.observe().networks.len(), 1, "{up}");
        cluster.ok(&["down", "--volumes", "--grace", "1"]);
        engine.assert_empty();
    }
}

#[test]
fn gone_for_good_during_up_is_said_in_time() {
    let (cluster, engine) = five("60s");
    let up = up_underway(&cluster);
    let before = up.age();
    engine.stop();
    let up = up.end();
    up.exits(4).says(&["engine", "convoke doctor"]).within(before + PATIENCE);
    assert_calm(&up.err);
    engine.start();
    cluster.ok(&["down", "--volumes"]);
    engine.assert_empty();
}

#[test]
fn restarted_under_a_running_cluster_the_next_up_brings_all_back() {
    let (cluster, engine) = five("200ms");
    cluster.ok(&["up"]);
    let ids = |cluster: &TestCluster| cluster.identities().into_iter().map(|(_, id, _)| id).collect::<Vec<_>>();
    let before = ids(&cluster);
    for outage in [OwnEngine::restart, OwnEngine::crash] {
        outage(&engine);
        assert!(!all_run(&cluster.observe()), "without a restart policy they are down");
        cluster.ok(&["up"]);
        assert!(all_run(&cluster.observe()));
        assert_eq!(ids(&cluster), before, "the containers are the same");
    }
}

#[test]
fn restarted_during_down_nothing_is_left() {
    for outage in [OwnEngine::restart, OwnEngine::crash] {
        let (cluster, engine) = five("0ms");
        cluster.edit("[--boot, 0ms]", "[--ignore-sigterm]");
        cluster.ok(&["up"]);
        let mut down = cluster.begin(&["--format", "json", "down", "--volumes", "--grace", "3s"]);
        down.wait_for("run_started");
        outage(&engine);
        down.end().exits(0);
        engine.assert_empty();
    }
}
