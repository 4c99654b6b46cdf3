//! What the driver knows of one component.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::pace::Pace;
use super::recover::Care;
use crate::cluster::{Component, Probe};
use crate::engine::{HealthStatus, ObservedContainer, Status};
use crate::event::{Failure, Phase};
use crate::names::{ComponentName, ContainerId};
use crate::probe::Answer;

/// One component as the driver sees it.
#[derive(Debug)]
pub struct Node {
    /// What it should be.
    pub component: Component,
    /// Its containers by what was last seen; usually one.
    pub containers: Vec<ObservedContainer>,
    /// Where it is.
    pub phase: Phase,
    /// Since when.
    pub phase_since: Duration,
    /// A call about it is in flight.
    pub busy: bool,
    /// Counts its runs: goes up with every start that was seen or made.
    pub run: u64,
    /// Counts what may have changed it: an inspection that began under another number proves nothing.
    pub epoch: u64,
    /// The epoch of the inspection in flight.
    pub inspecting: Option<u64>,
    /// The engine has shown it at least once.
    pub seen: bool,
    /// It should be looked at.
    pub dirty: bool,
    /// Start time of the engine that the present run replaced: a container whose start time is still this one has not
    /// run since.
    pub baseline: Option<Timestamp>,
    /// Start time by which the present run is known, once inspected.
    pub started_at: Option<Timestamp>,
    /// It runs, as far as known.
    pub is_running: bool,
    /// When its present run began, on the driver's clock.
    pub running_since: Duration,
    /// This run of convoke started it.
    pub started_here: bool,
    /// What is to be run after its start hasn't been run to its end.
    pub hooks_due: bool,
    /// It ran at some time during this run of convoke.
    pub has_run: bool,
    /// Not before this time is the next call about it made (after a failed one).
    pub retry_at: Duration,
    /// A container of it was removed, stopped or renamed: nothing is decided before a list shows the result.
    pub awaits_list: bool,
    /// Calls in a row that the engine failed.
    pub failures_in_row: u32,
    /// Calls in a row that failed in any way: what pauses grow with.
    pub tries_in_row: u32,
    /// The engine's event stream was lost while it ran or was about to: an end that is seen next may be the engine's.
    pub outage: bool,
    /// The engine called this run of it unhealthy, and that was taken in.
    pub said_unhealthy: bool,
    /// It exited early and waits for these peers (the early-exit rule).
    pub early_exit: Option<EarlyExit>,
    /// How often the early-exit rule started it again.
    pub early_restarts: u32,
    /// How often it was started again because the engine had gone away.
    pub outage_restarts: u32,
    /// Restarts that the engine's policy made, as last seen.
    pub policy_restarts: u64,
    /// Restarts that it had made before this run of convoke.
    pub earlier_restarts: u64,
    /// The longest of its runs that were ready and soon ended by themselves; zero: there was none. See
    /// `Node::distrust`.
    pub short_lived: Duration,
    /// Last exit code seen.
    pub last_exit: Option<i64>,
    /// Its probes.
    pub live: Track,
    /// Its probes.
    pub ready: Track,
    /// What a supervised run remembers of it.
    pub care: Care,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// It was said that its probe can't be run.
    pub said_impossible: bool,
    /// What was last said about its waiting.
    pub said_waiting: Option<Wait>,
    /// Image's health check, once the image is known.
    pub image_health: Option<crate::cluster::HealthCheck>,
}

/// What a component waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// For people.
    pub why: String,
    /// Peers that it waits for.
    pub on: Vec<ComponentName>,
    /// A gate holds its start back until the peer is in this phase.
    pub gate: Option<Phase>,
}

impl Wait {
    /// A wait that isn't a gate's.
    #[must_use]
    pub const fn new(why: String, on: Vec<ComponentName>) -> Self {
        Self { why, on, gate: None }
    }
}

/// A component that exited before its peers were ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyExit {
    /// The peers that were not ready.
    pub peers: BTreeSet<ComponentName>,
    /// When it exited.
    pub at: Duration,
}

/// How far one probe of a component's present run is.
#[derive(Debug, Default)]
pub struct Track {
    /// When to ask next; None: nothing to ask.
    pub pace: Option<Pace>,
    /// An attempt is in flight.
    pub asking: bool,
    /// When it last passed.
    pub passed: Option<Duration>,
    /// The last answer.
    pub last: Option<Answer>,
    /// Since when the probe's program has been missing.
    pub impossible_since: Option<Duration>,
    /// It passed, and has to be asked again for the verdict.
    pub recheck: bool,
    /// It accepted a connection or ran a command at least once.
    pub connected: bool,
}

impl Node {
    /// A component of which nothing is known yet.
    #[must_use]
    pub fn new(component: Component) -> Self {
        Self {
            component,
            containers: Vec::new(),
            phase: Phase::Pending,
            phase_since: Duration::ZERO,
            busy: false,
            run: 0,
            epoch: 0,
            inspecting: None,
            seen: false,
            dirty: false,
            baseline: None,
            started_at: None,
            is_running: false,
            running_since: Duration::ZERO,
            started_here: false,
            hooks_due: false,
            has_run: false,
            retry_at: Duration::ZERO,
            awaits_list: false,
            failures_in_row: 0,
            tries_in_row: 0,
            outage: false,
            said_unhealthy: false,
            early_exit: None,
            early_restarts: 0,
            outage_restarts: 0,
            policy_restarts: 0,
            earlier_restarts: 0,
            short_lived: Duration::ZERO,
            last_exit: None,
            live: Track::default(),
            ready: Track::default(),
            care: Care::default(),
            failure: None,
            said_impossible: false,
            said_waiting: None,
            image_health: None,
        }
    }

    /// The container with this id, if it is one of its own.
    #[must_use]
    pub fn container(&self, id: &ContainerId) -> Option<&ObservedContainer> {
        self.containers.iter().find(|container| container.id == *id)
    }

    /// What decides its readiness.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let probes = &self.component.probes;
        if let Some(probe) = &probes.ready {
            return Readiness::Probe(probe.clone());
        }
        match crate::plan::request::health_in_force(&self.component, self.image_health.as_ref()) {
            Some(health) => Readiness::Health(health.as_probe()),
            None => Readiness::Runs,
        }
    }

    /// The engine's own verdict about the run, if the container has a health check.
    #[must_use]
    pub fn engine_health(&self) -> Option<HealthStatus> {
        let running = self.containers.iter().find(|c| c.state.status == Status::Running)?;
        running.state.health.as_ref().map(|health| health.status)
    }

    /// The engine's word for what its container does, as last seen.
    #[must_use]
    pub fn engine_says(&self) -> Option<Status> {
        self.containers.first().map(|container| container.state.status)
    }

    /// Peers that it declared, gating or not.
    pub fn peers(&self) -> impl Iterator<Item = &ComponentName> {
        self.component.needs.iter().chain(self.component.gates.iter().map(|gate| &gate.on))
    }
}

/// What decides a component's readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Its readiness probe.
    Probe(Probe),
    /// Its health check, run by convoke; the engine's `healthy` counts as well.
    Health(Probe),
    /// Running for a second.
    Runs,
}
