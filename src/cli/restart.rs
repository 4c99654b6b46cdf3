//! `convoke start` and `convoke restart`: from the labels of the containers, without the file.

use std::collections::BTreeSet;
use std::time::Duration;

use super::args::{Restart, Waiting};
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, choose, now_text, run_id};
use super::source;
use super::up::{basic_options, bring_up, lock, note};
use super::watchers::Watchers;
use crate::cluster::Cluster;
use crate::drive::Options;
use crate::drive::stop::{StopRequest, stop};
use crate::engine::docker::DockerEngine;
use crate::event::Outcome;
use crate::names::{ClusterName, ComponentName};
use crate::plan::labelled::from_labels;
use crate::report::Masker;
use crate::store::{Guard, Store, Wanted};

pub(super) async fn start(session: &Session, args: Restart) -> Result<u8, CliError> {
    let Some(again) = Again::prepare(session, args, "start").await? else { return Ok(INTERRUPTED) };
    let watchers = again.watchers();
    again.start(watchers).await
}

pub(super) async fn restart(session: &Session, args: Restart) -> Result<u8, CliError> {
    let Some(again) = Again::prepare(session, args, "restart").await? else { return Ok(INTERRUPTED) };
    let watchers = again.watchers();
    let outcome = again.stop(&watchers).await;
    if outcome != Outcome::Ready {
        watchers.end().await;
        return Ok(outcome.exit_code());
    }
    again.start(watchers.second_part()).await
}

/// A cluster that is to be started again.
struct Again<'a> {
    session: &'a Session,
    engine: DockerEngine,
    cluster: ClusterName,
    store: Store,
    waiting: Waiting,
    run: String,
    command: &'static str,
    /// The chosen components; None: all.
    only: Option<BTreeSet<ComponentName>>,
    /// Labels have none; a component that fails may log them all the same.
    secrets: Vec<String>,
    _guard: Guard,
}

impl<'a> Again<'a> {
    /// Takes the lock and looks up the components; None if it was interrupted while it waited.
    async fn prepare(session: &'a Session, args: Restart, command: &'static str) -> Result<Option<Self>, CliError> {
        let engine = session.connect().await?;
        let cluster = session.cluster_name(&engine, &args.which.files.file).await?;
        let store = session.store(&cluster);
        let wait = !args.waiting.no_wait_lock;
        let Some(_guard) = lock(session, &store, command, wait).await? else { return Ok(None) };
        let observed = session.observe(&engine, &cluster).await?;
        let chosen = choose(&observed, &args.which.components)?;
        let only = (!args.which.components.is_empty()).then(|| chosen.into_iter().collect());
        let given = session.all_files(&args.which.files.file);
        let files = if given.is_empty() { store.source().unwrap_or_default().files } else { given };
        let secrets = source::secrets_of(session, &files);
        let (waiting, run) = (args.waiting, run_id());
        Ok(Some(Self { session, engine, cluster, store, waiting, run, command, only, secrets, _guard }))
    }

    fn watchers(&self) -> Watchers {
        Watchers::begin(self.session, &self.store, &Masker::new(&self.secrets))
    }

    async fn stop(&self, watchers: &Watchers) -> Outcome {
        let request = StopRequest {
            run: self.run.clone(),
            command: self.command.into(),
            time: now_text(),
            only: self.only.clone(),
            remove: false,
            volumes: false,
            grace_limit: None,
            aftermath: Duration::ZERO,
        };
        let interrupt = self.session.interrupts.after(1);
        stop(&self.engine, &self.cluster, &request, interrupt, watchers.sink_of_first_part()).await
    }

    /// The components that stay stopped: after `stop` of all of them, those that this one isn't about.
    fn still_stopped(&self, cluster: &Cluster) -> BTreeSet<ComponentName> {
        let Some(only) = &self.only else { return BTreeSet::new() };
        let stopped = match self.store.wanted() {
            Some(Wanted::Stopped) => cluster.components.keys().cloned().collect(),
            _ => self.store.stopped(),
        };
        stopped.difference(only).cloned().collect()
    }

    async fn start(self, watchers: Watchers) -> Result<u8, CliError> {
        let observed = self.session.observe(&self.engine, &self.cluster).await?;
        let mut described = from_labels(&self.cluster, &observed);
        described.components.values_mut().for_each(|component| component.secrets.clone_from(&self.secrets));
        note(self.store.set_stopped(&self.still_stopped(&described)));
        note(self.store.set_wanted(Wanted::Up));
        let options = Options {
            run: self.run,
            command: self.command.into(),
            timeout: self.waiting.timeout,
            only: self.only,
            from_labels: true,
            ..basic_options(&self.store, &self.engine)
        };
        bring_up(self.session, self.engine, described, options, &self.waiting, watchers).await
    }
}
