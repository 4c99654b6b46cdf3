//! The peak of convoke's own memory.

use anyhow::{Context, Result, bail};
use tokio::time::{Duration, sleep};

use super::bench::Bench;
use super::clean;
use super::files::{Check, equal};
use super::table::{Row, Sample};

/// A start of fifty components.
#[derive(Debug)]
pub(super) struct Case {
    /// Its name, for filters.
    pub(super) name: &'static str,
    title: &'static str,
    check: Check,
}

/// All of them.
pub(super) const CASES: [Case; 2] = [
    Case { name: "memory-http", title: "peak memory, 50 http-probed", check: Check::Http },
    Case { name: "memory-exec", title: "peak memory, 50 with exec health checks", check: Check::Health(10) },
];

const SERVICES: usize = 50;
/// In megabytes.
const AIM: f64 = 30.0;
/// How often it is looked at. The peak only grows, so no more is missed than its growth in the last pause.
const PAUSE: Duration = Duration::from_millis(2);

/// Measures it once: starts of fifty take long, and memory hardly varies.
pub(super) async fn run(bench: &Bench, case: &Case) -> Result<Row> {
    let place = bench.place(&equal(SERVICES, case.check))?;
    let mut sample = Sample::default();
    let mut child = bench.command(&place, &["up", "--quiet"]).spawn()?;
    let path = format!("/proc/{}/status", child.id().context("it ended at once")?);
    let mut peak = 0.0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = peak_in(&path).unwrap_or(peak);
        sleep(PAUSE).await;
    };
    if !status.success() {
        bail!("{}: {status}", case.title);
    }
    sample.add_value(peak);
    clean::all(&bench.docker, &place.name).await?;
    Ok(Row {
        name: case.title.to_owned(),
        figure: format!("{peak:.1} MB"),
        against: String::new(),
        target: format!("< {AIM} MB"),
        reached: Some(sample.median() < AIM),
    })
}

/// `VmHWM` in megabytes; None once the process has ended, or when it isn't said.
fn peak_in(path: &str) -> Option<f64> {
    let status = std::fs::read_to_string(path).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}
