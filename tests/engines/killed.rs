//! The program is killed at any moment.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::five;

/// So many moments, spread over the time of a start.
const MOMENTS: u32 = 20;

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
    for number in 0..MOMENTS {
        let chance = u32::try_from(dice.hash_one(number) % 1000).unwrap();
        let moment = whole * (number * 1000 + chance) / (MOMENTS * 1000);
        let up = cluster.begin(&["up"]);
        std::thread::sleep(moment.saturating_sub(up.age()));
        up.kill();
        println!("killed at {moment:?} of {whole:?}");
        if number % 2 == 0 {
            cluster.ok(&["up"]).within(whole * 3 + Duration::from_secs(10));
            assert_eq!(cluster.components(), ["always", "broker", "named", "plain", "volume"]);
        }
        cluster.ok(&["down", "--volumes", "--grace", "1"]);
        engine.assert_empty();
    }
}
