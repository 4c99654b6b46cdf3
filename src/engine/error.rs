//! How an engine call fails, told with the verb that failed.

use std::fmt;
use std::time::Duration;

/// An engine call that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("failed to {verb}: {message}")]
pub struct EngineError {
    /// What was being done, to what.
    pub verb: Verb,
    /// The class of failure: what callers decide on.
    pub kind: ErrorKind,
    /// The engine's own text, or the transport's.
    pub message: String,
}

/// The classes of failure that callers tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing listens, or the connection broke.
    Unreachable,
    /// The engine didn't answer in time; the call may still have taken effect.
    Timeout(Duration),
    /// The object isn't there (404).
    NotFound,
    /// The image isn't there (404 on create, or refused by a registry).
    ImageMissing,
    /// A container of this name exists (409).
    NameTaken,
    /// A fixed container address is in use (403 at start).
    AddressTaken,
    /// A host port is in use by a process or another container.
    PortTaken,
    /// The subnet overlaps another network's (403).
    PoolOverlaps,
    /// The engine has no more subnets to give.
    PoolExhausted,
    /// The network has containers on it (403), the volume is in use (409).
    InUse,
    /// The command can't be run in the image: missing program, no permission.
    CommandInvalid,
    /// The disk is full.
    DiskFull,
    /// The engine's machine has no more of something else.
    Exhausted(Resource),
    /// The kernel refuses the container's control group, or a limit in it.
    CgroupRefused,
    /// The engine can't set its firewall rules.
    FirewallRefused,
    /// The request itself is wrong (400) or forbidden: trying again is useless.
    Rejected,
    /// A state conflict (409) that passes, such as a removal in progress.
    Conflict,
    /// The engine failed inside (500), or any other answer.
    Internal,
}

impl ErrorKind {
    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable | Self::Timeout(_) | Self::Conflict | Self::Internal => true,
            Self::Exhausted(resource) => resource.comes_back(),
            _ => false,
        }
    }
}

/// What a machine may run out of, apart from its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Memory.
    Memory,
    /// Processes and threads.
    Processes,
    /// Open files, or watches on files.
    Files,
    /// Kernel keys: each container takes one.
    Keys,
    /// Places on a bridge: a network has 1024 at most.
    BridgePorts,
    /// Control groups.
    Cgroups,
}

impl Resource {
    /// Whether there may be some again a moment later.
    const fn comes_back(self) -> bool {
        matches!(self, Self::Memory | Self::Processes | Self::Files)
    }
}

/// What was being done; its text follows "failed to".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Connect to the engine at this address.
    Connect(String),
    /// Ask the engine for its version.
    AskVersion,
    /// List what belongs to a cluster.
    Observe(String),
    /// Read the engine's events.
    Watch,
    /// Inspect a container.
    Inspect(String),
    /// Look for an image.
    FindImage(String),
    /// Pull an image.
    Pull(String),
    /// Build an image.
    Build(String),
    /// Load an image archive.
    Load(String),
    /// Create a network.
    CreateNetwork(String),
    /// Remove a network.
    RemoveNetwork(String),
    /// Look for who is on a network.
    Members(String),
    /// Take a container off a network.
    Disconnect(String),
    /// Put a container on a network.
    Attach(String),
    /// Create a volume.
    CreateVolume(String),
    /// Remove a volume.
    RemoveVolume(String),
    /// Create a container.
    Create(String),
    /// Put files into a container.
    PutFiles(String),
    /// Read files of a container.
    GetFiles(String),
    /// Start a container.
    Start(String),
    /// Stop a container.
    Stop(String),
    /// Signal a container.
    Kill(String),
    /// Crash a container.
    Crash(String),
    /// Freeze a container.
    Pause(String),
    /// Let a frozen container go on.
    Unpause(String),
    /// Remove a container.
    Remove(String),
    /// Rename a container.
    Rename(String),
    /// Run a command in a container.
    Exec(String),
    /// Read a container's log.
    Logs(String),
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(at) => write!(f, "connect to the engine at {at}"),
            Self::AskVersion => f.write_str("ask the engine for its version"),
            Self::Observe(name) => write!(f, "list what belongs to {name}"),
            Self::Watch => f.write_str("read the engine's events"),
            Self::Inspect(name) => write!(f, "inspect {name}"),
            Self::FindImage(name) => write!(f, "look for image {name}"),
            Self::Pull(name) => write!(f, "pull {name}"),
            Self::Build(name) => write!(f, "build {name}"),
            Self::Load(name) => write!(f, "load image {name}"),
            Self::CreateNetwork(name) => write!(f, "create network {name}"),
            Self::RemoveNetwork(name) => write!(f, "remove network {name}"),
            Self::Members(name) => write!(f, "look for who is on network {name}"),
            Self::Disconnect(name) => write!(f, "take a container off network {name}"),
            Self::Attach(name) => write!(f, "put {name} on its network"),
            Self::CreateVolume(name) => write!(f, "create volume {name}"),
            Self::RemoveVolume(name) => write!(f, "remove volume {name}"),
            Self::Create(name) => write!(f, "create {name}"),
            Self::PutFiles(name) => write!(f, "put files into {name}"),
            Self::GetFiles(name) => write!(f, "read files of {name}"),
            Self::Start(name) => write!(f, "start {name}"),
            Self::Stop(name) => write!(f, "stop {name}"),
            Self::Kill(name) => write!(f, "signal {name}"),
            Self::Crash(name) => write!(f, "crash {name}"),
            Self::Pause(name) => write!(f, "pause {name}"),
            Self::Unpause(name) => write!(f, "unpause {name}"),
            Self::Remove(name) => write!(f, "remove {name}"),
            Self::Rename(name) => write!(f, "rename {name}"),
            Self::Exec(name) => write!(f, "run a command in {name}"),
            Self::Logs(name) => write!(f, "read the log of {name}"),
        }
    }
}
