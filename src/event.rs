//! Facts about a run, in the past tense. Reporters read them; nothing else comes out of a run.
//!
//! The serialised form (one JSON object a line) is a stable interface, described in `docs/events.md`: fields are
//! added, never renamed or removed, within one [`VERSION`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::names::{ClusterName, ComponentName};

/// Version of the serialised form.
pub const VERSION: u32 = 1;

/// A moment, as the time since the run began. Serialised as whole microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub Duration);

impl Serialize for Stamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX))
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|micros| Self(Duration::from_micros(micros)))
    }
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Version of the form: [`VERSION`].
    pub v: u32,
    /// When, in microseconds since the run began.
    pub at: Stamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// A fact of this version.
    #[must_use]
    pub const fn new(at: Stamp, kind: EventKind) -> Self {
        Self { v: VERSION, at, kind }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The run began. Always the first.
    RunStarted {
        /// Identifier of the run; also in the labels of what it creates.
        run: String,
        /// The cluster.
        cluster: ClusterName,
        /// What was asked: `up`, `start`, `restart`, `stop`, `down`, `supervise`.
        command: String,
        /// Wall clock, RFC 3339.
        time: String,
        /// Every component, in the order of the file's services.
        components: Vec<ComponentName>,
    },
    /// The plan was made.
    Planned {
        /// What will be done to each component.
        actions: Vec<PlannedAction>,
    },
    /// An image is being pulled or built; at most one a second per image.
    ImageProgress {
        /// Image reference.
        image: String,
        /// The engine's text.
        text: String,
        /// Bytes so far.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        current: Option<u64>,
        /// Bytes in all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    /// An image is there.
    ImageReady {
        /// Image reference.
        image: String,
        /// Whether it was `present`, `pulled` or `built`.
        how: String,
        /// The components that are made from it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        components: Vec<ComponentName>,
    },
    /// A network was made.
    NetworkCreated {
        /// The engine's name.
        network: String,
        /// Its subnet in CIDR form.
        subnet: Option<String>,
    },
    /// A network was removed.
    NetworkRemoved {
        /// The engine's name.
        network: String,
    },
    /// A volume was made.
    VolumeCreated {
        /// The engine's name.
        volume: String,
    },
    /// A volume was removed.
    VolumeRemoved {
        /// The engine's name.
        volume: String,
    },
    /// A component's container was removed.
    ComponentRemoved {
        /// The component.
        component: ComponentName,
    },
    /// A component entered a phase.
    PhaseChanged {
        /// The component.
        component: ComponentName,
        /// The phase it is in now.
        phase: Phase,
        /// Why, where it isn't plain: `exited 1`, `kept`, `peer storage-controller is ready`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// What a component waits for changed.
    Waiting {
        /// The component.
        component: ComponentName,
        /// For people: `http :1234/ready answered 503`, `starts when db is ready`.
        why: String,
        /// Peers that it waits for.
        on: Vec<ComponentName>,
        /// There while a gate holds its start back: the phase that the peer has to reach first (`started`, `ready` or
        /// `completed`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gate: Option<Phase>,
    },
    /// A component's process ended.
    Exited {
        /// The component.
        component: ComponentName,
        /// Exit code.
        code: i64,
        /// Ended by the kernel for lack of memory.
        oom: bool,
        /// It will be started again (by its policy or the early-exit rule).
        restarts: bool,
    },
    /// Nothing moved for a while: who waits for whom.
    Stalled {
        /// One line a component that isn't ready, and one for each cycle.
        lines: Vec<String>,
    },
    /// Something to know that stops nothing.
    Warning {
        /// For people.
        message: String,
    },
    /// In a supervised run all is ready or completed; said each time that it becomes so.
    ClusterReady {
        /// Published ports of running components.
        endpoints: Vec<PublishedEndpoint>,
    },
    /// A supervised run lost a component, and will bring it back.
    RecoveryPlanned {
        /// The component.
        component: ComponentName,
        /// What happened to it.
        why: String,
        /// The pause before, in microseconds.
        after: Stamp,
        /// Which attempt in a row it is, from 1.
        attempt: u32,
        /// So many in a row are made.
        of: u32,
    },
    /// A supervised run gave a component up: it was brought back too often in a row, or nothing would help.
    GivenUp {
        /// All about it.
        failure: Failure,
    },
    /// Something isn't as the description says, and convoke won't or can't change it. Said once for as long as it lasts.
    DriftFound {
        /// The component that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        component: Option<ComponentName>,
        /// What was found.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A supervised run took another description of the cluster.
    DescriptionTaken {
        /// Components that are described otherwise now.
        changed: Vec<ComponentName>,
        /// Components that it didn't have before.
        added: Vec<ComponentName>,
        /// Components that it doesn't have any more.
        removed: Vec<ComponentName>,
    },
    /// The description of a supervised cluster was changed and can't be used: the one before holds on.
    DescriptionRefused {
        /// What is wrong with it.
        message: String,
    },
    /// A supervised run only looks on: the cluster is to be left stopped, or somebody else changes it.
    SupervisionPaused {
        /// Why.
        why: String,
    },
    /// A supervised run acts again.
    SupervisionResumed {},
    /// Supervision ended; the cluster goes on without it.
    SupervisionEnded {
        /// Why.
        why: String,
    },
    /// The engine has stopped answering a supervised run, which waits for it.
    EngineLost {
        /// What it last said, or didn't.
        why: String,
    },
    /// The engine answers again.
    EngineFound {},
    /// Something failed.
    Failed {
        /// All about it.
        failure: Failure,
    },
    /// The run ended. Always the last.
    RunFinished {
        /// How.
        outcome: Outcome,
        /// Published ports of ready components, as `component: address:port -> port`.
        endpoints: Vec<PublishedEndpoint>,
    },
}

/// A published port of a running component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedEndpoint {
    /// The component.
    pub component: ComponentName,
    /// `address:port` on the engine's host.
    pub host: String,
    /// Port inside.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// What a plan does to a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedAction {
    /// The component.
    pub component: ComponentName,
    /// `keep`, `create`, `start`, `replace`, `remove`.
    pub action: String,
    /// Why, for people.
    pub reason: String,
}

/// Where a component is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for its image, its networks, or a gate.
    Pending,
    /// The engine is making the container.
    Creating,
    /// The container is there.
    Created,
    /// The engine is starting it.
    Starting,
    /// Its process runs.
    Started,
    /// It accepts connections or answers its liveness probe.
    Live,
    /// Its readiness probe passes.
    Ready,
    /// It exited 0, as it should.
    Completed,
    /// It was ready or running, and its probe fails now.
    Unhealthy,
    /// It won't become ready.
    Failed,
    /// It was stopped, or ended and wasn't asked to run.
    Stopped,
    /// It exited and will be started again.
    Restarting,
}

impl Phase {
    /// The word for people and machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Live => "live",
            Self::Ready => "ready",
            Self::Completed => "completed",
            Self::Unhealthy => "unhealthy",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Restarting => "restarting",
        }
    }

    /// Ready or completed: nothing more to wait for.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Ready | Self::Completed)
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What failed, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The component; None: the run as a whole (an image, a network, the engine).
    pub component: Option<ComponentName>,
    /// What happened, in one line.
    pub what: String,
    /// Exit code of the process if it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// The last answer of its probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_probe: Option<String>,
    /// The last lines of its log, at most 20, secrets masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// What to try.
    pub hint: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every component is ready or completed (or, for `down` and `stop`: gone or stopped).
    Ready,
    /// A component failed.
    Failed,
    /// The deadline passed.
    DeadlinePassed,
    /// The engine can't be reached.
    EngineUnreachable,
    /// Interrupted by the user.
    Interrupted,
    /// Supervision ended, and left the cluster as it is.
    Released,
}

impl Outcome {
    /// The process's exit code for it.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ready | Self::Released => 0,
            Self::Failed => 1,
            Self::DeadlinePassed => 3,
            Self::EngineUnreachable => 4,
            Self::Interrupted => 130,
        }
    }
}
