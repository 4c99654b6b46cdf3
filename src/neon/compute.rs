//! compute_ctl, as a client sees it.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::clock::Clocks;
use super::http::{CallError, Peer};
use super::ids::{EndpointName, Lsn};
use super::spec::{HTTP_PORT, INTERNAL_HTTP_PORT};
use super::wire::ComputeStatus;

const STATUS: Duration = Duration::from_secs(1);
/// Postgres stops and safekeepers are in step before the answer comes.
const TERMINATE: Duration = Duration::from_secs(30);

/// A compute.
#[derive(Debug, Clone)]
pub struct Compute(Peer);

impl Compute {
    /// The one of this endpoint: its component has a fixed name.
    #[must_use]
    pub fn of(endpoint: &EndpointName, token: String) -> Self {
        Self::at(endpoint, &format!("{}:{HTTP_PORT}", component(endpoint)), token)
    }

    /// The same, at another address.
    #[must_use]
    pub fn at(endpoint: &EndpointName, address: &str, token: String) -> Self {
        Self(Peer { token: Some(token), ..Peer::new(format!("endpoint {endpoint}"), address) })
    }

    /// The same, and what time it says it is goes there.
    #[must_use]
    pub fn noting(self, clocks: &Arc<Clocks>) -> Self {
        Self(Peer { clocks: Some(Arc::clone(clocks)), ..self.0 })
    }

    /// What it is doing.
    ///
    /// # Errors
    /// As every call.
    pub async fn status(&self) -> Result<ComputeStatus, CallError> {
        self.0.ask(Method::GET, "/status", None::<&()>, STATUS).await
    }

    /// Makes a replica the primary: it has read up to this position, and runs with this specification, when it answers.
    ///
    /// # Errors
    /// As every call.
    pub async fn promote(&self, spec: &Value, flushed: Lsn, limit: Duration) -> Result<(), CallError> {
        let body = json!({ "spec": spec, "wal_flush_lsn": flushed });
        self.0.ask::<Value>(Method::POST, "/promote", Some(&body), limit).await.map(drop)
    }

    /// Gives it a new specification; returns when it runs with that.
    ///
    /// # Errors
    /// As every call; 412 when it is neither empty nor running.
    pub async fn configure(&self, spec: &Value, jwks: &Value, limit: Duration) -> Result<(), CallError> {
        let body = json!({ "spec": spec, "compute_ctl_config": { "jwks": jwks, "tls": null } });
        self.0.ask::<Value>(Method::POST, "/configure", Some(&body), limit).await.map(drop)
    }

    /// Has it ask for its specification once more; the answer comes before it has.
    ///
    /// # Errors
    /// As every call; 412 when it isn't running.
    pub async fn refresh(endpoint: &EndpointName) -> Result<(), CallError> {
        let peer = Peer::new(format!("endpoint {endpoint}"), format!("{}:{INTERNAL_HTTP_PORT}", component(endpoint)));
        peer.ask::<Value>(Method::POST, "/refresh_configuration", None::<&()>, STATUS).await.map(drop)
    }

    /// Stops Postgres cleanly; the program ends right after the answer. The position up to which everything is safe.
    ///
    /// # Errors
    /// As every call; 412 when it is neither empty nor running.
    pub async fn terminate(&self) -> Result<Option<String>, CallError> {
        let answer: Value = self.0.ask(Method::POST, "/terminate?mode=immediate", None::<&()>, TERMINATE).await?;
        Ok(answer.get("lsn").and_then(Value::as_str).map(str::to_owned))
    }
}

/// The component that an endpoint is.
#[must_use]
pub fn component(endpoint: &EndpointName) -> String {
    format!("endpoint-{endpoint}")
}
