//! Breaking components on purpose, and putting them back.
//!
//! What a fault needs and what undoes it are judged by pure functions; [`inflict`] and [`heal`] carry them out. Every
//! step of a cure is one that is fine to take twice, so a cure that was cut short is begun again.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::retry;
use super::stop::grace_of;
use crate::engine::{Attach, Engine, EngineError, Observed, ObservedContainer, ObservedNetwork, Status, labels};
use crate::names::{ComponentName, ContainerId};

/// A step of a cure that fails in a way that may pass is tried so often.
const ATTEMPTS: u32 = 4;

/// What is done to a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The engine kills it: no restart policy answers.
    Kill,
    /// Its process dies as if by itself: its restart policy answers.
    Crash,
    /// The engine stops it: signal, grace period, SIGKILL.
    Stop,
    /// It is frozen: connections are accepted, or hang, and nothing answers.
    Pause,
    /// It is stopped and started.
    Restart,
    /// It is taken off its networks.
    Partition,
}

impl Fault {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Crash => "crash",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::Partition => "partition",
        }
    }

    /// What was done.
    #[must_use]
    pub const fn done(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::Crash => "crashed",
            Self::Stop => "stopped",
            Self::Pause => "paused",
            Self::Restart => "restarted",
            Self::Partition => "partitioned",
        }
    }

    /// Whether something is left to undo.
    #[must_use]
    pub const fn lasts(self) -> bool {
        !matches!(self, Self::Restart)
    }
}

/// Something that was broken: what it takes to undo it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakage {
    /// The component.
    pub component: ComponentName,
    /// Its container; another one of the component is not broken.
    pub container: ContainerId,
    /// What was done to it.
    pub fault: Fault,
    /// When.
    pub since: Timestamp,
    /// It ran before.
    pub was_up: bool,
    /// Where it was, and isn't any more.
    #[serde(default)]
    pub networks: Vec<Attach>,
}

impl Breakage {
    /// What is noted before the fault is inflicted.
    #[must_use]
    pub fn of(fault: Fault, container: &ObservedContainer, observed: &Observed, since: Timestamp) -> Self {
        let networks = if fault == Fault::Partition { places(container, observed) } else { Vec::new() };
        Self {
            component: container.component.clone(),
            container: container.id.clone(),
            fault,
            since,
            was_up: is_up(container),
            networks,
        }
    }
}

/// Whether a fault makes sense for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It does.
    Go,
    /// It is so already.
    Already(&'static str),
    /// It can't be done.
    Impossible(&'static str),
}

/// Judges a fault for a container.
#[must_use]
pub fn judge(fault: Fault, container: &ObservedContainer) -> Judgement {
    use Judgement::{Already, Go, Impossible};
    match (fault, container.state.status) {
        (_, Status::Removing | Status::Dead) => Impossible("it is being removed"),
        (Fault::Partition, _) if container.host_network => {
            Impossible("it is on the host's network, which isn't its own")
        }
        (Fault::Partition, _) if own_networks(container).next().is_none() => Already("is on no network"),
        (Fault::Partition | Fault::Restart, _) | (_, Status::Running) => Go,
        (Fault::Stop, Status::Restarting) | (Fault::Kill | Fault::Stop, Status::Paused) => Go,
        (Fault::Pause, Status::Paused) => Already("is paused"),
        (Fault::Crash, Status::Paused) => Impossible("it is paused: heal it first"),
        (Fault::Kill | Fault::Crash, Status::Restarting) => Already("is down, and its restart policy starts it soon"),
        (Fault::Kill | Fault::Crash | Fault::Stop, _) => Already("doesn't run"),
        (Fault::Pause, _) => Impossible("it doesn't run"),
    }
}

/// Inflicts a fault that [`judge`] let go.
///
/// # Errors
/// When the engine can't do it.
pub async fn inflict<E: Engine>(engine: &E, fault: Fault, container: &ObservedContainer) -> Result<(), EngineError> {
    let id = &container.id;
    match fault {
        Fault::Kill => engine.kill(id, "SIGKILL").await,
        Fault::Crash => engine.crash(id).await,
        Fault::Stop => engine.stop(id, grace_of(container)).await,
        Fault::Pause => engine.pause(id).await,
        Fault::Restart => {
            engine.stop(id, grace_of(container)).await?;
            engine.start(id).await
        }
        Fault::Partition => {
            for (_, endpoint) in own_networks(container) {
                engine.disconnect(&endpoint.network_id, &container.name).await?;
            }
            Ok(())
        }
    }
}

/// One step of a cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Put it back on a network.
    Connect(Box<Attach>),
    /// Let it go on.
    Unpause,
    /// Start it.
    Start,
}

impl Step {
    /// What it did.
    #[must_use]
    pub fn done(&self) -> String {
        match self {
            Self::Connect(to) => match to.address {
                Some(address) => format!("connected to {} at {address}", to.network_name),
                None => format!("connected to {}", to.network_name),
            },
            Self::Unpause => "goes on".to_owned(),
            Self::Start => "started".to_owned(),
        }
    }
}

/// What a container needs to be what it was.
///
/// `notes` are the breakages of this container, `home` is where it belongs by its labels: for when the notes are lost.
/// `start`: it is to run even where no note says that it did. Networks come first, since without them a start may fail.
#[must_use]
pub fn cure(
    container: &ObservedContainer,
    notes: &[Breakage],
    home: &[Attach],
    observed: &Observed,
    start: bool,
) -> Vec<Step> {
    let notes: Vec<&Breakage> = notes.iter().filter(|note| note.container == container.id).collect();
    let mut there: BTreeSet<&str> = container.networks.keys().map(String::as_str).collect();
    let mut steps = Vec::new();
    for place in notes.iter().flat_map(|note| &note.networks).chain(home) {
        if !container.host_network && there.insert(&place.network_name) {
            steps.push(Step::Connect(Box::new(at_present(place, observed))));
        }
    }
    if container.state.status == Status::Paused {
        steps.push(Step::Unpause);
    }
    if !is_up(container) && (start || notes.iter().any(|note| note.was_up)) {
        steps.push(Step::Start);
    }
    steps
}

/// Takes the steps of a cure.
///
/// # Errors
/// With the step that failed in the end; what came before it is done.
pub async fn heal<E: Engine>(engine: &E, id: &ContainerId, steps: &[Step]) -> Result<(), EngineError> {
    for step in steps {
        let mut attempt = 1;
        loop {
            let taken = match step {
                Step::Connect(to) => engine.connect(id, to).await,
                Step::Unpause => engine.unpause(id).await,
                Step::Start => engine.start(id).await,
            };
            match taken {
                Err(error) if error.kind.is_transient() && attempt < ATTEMPTS => {
                    tokio::time::sleep(retry::pause(attempt)).await;
                    attempt += 1;
                }
                taken => break taken?,
            }
        }
    }
    Ok(())
}

/// Whether its process is there, or comes back by itself.
fn is_up(container: &ObservedContainer) -> bool {
    matches!(container.state.status, Status::Running | Status::Paused | Status::Restarting)
}

/// The networks that it can be taken off.
fn own_networks(container: &ObservedContainer) -> impl Iterator<Item = (&String, &crate::engine::Endpoint)> {
    container.networks.iter().filter(|(name, _)| !matches!(name.as_str(), "host" | "none"))
}

/// Where a container is, told so that it can be put there again.
fn places(container: &ObservedContainer, observed: &Observed) -> Vec<Attach> {
    let place = |(name, endpoint): (&String, &crate::engine::Endpoint)| {
        let network = networks(observed).find(|network| network.id == endpoint.network_id);
        let label = |key: &str| network.and_then(|network| network.labels.get(key));
        let key = label(labels::COMPOSE_NETWORK).unwrap_or(name).parse().ok()?;
        Some(Attach {
            key,
            network_id: endpoint.network_id.clone(),
            network_name: name.clone(),
            address: endpoint.fixed_address,
            aliases: endpoint.aliases.clone(),
            settings: crate::cluster::EndpointSettings::default(),
            fail_fast: label(labels::CLUSTER).is_some() && network.is_some_and(|network| network.driver == "bridge"),
        })
    };
    own_networks(container).filter_map(place).collect()
}

/// The same place on the network that has the name now: it may have been made anew.
fn at_present(place: &Attach, observed: &Observed) -> Attach {
    let mut of_name = networks(observed).filter(|network| network.name == place.network_name);
    let same = networks(observed).any(|network| network.id == place.network_id);
    match of_name.next().filter(|_| !same) {
        Some(network) => Attach { network_id: network.id.clone(), ..place.clone() },
        None => place.clone(),
    }
}

fn networks(observed: &Observed) -> impl Iterator<Item = &ObservedNetwork> {
    observed.networks.iter().chain(&observed.other_networks)
}
