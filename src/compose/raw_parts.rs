//! The parts of a service that have a short and a long form, each in one form.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::place::{Place, Spanned};
use super::settings::{EndpointSettings, MountOptions};
use crate::names::VolumeKey;
use crate::units::ByteSize;

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Where it stands.
    pub at: Place,
    /// Host address; None: not given.
    pub host_ip: Option<IpAddr>,
    /// Port of the host; None: the engine picks one.
    pub published: Option<u16>,
    /// Port inside the container.
    pub target: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// A port's protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Something mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it stands.
    pub at: Place,
    /// Absolute path inside.
    pub target: String,
    /// What is mounted.
    pub kind: MountKind,
    /// Not writable.
    pub read_only: bool,
    /// What else is said of it.
    pub options: MountOptions,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A volume.
    Volume {
        /// Its key; None: an anonymous one.
        source: Option<Spanned<VolumeKey>>,
        /// Don't copy the image's content into an empty volume.
        nocopy: bool,
    },
    /// A path of the host.
    Bind {
        /// As written: absolute, relative to the working directory, or beginning with `~`.
        source: Spanned<String>,
        /// Make the path if it isn't there (as a directory).
        create: bool,
    },
    /// Memory.
    Tmpfs {
        /// Size limit.
        size: Option<ByteSize>,
        /// Permission bits.
        mode: Option<u32>,
        /// Other options of the short form, such as `noexec` or `uid=1000`, separated by commas.
        options: Option<String>,
    },
    /// The files of an image.
    Image {
        /// Its reference.
        source: Spanned<String>,
    },
}

/// How a service is on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Where the network is named.
    pub at: Place,
    /// Additional names.
    pub aliases: Vec<String>,
    /// Fixed address.
    pub ipv4_address: Option<Spanned<Ipv4Addr>>,
    /// What else the engine is told.
    pub settings: EndpointSettings,
    /// Where `ipv6_address` stands.
    pub ipv6_at: Option<Place>,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Where the other service is named.
    pub at: Place,
    /// What is waited for.
    pub condition: Condition,
    /// False: a failure of the dependency, or its absence, is only a warning.
    pub required: bool,
    /// Compose restarts this service when it restarts the dependency.
    pub restart: bool,
}

/// A dependency's condition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    /// `service_started`, the short form's.
    #[default]
    Started,
    /// `service_healthy`.
    Healthy,
    /// `service_completed_successfully`.
    Completed,
}

/// A health check. Times are None when not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// Where it stands.
    pub at: Place,
    /// What is run. None: the image's own command, with the times given here.
    pub test: Option<Test>,
    /// `disable: true` or the test `NONE`: not even the image's own is used.
    pub disabled: bool,
    /// Pause between checks.
    pub interval: Option<Duration>,
    /// Time limit of one check.
    pub timeout: Option<Duration>,
    /// Failures in a row that make it unhealthy.
    pub retries: Option<u32>,
    /// Failures this soon after the start don't count.
    pub start_period: Option<Duration>,
    /// Pause between checks during the start period.
    pub start_interval: Option<Duration>,
}

/// What a health check runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// `CMD`: program and arguments.
    Command(Vec<String>),
    /// `CMD-SHELL` or a plain string: a line for `/bin/sh -c`.
    Shell(String),
}

/// A config or secret that a service gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// Key of the config or secret, and where it is named.
    pub source: Spanned<String>,
    /// Path inside. None: `/<source>` for configs, `/run/secrets/<source>` for secrets. A secret's relative path is
    /// meant below `/run/secrets`.
    pub target: Option<Spanned<String>>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// A resource limit; -1 is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ulimit {
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// When the engine restarts a container by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Never.
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

/// `x-convoke.live` or `ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRule {
    /// Where it stands.
    pub at: Place,
    /// What is done.
    pub action: ProbeAction,
    /// Time limit of one attempt; None: convoke's choice.
    pub timeout: Option<Duration>,
}

/// The ways to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAction {
    /// `GET path`, passes on a status from 200 to 399.
    Http {
        /// Port inside the container.
        port: u16,
        /// Path with its leading slash.
        path: String,
        /// Additional request headers.
        headers: Vec<(String, String)>,
    },
    /// Passes when a connection is accepted.
    Tcp {
        /// Port inside the container.
        port: u16,
    },
    /// Passes when the command exits 0; a string was split as a shell would.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// Passes once a log line contains the text.
    Log {
        /// Text to look for.
        contains: String,
    },
    /// Passes when the engine says `healthy`.
    EngineHealth,
}

/// An entry of `x-convoke.owner`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRule {
    /// Where it stands.
    pub at: Place,
    /// Mount point inside, which must be a volume of the service.
    pub target: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: Option<u32>,
}
