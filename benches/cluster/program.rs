//! Running convoke and docker compose as programs.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::time::{Duration, Instant, timeout};

use super::bench::{Bench, Place};

/// A program that isn't done by then is an error of the bench.
const LIMIT: Duration = Duration::from_secs(300);

/// Docker compose v2.
#[derive(Debug, Clone)]
pub(super) struct Compose {
    program: PathBuf,
    first: Option<&'static str>,
    /// What it says its version is.
    pub(super) version: String,
}

impl Compose {
    /// The one that `COMPOSE_BIN` names, or else one on the path; None if there is none of version 2 or later.
    pub(super) async fn find() -> Result<Option<Self>> {
        if let Some(path) = std::env::var_os("COMPOSE_BIN") {
            let found = Self::try_at(path.into(), None).await;
            return found.map(Some).context("COMPOSE_BIN is not docker compose v2");
        }
        match Self::try_at("docker".into(), Some("compose")).await {
            Some(found) => Ok(Some(found)),
            None => Ok(Self::try_at("docker-compose".into(), None).await),
        }
    }

    async fn try_at(program: PathBuf, first: Option<&'static str>) -> Option<Self> {
        let output = Command::new(&program).args(first).args(["version", "--short"]).output().await.ok()?;
        let version = String::from_utf8(output.stdout).ok()?.trim().trim_start_matches('v').to_owned();
        let major: u32 = version.split('.').next()?.parse().ok()?;
        (output.status.success() && major >= 2).then_some(Self { program, first, version })
    }

    /// The program, about this cluster.
    pub(super) fn command(&self, place: &Place, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.first).args(["-p", &place.name]).args(arguments).current_dir(&place.folder);
        quiet(command)
    }
}

impl Bench {
    /// Convoke, about this cluster.
    pub(super) fn command(&self, place: &Place, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.convoke);
        command
            .args(["-p", &place.name])
            .args(arguments)
            .current_dir(&place.folder)
            .env("CONVOKE_STATE_DIR", place.folder.join("state"));
        quiet(command)
    }

    /// Convoke to a good end; how long it took.
    pub(super) async fn convoke(&self, place: &Place, arguments: &[&str]) -> Result<Duration> {
        timed(self.command(place, arguments)).await
    }
}

/// Runs a program to its end, which must be a good one; how long it took.
pub(super) async fn timed(mut command: Command) -> Result<Duration> {
    let begun = Instant::now();
    let output = timeout(LIMIT, command.output()).await;
    let output = output.with_context(|| format!("{:?} doesn't end", command.as_std()))??;
    let took = begun.elapsed();
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{:?}: {}\n{}", command.as_std(), output.status, String::from_utf8_lossy(&said));
    }
    Ok(took)
}

/// In a process group of its own, so that Ctrl-C ends the bench and not the program it measures.
fn quiet(mut command: Command) -> Command {
    command
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}
