//! `convoke chaos`: breaking components on purpose, listing what is broken, healing it.
//!
//! What is about to be broken is noted before it is, so that a convoke that is killed half-way leaves a note too much
//! rather than one too few. The cluster's lock isn't taken: faults are meant to come in the middle of other commands.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::args::{Break, Chaos, ChaosVerb, Components, Files};
use super::error::{CliError, FAILED, INTERRUPTED};
use super::session::{Session, choose};
use super::up::note;
use crate::drive::chaos::{self, Breakage, Fault, Judgement, judge};
use crate::engine::docker::DockerEngine;
use crate::engine::{Attach, Engine, EngineError, ErrorKind, Observed, ObservedContainer, Status};
use crate::names::{ClusterName, ComponentName};
use crate::plan::labelled::{from_labels, homes, spokesman};
use crate::report::{BrokenRow, table};
use crate::store::Store;

pub(super) async fn run(session: &Session, args: Chaos) -> Result<u8, CliError> {
    match args.verb {
        None => list(session, &Files::default()).await,
        Some(ChaosVerb::List(files)) => list(session, &files).await,
        Some(ChaosVerb::Kill(which)) => inflict(session, Fault::Kill, which).await,
        Some(ChaosVerb::Crash(which)) => inflict(session, Fault::Crash, which).await,
        Some(ChaosVerb::Stop(which)) => inflict(session, Fault::Stop, which).await,
        Some(ChaosVerb::Pause(which)) => inflict(session, Fault::Pause, which).await,
        Some(ChaosVerb::Partition(which)) => inflict(session, Fault::Partition, which).await,
        Some(ChaosVerb::Restart(which)) => restart(session, which).await,
        Some(ChaosVerb::Heal(which)) => heal(session, which).await,
    }
}

async fn restart(session: &Session, which: Components) -> Result<u8, CliError> {
    if which.components.is_empty() {
        return Err(CliError::input("which components?").hint("convoke restart, without chaos, restarts all of them"));
    }
    let (files, components) = (which.files, which.components);
    inflict(session, Fault::Restart, Break { files, duration: None, until_interrupted: false, components }).await
}

/// The cluster as it is.
struct Scene {
    engine: DockerEngine,
    cluster: ClusterName,
    store: Store,
    observed: Observed,
    homes: BTreeMap<ComponentName, Vec<Attach>>,
}

impl Scene {
    async fn look(session: &Session, files: &Files) -> Result<Self, CliError> {
        let engine = session.connect().await?;
        let cluster = session.cluster_name(&engine, &files.file).await?;
        let store = session.store(&cluster);
        let observed = session.observe(&engine, &cluster).await?;
        let homes = homes(&from_labels(&cluster, &observed), &observed);
        Ok(Self { engine, cluster, store, observed, homes })
    }

    async fn look_again(&mut self) -> Result<(), CliError> {
        self.observed = self.engine.observe(&self.cluster).await?;
        self.homes = homes(&from_labels(&self.cluster, &self.observed), &self.observed);
        Ok(())
    }

    fn container(&self, component: &ComponentName) -> Option<&ObservedContainer> {
        spokesman(&self.observed, component)
    }

    /// What is noted, without what is about containers that are gone.
    fn notes(&self) -> Vec<Breakage> {
        let is_there = |note: &Breakage| self.observed.containers.iter().any(|at| at.id == note.container);
        self.store.breakages().into_iter().filter(is_there).collect()
    }

    fn home(&self, component: &ComponentName) -> &[Attach] {
        self.homes.get(component).map_or(&[], Vec::as_slice)
    }

    /// Notes of these containers are dropped, and those of containers that are gone.
    fn forget(&self, healed: &[ObservedContainer]) {
        let containers = &self.observed.containers;
        note(self.store.change_breakages(|notes| {
            notes.retain(|note| {
                containers.iter().any(|at| at.id == note.container) && healed.iter().all(|at| at.id != note.container)
            });
        }));
    }
}

/// What became of one component; its serialised form is a row of the JSON output.
#[derive(Debug, Serialize)]
struct Done {
    component: ComponentName,
    /// `kill` and so on, or `heal`.
    action: &'static str,
    /// `done`, `already`, `failed`.
    result: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

impl Done {
    fn show(&self, session: &Session) {
        if self.result == "failed" {
            session.printer.problem(format_args!("error: {}: {}", self.component, self.detail));
            if let Some(hint) = self.hint {
                session.printer.problem(format_args!("  try: {hint}"));
            }
        } else {
            session.printer.result(format_args!("{} {}", self.component, self.detail));
        }
    }
}

/// Shows what was done; the exit code.
fn tell(session: &Session, all: &[Done]) -> Result<u8, CliError> {
    if session.global.is_json() {
        let text = table::json(all).map_err(|error| CliError::failed(error.to_string()))?;
        session.printer.result(text);
    } else {
        all.iter().for_each(|done| done.show(session));
    }
    Ok(if all.iter().any(|done| done.result == "failed") { FAILED } else { 0 })
}

// === Breaking ===

async fn inflict(session: &Session, fault: Fault, which: Break) -> Result<u8, CliError> {
    let mut scene = Scene::look(session, &which.files).await?;
    let chosen = choose(&scene.observed, &which.components)?;
    let stays = which.duration.is_some() || which.until_interrupted;
    let all = join_all(chosen.iter().map(|component| inflict_one(&scene, fault, component)));
    let (all, broken): (Vec<Done>, Vec<Option<Breakage>>) = if stays {
        // Whatever is being broken is healed all the same.
        all.await.into_iter().unzip()
    } else {
        tokio::select! {
            biased;
            () = session.interrupts.after(1) => return Ok(INTERRUPTED),
            all = all => all.into_iter().unzip(),
        }
    };
    let code = tell(session, &all)?;
    if !stays {
        return Ok(code);
    }
    let interrupted = wait(session, which.duration).await;
    scene.look_again().await?;
    let healed = heal_all(&scene, broken.into_iter().flatten().map(|note| note.component).collect(), false).await;
    let healed = tell(session, &healed)?;
    Ok(match (code.max(healed), interrupted && which.duration.is_some()) {
        (0, true) => INTERRUPTED,
        (code, _) => code,
    })
}

/// Waits for the end of a fault; whether Ctrl-C came.
async fn wait(session: &Session, duration: Option<Duration>) -> bool {
    let text = match duration {
        Some(duration) => format!("for {}, or until Ctrl-C", crate::units::human(duration)),
        None => "until Ctrl-C".to_owned(),
    };
    session.printer.progress(text);
    tokio::select! {
        biased;
        () = session.interrupts.after(1) => true,
        () = tokio::time::sleep(duration.unwrap_or(Duration::MAX)) => false,
    }
}

async fn inflict_one(scene: &Scene, fault: Fault, component: &ComponentName) -> (Done, Option<Breakage>) {
    let done = |result, detail: String, hint| Done {
        component: component.clone(),
        action: fault.as_str(),
        result,
        detail,
        hint,
    };
    let Some(container) = scene.container(component) else {
        return (done("failed", "its container is gone".to_owned(), None), None);
    };
    match judge(fault, container) {
        Judgement::Go => {}
        Judgement::Already(how) => return (done("already", format!("{how}: left as it is"), None), None),
        Judgement::Impossible(why) => {
            return (done("failed", format!("can't {} it: {why}", fault.as_str()), None), None);
        }
    }
    let broken = Breakage::of(fault, container, &scene.observed, Timestamp::now());
    let is_same = |note: &Breakage| note.container == broken.container && note.fault == fault;
    if fault.lasts() {
        note(scene.store.change_breakages(|notes| {
            // A second fault of a kind must not forget what the first one knows.
            if !notes.iter().any(is_same) {
                notes.push(broken.clone());
            }
        }));
    }
    match chaos::inflict(&scene.engine, fault, container).await {
        Ok(()) => (done("done", fault.done().to_owned(), None), Some(broken)),
        Err(error) => {
            // What failed for good has broken nothing; anything else may have.
            if matches!(error.kind, ErrorKind::Rejected | ErrorKind::NotFound) && fault != Fault::Partition {
                note(scene.store.change_breakages(|notes| notes.retain(|note| *note != broken)));
            }
            (done("failed", error.to_string(), None), Some(broken))
        }
    }
}

// === Healing ===

async fn heal(session: &Session, which: Components) -> Result<u8, CliError> {
    let scene = Scene::look(session, &which.files).await?;
    let chosen = choose(&scene.observed, &which.components)?;
    let work = heal_all(&scene, chosen, !which.components.is_empty());
    let healed = tokio::select! {
        biased;
        () = session.interrupts.after(1) => return Ok(INTERRUPTED),
        healed = work => healed,
    };
    if healed.is_empty() && !session.global.is_json() {
        session.printer.result("nothing is broken");
        return Ok(0);
    }
    tell(session, &healed)
}

/// Heals what is broken of these. `named`: the user said which, so they are started even if no note says that they ran.
async fn heal_all(scene: &Scene, components: Vec<ComponentName>, named: bool) -> Vec<Done> {
    let notes = scene.notes();
    let noted = |component: &ComponentName| notes.iter().any(|note| note.component == *component);
    let cures = components.iter().filter_map(|component| {
        let container = scene.container(component)?;
        let steps = chaos::cure(container, &notes, scene.home(component), &scene.observed, named);
        (named || noted(component) || !steps.is_empty()).then_some((container, steps))
    });
    let results = join_all(cures.map(|(container, steps)| async move {
        let result = chaos::heal(&scene.engine, &container.id, &steps).await;
        (container, steps, result)
    }));
    let mut all = Vec::new();
    let mut healed = Vec::new();
    for (container, steps, result) in results.await {
        let (result, detail, hint) = match result {
            Ok(()) => {
                healed.push(container.clone());
                let done: Vec<String> = steps.iter().map(chaos::Step::done).collect();
                if done.is_empty() {
                    ("already", "is as it was".to_owned(), None)
                } else {
                    ("done", format!("healed: {}", done.join(", ")), None)
                }
            }
            Err(error) => ("failed", error.to_string(), hint_of(&error)),
        };
        all.push(Done { component: container.component.clone(), action: "heal", result, detail, hint });
    }
    scene.forget(&healed);
    all
}

fn hint_of(error: &EngineError) -> Option<&'static str> {
    match error.kind {
        ErrorKind::NotFound => Some("convoke up makes again what is gone"),
        ErrorKind::AddressTaken => Some("another container took its address meanwhile: stop that, and heal again"),
        _ => None,
    }
}

// === Listing ===

async fn list(session: &Session, files: &Files) -> Result<u8, CliError> {
    let scene = Scene::look(session, files).await?;
    let notes = scene.notes();
    let mut rows: Vec<BrokenRow> = Vec::new();
    for container in &scene.observed.containers {
        let own: Vec<&Breakage> = notes.iter().filter(|note| note.container == container.id).collect();
        let has = |fault: Fault| own.iter().any(|note| note.fault == fault);
        let is_off = container.networks.is_empty() && !scene.home(&container.component).is_empty();
        let seen = [
            (Fault::Pause, container.state.status == Status::Paused),
            (Fault::Partition, is_off && scene.container(&container.component) == Some(container)),
        ];
        let now = state_of(container, is_off);
        let row = |fault, since| BrokenRow { component: container.component.clone(), fault, since, now: now.clone() };
        rows.extend(own.iter().map(|note| row(note.fault, Some(note.since))));
        rows.extend(seen.into_iter().filter(|(fault, is)| *is && !has(*fault)).map(|(fault, _)| row(fault, None)));
    }
    let printer = &session.printer;
    if session.global.is_json() {
        printer.result(table::json(&rows).map_err(|error| CliError::failed(error.to_string()))?);
    } else {
        printer.result(table::broken(&rows, Timestamp::now(), printer.out_theme()));
    }
    Ok(0)
}

fn state_of(container: &ObservedContainer, is_off: bool) -> String {
    let state = match container.state.status {
        Status::Running => "runs".to_owned(),
        Status::Paused => "paused".to_owned(),
        Status::Restarting => "restarting".to_owned(),
        Status::Created => "never started".to_owned(),
        Status::Exited => format!("ended with {}", container.state.exit_code),
        Status::Removing | Status::Dead => "being removed".to_owned(),
    };
    if is_off { format!("{state}, on no network") } else { state }
}
