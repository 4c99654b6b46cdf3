//! How soon a failure is reported, and how soon Ctrl-C ends a start.

use std::process::ExitStatus;

use anyhow::{Context, Result, bail};
use bollard::query_parameters::InspectContainerOptions;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::bench::{Bench, Place};
use super::clean;
use super::files::{Check, Service, compose, equal, name};
use super::table::{Row, Sample};

/// An end of a start.
#[derive(Debug)]
pub(super) struct Case {
    /// Its name, for filters.
    pub(super) name: &'static str,
    title: &'static str,
    end: End,
    aim: Duration,
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// A component of five exits 1 while another boots on.
    Failure,
    /// So many signals come after so long.
    Interrupt { after: Duration, signals: u32, last_never_ready: bool },
}

/// All of them.
pub(super) const CASES: [Case; 4] = [
    Case {
        name: "failure",
        title: "from the end of a component to its report",
        end: End::Failure,
        aim: Duration::from_secs(1),
    },
    Case {
        name: "ctrl-c-starting",
        title: "Ctrl-C while 20 are being started",
        end: End::Interrupt { after: Duration::from_millis(1500), signals: 1, last_never_ready: false },
        aim: Duration::from_secs(2),
    },
    Case {
        name: "ctrl-c-waiting",
        title: "Ctrl-C when 20 run and one isn't ready",
        end: End::Interrupt { after: Duration::from_secs(12), signals: 1, last_never_ready: true },
        aim: Duration::from_secs(2),
    },
    Case {
        name: "ctrl-c-twice",
        title: "a second Ctrl-C 100 ms later",
        end: End::Interrupt { after: Duration::from_millis(1500), signals: 2, last_never_ready: false },
        aim: Duration::from_millis(50),
    },
];

/// Pause between two signals.
const BETWEEN: Duration = Duration::from_millis(100);
/// A program that isn't done by then is an error of the bench.
const LIMIT: Duration = Duration::from_secs(60);

/// Measures a case.
pub(super) async fn run(bench: &Bench, case: &Case) -> Result<Row> {
    let mut sample = Sample::default();
    for _ in 0..bench.runs {
        let took = match case.end {
            End::Failure => failure(bench).await?,
            End::Interrupt { after, signals, last_never_ready } => {
                interrupt(bench, after, signals, last_never_ready).await?
            }
        };
        sample.add(took);
        clean::all(&bench.docker, &bench.prefix).await?;
    }
    Ok(Row {
        name: case.title.to_owned(),
        figure: sample.milliseconds(),
        against: String::new(),
        target: format!("≤ {} ms", case.aim.as_millis()),
        reached: Some(sample.median() <= case.aim.as_secs_f64()),
    })
}

/// From the engine's time of a component's end to the line that reports it.
async fn failure(bench: &Bench) -> Result<Duration> {
    let mut services = vec![Service::booting("200ms", Check::Http); 5];
    services[2].arguments = ["--boot", "30s", "--exit", "1", "--after", "1500ms"].map(str::to_owned).to_vec();
    let place = bench.place(&compose(&services))?;
    let mut child = bench.command(&place, &["up", "--format", "json"]).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let mut reported = None;
    while let Some(line) = timeout(LIMIT, lines.next_line()).await?? {
        let event: serde_json::Value = serde_json::from_str(&line)?;
        if event["event"] == "failed" && reported.is_none() {
            reported = Some(Timestamp::now());
        }
    }
    let status = child.wait().await?;
    let reported = reported.with_context(|| format!("no failure was reported ({status})"))?;
    let container = format!("{}-{}-1", place.name, name(2));
    let seen = bench.docker.inspect_container(&container, None::<InspectContainerOptions>).await?;
    let state = seen.state.context("no state")?;
    let died = state.finished_at.context("it didn't end")?.to_string();
    let died: Timestamp = died.parse().with_context(|| format!("{died} is not a time"))?;
    Ok(Duration::try_from(reported.duration_since(died)).unwrap_or_default())
}

/// From the last of the signals to the end of the program.
async fn interrupt(bench: &Bench, after: Duration, signals: u32, last_never_ready: bool) -> Result<Duration> {
    let text = if last_never_ready {
        let mut services = vec![Service::booting("200ms", Check::Http); 20];
        services[19] = Service::booting("60m", Check::Http);
        compose(&services)
    } else {
        equal(20, Check::Http)
    };
    let place: Place = bench.place(&text)?;
    let mut child = bench.command(&place, &["up"]).spawn()?;
    sleep(after).await;
    let mut begun = Instant::now();
    for number in 0..signals {
        if number > 0 {
            sleep(BETWEEN).await;
        }
        begun = Instant::now();
        send_interrupt(&child)?;
    }
    let status: ExitStatus = timeout(LIMIT, child.wait()).await??;
    let took = begun.elapsed();
    if status.code() != Some(130) {
        bail!("the interrupted program ended with {status}");
    }
    Ok(took)
}

fn send_interrupt(child: &Child) -> Result<()> {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(id.context("the program has ended already")?, rustix::process::Signal::INT)?;
    Ok(())
}
