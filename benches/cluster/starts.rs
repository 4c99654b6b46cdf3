//! Starts of whole clusters: convoke, docker compose and the bare loops in turn.

use anyhow::Result;
use tokio::time::Duration;

use super::bare::{self, Ask};
use super::bench::{Bench, Place};
use super::blueprint::{self, Blueprint};
use super::clean;
use super::files::{Check, equal};
use super::program::{Compose, timed};
use super::table::{Sample, StartRow};

/// A cluster of equal services that boot for 200 ms.
#[derive(Debug)]
pub(super) struct Case {
    /// Its name, for filters.
    pub(super) name: &'static str,
    title: &'static str,
    services: usize,
    check: Check,
    /// What docker compose gets, which has no http probes.
    peer_check: Check,
    ask: Ask,
    /// The ratios aimed at: to docker compose, and to the limit.
    aims: (f64, f64),
}

const fn exec(name: &'static str, title: &'static str, services: usize, seconds: u32, aims: (f64, f64)) -> Case {
    let check = Check::Health(seconds);
    Case { name, title, services, check, peer_check: check, ask: Ask::Exec, aims }
}

/// All of them.
pub(super) const CASES: [Case; 5] = [
    exec("up-1-exec-1s", "1 service, exec health check every 1 s", 1, 1, (0.50, 1.3)),
    exec("up-5-exec-1s", "5 services, exec health check every 1 s", 5, 1, (0.65, 1.3)),
    exec("up-20-exec-1s", "20 services, exec health check every 1 s", 20, 1, (1.0, 1.2)),
    exec("up-20-exec-10s", "20 services, exec health check every 10 s", 20, 10, (0.6, 1.2)),
    Case {
        name: "up-20-http",
        title: "20 services, http-probed, no health check (compose: exec every 1 s)",
        services: 20,
        check: Check::Http,
        peer_check: Check::Health(1),
        ask: Ask::Http,
        aims: (0.8, 1.15),
    },
];

/// One who brings the cluster up.
#[derive(Debug, Clone, Copy)]
enum Side {
    Convoke,
    Compose,
    Bare(usize),
}

/// Measures a case.
pub(super) async fn run(bench: &Bench, case: &Case) -> Result<StartRow> {
    let place = bench.place(&equal(case.services, case.check))?;
    let peer_place = bench.place(&equal(case.services, case.peer_check))?;
    // Not measured: it warms the engine's caches for all sides and shows what the bare loops have to make.
    bench.convoke(&place, &["up"]).await?;
    let blueprint = blueprint::capture(bench, &place).await?;
    clean::all(&bench.docker, &place.name).await?;
    let mut row = StartRow {
        name: case.title.to_owned(),
        convoke: Sample::default(),
        compose: bench.compose.as_ref().map(|_| (Sample::default(), case.aims.0)),
        bare: in_flight(case.services).into_iter().map(|n| (n, Sample::default())).collect(),
        limit: case.aims.1,
    };
    let mut sides = vec![Side::Convoke, Side::Compose];
    sides.extend(row.bare.iter().map(|(n, _)| Side::Bare(*n)));
    for round in 0..bench.runs {
        // A rotation, so that nobody always comes after the same one.
        sides.rotate_left(usize::from(round > 0));
        for side in &sides {
            take_turn(bench, case, *side, (&place, &peer_place), &blueprint, &mut row).await?;
        }
    }
    Ok(row)
}

/// 2, 4, 8 and all of them, as far as they differ.
pub(super) fn in_flight(all: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = [2, 4, 8, all].into_iter().map(|n| n.min(all)).collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}

async fn take_turn(
    bench: &Bench,
    case: &Case,
    side: Side,
    (place, peer_place): (&Place, &Place),
    blueprint: &Blueprint,
    row: &mut StartRow,
) -> Result<()> {
    match side {
        Side::Convoke => row.convoke.add(bench.convoke(place, &["up"]).await?),
        Side::Compose => {
            if let (Some(compose), Some((sample, _))) = (&bench.compose, &mut row.compose) {
                sample.add(compose_up(compose, peer_place).await?);
            }
        }
        Side::Bare(count) => {
            let took = bare::up(&bench.docker, blueprint, count, case.ask).await?;
            if let Some((_, sample)) = row.bare.iter_mut().find(|(n, _)| *n == count) {
                sample.add(took);
            }
        }
    }
    clean::all(&bench.docker, &bench.prefix).await
}

async fn compose_up(compose: &Compose, place: &Place) -> Result<Duration> {
    timed(compose.command(place, &["up", "--detach", "--wait"])).await
}
