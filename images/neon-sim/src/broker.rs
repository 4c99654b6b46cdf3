//! storage_broker: here, a status page. The real one hands messages about WAL from safekeepers to pageservers, by
//! gRPC; without WAL there are none.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use clap::Parser;

use crate::exit::Failure;
use crate::fault::Faults;
use crate::signals::Signals;
use crate::{http, listen};

/// Flags of the real program; those which make no difference here are taken and not used.
#[derive(Debug, Parser)]
#[command(name = "storage_broker", version = crate::VERSION)]
pub struct Options {
    /// Where to serve gRPC and HTTP, as IP:port
    #[arg(short, long)]
    listen_addr: Option<SocketAddr>,
    /// Where to serve them with TLS: not here
    #[arg(long)]
    listen_https_addr: Option<SocketAddr>,
    #[arg(long, hide = true)]
    timeline_chan_size: Option<usize>,
    #[arg(long, hide = true)]
    all_keys_chan_size: Option<usize>,
    #[arg(long, hide = true)]
    http2_keepalive_interval: Option<String>,
    #[arg(long, hide = true)]
    log_format: Option<String>,
    #[arg(long, hide = true)]
    ssl_key_file: Option<String>,
    #[arg(long, hide = true)]
    ssl_cert_file: Option<String>,
    #[arg(long, hide = true)]
    ssl_cert_reload_period: Option<String>,
}

/// Runs until a signal ends it.
pub async fn run(options: Options, faults: Arc<Faults>) -> Result<(), Failure> {
    if options.listen_https_addr.is_some() {
        return Err(Failure::from(anyhow::anyhow!("--listen-https-addr: neon-sim has no TLS")));
    }
    let Some(address) = options.listen_addr else {
        return Err(Failure::from(anyhow::anyhow!("--listen-addr is needed")));
    };
    faults.begin(".".as_ref()).await?;
    let listener = listen::bind("HTTP", &address.to_string()).await?;
    let mut signals = Signals::install()?;
    let router =
        http::with_fallbacks(Router::new().route("/status", get(async || ())).route("/metrics", get(http::metrics)));
    let serve = async {
        faults.hang().await;
        listen::serve(listener, router);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serve => {}
        _ = signals.stop() => {}
    }
    Ok(())
}
