//! The engine's limit: bare bollard loops that create and start the same containers and ask the same probes.
//!
//! No plan, no events, no inspections, no verdict, and no process of its own: whatever a tool adds, it adds to this.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bollard::Docker;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use bollard::query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::blueprint::{Blueprint, Part};
use super::clean;
use super::files::{COMMAND, PATH, PORT};

/// How the loop asks whether a container is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// By a command inside.
    Exec,
    /// Over the network.
    Http,
}

/// Pause after a command that failed: convoke's own, since each costs the engine the CPU that starts need.
const EXEC_PAUSE: Duration = Duration::from_millis(200);
/// Commands at a time, for the same reason: one a core of a small machine.
const EXECS: usize = 2;
/// Pause after a request that failed.
const HTTP_PAUSE: Duration = Duration::from_millis(10);
/// A cluster that isn't ready by then is an error of the bench.
const LIMIT: Duration = Duration::from_secs(120);

/// Brings the cluster up with so many create-and-start pairs in flight; how long it took until all were ready.
pub(super) async fn up(docker: &Docker, blueprint: &Blueprint, in_flight: usize, ask: Ask) -> Result<Duration> {
    // The engine may have kept it (see `clean::all`); asked before the clock starts.
    let network_kept = !clean::networks(docker, &blueprint.network.name).await?.is_empty();
    let begun = Instant::now();
    let ready = async {
        if !network_kept {
            docker.create_network(blueprint.network.clone()).await?;
        }
        all_ready(docker, blueprint, in_flight, ask).await
    };
    timeout(LIMIT, ready).await.context("the bare loop doesn't end")??;
    Ok(begun.elapsed())
}

async fn all_ready(docker: &Docker, blueprint: &Blueprint, in_flight: usize, ask: Ask) -> Result<()> {
    let mut asking = JoinSet::new();
    let execs = Arc::new(Semaphore::new(EXECS));
    let starts = blueprint.containers.iter().map(|part| start(docker, part));
    let mut started = stream::iter(starts).buffer_unordered(in_flight);
    while let Some((id, part)) = started.try_next().await? {
        asking.spawn(until_ready(docker.clone(), id, part.clone(), ask, Arc::clone(&execs)));
    }
    while let Some(ready) = asking.join_next().await {
        ready??;
    }
    Ok(())
}

async fn start<'a>(docker: &Docker, part: &'a Part) -> Result<(String, &'a Part)> {
    let options = CreateContainerOptionsBuilder::default().name(&part.name).build();
    let made = docker.create_container(Some(options), part.body.clone()).await?;
    docker.start_container(&made.id, None::<StartContainerOptions>).await?;
    Ok((made.id, part))
}

async fn until_ready(docker: Docker, id: String, part: Part, ask: Ask, execs: Arc<Semaphore>) -> Result<()> {
    loop {
        let (passed, pause) = match ask {
            Ask::Exec => {
                let _turn = execs.acquire().await?;
                (check(&docker, &id).await?, EXEC_PAUSE)
            }
            Ask::Http => (request(&part).await.unwrap_or(false), HTTP_PAUSE),
        };
        if passed {
            return Ok(());
        }
        sleep(pause).await;
    }
}

/// Runs the health check's command to its end.
async fn check(docker: &Docker, id: &str) -> Result<bool> {
    let config = ExecConfig {
        cmd: Some(COMMAND.map(str::to_owned).to_vec()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    };
    let exec = docker.create_exec(id, config).await?;
    let StartExecResults::Attached { mut output, .. } = docker.start_exec(&exec.id, None).await? else {
        bail!("the engine did not attach to the command");
    };
    while output.next().await.is_some() {}
    loop {
        let state = docker.inspect_exec(&exec.id).await?;
        match state.exit_code {
            Some(code) if state.running != Some(true) => return Ok(code == 0),
            _ => sleep(Duration::from_millis(2)).await,
        }
    }
}

async fn request(part: &Part) -> Result<bool> {
    let asked = async {
        let mut stream = TcpStream::connect((part.address, PORT)).await?;
        let request = format!("GET {PATH} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", part.address);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer.starts_with(b"HTTP/1.1 200") || answer.starts_with(b"HTTP/1.0 200"))
    };
    timeout(Duration::from_secs(1), asked).await?
}
