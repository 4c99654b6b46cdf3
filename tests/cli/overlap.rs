//! Commands at the same time. The outcomes that can come of it are those of `docs/reliability.md`.
//!
//! `CONVOKE_ROUNDS` says how often each pair is tried, at moments spread over the time that the first takes.

use std::time::{Duration, Instant};

use convoke::engine::Status;

use super::interop::Compose;
use crate::support::{Ran, Running, TestCluster, http_services};

/// Rounds of a normal test run.
const ROUNDS: u32 = 2;

fn rounds() -> u32 {
    std::env::var("CONVOKE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

fn three() -> TestCluster {
    TestCluster::new(&http_services(&[
        ("db", "image: convoke-test/probe-target:volume"),
        ("web", ""),
        ("late", "command: [--boot, 300ms], depends_on: { db: { condition: service_healthy } }"),
    ]))
}

/// How long `up` takes here and now.
fn time_of_up(cluster: &TestCluster) -> Duration {
    let begun = Instant::now();
    cluster.ok(&["up"]);
    let whole = begun.elapsed();
    cluster.ok(&["down", "--volumes"]);
    whole
}

/// A command without a lock in common with the others.
fn apart(cluster: &TestCluster, folder: &str, args: &[&str]) -> Running {
    let mut command = cluster.command(args);
    command.env("CONVOKE_STATE_DIR", cluster.path().join(folder));
    Running::begin(command)
}

#[track_caller]
fn assert_all_run(cluster: &TestCluster, told: &str) {
    let observed = cluster.observe();
    assert_eq!(cluster.components(), ["db", "late", "web"], "{told}");
    assert!(observed.containers.iter().all(|c| c.state.status == Status::Running), "{told}");
    assert_eq!(observed.networks.len(), 1, "{told}");
}

/// It succeeded, or said what failed.
#[track_caller]
fn assert_explained(ran: &Ran) {
    let explained = ran.code == 0 || (matches!(ran.code, 1 | 3) && ran.err.lines().count() > 1);
    assert!(explained, "{ran}");
}

/// Whatever came of it, the next command just works.
#[track_caller]
fn assert_usable(cluster: &TestCluster, told: &str) {
    cluster.ok(&["up"]);
    assert_all_run(cluster, told);
    cluster.ok(&["down", "--volumes"]);
    cluster.assert_gone();
}

#[test]
fn of_two_ups_both_end_with_all_ready() {
    let cluster = three();
    let whole = time_of_up(&cluster);
    let rounds = rounds();
    for round in 0..rounds {
        let first = apart(&cluster, "state", &["up"]);
        std::thread::sleep(whole * round / rounds);
        // With a lock in common one waits for the other; without one, they find each other's containers.
        let second = apart(&cluster, if round % 2 == 0 { "state" } else { "elsewhere" }, &["up"]);
        let (first, second) = (first.end(), second.end());
        assert_eq!((first.code, second.code), (0, 0), "round {round}\n{first}\n{second}");
        assert_all_run(&cluster, &format!("round {round}\n{first}\n{second}"));
        cluster.ok(&["down", "--volumes"]);
        cluster.assert_gone();
    }
}

#[test]
fn an_up_and_a_down_come_one_after_the_other() {
    let cluster = three();
    let whole = time_of_up(&cluster);
    let rounds = rounds();
    for round in 0..rounds {
        let up = cluster.begin(&["up"]);
        std::thread::sleep(whole * round / rounds);
        let down = cluster.begin(&["down", "--volumes"]);
        let (up, down) = (up.end(), down.end());
        let told = format!("round {round}\n{up}\n{down}");
        assert_eq!((up.code, down.code), (0, 0), "{told}");
        if !cluster.observe().containers.is_empty() {
            assert_all_run(&cluster, &told);
        }
        assert_usable(&cluster, &told);
    }
}

#[test]
fn an_up_and_a_down_without_a_lock_in_common_succeed_or_say_why_not() {
    let cluster = three();
    let whole = time_of_up(&cluster);
    let rounds = rounds();
    for round in 0..rounds {
        let up = apart(&cluster, "state", &["up"]);
        std::thread::sleep(whole * round / rounds);
        let down = apart(&cluster, "elsewhere", &["down", "--volumes"]);
        let (down, up) = (down.end(), up.end());
        println!("round {round}: up {}, down {}", up.code, down.code);
        assert_explained(&up);
        assert_explained(&down);
        assert_usable(&cluster, &format!("round {round}\n{up}\n{down}"));
    }
}

#[test]
fn an_up_and_docker_compose_down_succeed_or_say_why_not() {
    let cluster = three();
    let Some(compose) = Compose::find() else { return };
    let whole = time_of_up(&cluster);
    let rounds = rounds();
    for round in 0..rounds {
        let up = cluster.begin(&["up"]);
        std::thread::sleep(whole * round / rounds);
        let down = compose.run(&cluster, &["down", "--volumes"]);
        let up = up.end();
        println!("round {round}: up {}, docker compose down {}", up.code, down.code);
        assert_explained(&up);
        assert!(matches!(down.code, 0 | 1), "{down}");
        assert_usable(&cluster, &format!("round {round}\n{up}\n{down}"));
    }
}
