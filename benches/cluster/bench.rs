//! What every case needs: the engine, the programs, names of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use bollard::Docker;
use convoke::engine::docker::DockerEngine;
use tempfile::TempDir;

use super::program::Compose;
use super::table::Sample;

/// The image of every component; `make images` loads it.
pub(super) const IMAGE: &str = "convoke-test/probe-target:latest";

/// A bench run.
pub(super) struct Bench {
    /// The engine as the bare loops use it.
    pub(super) docker: Docker,
    /// The engine as convoke sees it.
    pub(super) engine: DockerEngine,
    /// The program.
    pub(super) convoke: PathBuf,
    /// The peer, if there is one.
    pub(super) compose: Option<Compose>,
    /// Measurements of each side.
    pub(super) runs: usize,
    /// Every name begins with this.
    pub(super) prefix: String,
    folder: TempDir,
    number: AtomicU32,
}

/// A cluster's name and its folder, which has the Compose file and the state directory.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The cluster's name.
    pub(super) name: String,
    /// Its folder.
    pub(super) folder: PathBuf,
}

impl Bench {
    /// Finds all that is needed.
    pub(super) async fn new() -> Result<Self> {
        let docker = Docker::connect_with_defaults().context("no engine")?;
        docker.inspect_image(IMAGE).await.with_context(|| format!("{IMAGE}: `make images` loads it"))?;
        let convoke = match std::env::var_os("CONVOKE_BIN") {
            Some(path) => path.into(),
            None => PathBuf::from(env!("CARGO_BIN_EXE_convoke")),
        };
        let runs = match std::env::var("CONVOKE_BENCH_RUNS") {
            Ok(text) => text.parse().context("CONVOKE_BENCH_RUNS is not a number")?,
            Err(_) => 5,
        };
        if runs == 0 {
            bail!("CONVOKE_BENCH_RUNS is 0");
        }
        let compose = Compose::find().await?;
        if compose.is_none() {
            super::say("no docker compose v2 (COMPOSE_BIN): its column is left out");
        }
        Ok(Self {
            docker,
            engine: DockerEngine::connect(None).await?,
            convoke,
            compose,
            runs,
            prefix: format!("cb-{}-", std::process::id()),
            folder: tempfile::Builder::new().prefix("convoke-bench-").tempdir()?,
            number: AtomicU32::new(0),
        })
    }

    /// A cluster of a new name, with this Compose text.
    pub(super) fn place(&self, compose: &str) -> Result<Place> {
        let name = format!("{}{}", self.prefix, self.number.fetch_add(1, Ordering::Relaxed));
        let folder = self.folder.path().join(&name);
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("compose.yaml"), compose)?;
        Ok(Place { name, folder })
    }

    /// What stands beside a figure: the peer's own, if there is a peer.
    pub(super) fn beside(&self, command: &str, peer: &Sample) -> String {
        self.compose.as_ref().map_or_else(String::new, |_| format!("compose {command}: {}", peer.milliseconds()))
    }
}
