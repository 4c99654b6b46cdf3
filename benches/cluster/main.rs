//! Convoke against `docker compose up --wait` and against what the engine itself can do, in one run.
//!
//! `cargo bench --bench cluster -- [FILTER]` runs the cases whose name contains FILTER and prints Markdown tables;
//! `docs/performance.md` tells what each measures. Sides take turns, and what counts is the median. A missed target is
//! marked and changes nothing else: the exit code is non-zero on errors only.
//!
//! | variable | meaning |
//! |---|---|
//! | `CONVOKE_BENCH_RUNS` | measurements of each side (5) |
//! | `CONVOKE_BIN` | the program (target/release/convoke) |
//! | `COMPOSE_BIN` | docker compose v2; without it: the plugin of `docker`, or `docker-compose` if that is v2 |

mod bare;
mod bench;
mod blueprint;
mod clean;
mod endings;
mod files;
mod loading;
mod machine;
mod memory;
mod order;
mod program;
mod running;
mod starts;
mod table;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use bench::Bench;
use futures::FutureExt;
use table::Report;

fn main() -> ExitCode {
    // `cargo bench` passes --bench to every bench.
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(measure(&filters)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the cases and cleans up, however they end.
async fn measure(filters: &[String]) -> Result<()> {
    let bench = Bench::new().await?;
    let cases = AssertUnwindSafe(run_cases(&bench, filters)).catch_unwind();
    let result = tokio::select! {
        biased;
        signal = tokio::signal::ctrl_c() => signal.map_err(Into::into).and_then(|()| Err(anyhow!("interrupted"))),
        result = cases => result.unwrap_or_else(|_| Err(anyhow!("the bench itself panicked"))),
    };
    clean::all(&bench.docker, &bench.prefix).await?;
    let kept = clean::networks(&bench.docker, &bench.prefix).await?.len();
    if kept > 0 {
        say(&format!("note: the engine keeps {kept} empty networks {}… until its next start", bench.prefix));
    }
    result
}

/// Runs what the filters name. A case that fails doesn't keep the others from being measured.
async fn run_cases(bench: &Bench, filters: &[String]) -> Result<()> {
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let mut report = Report::default();
    for case in starts::CASES.iter().filter(|case| wanted(case.name)) {
        report.take_start(case.name, starts::run(bench, case).await);
    }
    for case in running::REATTACH.iter().filter(|case| wanted(case.name)) {
        report.take(case.name, running::reattach(bench, case).await.map(|row| vec![row]));
    }
    if wanted("takeover") {
        report.take("takeover", running::takeover(bench).await.map(|row| vec![row]));
    }
    if wanted("down") {
        report.take("down", running::down(bench).await.map(|row| vec![row]));
    }
    for case in endings::CASES.iter().filter(|case| wanted(case.name)) {
        report.take(case.name, endings::run(bench, case).await.map(|row| vec![row]));
    }
    if wanted("order") {
        report.take("order", order::run(bench).await);
    }
    for case in loading::CASES.iter().filter(|case| wanted(case.name)) {
        report.take(case.name, loading::run(bench, case).await.map(|row| vec![row]));
    }
    for case in memory::CASES.iter().filter(|case| wanted(case.name)) {
        report.take(case.name, memory::run(bench, case).await.map(|row| vec![row]));
    }
    table::print(&machine::header(bench).await?, &report);
    match report.failed.as_slice() {
        [] if report.starts.is_empty() && report.others.is_empty() => bail!("no case is named so"),
        [] => Ok(()),
        failed => bail!("could not be measured: {}", failed.join(", ")),
    }
}

/// Progress, on standard error; the tables go to standard output.
#[expect(clippy::print_stderr, reason = "a bench has no printer, and this is its one place for progress")]
fn say(text: &str) {
    eprintln!("{text}");
}
