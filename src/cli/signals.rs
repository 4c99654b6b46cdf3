//! `convoke kill`, `pause` and `unpause`: one engine call to each container, all at once.
//!
//! The cluster's lock isn't taken: they are meant to come in the middle of other commands. What is killed or paused on
//! purpose counts as stopped, so that no supervisor brings it back.

use std::collections::BTreeSet;

use futures::future::join_all;

use super::args::Components;
use super::args::Kill;
use super::error::{CliError, FAILED};
use super::session::{Session, choose};
use super::up::note;
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineError, ObservedContainer, Status};
use crate::names::ComponentName;
use crate::store::Store;

pub(super) async fn kill(session: &Session, args: Kill) -> Result<u8, CliError> {
    let signal = full_name(&args.signal);
    let is_end = signal == "SIGKILL";
    let scene = Scene::look(session, &args.which, Status::Running, "runs").await?;
    if is_end {
        scene.note_stopped(true);
    }
    let done = if is_end { "killed" } else { "signalled" };
    let (engine, signal) = (&scene.engine, signal.as_str());
    scene.each(session, done, |container| async move { engine.kill(&container.id, signal).await }).await
}

pub(super) async fn pause(session: &Session, which: Components) -> Result<u8, CliError> {
    let scene = Scene::look(session, &which, Status::Running, "runs").await?;
    scene.note_stopped(true);
    let engine = &scene.engine;
    scene.each(session, "paused", |container| async move { engine.pause(&container.id).await }).await
}

pub(super) async fn unpause(session: &Session, which: Components) -> Result<u8, CliError> {
    let scene = Scene::look(session, &which, Status::Paused, "is paused").await?;
    let engine = &scene.engine;
    let code = scene.each(session, "goes on", |container| async move { engine.unpause(&container.id).await }).await?;
    scene.note_stopped(false);
    Ok(code)
}

/// A signal by number, or by its name with or without SIG.
fn full_name(signal: &str) -> String {
    let upper = signal.to_ascii_uppercase();
    match upper.as_str() {
        "9" | "KILL" => "SIGKILL".to_owned(),
        _ if upper.starts_with("SIG") || upper.bytes().all(|b| b.is_ascii_digit()) => upper,
        _ => format!("SIG{upper}"),
    }
}

/// The containers that are meant.
struct Scene {
    engine: DockerEngine,
    store: Store,
    containers: Vec<ObservedContainer>,
}

impl Scene {
    /// Those of the chosen that are in this state; one that is named must have a container that is.
    async fn look(session: &Session, which: &Components, status: Status, word: &str) -> Result<Self, CliError> {
        let engine = session.connect().await?;
        let cluster = session.cluster_name(&engine, &which.files.file).await?;
        let observed = session.observe(&engine, &cluster).await?;
        let chosen = choose(&observed, &which.components)?;
        let fits = |c: &ObservedContainer| c.state.status == status && chosen.contains(&c.component);
        let containers: Vec<ObservedContainer> = observed.containers.into_iter().filter(fits).collect();
        if containers.is_empty() {
            return Err(CliError::failed(format!("nothing of that {word}")).hint("convoke ps shows what does"));
        }
        Ok(Self { engine, store: session.store(&cluster), containers })
    }

    fn note_stopped(&self, stopped: bool) {
        let own: BTreeSet<ComponentName> = self.containers.iter().map(|c| c.component.clone()).collect();
        let mut all = self.store.stopped();
        if stopped {
            all.extend(own);
        } else {
            all.retain(|name| !own.contains(name));
        }
        note(self.store.set_stopped(&all));
    }

    async fn each<'a, F>(
        &'a self,
        session: &Session,
        done: &str,
        call: impl Fn(&'a ObservedContainer) -> F,
    ) -> Result<u8, CliError>
    where
        F: Future<Output = Result<(), EngineError>>,
    {
        let results = join_all(self.containers.iter().map(call)).await;
        let mut code = 0;
        for (container, result) in self.containers.iter().zip(results) {
            match result {
                Ok(()) => session.printer.progress(format_args!("{} {done}", container.component)),
                Err(error) => {
                    session.printer.problem(format_args!("error: {}: {error}", container.component));
                    code = FAILED;
                }
            }
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::full_name;

    #[test]
    fn signals_are_named_in_any_way() {
        assert_eq!(["9", "kill", "SIGKILL"].map(full_name), ["SIGKILL"; 3]);
        assert_eq!(["hup", "SIGUSR1", "15"].map(full_name), ["SIGHUP", "SIGUSR1", "15"]);
    }
}
