//! What it was measured on.

use anyhow::Result;
use convoke::engine::Engine;
use tokio::process::Command;

use super::bench::Bench;

/// The lines above the tables.
pub(super) async fn header(bench: &Bench) -> Result<String> {
    let engine = bench.engine.info().await?;
    let info = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu_info = info("/proc/cpuinfo");
    let model = cpu_info
        .lines()
        .find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(':')))
        .map_or("unknown processor", |(_, model)| model.trim());
    let lines = [
        format!(
            "machine: {} cores ({model}), {:.1} GB, Linux {}",
            engine.cpus,
            engine.memory as f64 / 1e9,
            info("/proc/sys/kernel/osrelease").trim()
        ),
        format!("load before the tables were printed: {}", info("/proc/loadavg").trim()),
        format!("engine: {} on {}", engine.version, engine.operating_system),
        format!("docker compose: {}", bench.compose.as_ref().map_or("none", |compose| &compose.version)),
        format!("commit: {}, date: {}", commit().await, jiff::Timestamp::now().strftime("%Y-%m-%d")),
        format!("medians of {}, sides in turn: `cargo bench --bench cluster`", bench.runs),
    ];
    Ok(lines.map(|line| format!("* {line}\n")).concat())
}

/// The commit, with a mark if the folder has changes.
async fn commit() -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let described = Command::new("git").args(["-C", folder, "describe", "--always", "--dirty"]).output().await;
    described.ok().map_or_else(|| "unknown".to_owned(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
