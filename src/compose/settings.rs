//! What a service tells the engine and convoke itself doesn't act on: limits, devices, namespaces, name servers, logs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Settings of a container that go to the engine as they are. Numbers and texts have been checked, references not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Domain name inside.
    pub domainname: Option<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Their options.
    pub dns_opt: Vec<String>,
    /// Domains in which names are looked up.
    pub dns_search: Vec<String>,
    /// Other containers by another name: `container:alias`.
    pub links: Vec<String>,
    /// Hardware address on the first network.
    pub mac_address: Option<String>,
    /// Additional groups of the user.
    pub group_add: Vec<String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Rules about devices, in the kernel's notation.
    pub device_cgroup_rules: Vec<String>,
    /// Devices that a driver of the engine hands out, such as graphics processors.
    pub device_requests: Vec<DeviceRequest>,
    /// Namespace of processes.
    pub pid: Option<String>,
    /// Namespace of shared memory.
    pub ipc: Option<String>,
    /// Namespace of host names.
    pub uts: Option<String>,
    /// Namespace of users.
    pub userns_mode: Option<String>,
    /// Namespace of cgroups: `host` or `private`.
    pub cgroup: Option<String>,
    /// Cgroup above the container's.
    pub cgroup_parent: Option<String>,
    /// Processors, in billionths of one.
    pub nano_cpus: Option<i64>,
    /// Number of processors (Windows).
    pub cpu_count: Option<i64>,
    /// Part of the processors in percent (Windows).
    pub cpu_percent: Option<i64>,
    /// Period of the scheduler in microseconds.
    pub cpu_period: Option<i64>,
    /// Time in each such period.
    pub cpu_quota: Option<i64>,
    /// Period of the real-time scheduler.
    pub cpu_rt_period: Option<i64>,
    /// Time in each such period.
    pub cpu_rt_runtime: Option<i64>,
    /// Weight against other containers.
    pub cpu_shares: Option<i64>,
    /// Processors by number.
    pub cpuset: Option<String>,
    /// Memory that it is pushed back to when memory is short, in bytes.
    pub mem_reservation: Option<i64>,
    /// Memory and swap together in bytes; -1 is unlimited.
    pub memswap_limit: Option<i64>,
    /// How readily its memory is swapped, from 0 to 100.
    pub mem_swappiness: Option<i64>,
    /// Never end a process of it when memory is short.
    pub oom_kill_disable: bool,
    /// How readily a process of it is ended when memory is short.
    pub oom_score_adj: Option<i64>,
    /// Most processes; -1 is unlimited.
    pub pids_limit: Option<i64>,
    /// Where its output goes.
    pub logging: Option<Logging>,
    /// Annotations for the runtime.
    pub annotations: BTreeMap<String, String>,
    /// Options of the storage driver.
    pub storage_opt: BTreeMap<String, String>,
    /// The runtime.
    pub runtime: Option<String>,
    /// Isolation technology (Windows).
    pub isolation: Option<String>,
    /// Limits of block devices.
    pub blkio: Option<Blkio>,
    /// Containers whose volumes are mounted: `service[:mode]` or `container:name[:mode]`; resolved, `name[:mode]`.
    pub volumes_from: Vec<String>,
}

/// What is run in a container after its start and before its stop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// After each start by convoke, in this order: it isn't ready before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_start: Vec<Hook>,
    /// Before its stop signal, in this order and within its grace period.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_stop: Vec<Hook>,
}

impl Hooks {
    /// Whether there is nothing to run.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.post_start.is_empty() && self.pre_stop.is_empty()
    }
}

/// A command that is run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// Program and arguments.
    pub command: Vec<String>,
    /// User; None: the container's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// All privileges.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Working directory; None: the container's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Variables besides the container's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

impl Hook {
    /// The command, for people.
    #[must_use]
    pub fn line(&self) -> String {
        self.command.join(" ")
    }
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host.
    pub source: String,
    /// Path inside.
    pub target: String,
    /// Some of `r`, `w` and `m`.
    pub permissions: String,
}

/// Devices that a driver of the engine hands out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// The driver; None: any that has the capabilities.
    pub driver: Option<String>,
    /// How many; -1 is all.
    pub count: Option<i64>,
    /// Which.
    pub device_ids: Vec<String>,
    /// What they must be able to do.
    pub capabilities: Vec<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// What a mount is told besides what is mounted and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountOptions {
    /// SELinux relabels a path of the host: `z` for several containers, `Z` for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux: Option<String>,
    /// Which mounts below a path of the host are seen on the other side: `rshared` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation: Option<String>,
    /// Whether mounts below a path of the host come with it; None: they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursive: Option<Recursive>,
    /// Path inside the volume or image that is mounted instead of its root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
    /// Labels of a volume that is made for the mount.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The image's content isn't copied into a volume without a name; for one with a name its kind says so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nocopy: bool,
}

impl MountOptions {
    /// Whether nothing is set.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of mounts below a path of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recursive {
    /// They don't come with it.
    Disabled,
    /// They do, and stay writable though it is read-only.
    Writable,
    /// They do, and are read-only with it or the container isn't started.
    Readonly,
}

/// Where output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The driver; None: the engine's default.
    pub driver: Option<String>,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

/// Limits of block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blkio {
    /// Weight against other containers.
    pub weight: Option<u16>,
    /// Weights by device.
    pub weight_device: Vec<(String, u16)>,
    /// Bytes read a second, by device.
    pub device_read_bps: Vec<(String, i64)>,
    /// Reads a second.
    pub device_read_iops: Vec<(String, i64)>,
    /// Bytes written a second.
    pub device_write_bps: Vec<(String, i64)>,
    /// Writes a second.
    pub device_write_iops: Vec<(String, i64)>,
}

/// What the engine is told of a network's addresses, besides the IPv4 subnet and gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ipam {
    /// Whether it has addresses of IPv4; None: yes.
    pub enable_ipv4: Option<bool>,
    /// Whether it has addresses of IPv6; None: not.
    pub enable_ipv6: Option<bool>,
    /// Who hands addresses out; None: the engine itself.
    pub driver: Option<String>,
    /// That one's options.
    pub options: BTreeMap<String, String>,
    /// Part of the IPv4 subnet that dynamic addresses are from.
    pub ip_range: Option<String>,
    /// Addresses of it that are somebody else's, by name.
    pub aux_addresses: BTreeMap<String, String>,
    /// Its IPv6 subnet, if the file gives one.
    pub ipv6: Option<IpPool>,
    /// Further subnets, for drivers that take several of a kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<IpPool>,
}

impl Ipam {
    /// Whether the file says nothing of it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the engine itself hands out IPv4 addresses.
    #[must_use]
    pub fn is_plain_ipv4(&self) -> bool {
        self.enable_ipv4 != Some(false) && self.driver.as_deref().is_none_or(|driver| driver == "default")
    }
}

/// A subnet of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IpPool {
    /// Subnet in CIDR form.
    pub subnet: String,
    /// Gateway; None: the engine's choice.
    pub gateway: Option<String>,
    /// Part of it that dynamic addresses are from.
    pub ip_range: Option<String>,
    /// Addresses that are somebody else's, by name.
    pub aux_addresses: BTreeMap<String, String>,
}

/// What the engine is told of a container's place on a network, besides names and the IPv4 address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSettings {
    /// IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<std::net::Ipv6Addr>,
    /// Addresses on the link alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link_local_ips: Vec<String>,
    /// Hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// The network driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Name of the interface inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface_name: Option<String>,
    /// The default gateway is that of the network with the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gw_priority: Option<i64>,
    /// Networks are connected in this order, the highest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
}

impl EndpointSettings {
    /// Whether the file says nothing of it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
