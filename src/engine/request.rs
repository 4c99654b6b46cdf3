//! What an engine is asked to do.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::{Build, ContainerSpec, EndpointSettings, HealthCheck, HostFile, Ipam, OneOff, VolumeOwner};
use crate::names::{ClusterName, ComponentName, NetworkKey};

/// An IPv4 network in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    /// First address.
    pub base: Ipv4Addr,
    /// Number of leading bits that are fixed, at most 32.
    pub prefix: u8,
}

impl Subnet {
    /// The number of addresses.
    #[must_use]
    pub fn size(self) -> u64 {
        1u64 << (32 - u32::from(self.prefix.min(32)))
    }

    /// The n-th address; None past the end.
    #[must_use]
    pub fn address(self, n: u32) -> Option<Ipv4Addr> {
        (u64::from(n) < self.size()).then(|| Ipv4Addr::from(u32::from(self.base).wrapping_add(n)))
    }

    /// Whether the address is inside.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u64::from(u32::from(address).wrapping_sub(u32::from(self.base))) < self.size()
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is not an IPv4 subnet; write it like 10.231.0.0/24");
        let (base, prefix) = text.split_once('/').ok_or_else(error)?;
        let base: Ipv4Addr = base.parse().map_err(|_| error())?;
        let prefix: u8 = prefix.parse().ok().filter(|p| *p <= 32).ok_or_else(error)?;
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Ok(Self { base: Ipv4Addr::from(u32::from(base) & mask), prefix })
    }
}

impl TryFrom<String> for Subnet {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

/// A network to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateNetwork {
    /// The engine's name for it.
    pub name: String,
    /// Labels, ours included.
    pub labels: BTreeMap<String, String>,
    /// Driver; None: the default.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// No route to the outside.
    pub internal: bool,
    /// Others may attach.
    pub attachable: bool,
    /// Subnet; None: the engine's pick.
    pub subnet: Option<Subnet>,
    /// Gateway; goes with `subnet`.
    pub gateway: Option<Ipv4Addr>,
    /// Part of the subnet for dynamic addresses; goes with `subnet`.
    pub ip_range: Option<Subnet>,
    /// What else the file says of addresses.
    pub ipam: Ipam,
}

/// A volume to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateVolume {
    /// The engine's name for it.
    pub name: String,
    /// Labels, ours included.
    pub labels: BTreeMap<String, String>,
    /// Driver; None: the default.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
}

/// An image to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// The name that the image gets.
    pub tag: String,
    /// Cluster and service, for Compose's labels on the image.
    pub cluster: ClusterName,
    /// How.
    pub build: Build,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// For all platforms that the file names, rather than for the one that its containers run on.
    pub every_platform: bool,
}

/// A container to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateContainer {
    /// The component.
    pub component: ComponentName,
    /// The engine's name for the container.
    pub name: String,
    /// Image reference or id.
    pub image: String,
    /// What it is made of.
    pub spec: ContainerSpec,
    /// The health check; None with `health_disabled` false leaves the image's in place.
    pub health: Option<HealthCheck>,
    /// Turn the image's health check off.
    pub health_disabled: bool,
    /// All labels, the file's and ours and Compose's.
    pub labels: BTreeMap<String, String>,
    /// Attachments, in order: the first is made by the create call.
    pub networks: Vec<Attach>,
    /// The volumes by key, as they were made: one that somebody removed since is made again by the engine, silently, and
    /// has to be ours again. External ones have no labels of ours.
    pub volumes: BTreeMap<String, CreateVolume>,
    /// Names and addresses of peers for the hosts file (the file's `extra_hosts` are in `spec`).
    pub hosts: Vec<(String, Ipv4Addr)>,
    /// Address that ports without one are published on.
    pub publish_address: std::net::IpAddr,
    /// Volumes of a replaced container to carry over: mount point to volume name.
    pub carried_volumes: BTreeMap<String, String>,
    /// Files to put in before the start.
    pub files: Vec<HostFile>,
    /// Owners of volume roots.
    pub owners: Vec<VolumeOwner>,
    /// It is a one-off container.
    pub one_off: Option<OneOff>,
}

/// A network that a container is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Its key in the file.
    pub key: NetworkKey,
    /// The engine's id of the network.
    pub network_id: String,
    /// The engine's name of the network.
    pub network_name: String,
    /// Fixed address.
    pub address: Option<Ipv4Addr>,
    /// Names under which it is found there.
    pub aliases: Vec<String>,
    /// What else the file says of it.
    #[serde(default)]
    pub settings: EndpointSettings,
    /// Set the neighbour retransmission time to 50 ms: a connection to an address with nobody behind it then fails
    /// within 0.2 s rather than 3 s.
    pub fail_fast: bool,
}

/// A command to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Output beyond this many bytes is dropped (from the front).
    pub keep_output: usize,
    /// User; None: the container's.
    pub user: Option<String>,
    /// All privileges.
    pub privileged: bool,
    /// Working directory; None: the container's.
    pub working_dir: Option<String>,
    /// Variables besides the container's.
    pub environment: BTreeMap<String, String>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutcome {
    /// Exit code.
    pub code: i64,
    /// What it printed, both streams.
    pub output: String,
}

/// Which log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Go on with new lines until the container ends.
    pub follow: bool,
    /// At most so many of the last lines; None: all.
    pub tail: Option<usize>,
    /// Drop what is older.
    pub since: Option<Timestamp>,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The stream.
    pub source: LogSource,
    /// When the engine got it.
    pub at: Option<Timestamp>,
    /// The text, without its line end.
    pub text: Bytes,
}

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A step of a pull or build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The engine's text, such as `Downloading`, or a line of a build's output.
    pub text: String,
    /// Bytes so far, if known.
    pub current: Option<u64>,
    /// Bytes in all, if known.
    pub total: Option<u64>,
}

/// The path that an engine's `PathBuf` for a Compose file is joined from; used in labels.
#[must_use]
pub fn joined_paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",")
}
