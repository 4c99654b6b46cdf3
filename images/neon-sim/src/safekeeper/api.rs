//! The safekeeper's HTTP API, as far as it is about management.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post, put};
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Safekeeper;
use super::store::{TenantTimeline, Timeline};
use crate::auth::{Claims, Scope};
use crate::client::CallError;
use crate::http::{Answer, ApiError, Body, in_path, metrics, null, with_fallbacks};
use crate::ids::Lsn;
use crate::wire::safekeeper::{
    MembershipConfig, MembershipSwitch, PullTimelineAnswer, PullTimelineRequest, SafekeeperTimelineCreate,
    TimelineDeleted,
};
use crate::wire::utilization::SafekeeperUtilization;

type Server = State<Arc<Safekeeper>>;

/// For each call to another safekeeper.
const PEER_LIMIT: Duration = Duration::from_secs(10);

pub fn router(server: Arc<Safekeeper>) -> Router {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/metrics", get(metrics))
        .route("/v1/utilization", get(utilization))
        .route("/v1/tenant/timeline", post(create))
        .route("/v1/tenant/{tenant}", delete(delete_tenant))
        .route("/v1/tenant/{tenant}/timeline/{timeline}", get(timeline).delete(delete_timeline))
        .route("/v1/tenant/{tenant}/timeline/{timeline}/membership", put(membership))
        .route("/v1/tenant/{tenant}/timeline/{timeline}/exclude", put(exclude))
        .route("/v1/tenant/{tenant}/timeline/{timeline}/snapshot/{destination}", get(snapshot))
        .route("/v1/tenant/{tenant}/timeline/{timeline}/term_bump", post(async || ApiError::no_pages("term_bump")))
        .route("/v1/pull_timeline", post(pull));
    with_fallbacks(router).with_state(server)
}

/// The storage controller and other safekeepers may ask everything, a tenant's own token what is about that tenant.
pub fn allows(_: &Method, path: &[&str], claims: Option<&Claims>) -> bool {
    match (claims, path) {
        (None, path) => matches!(path, ["v1", "status"] | ["metrics"]),
        (Some(Claims { scope: Scope::SafekeeperData, .. }), _) => true,
        (Some(claims), ["v1", "tenant", id, ..]) => claims.is_of_path(id),
        _ => false,
    }
}

fn both_ids(tenant: &str, timeline: &str) -> Result<TenantTimeline, ApiError> {
    Ok(TenantTimeline { tenant_id: in_path("tenant_id", tenant)?, timeline_id: in_path("timeline_id", timeline)? })
}

async fn status(State(server): Server) -> Json<Value> {
    Json(json!({ "id": server.id }))
}

async fn utilization(State(server): Server) -> Json<SafekeeperUtilization> {
    Json(SafekeeperUtilization { timeline_count: server.store.count() })
}

async fn create(State(server): Server, Body(request): Body<SafekeeperTimelineCreate>) -> Answer<()> {
    server.store.create(request)?;
    Ok(null())
}

/// What is told of a timeline. The LSNs are all the same one: nobody writes here.
#[derive(Debug, Serialize, Deserialize)]
struct TimelineStatus {
    #[serde(flatten)]
    id: TenantTimeline,
    mconf: MembershipConfig,
    acceptor_state: AcceptorState,
    pg_info: PgInfo,
    flush_lsn: Lsn,
    timeline_start_lsn: Lsn,
    local_start_lsn: Lsn,
    commit_lsn: Lsn,
    backup_lsn: Lsn,
    peer_horizon_lsn: Lsn,
    remote_consistent_lsn: Lsn,
    /// Would come from the broker.
    peers: Vec<Value>,
    walsenders: Vec<Value>,
    walreceivers: Vec<Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AcceptorState {
    term: u64,
    epoch: u64,
    term_history: Vec<TermStart>,
}

#[derive(Debug, Serialize, Deserialize)]
struct TermStart {
    term: u64,
    lsn: Lsn,
}

#[derive(Debug, Serialize, Deserialize)]
struct PgInfo {
    pg_version: u32,
    system_id: u64,
    wal_seg_size: u32,
}

impl TimelineStatus {
    fn of(id: TenantTimeline, timeline: Timeline) -> Self {
        let Timeline { mconf, pg_version, system_id, wal_seg_size, start_lsn, commit_lsn } = timeline;
        Self {
            id,
            mconf,
            acceptor_state: AcceptorState {
                term: 0,
                epoch: 0,
                term_history: vec![TermStart { term: 0, lsn: start_lsn }],
            },
            pg_info: PgInfo { pg_version, system_id, wal_seg_size },
            flush_lsn: commit_lsn,
            timeline_start_lsn: start_lsn,
            local_start_lsn: start_lsn,
            commit_lsn,
            backup_lsn: commit_lsn,
            peer_horizon_lsn: commit_lsn,
            remote_consistent_lsn: Lsn::INVALID,
            peers: Vec::new(),
            walsenders: Vec::new(),
            walreceivers: Vec::new(),
        }
    }
}

async fn timeline(State(server): Server, Path((tenant, timeline)): Path<(String, String)>) -> Answer<TimelineStatus> {
    let id = both_ids(&tenant, &timeline)?;
    Ok(Json(TimelineStatus::of(id, server.store.get(id)?)))
}

async fn delete_timeline(
    State(server): Server,
    Path((tenant, timeline)): Path<(String, String)>,
) -> Answer<TimelineDeleted> {
    server.store.delete(both_ids(&tenant, &timeline)?).map(Json)
}

/// Answers with each timeline that was there.
async fn delete_tenant(State(server): Server, Path(tenant): Path<String>) -> Answer<Map<String, Value>> {
    let mut answer = Map::new();
    for id in server.store.of_tenant(in_path("tenant_id", &tenant)?) {
        answer.insert(id.timeline_id.to_string(), json!(server.store.delete(id)?));
    }
    Ok(Json(answer))
}

async fn membership(
    State(server): Server,
    Path((tenant, timeline)): Path<(String, String)>,
    Body(to): Body<MembershipConfig>,
) -> Answer<MembershipSwitch> {
    server.store.switch(both_ids(&tenant, &timeline)?, to).map(Json)
}

async fn exclude(
    State(server): Server,
    Path((tenant, timeline)): Path<(String, String)>,
    Body(conf): Body<MembershipConfig>,
) -> Answer<TimelineDeleted> {
    server.store.exclude(both_ids(&tenant, &timeline)?, server.id, &conf).map(Json)
}

/// A timeline for another safekeeper: here, its state without WAL, in a form of neon-sim's own.
async fn snapshot(
    State(server): Server,
    Path((tenant, timeline, _destination)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let timeline = server.store.get(both_ids(&tenant, &timeline)?)?;
    let bytes = serde_json::to_vec(&timeline).map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// Takes a timeline from the safekeeper that has most of it; the last of several equals, as recorded.
async fn pull(State(server): Server, Body(request): Body<PullTimelineRequest>) -> Answer<PullTimelineAnswer> {
    let id = TenantTimeline { tenant_id: request.tenant_id, timeline_id: request.timeline_id };
    if server.store.contains(id) {
        return Ok(Json(PullTimelineAnswer { safekeeper_host: None }));
    }
    let mut best: Option<(Lsn, &str)> = None;
    let mut failures = Vec::new();
    for host in &request.http_hosts {
        match peer_status(&server, host, id).await {
            Ok(status) if best.is_none_or(|(lsn, _)| status.flush_lsn >= lsn) => best = Some((status.flush_lsn, host)),
            Ok(_) => {}
            Err(error) => failures.push(format!("{host}: {error}")),
        }
    }
    let Some((_, donor)) = best else {
        return Err(ApiError::Internal(format!("no safekeeper to pull {id} from: {}", failures.join("; "))));
    };
    let mut pulled = fetch(&server, donor, id)
        .await
        .map_err(|error| ApiError::Internal(format!("can't pull {id} from {donor}: {error}")))?;
    if let Some(mconf) = request.mconf.filter(|mconf| mconf.generation > pulled.mconf.generation) {
        pulled.mconf = mconf;
    }
    server.store.insert(id, pulled)?;
    Ok(Json(PullTimelineAnswer { safekeeper_host: Some(donor.to_owned()) }))
}

fn peer_url(host: &str, id: TenantTimeline) -> String {
    let TenantTimeline { tenant_id, timeline_id } = id;
    format!("{}/v1/tenant/{tenant_id}/timeline/{timeline_id}", host.trim_end_matches('/'))
}

async fn peer_status(server: &Safekeeper, host: &str, id: TenantTimeline) -> Result<TimelineStatus, CallError> {
    let url = peer_url(host, id);
    server.peers.call(Method::GET, &url, None::<&()>, Some(PEER_LIMIT)).await?.json()
}

async fn fetch(server: &Safekeeper, donor: &str, id: TenantTimeline) -> Result<Timeline, CallError> {
    let url = format!("{}/snapshot/{}", peer_url(donor, id), server.id);
    server.peers.call(Method::GET, &url, None::<&()>, Some(PEER_LIMIT)).await?.json()
}
