//! `convoke down` and `convoke stop`.

use super::args::{Components, Down};
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, choose, now_text, run_id};
use super::up::{lock, note};
use super::watchers::Watchers;
use crate::drive::stop::{StopRequest, stop as stop_cluster};
use crate::engine::Engine;
use crate::engine::docker::DockerEngine;
use crate::names::ClusterName;
use crate::report::Masker;
use crate::store::{Store, Wanted};

pub(super) async fn down(session: &Session, args: Down) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.named_cluster(&engine, &args.files.file).await?;
    let store = session.store(&cluster);
    let Some(_guard) = lock(session, &store, "down", !args.no_wait_lock).await? else { return Ok(INTERRUPTED) };
    note(store.set_wanted(Wanted::Down));
    let request = StopRequest {
        run: run_id(),
        command: "down".into(),
        time: now_text(),
        only: None,
        remove: true,
        volumes: args.volumes,
        grace_limit: args.grace,
    };
    carry_out(session, &engine, &cluster, &store, &request).await
}

pub(super) async fn stop(session: &Session, args: Components) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.files.file).await?;
    let store = session.store(&cluster);
    let Some(_guard) = lock(session, &store, "stop", true).await? else { return Ok(INTERRUPTED) };
    let observed = engine.observe(&cluster).await?;
    let only = choose(&observed, &args.components)?;
    if args.components.is_empty() {
        note(store.set_wanted(Wanted::Stopped));
    }
    let request = StopRequest {
        run: run_id(),
        command: "stop".into(),
        time: now_text(),
        only: Some(only.into_iter().collect()),
        remove: false,
        volumes: false,
        grace_limit: None,
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
