//! The loop around the driver: carries its effects out against an engine and brings back what came of them.
//!
//! Nothing is decided here. Calls run as tasks; whatever they find comes back as an [`Input`].

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::{Instrument, debug, info_span};

use super::calls::Context;
use super::driver::Driver;
use super::input::{Call, Done, Effect, Feed, Input};
use super::supervise::Order;
use crate::cluster::{Cluster, ProbeAction};
use crate::engine::{Engine, EngineEventKind};
use crate::event::{Event, EventKind, Outcome};
use crate::mask::Masker;
use crate::names::{ClusterName, ComponentName};
use crate::plan::request;
use crate::probe::Prober;

/// Calls that change something and are in flight when the run ends are waited for so long: a dropped call isn't undone,
/// and who cleans up wants to see what it made.
const SETTLE_LIMIT: Duration = Duration::from_millis(1500);

/// Ticks at one moment that can't be anything but a driver which goes round in circles.
const TICKS_AT_ONCE: u32 = 200;

/// Whom a supervised run asks for leave, and who tells it what is wanted.
pub trait Desk {
    /// The run asks to change the cluster: an [`Order::Leave`] answers.
    fn ask_leave(&mut self);

    /// The run has done what it asked for.
    fn give_back(&mut self);

    /// The next order. Dropping the future before it is ready loses none.
    fn next(&mut self) -> impl Future<Output = Order>;
}

/// The desk of a run that isn't supervised: nobody is there.
struct Nobody;

impl Desk for Nobody {
    fn ask_leave(&mut self) {}

    fn give_back(&mut self) {}

    async fn next(&mut self) -> Order {
        std::future::pending().await
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// How.
    pub outcome: Outcome,
    /// Components whose containers this run started.
    pub started_here: BTreeSet<ComponentName>,
    /// Those of them whose process ran at the end, or was to be started again.
    pub running_here: BTreeSet<ComponentName>,
    /// Inputs that the driver took: tests bound them.
    pub steps: u64,
}

/// Runs the driver to its end. `interrupt` resolves when the user wants it to end; `report` gets every event.
pub async fn run<E: Engine, P: Prober>(
    driver: Driver,
    engine: E,
    prober: P,
    interrupt: impl Future<Output = ()>,
    report: impl FnMut(Event),
) -> RunEnd {
    supervise(driver, engine, prober, Nobody, interrupt, report).await
}

/// The same for a driver that supervises: `desk` gives leave and orders.
pub async fn supervise<E: Engine, P: Prober>(
    driver: Driver,
    engine: E,
    prober: P,
    desk: impl Desk,
    interrupt: impl Future<Output = ()>,
    report: impl FnMut(Event),
) -> RunEnd {
    let watch = |_: &Driver, _: &Input| ControlFlow::<Infallible>::Continue(());
    match run_at_desk(driver, engine, prober, desk, interrupt, report, watch).await {
        ControlFlow::Continue(end) => end,
        ControlFlow::Break(never) => match never {},
    }
}

/// The same, with somebody who sees each input before the driver takes it. `Break` ends everything there and then, as
/// `kill -9` does: calls under way may still take effect.
#[cfg(test)]
pub(super) async fn run_watched<E: Engine, P: Prober, B>(
    driver: Driver,
    engine: E,
    prober: P,
    interrupt: impl Future<Output = ()>,
    report: impl FnMut(Event),
    watch: impl FnMut(&Driver, &Input) -> ControlFlow<B>,
) -> ControlFlow<B, RunEnd> {
    run_at_desk(driver, engine, prober, Nobody, interrupt, report, watch).await
}

async fn run_at_desk<E: Engine, P: Prober, B>(
    driver: Driver,
    engine: E,
    prober: P,
    mut desk: impl Desk,
    interrupt: impl Future<Output = ()>,
    mut report: impl FnMut(Event),
    mut watch: impl FnMut(&Driver, &Input) -> ControlFlow<B>,
) -> ControlFlow<B, RunEnd> {
    let mut shell = Shell::new(driver, engine, prober);
    tokio::pin!(interrupt);
    let mut interrupted = false;
    let mut input = Input::Begin;
    loop {
        watch(&shell.driver, &input)?;
        let effects = shell.step(input);
        if let Some(outcome) = shell.carry_out(effects, &mut desk, &mut report) {
            shell.settle().await;
            let (started_here, running_here) = (shell.driver.started_here(), shell.driver.running_here());
            return ControlFlow::Continue(RunEnd { outcome, started_here, running_here, steps: shell.steps });
        }
        let wake = shell.wake;
        input = tokio::select! {
            biased;
            () = &mut interrupt, if !interrupted => {
                interrupted = true;
                Input::Interrupt
            }
            order = desk.next() => Input::Order(order),
            Some(input) = shell.inbox.recv() => input,
            () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => Input::Tick,
        };
    }
}

struct Shell<E, P> {
    driver: Driver,
    cluster: ClusterName,
    labels: BTreeMap<String, String>,
    masker: Masker,
    context: Context<E>,
    prober: P,
    began: Instant,
    steps: u64,
    /// Ticks since time last moved: see [`TICKS_AT_ONCE`].
    ticks: (Duration, u32),
    wake: Option<Instant>,
    inbox: UnboundedReceiver<Input>,
    watch: JoinSet<()>,
    reads: JoinSet<()>,
    changes: JoinSet<()>,
    asks: JoinSet<()>,
    droppable: BTreeMap<ComponentName, Vec<AbortHandle>>,
}

impl<E: Engine, P: Prober> Shell<E, P> {
    fn new(driver: Driver, engine: E, prober: P) -> Self {
        let (outbox, inbox) = unbounded_channel();
        let cluster: &Cluster = &driver.cluster;
        let masker = Masker::new(cluster.secrets());
        Self {
            cluster: cluster.name.clone(),
            labels: request::image_labels(cluster),
            masker,
            driver,
            context: Context { engine, outbox },
            prober,
            began: Instant::now(),
            steps: 0,
            ticks: (Duration::ZERO, 0),
            wake: None,
            inbox,
            watch: JoinSet::new(),
            reads: JoinSet::new(),
            changes: JoinSet::new(),
            asks: JoinSet::new(),
            droppable: BTreeMap::new(),
        }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let input = self.mask(input);
        let now = self.began.elapsed();
        self.steps += 1;
        if matches!(input, Input::Tick) {
            self.ticks = if self.ticks.0 == now { (now, self.ticks.1 + 1) } else { (now, 1) };
            debug_assert!(self.ticks.1 < TICKS_AT_ONCE, "the driver asks for the same moment over and over");
        }
        self.driver.step(now, input)
    }

    /// Secrets never get past here: not from log lines, not from a probe's answer, not from what a build prints.
    fn mask(&mut self, input: Input) -> Input {
        match input {
            Input::Answered { component, run, which, mut answer } => {
                answer.text = self.masker.mask(&answer.text);
                Input::Answered { component, run, which, answer }
            }
            Input::Done(Done::LogTail(name, lines)) => {
                let lines = lines.iter().map(|line| self.masker.mask(line)).collect();
                Input::Done(Done::LogTail(name, lines))
            }
            Input::Progress { image, mut progress } => {
                progress.text = self.masker.mask(&progress.text);
                Input::Progress { image, progress }
            }
            Input::Done(Done::Image(image, Err(mut error))) => {
                error.message = self.masker.mask(&error.message);
                Input::Done(Done::Image(image, Err(error)))
            }
            Input::Order(Order::Describe(cluster)) => {
                // What was secret stays so: old answers may be on their way.
                self.masker = Masker::new(self.driver.cluster.secrets().chain(cluster.secrets()));
                Input::Order(Order::Describe(cluster))
            }
            other => other,
        }
    }

    /// Carries effects out; Some when the run is over.
    fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        desk: &mut impl Desk,
        report: &mut impl FnMut(Event),
    ) -> Option<Outcome> {
        self.wake = None;
        let mut outcome = None;
        for effect in effects {
            match effect {
                Effect::Watch { after } => self.watch(after),
                Effect::Call(call) => self.call(call),
                Effect::Ask { run, which, probe, target } => {
                    let name = target.component.clone();
                    let span = info_span!("component", name = %name);
                    let (prober, outbox) = (self.prober.clone(), self.context.outbox.clone());
                    let is_exec = matches!(probe.action, ProbeAction::Exec { .. });
                    let task = async move {
                        let answer = prober.ask(&target, &probe).await;
                        debug!(probe = %probe.action.describe(), verdict = ?answer.verdict, text = %answer.text, "answered");
                        _ = outbox.send(Input::Answered { component: target.component, run, which, answer });
                    };
                    let handle = self.asks.spawn(task.instrument(span));
                    if !is_exec {
                        self.droppable.entry(name).or_default().push(handle);
                    }
                }
                Effect::Abandon(name) => {
                    // An exec can't be taken back: its answer is waited for, and ignored.
                    for handle in self.droppable.remove(&name).unwrap_or_default() {
                        handle.abort();
                    }
                }
                Effect::Wake(at) => self.wake = Some(self.began + at),
                Effect::AskLeave => desk.ask_leave(),
                Effect::GiveBack => desk.give_back(),
                Effect::Emit(event) => {
                    trace_event(&event);
                    report(event);
                }
                Effect::Finish(end) => outcome = Some(end),
            }
        }
        self.reap();
        outcome
    }

    /// Forgets tasks that have ended.
    fn reap(&mut self) {
        for set in [&mut self.reads, &mut self.changes, &mut self.asks] {
            while set.try_join_next().is_some() {}
        }
        for handles in self.droppable.values_mut() {
            handles.retain(|handle| !handle.is_finished());
        }
    }

    async fn settle(&mut self) {
        let all = async { while self.changes.join_next().await.is_some() {} };
        if tokio::time::timeout(SETTLE_LIMIT, all).await.is_err() {
            debug!(left = self.changes.len(), "calls are still in flight at the end of the run");
        }
    }

    fn watch(&mut self, after: Duration) {
        self.watch.abort_all();
        let context = self.context.clone();
        let cluster = self.cluster.clone();
        self.watch.spawn(async move {
            tokio::time::sleep(after).await;
            let mut events = context.engine.events(&cluster);
            let mut why = None;
            while let Some(event) = events.next().await {
                let feed = match event.map(|event| event.kind) {
                    Ok(EngineEventKind::Subscribed) => Feed::Subscribed,
                    Ok(EngineEventKind::Container { id, action, .. }) => Feed::Changed { id, action },
                    Err(error) => {
                        debug!(%error, "the event stream broke");
                        why = Some(error);
                        break;
                    }
                };
                if context.outbox.send(Input::Feed(feed)).is_err() {
                    return;
                }
            }
            _ = context.outbox.send(Input::Feed(Feed::Lost(why)));
        });
    }

    fn call(&mut self, call: Call) {
        let context = self.context.clone();
        let span = info_span!("component", name = call.subject().unwrap_or("cluster"));
        let changes = !matches!(
            call,
            Call::Observe
                | Call::Inspect(..)
                | Call::FindImage(_)
                | Call::ObtainImage { .. }
                | Call::LogTail(..)
                | Call::PostStart(..)
        );
        let (cluster, labels) = (self.cluster.clone(), self.labels.clone());
        let task = async move {
            debug!(call = call.verb(), "begins");
            let done = context.make(call, cluster, labels).await;
            _ = context.outbox.send(Input::Done(done));
        };
        let set = if changes { &mut self.changes } else { &mut self.reads };
        set.spawn(task.instrument(span));
    }
}

fn trace_event(event: &Event) {
    match &event.kind {
        EventKind::PhaseChanged { component, phase, reason } => {
            tracing::info!(component = %component, phase = %phase, reason = reason.as_deref(), "phase");
        }
        EventKind::Warning { message } => tracing::warn!("{message}"),
        other => debug!(?other, "event"),
    }
}
