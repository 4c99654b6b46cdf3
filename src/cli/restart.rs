//! `convoke start` and `convoke restart`: from the labels of the containers, without the file.

use std::collections::BTreeSet;

use super::args::{Restart, Waiting};
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, choose, now_text, run_id};
use super::source;
use super::up::{basic_options, bring_up, lock, note, still_stopped};
use super::watchers::Watchers;
use crate::drive::Options;
use crate::drive::stop::{StopRequest, stop};
use crate::engine::Observed;
use crate::engine::docker::DockerEngine;
use crate::event::Outcome;
use crate::names::{ClusterName, ComponentName};
use crate::plan::gates::describe;
use crate::plan::labelled::from_labels;
use crate::plan::partial::{Shut, is_up, shut_gates, with_peers};
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
        let chosen = choose(&observed, &args.which.components)?.into_iter().collect();
        if !args.which.components.is_empty() {
            check_peers(session, &cluster, &observed, command, &chosen)?;
        }
        let only = (!args.which.components.is_empty()).then_some(chosen);
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
            ..StopRequest::default()
        };
        let interrupt = self.session.interrupts.after(1);
        stop(&self.engine, &self.cluster, &request, interrupt, watchers.sink_of_first_part()).await
    }

    async fn start(self, watchers: Watchers) -> Result<u8, CliError> {
        let observed = self.session.observe(&self.engine, &self.cluster).await?;
        let mut described = from_labels(&self.cluster, &observed);
        described.components.values_mut().for_each(|component| component.secrets.clone_from(&self.secrets));
        note(self.store.set_stopped(&still_stopped(&self.store, &described, self.only.as_ref())));
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

/// Refuses what could only wait until the deadline: components whose gates wait for peers that are down, and that
/// nobody starts.
fn check_peers(
    session: &Session,
    cluster: &ClusterName,
    observed: &Observed,
    command: &str,
    chosen: &BTreeSet<ComponentName>,
) -> Result<(), CliError> {
    let described = from_labels(cluster, observed);
    let runs = |name: &ComponentName| observed.containers.iter().any(|c| c.component == *name && is_up(c));
    // What runs isn't held back any more, unless it is stopped first.
    let starting: BTreeSet<_> = chosen.iter().filter(|name| command == "restart" || !runs(name)).cloned().collect();
    let shut = shut_gates(&described, observed, &starting);
    if shut.is_empty() {
        return Ok(());
    }
    let line = |shut: &Shut| {
        let Shut { component, gate, peer_is } = shut;
        format!("{component} {}, and {} is {peer_is} and isn't part of this run", describe(gate), gate.on)
    };
    let lines: Vec<_> = shut.iter().map(line).collect();
    let all = with_peers(&described, observed, chosen);
    let names: Vec<_> = all.iter().map(ComponentName::as_str).collect();
    let project = session.global.project.as_ref().map(|_| format!(" -p {cluster}")).unwrap_or_default();
    Err(CliError::input(lines.join("; ")).hint(format!("convoke {command}{project} {}", names.join(" "))))
}
