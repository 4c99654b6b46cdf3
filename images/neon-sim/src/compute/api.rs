//! The two HTTP ports: one for all who have a token, one for those inside.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{any, get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::spec::{Config, Running, Spec};
use super::state::{Compute, Ending, Status};
use crate::http::{Body, Query, metrics};
use crate::ids::Lsn;
use crate::jwt::{bearer, verify};

type Shared = State<Arc<Compute>>;

/// The port that wants tokens.
pub fn external(compute: Arc<Compute>) -> Router {
    let guarded = Router::new()
        .route("/status", get(status))
        .route("/configure", post(configure))
        .route("/terminate", post(terminate))
        .route("/promote", post(promote))
        .route("/{*rest}", any(not_here))
        .route_layer(from_fn_with_state(Arc::clone(&compute), authorize));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/autoscaling_metrics", get(metrics))
        .merge(guarded)
        .with_state(compute)
}

/// The port for Postgres itself, without tokens.
pub fn internal(compute: Arc<Compute>) -> Router {
    Router::new().route("/refresh_configuration", post(refresh)).route("/metrics", get(metrics)).with_state(compute)
}

#[derive(Debug, Deserialize)]
struct Claims {
    compute_id: Option<String>,
    scope: Option<String>,
    #[serde(default)]
    aud: Audience,
}

/// A text or a list of them.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum Audience {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn includes(&self, wanted: &str) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => one == wanted,
            Self::Several(all) => all.iter().any(|one| one == wanted),
        }
    }
}

fn refuse(status: StatusCode, why: impl Into<String>) -> Response {
    (status, Json(json!({ "error": why.into() }))).into_response()
}

async fn authorize(State(compute): Shared, request: Request, next: Next) -> Response {
    let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = value.and_then(bearer) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid authorization token");
    };
    match check(token, &compute) {
        Ok(()) => next.run(request).await,
        Err((status, why)) => {
            tracing::warn!("refused {}: {why}", request.uri().path());
            refuse(status, why)
        }
    }
}

fn check(token: &str, compute: &Compute) -> Result<(), (StatusCode, String)> {
    let claims: Claims = verify(token, &compute.keys())
        .map_err(|error| (StatusCode::UNAUTHORIZED, format!("invalid token: {error}")))?;
    if claims.scope.as_deref() == Some("compute_ctl:admin") {
        let is_for_us = claims.aud.includes("compute");
        return is_for_us.then_some(()).ok_or((StatusCode::UNAUTHORIZED, "invalid audience in token".to_owned()));
    }
    if claims.compute_id.as_deref() == Some(&compute.options.compute_id) {
        return Ok(());
    }
    Err((StatusCode::FORBIDDEN, format!("invalid compute id in token: {:?}", claims.compute_id)))
}

async fn status(State(compute): Shared) -> Json<Value> {
    Json(compute.describe())
}

async fn configure(State(compute): Shared, Body(body): Body<Value>) -> Response {
    let config: Config = match serde_json::from_value(body) {
        Ok(config) => config,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("invalid spec: {error}")),
    };
    if let Some(Err(why)) = config.spec.as_ref().map(Running::of) {
        return refuse(StatusCode::BAD_REQUEST, why);
    }
    // To its end, whoever hangs up meanwhile.
    let at_work = Arc::clone(&compute);
    let done = tokio::spawn(async move { at_work.configure(&config).await }).await;
    match done {
        Ok(Ok(())) => Json(compute.describe()).into_response(),
        Ok(Err(None)) => refuse(
            StatusCode::PRECONDITION_FAILED,
            format!("invalid compute status for configuration request: {:?}", compute.status()),
        ),
        Ok(Err(Some(why))) => refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("compute configuration failed: {why}")),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Body of `POST /promote`.
#[derive(Debug, Deserialize)]
struct Promote {
    spec: Spec,
    /// Up to here it has to have read before.
    #[expect(dead_code, reason = "it has to be there; a simulation reads nothing")]
    wal_flush_lsn: Lsn,
}

async fn promote(State(compute): Shared, Body(body): Body<Value>) -> Response {
    let wanted: Promote = match serde_json::from_value(body) {
        Ok(wanted) => wanted,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("invalid body: {error}")),
    };
    let at_work = Arc::clone(&compute);
    let done = tokio::spawn(async move { at_work.promote(&wanted.spec).await }).await;
    match done {
        Ok(Ok(())) => Json(json!({ "status": "completed" })).into_response(),
        Ok(Err(None)) => refuse(StatusCode::PRECONDITION_FAILED, format!("it is {:?}", compute.status())),
        Ok(Err(Some(why))) => refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("promotion failed: {why}")),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

#[derive(Debug, Deserialize)]
struct Terminate {
    #[serde(default)]
    mode: TerminateMode,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TerminateMode {
    #[default]
    Fast,
    Immediate,
}

/// How long Postgres takes to stop here.
const SHUTDOWN: Duration = Duration::from_millis(50);

async fn terminate(State(compute): Shared, Query(query): Query<Terminate>) -> Response {
    if compute.status() == Status::Terminated {
        return (StatusCode::CREATED, Json(json!({ "lsn": null }))).into_response();
    }
    let ending = match query.mode {
        TerminateMode::Fast => Ending::Fast,
        TerminateMode::Immediate => Ending::Immediate,
    };
    if !compute.terminate(ending) {
        return refuse(
            StatusCode::PRECONDITION_FAILED,
            format!("invalid compute status for termination request: {:?}", compute.status()),
        );
    }
    sleep(SHUTDOWN).await;
    compute.terminated();
    Json(json!({ "lsn": null })).into_response()
}

async fn refresh(State(compute): Shared) -> Response {
    if compute.refresh() {
        return Json(json!({ "status": "ok" })).into_response();
    }
    refuse(StatusCode::PRECONDITION_FAILED, format!("invalid compute status for a refresh: {:?}", compute.status()))
}

async fn not_here() -> Response {
    refuse(StatusCode::NOT_IMPLEMENTED, "neon-sim simulates /status, /configure, /promote, /terminate and /metrics")
}
