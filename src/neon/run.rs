//! The control plane as a program: opens its folder, serves both ports, does the bootstrap, looks after computes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::api::{API_PORT, INSIDE_PORT};
use super::bootstrap::{self, Seen, Step};

use super::ids::{TenantId, TimelineId};
use super::keys::secret_word;
use super::plane::{Plane, PlaneError};
use super::settings::Settings;
use super::state::{Branch, Endpoint, Mode, Tenant};
use super::{disk, inside, outside, server, tokens};

/// Pageservers get so long to come before the first tenant is made without them.
const PAGESERVERS: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// What failed and won't get better by itself is tried again all the same, at this pace.
const LONG_PAUSE: Duration = Duration::from_secs(2);
/// Once all is there, safekeepers are looked at now and then: a controller's database may be a new one.
const ROUND: Duration = Duration::from_secs(10);
/// The file with the token for the API.
const TOKEN: &str = "api_token";

/// Where a control plane finds its things.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Settings.
    pub config: PathBuf,
    /// Where it keeps everything.
    pub data: PathBuf,
    /// Where it puts the public key for others.
    pub public_key: Option<PathBuf>,
    /// Where it puts the tokens of others, in a folder for each kind.
    pub tokens: Option<PathBuf>,
}

/// Runs until a signal ends it.
///
/// # Errors
/// When its files can't be used or its ports are taken.
pub async fn run(paths: &Paths) -> anyhow::Result<()> {
    let settings = Settings::read(&paths.config)?;
    let plane = Arc::new(Plane::open(settings, &paths.data)?);
    let token: Arc<str> = secret_word(&paths.data.join(TOKEN))?.into();
    if let Some(file) = &paths.public_key {
        disk::write(file, plane.keys.public_pem().as_bytes(), 0o644)?;
    }
    // After the key: whoever finds its token finds the key too.
    if let Some(root) = &paths.tokens {
        tokens::write(&plane.keys, root)?;
    }
    for warning in plane.warnings() {
        tracing::warn!("{warning}");
    }
    let inner = listen(INSIDE_PORT).await?;
    let outer = listen(API_PORT).await?;
    let (for_inside, for_outside) = (Arc::clone(&plane), Arc::clone(&plane));
    tokio::spawn(server::serve(inner, move |asked| inside::handle(Arc::clone(&for_inside), asked)));
    tokio::spawn(server::serve(outer, move |asked| {
        outside::handle(Arc::clone(&for_outside), Arc::clone(&token), asked)
    }));
    let (at_start, for_ever) = (Arc::clone(&plane), plane);
    tokio::spawn(async move { set_up(&at_start).await });
    tokio::spawn(async move { for_ever.look_after().await });
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The token for the API, for whoever may read the folder.
///
/// # Errors
/// When the file can't be read: there is none before the first start.
pub fn token(paths: &Paths) -> anyhow::Result<String> {
    let file = paths.data.join(TOKEN);
    let bytes = disk::read(&file)?.with_context(|| format!("there is no {} yet", file.display()))?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind(("0.0.0.0", port)).await.with_context(|| format!("can't listen on port {port}"))
}

/// Does what [`bootstrap::next`] says until nothing is left, and looks again now and then.
async fn set_up(plane: &Plane) {
    let begun = Instant::now();
    loop {
        let pause = match step(plane, begun).await {
            Ok(None) => {
                plane.set_waits_for(None);
                ROUND
            }
            Ok(Some(what)) if what.is_empty() => continue,
            Ok(Some(what)) => {
                plane.set_waits_for(Some(what));
                PAUSE
            }
            Err(error) => {
                let passes = matches!(&error, PlaneError::Call(call) if call.is_transient());
                // A controller that is away for a moment takes nothing back that was there.
                if !(passes && plane.waits_for().is_none()) {
                    plane.set_waits_for(Some(error.to_string()));
                }
                if passes { PAUSE } else { LONG_PAUSE }
            }
        };
        sleep(pause).await;
    }
}

/// One step. None: nothing is left; text: what it waits for, empty if it was done.
async fn step(plane: &Plane, begun: Instant) -> Result<Option<String>, PlaneError> {
    let (nodes, safekeepers) = (plane.controller.nodes().await?, plane.controller.safekeepers().await?);
    let seen = Seen { nodes, safekeepers, waited: begun.elapsed() > PAGESERVERS };
    let state = plane.memory.state();
    let step = bootstrap::next(&plane.settings, &state, &seen);
    tracing::debug!("next: {step:?}");
    match step {
        Step::Done => {
            check_known(plane, state.default_tenant).await?;
            // Once: while pages move, the question has no answer for a moment.
            if plane.waits_for().is_some() {
                check_there(plane, state.default_tenant).await?;
            }
            return Ok(None);
        }
        Step::Wait(what) => return Ok(Some(what)),
        Step::Register(place) => plane.controller.register(&plane.settings.safekeepers[place]).await?,
        Step::Activate(id) => plane.controller.activate(id).await?,
        Step::ChooseTenant => {
            check_first(plane).await?;
            let id = TenantId::random().map_err(|error| PlaneError::Disk(std::io::Error::other(error)))?;
            plane.memory.change(|state| {
                state.default_tenant = Some(id);
                state.tenants.insert(id, Tenant::default());
                Ok::<_, PlaneError>(())
            })?;
        }
        Step::CreateTenant(id) => {
            plane.controller.create_tenant(id, &json!({})).await?;
            plane.memory.change(|state| {
                state.tenants.entry(id).or_default().created = true;
                Ok::<_, PlaneError>(())
            })?;
        }
        Step::ChooseTimeline(tenant, name, pg_version) => {
            let timeline = TimelineId::random().map_err(|error| PlaneError::Disk(std::io::Error::other(error)))?;
            let branch = Branch { timeline, pg_version, created: false };
            plane.memory.change(|state| Ok::<_, PlaneError>(state.choose_branch(tenant, name, branch)?))?;
        }
        Step::CreateTimeline(tenant, name, timeline, origin) => {
            check_known(plane, Some(tenant)).await?;
            let made = plane.controller.create_timeline(tenant, timeline, origin).await;
            made.map_err(|error| plane.explained(error, origin))?;
            plane.memory.change(|state| {
                if let Some(branch) = state.tenants.entry(tenant).or_default().branches.get_mut(&name) {
                    branch.created = true;
                }
                Ok::<_, PlaneError>(())
            })?;
        }
        Step::Declare(tenant) => declare(plane, tenant)?,
    }
    Ok(Some(String::new()))
}

/// Making a tenant anew that was there before would count its generations from 1 again, and two pageservers could
/// overwrite each other's files.
async fn check_known(plane: &Plane, tenant: Option<TenantId>) -> Result<(), PlaneError> {
    let Some(tenant) = tenant else { return Ok(()) };
    if plane.controller.tenant(tenant).await?.is_some() {
        return Ok(());
    }
    Err(PlaneError::NotYet(format!(
        "the storage controller doesn't know tenant {tenant}, which was made here: its database is another one or a new \
         one. It is not made again, since generations would begin anew over the old files. Bring the volume of the \
         database back; or have it go on from the highest generation in the remote storage (convoke neon tenant import \
         --tenant-id {tenant}); or remove all volumes (convoke down --volumes) and with them the data"
    )))
}

/// A controller's database that belongs to another remote storage, or to one that was lost: what it tells pageservers to
/// attach is nowhere.
async fn check_there(plane: &Plane, tenant: Option<TenantId>) -> Result<(), PlaneError> {
    let Some(tenant) = tenant else { return Ok(()) };
    match plane.controller.timelines(tenant).await {
        Err(error) if error.is_not_found() => {
            return Err(PlaneError::NotYet(format!(
                "the pageserver of tenant {tenant} doesn't have it, though it was given to it: its own volume was lost. \
                 convoke restart storage-controller has the controller look, and attach it anew from the remote storage"
            )));
        }
        infos => {
            if !infos?.is_empty() {
                return Ok(());
            }
        }
    }
    Err(PlaneError::NotYet(format!(
        "the storage controller's database knows tenant {tenant} and the remote storage has nothing of it: that is \
         another one or a new one. Nothing is made anew, since later files could be taken for the old ones. Bring the \
         volume remote-storage (or the bucket) back, or remove all volumes (convoke down --volumes)"
    )))
}

/// The first tenant is made for a controller that has none; else the memory of this program was lost.
async fn check_first(plane: &Plane) -> Result<(), PlaneError> {
    let there = plane.controller.tenants().await?;
    let Some(first) = there.first() else { return Ok(()) };
    let ids: Vec<String> = there.iter().map(|tenant| tenant.tenant_id.to_string()).collect();
    Err(PlaneError::NotYet(format!(
        "the storage controller has tenants and this control plane knows none: its volume is another one or a new one. \
         There are {}. Bring the volume of the control plane back, or take one up without the names of its branches \
         (convoke neon tenant import --tenant-id {} --set-default)",
        ids.join(", "),
        first.tenant_id
    )))
}

/// Endpoints of the file are remembered; those that left it are as if made by hand and stopped.
fn declare(plane: &Plane, tenant: TenantId) -> Result<(), PlaneError> {
    plane.memory.change(|state| {
        for (name, endpoint) in &mut state.endpoints {
            let declared = plane.settings.endpoints.iter().any(|declared| declared.name == *name);
            if endpoint.declared && !declared {
                endpoint.declared = false;
                endpoint.stopped = true;
            }
        }
        for declared in &plane.settings.endpoints {
            let mut endpoint = Endpoint {
                tenant,
                branch: declared.branch.clone(),
                mode: Mode::Primary,
                stopped: false,
                allow_multiple: false,
                declared: true,
                promoting: false,
            };
            if let Some(known) = state.endpoints.remove(&declared.name) {
                endpoint.stopped = known.stopped && known.declared;
            }
            state.add_endpoint(declared.name.clone(), endpoint)?;
        }
        Ok(())
    })
}
