//! The engine's calls on the fake world.
//!
//! A call is planned in the world when it is made: dropping its future doesn't undo it, just as with a real engine.

use std::time::Duration;

use futures::stream::BoxStream;
use tokio::sync::oneshot;

use super::engine::FakeEngine;
use super::journal::{Op, Outcome};
use super::streams;
use super::world::{Trouble, World};
use crate::engine::{
    Attach, BuildRequest, CreateContainer, CreateNetwork, CreateVolume, Engine, EngineError, EngineEvent, EngineInfo,
    ErrorKind, ExecOutcome, ExecRequest, ImageInfo, LogLine, LogQuery, Observed, ObservedContainer, Progress, Result,
    Verb,
};
use crate::names::{ClusterName, ComponentName, ContainerId};

/// An open call: its journal entry, closed as dropped if nobody closes it before.
pub(super) struct OpenCall {
    engine: FakeEngine,
    entry: usize,
    verb: Verb,
    epoch: u64,
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let entry = self.entry;
        self.engine.with(|world| world.drop_call(entry));
    }
}

impl OpenCall {
    /// Waits until `check` gives something, or the connection breaks.
    pub(super) async fn until<T>(
        &self,
        mut check: impl FnMut(&mut World) -> Option<T> + Send,
    ) -> std::result::Result<T, Trouble> {
        let epoch = self.epoch;
        let seen = self.engine.until(move |world| {
            if world.epoch != epoch {
                return Some(Err((ErrorKind::Unreachable, "connection reset by peer".to_owned())));
            }
            check(world).map(Ok)
        });
        seen.await
    }

    /// Waits until this much time passed.
    pub(super) async fn pause(&self, duration: Duration) -> std::result::Result<(), Trouble> {
        let until = self.engine.with(|world| {
            world.after(duration, |_| {});
            world.now + duration
        });
        self.until(|world| (world.now >= until).then_some(())).await
    }

    /// Closes the journal entry and gives the caller's answer.
    pub(super) fn close<T>(self, answer: std::result::Result<T, Trouble>) -> Result<T> {
        let outcome = match &answer {
            Ok(_) => Outcome::Ok,
            Err((kind, _)) => Outcome::Failed(kind.clone()),
        };
        self.engine.with(|world| world.close_call(self.entry, outcome));
        answer.map_err(|(kind, message)| EngineError { verb: self.verb.clone(), kind, message })
    }
}

/// What a call is about.
pub(super) struct Subject<'a> {
    pub(super) op: Op,
    pub(super) verb: fn(String) -> Verb,
    pub(super) name: &'a str,
    pub(super) container: Option<&'a ContainerId>,
    pub(super) component: Option<&'a ComponentName>,
}

impl FakeEngine {
    fn subject<'a>(op: Op, verb: fn(String) -> Verb, name: &'a str) -> Subject<'a> {
        Subject { op, verb, name, container: None, component: None }
    }

    fn on<'a>(op: Op, verb: fn(String) -> Verb, id: &'a ContainerId) -> Subject<'a> {
        Subject { op, verb, name: id.short(), container: Some(id), component: None }
    }

    /// Opens a call, lets it take effect after its latency (or not, as its fate has it), and waits for the answer of
    /// the effect. The caller closes the call.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        subject: Subject<'_>,
        effect: impl FnOnce(&mut World) -> std::result::Result<T, Trouble> + Send + 'static,
    ) -> (OpenCall, std::result::Result<T, Trouble>) {
        let (answer, mut answered) = oneshot::channel();
        let (open, fate) = self.with(|world| {
            let entry = world.open_call(&subject);
            let takes = world.call_time(subject.op, subject.container);
            let fate = world.fate(subject.op, takes);
            let epoch = world.epoch;
            if let Some(after) = fate.effect {
                world.after(after, move |world| {
                    // An engine that restarted meanwhile never saw the request, unless it was late anyway.
                    let arrives = world.epoch == epoch || after >= world.latency.limit;
                    if world.up && arrives && !world.lost.contains(&entry) {
                        let _ = answer.send(world.take_effect(entry, effect));
                    }
                });
            }
            let call = &world.calls[entry];
            let name = call.component.as_ref().map_or_else(|| call.name.clone(), ToString::to_string);
            (OpenCall { engine: self.clone(), entry, verb: (subject.verb)(name), epoch }, fate)
        });
        let result = match fate.failure {
            Some((at, kind)) => open.pause(at).await.and(Err((kind.clone(), failure_text(&kind)))),
            None => match open.until(|_| answered.try_recv().ok()).await {
                Ok(result) => open.pause(fate.way_back).await.and(result),
                Err(trouble) => Err(trouble),
            },
        };
        (open, result)
    }

    async fn simple<T: Send + 'static>(
        &self,
        subject: Subject<'_>,
        effect: impl FnOnce(&mut World) -> std::result::Result<T, Trouble> + Send + 'static,
    ) -> Result<T> {
        let (open, answer) = self.call(subject, effect).await;
        open.close(answer)
    }
}

/// "There is no such thing" is an answer for some calls.
fn or_gone<T>(answer: Result<T>, instead: T) -> Result<T> {
    match answer {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(instead),
        other => other,
    }
}

/// The text of an injected failure.
fn failure_text(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Unreachable => "connection refused".to_owned(),
        ErrorKind::Timeout(limit) => format!("no answer within {}", crate::units::human(*limit)),
        other => format!("{other:?}, by the fake engine's faults"),
    }
}

impl World {
    /// Runs a call's effect and keeps its time; a create's container belongs to the journal's entry.
    fn take_effect<T>(
        &mut self,
        entry: usize,
        effect: impl FnOnce(&mut Self) -> std::result::Result<T, Trouble>,
    ) -> std::result::Result<T, Trouble> {
        self.dirty = true;
        let now = self.now;
        let result = effect(self);
        if let Some(call) = self.calls.get_mut(entry).filter(|_| result.is_ok()) {
            call.effect = Some(now);
        }
        result
    }

    /// How long a call takes until its effect.
    fn call_time(&mut self, op: Op, id: Option<&ContainerId>) -> Duration {
        let latency = self.latency.clone();
        match op {
            Op::Create => self.calls_rng.between(latency.create),
            Op::Observe => self.calls_rng.between(latency.list),
            Op::Start => {
                let own = id.and_then(|id| self.containers.get(id)).and_then(|at| self.behaviour_of(at).start_latency);
                let drawn = self.calls_rng.between(latency.start);
                match latency.serial_start {
                    Some(each) => {
                        self.starts_done = self.starts_done.max(self.now) + own.unwrap_or(each);
                        self.starts_done - self.now
                    }
                    None => own.unwrap_or(drawn),
                }
            }
            _ => self.calls_rng.between(latency.call),
        }
    }
}

impl Engine for FakeEngine {
    async fn info(&self) -> Result<EngineInfo> {
        self.simple(Self::subject(Op::Info, |_| Verb::AskVersion, "engine"), |world| Ok(world.info.clone())).await
    }

    async fn observe(&self, cluster: &ClusterName) -> Result<Observed> {
        let name = cluster.clone();
        let subject = Self::subject(Op::Observe, Verb::Observe, cluster.as_str());
        self.simple(subject, move |world| Ok(world.observe(&name))).await
    }

    async fn all_clusters(&self) -> Result<Vec<ClusterName>> {
        let subject = Self::subject(Op::Observe, Verb::Observe, "all clusters");
        self.simple(subject, |world| Ok(world.all_clusters())).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ObservedContainer>> {
        let subject = Self::on(Op::Inspect, Verb::Inspect, id);
        let id = id.clone();
        let look = move |world: &mut World| Ok(world.containers.get(&id).and_then(|at| at.observed()));
        or_gone(self.simple(subject, look).await, None)
    }

    fn events(&self, cluster: &ClusterName) -> BoxStream<'static, Result<EngineEvent>> {
        streams::events(self.clone(), cluster.clone())
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageInfo>> {
        let name = reference.to_owned();
        let subject = Self::subject(Op::Image, Verb::FindImage, reference);
        or_gone(self.simple(subject, move |world| Ok(world.find_image(&name))).await, None)
    }

    fn pull(&self, reference: &str) -> BoxStream<'static, Result<Progress>> {
        streams::pull(self.clone(), reference.to_owned())
    }

    fn build(&self, request: &BuildRequest) -> BoxStream<'static, Result<Progress>> {
        streams::build(self.clone(), request.tag.clone())
    }

    async fn create_network(&self, request: &CreateNetwork) -> Result<String> {
        let subject = Self::subject(Op::CreateNetwork, Verb::CreateNetwork, &request.name);
        let request = request.clone();
        self.simple(subject, move |world| world.make_network(&request)).await
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        let network = id.to_owned();
        let subject = Self::subject(Op::RemoveNetwork, Verb::RemoveNetwork, id);
        or_gone(self.simple(subject, move |world| world.drop_network(&network)).await, ())
    }

    async fn members(&self, network_id: &str) -> Result<Vec<String>> {
        let network = network_id.to_owned();
        let subject = Self::subject(Op::Members, Verb::Members, network_id);
        self.simple(subject, move |world| Ok(world.members(&network))).await
    }

    async fn disconnect(&self, network_id: &str, member: &str) -> Result<()> {
        let (network, member) = (network_id.to_owned(), member.to_owned());
        let subject = Self::subject(Op::Disconnect, Verb::Disconnect, network_id);
        let effect = move |world: &mut World| {
            world.disconnect(&network, &member);
            Ok(())
        };
        self.simple(subject, effect).await
    }

    async fn connect(&self, id: &ContainerId, attach: &Attach) -> Result<()> {
        let (target, attach) = (id.clone(), attach.clone());
        self.simple(Self::on(Op::Connect, Verb::Attach, id), move |world| world.connect(&target, &attach)).await
    }

    async fn create_volume(&self, request: &CreateVolume) -> Result<()> {
        let subject = Self::subject(Op::CreateVolume, Verb::CreateVolume, &request.name);
        let request = request.clone();
        let effect = move |world: &mut World| {
            world.make_volume(&request);
            Ok(())
        };
        self.simple(subject, effect).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        let volume = name.to_owned();
        let subject = Self::subject(Op::RemoveVolume, Verb::RemoveVolume, name);
        or_gone(self.simple(subject, move |world| world.drop_volume(&volume)).await, ())
    }

    async fn create_container(&self, request: &CreateContainer) -> Result<ContainerId> {
        let subject = Self::subject(Op::Create, Verb::Create, &request.name);
        let subject = Subject { component: Some(&request.component), ..subject };
        let request = request.clone();
        self.simple(subject, move |world| world.make_container(&request)).await
    }

    async fn start(&self, id: &ContainerId) -> Result<()> {
        let subject = Self::on(Op::Start, Verb::Start, id);
        let id = id.clone();
        self.simple(subject, move |world| world.start_container(&id)).await
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<()> {
        // The real engine counts in whole seconds.
        let grace = Duration::from_secs(grace.as_secs() + u64::from(grace.subsec_nanos() > 0));
        let target = id.clone();
        let subject = Self::on(Op::Stop, Verb::Stop, id);
        let (open, mut answer) = self.call(subject, move |world| world.ask_to_stop(&target, grace)).await;
        if answer.is_ok() {
            answer = open.until(|world| world.containers.get(id).is_none_or(|at| at.rests()).then_some(())).await;
        }
        open.close(answer)
    }

    async fn kill(&self, id: &ContainerId, signal: &str) -> Result<()> {
        let (target, signal) = (id.clone(), signal.to_owned());
        self.simple(Self::on(Op::Kill, Verb::Kill, id), move |world| world.signal(&target, &signal)).await
    }

    async fn crash(&self, id: &ContainerId) -> Result<()> {
        let target = id.clone();
        self.simple(Self::on(Op::Crash, Verb::Crash, id), move |world| world.crash_container(&target)).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        let target = id.clone();
        self.simple(Self::on(Op::Pause, Verb::Pause, id), move |world| world.pause(&target)).await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<()> {
        let target = id.clone();
        self.simple(Self::on(Op::Unpause, Verb::Unpause, id), move |world| world.unpause(&target)).await
    }

    async fn remove(&self, id: &ContainerId, volumes: bool) -> Result<()> {
        let target = id.clone();
        let effect = move |world: &mut World| {
            let takes = world.calls_rng.between(world.latency.remove);
            world.begin_removal(&target, volumes, takes)
        };
        let (open, answer) = self.call(Self::on(Op::Remove, Verb::Remove, id), effect).await;
        let answer = match answer {
            Ok(_) => open.until(|world| (!world.containers.contains_key(id)).then_some(())).await,
            Err(trouble) => Err(trouble),
        };
        or_gone(open.close(answer), ())
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Result<()> {
        let (target, name) = (id.clone(), name.to_owned());
        self.simple(Self::on(Op::Rename, Verb::Rename, id), move |world| world.rename_container(&target, &name)).await
    }

    async fn exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<ExecOutcome> {
        let (target, command, keep) = (id.clone(), request.command.clone(), request.keep_output);
        let effect = move |world: &mut World| world.begin_exec(&target, &command);
        let (open, answer) = self.call(Self::on(Op::Exec, Verb::Exec, id), effect).await;
        let answer = match answer {
            Ok(slot) => {
                let outcome = open.until(|world| world.exec_outcome(slot)).await;
                outcome.map(|mut outcome| {
                    outcome.output = last_bytes(&outcome.output, keep).to_owned();
                    outcome
                })
            }
            Err(trouble) => Err(trouble),
        };
        open.close(answer)
    }

    fn logs(&self, id: &ContainerId, query: &LogQuery) -> BoxStream<'static, Result<LogLine>> {
        streams::logs(self.clone(), id.clone(), query.clone())
    }
}

/// The end of a text, at most so many bytes, cut between characters.
fn last_bytes(text: &str, keep: usize) -> &str {
    let mut from = text.len().saturating_sub(keep);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}
