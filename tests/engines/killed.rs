//! The program is killed at any moment.
//!
//! `CONVOKE_KILLS` says at how many, spread over the time of a start.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use convoke::engine::Status;

use crate::support::TestCluster;
use crate::{count, five};

/// Moments of a normal test run.
const MOMENTS: u32 = 20;

/// Component, id and start time of each container that runs.
fn running(cluster: &TestCluster) -> Vec<(String, String, String)> {
    let runs = |component: &str| {
        let mut all = cluster.observe().containers.into_iter();
        all.any(|c| c.component.as_str() == component && c.state.status == Status::Running)
    };
    cluster.identities().into_iter().filter(|(component, ..)| runs(component)).collect()
}

#[test]
fn killed_at_any_moment_the_next_command_just_works() {
    let (cluster, engine) = five("300ms");
    let begun = Instant::now();
    cluster.ok(&["up"]);
    let whole = begun.elapsed();
    cluster.ok(&["down", "--volumes"]);
    engine.assert_empty();

    // The hasher's keys differ from run to run.
    let dice = RandomState::new();
    let moments = count("CONVOKE_KILLS", MOMENTS);
    for number in 0..moments {
        let chance = u32::try_from(dice.hash_one(number) % 1000).unwrap();
        let moment = whole * (number * 1000 + chance) / (moments * 1000);
        let up = cluster.begin(&["up"]);
        std::thread::sleep(moment.saturating_sub(up.age()));
        up.kill();
        let before = running(&cluster);
        println!("killed at {moment:?} of {whole:?}, {} running", before.len());
        // Every fourth time, what is left is removed at once.
        if number % 4 != 3 {
            cluster.ok(&["up"]).within(whole * 3 + Duration::from_secs(10));
            assert_eq!(cluster.components(), ["always", "broker", "named", "plain", "volume"]);
            assert_eq!(cluster.observe().networks.len(), 1);
            let after = cluster.identities();
            let touched: Vec<_> = before.iter().filter(|one| !after.contains(one)).collect();
            assert!(touched.is_empty(), "killed at {moment:?}: these ran, and were touched: {touched:?}");
        }
        cluster.ok(&["down", "--volumes", "--grace", "1"]);
        engine.assert_empty();
    }
}
