//! compute_ctl and the Postgres that it runs: how it gets its specification, its states, its two HTTP ports, and
//! sessions that can say with which settings they run. No pages, hence no tables.

mod api;
mod ask;
mod options;
mod scram;
mod session;
mod spec;
mod sql;
mod state;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::client::Client;
use crate::exit::Failure;
use crate::fault::Faults;
use crate::listen;
use crate::signals::Signals;
pub use options::Options;
use state::{Compute, Status};

/// A compute that couldn't start can be asked why for so long.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// After /terminate?mode=fast, and after mode=immediate.
const AFTER_FAST: Duration = Duration::from_secs(30);
const AFTER_IMMEDIATE: Duration = Duration::from_millis(300);
/// Without a specification the real program first tries Postgres out, for seconds, before it answers anything.
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs until it is terminated, or a signal ends it: the real one exits with 1 then.
pub async fn run(options: Options, faults: Arc<Faults>) -> Result<(), Failure> {
    let unlimited = Rlimit { current: None, maximum: None };
    setrlimit(Resource::Core, unlimited)
        .context("setrlimit(RLIMIT_CORE, infinity); the container needs ulimit core -1")?;
    faults.begin(".".as_ref()).await?;
    let client = Client::new(options.control_plane_token.as_deref().filter(|token| !token.is_empty()), &faults);
    let config = ask::config(&options, &client).await?;
    let pgdata = options.pgdata.clone();
    crate::files::remove_dir(&pgdata).with_context(|| format!("can't remove {}", pgdata.display()))?;
    std::fs::create_dir_all(&pgdata).with_context(|| format!("can't make {}", pgdata.display()))?;
    let compute = Arc::new(Compute::new(options, client));
    compute.trust(&config.compute_ctl_config);
    let mut signals = Signals::install()?;
    let life = async {
        if config.spec.is_none() {
            tracing::info!("no specification yet: warming up");
            sleep(WARM_UP).await;
        }
        let external = everywhere("external HTTP", compute.options.external_http_port).await?;
        let internal = everywhere("internal HTTP", compute.options.internal_http_port).await?;
        faults.hang().await;
        listen::serve(external, api::external(Arc::clone(&compute)));
        listen::serve(internal, api::internal(Arc::clone(&compute)));
        live(&compute, config.spec.as_ref()).await
    };
    tokio::select! {
        end = life => end,
        _ = signals.stop() => Err(anyhow!("stopped by a signal").into()),
    }
}

async fn live(compute: &Arc<Compute>, spec: Option<&spec::Spec>) -> Result<(), Failure> {
    if let Some(spec) = spec
        && let Err(why) = compute.start(spec).await
    {
        sleep(AFTER_FAILURE).await;
        return Err(anyhow!("could not start: {why}").into());
    }
    let ends = [Status::TerminationPendingFast, Status::TerminationPendingImmediate];
    let pending = compute.until(&ends).await;
    compute.until(&[Status::Terminated]).await;
    sleep(if pending == Status::TerminationPendingFast { AFTER_FAST } else { AFTER_IMMEDIATE }).await;
    Ok(())
}

/// On all addresses, as in the real program: by IPv6, which takes IPv4 as well, or by IPv4 where there is no other.
async fn everywhere(what: &str, port: u16) -> Result<TcpListener, Failure> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        Err(_) => listen::bind(what, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).to_string()).await,
    }
}
