//! The way to a cluster's control plane: which container it is, where its API is, and the token.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::body::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::connect::published;
use super::super::error::CliError;
use super::super::session::{Session, engine_host};
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, ExecRequest, Observed, ObservedContainer, Status, labels};
use crate::names::ClusterName;
use crate::neon::api::{API_PORT, COMPONENT, LoginView, Overview};
use crate::neon::http::{CallError, Peer};
use crate::neon::upload::Progress;

/// For calls that end at once.
const QUICK: Duration = Duration::from_secs(40);
/// For those that make something: the control plane's own limits are shorter.
const PATIENT: Duration = Duration::from_secs(180);

/// A cluster of Neon's, and the way to its control plane.
pub(super) struct Link {
    pub(super) engine: DockerEngine,
    pub(super) cluster: ClusterName,
    pub(super) observed: Observed,
    peer: Peer,
}

impl Link {
    /// Finds the cluster and asks for the token: who may use the engine may use the cluster.
    pub(super) async fn open(session: &Session) -> Result<Self, CliError> {
        let engine = session.connect().await?;
        let cluster = session.cluster_name(&engine, &[]).await?;
        let observed = session.observe(&engine, &cluster).await?;
        let container = service(&observed, COMPONENT).ok_or_else(|| {
            CliError::failed(format!("cluster {cluster} has no control plane"))
                .hint("convoke up neon starts a cluster that has one; -p NAME names another cluster")
        })?;
        if container.state.status != Status::Running {
            return Err(CliError::failed(format!("the control plane of {cluster} doesn't run"))
                .hint("convoke start control-plane"));
        }
        let host = engine_host(engine.known_info()).await.to_string();
        let address = published(container, API_PORT, &host)
            .ok_or_else(|| CliError::failed("the control plane has no address that can be reached"))?;
        let token = token(&engine, container).await?;
        let clocks = Some(Arc::default());
        let peer = Peer { token: Some(token), clocks, ..Peer::new("the control plane", address) };
        Ok(Self { engine, cluster, observed, peer })
    }

    /// A call that ends at once.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.ask(Method::GET, path, None::<&()>).await
    }

    /// A call.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, CliError> {
        let limit = if method == Method::GET { QUICK } else { PATIENT };
        self.peer.ask(method, path, body, limit).await.map_err(Into::into)
    }

    /// Sends what may be long.
    pub(super) async fn upload<B>(&self, path: &str, body: B, progress: Progress) -> Result<(), CliError>
    where
        B: Body<Data = Bytes, Error = std::io::Error> + Unpin + Send + 'static,
    {
        self.peer.upload(path, body, progress).await.map_err(Into::into)
    }

    /// A call that the storage controller answers.
    pub(super) async fn controller<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, CliError> {
        self.ask(method, &format!("/v1/controller{path}"), body).await
    }

    /// Endpoints and the default tenant.
    pub(super) async fn overview(&self) -> Result<Overview, CliError> {
        self.get("/v1/state").await
    }

    /// What the answers so far say of the clock there.
    pub(super) fn clock_warnings(&self) -> Vec<String> {
        self.peer.clocks.as_ref().map(|clocks| clocks.warnings()).unwrap_or_default()
    }

    /// How to log in.
    pub(super) async fn login(&self) -> Result<LoginView, CliError> {
        self.get("/v1/login").await
    }
}

/// The container of a service that has one.
pub(super) fn service<'a>(observed: &'a Observed, name: &str) -> Option<&'a ObservedContainer> {
    observed.containers.iter().find(|container| container.label(labels::COMPOSE_SERVICE) == Some(name))
}

async fn token(engine: &DockerEngine, container: &ObservedContainer) -> Result<String, CliError> {
    let command = ["/usr/local/bin/convoke", "neon", "control-plane", "--print-token"].map(str::to_owned).to_vec();
    let outcome =
        engine.exec(&container.id, &ExecRequest { command, keep_output: 4096, ..ExecRequest::default() }).await?;
    let said = outcome.output.trim().to_owned();
    if outcome.code == 0 && !said.is_empty() {
        return Ok(said);
    }
    Err(CliError::failed(format!("the control plane gives no token: {said}")).hint("convoke logs control-plane"))
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> Self {
        // What was refused because of its content is the user's to change.
        let is_input = error.status().is_some_and(|status| matches!(status.as_u16(), 400 | 404 | 409 | 412));
        match error {
            // The path says nothing to people; what the other side says does.
            CallError::Refused { message, .. } if is_input => Self::input(message),
            error => Self::failed(error.to_string()),
        }
    }
}
