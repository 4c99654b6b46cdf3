//! The controller's routes. Those about tenants wait for the startup reconcile, those about nodes don't.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use super::imports::TimelineImport;
use super::model::{NodeScheduling, SafekeeperRecord};
use super::moves::MigrateRequest;
use super::nodes::NodeConfig;
use super::peers::CALL_LIMIT;
use super::safekeeper_moves::SafekeeperMigrate;
use super::safekeepers::PolicyRequest;
use super::state::Controller;
use super::tenant_config::ConfigRequest;
use super::tenants::{CreateTenant, TenantLocation, TenantPage, TenantPolicy, tenant_not_found};
use crate::http::{Answer, ApiError, Body, Query, answer, in_path, null, to_the_end, with_fallbacks};
use crate::ids::{NodeId, TenantId, TenantShardId, TimelineId};
use crate::wire::timeline::{SecondaryProgress, ShardSplitRequest, TimelineCreateRequest};
use crate::wire::upcall::{NodeRegister, ReAttachRequest, ValidateRequest};

type Shared = State<Arc<Controller>>;

/// All routes.
pub fn router(controller: Arc<Controller>) -> Router {
    let about_tenants =
        about_tenants().route_layer(middleware::from_fn_with_state(Arc::clone(&controller), wait_started));
    with_fallbacks(about_nodes().merge(about_tenants).merge(not_simulated())).with_state(controller)
}

/// What the real program has and this one hasn't: a clear 501 instead of a 404 that looks like a typing mistake.
fn not_simulated() -> Router<Arc<Controller>> {
    let paths = [
        "/upcall/v1/timeline_import_status",
        "/control/v1/preferred_azs",
        "/control/v1/step_down",
        "/control/v1/metadata_health/{*rest}",
        "/control/v1/tenant/{tenant}/migrate_secondary",
        "/control/v1/tenant/{tenant}/cancel_reconcile",
        "/v1/tenant/{tenant}/timeline/{timeline}/detach_ancestor",
        "/v1/tenant/{tenant}/timeline/{timeline}/safekeeper_migrate_abort",
        "/debug/v1/node/{node}/drop",
        "/debug/v1/tenant/{tenant}/drop",
        "/debug/v1/tenant",
        "/debug/v1/scheduler",
        "/debug/v1/inspect",
        "/debug/v1/attach-hook",
        "/debug/v1/consistency_check",
        "/debug/v1/reconcile_all",
    ];
    paths.into_iter().fold(Router::new(), |router, path| router.route(path, any(refuse)))
}

async fn refuse(method: Method, uri: Uri) -> ApiError {
    ApiError::not_simulated(&format!("{method} {}", uri.path()))
}

async fn wait_started(State(controller): Shared, request: Request, next: Next) -> Result<Response, ApiError> {
    controller.wait_started().await?;
    Ok(next.run(request).await)
}

fn about_nodes() -> Router<Arc<Controller>> {
    Router::new()
        .route("/status", get(async || null()))
        .route("/live", get(ready))
        .route("/ready", get(ready))
        .route("/metrics", get(async || ""))
        .route("/upcall/v1/re-attach", post(re_attach))
        .route("/upcall/v1/validate", post(validate))
        .route("/control/v1/leader", get(leader))
        .route("/control/v1/node", get(list_nodes).post(register_node))
        .route("/control/v1/node/{node}", get(get_node).delete(refuse))
        .route("/control/v1/node/{node}/shards", get(node_shards))
        .route("/control/v1/node/{node}/config", put(configure_node))
        .route("/control/v1/node/{node}/drain", put(drain).delete(cancel_drain))
        .route("/control/v1/node/{node}/fill", put(fill).delete(cancel_fill))
        .route("/control/v1/node/{node}/delete", put(delete_node).delete(cancel_delete))
        .route("/debug/v1/tombstone", get(tombstones))
        .route("/debug/v1/tombstone/{node}", delete(remove_tombstone))
        .route("/debug/v1/tenant/{tenant}/import", post(import_tenant))
        .route("/control/v1/safekeeper", get(list_safekeepers))
        .route("/control/v1/safekeeper/{id}", get(get_safekeeper).post(upsert_safekeeper))
        .route("/control/v1/safekeeper/{id}/scheduling_policy", post(safekeeper_policy))
}

fn about_tenants() -> Router<Arc<Controller>> {
    Router::new()
        .route("/v1/tenant", post(create_tenant))
        .route("/v1/tenant/config", put(put_config).patch(patch_config))
        .route("/v1/tenant/{tenant}", get(pass_through).delete(delete_tenant))
        .route("/v1/tenant/{tenant}/config", get(get_config))
        .route("/v1/tenant/{tenant}/location_config", put(set_location))
        .route("/v1/tenant/{tenant}/secondary/download", post(download))
        .route("/v1/tenant/{tenant}/timeline", get(pass_through).post(create_timeline))
        .route("/v1/tenant/{tenant}/timeline/{timeline}", delete(delete_timeline).get(pass_through))
        .route("/v1/tenant/{tenant}/timeline/{timeline}/lsn_lease", post(on_all_shards))
        .route("/v1/tenant/{tenant}/timeline/{timeline}/archival_config", put(on_all_shards))
        .route("/v1/tenant/{tenant}/timeline/{timeline}/safekeeper_migrate", post(safekeeper_migrate))
        .route("/v1/tenant/{tenant}/{*rest}", get(pass_through))
        .route("/control/v1/tenant", get(list_tenants))
        .route("/control/v1/tenant/{tenant}", get(describe_tenant))
        .route("/control/v1/tenant/{tenant}/policy", put(tenant_policy))
        .route("/control/v1/tenant/{tenant}/migrate", put(migrate))
        .route("/control/v1/tenant/{tenant}/shard_split", put(split))
        .route("/control/v1/tenant/{tenant}/timeline/{timeline}", get(describe_timeline))
        .route("/debug/v1/tenant/{tenant}/locate", get(locate_tenant))
        .route("/debug/v1/tenant/{tenant}/timeline/{timeline}/locate", get(locate_timeline))
        .route("/debug/v1/tenant/{tenant}/timeline/{timeline}/import", post(import_timeline))
}

async fn ready(State(controller): Shared) -> Response {
    let status = if controller.is_started() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, Value::Null)
}

async fn re_attach(State(controller): Shared, Body(request): Body<ReAttachRequest>) -> Answer<Value> {
    let attached = to_the_end(async move { controller.re_attach(request).await }).await?;
    Ok(json!(attached).into())
}

async fn validate(State(controller): Shared, Body(request): Body<ValidateRequest>) -> Answer<Value> {
    Ok(json!(controller.validate(&request)).into())
}

async fn leader(State(controller): Shared) -> Answer<Value> {
    let leader = controller.db.leader().await?;
    Ok(leader
        .map_or(Value::Null, |(address, started_at)| json!({ "address": address, "started_at": started_at }))
        .into())
}

async fn list_nodes(State(controller): Shared) -> Answer<Vec<Value>> {
    Ok(controller.describe_nodes().into())
}

async fn register_node(State(controller): Shared, Body(node): Body<NodeRegister>) -> Answer<()> {
    to_the_end(async move { controller.register(node).await }).await?;
    Ok(null())
}

async fn get_node(State(controller): Shared, Path(node): Path<String>) -> Answer<Value> {
    Ok(controller.describe_node(in_path("node_id", &node)?)?.into())
}

async fn node_shards(State(controller): Shared, Path(node): Path<String>) -> Answer<Value> {
    Ok(controller.describe_node_shards(in_path("node_id", &node)?).into())
}

async fn configure_node(
    State(controller): Shared,
    Path(node): Path<String>,
    Body(config): Body<NodeConfig>,
) -> Answer<()> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.configure_node(node, config).await }).await?;
    Ok(null())
}

async fn drain(State(controller): Shared, Path(node): Path<String>) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.start_drain(node).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

async fn cancel_drain(State(controller): Shared, Path(node): Path<String>) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.cancel_background(node, NodeScheduling::Draining).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

async fn fill(State(controller): Shared, Path(node): Path<String>) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.start_fill(node).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

async fn cancel_fill(State(controller): Shared, Path(node): Path<String>) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.cancel_background(node, NodeScheduling::Filling).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

/// Whether shards without another place may be left without any.
#[derive(Debug, Deserialize)]
struct Deletion {
    #[serde(default)]
    force: bool,
}

async fn delete_node(
    State(controller): Shared,
    Path(node): Path<String>,
    Query(deletion): Query<Deletion>,
) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.start_delete(node, deletion.force).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

async fn cancel_delete(State(controller): Shared, Path(node): Path<String>) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.cancel_background(node, NodeScheduling::Deleting).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

async fn tombstones(State(controller): Shared) -> Answer<Vec<Value>> {
    let ids = controller.tombstones().await?;
    Ok(ids.into_iter().map(|id| json!({ "id": id })).collect::<Vec<_>>().into())
}

async fn remove_tombstone(State(controller): Shared, Path(node): Path<String>) -> Answer<()> {
    controller.remove_tombstone(in_path("node_id", &node)?).await?;
    Ok(null())
}

async fn import_tenant(State(controller): Shared, Path(tenant): Path<String>) -> Answer<Value> {
    let tenant = in_path("tenant_id", &tenant)?;
    Ok(to_the_end(async move { controller.import_tenant(tenant).await }).await?.into())
}

async fn import_timeline(State(controller): Shared, Body(request): Body<TimelineImport>) -> Answer<()> {
    to_the_end(async move { controller.import_timeline(request).await }).await?;
    Ok(null())
}

async fn list_safekeepers(State(controller): Shared) -> Answer<Vec<Value>> {
    Ok(controller.describe_safekeepers().into())
}

async fn get_safekeeper(State(controller): Shared, Path(id): Path<String>) -> Answer<Value> {
    Ok(controller.describe_safekeeper(in_path("id", &id)?)?.into())
}

async fn upsert_safekeeper(
    State(controller): Shared,
    Path(id): Path<String>,
    Body(record): Body<SafekeeperRecord>,
) -> Result<StatusCode, ApiError> {
    let id: NodeId = in_path("id", &id)?;
    to_the_end(async move { controller.upsert_safekeeper(id, record).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn safekeeper_policy(
    State(controller): Shared,
    Path(id): Path<String>,
    Body(request): Body<PolicyRequest>,
) -> Answer<()> {
    let id = in_path("id", &id)?;
    to_the_end(async move { controller.set_safekeeper_policy(id, request).await }).await?;
    Ok(null())
}

async fn create_tenant(State(controller): Shared, Body(request): Body<CreateTenant>) -> Result<Response, ApiError> {
    let created = to_the_end(async move { controller.create_tenant(request).await }).await?;
    Ok(answer(StatusCode::CREATED, created))
}

async fn delete_tenant(State(controller): Shared, Path(tenant): Path<String>) -> Result<Response, ApiError> {
    let tenant = in_path("tenant_id", &tenant)?;
    let status = to_the_end(async move { controller.delete_tenant(tenant).await }).await?;
    Ok(answer(status, Value::Null))
}

async fn put_config(State(controller): Shared, Body(request): Body<ConfigRequest>) -> Answer<()> {
    to_the_end(async move { controller.replace_config(request).await }).await?;
    Ok(null())
}

async fn patch_config(State(controller): Shared, Body(request): Body<ConfigRequest>) -> Answer<()> {
    to_the_end(async move { controller.patch_config(request).await }).await?;
    Ok(null())
}

async fn get_config(State(controller): Shared, Path(tenant): Path<String>) -> Answer<Value> {
    Ok(controller.tenant_config(in_path("tenant_id", &tenant)?)?.into())
}

async fn set_location(
    State(controller): Shared,
    Path(shard): Path<String>,
    Body(to): Body<TenantLocation>,
) -> Answer<Value> {
    let shard = in_path("tenant_shard_id", &shard)?;
    Ok(to_the_end(async move { controller.set_location(shard, to).await }).await?.into())
}

/// How long secondaries may take, in milliseconds.
#[derive(Debug, Deserialize)]
struct Download {
    #[serde(default)]
    wait_ms: u64,
}

async fn download(
    State(controller): Shared,
    Path(tenant): Path<String>,
    Query(download): Query<Download>,
) -> Answer<SecondaryProgress> {
    Ok(controller.download_secondaries(in_path("tenant_id", &tenant)?, download.wait_ms).await?.into())
}

async fn create_timeline(
    State(controller): Shared,
    Path(tenant): Path<String>,
    Body(request): Body<TimelineCreateRequest>,
) -> Result<Response, ApiError> {
    let tenant = in_path("tenant_id", &tenant)?;
    // The tenant stays locked until the pageserver has answered.
    let made = to_the_end(async move { controller.create_timeline(tenant, request).await }).await?;
    Ok(answer(StatusCode::CREATED, made))
}

async fn delete_timeline(
    State(controller): Shared,
    Path((tenant, timeline)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (tenant, timeline) = (in_path("tenant_id", &tenant)?, in_path("timeline_id", &timeline)?);
    let status = to_the_end(async move { controller.delete_timeline(tenant, timeline).await }).await?;
    Ok(answer(status, Value::Null))
}

async fn on_all_shards(
    State(controller): Shared,
    Path((tenant, timeline)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    Body(body): Body<Value>,
) -> Answer<()> {
    let tenant: TenantId = in_path("tenant_id", &tenant)?;
    let timeline: TimelineId = in_path("timeline_id", &timeline)?;
    let call = uri.path().rsplit('/').next().unwrap_or_default();
    let path = format!("timeline/{timeline}/{call}");
    to_the_end(async move { controller.on_all_shards(tenant, method, &path, &body).await }).await?;
    Ok(null())
}

async fn list_tenants(State(controller): Shared, Query(page): Query<TenantPage>) -> Answer<Vec<Value>> {
    Ok(controller.describe_tenants(&page).into())
}

async fn describe_tenant(State(controller): Shared, Path(tenant): Path<String>) -> Answer<Value> {
    Ok(controller.describe_tenant(in_path("tenant_id", &tenant)?)?.into())
}

async fn tenant_policy(
    State(controller): Shared,
    Path(tenant): Path<String>,
    Body(policy): Body<TenantPolicy>,
) -> Answer<()> {
    let tenant = in_path("tenant_id", &tenant)?;
    to_the_end(async move { controller.set_policy(tenant, policy).await }).await?;
    Ok(null())
}

async fn migrate(
    State(controller): Shared,
    Path(shard): Path<String>,
    Body(request): Body<MigrateRequest>,
) -> Answer<Value> {
    let shard: TenantShardId = in_path("tenant_shard_id", &shard)?;
    to_the_end(async move { controller.migrate_shard(shard, request).await }).await?;
    Ok(json!({}).into())
}

async fn split(
    State(controller): Shared,
    Path(tenant): Path<String>,
    Body(request): Body<ShardSplitRequest>,
) -> Answer<Value> {
    let tenant: TenantId = in_path("tenant_id", &tenant)?;
    Ok(to_the_end(async move { controller.split_tenant(tenant, request).await }).await?.into())
}

async fn safekeeper_migrate(
    State(controller): Shared,
    Path((tenant, timeline)): Path<(String, String)>,
    Body(request): Body<SafekeeperMigrate>,
) -> Answer<()> {
    let (tenant, timeline) = (in_path("tenant_id", &tenant)?, in_path("timeline_id", &timeline)?);
    to_the_end(async move { controller.migrate_safekeepers(tenant, timeline, request).await }).await?;
    Ok(null())
}

async fn describe_timeline(
    State(controller): Shared,
    Path((tenant, timeline)): Path<(String, String)>,
) -> Answer<Value> {
    let (tenant, timeline) = (in_path("tenant_id", &tenant)?, in_path("timeline_id", &timeline)?);
    Ok(controller.describe_timeline(tenant, timeline).await?.into())
}

async fn locate_tenant(State(controller): Shared, Path(tenant): Path<String>) -> Answer<Value> {
    Ok(controller.locate_tenant(in_path("tenant_id", &tenant)?)?.into())
}

async fn locate_timeline(State(controller): Shared, Path((tenant, timeline)): Path<(String, String)>) -> Answer<Value> {
    let (tenant, timeline) = (in_path("tenant_id", &tenant)?, in_path("timeline_id", &timeline)?);
    Ok(controller.locate_timeline(tenant, timeline).await?.into())
}

/// Everything else about a tenant is asked of the pageserver which has its first shard (or the shard that was named):
/// the same call, with the shard's id for the tenant's.
async fn pass_through(State(controller): Shared, request: Request) -> Result<Response, ApiError> {
    let uri = request.uri();
    let segment = uri.path().split('/').nth(3).unwrap_or_default();
    let asked: TenantShardId = in_path("tenant_id", segment)?;
    let (shard, node) = first_shard(&controller, asked)?;
    // A textual replacement, as in the real program: a shard's id in the path gets its suffix twice, and the pageserver
    // refuses it.
    let mut path = uri.path().replacen(&asked.tenant_id.to_string(), &shard.to_string(), 1);
    if let Some(query) = uri.query() {
        path = format!("{path}?{query}");
    }
    let reply = controller.ask_node::<()>(&node, Method::clone(request.method()), &path, None, CALL_LIMIT).await;
    let reply = reply.map_err(|error| {
        ApiError::Unavailable(format!(
            "Error sending pageserver API request to {}: receive body: {error}",
            node.title()
        ))
    })?;
    let content_type = reply.content_type.unwrap_or_else(|| "application/json".to_owned());
    Ok((reply.status, [(header::CONTENT_TYPE, content_type)], reply.body).into_response())
}

fn first_shard(controller: &Controller, asked: TenantShardId) -> Result<(TenantShardId, super::model::Node), ApiError> {
    let model = controller.model();
    let fits = |id: TenantShardId| if asked.is_unsharded() { id.is_zero() } else { id == asked };
    let shard = model.tenant(asked.tenant_id).find(|shard| fits(shard.id));
    let shard = shard.ok_or_else(|| tenant_not_found(asked.tenant_id))?;
    let node = shard.intent.attached.and_then(|node| model.nodes.get(&node));
    let node = node.ok_or_else(|| ApiError::Conflict("Cannot call timeline API on non-attached tenant".into()))?;
    Ok((shard.id, node.clone()))
}
