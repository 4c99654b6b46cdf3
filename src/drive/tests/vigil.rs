//! A supervised run in a test: what it says so far, and what it is told.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::harness::*;
use crate::cluster::Cluster;
use crate::drive::driver::{Driver, Options};
use crate::drive::machine;
use crate::drive::shell::{self, Desk};
use crate::drive::supervise::{Order, Want};
use crate::engine::ObservedContainer;
use crate::engine::fake::FakeEngine;
use crate::event::{Event, EventKind, Phase};
use crate::names::ContainerId;
use crate::probe::fake::FakeProber;

/// Gives leave at once, unless somebody else is said to work.
struct FreeDesk {
    orders: UnboundedReceiver<Order>,
    shared: Shared,
}

#[derive(Clone)]
struct Shared {
    sender: UnboundedSender<Order>,
    others: Arc<Mutex<Option<String>>>,
    asked: Arc<Mutex<usize>>,
}

impl Desk for FreeDesk {
    fn ask_leave(&mut self) {
        *self.shared.asked.lock().unwrap() += 1;
        let answer = self.shared.others.lock().unwrap().clone().map_or(Ok(()), Err);
        self.shared.sender.send(Order::Leave(answer)).unwrap();
    }

    fn give_back(&mut self) {}

    async fn next(&mut self) -> Order {
        self.orders.recv().await.expect("the test holds a sender")
    }
}

/// A supervised run that goes on.
#[derive(Clone)]
pub(super) struct Vigil {
    shared: Shared,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Vigil {
    pub(super) fn tell(&self, order: Order) {
        self.shared.sender.send(order).unwrap();
    }

    /// What is wanted: the cluster at rest, or these stopped.
    pub(super) fn want(&self, rest: Option<&str>, stopped: &[&str]) {
        let stopped = stopped.iter().map(|at| name(at)).collect();
        self.tell(Order::Want(Want { rest: rest.map(str::to_owned), stopped }));
    }

    /// Somebody else works on the cluster.
    pub(super) fn others_work(&self) {
        *self.shared.others.lock().unwrap() = Some("convoke restart".into());
    }

    /// They are done.
    pub(super) fn others_are_done(&self) {
        *self.shared.others.lock().unwrap() = None;
        self.tell(Order::Leave(Ok(())));
    }

    pub(super) fn times_asked(&self) -> usize {
        *self.shared.asked.lock().unwrap()
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub(super) fn story(&self) -> String {
        self.events().iter().map(|event| format!("{:>9.3?} {:?}\n", event.at.0, event.kind)).collect()
    }

    /// How many events of a kind there are.
    pub(super) fn count(&self, is: impl Fn(&EventKind) -> bool) -> usize {
        self.events().iter().filter(|event| is(&event.kind)).count()
    }

    pub(super) fn times_ready(&self) -> usize {
        self.count(|kind| matches!(kind, EventKind::ClusterReady { .. }))
    }

    pub(super) fn phase(&self, component: &str) -> Option<Phase> {
        let phase = |event: &Event| match &event.kind {
            EventKind::PhaseChanged { component: at, phase, .. } if at.as_str() == component => Some(*phase),
            _ => None,
        };
        self.events().iter().rev().find_map(phase)
    }

    /// What was said of each recovery of a component: why, and after what pause in seconds.
    pub(super) fn recoveries(&self, component: &str) -> Vec<(String, u64)> {
        let planned = |event: &Event| match &event.kind {
            EventKind::RecoveryPlanned { component: at, why, after, .. } if at.as_str() == component => {
                Some((why.clone(), after.0.as_secs()))
            }
            _ => None,
        };
        self.events().iter().filter_map(planned).collect()
    }

    pub(super) fn drifts(&self) -> Vec<String> {
        let found = |event: &Event| match &event.kind {
            EventKind::DriftFound { what, .. } => Some(what.clone()),
            _ => None,
        };
        self.events().iter().filter_map(found).collect()
    }

    /// Waits until it is so, in virtual time.
    pub(super) async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..60_000 {
            if is(self) {
                return;
            }
            tokio::time::sleep(ms(10)).await;
        }
        panic!("{what}: not within 10 min\n{}", self.story());
    }

    /// Waits until it has said so often that all is ready.
    pub(super) async fn ready(&self, times: usize) {
        self.until(&format!("ready {times} times"), |vigil| vigil.times_ready() >= times).await;
    }
}

/// Supervises a cluster while `story` goes on, then ends it.
pub(super) async fn supervise(engine: &FakeEngine, cluster: &Cluster, story: impl AsyncFnOnce(&Vigil)) -> Ran {
    supervise_with(engine, cluster, Options::default(), story).await
}

pub(super) async fn supervise_with(
    engine: &FakeEngine,
    cluster: &Cluster,
    options: Options,
    story: impl AsyncFnOnce(&Vigil),
) -> Ran {
    let began = engine.now();
    let (sender, orders) = unbounded_channel();
    let shared = Shared { sender, others: Arc::default(), asked: Arc::default() };
    let vigil = Vigil { shared: shared.clone(), events: Arc::default() };
    let options = Options { command: "supervise".into(), supervise: true, ..options };
    let driver = Driver::new(Arc::new(cluster.clone()), options);
    let desk = FreeDesk { orders, shared };
    let told = vigil.events.clone();
    let report = move |event| told.lock().unwrap().push(event);
    let run =
        shell::supervise(driver, engine.clone(), FakeProber::new(engine.clone()), desk, std::future::pending(), report);
    let tale = async {
        story(&vigil).await;
        vigil.tell(Order::End("the test is over".into()));
    };
    let (end, ()) = tokio::join!(run, tale);
    let took = engine.now() - began;
    let ran =
        Ran { outcome: end.outcome, events: vigil.events(), steps: end.steps, running_here: end.running_here, took };
    ran.follows(machine::allows_under_supervision);
    ran
}

/// The component's container.
pub(super) fn find(engine: &FakeEngine, component: &str) -> ObservedContainer {
    let all = engine.containers();
    all.into_iter().find(|container| container.component == name(component)).expect("it has a container")
}

pub(super) fn three() -> Cluster {
    cluster([http("a"), http("b"), checked("c")])
}

/// Ids and start times of all but one.
pub(super) fn others(engine: &FakeEngine, but: &str) -> Vec<(ContainerId, Option<jiff::Timestamp>)> {
    let others = engine.containers().into_iter().filter(|at| at.component != name(but));
    others.map(|at| (at.id, at.state.started_at)).collect()
}
