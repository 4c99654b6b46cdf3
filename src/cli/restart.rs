//! `convoke start` and `convoke restart`: from the labels of the containers, without the file.

use std::collections::BTreeSet;

use super::args::{Restart, Waiting};
use super::down::carry_out;
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, choose, now_text, run_id};
use super::up::{basic_options, bring_up, lock, note};
use crate::drive::Options;
use crate::drive::stop::StopRequest;
use crate::engine::docker::DockerEngine;
use crate::names::{ClusterName, ComponentName};
use crate::plan::labelled::from_labels;
use crate::store::{Store, Wanted};

pub(super) async fn start(session: &Session, args: Restart) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.which.files.file).await?;
    let store = session.store(&cluster);
    let wait = !args.waiting.no_wait_lock;
    let Some(_guard) = lock(session, &store, "start", wait).await? else { return Ok(INTERRUPTED) };
    let only = only(session, &engine, &cluster, &args).await?;
    start_again(session, engine, &cluster, only, "start", &args.waiting, &store).await
}

pub(super) async fn restart(session: &Session, args: Restart) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.which.files.file).await?;
    let store = session.store(&cluster);
    let wait = !args.waiting.no_wait_lock;
    let Some(_guard) = lock(session, &store, "restart", wait).await? else { return Ok(INTERRUPTED) };
    let only = only(session, &engine, &cluster, &args).await?;
    let request = StopRequest {
        run: run_id(),
        command: "stop".into(),
        time: now_text(),
        only: only.clone(),
        remove: false,
        volumes: false,
        grace_limit: None,
    };
    let code = carry_out(session, &engine, &cluster, &store, &request).await?;
    if code != 0 {
        return Ok(code);
    }
    start_again(session, engine, &cluster, only, "restart", &args.waiting, &store).await
}

/// The chosen components; None: all.
async fn only(
    session: &Session,
    engine: &DockerEngine,
    cluster: &ClusterName,
    args: &Restart,
) -> Result<Option<BTreeSet<ComponentName>>, CliError> {
    let observed = session.observe(engine, cluster).await?;
    let chosen = choose(&observed, &args.which.components)?;
    Ok((!args.which.components.is_empty()).then(|| chosen.into_iter().collect()))
}

async fn start_again(
    session: &Session,
    engine: DockerEngine,
    cluster: &ClusterName,
    only: Option<BTreeSet<ComponentName>>,
    command: &str,
    waiting: &Waiting,
    store: &Store,
) -> Result<u8, CliError> {
    let observed = session.observe(&engine, cluster).await?;
    let described = from_labels(cluster, &observed);
    note(store.set_wanted(Wanted::Up));
    let options = Options {
        command: command.into(),
        timeout: waiting.timeout,
        only,
        from_labels: true,
        ..basic_options(store, &engine)
    };
    bring_up(session, engine, described, options, waiting, store).await
}
