//! The loop around the driver: carries its effects out against an engine and brings back what came of them.
//!
//! Nothing is decided here. Calls run as tasks; whatever they find comes back as an [`Input`].

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::{Instrument, debug, info_span};

use super::driver::Driver;
use super::input::{Call, Done, Effect, Feed, Input};
use crate::cluster::{Build, Cluster, ProbeAction};
use crate::engine::{
    BuildRequest, Engine, EngineError, EngineEventKind, ErrorKind, ImageInfo, LogLine, LogQuery, Progress, Verb,
};
use crate::event::{Event, EventKind, Outcome};
use crate::mask::Masker;
use crate::names::{ClusterName, ComponentName, ContainerId};
use crate::plan::request;
use crate::probe::Prober;
use crate::units::human;

/// So many of the last log lines go into a failure report.
pub const LOG_LINES: usize = 20;
/// They come so long before the one who asked gives up, complete or not.
const LOG_MARGIN: Duration = Duration::from_millis(100);
/// The engine notes a start so long after the process began, or between two of its lines. Between the last line of a run
/// and the first of the next, no less time passes: the engine's own restart policy pauses for as long.
const START_NOTED: SignedDuration = SignedDuration::from_millis(100);
/// A list or an inspection without an answer for so long is asked again: all else waits for it.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// Calls that change something and are in flight when the run ends are waited for so long: a dropped call isn't undone,
/// and who cleans up wants to see what it made.
const SETTLE_LIMIT: Duration = Duration::from_millis(1500);

/// Ticks at one moment that can't be anything but a driver which goes round in circles.
const TICKS_AT_ONCE: u32 = 200;

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
    match run_watched(driver, engine, prober, interrupt, report, |_, _| ControlFlow::<Infallible>::Continue(())).await {
        ControlFlow::Continue(end) => end,
        ControlFlow::Break(never) => match never {},
    }
}

/// The same, with somebody who sees each input before the driver takes it. `Break` ends everything there and then, as
/// `kill -9` does: calls under way may still take effect.
pub(super) async fn run_watched<E: Engine, P: Prober, B>(
    driver: Driver,
    engine: E,
    prober: P,
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
        if let Some(outcome) = shell.carry_out(effects, &mut report) {
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

/// What a task needs.
#[derive(Clone)]
struct Context<E> {
    engine: E,
    outbox: UnboundedSender<Input>,
}

impl<E: Engine, P: Prober> Shell<E, P> {
    fn new(driver: Driver, engine: E, prober: P) -> Self {
        let (outbox, inbox) = unbounded_channel();
        let cluster: &Cluster = &driver.cluster;
        let masker = Masker::new(cluster.components.values().flat_map(|component| &component.secrets));
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
    fn mask(&self, input: Input) -> Input {
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
            other => other,
        }
    }

    /// Carries effects out; Some when the run is over.
    fn carry_out(&mut self, effects: Vec<Effect>, report: &mut impl FnMut(Event)) -> Option<Outcome> {
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
            Call::Observe | Call::Inspect(..) | Call::FindImage(_) | Call::ObtainImage { .. } | Call::LogTail(..)
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

impl<E: Engine> Context<E> {
    async fn make(&self, call: Call, cluster: ClusterName, labels: BTreeMap<String, String>) -> Done {
        let engine = &self.engine;
        match call {
            Call::Observe => {
                let verb = Verb::Observe(cluster.to_string());
                Done::Observed(read(verb, engine.observe(&cluster)).await.map(Box::new))
            }
            Call::Inspect(name, id) => {
                let verb = Verb::Inspect(name.to_string());
                let seen = read(verb, engine.inspect(&id)).await.map(|seen| seen.map(Box::new));
                Done::Inspected(name, id, seen)
            }
            Call::FindImage(image) => {
                let found = engine.image(&image).await;
                Done::Image(image, found)
            }
            Call::ObtainImage { image, build, service } => {
                let found = self.obtain(&image, build, &service, cluster, labels).await;
                Done::Image(image, found)
            }
            Call::CreateNetwork(key, request) => Done::NetworkCreated(key, engine.create_network(&request).await),
            Call::CreateVolume(key, request) => Done::VolumeCreated(key, engine.create_volume(&request).await),
            Call::Create(request) => {
                let name = request.component.clone();
                Done::Created(name, engine.create_container(&request).await)
            }
            Call::Start(name, id) => {
                let result = engine.start(&id).await;
                Done::Started(name, id, result)
            }
            Call::Stop(name, id, grace) => Done::Changed(name, engine.stop(&id, grace).await),
            Call::Remove(name, id, volumes) => Done::Changed(name, engine.remove(&id, volumes).await),
            Call::Rename(name, id, to) => Done::Changed(name, engine.rename(&id, &to).await),
            Call::RemoveTwin(id) => {
                let result = engine.remove_network(&id).await;
                Done::TwinRemoved(id, result)
            }
            Call::RemoveSurplus(id) => {
                let result = engine.remove(&id, true).await;
                Done::SurplusRemoved(id, result)
            }
            Call::LogTail(name, id, began, limit) => {
                let lines = log_tail(engine, &id, began, limit.saturating_sub(LOG_MARGIN)).await;
                Done::LogTail(name, lines)
            }
        }
    }

    async fn obtain(
        &self,
        image: &str,
        build: Option<Build>,
        service: &str,
        cluster: ClusterName,
        mut labels: BTreeMap<String, String>,
    ) -> Result<Option<ImageInfo>, EngineError> {
        use crate::engine::labels::COMPOSE_SERVICE;
        let mut steps = match build {
            Some(build) => {
                labels.insert(COMPOSE_SERVICE.to_owned(), service.to_owned());
                self.engine.build(&BuildRequest { tag: image.to_owned(), cluster, build, labels })
            }
            None => self.engine.pull(image),
        };
        while let Some(step) = steps.next().await {
            let progress: Progress = step?;
            _ = self.outbox.send(Input::Progress { image: image.to_owned(), progress });
        }
        match self.engine.image(image).await {
            Ok(None) => Err(EngineError {
                verb: Verb::FindImage(image.to_owned()),
                kind: ErrorKind::ImageMissing,
                message: "it isn't there after the pull or build".into(),
            }),
            found => found,
        }
    }
}

/// Bounds a call that only looks.
async fn read<T>(verb: Verb, call: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    tokio::time::timeout(READ_LIMIT, call).await.unwrap_or_else(|_| {
        let message = format!("no answer within {}", human(READ_LIMIT));
        Err(EngineError { verb, kind: ErrorKind::Timeout(READ_LIMIT), message })
    })
}

/// The last lines of a container's log, as far as they can be had within `limit`: those of the run that began at this
/// time, or of earlier ones if it said nothing.
pub async fn log_tail<E: Engine>(
    engine: &E,
    id: &ContainerId,
    began: Option<Timestamp>,
    limit: Duration,
) -> Vec<String> {
    let query = LogQuery { follow: false, tail: Some(LOG_LINES), since: None };
    let mut stream = engine.logs(id, &query);
    let mut lines = Vec::new();
    let read = async {
        while let Some(Ok(line)) = stream.next().await {
            lines.push(line);
        }
    };
    if tokio::time::timeout(limit, read).await.is_err() {
        debug!("the log could not be read in time");
    }
    let of_run = began.map_or(&lines[..], |began| of_last_run(&lines, began));
    of_run.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
}

/// Lines since the last run began; all if there are none. The engine notes a start when the process runs already, on a
/// busy machine a while later: lines that come close before that moment, one after the other, are of the same run.
fn of_last_run(lines: &[LogLine], began: Timestamp) -> &[LogLine] {
    let mut since = began;
    let mut first = lines.len();
    while let Some(line) = first.checked_sub(1).map(|before| &lines[before]) {
        // A line whose time can't be read is shown rather than lost.
        let at = line.at.unwrap_or(since);
        if since.duration_since(at) > START_NOTED {
            break;
        }
        since = since.min(at);
        first -= 1;
    }
    if first == lines.len() { lines } else { &lines[first..] }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LogSource;

    /// What is quoted of lines at these times in ms, when the last run is noted to have begun at `began`.
    fn quoted(times: &[i64], began: i64) -> Vec<i64> {
        let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        let line = |ms: &i64| LogLine { source: LogSource::Out, at: Some(at(*ms)), text: "".into() };
        let lines: Vec<_> = times.iter().map(line).collect();
        of_last_run(&lines, at(began)).iter().map(|line| line.at.unwrap().as_millisecond()).collect()
    }

    #[test]
    fn only_lines_of_the_last_run_are_quoted() {
        assert_eq!(quoted(&[100, 900, 1500, 2600], 1400), [1500, 2600]);
        assert_eq!(quoted(&[1500, 2600], 1400), [1500, 2600]);
        assert_eq!(quoted(&[], 1400), [] as [i64; 0]);
    }

    #[test]
    fn a_start_that_is_noted_late_loses_no_line() {
        assert_eq!(quoted(&[100, 900, 1300, 1350, 1360, 2000], 1400), [1300, 1350, 1360, 2000]);
        assert_eq!(quoted(&[100, 1350, 1360], 1400), [1350, 1360]);
    }

    #[test]
    fn a_run_that_said_nothing_leaves_those_before_it() {
        assert_eq!(quoted(&[100, 900], 1400), [100, 900]);
    }

    #[test]
    fn lines_of_two_streams_may_be_out_of_order() {
        assert_eq!(quoted(&[100, 1500, 1490, 1510, 1380], 1400), [1500, 1490, 1510, 1380]);
    }
}
