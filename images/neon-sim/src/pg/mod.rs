//! Postgres' protocol, the server's side, as far as a simulation needs it.

mod pages;
mod refuse;
pub mod wire;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::auth::{Claims, Guard, Scope};
use wire::{Problem, Wire};

pub use pages::{holds_timeline, serve_pages};
pub use refuse::{refuse_all, takes};

/// Who a client is, by the token that it gives as its password; `None` where nothing is checked.
async fn admit<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    guard: &Guard,
    scopes: &[Scope],
) -> std::io::Result<Result<Option<Claims>, Problem>> {
    if !guard.is_on() {
        return Ok(Ok(None));
    }
    let Some(token) = wire.ask_password().await? else {
        return Ok(Err(Problem::fatal("28P01", "no password was given")));
    };
    let refused = |why: String| Problem::fatal("28P01", format!("authentication failed: {why}"));
    Ok(match guard.claims(&token) {
        Err(error) => Err(refused(format!("malformed jwt token: {error}"))),
        Ok(Some(claims)) if !scopes.contains(&claims.scope) => {
            Err(refused(format!("JWT scope {:?} is not allowed here", claims.scope)))
        }
        Ok(claims) => Ok(claims),
    })
}

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
