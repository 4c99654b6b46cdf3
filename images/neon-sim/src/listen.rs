//! Ports.

use axum::Router;
use tokio::net::TcpListener;

use crate::exit::Failure;

/// `HOST:PORT`; without a port that can be had, the program can't go on.
pub async fn bind(what: &str, address: &str) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| anyhow::anyhow!("can't listen on {address} for {what}: {error}"))?;
    tracing::info!("{what}: listening on {address}");
    Ok(listener)
}

/// Serves in the background for as long as the program runs. The port itself is open since `bind`; clients that came
/// before this have been waiting.
pub fn serve(listener: TcpListener, router: Router) {
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("can't serve HTTP any more: {error}");
        }
    });
}
