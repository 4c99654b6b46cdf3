//! A port on which the real program speaks Postgres' protocol with computes: here every session is refused, in that
//! protocol, with the reason.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_postgres::NoTls;

use super::wire::{Problem, Wire};
use super::{accept_all, admit};
use crate::auth::{Guard, Scope};

/// A client that says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(60);
/// For a connection and its refusal.
const LIMIT: Duration = Duration::from_secs(1);
/// The code of refusals that are for want of data.
const SIMULATED: &str = "0A000";

/// Answers for ever.
pub async fn refuse_all(listener: TcpListener, guard: Guard, scopes: &'static [Scope], what: &'static str) {
    accept_all(listener, move |stream| {
        let guard = guard.clone();
        async move {
            // Whatever goes wrong here, the client is gone, and a client is all there was.
            let _ = timeout(PATIENCE, refuse(stream, &guard, scopes, what)).await;
        }
    })
    .await;
}

/// Whether the program at `host:port` takes a token: the reason for which a session is refused tells.
pub async fn takes(at: &str, token: Option<&str>) -> Result<(), String> {
    let (host, port) = at.rsplit_once(':').ok_or_else(|| format!("{at:?} isn't host:port"))?;
    let mut config = tokio_postgres::Config::new();
    config.host(host).port(port.parse().map_err(|_| format!("{at:?} isn't host:port"))?).user("no_user");
    config.password(token.unwrap_or_default()).connect_timeout(LIMIT);
    match timeout(LIMIT, config.connect(NoTls)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => match error.as_db_error() {
            Some(refused) if refused.code().code() == SIMULATED => Ok(()),
            Some(refused) => Err(refused.message().to_owned()),
            None => Err(error.to_string()),
        },
        Err(_) => Err(format!("no answer within {LIMIT:?}")),
    }
}

async fn refuse(stream: TcpStream, guard: &Guard, scopes: &[Scope], what: &str) -> std::io::Result<()> {
    let mut wire = Wire::new(stream);
    if wire.startup().await?.is_some() {
        let problem = match admit(&mut wire, guard, scopes).await? {
            Ok(_) => Problem::fatal(SIMULATED, format!("neon-sim is a simulation and {what}")),
            Err(problem) => problem,
        };
        wire.error(&problem);
        wire.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::testing::{SCOPES, guard};
    use crate::jwt::testing::{pair, token};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_session_is_refused_with_the_reason() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(refuse_all(listener, Guard::default(), &[], "stores no pages"));
        let mut stream = TcpStream::connect(address).await.unwrap();
        for code in [80_877_103, 80_877_104] {
            stream.write_u32(8).await.unwrap();
            stream.write_u32(code).await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'N');
        }
        stream.write_all(b"\0\0\0\x10\0\x03\0\0user\0me\0").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer[0], b'E');
        assert_eq!(u32::from_be_bytes(answer[1..5].try_into().unwrap()) as usize, answer.len() - 1);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("FATAL") && text.contains("simulation and stores no pages"), "{text}");
    }

    #[tokio::test]
    async fn a_token_is_weighed_before_anything_else() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        // As a safekeeper has it for pageservers, which come for WAL, and for computes, which write it.
        let scopes = &[Scope::Tenant, Scope::SafekeeperData];
        tokio::spawn(refuse_all(listener, guard(1), scopes, "stores no WAL"));
        let of = |seed: u8, scope: &str| token(&pair(seed), &serde_json::json!({ "scope": scope }));
        for (scope, name) in SCOPES {
            match takes(&at, Some(&of(1, name))).await {
                Ok(()) => assert!(scopes.contains(&scope), "{name}"),
                Err(said) => {
                    assert!(!scopes.contains(&scope), "{name}: {said}");
                    assert!(said.contains(&format!("JWT scope {scope:?} is not allowed here")), "{said}");
                }
            }
        }
        for wrong in [Some(of(2, "safekeeperdata")), None] {
            let said = takes(&at, wrong.as_deref()).await.unwrap_err();
            assert!(said.contains("malformed jwt token"), "{said}");
        }
    }
}
