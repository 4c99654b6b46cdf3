//! Stopping and removing a cluster: everything at once, each in a bounded time, by what the engine lists.
//!
//! It looks again until nothing is left, so a container that a killed convoke's last call made meanwhile goes as well.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use super::blame::hint_for;
use super::driver::ENGINE_PATIENCE;
use super::hooks::{pre_stop, pre_stop_of};
use super::stop_networks::{Held, HeldBy, MISCOUNTED, remove_network};
use super::stop_order::Queue;
use crate::cluster::Stored;
use crate::engine::{
    Engine, EngineError, ErrorKind, Observed, ObservedContainer, ObservedVolume, Status, Verb, labels,
};
use crate::event::{Event, EventKind, Failure, Outcome, Phase, Stamp};
use crate::names::{ClusterName, ComponentName, ContainerId};
use crate::units::human;

/// After its grace period a container has this long to end and to be removed; then the run goes on without it.
const END_LIMIT: Duration = Duration::from_secs(20);
/// The list is looked at so often at most.
const ROUNDS: u32 = 5;
/// Grace of a container that doesn't say: the engine's own default.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// What is to be stopped or removed.
#[derive(Debug, Clone, Default)]
pub struct StopRequest {
    /// Identifier of the run.
    pub run: String,
    /// What was asked, for the record: `stop`, `down`, `restart`.
    pub command: String,
    /// Wall clock at the beginning, RFC 3339.
    pub time: String,
    /// These components only; None: all of the cluster, and its networks.
    pub only: Option<BTreeSet<ComponentName>>,
    /// Remove the containers (and, for the whole cluster, networks).
    pub remove: bool,
    /// Remove named volumes as well.
    pub volumes: bool,
    /// Only volumes with this label; None: all of the cluster.
    pub volumes_with: Option<String>,
    /// The time between signal and SIGKILL, whatever the file says.
    pub grace: Option<Duration>,
    /// Not more time than this between signal and SIGKILL.
    pub grace_limit: Option<Duration>,
    /// Dependents before what they depend on, cycles together; else all at once.
    pub ordered: bool,
    /// Calls of a run that was killed a moment ago may still take effect: not done before this has passed.
    pub aftermath: Duration,
}

/// Stops or removes what `request` says. `interrupt` ends it at once; what was asked of the engine goes on.
pub async fn stop<E: Engine>(
    engine: &E,
    cluster: &ClusterName,
    request: &StopRequest,
    interrupt: impl Future<Output = ()>,
    report: impl FnMut(Event),
) -> Outcome {
    let mut stopping = Stopping {
        engine,
        cluster,
        request,
        report,
        began: Instant::now(),
        is_announced: false,
        is_held: false,
        given_up: BTreeMap::new(),
        too_late: BTreeMap::new(),
        failures: Vec::new(),
    };
    let outcome = tokio::select! {
        biased;
        () = interrupt => Outcome::Interrupted,
        outcome = stopping.run() => outcome,
    };
    stopping.announce(&Observed::default());
    for failure in std::mem::take(&mut stopping.given_up).into_values().chain(std::mem::take(&mut stopping.failures)) {
        stopping.emit(EventKind::Failed { failure });
    }
    stopping.emit(EventKind::RunFinished { outcome, endpoints: Vec::new() });
    outcome
}

struct Stopping<'a, E, R> {
    engine: &'a E,
    cluster: &'a ClusterName,
    request: &'a StopRequest,
    report: R,
    began: Instant,
    is_announced: bool,
    /// Somebody outside the cluster is on one of its networks: it can't be removed, however often it is tried.
    is_held: bool,
    /// Containers that didn't end in time, and what is to be said of that.
    given_up: BTreeMap<ContainerId, Failure>,
    /// How often each of them didn't.
    too_late: BTreeMap<ContainerId, u32>,
    failures: Vec<Failure>,
}

impl<E: Engine, R: FnMut(Event)> Stopping<'_, E, R> {
    fn emit(&mut self, kind: EventKind) {
        (self.report)(Event::new(Stamp(self.began.elapsed()), kind));
    }

    async fn run(&mut self) -> Outcome {
        for _ in 0..ROUNDS {
            let observed = match self.observe().await {
                Ok(observed) => observed,
                Err(error) => {
                    let outcome = match error.kind {
                        ErrorKind::Unreachable | ErrorKind::Timeout(_) => Outcome::EngineUnreachable,
                        _ => Outcome::Failed,
                    };
                    self.fail(None, &error);
                    return outcome;
                }
            };
            self.announce(&observed);
            self.reconsider(&observed);
            if !self.is_work_left(&observed) {
                let left = self.request.aftermath.saturating_sub(self.began.elapsed());
                if left.is_zero() {
                    return Outcome::Ready;
                }
                tokio::time::sleep(left).await;
                continue;
            }
            let mut left = self.chosen(&observed).filter(|at| self.request.remove || is_up(at));
            let is_stuck = left.all(|container| self.given_up.contains_key(&container.id));
            drop(left);
            if is_stuck && (self.is_held || !self.given_up.is_empty()) {
                return Outcome::Failed;
            }
            self.failures.clear();
            self.containers(&observed).await;
            if self.request.remove && self.request.only.is_none() && self.given_up.is_empty() {
                self.networks(&observed).await;
                self.volumes(&observed).await;
            }
        }
        match self.observe().await {
            Ok(observed) if !self.is_work_left(&observed) => Outcome::Ready,
            Ok(observed) => {
                self.explain_what_is_left(&observed);
                Outcome::Failed
            }
            Err(error) => {
                self.fail(None, &error);
                Outcome::Failed
            }
        }
    }

    /// A call without an answer may have taken effect all the same: one that ended is removed in a second attempt, the last.
    fn reconsider(&mut self, observed: &Observed) {
        let too_late = &self.too_late;
        self.given_up.retain(|id, _| {
            let is_lost = |at: &ObservedContainer| is_up(at) || too_late.get(id).is_some_and(|times| *times > 1);
            observed.everything().any(|at| at.id == *id && is_lost(at))
        });
    }

    /// Every call went well, and still there is something: somebody else makes or starts it meanwhile.
    fn explain_what_is_left(&mut self, observed: &Observed) {
        if !self.failures.is_empty() || !self.given_up.is_empty() {
            return;
        }
        let containers = self.chosen(observed).map(|container| container.name.clone());
        let whole = self.request.remove && self.request.only.is_none();
        let networks = observed.networks.iter().filter(|_| whole).map(|network| network.name.clone());
        let volumes = self.chosen_volumes(observed).filter(|_| whole).map(|volume| volume.name.clone());
        let left: Vec<String> = containers.chain(networks).chain(volumes).collect();
        let again = if self.request.remove { "made" } else { "started" };
        let what = format!("there again after {ROUNDS} rounds: {}", left.join(", "));
        let hint = format!("they are {again} by another run at the same time: end that first");
        self.failures.push(failure(None, what, Some(hint)));
    }

    async fn observe(&self) -> Result<Observed, EngineError> {
        let mut attempt = 0;
        let until = Instant::now() + ENGINE_PATIENCE;
        loop {
            match self.engine.observe(self.cluster).await {
                // One call without an answer may have been lost on its way, two were not.
                Err(error) if error.kind.is_transient() && (Instant::now() < until || attempt == 0) => {
                    attempt += 1;
                    tokio::time::sleep(super::retry::pause(attempt)).await;
                }
                other => return other,
            }
        }
    }

    /// Says that the run began, once; with nothing observed if it ends before anything was.
    fn announce(&mut self, observed: &Observed) {
        if std::mem::replace(&mut self.is_announced, true) {
            return;
        }
        let components = self.chosen(observed).map(|c| c.component.clone()).collect::<BTreeSet<_>>();
        self.emit(EventKind::RunStarted {
            run: self.request.run.clone(),
            cluster: self.cluster.clone(),
            command: self.request.command.clone(),
            time: self.request.time.clone(),
            components: components.into_iter().collect(),
        });
    }

    fn chosen<'o>(&self, observed: &'o Observed) -> impl Iterator<Item = &'o ObservedContainer> {
        let only = self.request.only.clone();
        // One-off containers go with the cluster, and are somebody's own affair until then.
        let one_offs = observed.one_offs.iter().filter(|_| self.request.remove);
        let all = observed.containers.iter().chain(one_offs);
        all.filter(move |c| only.as_ref().is_none_or(|only| only.contains(&c.component)))
    }

    fn is_work_left(&self, observed: &Observed) -> bool {
        let whole = self.request.remove && self.request.only.is_none();
        self.chosen(observed).any(|c| self.request.remove || is_up(c))
            || (whole && !observed.networks.is_empty())
            || (whole && self.chosen_volumes(observed).next().is_some())
    }

    async fn containers(&mut self, observed: &Observed) {
        let chosen = self.chosen(observed).filter(|container| !self.given_up.contains_key(&container.id));
        let mut queue = Queue::new(chosen.cloned().collect(), self.request.ordered);
        let (engine, request) = (self.engine, self.request);
        let mut results = FuturesUnordered::new();
        loop {
            // However many there are: most of the time goes by in programs that take their time to end.
            results.extend(queue.take_free().into_iter().map(|container| async move {
                let result = stop_in_time(engine, request, &container).await;
                (container, result)
            }));
            let Some((container, result)) = results.next().await else { break };
            let component = container.component.clone();
            queue.done(&component);
            let result = result.map(|troubles| {
                for trouble in troubles {
                    self.emit(EventKind::Warning { message: format!("{component}: {trouble}") });
                }
            });
            match result {
                Err(error) if matches!(error.kind, ErrorKind::Timeout(_)) => {
                    let hint = "a process that SIGKILL doesn't end waits for the kernel, a disk or a file server: look \
                                at the engine's machine, then try again";
                    let what = error.to_string();
                    let failure = failure(Some(component), what, Some(hint.to_owned()));
                    *self.too_late.entry(container.id.clone()).or_default() += 1;
                    self.given_up.insert(container.id, failure);
                }
                Ok(()) if request.remove => self.emit(EventKind::ComponentRemoved { component }),
                Ok(()) => self.emit(EventKind::PhaseChanged { component, phase: Phase::Stopped, reason: None }),
                Err(error) => self.fail(Some(component), &error),
            }
        }
    }

    async fn networks(&mut self, observed: &Observed) {
        let (engine, cluster) = (self.engine, self.cluster);
        let removals = observed
            .networks
            .iter()
            .map(|network| async move { (network.name.clone(), remove_network(engine, cluster, network).await) });
        for (network, result) in futures::future::join_all(removals).await {
            match result {
                Ok(()) => self.emit(EventKind::NetworkRemoved { network }),
                Err(Held { error, by: HeldBy::Unknown }) => self.fail(None, &error),
                Err(Held { error, by: HeldBy::Nobody }) => {
                    self.is_held = true;
                    self.fail_with(None, &error, Some(MISCOUNTED.to_owned()));
                }
                Err(Held { error, by: HeldBy::Others(by) }) => {
                    self.is_held = true;
                    let hint = format!(
                        "on it, and not of this cluster: {}; stop that, or `docker network disconnect {network} {}`",
                        by.join(", "),
                        by[0]
                    );
                    self.fail_with(None, &error, Some(hint));
                }
            }
        }
    }

    fn chosen_volumes<'o>(&self, observed: &'o Observed) -> impl Iterator<Item = &'o ObservedVolume> + use<'o, E, R> {
        let (all, with) = (self.request.volumes, self.request.volumes_with.clone());
        let is_meant =
            move |volume: &&ObservedVolume| with.as_ref().is_none_or(|label| volume.labels.contains_key(label));
        observed.volumes.iter().filter(move |volume| all && is_meant(volume))
    }

    async fn volumes(&mut self, observed: &Observed) {
        let engine = self.engine;
        let removals = self
            .chosen_volumes(observed)
            .map(|volume| async move { (volume.name.clone(), engine.remove_volume(&volume.name).await) });
        for (volume, result) in futures::future::join_all(removals).await {
            match result {
                Ok(()) => self.emit(EventKind::VolumeRemoved { volume }),
                Err(error) => self.fail(None, &error),
            }
        }
    }

    fn fail(&mut self, component: Option<ComponentName>, error: &EngineError) {
        let hint = match error.kind {
            ErrorKind::InUse => Some("something outside the cluster uses it: stop that first".to_owned()),
            ErrorKind::Unreachable => Some("is the engine running? try `convoke doctor`".to_owned()),
            _ => hint_for(&error.kind).map(ToOwned::to_owned),
        };
        self.fail_with(component, error, hint);
    }

    fn fail_with(&mut self, component: Option<ComponentName>, error: &EngineError, hint: Option<String>) {
        self.failures.push(failure(component, error.to_string(), hint));
    }
}

const fn failure(component: Option<ComponentName>, what: String, hint: Option<String>) -> Failure {
    Failure { component, what, exit_code: None, last_probe: None, log: Vec::new(), hint }
}

/// Stops, or removes, one container: the run doesn't wait for it for ever, whatever the engine does.
async fn stop_in_time<E: Engine>(
    engine: &E,
    request: &StopRequest,
    container: &ObservedContainer,
) -> Result<Vec<String>, EngineError> {
    let grace = if is_up(container) { grace_in(request, container) } else { Duration::ZERO };
    let limit = grace.saturating_add(END_LIMIT);
    tokio::time::timeout(limit, stop_one(engine, request, container)).await.unwrap_or_else(|_| {
        let component = container.component.to_string();
        let verb = if request.remove { Verb::Remove(component) } else { Verb::Stop(component) };
        let message = format!("it hasn't ended {} after its stop signal", human(limit));
        Err(EngineError { verb, kind: ErrorKind::Timeout(limit), message })
    })
}

/// The time between signal and SIGKILL.
fn grace_in(request: &StopRequest, container: &ObservedContainer) -> Duration {
    request.grace.unwrap_or_else(|| request.grace_limit.unwrap_or(Duration::MAX).min(grace_of(container)))
}

/// What went wrong on the way, and kept nothing from being done.
async fn stop_one<E: Engine>(
    engine: &E,
    request: &StopRequest,
    container: &ObservedContainer,
) -> Result<Vec<String>, EngineError> {
    let mut troubles = Vec::new();
    if is_up(container) {
        let hooks = pre_stop_of(container);
        let grace;
        (grace, troubles) = pre_stop(engine, &container.id, &hooks, grace_in(request, container)).await;
        match engine.stop(&container.id, grace).await {
            // The engine goes on with it; removing by force does the rest.
            Err(error) if !request.remove || !error.kind.is_transient() => {
                return ignore_gone(Err(error)).map(|()| troubles);
            }
            _ => {}
        }
    }
    if request.remove {
        ignore_gone(engine.remove(&container.id, true).await)?;
    }
    Ok(troubles)
}

pub(super) fn ignore_gone(result: Result<(), EngineError>) -> Result<(), EngineError> {
    match result {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The grace that the container was made with.
pub(super) fn grace_of(container: &ObservedContainer) -> Duration {
    let stored: Option<Stored> = container.label(labels::PROBES).and_then(|text| serde_json::from_str(text).ok());
    stored.and_then(|stored| stored.stop_grace).unwrap_or(DEFAULT_GRACE)
}

fn is_up(container: &ObservedContainer) -> bool {
    matches!(container.state.status, Status::Running | Status::Paused | Status::Restarting)
}
