//! The engine's streams: events, logs, pulls and builds.

use std::collections::VecDeque;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt, iter, once};

use super::calls::{OpenCall, Subject};
use super::clock::moment;
use super::engine::FakeEngine;
use super::journal::Op;
use super::world::{Trouble, World};
use crate::engine::{EngineError, EngineEvent, ErrorKind, LogLine, LogQuery, Progress, Result, Verb};
use crate::names::{ClusterName, ContainerId};

/// How many steps of progress a pull or build shows.
const STEPS: u32 = 4;

/// An open event stream; dropping it unsubscribes.
struct Listening {
    engine: FakeEngine,
    number: u64,
    over: bool,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let number = self.number;
        self.engine.with(|world| world.subscribers.remove(&number));
    }
}

/// `events`.
pub(super) fn events(engine: FakeEngine, cluster: ClusterName) -> BoxStream<'static, Result<EngineEvent>> {
    let opened = async move {
        let name = cluster.to_string();
        let subject =
            Subject { op: Op::Events, verb: |_| Verb::Watch, name: cluster.as_str(), container: None, component: None };
        let (open, answer) = engine.call(subject, move |world| Ok(world.subscribe(&name))).await;
        match open.close(answer) {
            Ok(number) => listen(Listening { engine, number, over: false }),
            Err(error) => once(async { Err(error) }).boxed(),
        }
    };
    once(opened).flatten().boxed()
}

fn listen(listening: Listening) -> BoxStream<'static, Result<EngineEvent>> {
    futures::stream::unfold(listening, |mut listening| async move {
        if listening.over {
            return None;
        }
        let number = listening.number;
        let next = listening.engine.until(|world| next_event(world, number)).await;
        listening.over = next.is_err();
        Some((next, listening))
    })
    .boxed()
}

fn next_event(world: &mut World, number: u64) -> Option<Result<EngineEvent>> {
    let lost = || {
        let message = "the event stream broke".to_owned();
        Some(Err(EngineError { verb: Verb::Watch, kind: ErrorKind::Unreachable, message }))
    };
    let Some(subscriber) = world.subscribers.get_mut(&number) else { return lost() };
    match subscriber.arrived.pop_front() {
        Some(event) => Some(Ok(event)),
        None if subscriber.broken => lost(),
        None => None,
    }
}

/// `pull`.
pub(super) fn pull(engine: FakeEngine, reference: String) -> BoxStream<'static, Result<Progress>> {
    let image = reference.clone();
    let begin = move |world: &mut World| world.pull_time(&image);
    steps(engine, (Op::Pull, Verb::Pull), "Downloading", reference, begin, |world, image| {
        world.image_arrives(image);
        Ok(())
    })
}

/// `build`.
pub(super) fn build(engine: FakeEngine, tag: String) -> BoxStream<'static, Result<Progress>> {
    let begin = |world: &mut World| Ok(world.build_takes);
    steps(engine, (Op::Build, Verb::Build), "Step", tag, begin, World::image_is_built)
}

/// A pull or build on its way.
struct Steps {
    engine: FakeEngine,
    open: Option<OpenCall>,
    each: Duration,
    shown: u32,
    op: Op,
    text: &'static str,
    name: String,
    finish: fn(&mut World, &str) -> std::result::Result<(), Trouble>,
}

fn steps(
    engine: FakeEngine,
    (op, verb): (Op, fn(String) -> Verb),
    text: &'static str,
    name: String,
    begin: impl FnOnce(&mut World) -> std::result::Result<Duration, Trouble> + Send + 'static,
    finish: fn(&mut World, &str) -> std::result::Result<(), Trouble>,
) -> BoxStream<'static, Result<Progress>> {
    let opened = async move {
        let (open, answer) =
            engine.call(Subject { op, verb, name: &name, container: None, component: None }, begin).await;
        match answer {
            Ok(takes) => {
                let each = takes / STEPS;
                let state = Steps { engine, open: Some(open), each, shown: 0, op, text, name, finish };
                futures::stream::unfold(state, step).boxed()
            }
            Err(trouble) => {
                let failed: Result<Progress> = open.close(Err(trouble));
                iter([failed]).boxed()
            }
        }
    };
    once(opened).flatten().boxed()
}

async fn step(mut state: Steps) -> Option<(Result<Progress>, Steps)> {
    let open = state.open.take()?;
    let paused = open.pause(state.each).await;
    state.shown += 1;
    let answer = match paused {
        Ok(()) if state.shown == STEPS => state.engine.with(|world| (state.finish)(world, &state.name)),
        other => other,
    };
    // What a build prints isn't counted.
    let counted = |count: u32| (state.op == Op::Pull).then_some(u64::from(count));
    let text = format!("{} {}/{STEPS}", state.text, state.shown);
    let progress = Progress { text, current: counted(state.shown), total: counted(STEPS) };
    if answer.is_ok() && state.shown < STEPS {
        state.open = Some(open);
        return Some((Ok(progress), state));
    }
    Some((open.close(answer).map(|()| progress), state))
}

/// A log that is being read.
struct Reading {
    open: Option<OpenCall>,
    id: ContainerId,
    query: LogQuery,
    /// Lines that were there when the reading began.
    old: VecDeque<LogLine>,
    /// How many lines of the container's log were seen.
    seen: usize,
}

/// `logs`.
pub(super) fn logs(engine: FakeEngine, id: ContainerId, query: LogQuery) -> BoxStream<'static, Result<LogLine>> {
    let opened = async move {
        let target = id.clone();
        let subject =
            Subject { op: Op::Logs, verb: Verb::Logs, name: id.short(), container: Some(&id), component: None };
        let wanted = query.clone();
        let (open, answer) = engine.call(subject, move |world| old_lines(world, &target, &wanted)).await;
        match answer {
            Ok((old, seen)) => {
                futures::stream::unfold(Reading { open: Some(open), id, query, old, seen }, next_line).boxed()
            }
            Err(trouble) => {
                let failed: Result<LogLine> = open.close(Err(trouble));
                iter([failed]).boxed()
            }
        }
    };
    once(opened).flatten().boxed()
}

fn old_lines(
    world: &mut World,
    id: &ContainerId,
    query: &LogQuery,
) -> std::result::Result<(VecDeque<LogLine>, usize), Trouble> {
    let since = query.since.map(moment).unwrap_or_default();
    let log = &world.container(id)?.log;
    let lines: Vec<_> = log.iter().filter(|line| line.at >= since).collect();
    let skip = query.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
    Ok((lines[skip..].iter().map(|line| line.to_log_line()).collect(), log.len()))
}

async fn next_line(mut reading: Reading) -> Option<(Result<LogLine>, Reading)> {
    if let Some(line) = reading.old.pop_front() {
        return Some((Ok(line), reading));
    }
    let open = reading.open.take()?;
    if !reading.query.follow {
        return open.close(Ok(())).err().map(|error| (Err(error), reading));
    }
    let (id, seen) = (reading.id.clone(), reading.seen);
    let next = open.until(|world| new_line(world, &id, seen)).await;
    match next {
        Ok(Some(line)) => {
            reading.seen += 1;
            reading.open = Some(open);
            Some((Ok(line), reading))
        }
        Ok(None) => {
            // The container ended: so does its log.
            open.close(Ok(())).err().map(|error| (Err(error), reading))
        }
        Err(trouble) => open.close::<()>(Err(trouble)).err().map(|error| (Err(error), reading)),
    }
}

/// The line after those seen; Some(None) once there can't be one any more.
fn new_line(world: &mut World, id: &ContainerId, seen: usize) -> Option<Option<LogLine>> {
    let Some(container) = world.containers.get(id) else { return Some(None) };
    match container.log.get(seen) {
        Some(line) => Some(Some(line.to_log_line())),
        None if !container.runs() => Some(None),
        None => None,
    }
}
