//! Postgres' protocol, the server's side, as far as a simulation needs it.

mod pages;
mod refuse;
pub mod wire;

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

pub use pages::{holds_timeline, serve_pages};
pub use refuse::refuse_all;

/// Gives each client to `serve`, for ever. Whatever goes wrong with one ends that one.
pub async fn accept_all<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream))),
            Err(error) => {
                tracing::warn!("can't accept a Postgres session: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
