//! Stopping and removing a cluster: everything at once, each in a bounded time, by what the engine lists.
//!
//! It looks again until nothing is left, so a container that a killed convoke's last call made meanwhile goes as well.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::driver::ENGINE_PATIENCE;
use crate::cluster::Stored;
use crate::engine::{Engine, EngineError, ErrorKind, Observed, ObservedContainer, ObservedNetwork, Status, labels};
use crate::event::{Event, EventKind, Failure, Outcome, Phase, Stamp};
use crate::names::{ClusterName, ComponentName};

/// Calls in flight at most.
const IN_FLIGHT: usize = 16;
/// The engine takes a moment to let go of a network after its last container.
const NETWORK_PATIENCE: Duration = Duration::from_secs(3);
/// After this long, whoever is still on it is looked at.
const LETS_GO: Duration = Duration::from_millis(500);
/// The list is looked at so often at most.
const ROUNDS: u32 = 5;
/// Grace of a container that doesn't say: the engine's own default.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// What is to be stopped or removed.
#[derive(Debug, Clone)]
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
    /// Not more time than this between signal and SIGKILL.
    pub grace_limit: Option<Duration>,
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
        failures: Vec::new(),
    };
    let outcome = tokio::select! {
        biased;
        () = interrupt => Outcome::Interrupted,
        outcome = stopping.run() => outcome,
    };
    stopping.announce(&Observed::default());
    for failure in std::mem::take(&mut stopping.failures) {
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
            if !self.is_work_left(&observed) {
                let left = self.request.aftermath.saturating_sub(self.began.elapsed());
                if left.is_zero() {
                    return Outcome::Ready;
                }
                tokio::time::sleep(left).await;
                continue;
            }
            if self.is_held && observed.containers.is_empty() {
                return Outcome::Failed;
            }
            self.failures.clear();
            self.containers(&observed).await;
            if self.request.remove && self.request.only.is_none() {
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

    /// Every call went well, and still there is something: somebody else makes or starts it meanwhile.
    fn explain_what_is_left(&mut self, observed: &Observed) {
        if !self.failures.is_empty() {
            return;
        }
        let containers = self.chosen(observed).map(|container| container.name.clone());
        let whole = self.request.remove && self.request.only.is_none();
        let networks = observed.networks.iter().filter(|_| whole).map(|network| network.name.clone());
        let with_volumes = whole && self.request.volumes;
        let volumes = observed.volumes.iter().filter(|_| with_volumes).map(|volume| volume.name.clone());
        let left: Vec<String> = containers.chain(networks).chain(volumes).collect();
        let again = if self.request.remove { "made" } else { "started" };
        self.failures.push(Failure {
            component: None,
            what: format!("there again after {ROUNDS} rounds: {}", left.join(", ")),
            exit_code: None,
            last_probe: None,
            log: Vec::new(),
            hint: Some(format!("they are {again} by another run at the same time: end that first")),
        });
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
        observed.containers.iter().filter(move |c| only.as_ref().is_none_or(|only| only.contains(&c.component)))
    }

    fn is_work_left(&self, observed: &Observed) -> bool {
        let whole = self.request.remove && self.request.only.is_none();
        self.chosen(observed).any(|c| self.request.remove || is_up(c))
            || (whole && !observed.networks.is_empty())
            || (whole && self.request.volumes && !observed.volumes.is_empty())
    }

    async fn containers(&mut self, observed: &Observed) {
        let chosen: Vec<ObservedContainer> = self.chosen(observed).cloned().collect();
        let (engine, request) = (self.engine, self.request);
        let mut results = stream::iter(chosen)
            .map(|container| async move {
                let result = stop_one(engine, request, &container).await;
                (container, result)
            })
            .buffer_unordered(IN_FLIGHT);
        while let Some((container, result)) = results.next().await {
            let component = container.component.clone();
            match result {
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

    async fn volumes(&mut self, observed: &Observed) {
        if !self.request.volumes {
            return;
        }
        let engine = self.engine;
        let removals = observed
            .volumes
            .iter()
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
            _ => None,
        };
        self.fail_with(component, error, hint);
    }

    fn fail_with(&mut self, component: Option<ComponentName>, error: &EngineError, hint: Option<String>) {
        let what = error.to_string();
        self.failures.push(Failure { component, what, exit_code: None, last_probe: None, log: Vec::new(), hint });
    }
}

async fn stop_one<E: Engine>(
    engine: &E,
    request: &StopRequest,
    container: &ObservedContainer,
) -> Result<(), EngineError> {
    if is_up(container) {
        let grace = request.grace_limit.unwrap_or(Duration::MAX).min(grace_of(container));
        match engine.stop(&container.id, grace).await {
            // The engine goes on with it; removing by force does the rest.
            Err(error) if !request.remove || !error.kind.is_transient() => return ignore_gone(Err(error)),
            _ => {}
        }
    }
    if request.remove { ignore_gone(engine.remove(&container.id, true).await) } else { Ok(()) }
}

fn ignore_gone(result: Result<(), EngineError>) -> Result<(), EngineError> {
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

/// A network that can't be removed.
struct Held {
    error: EngineError,
    by: HeldBy,
}

/// Why the engine doesn't let a network go.
enum HeldBy {
    /// Containers of others are on it.
    Others(Vec<String>),
    /// Nobody is on it: the engine counts wrong.
    Nobody,
    Unknown,
}

/// Seen on 20.10.24, about once in twenty starts of 20 containers at once: the stored count of endpoints is one too high.
const MISCOUNTED: &str = "nobody is on it: the engine counts one container too many (20.10 does at times when many start at \
                          once), and lets the network go after its own next restart; until then `convoke up` can use it";

async fn remove_network<E: Engine>(engine: &E, cluster: &ClusterName, network: &ObservedNetwork) -> Result<(), Held> {
    let began = Instant::now();
    let mut looked_at = None;
    loop {
        let error = match engine.remove_network(&network.id).await {
            Err(error) if error.kind == ErrorKind::InUse => error,
            other => return ignore_gone(other).map_err(|error| Held { error, by: HeldBy::Unknown }),
        };
        let is_last = began.elapsed() >= NETWORK_PATIENCE;
        if is_last || (began.elapsed() >= LETS_GO && looked_at.is_none_or(|at: Instant| at.elapsed() >= LETS_GO)) {
            looked_at = Some(Instant::now());
            match who_is_on(engine, cluster, network).await {
                by @ HeldBy::Others(_) => return Err(Held { error, by }),
                by if is_last => return Err(Held { error, by }),
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Who is on a network of ours. Containers that are gone are taken off it: 20.10 goes on listing some after many
/// removals at once.
async fn who_is_on<E: Engine>(engine: &E, cluster: &ClusterName, network: &ObservedNetwork) -> HeldBy {
    // In this order: whoever is gone by the time of the list was on the network before.
    let (Ok(members), Ok(observed)) = (engine.members(&network.id).await, engine.observe(cluster).await) else {
        return HeldBy::Unknown;
    };
    if members.is_empty() && observed.containers.is_empty() {
        return HeldBy::Nobody;
    }
    let mut others = Vec::new();
    for member in members {
        if observed.foreign_containers.iter().any(|foreign| foreign.name == member) {
            others.push(member);
        } else if observed.containers.iter().all(|container| container.name != member) {
            tracing::debug!(network = network.name, member, "the network lists a container that is gone");
            if let Err(error) = engine.disconnect(&network.id, &member).await {
                tracing::debug!(%error, "it stays");
            }
        }
    }
    if others.is_empty() { HeldBy::Unknown } else { HeldBy::Others(others) }
}

fn is_up(container: &ObservedContainer) -> bool {
    matches!(container.state.status, Status::Running | Status::Paused | Status::Restarting)
}
