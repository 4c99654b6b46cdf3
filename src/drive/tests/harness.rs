//! What every test of the driver uses: small components, one run, and what may be asked of it afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Cluster, Component, Gate, GateCondition, HealthCheck, Probe, ProbeAction, sample};
use crate::drive::driver::{Driver, Options};
use crate::drive::input::Input;
use crate::drive::stop::{StopRequest, stop};
use crate::drive::{machine, shell};
use crate::engine::fake::{Call, FakeEngine, Op};
use crate::engine::{Attach, CreateContainer, ObservedContainer, labels};
use crate::event::{Event, EventKind, Failure, Outcome, Phase};
use crate::names::{ComponentName, ContainerId};
use crate::probe::fake::FakeProber;
use crate::report::waterfall::Timeline;

/// No run of a test lasts longer, in virtual time.
const LIMIT: Duration = Duration::from_secs(3600);

pub(super) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn name(name: &str) -> ComponentName {
    name.parse().unwrap()
}

/// An engine with the image that every component has.
pub(super) fn engine(seed: u64) -> FakeEngine {
    FakeEngine::new(seed).with_image("image")
}

/// A component without probes on the network `default`.
pub(super) fn plain(name: &str) -> Component {
    Component { config_hash: "first".into(), ..sample::component(name, &["default"]) }
}

/// A component with an http probe.
pub(super) fn http(name: &str) -> Component {
    let action = ProbeAction::Http { port: 80, path: "/ready".into(), headers: vec![] };
    let mut component = plain(name);
    component.probes.ready = Some(Probe { action, timeout: secs(1) });
    component
}

/// A component with a health check that the file gives.
pub(super) fn checked(name: &str) -> Component {
    let mut component = plain(name);
    component.probes.health = Some(health_check());
    component
}

pub(super) fn health_check() -> HealthCheck {
    HealthCheck {
        command: vec!["check".into()],
        shell: false,
        interval: secs(10),
        timeout: secs(2),
        retries: 3,
        start_period: secs(0),
        start_interval: None,
    }
}

/// Holds the start of a component back.
pub(super) fn gated(mut component: Component, condition: GateCondition, on: &str) -> Component {
    component.gates.push(Gate { on: name(on), condition, required: true });
    component
}

/// A member of a cycle that needs `peers`.
pub(super) fn member(mut component: Component, peers: &[&str]) -> Component {
    component.needs.extend(peers.iter().map(|peer| name(peer)));
    component.restarts_early_exit = true;
    component
}

pub(super) fn cluster(components: impl IntoIterator<Item = Component>) -> Cluster {
    sample::cluster(components)
}

/// A run that ended, and what it said.
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    pub(super) events: Vec<Event>,
    pub(super) steps: u64,
    /// What is left to stop.
    pub(super) running_here: BTreeSet<ComponentName>,
    /// How long it took.
    pub(super) took: Duration,
}

pub(super) async fn up(engine: &FakeEngine, cluster: &Cluster) -> Ran {
    up_with(engine, cluster, Options::default()).await
}

pub(super) async fn up_with(engine: &FakeEngine, cluster: &Cluster, options: Options) -> Ran {
    run(engine, cluster, options, pending()).await
}

pub(super) async fn run(
    engine: &FakeEngine,
    cluster: &Cluster,
    options: Options,
    interrupt: impl Future<Output = ()>,
) -> Ran {
    let watch = |_: &Driver, _: &Input| ControlFlow::Continue(());
    watched(engine, cluster, options, interrupt, watch).await.expect("nobody kills it")
}

/// The same, with somebody who sees every input and may kill it there, as `kill -9` would: None.
pub(super) async fn watched(
    engine: &FakeEngine,
    cluster: &Cluster,
    options: Options,
    interrupt: impl Future<Output = ()>,
    watch: impl FnMut(&Driver, &Input) -> ControlFlow<()>,
) -> Option<Ran> {
    let began = engine.now();
    let mut events = Vec::new();
    let options = Options { began: Some(engine.wall_clock()), ..options };
    let driver = Driver::new(Arc::new(cluster.clone()), options);
    let prober = FakeProber::new(engine.clone());
    let run = shell::run_watched(driver, engine.clone(), prober, interrupt, |event| events.push(event), watch);
    let end = tokio::time::timeout(LIMIT, run).await.expect("a run ends").continue_value()?;
    let (outcome, steps, running_here) = (end.outcome, end.steps, end.running_here);
    let ran = Ran { outcome, events, steps, running_here, took: engine.now() - began };
    ran.follows(machine::allows);
    Some(ran)
}

/// Lets `up` take so many inputs, then kills it. Some if it ended before.
pub(super) async fn killed_at(engine: &FakeEngine, cluster: &Cluster, options: Options, inputs: u64) -> Option<Ran> {
    let mut seen = 0;
    let watch = |_: &Driver, _: &Input| {
        seen += 1;
        if seen > inputs { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    watched(engine, cluster, options, pending(), watch).await
}

/// Lets `up` run for `cut`, then kills it as `kill -9` would. Some if it ended before.
pub(super) async fn cut_short(engine: &FakeEngine, cluster: &Cluster, options: Options, cut: Duration) -> Option<Ran> {
    tokio::time::timeout(cut, up_with(engine, cluster, options)).await.ok()
}

pub(super) fn down() -> StopRequest {
    StopRequest { run: "down".into(), command: "down".into(), remove: true, volumes: true, ..StopRequest::default() }
}

pub(super) async fn stop_all(engine: &FakeEngine, cluster: &Cluster, request: &StopRequest) -> Ran {
    let began = engine.now();
    let mut events = Vec::new();
    let run = stop(engine, &cluster.name, request, pending(), |event| events.push(event));
    let outcome = tokio::time::timeout(LIMIT, run).await.expect("a stop ends");
    Ran { outcome, events, steps: 0, running_here: BTreeSet::new(), took: engine.now() - began }
}

impl Ran {
    pub(super) fn phases(&self, component: &str) -> Vec<Phase> {
        let of = |event: &Event| match &event.kind {
            EventKind::PhaseChanged { component: at, phase, .. } if at.as_str() == component => Some(*phase),
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }

    /// Every change of phase that it told, in order: from which to which.
    pub(super) fn transitions(&self) -> Vec<(&ComponentName, Phase, Phase)> {
        let mut now: BTreeMap<&ComponentName, Phase> = BTreeMap::new();
        let change = |event| match event {
            &Event { kind: EventKind::PhaseChanged { ref component, phase, .. }, .. } => Some((component, phase)),
            _ => None,
        };
        let changes = self.events.iter().filter_map(change);
        changes.map(|(at, to)| (at, now.insert(at, to).unwrap_or(Phase::Pending), to)).collect()
    }

    /// The phase that each component was in at the end, of those that ever changed it.
    pub(super) fn last_phases(&self) -> BTreeMap<&ComponentName, Phase> {
        self.transitions().into_iter().map(|(component, _, to)| (component, to)).collect()
    }

    /// Fails if a change of phase isn't one of the phase machine's.
    #[track_caller]
    pub(super) fn follows(&self, allows: impl Fn(Phase, Phase) -> bool) {
        for (component, from, to) in self.transitions() {
            assert!(allows(from, to), "{component}: {from} -> {to}\n{}", self.story());
        }
    }

    /// When it first entered a phase.
    pub(super) fn entered(&self, component: &str, wanted: Phase) -> Option<Duration> {
        self.events.iter().find_map(|event| match &event.kind {
            EventKind::PhaseChanged { component: at, phase, .. } if at.as_str() == component && *phase == wanted => {
                Some(event.at.0)
            }
            _ => None,
        })
    }

    /// What the events say of its time.
    pub(super) fn timeline(&self) -> Timeline {
        let mut timeline = Timeline::default();
        self.events.iter().for_each(|event| timeline.event(event));
        timeline
    }

    pub(super) fn failures(&self) -> Vec<&Failure> {
        let failed = |event: &'_ Event| matches!(event.kind, EventKind::Failed { .. });
        let failure = |event| match event {
            &Event { kind: EventKind::Failed { ref failure }, .. } => Some(failure),
            _ => None,
        };
        self.events.iter().filter(|event| failed(event)).filter_map(failure).collect()
    }

    pub(super) fn warnings(&self) -> Vec<&str> {
        let text = |event| match event {
            &Event { kind: EventKind::Warning { ref message }, .. } => Some(message.as_str()),
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }

    pub(super) fn stalls(&self) -> Vec<(Duration, &[String])> {
        let lines = |event| match event {
            &Event { kind: EventKind::Stalled { ref lines }, at, .. } => Some((at.0, lines.as_slice())),
            _ => None,
        };
        self.events.iter().filter_map(lines).collect()
    }

    /// All its events, one a line, for a failed assertion.
    pub(super) fn story(&self) -> String {
        self.events.iter().map(|event| format!("{:>9.3?} {:?}\n", event.at.0, event.kind)).collect()
    }

    #[track_caller]
    pub(super) fn is(self, outcome: Outcome) -> Self {
        assert_eq!(self.outcome, outcome, "\n{}", self.story());
        self
    }
}

/// Calls of a kind on a component, in order.
pub(super) fn calls(engine: &FakeEngine, op: Op, component: &str) -> Vec<Call> {
    let is = |call: &Call| call.op == op && call.component.as_ref().is_some_and(|at| at.as_str() == component);
    engine.journal().into_iter().filter(is).collect()
}

/// Ids and start times, which tell whether anything was touched.
pub(super) fn fingerprint(engine: &FakeEngine) -> BTreeMap<ContainerId, Option<jiff::Timestamp>> {
    engine.containers().into_iter().map(|container| (container.id, container.state.started_at)).collect()
}

/// The container of a component.
#[track_caller]
pub(super) fn find(engine: &FakeEngine, component: &str) -> ObservedContainer {
    engine.containers().into_iter().find(|container| container.component == name(component)).unwrap()
}

/// A container of another cluster, on a network of this one.
pub(super) fn create_request(component: &Component, network_id: &str) -> CreateContainer {
    let labels = [(labels::CLUSTER, "thief"), (labels::COMPONENT, component.name.as_str())];
    CreateContainer {
        component: component.name.clone(),
        name: component.container_name.clone(),
        image: component.image.clone(),
        spec: component.spec.clone(),
        health: None,
        health_disabled: false,
        labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        networks: vec![Attach {
            key: "default".parse().unwrap(),
            network_id: network_id.to_owned(),
            network_name: "test_default".into(),
            address: None,
            aliases: vec![],
            settings: crate::cluster::EndpointSettings::default(),
            fail_fast: true,
        }],
        volumes: BTreeMap::new(),
        hosts: vec![],
        publish_address: std::net::Ipv4Addr::LOCALHOST.into(),
        carried_volumes: BTreeMap::new(),
        files: vec![],
        owners: vec![],
        one_off: None,
    }
}
