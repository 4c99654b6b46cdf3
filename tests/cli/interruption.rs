//! Runs that are cut short, and runs at the same time.

use std::time::Duration;

use convoke::engine::Status;

use crate::support::{Running, TestCluster, http_services};

/// One that is there already, and one that never becomes ready.
const SETTLED: (&str, &str) = ("settled", "");
const STUCK: (&str, &str) = ("stuck", "command: [--ready-after, 10m]");

/// A volume to be carried over, a gate, and one without either.
fn three() -> TestCluster {
    TestCluster::new(&http_services(&[
        ("db", "image: convoke-test/probe-target:volume, environment: { LEVEL: one }"),
        ("web", ""),
        ("late", "command: [--boot, 300ms], depends_on: { db: { condition: service_healthy } }"),
    ]))
}

/// Moments after the start at which a run is killed: before, in, and after its calls.
const MOMENTS: [u64; 5] = [50, 150, 300, 600, 1000];

#[test]
fn after_a_kill_at_any_moment_the_next_up_makes_it_ready() {
    let cluster = three();
    for moment in MOMENTS {
        let up = cluster.begin(&["up"]);
        std::thread::sleep(Duration::from_millis(moment));
        up.kill();
        cluster.ok(&["up"]).says(&["ready in"]);
        assert_eq!(cluster.components(), ["db", "late", "web"], "killed after {moment} ms");
        cluster.ok(&["down"]);
    }
}

#[test]
fn after_a_kill_at_any_moment_down_leaves_nothing() {
    let cluster = three();
    for moment in MOMENTS {
        let up = cluster.begin(&["up"]);
        std::thread::sleep(Duration::from_millis(moment));
        up.kill();
        cluster.ok(&["down", "--volumes"]);
        cluster.assert_gone();
    }
}

#[test]
fn after_a_kill_in_a_replacement_the_volume_is_still_carried_over() {
    let cluster = three();
    cluster.ok(&["up"]);
    let volume = |cluster: &TestCluster| cluster.container("db").anonymous_volumes.clone();
    let mut level = "one".to_owned();
    for moment in [100, 200, 400, 800] {
        let before = cluster.inspect("db")["Mounts"][0]["Name"].clone();
        let next = format!("after-{moment}");
        cluster.edit(&format!("LEVEL: {level}"), &format!("LEVEL: {next}"));
        level = next;
        let up = cluster.begin(&["up"]);
        std::thread::sleep(Duration::from_millis(moment));
        up.kill();
        cluster.ok(&["up"]);
        assert_eq!(cluster.components(), ["db", "late", "web"], "killed after {moment} ms");
        let after = cluster.inspect("db")["Mounts"][0]["Name"].clone();
        assert_eq!(before, after, "killed after {moment} ms: {:?}", volume(&cluster));
        cluster.ok(&["exec", "db", "probe-target", "env"]).says(&[&format!("LEVEL={level}")]);
    }
}

#[test]
fn after_a_kill_of_down_the_next_down_finishes() {
    let cluster = three();
    for moment in [50, 150, 300] {
        cluster.ok(&["up"]);
        let down = cluster.begin(&["down", "--volumes"]);
        std::thread::sleep(Duration::from_millis(moment));
        down.kill();
        cluster.ok(&["down", "--volumes"]);
        cluster.assert_gone();
    }
}

#[test]
fn ctrl_c_ends_within_two_seconds_and_stops_only_what_the_run_started() {
    let cluster = TestCluster::new(&http_services(&[SETTLED]));
    cluster.ok(&["up"]);
    let before = cluster.identities();
    cluster.write("compose.yaml", &http_services(&[SETTLED, STUCK]));
    let mut up = cluster.begin(&["--format", "plain", "up"]);
    up.wait_for("stuck    live");
    let asked = up.age();
    up.signal("INT");
    let up = up.end();
    up.exits(130);
    assert!(up.took - asked < Duration::from_secs(2), "it took {:?} to end\n{up}", up.took - asked);
    assert_eq!(cluster.identities()[0], before[0], "what was there before is left alone");
    assert_eq!(cluster.container("settled").state.status, Status::Running);
    assert_eq!(cluster.container("stuck").state.status, Status::Exited);
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let cluster = TestCluster::new(&http_services(&[SETTLED, STUCK]));
    cluster.edit("--ready-after, 10m", "--ready-after, 10m, --ignore-sigterm");
    let mut up = cluster.begin(&["--format", "plain", "up"]);
    up.wait_for("stuck    live");
    up.signal("INT");
    std::thread::sleep(Duration::from_millis(200));
    let asked = up.age();
    up.signal("INT");
    let up = up.end();
    up.exits(130);
    assert!(up.took - asked < Duration::from_millis(500), "it took {:?} to end\n{up}", up.took - asked);
}

#[test]
fn what_a_failed_run_started_is_stopped_kept_or_removed_as_asked() {
    let cluster = TestCluster::new(&http_services(&[SETTLED, STUCK]));
    let running = |cluster: &TestCluster| {
        cluster.observe().containers.iter().filter(|c| c.state.status == Status::Running).count()
    };
    let deadline = ["up", "--timeout", "6s"];
    cluster.run(&[&deadline[..], &["--on-failure", "keep"]].concat()).exits(3).says(&["stuck", "503"]);
    assert_eq!((cluster.components().len(), running(&cluster)), (2, 2));
    cluster.ok(&["down"]);
    cluster.run(&deadline).exits(3);
    assert_eq!((cluster.components().len(), running(&cluster)), (2, 0));
    cluster.ok(&["down"]);
    cluster.run(&[&deadline[..], &["--on-failure", "remove"]].concat()).exits(3);
    assert_eq!(cluster.components().len(), 0);
}

#[test]
fn of_two_runs_at_once_one_waits_and_says_for_whom() {
    let cluster = three();
    cluster.edit("--boot, 300ms", "--boot, 2s");
    let mut first = cluster.begin(&["up"]);
    first.wait_for("db");
    let second = cluster.begin(&["up"]);
    let third = cluster.run(&["up", "--no-wait-lock"]);
    third.exits(5).says(&["is locked by convoke up (process "]);
    first.end().exits(0);
    second.end().exits(0).says(&["is locked by convoke up (process ", "waiting for it"]);
    assert_eq!(cluster.components(), ["db", "late", "web"]);
}

#[test]
fn two_runs_without_a_common_state_directory_still_come_to_one_end() {
    let cluster = three();
    let apart = |folder: &str| {
        let mut command = cluster.command(&["up"]);
        command.env("CONVOKE_STATE_DIR", cluster.path().join(folder));
        Running::begin(command)
    };
    let (first, second) = (apart("here"), apart("there"));
    let (first, second) = (first.end(), second.end());
    assert_eq!((first.code, second.code), (0, 0), "{first}\n{second}");
    assert_eq!(cluster.components(), ["db", "late", "web"]);
    assert_eq!(cluster.observe().networks.len(), 1);
}
