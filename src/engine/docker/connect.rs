//! Connecting: find the engine, ask what it is, agree on an API version.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{SystemInfo, SystemVersion};
use jiff::Timestamp;

use super::address::{Address, Surroundings};
use super::credentials::Credentials;
use super::failure::{QUESTION, explain, refused, within};
use super::subnets::{AddressPool, default_pools};
use crate::engine::{EngineError, EngineInfo, ErrorKind, Result, Verb};
use crate::names::ContainerId;

/// The client's own time limit up to an answer's head. Each call has a shorter one of ours; this one only has to be
/// longer than any: a stop with a client limit shorter than its grace period fails while the engine goes on.
pub(super) const CLIENT_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Describing itself takes the engine's locks one after the other: slow under load, for ever where it is deadlocked
/// (seen on 20.10.24: containers that ended while others left the same network).
const SELF_DESCRIPTION: Duration = Duration::from_secs(20);

/// How an engine says that containerd keeps its images.
const CONTAINERD_STORE: &str = "io.containerd.snapshotter.v1";

/// A version of the engine's API, such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// The part before the point.
    pub major: u32,
    /// The part after it.
    pub minor: u32,
}

impl ApiVersion {
    /// What 20.10 speaks: the oldest version that convoke is made for, assumed where the engine doesn't say.
    pub const OLDEST: Self = Self::new(1, 41);
    /// From here on a bind mount can ask for its source to be made.
    pub(super) const MAKES_MOUNT_SOURCES: Self = Self::new(1, 42);
    /// From here on a container takes annotations.
    pub(super) const ANNOTATIONS: Self = Self::new(1, 43);
    /// From here on a create call takes several networks, and a health check a start interval.
    pub(super) const MANY_NETWORKS: Self = Self::new(1, 44);
    /// From here on mounts below a mounted path can be made read-only with it, or not.
    pub(super) const RECURSIVE_MOUNTS: Self = Self::new(1, 44);
    /// From here on a part of a volume can be mounted.
    pub(super) const VOLUME_SUBPATHS: Self = Self::new(1, 45);
    /// From here on an endpoint takes kernel parameters, and the container's own may not name interfaces.
    pub(super) const ENDPOINT_SYSCTLS: Self = Self::new(1, 46);
    /// From here on a network can do without IPv4.
    pub(super) const WITHOUT_IPV4: Self = Self::new(1, 47);
    /// From here on images can be mounted, and an endpoint can say how much it is wanted as the way out.
    pub(super) const IMAGE_MOUNTS: Self = Self::new(1, 48);
    /// From here on an endpoint can name its interface.
    pub(super) const INTERFACE_NAMES: Self = Self::new(1, 49);

    /// A version by its two parts.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// What an older engine would leave out without a word is refused by name.
    pub(super) fn require(self, least: Self, what: &str) -> std::result::Result<(), String> {
        if self < least {
            return Err(format!("{what} an engine of API {least} or newer, and this one has {self}"));
        }
        Ok(())
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What time an engine said it is, and between which moments of this machine it said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineTime {
    /// Its own.
    pub said: Timestamp,
    /// Before it was asked.
    pub asked: Timestamp,
    /// After it had answered.
    pub answered: Timestamp,
}

/// A Docker engine. A clone is another handle to the same connection.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) docker: Docker,
    pub(super) address: Address,
    pub(super) api: ApiVersion,
    pub(super) info: EngineInfo,
    architecture: String,
    /// Images are kept with all their platforms.
    pub(super) keeps_platforms: bool,
    /// Docker's plugin for builds, or why there is none.
    pub(super) buildx: std::result::Result<PathBuf, String>,
    /// What `DOCKER_DEFAULT_PLATFORM` says.
    pub(super) default_platform: Option<String>,
    time: Option<EngineTime>,
    pub(super) pools: Vec<AddressPool>,
    pub(super) credentials: Credentials,
    /// Names of the containers seen so far, so that errors name a component rather than an id.
    names: Mutex<HashMap<ContainerId, String>>,
}

impl DockerEngine {
    /// Connects to the engine at `host`, or where the environment and Docker's configuration say.
    ///
    /// # Errors
    /// When the address is of a kind that isn't supported, or nothing there answers as an engine within 5 s.
    pub async fn connect(host: Option<&str>) -> Result<Self> {
        Self::connect_in(&Surroundings::of_process(), host).await
    }

    /// Like [`Self::connect`], with the environment given.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_in(around: &Surroundings, host: Option<&str>) -> Result<Self> {
        let address = around
            .engine_address(host)
            .map_err(|message| refused(Verb::Connect(host.unwrap_or("the configured address").to_owned()), message))?;
        let verb = Verb::Connect(address.to_string());
        let docker = client(&address).map_err(|error| with_hint(explain(verb.clone(), error), &address))?;
        let asked = Timestamp::now();
        let (version, info) = tokio::try_join!(within(QUESTION, verb.clone(), docker.version()), async {
            within(SELF_DESCRIPTION, verb, docker.info()).await.map_err(stuck)
        },)
        .map_err(|error| with_hint(error, &address))?;
        let said = info.system_time.as_ref().and_then(|time| time.parse().ok());
        let api = negotiated(&version);
        let docker = agree(docker).await;
        let inner = Inner {
            info: engine_info(&address, api, &version, &info),
            pools: pools_of(&info),
            keeps_platforms: info.driver_status.iter().flatten().flatten().any(|text| text == CONTAINERD_STORE),
            buildx: around.buildx(),
            default_platform: around.variable("DOCKER_DEFAULT_PLATFORM").map(ToOwned::to_owned),
            time: said.map(|said| EngineTime { said, asked, answered: Timestamp::now() }),
            architecture: info.architecture.unwrap_or_default(),
            credentials: Credentials::read(around.docker_config().as_deref()),
            names: Mutex::default(),
            docker,
            address,
            api,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What the engine said of itself when it was connected to.
    #[must_use]
    pub fn known_info(&self) -> &EngineInfo {
        &self.inner.info
    }

    /// The processor of its machine, in its own word: `x86_64`, `aarch64`, `arm64` …
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.inner.architecture
    }

    /// What time it was there when it was connected to, if it said so.
    #[must_use]
    pub fn time(&self) -> Option<EngineTime> {
        self.inner.time
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.inner.docker
    }

    pub(super) async fn ask_info(&self) -> Result<EngineInfo> {
        let docker = self.docker();
        let (version, info) = tokio::try_join!(within(QUESTION, Verb::AskVersion, docker.version()), async {
            within(SELF_DESCRIPTION, Verb::AskVersion, docker.info()).await.map_err(stuck)
        },)?;
        Ok(engine_info(&self.inner.address, negotiated(&version), &version, &info))
    }

    /// Keeps a container's name for the texts of later errors.
    pub(super) fn remember(&self, id: &ContainerId, name: &str) {
        let mut names = self.inner.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(id.clone(), name.to_owned());
    }

    /// The name of a container as far as it is known, else its short id.
    pub(super) fn name_of(&self, id: &ContainerId) -> String {
        let names = self.inner.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(id).cloned().unwrap_or_else(|| id.short().to_owned())
    }
}

fn client(address: &Address) -> std::result::Result<Docker, bollard::errors::Error> {
    let limit = CLIENT_LIMIT.as_secs();
    match address {
        Address::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), limit, bollard::API_DEFAULT_VERSION),
        Address::Tcp(host) => Docker::connect_with_http(&format!("tcp://{host}"), limit, bollard::API_DEFAULT_VERSION),
    }
}

/// Bollard 0.21 sends no version, so that the engine answers as its newest; from 0.22 on this decides what it sends.
async fn agree(docker: Docker) -> Docker {
    match tokio::time::timeout(QUESTION, docker.clone().negotiate_version()).await {
        Ok(Ok(agreed)) => agreed,
        Ok(Err(error)) => {
            tracing::warn!(%error, "no API version could be agreed on with the engine; going on without");
            docker
        }
        Err(_) => {
            tracing::warn!("the engine didn't answer when asked for its API version; going on without");
            docker
        }
    }
}

fn negotiated(version: &SystemVersion) -> ApiVersion {
    let said = version.api_version.as_deref().unwrap_or_default();
    ApiVersion::parse(said).unwrap_or_else(|| {
        tracing::warn!(version = said, "the engine's API version is unknown; assuming {}", ApiVersion::OLDEST);
        ApiVersion::OLDEST
    })
}

fn engine_info(address: &Address, api: ApiVersion, version: &SystemVersion, info: &SystemInfo) -> EngineInfo {
    let operating_system = info.operating_system.clone().unwrap_or_default();
    let ours = OwnPlace::of_process();
    EngineInfo {
        version: version.version.clone().or_else(|| info.server_version.clone()).unwrap_or_default(),
        api_version: api.to_string(),
        address: address.to_string(),
        is_local: is_local(address, &operating_system, info.name.as_deref().unwrap_or_default(), &ours),
        cpus: info.ncpu.and_then(|count| usize::try_from(count).ok()).unwrap_or(1).max(1),
        operating_system,
        memory: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
    }
}

/// Where convoke itself runs.
struct OwnPlace {
    in_container: bool,
    host_name: String,
    on_linux: bool,
}

impl OwnPlace {
    fn of_process() -> Self {
        let in_container = ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists());
        let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        Self { in_container, host_name, on_linux: cfg!(target_os = "linux") }
    }
}

/// Whether the engine sees our files and shares our 127.0.0.1.
///
/// A socket alone doesn't say so: Docker Desktop's engine is in a virtual machine, as is every engine on a system other
/// than Linux, and a container with the socket mounted (a sibling) has other files than the engine.
fn is_local(address: &Address, operating_system: &str, engine_host: &str, ours: &OwnPlace) -> bool {
    let sibling = ours.in_container && !engine_host.is_empty() && engine_host != ours.host_name;
    matches!(address, Address::Unix(_)) && ours.on_linux && !operating_system.contains("Docker Desktop") && !sibling
}

fn pools_of(info: &SystemInfo) -> Vec<AddressPool> {
    let configured: Vec<AddressPool> = info
        .default_address_pools
        .iter()
        .flatten()
        .filter_map(|pool| {
            let base = pool.base.as_deref()?.parse().ok()?;
            Some(AddressPool { base, prefix: u8::try_from(pool.size?).ok()? })
        })
        .collect();
    if configured.is_empty() { default_pools() } else { configured }
}

/// The version was told at once, and the rest isn't coming: that is another trouble than no engine.
fn stuck(mut error: EngineError) -> EngineError {
    if let ErrorKind::Timeout(limit) = error.kind {
        let seconds = limit.as_secs();
        error.message = format!(
            "it is there but hasn't described itself for {seconds} s: overloaded, or stuck; if `docker info` hangs too, restart it"
        );
    }
    error
}

/// Says what to do where it isn't the engine that is missing but the right to talk to it.
fn with_hint(mut error: EngineError, address: &Address) -> EngineError {
    let denied = error.message.to_lowercase().contains("permission denied");
    if let (Address::Unix(path), ErrorKind::Unreachable, true) = (address, &error.kind, denied) {
        error.message = format!("{}; may this user open {}?", error.message, path.display());
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(ApiVersion::parse("1.9").unwrap() < ApiVersion::OLDEST);
        assert_eq!(ApiVersion::parse("1.41").unwrap(), ApiVersion::OLDEST);
        assert!(ApiVersion::parse("1").is_none());
    }

    #[test]
    fn which_engines_are_local() {
        let unix = Address::Unix("/var/run/docker.sock".into());
        let place = |in_container, host_name: &str, on_linux| OwnPlace {
            in_container,
            host_name: host_name.to_owned(),
            on_linux,
        };
        assert!(is_local(&unix, "Debian GNU/Linux 12", "box", &place(false, "box", true)));
        assert!(is_local(&unix, "Debian GNU/Linux 12", "old-name", &place(false, "box", true)));
        assert!(!is_local(&unix, "Docker Desktop", "box", &place(false, "box", true)));
        assert!(!is_local(&Address::Tcp("box:2375".into()), "Debian", "box", &place(false, "box", true)));
        assert!(!is_local(&unix, "Debian", "box", &place(true, "3f2a91", true)));
        assert!(is_local(&unix, "Debian", "box", &place(true, "box", true)));
        assert!(!is_local(&unix, "Alpine", "colima", &place(false, "mac", false)));
    }

    #[tokio::test]
    async fn an_engine_that_accepts_and_is_silent_is_a_timeout() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silent.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let silent = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        tokio::time::pause();
        let error = DockerEngine::connect_in(&Surroundings::default(), path.to_str()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout(QUESTION));
        silent.abort();
    }

    #[tokio::test]
    async fn a_missing_socket_is_unreachable_and_is_named() {
        let error = DockerEngine::connect_in(&Surroundings::default(), Some("/nowhere.sock")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert!(error.to_string().contains("there is no socket /nowhere.sock"), "{error}");
    }
}
