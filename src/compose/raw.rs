//! The project as its files have it: short and long forms made one, variables replaced, several files merged, nothing
//! resolved. Paths are as written (relative to the working directory, `~` allowed), references aren't checked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::build_options::BuildOptions;
use super::place::{Place, Spanned};
use super::raw_parts::{
    Attachment, Dependency, FileRef, Healthcheck, Mount, OwnerRule, Port, ProbeRule, Protocol, Restart, Ulimit,
};
use super::settings::{Hooks, Ipam, Settings};
use crate::names::{ClusterName, NetworkKey, ServiceName, VolumeKey};
use crate::units::ByteSize;

/// What the Compose files say, taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The project's name: given, or else from the file's `name`, or else from the directory.
    pub name: ClusterName,
    /// `x-convoke.start`.
    pub start: Start,
    /// The services in the order of the file.
    pub services: IndexMap<ServiceName, Service>,
    /// Services that aren't part of it because none of their profiles is switched on.
    pub switched_off: IndexMap<ServiceName, Service>,
    /// Networks by key. The network `default` is here only if the file mentions it.
    pub networks: IndexMap<NetworkKey, Network>,
    /// Named volumes by key.
    pub volumes: IndexMap<VolumeKey, Volume>,
    /// Configs by key.
    pub configs: IndexMap<String, FileSource>,
    /// Secrets by key.
    pub secrets: IndexMap<String, FileSource>,
}

impl Project {
    /// Puts the services aside that have profiles of which none is `active` (`*` being all) and that aren't `named`.
    pub(super) fn switch_off(&mut self, active: &[String], named: &[String]) {
        let is_active = |profile: &Spanned<String>| active.iter().any(|one| one == "*" || *one == profile.value);
        let is_on = |name: &ServiceName, service: &Service| {
            service.profiles.is_empty()
                || service.profiles.iter().any(is_active)
                || named.iter().any(|one| one == name.as_str())
        };
        let (on, off) =
            std::mem::take(&mut self.services).into_iter().partition(|(name, service)| is_on(name, service));
        (self.services, self.switched_off) = (on, off);
    }

    /// Keeps the services that are named and what they depend on, need or are built from, and drops the others.
    pub fn keep(&mut self, named: &[ServiceName]) {
        let mut kept: BTreeSet<ServiceName> = BTreeSet::new();
        let mut open: Vec<ServiceName> = named.to_vec();
        while let Some(name) = open.pop() {
            let Some(service) = self.services.get(&name) else { continue };
            if kept.insert(name) {
                open.extend(service.depends_on.keys().cloned());
                // A single component of a service may be named, too.
                let of_service = |need: &str| self.services.keys().find(|own| is_or_has(own.as_str(), need));
                open.extend(service.convoke.needs.iter().filter_map(|need| of_service(&need.value)).cloned());
                let contexts = service.build.iter().flat_map(|build| build.options.kit.additional_contexts.values());
                open.extend(contexts.filter_map(|of| of.strip_prefix("service:")?.parse().ok()));
            }
        }
        self.services.retain(|name, _| kept.contains(name));
    }

    /// The names of all services, of those too that are switched off.
    pub fn all_services(&self) -> impl Iterator<Item = &ServiceName> {
        self.services.keys().chain(self.switched_off.keys())
    }

    /// All profiles that services have, in alphabetical order.
    #[must_use]
    pub fn profiles(&self) -> BTreeSet<&str> {
        let services = self.services.values().chain(self.switched_off.values());
        services.flat_map(|service| &service.profiles).map(|profile| profile.value.as_str()).collect()
    }
}

/// Whether `name` is the service, or a component of it: `service-n`.
fn is_or_has(service: &str, name: &str) -> bool {
    let number = name.strip_prefix(service).and_then(|rest| rest.strip_prefix('-'));
    name == service || number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// `x-convoke.start`: whether `depends_on` conditions hold starts back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// Conditions outside cycles gate the start.
    #[default]
    Gated,
    /// Only completion gates; all else starts at once.
    Together,
}

/// A service as written. Options that are lists or maps are empty when the file doesn't have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where its key stands.
    pub at: Place,
    /// It is a part of the project only if one of these is switched on. None: always.
    pub profiles: Vec<Spanned<String>>,
    /// Image reference. Either this or `build` is there.
    pub image: Option<Spanned<String>>,
    /// How to build the image.
    pub build: Option<Build>,
    /// Replaces the image's command; a string was split as a shell would.
    pub command: Option<Spanned<Vec<String>>>,
    /// Replaces the image's entrypoint; an empty list clears it.
    pub entrypoint: Option<Spanned<Vec<String>>>,
    /// Environment: `env_file` first, `environment` over it. None as the value removes a variable of the image.
    pub environment: IndexMap<String, Spanned<Option<String>>>,
    /// Published ports, ranges spelled out.
    pub ports: Vec<Port>,
    /// Ports exposed to peers, ranges spelled out.
    pub expose: Vec<(u16, Protocol)>,
    /// What is mounted: `volumes` in the order of the file, then `tmpfs`.
    pub mounts: Vec<Mount>,
    /// Networks that it is on. None: not mentioned, so the default network (unless `network_mode` says otherwise).
    pub networks: Option<IndexMap<NetworkKey, Attachment>>,
    /// `host`, `none`, `bridge`, `service:NAME`, `container:NAME` or a network of the engine. Never together with
    /// `networks`.
    pub network_mode: Option<Spanned<String>>,
    /// What it depends on.
    pub depends_on: IndexMap<ServiceName, Dependency>,
    /// Health check of the file.
    pub healthcheck: Option<Healthcheck>,
    /// Configs that it gets.
    pub configs: Vec<FileRef>,
    /// Secrets that it gets.
    pub secrets: Vec<FileRef>,
    /// Run an init process as PID 1.
    pub init: bool,
    /// User, as `uid[:gid]` or names.
    pub user: Option<String>,
    /// Working directory inside.
    pub working_dir: Option<String>,
    /// Resource limits by name.
    pub ulimits: IndexMap<String, Ulimit>,
    /// Size of /dev/shm.
    pub shm_size: Option<ByteSize>,
    /// Memory limit.
    pub mem_limit: Option<ByteSize>,
    /// Restart policy; None: not mentioned.
    pub restart: Option<Restart>,
    /// Signal that stops it.
    pub stop_signal: Option<String>,
    /// Time between that signal and SIGKILL.
    pub stop_grace_period: Option<Duration>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// The engine's name for its container.
    pub container_name: Option<Spanned<String>>,
    /// Additional host names with their address (or `host-gateway`); a name may come several times.
    pub extra_hosts: Vec<(String, String)>,
    /// Labels.
    pub labels: IndexMap<String, String>,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities dropped.
    pub cap_drop: Vec<String>,
    /// Kernel parameters.
    pub sysctls: IndexMap<String, String>,
    /// The root file system is read-only; the place is for problems with files put into it.
    pub read_only: Option<Spanned<bool>>,
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
    /// When the image is pulled.
    pub pull_policy: Option<PullPolicy>,
    /// How many containers: `scale` or `deploy.replicas`. None: one.
    pub scale: Option<Spanned<u32>>,
    /// Names of other services' containers: `service[:alias]`.
    pub links: Vec<Spanned<String>>,
    /// Names of containers of others: `container[:alias]`.
    pub external_links: Vec<String>,
    /// Services and containers whose volumes it mounts, as in [`Settings::volumes_from`].
    pub volumes_from: Vec<Spanned<String>>,
    /// What is run in its containers around their lives.
    pub hooks: Hooks,
    /// What goes to the engine as it is.
    pub settings: Settings,
    /// Convoke's own keys.
    pub convoke: ServiceConvoke,
}

impl Service {
    /// The services whose containers have to be there, or to run, before its own can: those whose network, processes or
    /// shared memory it shares, or whose volumes it mounts.
    pub fn shares_with(&self) -> impl Iterator<Item = &str> {
        let mode = self.network_mode.as_ref().map(|mode| mode.value.as_str());
        let namespaces = [mode, self.settings.pid.as_deref(), self.settings.ipc.as_deref()];
        let volumes = self.volumes_from.iter().filter(|from| !from.value.starts_with("container:"));
        let volumes = volumes.filter_map(|from| from.value.split(':').next());
        namespaces.into_iter().flatten().filter_map(|mode| mode.strip_prefix("service:")).chain(volumes)
    }

    /// A service with nothing set.
    #[must_use]
    pub fn empty(at: Place) -> Self {
        Self {
            at,
            profiles: Vec::new(),
            image: None,
            build: None,
            command: None,
            entrypoint: None,
            environment: IndexMap::new(),
            ports: Vec::new(),
            expose: Vec::new(),
            mounts: Vec::new(),
            networks: None,
            network_mode: None,
            depends_on: IndexMap::new(),
            healthcheck: None,
            configs: Vec::new(),
            secrets: Vec::new(),
            init: false,
            user: None,
            working_dir: None,
            ulimits: IndexMap::new(),
            shm_size: None,
            mem_limit: None,
            restart: None,
            stop_signal: None,
            stop_grace_period: None,
            hostname: None,
            container_name: None,
            extra_hosts: Vec::new(),
            labels: IndexMap::new(),
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            sysctls: IndexMap::new(),
            read_only: None,
            privileged: false,
            tty: false,
            stdin_open: false,
            security_opt: Vec::new(),
            platform: None,
            pull_policy: None,
            scale: None,
            links: Vec::new(),
            external_links: Vec::new(),
            volumes_from: Vec::new(),
            hooks: Hooks::default(),
            settings: Settings::default(),
            convoke: ServiceConvoke::default(),
        }
    }
}

/// `x-convoke` of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceConvoke {
    /// Passes when it accepts connections.
    pub live: Option<ProbeRule>,
    /// Passes when it can do its work.
    pub ready: Option<ProbeRule>,
    /// Services (or single components, `service-n`) that it needs to become ready.
    pub needs: Vec<Spanned<String>>,
    /// Owners of volume roots.
    pub owner: Vec<OwnerRule>,
    /// It is expected to exit 0.
    pub completes: Option<bool>,
    /// How long its own boot takes, as a hint for the order of starts.
    pub boot: Option<Duration>,
    /// What to type to use it, shown when the cluster is ready.
    pub connect: Option<String>,
}

/// How to build an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Where `build` stands.
    pub at: Place,
    /// Directory that is sent to the engine; `.` when not given.
    pub context: Spanned<String>,
    /// Path of the Dockerfile, relative to the context; None: `Dockerfile`.
    pub dockerfile: Option<Spanned<String>>,
    /// Dockerfile text; never together with `dockerfile`.
    pub dockerfile_inline: Option<Spanned<String>>,
    /// Build arguments; None where neither the file nor the environment has a value.
    pub args: IndexMap<String, Option<String>>,
    /// Stage to build.
    pub target: Option<String>,
    /// Secrets that its commands may read.
    pub secrets: Vec<FileRef>,
    /// What else it is told.
    pub options: BuildOptions,
    /// Where its keys stand.
    pub places: BTreeMap<String, Place>,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Each time.
    Always,
    /// When the engine doesn't have it (`missing`, `if_not_present`).
    Missing,
    /// Never; it must be there.
    Never,
    /// It is built, even if it is there.
    Build,
    /// When it was pulled longer ago than this (`daily`, `weekly`, `every_12h`).
    Every(Duration),
}

/// A network as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Where its key stands.
    pub at: Place,
    /// The engine's name for it; None: made from project and key (the key itself if external).
    pub name: Option<String>,
    /// Made by somebody else.
    pub external: bool,
    /// Driver.
    pub driver: Option<Spanned<String>>,
    /// Driver options.
    pub driver_opts: IndexMap<String, String>,
    /// No route to the outside.
    pub internal: bool,
    /// Containers outside the project may attach.
    pub attachable: bool,
    /// Labels.
    pub labels: IndexMap<String, String>,
    /// Subnet in CIDR form, checked: address and prefix length.
    pub subnet: Option<Spanned<String>>,
    /// Gateway; only together with a subnet.
    pub gateway: Option<Spanned<Ipv4Addr>>,
    /// What else is said of addresses.
    pub ipam: Ipam,
}

/// A named volume as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Where its key stands.
    pub at: Place,
    /// The engine's name for it; None: made from project and key (the key itself if external).
    pub name: Option<String>,
    /// Made by somebody else.
    pub external: bool,
    /// Driver.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: IndexMap<String, String>,
    /// Labels.
    pub labels: IndexMap<String, String>,
}

/// A config or secret as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource {
    /// Where its key stands.
    pub at: Place,
    /// Where its content comes from.
    pub origin: FileOrigin,
}

/// Where a config's or secret's content comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum FileOrigin {
    /// A path on the client.
    File(Spanned<String>),
    /// The content itself. Not in the debug form.
    Content(Spanned<String>),
    /// The name of a variable of the environment.
    Environment(Spanned<String>),
    /// Kept by the engine (Swarm) under this name.
    External(String),
}

impl std::fmt::Debug for FileOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({:?})", path.value),
            Self::Content(content) => write!(f, "Content({} bytes)", content.value.len()),
            Self::Environment(name) => write!(f, "Environment({:?})", name.value),
            Self::External(name) => write!(f, "External({name:?})"),
        }
    }
}
