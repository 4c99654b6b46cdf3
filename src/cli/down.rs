//! `convoke down` and `convoke stop`.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::args::{Down, Stop};
use super::ephemeral::end_watcher;
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, choose, now_text, run_id};
use super::up::{lock, note};
use super::watchers::Watchers;
use crate::drive::stop::{StopRequest, stop as stop_cluster};
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, labels};
use crate::event::EventKind;
use crate::names::ClusterName;
use crate::report::{Masker, Record, records};
use crate::store::{Store, Wanted};

/// A call whose caller was killed has taken effect after this, or never will.
const LATE_EFFECTS: Duration = Duration::from_secs(1);
/// A run that was killed longer ago than this is history.
const RECENT: Duration = Duration::from_secs(60);

pub(super) async fn down(session: &Session, args: Down) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.named_cluster(&engine, &args.files.file).await?;
    let store = session.store(&cluster);
    let Some(_guard) = lock(session, &store, "down", !args.no_wait_lock).await? else { return Ok(INTERRUPTED) };
    note(store.set_stopped(&BTreeSet::new()));
    note(store.set_wanted(Wanted::Down));
    // Of such a cluster the volumes that it made go too.
    let is_ephemeral = store.owner().is_some();
    let request = StopRequest {
        run: run_id(),
        command: "down".into(),
        time: now_text(),
        remove: true,
        volumes: args.volumes || is_ephemeral,
        volumes_with: (is_ephemeral && !args.volumes).then(|| labels::EPHEMERAL.to_owned()),
        grace: args.time,
        grace_limit: args.grace,
        ordered: args.ordered,
        aftermath: aftermath(&store),
        ..StopRequest::default()
    };
    let code = carry_out(session, &engine, &cluster, &store, &request).await?;
    if code == 0 {
        note(store.change_breakages(Vec::clear));
        note(store.set_owner(None));
        end_watcher(&store);
    }
    Ok(code)
}

/// How long calls of the last run may still take effect.
fn aftermath(store: &Store) -> Duration {
    if was_killed(store) { LATE_EFFECTS } else { Duration::ZERO }
}

/// Whether the cluster's last run was killed, within the last minute.
pub(super) fn was_killed(store: &Store) -> bool {
    let killed = |record: &Record| {
        let is_over = record.events.last().is_some_and(|event| matches!(event.kind, EventKind::RunFinished { .. }));
        let began = record.events.iter().find_map(|event| match &event.kind {
            EventKind::RunStarted { time, .. } => time.parse::<Timestamp>().ok(),
            _ => None,
        });
        let lasted = record.events.last().map_or(Duration::ZERO, |event| event.at.0);
        let since = began.map(|began| Timestamp::now().duration_since(began));
        !is_over && since.is_some_and(|since| since.unsigned_abs() < lasted + RECENT)
    };
    records(store, 1).first().is_some_and(killed)
}

pub(super) async fn stop(session: &Session, args: Stop) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.which.files.file).await?;
    let store = session.store(&cluster);
    let Some(_guard) = lock(session, &store, "stop", true).await? else { return Ok(INTERRUPTED) };
    let observed = engine.observe(&cluster).await?;
    let only = choose(&observed, &args.which.components)?;
    if args.which.components.is_empty() {
        note(store.set_stopped(&BTreeSet::new()));
        note(store.set_wanted(Wanted::Stopped));
    } else {
        note(store.set_stopped(&store.stopped().into_iter().chain(only.iter().cloned()).collect()));
    }
    let request = StopRequest {
        run: run_id(),
        command: "stop".into(),
        time: now_text(),
        only: Some(only.into_iter().collect()),
        grace: args.time,
        ordered: args.ordered,
        ..StopRequest::default()
    };
    carry_out(session, &engine, &cluster, &store, &request).await
}

pub(super) async fn carry_out(
    session: &Session,
    engine: &DockerEngine,
    cluster: &ClusterName,
    store: &Store,
    request: &StopRequest,
) -> Result<u8, CliError> {
    let watchers = Watchers::begin(session, store, &Masker::new(Vec::<String>::new()));
    let outcome = stop_cluster(engine, cluster, request, session.interrupts.after(1), watchers.sink()).await;
    watchers.end().await;
    Ok(outcome.exit_code())
}
