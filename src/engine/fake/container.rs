//! One container of the world.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;

use super::clock::timestamp;
use crate::cluster::{HealthCheck, PortBinding, RestartPolicy};
use crate::engine::{
    ContainerState, CreateContainer, Endpoint, Health, HealthStatus, LogLine, LogSource, ObservedContainer, Status,
    labels,
};
use crate::names::{ComponentName, ContainerId};

/// A container's whole state.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) id: ContainerId,
    pub(super) name: String,
    pub(super) image: String,
    pub(super) image_id: String,
    pub(super) labels: BTreeMap<String, String>,
    /// What it was made of; None for a foreign container.
    pub(super) request: Option<Box<CreateContainer>>,
    pub(super) policy: RestartPolicy,
    pub(super) health_check: Option<HealthCheck>,
    pub(super) created_at: Duration,
    pub(super) status: Status,
    pub(super) exit_code: i64,
    pub(super) oom_killed: bool,
    pub(super) error: String,
    pub(super) started_at: Option<Duration>,
    pub(super) finished_at: Option<Duration>,
    pub(super) restart_count: u64,
    /// Stopped or killed by a call: the restart policy rests.
    pub(super) stopped_by_call: bool,
    /// A stop waits for its end.
    pub(super) stopping: bool,
    pub(super) backoff: Duration,
    /// Number of the present run in the whole world; timers of earlier runs see that they are stale.
    pub(super) run: u64,
    pub(super) live: bool,
    pub(super) ready: bool,
    /// Was ready in this run; whether it still is may change by itself.
    pub(super) was_ready: bool,
    /// Commands inside that haven't ended.
    pub(super) execs: usize,
    pub(super) health: Option<HealthRun>,
    pub(super) endpoints: Vec<Attachment>,
    pub(super) bound: Vec<PortBinding>,
    /// Named volumes that it mounts.
    pub(super) volumes: Vec<String>,
    /// Volumes of its own by mount point, carried-over ones included.
    pub(super) anonymous: BTreeMap<String, String>,
    pub(super) log: Vec<Line>,
    /// The container whose network it is on.
    pub(super) shares_network: Option<ContainerId>,
}

/// The state of the engine's own health check.
#[derive(Debug, Clone)]
pub(super) struct HealthRun {
    pub(super) status: HealthStatus,
    pub(super) failures: u32,
    pub(super) output: String,
}

/// A container on a network.
#[derive(Debug, Clone)]
pub(super) struct Attachment {
    pub(super) network_id: String,
    pub(super) network_name: String,
    pub(super) fixed: Option<Ipv4Addr>,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) aliases: Vec<String>,
}

/// A line of the log.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) at: Duration,
    pub(super) source: LogSource,
    pub(super) text: String,
}

impl Line {
    /// As the engine gives it.
    pub(super) fn to_log_line(&self) -> LogLine {
        LogLine {
            source: self.source,
            at: Some(timestamp(self.at)),
            text: Bytes::copy_from_slice(self.text.as_bytes()),
        }
    }
}

impl Container {
    /// The cluster that it belongs to, by label.
    pub(super) fn cluster(&self) -> Option<&str> {
        self.labels.get(labels::CLUSTER).map(String::as_str)
    }

    /// The component that it is, by label.
    pub(super) fn component(&self) -> Option<ComponentName> {
        self.labels.get(labels::COMPONENT).and_then(|name| ComponentName::new(name.clone()).ok())
    }

    /// Whether it is the component of this name in this cluster.
    pub(super) fn is(&self, cluster: Option<&str>, component: &str) -> bool {
        self.cluster() == cluster && self.labels.get(labels::COMPONENT).is_some_and(|name| name == component)
    }

    /// Its process runs (not while it waits to be restarted).
    pub(super) fn runs(&self) -> bool {
        self.status == Status::Running
    }

    /// Whether there is a way to the other one. Those that were never on a network share the engine's own.
    pub(super) fn shares_network(&self, other: &Self) -> bool {
        let is_off = |container: &Self| container.request.as_ref().is_none_or(|request| request.networks.is_empty());
        let on = |container: &Self, id: &str| container.endpoints.iter().any(|at| at.network_id == id);
        (is_off(self) && is_off(other)) || self.endpoints.iter().any(|at| on(other, &at.network_id))
    }

    /// Exit of its last run is final: neither running nor about to be.
    pub(super) fn rests(&self) -> bool {
        !matches!(self.status, Status::Running | Status::Restarting | Status::Paused)
    }

    /// The engine's policy starts it again after such an end.
    pub(super) fn is_restarted(&self, code: i64) -> bool {
        if self.stopped_by_call {
            return false;
        }
        match self.policy {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure { max_retries } => {
                code != 0 && (max_retries == 0 || self.restart_count < u64::from(max_retries))
            }
        }
    }

    /// What inspecting it shows; None if it has no component label.
    pub(super) fn observed(&self) -> Option<ObservedContainer> {
        let request = self.request.as_ref()?;
        let mut extra_hosts = request.spec.extra_hosts.clone();
        extra_hosts.extend(request.hosts.iter().map(|(name, address)| (name.clone(), address.to_string())));
        Some(ObservedContainer {
            id: self.id.clone(),
            name: self.name.clone(),
            component: self.component()?,
            image_id: self.image_id.clone(),
            labels: self.labels.clone(),
            state: self.state(),
            networks: self.endpoints.iter().map(|at| (at.network_name.clone(), at.observed())).collect(),
            ports: self.bound.clone(),
            extra_hosts,
            anonymous_volumes: self.anonymous.clone(),
            created_at: Some(timestamp(self.created_at)),
            host_network: request.spec.network_mode.as_deref() == Some("host"),
            shares_network: self.shares_network.as_ref().map(ToString::to_string),
            shares_more: false,
            lost_network: false,
        })
    }

    fn state(&self) -> ContainerState {
        ContainerState {
            status: self.status,
            exit_code: self.exit_code,
            oom_killed: self.oom_killed,
            error: self.error.clone(),
            started_at: self.started_at.map(timestamp),
            finished_at: self.finished_at.map(timestamp),
            restart_count: self.restart_count,
            health: self
                .health
                .as_ref()
                .map(|health| Health { status: health.status, last_output: health.output.clone() }),
        }
    }
}

impl Attachment {
    fn observed(&self) -> Endpoint {
        Endpoint {
            network_id: self.network_id.clone(),
            address: self.address,
            fixed_address: self.fixed,
            ipv6_address: None,
            aliases: self.aliases.clone(),
        }
    }
}
