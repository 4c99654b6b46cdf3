//! A cluster that runs: taking it up again, and taking it down.

use anyhow::{Context, Result, bail};
use convoke::engine::Engine;
use convoke::names::ClusterName;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{Duration, Instant, sleep, timeout};

use super::bench::{Bench, Place};
use super::clean;
use super::files::{Check, equal};
use super::program::timed;
use super::starts::in_flight;
use super::table::{Row, Sample, ratio};

/// Components in these cases.
const SERVICES: usize = 20;
/// Down, as a multiple of bare removals.
const DOWN_AIM: f64 = 1.2;

/// `up` on a cluster that runs.
#[derive(Debug)]
pub(super) struct Reattach {
    /// Its name, for filters.
    pub(super) name: &'static str,
    title: &'static str,
    check: Check,
    aim: Duration,
}

/// All of them.
pub(super) const REATTACH: [Reattach; 3] = [
    Reattach {
        name: "reattach-http",
        title: "reattach, 20 http-probed",
        check: Check::Http,
        aim: Duration::from_millis(150),
    },
    Reattach {
        name: "reattach-engine",
        title: "reattach, 20 with the engine's health",
        check: Check::Engine,
        aim: Duration::from_millis(150),
    },
    Reattach {
        name: "reattach-exec",
        title: "reattach, 20 exec-probed only",
        check: Check::Exec,
        aim: Duration::from_secs(1),
    },
];

/// Measures a reattach; an error if it touched a container.
pub(super) async fn reattach(bench: &Bench, case: &Reattach) -> Result<Row> {
    let place = bench.place(&equal(SERVICES, case.check))?;
    bench.convoke(&place, &["up"]).await?;
    sleep(Duration::from_secs(1)).await;
    let before = identities(bench, &place).await?;
    let (mut mine, mut peer) = (Sample::default(), Sample::default());
    for _ in 0..bench.runs {
        mine.add(bench.convoke(&place, &["up"]).await?);
    }
    if identities(bench, &place).await? != before {
        bail!("{}: containers were touched", case.title);
    }
    clean::all(&bench.docker, &place.name).await?;
    if let Some(compose) = &bench.compose {
        let place = bench.place(&equal(SERVICES, Check::Health(1)))?;
        for run in 0..=bench.runs {
            let took = timed(compose.command(&place, &["up", "--detach", "--wait"])).await?;
            // The first one starts the cluster.
            if run > 0 {
                peer.add(took);
            }
        }
        clean::all(&bench.docker, &place.name).await?;
    }
    Ok(Row {
        name: case.title.to_owned(),
        figure: mine.milliseconds(),
        against: bench.beside("up --wait", &peer),
        target: format!("≤ {} ms", case.aim.as_millis()),
        reached: Some(mine.median() <= case.aim.as_secs_f64()),
    })
}

/// A supervisor is killed by SIGKILL: the time until the next one has taken the cluster up, all of it ready.
pub(super) async fn takeover(bench: &Bench) -> Result<Row> {
    const AIM: Duration = Duration::from_millis(150);
    let place = bench.place(&equal(SERVICES, Check::Http))?;
    bench.convoke(&place, &["up"]).await?;
    sleep(Duration::from_secs(1)).await;
    let before = identities(bench, &place).await?;
    let mut mine = Sample::default();
    // The first one takes over from nobody.
    for run in 0..=bench.runs {
        let took = supervised_and_killed(bench, &place).await?;
        if run > 0 {
            mine.add(took);
        }
    }
    if identities(bench, &place).await? != before {
        bail!("takeover: containers were touched");
    }
    clean::all(&bench.docker, &place.name).await?;
    Ok(Row {
        name: "the next supervisor of 20 http-probed, after a kill -9".into(),
        figure: mine.milliseconds(),
        against: String::new(),
        target: format!("≤ {} ms", AIM.as_millis()),
        reached: Some(mine.median() <= AIM.as_secs_f64()),
    })
}

/// From the start of a supervisor until all is ready; it is killed then.
async fn supervised_and_killed(bench: &Bench, place: &Place) -> Result<Duration> {
    let begun = Instant::now();
    let mut child = bench.command(place, &["--format", "json", "supervise"]).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await? {
            if line.contains(r#""event":"cluster_ready""#) {
                return Ok(begun.elapsed());
            }
        }
        bail!("the supervisor ended")
    };
    let took = timeout(Duration::from_secs(30), ready).await.context("the supervisor isn't ready")??;
    child.kill().await?;
    Ok(took)
}

/// Component, id and start time of every container.
pub(super) async fn identities(bench: &Bench, place: &Place) -> Result<Vec<(String, String, String)>> {
    let observed = bench.engine.observe(&ClusterName::new(place.name.clone())?).await?;
    let identity = |c: &convoke::engine::ObservedContainer| {
        (c.component.to_string(), c.id.to_string(), c.state.started_at.map(|at| at.to_string()).unwrap_or_default())
    };
    let mut all: Vec<_> = observed.containers.iter().map(identity).collect();
    all.sort();
    Ok(all)
}

/// Measures `down` against bare removals of the same containers.
pub(super) async fn down(bench: &Bench) -> Result<Row> {
    let place = bench.place(&equal(SERVICES, Check::Http))?;
    let mut mine = Sample::default();
    let mut bare: Vec<(usize, Sample)> = in_flight(SERVICES).into_iter().map(|n| (n, Sample::default())).collect();
    for _ in 0..bench.runs {
        bench.convoke(&place, &["up"]).await?;
        mine.add(bench.convoke(&place, &["down"]).await?);
        for (count, sample) in &mut bare {
            bench.convoke(&place, &["up"]).await?;
            let begun = Instant::now();
            clean::concurrently(&bench.docker, &place.name, *count).await?;
            sample.add(begun.elapsed());
        }
    }
    let all: Vec<String> = bare.iter().map(|(n, sample)| format!("{n}: {}", sample.seconds())).collect();
    super::say(&format!("  bare removals by number in flight: {}", all.join("; ")));
    let best = bare.iter().map(|(_, sample)| sample.median()).fold(f64::INFINITY, f64::min);
    let is = mine.median() / best;
    Ok(Row {
        name: "down of 20".into(),
        figure: mine.seconds(),
        against: format!("bare concurrent removal: {best:.2} s, ratio {}", ratio(is, DOWN_AIM)),
        target: format!("≤ {DOWN_AIM} of it"),
        reached: Some(is <= DOWN_AIM),
    })
}
