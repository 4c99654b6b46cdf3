//! pageserver: which tenants it has, in which generation, and what timelines; no pages.
//!
//! The start is as in the real program: ports are bound at once, and nothing is answered before the storage
//! controller has answered re-attach.

mod api;
mod archive;
mod config;
mod import;
mod lifecycle;
mod storage;
mod tenants;
mod timelines;
mod upcall;
mod utilization;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::time::sleep;

use crate::client::Client;
use crate::exit::Failure;
use crate::fault::Faults;
use crate::files::lock;
use crate::ids::{Generation, TenantId, TenantShardId, TimelineId};
use crate::signals::{Signals, Stop};
use crate::{listen, pg};
use config::Config;
use storage::Storage;
use tenants::Tenants;

/// How often queued deletions are validated with the controller.
const VALIDATE_EVERY: Duration = Duration::from_secs(10);
/// The real program's code after SIGQUIT.
const QUIT: u8 = 111;

/// Flags of the real program.
#[derive(Debug, Parser)]
#[command(name = "pageserver", version = crate::VERSION)]
pub struct Options {
    /// The working directory, with pageserver.toml, identity.toml and metadata.json
    #[arg(short = 'D', long, default_value = "./.neon")]
    workdir: PathBuf,
    /// Prints what the program was built with
    #[arg(long)]
    enabled_features: bool,
}

/// A pageserver that has re-attached.
pub struct Pageserver {
    config: Config,
    workdir: PathBuf,
    tenants: Tenants,
    controller: Client,
    faults: Arc<Faults>,
}

/// Runs until a signal ends it.
pub async fn run(options: Options, faults: Arc<Faults>) -> Result<(), Failure> {
    if options.enabled_features {
        println!("{{\"features\": []}}");
        return Ok(());
    }
    let workdir = std::fs::canonicalize(&options.workdir)
        .with_context(|| format!("can't use the working directory {}", options.workdir.display()))?;
    faults.begin(&workdir).await?;
    let config = Config::load(&workdir)?;
    let _lock = lock(&workdir.join("pageserver.pid"))?;
    let http = listen::bind("HTTP", &config.listen_http).await?;
    let pg = listen::bind("Postgres", &config.listen_pg).await?;
    faults.hang().await;
    if std::env::var_os("NEON_AUTH_TOKEN").is_some() {
        tracing::info!("Loaded JWT token for authentication with Safekeeper");
    }
    let (for_http, for_pg) = (config.http_guard.clone(), config.pg_guard.clone());
    let server = Arc::new(attach(config, workdir, &faults).await?);
    listen::serve(http, for_http.around(api::router(Arc::clone(&server)), api::allows));
    let holder = Arc::clone(&server);
    tokio::spawn(pg::serve_pages(pg, for_pg, Arc::new(move |tenant, timeline| holder.holds(tenant, timeline))));
    tokio::spawn(validate_for_ever(server));
    // As late as in the real program: until here, a pageserver that is PID 1 can't be stopped by SIGTERM.
    match Signals::install()?.stop().await {
        Stop::Graceful => Ok(()),
        Stop::Immediate => Err(Failure { code: QUIT, why: anyhow::anyhow!("SIGQUIT") }),
    }
}

/// Asks the controller what to do with the shards on the disk; for as long as that takes.
async fn attach(config: Config, workdir: PathBuf, faults: &Arc<Faults>) -> Result<Pageserver, Failure> {
    let on_disk = tenants::on_disk(&workdir)?;
    let storage = Storage::new(config.remote_storage.clone());
    let tenants = Tenants::new(config.id, &workdir, storage);
    let controller = Client::new(config.control_plane_token.as_deref(), faults);
    if config.emergency_mode {
        tracing::warn!("emergency mode: starting without the storage controller");
        tenants.start_alone(on_disk)?;
    } else {
        let wanted = upcall::re_attach(&controller, &config, on_disk.is_empty()).await;
        tenants.start(on_disk, &wanted)?;
    }
    Ok(Pageserver { config, workdir, tenants, controller, faults: Arc::clone(faults) })
}

impl Pageserver {
    /// Whether computes of this timeline are at the right place here.
    fn holds(&self, tenant: TenantId, timeline: TimelineId) -> Result<(), String> {
        let found = self.tenants.each(|(id, shard)| {
            let attached = id.tenant_id == tenant && shard.location.mode.is_attached();
            attached.then(|| shard.timelines.contains_key(&timeline))
        });
        let found: Vec<bool> = found.into_iter().flatten().collect();
        match found.as_slice() {
            [] => Err(format!("tenant {tenant} is not attached here")),
            shards if shards.contains(&true) => Ok(()),
            _ => Err(format!("timeline {timeline} of tenant {tenant} not found")),
        }
    }

    /// Attached shards (or just this one) with a timeline that the controller hasn't validated yet.
    fn unvalidated(&self, only: Option<TenantShardId>) -> Vec<(TenantShardId, Generation)> {
        let found = self.tenants.each(|(id, shard)| {
            let asked = only.is_none_or(|only| only == *id) && shard.location.mode.is_attached();
            let waiting = asked && shard.timelines.values().any(timelines::Timeline::needs_validation);
            shard.location.generation.filter(|_| waiting).map(|generation| (*id, generation))
        });
        found.into_iter().flatten().collect()
    }

    /// Asks the controller about these; what isn't valid stays as it is.
    async fn validate(&self, shards: Vec<(TenantShardId, Generation)>) {
        if shards.is_empty() {
            return;
        }
        for id in upcall::validate(&self.controller, &self.config, shards).await.unwrap_or_default() {
            // A shard that has gone meanwhile needs nothing.
            let _ = self.tenants.with_attached(id, |shard| {
                shard.timelines.values_mut().for_each(timelines::Timeline::validated);
                Ok(())
            });
        }
    }
}

async fn validate_for_ever(server: Arc<Pageserver>) {
    loop {
        sleep(VALIDATE_EVERY).await;
        server.validate(server.unvalidated(None)).await;
    }
}
