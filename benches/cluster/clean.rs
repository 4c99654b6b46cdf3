//! Removing what a measurement made, by name.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerSummary, Network};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{Duration, sleep, timeout};

/// Removals in flight.
const IN_FLIGHT: usize = 8;
/// It is looked at so often at most.
const ROUNDS: u32 = 20;
/// Rounds after which a network without containers is left to the engine.
const NETWORK_ROUNDS: u32 = 5;
/// Cleaning takes so long at most: an engine may hang.
const LIMIT: Duration = Duration::from_secs(120);

/// The containers whose names begin with `prefix`.
pub(super) async fn containers(docker: &Docker, prefix: &str) -> Result<Vec<String>> {
    let filters = HashMap::from([("name", vec![format!("^/?{prefix}")])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let begins = |one: &ContainerSummary| {
        one.names.iter().flatten().any(|name| name.trim_start_matches('/').starts_with(prefix))
    };
    let listed = docker.list_containers(Some(options)).await?;
    Ok(listed.into_iter().filter(begins).filter_map(|one| one.id).collect())
}

/// The networks whose names begin with `prefix`.
pub(super) async fn networks(docker: &Docker, prefix: &str) -> Result<Vec<String>> {
    let begins = |one: &Network| one.name.as_ref().is_some_and(|name| name.starts_with(prefix));
    let listed = docker.list_networks(None).await?;
    Ok(listed.into_iter().filter(begins).filter_map(|one| one.id).collect())
}

/// Removes every container and network whose name begins with `prefix`, with as many calls in flight as given.
pub(super) async fn concurrently(docker: &Docker, prefix: &str, in_flight: usize) -> Result<()> {
    let removals = containers(docker, prefix).await?.into_iter().map(|id| async move {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        gone(docker.remove_container(&id, Some(options)).await)
    });
    stream::iter(removals).buffer_unordered(in_flight).try_collect::<Vec<()>>().await?;
    for id in networks(docker, prefix).await? {
        gone(docker.remove_network(&id).await)?;
    }
    Ok(())
}

/// Removes it all, and looks again until nothing is left: a program that was ended may have a call in flight.
///
/// Engine 20.10 now and then counts one endpoint too many on a network that many containers were started on at once, and refuses
/// to remove it until its own next start. Such a network is empty and does no harm: the next turn of the same cluster uses it.
pub(super) async fn all(docker: &Docker, prefix: &str) -> Result<()> {
    let cleaned = timeout(LIMIT, until_clean(docker, prefix)).await;
    cleaned.with_context(|| format!("the engine doesn't answer; objects named {prefix}… are left behind"))?
}

async fn until_clean(docker: &Docker, prefix: &str) -> Result<()> {
    let mut only_networks = 0;
    for _ in 0..ROUNDS {
        let removed = concurrently(docker, prefix, IN_FLIGHT).await;
        if removed.is_ok() && containers(docker, prefix).await?.is_empty() {
            only_networks += 1;
            if only_networks > NETWORK_ROUNDS || networks(docker, prefix).await?.is_empty() {
                return Ok(());
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
    bail!("objects named {prefix}… are left behind")
}

fn gone(result: Result<(), Error>) -> Result<()> {
    match result {
        Err(Error::DockerResponseServerError { status_code: 403 | 404 | 409, .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
