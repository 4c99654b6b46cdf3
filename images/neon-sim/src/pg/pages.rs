//! A pageserver's Postgres port. Of what computes ask there, one thing can be answered without pages: whether it has a
//! timeline. `basebackup TENANT TIMELINE` says yes or no, and everything else is refused.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_postgres::NoTls;

use super::wire::{Problem, Wire};
use super::{accept_all, admit};
use crate::auth::{Claims, Guard, Scope};
use crate::ids::{TenantId, TimelineId};

/// A client that says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(60);
/// For a connection to a pageserver and its answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Whether a timeline is here; the text says why not.
pub type Look = dyn Fn(TenantId, TimelineId) -> Result<(), String> + Send + Sync;

/// Answers for ever.
pub async fn serve_pages(listener: TcpListener, guard: Guard, look: Arc<Look>) {
    accept_all(listener, move |stream| {
        let (guard, look) = (guard.clone(), Arc::clone(&look));
        async move {
            // Whatever goes wrong here, the client is gone, and a client is all there was.
            let _ = timeout(PATIENCE, serve(stream, &guard, &*look)).await;
        }
    })
    .await;
}

async fn serve(stream: TcpStream, guard: &Guard, look: &Look) -> std::io::Result<()> {
    let mut wire = Wire::new(stream);
    if wire.startup().await?.is_none() {
        return Ok(());
    }
    let claims = match admit(&mut wire, guard, &[Scope::Tenant, Scope::PageServerApi]).await? {
        Ok(claims) => claims,
        Err(problem) => {
            wire.error(&problem);
            return wire.flush().await;
        }
    };
    wire.authentication(0, &[]);
    wire.ready(b'I');
    wire.flush().await?;
    while let Some(message) = wire.read().await? {
        if message.kind == b'X' {
            return Ok(());
        }
        match answer(message.kind, &message.text(0).unwrap_or_default().0, claims.as_ref(), look) {
            Ok(()) => wire.complete("SELECT 0"),
            Err(problem) => wire.error(&problem),
        }
        wire.ready(b'I');
        wire.flush().await?;
    }
    Ok(())
}

fn answer(kind: u8, query: &str, claims: Option<&Claims>, look: &Look) -> Result<(), Problem> {
    let mut words = query.split_whitespace();
    if kind != b'Q' || words.next() != Some("basebackup") {
        return Err(Problem::error("0A000", "neon-sim is a simulation and stores no pages"));
    }
    let bad = || Problem::error("22P02", format!("basebackup TENANT TIMELINE, not {query:?}"));
    let tenant = words.next().and_then(|word| word.parse().ok()).ok_or_else(bad)?;
    let timeline = words.next().and_then(|word| word.parse().ok()).ok_or_else(bad)?;
    if claims.is_some_and(|claims| claims.scope == Scope::Tenant && !claims.is_of(tenant)) {
        return Err(Problem::error("42501", "Tenant id mismatch. Permission denied"));
    }
    look(tenant, timeline).map_err(|why| Problem::error("XX000", why))
}

/// Asks a pageserver at `host:port` whether it has a timeline.
pub async fn holds_timeline(
    at: &str,
    token: Option<&str>,
    tenant: TenantId,
    timeline: TimelineId,
) -> Result<(), String> {
    let (host, port) = at.rsplit_once(':').ok_or_else(|| format!("{at:?} isn't host:port"))?;
    let mut config = tokio_postgres::Config::new();
    config.host(host).port(port.parse().map_err(|_| format!("{at:?} isn't host:port"))?).user("no_user");
    config.password(token.unwrap_or_default()).connect_timeout(Duration::from_secs(1));
    let ask = async {
        let (client, connection) = config.connect(NoTls).await?;
        let _connection = tokio::spawn(connection);
        client.simple_query(&format!("basebackup {tenant} {timeline}")).await
    };
    match timeout(LIMIT, ask).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("could not connect to pageserver {at}: {}", in_full(&error))),
        Err(_) => Err(format!("could not connect to pageserver {at}: no answer within {LIMIT:?}")),
    }
}

fn in_full(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::testing::guard;
    use crate::jwt::testing::{pair, token};

    #[tokio::test]
    async fn a_pageserver_says_what_it_has() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let look = |tenant: TenantId, _| if tenant.0 == 1 { Ok(()) } else { Err(format!("tenant {tenant} not found")) };
        tokio::spawn(serve_pages(listener, Guard::default(), Arc::new(look)));
        holds_timeline(&at, None, TenantId(1), TimelineId(1)).await.unwrap();
        let why = holds_timeline(&at, None, TenantId(2), TimelineId(1)).await.unwrap_err();
        assert!(why.contains("tenant 00000000000000000000000000000002 not found"), "{why}");
        assert!(holds_timeline("127.0.0.1:1", None, TenantId(2), TimelineId(1)).await.is_err());
    }

    #[tokio::test]
    async fn a_tenant_s_token_opens_that_tenant_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve_pages(listener, guard(1), Arc::new(|_, _| Ok(()))));
        let own = token(&pair(1), &serde_json::json!({ "scope": "tenant", "tenant_id": TenantId(1) }));
        holds_timeline(&at, Some(&own), TenantId(1), TimelineId(1)).await.unwrap();
        let why = holds_timeline(&at, Some(&own), TenantId(2), TimelineId(1)).await.unwrap_err();
        assert!(why.contains("Tenant id mismatch"), "{why}");
        let other = token(&pair(1), &serde_json::json!({ "scope": "safekeeperdata" }));
        let why = holds_timeline(&at, Some(&other), TenantId(1), TimelineId(1)).await.unwrap_err();
        assert!(why.contains("not allowed here"), "{why}");
    }
}
