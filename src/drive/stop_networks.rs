//! Removing a network, and who is on it when that fails.

use std::time::Duration;

use tokio::time::Instant;

use super::stop::ignore_gone;
use crate::engine::{Engine, EngineError, ErrorKind, ObservedNetwork};
use crate::names::ClusterName;

/// The engine takes a moment to let go of a network after its last container.
const NETWORK_PATIENCE: Duration = Duration::from_secs(3);
/// After this long, whoever is still on it is looked at.
const LETS_GO: Duration = Duration::from_millis(500);

/// A network that can't be removed.
pub(super) struct Held {
    pub(super) error: EngineError,
    pub(super) by: HeldBy,
}

/// Why the engine doesn't let a network go.
pub(super) enum HeldBy {
    /// Containers of others are on it.
    Others(Vec<String>),
    /// Nobody is on it: the engine counts wrong.
    Nobody,
    Unknown,
}

/// Seen on 20.10.24, about once in twenty starts of 20 containers at once: the stored count of endpoints is one too high.
pub(super) const MISCOUNTED: &str = "nobody is on it: the engine counts one container too many (20.10 does at times when many start at \
                          once), and lets the network go after its own next restart; until then `convoke up` can use it";

/// Removes a network; its last containers may be on it for a moment yet.
pub(super) async fn remove_network<E: Engine>(
    engine: &E,
    cluster: &ClusterName,
    network: &ObservedNetwork,
) -> Result<(), Held> {
    let began = Instant::now();
    let mut looked_at = None;
    loop {
        let error = match engine.remove_network(&network.id).await {
            Err(error) if error.kind == ErrorKind::InUse => error,
            other => return ignore_gone(other).map_err(|error| Held { error, by: HeldBy::Unknown }),
        };
        let is_last = began.elapsed() >= NETWORK_PATIENCE;
        if is_last || (began.elapsed() >= LETS_GO && looked_at.is_none_or(|at: Instant| at.elapsed() >= LETS_GO)) {
            looked_at = Some(Instant::now());
            match who_is_on(engine, cluster, network).await {
                by @ HeldBy::Others(_) => return Err(Held { error, by }),
                by if is_last => return Err(Held { error, by }),
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Who is on a network of ours. Containers that are gone are taken off it: 20.10 goes on listing some after many
/// removals at once.
async fn who_is_on<E: Engine>(engine: &E, cluster: &ClusterName, network: &ObservedNetwork) -> HeldBy {
    // In this order: whoever is gone by the time of the list was on the network before.
    let (Ok(members), Ok(observed)) = (engine.members(&network.id).await, engine.observe(cluster).await) else {
        return HeldBy::Unknown;
    };
    if members.is_empty() && observed.everything().next().is_none() {
        return HeldBy::Nobody;
    }
    let mut others = Vec::new();
    for member in members {
        if observed.foreign_containers.iter().any(|foreign| foreign.name == member) {
            others.push(member);
        } else if observed.everything().all(|container| container.name != member) {
            tracing::debug!(network = network.name, member, "the network lists a container that is gone");
            if let Err(error) = engine.disconnect(&network.id, &member).await {
                tracing::debug!(%error, "it stays");
            }
        }
    }
    if others.is_empty() { HeldBy::Unknown } else { HeldBy::Others(others) }
}
