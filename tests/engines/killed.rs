//! The program is killed at any moment.

use std::time::{Duration, Instant, SystemTime};

use crate::five;

/// So many moments, spread over the time of a start.
const MOMENTS: u32 = 20;

/// A number below 1000 that differs from run to run, for the moment with this number.
fn chance(seed: u64, number: u32) -> u32 {
    let mixed = (seed ^ u64::from(number) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u32::try_from((mixed >> 40) % 1000).unwrap()
}

#[test]
fn killed_at_any_moment_the_next_command_just_works() {
    let (cluster, engine) = five("300ms");
    let begun = Instant::now();
    cluster.ok(&["up"]);
    let whole = begun.elapsed();
    cluster.ok(&["down", "--volumes"]);
    engine.assert_empty();

    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    for number in 0..MOMENTS {
        let moment = whole * (number * 1000 + chance(seed, number)) / (MOMENTS * 1000);
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
