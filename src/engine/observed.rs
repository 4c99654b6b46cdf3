//! What an engine shows: containers, networks, volumes, events.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::labels;
use super::request::Subnet;
use crate::cluster::HealthCheck;
use crate::cluster::PortBinding;
use crate::names::{ComponentName, ContainerId};

/// The engine itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// Version, such as `20.10.24`.
    pub version: String,
    /// Newest API version that it speaks, such as `1.41`.
    pub api_version: String,
    /// Where it was reached, such as `unix:///var/run/docker.sock`.
    pub address: String,
    /// It runs on this machine: bind mounts see our files, and 127.0.0.1 is the same for both.
    pub is_local: bool,
    /// CPUs of its machine.
    pub cpus: usize,
    /// Operating system text, such as `Debian GNU/Linux 12 (bookworm)` or `Docker Desktop`.
    pub operating_system: String,
    /// Memory of its machine in bytes.
    pub memory: u64,
}

impl EngineInfo {
    /// Whether ports published on 127.0.0.1 are reached there from this machine. So it is with a virtual machine's
    /// engine (Docker Desktop, Colima) too, which forwards them; it is reached by a socket.
    #[must_use]
    pub fn shares_loopback(&self) -> bool {
        self.is_local || self.address.starts_with("unix://")
    }
}

/// What belongs to one cluster, and what stands in its way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Containers with our cluster label.
    pub containers: Vec<ObservedContainer>,
    /// Containers of `convoke run` with our cluster label: no components, but they go with the cluster.
    pub one_offs: Vec<ObservedContainer>,
    /// Networks with our cluster label, oldest first.
    pub networks: Vec<ObservedNetwork>,
    /// Every other network by name (external ones are found here), ours of other clusters included.
    pub other_networks: Vec<ObservedNetwork>,
    /// Volumes with our cluster label.
    pub volumes: Vec<ObservedVolume>,
    /// Names of all other volumes.
    pub other_volumes: Vec<String>,
    /// Names of all containers that don't have our cluster label, with their Compose project if any.
    pub foreign_containers: Vec<Foreign>,
    /// Subnets of every network of the engine, and on a local engine those of the host's routes.
    pub subnets_in_use: Vec<Subnet>,
}

impl Observed {
    /// Takes the one-off containers out of the list of components.
    pub fn part_one_offs(&mut self) {
        let (one_offs, components) = std::mem::take(&mut self.containers).into_iter().partition(|at| at.is_one_off());
        self.containers = components;
        self.one_offs = one_offs;
    }

    /// The containers of all components, and the one-off ones.
    pub fn everything(&self) -> impl Iterator<Item = &ObservedContainer> + Clone {
        self.containers.iter().chain(&self.one_offs)
    }

    /// Names components as they are shown: `web` is `web-1` once there is a `web-2`, and `web` again when that is gone,
    /// whatever was true when their containers were made.
    pub fn name_components(&mut self) {
        let mut highest: BTreeMap<String, u32> = BTreeMap::new();
        for (service, number) in self.containers.iter().filter_map(ObservedContainer::identity) {
            let top = highest.entry(service.to_owned()).or_default();
            *top = number.max(*top);
        }
        for container in &mut self.containers {
            let Some((service, number)) = container.identity() else { continue };
            let is_alone = highest.get(service) == Some(&1);
            let name = if is_alone { service.to_owned() } else { format!("{service}-{number}") };
            // A label that isn't a name stands as it is.
            if let Ok(name) = name.parse() {
                container.component = name;
            }
        }
        self.containers.sort_by(|a, b| (&a.component, &a.name).cmp(&(&b.component, &b.name)));
    }

    /// Notes which containers at rest have lost a network: `docker network prune` takes those that nobody runs on.
    pub fn find_lost_networks(&mut self) {
        let there = || self.networks.iter().chain(&self.other_networks);
        // The engine keeps no id of the network for one that has never run.
        let is_there =
            |name: &str, id: &str| there().any(|at| if id.is_empty() { at.name == name } else { at.id == id });
        for container in &mut self.containers {
            let rests = matches!(container.state.status, Status::Created | Status::Exited);
            let mut networks = container.networks.iter();
            container.lost_network = rests && networks.any(|(name, at)| !is_there(name, &at.network_id));
        }
    }
}

/// A container that isn't ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Its name.
    pub name: String,
    /// Our label: the other cluster that it belongs to.
    pub cluster: Option<String>,
    /// Compose's project label.
    pub project: Option<String>,
    /// Host ports that it publishes.
    pub host_ports: Vec<u16>,
    /// Ids of the networks that it is on.
    pub networks: Vec<String>,
}

/// A container with our label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedContainer {
    /// The engine's id.
    pub id: ContainerId,
    /// The engine's name, without the slash.
    pub name: String,
    /// The component that it is, by label.
    pub component: ComponentName,
    /// Id of its image.
    pub image_id: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// What it does now.
    pub state: ContainerState,
    /// By engine name of the network.
    pub networks: BTreeMap<String, Endpoint>,
    /// Published ports with the host ports that the engine chose; empty unless running.
    pub ports: Vec<PortBinding>,
    /// Hosts entries that it was created with, `name` and address.
    pub extra_hosts: Vec<(String, String)>,
    /// Anonymous volumes, by mount point.
    pub anonymous_volumes: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// `HostConfig.NetworkMode` is `host`: its ports are the engine host's.
    pub host_network: bool,
    /// Id or name of the container whose network it is on.
    pub shares_network: Option<String>,
    /// It shares processes, shared memory or volumes of other containers.
    pub shares_more: bool,
    /// It rests, and a network that it was on is gone: the engine can't start it any more. Only a list tells.
    pub lost_network: bool,
}

impl ObservedContainer {
    /// One that was just made and hasn't run: no labels, no networks, and nothing else known of it.
    #[must_use]
    pub fn made(id: ContainerId, name: String, component: ComponentName) -> Self {
        Self {
            id,
            name,
            component,
            image_id: String::new(),
            labels: BTreeMap::new(),
            state: ContainerState {
                status: Status::Created,
                exit_code: 0,
                oom_killed: false,
                error: String::new(),
                started_at: None,
                finished_at: None,
                restart_count: 0,
                health: None,
            },
            networks: BTreeMap::new(),
            ports: Vec::new(),
            extra_hosts: Vec::new(),
            anonymous_volumes: BTreeMap::new(),
            created_at: None,
            host_network: false,
            shares_network: None,
            shares_more: false,
            lost_network: false,
        }
    }

    /// A label's value.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// Whether it was made by `convoke run`.
    #[must_use]
    pub fn is_one_off(&self) -> bool {
        self.label(labels::COMPOSE_ONEOFF) == Some("True")
    }

    /// Its service and number, which stay the same when the number of the service's containers changes.
    #[must_use]
    pub fn identity(&self) -> Option<(&str, u32)> {
        Some((self.label(labels::COMPOSE_SERVICE)?, self.label(labels::COMPOSE_NUMBER)?.parse().ok()?))
    }
}

/// A container on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Id of the network.
    pub network_id: String,
    /// Address now; None unless running.
    pub address: Option<Ipv4Addr>,
    /// Address that it was created with.
    pub fixed_address: Option<Ipv4Addr>,
    /// IPv6 address now; None unless running.
    pub ipv6_address: Option<Ipv6Addr>,
    /// Names under which it is found there, besides its own and its id.
    pub aliases: Vec<String>,
}

impl Endpoint {
    /// Where it is reached there now: by IPv6 only where it has nothing else.
    #[must_use]
    pub fn contact(&self) -> Option<IpAddr> {
        self.address.map(IpAddr::V4).or(self.ipv6_address.map(IpAddr::V6))
    }
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerState {
    /// The engine's word.
    pub status: Status,
    /// Exit code of the last run; meaningless while running.
    pub exit_code: i64,
    /// The last run was ended by the kernel for lack of memory.
    pub oom_killed: bool,
    /// The engine's text about a failed start.
    pub error: String,
    /// When the last run began; None: never started. It tells runs apart.
    pub started_at: Option<Timestamp>,
    /// When the last run ended. A busy engine notes a start late: the end of a short run
    /// may have the earlier time.
    pub finished_at: Option<Timestamp>,
    /// Restarts by the engine under its policy.
    pub restart_count: u64,
    /// The engine's own health check, if the container has one.
    pub health: Option<Health>,
}

/// The engine's word for what a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Never started.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Waiting to be started again under its policy.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
    /// Broken beyond repair: remove it.
    Dead,
}

impl Status {
    /// The engine's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }
}

/// The engine's health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Its verdict.
    pub status: HealthStatus,
    /// What the last check printed.
    pub last_output: String,
}

/// The engine's verdict on a container's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStatus {
    /// No verdict yet.
    Starting,
    /// The last check passed.
    Healthy,
    /// So many failed in a row.
    Unhealthy,
}

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedNetwork {
    /// The engine's id.
    pub id: String,
    /// The engine's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Driver.
    pub driver: String,
    /// IPv4 subnet.
    pub subnet: Option<Subnet>,
    /// The subnet was given at creation, so fixed addresses are allowed on it.
    pub subnet_configured: bool,
    /// Gateway.
    pub gateway: Option<Ipv4Addr>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedVolume {
    /// The engine's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An image that the engine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageInfo {
    /// Its id, `sha256:…`.
    pub id: String,
    /// Its own health check.
    pub health: Option<HealthCheck>,
    /// Paths that it declares as volumes.
    pub volumes: Vec<String>,
    /// Ports that it declares.
    pub exposed: Vec<u16>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Bytes.
    pub size: u64,
    /// When it last got a name here: pulled, built or loaded.
    pub tagged_at: Option<Timestamp>,
}

/// Something that happened to a container of the cluster. Only a hint: the container is inspected for the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// What happened.
    pub kind: EngineEventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineEventKind {
    /// The subscription is in place: what happens from here on will be told.
    Subscribed,
    /// A container changed: it was created, started, stopped, died, was removed, renamed, or its health changed.
    Container {
        /// Its id.
        id: ContainerId,
        /// The component, by label.
        component: Option<ComponentName>,
        /// The engine's word, such as `start`, `die`, `oom`, `destroy`, `health_status`.
        action: String,
    },
}
