//! The desired cluster and its components.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::image_build::{Base, Build};
use super::mount::Mount;
use super::network::{Network, Volume};
use super::probes::Probes;
use crate::compose::{EndpointSettings, Hooks, PullPolicy, Settings};
use crate::names::{ClusterName, ComponentName, NetworkKey, ServiceName, VolumeKey};

/// What should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name: Compose's project name.
    pub name: ClusterName,
    /// Absolute directory that relative paths of the file refer to.
    pub working_dir: PathBuf,
    /// Absolute paths of the files that it was loaded from; empty for a template.
    pub config_files: Vec<PathBuf>,
    /// Whether gates are obeyed.
    pub start: StartMode,
    /// Every component by name.
    pub components: BTreeMap<ComponentName, Component>,
    /// Networks that some component uses.
    pub networks: BTreeMap<NetworkKey, Network>,
    /// Named volumes that some component uses.
    pub volumes: BTreeMap<VolumeKey, Volume>,
    /// Images that others are built from, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bases: BTreeMap<String, Base>,
    /// The process that it is removed with, for a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<String>,
    /// Services of the file of which no profile is switched on: their containers are left alone.
    #[serde(default)]
    pub switched_off: BTreeSet<ServiceName>,
}

/// Whether `depends_on` conditions hold starts back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartMode {
    /// Conditions outside cycles gate the start of a component.
    #[default]
    Gated,
    /// `x-convoke.start: together`: only completion conditions gate; all else starts at once.
    Together,
}

/// One container that should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// `service-n`, or `service` when there is one.
    pub name: ComponentName,
    /// Its service.
    pub service: ServiceName,
    /// Its number within the service, from 1.
    pub number: u32,
    /// The engine's name for the container.
    pub container_name: String,
    /// Image reference as the file has it; for a build without `image`, `<cluster>-<service>`.
    pub image: String,
    /// How to build the image if the file says so.
    pub build: Option<Build>,
    /// What the container is made of.
    pub spec: ContainerSpec,
    /// Files put into the container before its start (inline configs and secrets), and directory owners.
    pub files: Vec<HostFile>,
    /// Owners asked for volume roots.
    pub owners: Vec<VolumeOwner>,
    /// How it is asked whether it is ready.
    pub probes: Probes,
    /// Peers whose readiness it needs to become ready; may be cyclic; explains waits, never gates.
    pub needs: BTreeSet<ComponentName>,
    /// What holds its start back. Edges inside a cycle are not here but in `needs`.
    pub gates: Vec<Gate>,
    /// Shares a dependency cycle with another component (or the cluster starts together): the early-exit rule holds.
    pub restarts_early_exit: bool,
    /// Expected to exit 0: `x-convoke.completes`, or another depends on its completion.
    pub completes: bool,
    /// `depends_on` of the service as Compose's label has it (`db:service_healthy:false,…`), cycle edges left out.
    pub depends_on_label: String,
    /// Expected time from start to ready, if the template gives a hint: used to order starts on the first run.
    pub boot_hint: Option<Duration>,
    /// What to type to use it; `{PORT}` stands for where that port is published.
    pub connect: Option<String>,
    /// It is a one-off container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_off: Option<OneOff>,
    /// When its image is pulled; None: when the engine doesn't have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullPolicy>,
    /// What is run in it after its start and before its stop.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// Which of its containers are replaced; said by a command, and never kept.
    #[serde(skip)]
    pub recreate: Recreate,
    /// Hex SHA-256 over everything whose change needs a new container; probes, needs, gates, entries and addresses are not in it.
    pub config_hash: String,
    /// Short digests of its parts (see [`super::Digests`]): they tell which of them changed.
    pub config_parts: String,
    /// Values that must never be shown (contents of secrets); empty strings are not listed.
    #[serde(skip)]
    pub secrets: Vec<String>,
}

impl Component {
    /// Whether its peers find it under its service's name.
    #[must_use]
    pub fn is_under_its_service(&self) -> bool {
        self.one_off.as_ref().is_none_or(|one_off| one_off.under_its_service)
    }
}

/// Which containers are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Recreate {
    /// Those that aren't what the file says now.
    #[default]
    Changed,
    /// All that this run didn't make.
    All {
        /// The run's identifier.
        run: String,
    },
    /// None, however outdated.
    None,
}

/// What makes a component a one-off container (`convoke run`): it is made like any other, and then belongs to whoever
/// asked for it: no run starts, replaces or awaits it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneOff {
    /// What tells it from others of its service.
    pub slug: String,
    /// The engine removes it when it ends.
    pub remove: bool,
    /// Peers find it under its service's name and aliases.
    pub under_its_service: bool,
}

/// What a container is made of, in the engine's terms. Serialised, it is the input of the configuration hash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// Replaces the image's entrypoint; `Some(vec![])` clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Environment; None as the value removes a variable of the image.
    pub environment: BTreeMap<String, Option<String>>,
    /// User, as `uid[:gid]` or names.
    pub user: Option<String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// Labels of the file; convoke's and Compose's own are added by the engine layer.
    pub labels: BTreeMap<String, String>,
    /// Published ports.
    pub ports: Vec<PortBinding>,
    /// Ports that the image or file exposes without publishing.
    pub expose: Vec<(u16, Protocol)>,
    /// Mounts, tmpfs included.
    pub mounts: Vec<Mount>,
    /// Networks, with the names under which peers reach it there. Empty with `network_mode`.
    pub networks: BTreeMap<NetworkKey, NetworkAttachment>,
    /// `network_mode` such as `host` or `none`.
    pub network_mode: Option<String>,
    /// Additional lines of the hosts file, `name` to address (or `host-gateway`).
    pub extra_hosts: Vec<(String, String)>,
    /// Run an init process as PID 1.
    pub init: bool,
    /// Resource limits.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Size of /dev/shm in bytes.
    pub shm_size: Option<u64>,
    /// Memory limit in bytes.
    pub mem_limit: Option<u64>,
    /// Restart policy.
    pub restart: RestartPolicy,
    /// Signal that stops it.
    pub stop_signal: Option<String>,
    /// Time between that signal and SIGKILL; None: 10 s.
    pub stop_grace_period: Option<Duration>,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities dropped.
    pub cap_drop: Vec<String>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// The root file system is read-only.
    pub read_only: bool,
    /// All privileges.
    pub privileged: bool,
    /// Allocate a terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub stdin_open: bool,
    /// Security options.
    pub security_opt: Vec<String>,
    /// Platform such as `linux/amd64`.
    pub platform: Option<String>,
    /// What goes to the engine as it is.
    #[serde(default)]
    pub settings: Settings,
}

impl ContainerSpec {
    /// The containers, by name, whose network, processes or shared memory this one shares.
    pub fn namespace_owners(&self) -> impl Iterator<Item = &str> {
        let modes = [self.network_mode.as_deref(), self.settings.pid.as_deref(), self.settings.ipc.as_deref()];
        modes.into_iter().flatten().filter_map(|mode| mode.strip_prefix("container:"))
    }

    /// The same, and those whose volumes it mounts.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        let volumes = self.settings.volumes_from.iter().filter_map(|from| from.split(':').next());
        self.namespace_owners().chain(volumes)
    }
}

/// How a component is on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAttachment {
    /// Names besides the service's, the component's and the container's.
    pub aliases: Vec<String>,
    /// Address that the file asks for.
    pub ipv4_address: Option<Ipv4Addr>,
    /// What else the engine is told.
    #[serde(default, skip_serializing_if = "EndpointSettings::is_default")]
    pub settings: EndpointSettings,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortBinding {
    /// Host address; None: the publish address (127.0.0.1 on a local engine).
    pub host_ip: Option<IpAddr>,
    /// Host port; None: the engine picks one.
    pub host_port: Option<u16>,
    /// Port inside.
    pub container_port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// A port's protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The engine's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Soft limit; -1 is unlimited.
    pub soft: i64,
    /// Hard limit; -1 is unlimited.
    pub hard: i64,
}

/// When the engine restarts a container by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Always.
    Always,
    /// On a non-zero exit, at most so many times (0: no limit).
    OnFailure {
        /// Limit.
        max_retries: u32,
    },
    /// Always, unless it was stopped.
    UnlessStopped,
}

/// A file put into a container before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFile {
    /// Absolute path inside.
    pub target: String,
    /// What is in it.
    pub content: FileContent,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// Where a file's content comes from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileContent {
    /// Given in the file or by the environment.
    Inline {
        /// The content; never printed.
        #[serde(skip)]
        bytes: Vec<u8>,
    },
    /// Read from the client's disk at creation (used for remote engines, where a bind mount can't work).
    Path {
        /// Absolute path.
        path: PathBuf,
    },
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline { bytes } => write!(f, "Inline({} bytes)", bytes.len()),
            Self::Path { path } => write!(f, "Path({})", path.display()),
        }
    }
}

/// The owner of a volume's root directory (`x-convoke.owner`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeOwner {
    /// Absolute mount point inside.
    pub target: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits; None leaves 0755.
    pub mode: Option<u32>,
}

/// A dependency that holds a start back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The component waited for.
    pub on: ComponentName,
    /// What is waited for.
    pub condition: GateCondition,
    /// `required: false`: a failure of the dependency opens the gate with a warning.
    pub required: bool,
}

/// What a gate waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateCondition {
    /// `service_started`.
    Started,
    /// `service_healthy`: convoke's ready.
    Ready,
    /// `service_completed_successfully`.
    Completed,
}

/// What a container's label keeps of its component, so that `ps`, `start`, `restart` and a reattach work without the
/// file. No environment and no secrets. Its serde form is a stable interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// How it is asked.
    #[serde(default)]
    pub probes: Probes,
    /// Peers that it needs.
    #[serde(default)]
    pub needs: BTreeSet<ComponentName>,
    /// What holds its start back.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// The early-exit rule holds for it.
    #[serde(default)]
    pub restarts_early_exit: bool,
    /// It is expected to exit 0.
    #[serde(default)]
    pub completes: bool,
    /// Time between its stop signal and SIGKILL; None: 10 s.
    #[serde(default)]
    pub stop_grace: Option<Duration>,
    /// What is run in it after its start and before its stop, but nothing that would tell a secret.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// The networks that it belongs on: an engine forgets those that it was taken off.
    #[serde(default)]
    pub networks: BTreeMap<NetworkKey, NetworkAttachment>,
}

impl Stored {
    /// What is kept of a component.
    #[must_use]
    pub fn of(component: &Component) -> Self {
        Self {
            probes: component.probes.clone(),
            needs: component.needs.clone(),
            gates: component.gates.clone(),
            restarts_early_exit: component.restarts_early_exit,
            completes: component.completes,
            stop_grace: component.spec.stop_grace_period,
            hooks: component.hooks.clone(),
            networks: component.spec.networks.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_a_newer_convoke_is_read_and_what_is_new_in_it_skipped() {
        let text = r#"{"probes":{"ready":{"tcp":{"port":80,"tls":true},"timeout":{"secs":1,"nanos":0},"every":5},
            "health":{"command":["x"],"shell":false,"interval":{"secs":1,"nanos":0},"timeout":{"secs":1,"nanos":0},
            "retries":3,"start_period":{"secs":0,"nanos":0},"mode":"new"},"grpc_too":{}},"needs":["a"],"tomorrow":1}"#;
        let stored: Stored = serde_json::from_str(text).unwrap();
        let ready = stored.probes.ready.unwrap();
        assert_eq!(ready.action.describe(), "tcp :80");
        assert!(stored.probes.health.is_some() && stored.needs.len() == 1);
    }
}
