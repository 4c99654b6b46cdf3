//! The controller's life: database, migrations, state, then HTTP, with everything else in the background.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::api;
use super::db::Db;
use super::model::{Availability, Intent, Model, Node, Safekeeper};
use super::options::Options;
use super::scopes;
use super::state::Controller;
use crate::auth::Guard;
use crate::exit::Failure;
use crate::fault::Faults;
use crate::signals::Signals;

/// How often shards that aren't where they should be are looked at.
const BACKGROUND: Duration = Duration::from_secs(20);
/// How often safekeepers are told what they have missed. (The real program has a pause of its own for each, which grows.)
const PENDING: Duration = Duration::from_secs(2);
/// For calls that are being answered when a signal comes.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Runs until a signal ends it. Code 1 when the database doesn't come, or when the real program would panic.
pub async fn run(options: Options, faults: Arc<Faults>) -> Result<(), Failure> {
    let address = options.check().map_err(|why| anyhow!(why))?;
    faults.begin(Path::new(".")).await?;
    let guard = options.public_key.as_deref().map(Guard::of_pem).transpose()?.unwrap_or_default();
    let db = Db::connect(&options.database_url, options.db_connect_timeout).await?;
    db.migrate().await.context("migrations")?;
    if let Some(address) = &options.address_for_peers {
        db.become_leader(address).await?;
    }
    let model = load(&db).await.context("loading the state")?;
    tracing::info!(
        "{} nodes, {} safekeepers, {} shards",
        model.nodes.len(),
        model.safekeepers.len(),
        model.shards.len()
    );
    let (controller, fatal) = Controller::new(options, db, model, &faults);
    let listener = TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
    tracing::info!("listening on {address}");
    faults.hang().await;
    let starting = Arc::clone(&controller);
    tokio::spawn(async move {
        Arc::clone(&starting).startup_reconcile().await;
        tokio::join!(Arc::clone(&starting).beat(), try_again(starting));
    });
    serve(listener, controller, guard, fatal).await
}

async fn serve(
    listener: TcpListener,
    controller: Arc<Controller>,
    guard: Guard,
    mut fatal: mpsc::UnboundedReceiver<String>,
) -> Result<(), Failure> {
    let (stop, mut stopped) = tokio::sync::watch::channel(());
    let until = async move { drop(stopped.changed().await) };
    let server =
        axum::serve(listener, guard.around(api::router(controller), scopes::allows)).with_graceful_shutdown(until);
    let server = tokio::spawn(server.into_future());
    let mut signals = Signals::install()?;
    tokio::select! {
        _ = signals.stop() => (),
        Some(why) = fatal.recv() => return Err(anyhow!(why).into()),
    }
    drop(stop);
    match timeout(STOP_LIMIT, server).await {
        Ok(ended) => ended??,
        Err(_) => tracing::warn!("calls are still being answered after {STOP_LIMIT:?}: ended all the same"),
    }
    Ok(())
}

/// Until they answer, all nodes count as Offline, and shards are where they were given to.
async fn load(db: &Db) -> Result<Model, super::db::DbError> {
    let mut model = Model::default();
    for (announced, scheduling) in db.nodes().await? {
        let (id, availability, last_seen) = (announced.node_id, Availability::Offline, Instant::now());
        model.nodes.insert(id, Node { announced, scheduling, availability, last_seen });
    }
    for (record, scheduling) in db.safekeepers().await? {
        model.safekeepers.insert(record.id, Safekeeper { record, scheduling, timelines: None });
    }
    for stored in db.shards().await? {
        let mut shard = stored.shard;
        shard.intent = Intent::attached_to(stored.pageserver);
        model.shards.insert(shard.id, shard);
    }
    Ok(model)
}

/// For ever: notifications and safekeepers that failed, and shards that aren't where they should be.
async fn try_again(controller: Arc<Controller>) {
    let (mut shards, mut safekeepers) = (interval(BACKGROUND), interval(PENDING));
    safekeepers.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first ticks come at once.
    tokio::join!(shards.tick(), safekeepers.tick());
    loop {
        tokio::select! {
            _ = shards.tick() => {
                controller.reconcile_behind();
            }
            _ = safekeepers.tick() => controller.work_off_pending_ops().await,
        }
    }
}
