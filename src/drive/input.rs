//! What goes into the driver and what comes out.

use std::time::Duration;

use jiff::Timestamp;

use super::supervise::Order;
use crate::cluster::{Build, Hook, Probe};
use crate::engine::{
    Attach, CreateContainer, CreateNetwork, CreateVolume, EngineError, ImageInfo, Observed, ObservedContainer, Progress,
};
use crate::event::{Event, Outcome};
use crate::names::{ComponentName, ContainerId, NetworkKey, VolumeKey};
use crate::probe::{Answer, Target};

/// Something that the driver learns.
#[derive(Debug, Clone)]
pub enum Input {
    /// The run begins.
    Begin,
    /// The time asked for by [`Effect::Wake`] has come.
    Tick,
    /// News of the engine's event stream.
    Feed(Feed),
    /// A call ended.
    Done(Done),
    /// A pull or build goes on.
    Progress {
        /// Image reference.
        image: String,
        /// How far.
        progress: Progress,
    },
    /// A probe was answered.
    Answered {
        /// The component.
        component: ComponentName,
        /// The run of the component that was asked.
        run: u64,
        /// Which of its probes.
        which: Which,
        /// The answer.
        answer: Answer,
    },
    /// What a supervised run is told.
    Order(Order),
    /// The user wants to end it.
    Interrupt,
}

/// News of the event stream.
#[derive(Debug, Clone)]
pub enum Feed {
    /// It is in place: whatever happens from now on will be told.
    Subscribed,
    /// Something happened to a container.
    Changed {
        /// Its id.
        id: ContainerId,
        /// The engine's word.
        action: String,
    },
    /// It broke, or never came to be; a new one must be asked for. None: it ended without a word.
    Lost(Option<EngineError>),
}

/// Which of a component's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// Liveness.
    Live,
    /// Readiness.
    Ready,
}

/// A call's result.
#[derive(Debug, Clone)]
pub enum Done {
    /// [`Call::Observe`].
    Observed(Result<Box<Observed>, EngineError>),
    /// [`Call::Inspect`].
    Inspected(ComponentName, ContainerId, Result<Option<Box<ObservedContainer>>, EngineError>),
    /// [`Call::FindImage`] and [`Call::ObtainImage`].
    Image(String, Result<Option<ImageInfo>, EngineError>),
    /// [`Call::CreateNetwork`]: the network's id.
    NetworkCreated(NetworkKey, Result<String, EngineError>),
    /// [`Call::CreateVolume`].
    VolumeCreated(VolumeKey, Result<(), EngineError>),
    /// [`Call::Create`].
    Created(ComponentName, Result<ContainerId, EngineError>),
    /// [`Call::Start`].
    Started(ComponentName, ContainerId, Result<(), EngineError>),
    /// [`Call::PostStart`]: what went wrong, for people.
    Hooked(ComponentName, u64, Result<(), String>),
    /// [`Call::Connect`].
    Connected(ComponentName, ContainerId, Result<(), EngineError>),
    /// [`Call::Stop`], [`Call::Remove`], [`Call::Rename`] or [`Call::Unpause`] of a component's container.
    Changed(ComponentName, Result<(), EngineError>),
    /// [`Call::RemoveSurplus`].
    SurplusRemoved(ContainerId, Result<(), EngineError>),
    /// [`Call::RemoveTwin`].
    TwinRemoved(String, Result<(), EngineError>),
    /// [`Call::LogTail`]: last lines.
    LogTail(ComponentName, Vec<String>),
}

impl Done {
    /// The error that it ended with.
    #[must_use]
    pub fn error(&self) -> Option<&EngineError> {
        match self {
            Self::Observed(result) => result.as_ref().err(),
            Self::Inspected(_, _, result) => result.as_ref().err(),
            Self::Image(_, result) => result.as_ref().err(),
            Self::NetworkCreated(_, result) => result.as_ref().err(),
            Self::Created(_, result) => result.as_ref().err(),
            Self::VolumeCreated(_, result)
            | Self::Started(_, _, result)
            | Self::Connected(_, _, result)
            | Self::Changed(_, result)
            | Self::TwinRemoved(_, result)
            | Self::SurplusRemoved(_, result) => result.as_ref().err(),
            Self::LogTail(..) | Self::Hooked(..) => None,
        }
    }
}

/// Something that the shell is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Subscribe to the engine's events, after a pause.
    Watch {
        /// Pause before.
        after: Duration,
    },
    /// Make a call; its end comes back as [`Input::Done`].
    Call(Call),
    /// Ask a component; the answer comes back as [`Input::Answered`].
    Ask {
        /// The component's run.
        run: u64,
        /// Which probe.
        which: Which,
        /// The probe.
        probe: Probe,
        /// Whom.
        target: Target,
    },
    /// Answers of this component's attempts in flight no longer matter: drop them.
    Abandon(ComponentName),
    /// Send [`Input::Tick`] at this time since the run began (the earliest of several wins).
    Wake(Duration),
    /// Ask for leave to change the cluster; the answer comes back as [`Order::Leave`].
    AskLeave,
    /// Give the leave back: nothing that changes the cluster is in flight.
    GiveBack,
    /// Tell the reporters.
    Emit(Event),
    /// The run is over; nothing follows.
    Finish(Outcome),
}

/// An engine call.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// List everything.
    Observe,
    /// Look at one container.
    Inspect(ComponentName, ContainerId),
    /// Look whether an image is there.
    FindImage(String),
    /// Pull or build an image, then look at it.
    ObtainImage {
        /// Reference.
        image: String,
        /// How to build it; None: pull.
        build: Option<Box<Build>>,
        /// Service whose build it is, for labels.
        service: String,
    },
    /// Make a network.
    CreateNetwork(NetworkKey, Box<CreateNetwork>),
    /// Make a volume.
    CreateVolume(VolumeKey, CreateVolume),
    /// Make a container.
    Create(Box<CreateContainer>),
    /// Start a container.
    Start(ComponentName, ContainerId),
    /// Run what is to be run after a start, of the component's run with this number.
    PostStart(ComponentName, ContainerId, u64, Vec<Hook>),
    /// Stop a container that will be replaced or started anew, after its hooks.
    Stop(ComponentName, ContainerId, Duration, Vec<Hook>),
    /// Remove a container; its anonymous volumes too if told so.
    Remove(ComponentName, ContainerId, bool),
    /// Give a replacement its name.
    Rename(ComponentName, ContainerId, String),
    /// Put a container back on a network.
    Connect(ComponentName, ContainerId, Box<Attach>),
    /// Let a frozen container go on.
    Unpause(ComponentName, ContainerId),
    /// Remove a replica too many.
    RemoveSurplus(ContainerId),
    /// Remove a network by id: another one has its name, and nothing is on it.
    RemoveTwin(String),
    /// Read the last log lines of a component, of the run that began at this time, as far as they can be had within a
    /// limit.
    LogTail(ComponentName, ContainerId, Option<Timestamp>, Duration),
}

impl Call {
    /// The component that it is about.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::Inspect(name, _)
            | Self::Start(name, _)
            | Self::PostStart(name, ..)
            | Self::Stop(name, ..)
            | Self::Remove(name, ..)
            | Self::Rename(name, ..)
            | Self::Connect(name, ..)
            | Self::Unpause(name, _)
            | Self::LogTail(name, ..) => Some(name.as_str()),
            Self::Create(request) => Some(request.component.as_str()),
            _ => None,
        }
    }

    /// What it does, for a trace.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Inspect(..) => "inspect",
            Self::FindImage(_) => "find image",
            Self::ObtainImage { .. } => "obtain image",
            Self::CreateNetwork(..) => "create network",
            Self::CreateVolume(..) => "create volume",
            Self::Create(_) => "create",
            Self::Start(..) => "start",
            Self::PostStart(..) => "run hooks",
            Self::Stop(..) => "stop",
            Self::Remove(..) => "remove",
            Self::Rename(..) => "rename",
            Self::Connect(..) => "connect",
            Self::Unpause(..) => "unpause",
            Self::RemoveSurplus(_) => "remove surplus",
            Self::RemoveTwin(_) => "remove twin network",
            Self::LogTail(..) => "read log",
        }
    }
}
