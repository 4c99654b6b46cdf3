//! The pageserver's HTTP API, as far as it is about management.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{any, get, post, put};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::tenants::Shard;
use super::{Pageserver, import, lifecycle, utilization};
use crate::auth::{Claims, Scope};
use crate::http::{Answer, ApiError, Body, Query, answer, in_path, metrics, null, with_fallbacks};
use crate::ids::{Lsn, TenantShardId, TimelineId};
use crate::wire::location::{LocationConfig, LocationList, LocationMode, ScannedTenant};
use crate::wire::stamp::Stamp;
use crate::wire::timeline::{
    ArchivalConfig, LsnLease, LsnLeaseRequest, SecondaryProgress, ShardSplitAnswer, ShardSplitRequest,
    TimelineCreateRequest, TimelineInfo,
};
use crate::wire::utilization::PageserverUtilization;

type Server = State<Arc<Pageserver>>;

/// A lease lasts as long as the real program's default.
const LEASE: SignedDuration = SignedDuration::from_mins(10);

pub fn router(server: Arc<Pageserver>) -> Router {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/metrics", get(metrics))
        .route("/v1/utilization", get(utilized))
        .route("/v1/reload_auth_validation_keys", post(reload_keys))
        .route("/v1/location_config", get(locations))
        .route("/v1/location_config/{shard}", get(location))
        .route("/v1/tenant", get(tenants))
        .route("/v1/tenant/{shard}", get(tenant).delete(delete_tenant))
        .route("/v1/tenant/{shard}/location_config", put(put_location))
        .route("/v1/tenant/{shard}/shard_split", put(shard_split))
        .route("/v1/tenant/{shard}/wait_lsn", post(wait_lsn))
        .route("/v1/tenant/{shard}/secondary/download", post(secondary_download))
        .route("/v1/tenant/{shard}/secondary/status", get(secondary_status))
        .route("/v1/tenant/{shard}/scan_remote_storage", get(scan))
        .route("/v1/tenant/{shard}/timeline", get(timelines).post(create_timeline))
        .route("/v1/tenant/{shard}/timeline/{timeline}", get(timeline).delete(delete_timeline))
        .route("/v1/tenant/{shard}/timeline/{timeline}/archival_config", put(archival_config))
        .route("/v1/tenant/{shard}/timeline/{timeline}/import_basebackup", put(import::base))
        .route("/v1/tenant/{shard}/timeline/{timeline}/import_wal", put(import::wal))
        .route("/v1/tenant/{shard}/timeline/{timeline}/lsn_lease", post(lsn_lease))
        .route("/v1/tenant/{shard}/timeline/{timeline}/get_lsn_by_timestamp", get(lsn_by_timestamp));
    with_fallbacks(without_pages(router)).with_state(server)
}

/// The storage controller may ask everything, a tenant's own token what is there of that tenant.
pub fn allows(method: &Method, path: &[&str], claims: Option<&Claims>) -> bool {
    match (claims, path) {
        (None, path) => matches!(path, ["v1", "status"] | ["metrics"]),
        (Some(Claims { scope: Scope::PageServerApi, .. }), _) => true,
        (Some(claims), ["v1", "tenant", id, ..]) => *method == Method::GET && claims.is_of_path(id),
        _ => false,
    }
}

/// Calls which the real program answers from pages.
fn without_pages(mut router: Router<Arc<Pageserver>>) -> Router<Arc<Pageserver>> {
    for call in ["synthetic_size", "heatmap_upload"] {
        router = router.route(&format!("/v1/tenant/{{shard}}/{call}"), any(async move || ApiError::no_pages(call)));
    }
    for call in [
        "checkpoint",
        "compact",
        "detach_ancestor",
        "do_gc",
        "get_timestamp_of_lsn",
        "getpage",
        "keyspace",
        "layer",
        "download_remote_layers",
    ] {
        let path = format!("/v1/tenant/{{shard}}/timeline/{{timeline}}/{call}");
        router = router.route(&path, any(async move || ApiError::no_pages(call)));
    }
    router
}

fn shard_id(text: &str) -> Result<TenantShardId, ApiError> {
    in_path("tenant_shard_id", text)
}

fn both_ids((shard, timeline): &(String, String)) -> Result<(TenantShardId, TimelineId), ApiError> {
    Ok((shard_id(shard)?, in_path("timeline_id", timeline)?))
}

async fn status(State(server): Server) -> Json<Value> {
    Json(json!({ "id": server.config.id }))
}

/// Keys are read at the start alone.
async fn reload_keys() -> Json<()> {
    null()
}

async fn utilized(State(server): Server) -> Answer<PageserverUtilization> {
    utilization::measure(&server.workdir, &server.tenants)
        .map(Json)
        .map_err(|error| ApiError::Internal(format!("can't measure the disk: {error}")))
}

async fn scan(State(server): Server, Path(tenant): Path<String>) -> Answer<ScannedTenant> {
    server.tenants.scan(in_path("tenant_id", &tenant)?).map(Json)
}

async fn locations(State(server): Server) -> Json<LocationList> {
    Json(server.tenants.locations())
}

async fn location(State(server): Server, Path(shard): Path<String>) -> Answer<LocationConfig> {
    server.tenants.location(shard_id(&shard)?).map(Json)
}

#[derive(Deserialize)]
struct LocationQuery {
    /// A shard that becomes stale flushes first, for at most this time.
    flush_ms: Option<u64>,
}

async fn put_location(
    State(server): Server,
    Path(shard): Path<String>,
    Query(query): Query<LocationQuery>,
    Body(location): Body<LocationConfig>,
) -> Result<Response, ApiError> {
    let id = shard_id(&shard)?;
    let (mode, before) = (location.mode, server.unvalidated(Some(id)));
    let put = server.tenants.put(id, location)?;
    match mode {
        LocationMode::AttachedStale => {
            server.tenants.write_heatmap(id)?;
            if query.flush_ms.is_some() {
                server.validate(before).await;
            }
        }
        // What is queued for deletion goes in the background, after the answer.
        LocationMode::Detached if !before.is_empty() => {
            tokio::spawn(async move { server.validate(before).await });
        }
        _ => {}
    }
    Ok(put.map_or_else(|| null().into_response(), |answer| Json(answer).into_response()))
}

/// What is told of a tenant shard; a list has less of it.
#[derive(Serialize)]
struct TenantInfo {
    id: TenantShardId,
    state: Value,
    current_physical_size: u64,
    attachment_status: Value,
    generation: Option<u32>,
    #[serde(flatten)]
    detail: Option<TenantDetail>,
}

#[derive(Serialize)]
struct TenantDetail {
    walredo: Value,
    timelines: Vec<TimelineId>,
}

fn tenant_info(id: TenantShardId, shard: &Shard, detail: Option<TenantDetail>) -> TenantInfo {
    TenantInfo {
        id,
        state: json!({ "slug": "Active" }),
        current_physical_size: shard.timelines.values().map(|timeline| timeline.physical_size()).sum(),
        attachment_status: json!({ "slug": "attached" }),
        generation: shard.location.generation.map(|generation| generation.0),
        detail,
    }
}

async fn tenants(State(server): Server) -> Json<Vec<TenantInfo>> {
    let attached = |(id, shard): (&TenantShardId, &Shard)| {
        shard.location.mode.is_attached().then(|| tenant_info(*id, shard, None))
    };
    Json(server.tenants.each(attached).into_iter().flatten().collect())
}

async fn tenant(State(server): Server, Path(shard): Path<String>) -> Answer<TenantInfo> {
    let id = shard_id(&shard)?;
    server.tenants.with_attached(id, |shard| {
        let walredo = json!({ "last_redo_at": null, "process": null });
        let detail = TenantDetail { walredo, timelines: shard.timelines.keys().copied().collect() };
        Ok(Json(tenant_info(id, shard, Some(detail))))
    })
}

async fn delete_tenant(State(server): Server, Path(shard): Path<String>) -> Answer<()> {
    server.tenants.delete(shard_id(&shard)?)?;
    Ok(null())
}

async fn shard_split(
    State(server): Server,
    Path(shard): Path<String>,
    Body(request): Body<ShardSplitRequest>,
) -> Answer<ShardSplitAnswer> {
    let new_shards = server.tenants.split(shard_id(&shard)?, &request)?;
    Ok(Json(ShardSplitAnswer { new_shards }))
}

/// Timelines and positions, and the time to wait for them.
#[derive(Deserialize)]
struct WaitLsn {
    timeout: Duration,
    #[serde(flatten)]
    timelines: HashMap<TimelineId, Lsn>,
}

/// 200 when all positions are there, 202 when the time was over first, 404 for an unknown timeline.
async fn wait_lsn(State(server): Server, Path(shard): Path<String>, Body(wait): Body<WaitLsn>) -> Response {
    let id = match shard_id(&shard) {
        Ok(id) => id,
        Err(error) => return error.into_response(),
    };
    let status = match timeout(wait.timeout, reach(&server, id, &wait.timelines)).await {
        Ok(Ok(())) => StatusCode::OK,
        Ok(Err(_)) => StatusCode::NOT_FOUND,
        Err(_) => StatusCode::ACCEPTED,
    };
    answer(status, ())
}

/// Waits until all timelines are where they shall be.
async fn reach(server: &Pageserver, id: TenantShardId, timelines: &HashMap<TimelineId, Lsn>) -> Result<(), ApiError> {
    loop {
        let changed = server.tenants.changed.notified();
        let mut reached = true;
        for (timeline, lsn) in timelines {
            reached &= lifecycle::info(&server.tenants, id, *timeline)?.last_record_lsn >= *lsn;
        }
        if reached {
            return Ok(());
        }
        changed.await;
    }
}

async fn secondary_download(State(server): Server, Path(shard): Path<String>) -> Answer<SecondaryProgress> {
    server.tenants.download(shard_id(&shard)?).map(Json)
}

async fn secondary_status(State(server): Server, Path(shard): Path<String>) -> Answer<SecondaryProgress> {
    server.tenants.with_secondary(shard_id(&shard)?, |shard| Json(shard.download.clone()))
}

async fn timelines(State(server): Server, Path(shard): Path<String>) -> Answer<Vec<TimelineInfo>> {
    let id = shard_id(&shard)?;
    server.tenants.with_attached(id, |shard| Ok(Json(shard.timelines.values().map(|it| it.info(id)).collect())))
}

async fn create_timeline(
    State(server): Server,
    Path(shard): Path<String>,
    Body(request): Body<TimelineCreateRequest>,
) -> Result<Response, ApiError> {
    let info = lifecycle::create(&server, shard_id(&shard)?, &request).await?;
    Ok(answer(StatusCode::CREATED, info))
}

#[derive(Deserialize)]
struct TimelineQuery {
    #[serde(rename = "include-image-consistent-lsn", default)]
    image_consistent_lsn: bool,
}

async fn timeline(
    State(server): Server,
    Path(ids): Path<(String, String)>,
    Query(query): Query<TimelineQuery>,
) -> Answer<TimelineInfo> {
    let (id, timeline) = both_ids(&ids)?;
    let mut info = lifecycle::info(&server.tenants, id, timeline)?;
    if query.image_consistent_lsn {
        info.image_consistent_lsn = Some(Lsn(info.initdb_lsn.0.saturating_sub(1)));
    }
    Ok(Json(info))
}

async fn delete_timeline(State(server): Server, Path(ids): Path<(String, String)>) -> Result<Response, ApiError> {
    let (id, timeline) = both_ids(&ids)?;
    Ok(answer(lifecycle::delete(&server.tenants, id, timeline)?, ()))
}

async fn archival_config(
    State(server): Server,
    Path(ids): Path<(String, String)>,
    Body(request): Body<ArchivalConfig>,
) -> Answer<()> {
    let (id, timeline) = both_ids(&ids)?;
    lifecycle::archive(&server.tenants, id, timeline, request.state)?;
    Ok(null())
}

/// Nothing is ever collected here, so a lease is just granted.
async fn lsn_lease(
    State(server): Server,
    Path(ids): Path<(String, String)>,
    Body(request): Body<LsnLeaseRequest>,
) -> Answer<LsnLease> {
    let (id, timeline) = both_ids(&ids)?;
    let info = lifecycle::info(&server.tenants, id, timeline)?;
    if request.lsn < info.applied_gc_cutoff_lsn {
        let cutoff = info.applied_gc_cutoff_lsn;
        return Err(ApiError::Internal(format!(
            "tried to request an lsn lease for an lsn below the latest gc cutoff. requested at {} gc cutoff {cutoff}",
            request.lsn
        )));
    }
    Ok(Json(LsnLease { valid_until: Stamp::in_the_future(LEASE) }))
}

/// After initdb alone there is no commit to look for: the recorded answer.
async fn lsn_by_timestamp(State(server): Server, Path(ids): Path<(String, String)>) -> Answer<Value> {
    let (id, timeline) = both_ids(&ids)?;
    let info = lifecycle::info(&server.tenants, id, timeline)?;
    Ok(Json(json!({ "lsn": info.initdb_lsn, "kind": "nodata" })))
}
