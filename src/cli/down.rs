//! `convoke down` and `convoke stop`.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::args::{Components, Down};
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, choose, now_text, run_id};
use super::up::{lock, note};
use super::watchers::Watchers;
use crate::drive::stop::{StopRequest, stop as stop_cluster};
use crate::engine::Engine;
use crate::engine::docker::DockerEngine;
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
    let request = StopRequest {
        run: run_id(),
        command: "down".into(),
        time: now_text(),
        only: None,
        remove: true,
        volumes: args.volumes,
        grace_limit: args.grace,
        aftermath: aftermath(&store),
    };
    let code = carry_out(session, &engine, &cluster, &store, &request).await?;
    if code == 0 {
        note(store.change_breakages(Vec::clear));
    }
    Ok(code)
}

/// How long calls of the last run may still take effect: a second, if it was killed within the last minute.
fn aftermath(store: &Store) -> Duration {
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
    if records(store, 1).first().is_some_and(killed) { LATE_EFFECTS } else { Duration::ZERO }
}

pub(super) async fn stop(session: &Session, args: Components) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.files.file).await?;
    let store = session.store(&cluster);
    let Some(_guard) = lock(session, &store, "stop", true).await? else { return Ok(INTERRUPTED) };
    let observed = engine.observe(&cluster).await?;
    let only = choose(&observed, &args.components)?;
    if args.components.is_empty() {
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
        remove: false,
        volumes: false,
        grace_limit: None,
        aftermath: Duration::ZERO,
    };
    carry_out(session, &engine, &cluster, &store, &request).await
}

async fn carry_out(
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
