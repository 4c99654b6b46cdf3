//! What is asked about tenants and their timelines.

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::moves::MigrateRequest;
use super::super::safekeeper_moves::SafekeeperMigrate;
use super::super::tenant_config::ConfigRequest;
use super::super::tenants::{CreateTenant, TenantLocation, TenantPage, TenantPolicy};
use super::Shared;
use crate::http::{Answer, ApiError, Body, Query, answer, in_path, null, to_the_end};
use crate::ids::{TenantId, TenantShardId, TimelineId};
use crate::wire::timeline::{SecondaryProgress, ShardSplitRequest, TimelineCreateRequest};

pub(super) async fn create_tenant(
    State(controller): Shared,
    Body(request): Body<CreateTenant>,
) -> Result<Response, ApiError> {
    let created = to_the_end(async move { controller.create_tenant(request).await }).await?;
    Ok(answer(StatusCode::CREATED, created))
}

pub(super) async fn delete_tenant(State(controller): Shared, Path(tenant): Path<String>) -> Result<Response, ApiError> {
    let tenant = in_path("tenant_id", &tenant)?;
    let status = to_the_end(async move { controller.delete_tenant(tenant).await }).await?;
    Ok(answer(status, Value::Null))
}

pub(super) async fn put_config(State(controller): Shared, Body(request): Body<ConfigRequest>) -> Answer<()> {
    to_the_end(async move { controller.replace_config(request).await }).await?;
    Ok(null())
}

pub(super) async fn patch_config(State(controller): Shared, Body(request): Body<ConfigRequest>) -> Answer<()> {
    to_the_end(async move { controller.patch_config(request).await }).await?;
    Ok(null())
}

pub(super) async fn get_config(State(controller): Shared, Path(tenant): Path<String>) -> Answer<Value> {
    Ok(controller.tenant_config(in_path("tenant_id", &tenant)?)?.into())
}

pub(super) async fn set_location(
    State(controller): Shared,
    Path(shard): Path<String>,
    Body(to): Body<TenantLocation>,
) -> Answer<Value> {
    let shard = in_path("tenant_shard_id", &shard)?;
    Ok(to_the_end(async move { controller.set_location(shard, to).await }).await?.into())
}

/// How long secondaries may take, in milliseconds.
#[derive(Debug, Deserialize)]
pub(super) struct Download {
    #[serde(default)]
    wait_ms: u64,
}

pub(super) async fn download(
    State(controller): Shared,
    Path(tenant): Path<String>,
    Query(download): Query<Download>,
) -> Answer<SecondaryProgress> {
    Ok(controller.download_secondaries(in_path("tenant_id", &tenant)?, download.wait_ms).await?.into())
}

pub(super) async fn create_timeline(
    State(controller): Shared,
    Path(tenant): Path<String>,
    Body(request): Body<TimelineCreateRequest>,
) -> Result<Response, ApiError> {
    let tenant = in_path("tenant_id", &tenant)?;
    // The tenant stays locked until the pageserver has answered.
    let made = to_the_end(async move { controller.create_timeline(tenant, request).await }).await?;
    Ok(answer(StatusCode::CREATED, made))
}

pub(super) async fn delete_timeline(
    State(controller): Shared,
    Path((tenant, timeline)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (tenant, timeline) = (in_path("tenant_id", &tenant)?, in_path("timeline_id", &timeline)?);
    let status = to_the_end(async move { controller.delete_timeline(tenant, timeline).await }).await?;
    Ok(answer(status, Value::Null))
}

pub(super) async fn on_all_shards(
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

pub(super) async fn list_tenants(State(controller): Shared, Query(page): Query<TenantPage>) -> Answer<Vec<Value>> {
    Ok(controller.describe_tenants(&page).into())
}

pub(super) async fn describe_tenant(State(controller): Shared, Path(tenant): Path<String>) -> Answer<Value> {
    Ok(controller.describe_tenant(in_path("tenant_id", &tenant)?)?.into())
}

pub(super) async fn tenant_policy(
    State(controller): Shared,
    Path(tenant): Path<String>,
    Body(policy): Body<TenantPolicy>,
) -> Answer<()> {
    let tenant = in_path("tenant_id", &tenant)?;
    to_the_end(async move { controller.set_policy(tenant, policy).await }).await?;
    Ok(null())
}

pub(super) async fn migrate(
    State(controller): Shared,
    Path(shard): Path<String>,
    Body(request): Body<MigrateRequest>,
) -> Answer<Value> {
    let shard: TenantShardId = in_path("tenant_shard_id", &shard)?;
    to_the_end(async move { controller.migrate_shard(shard, request).await }).await?;
    Ok(json!({}).into())
}

pub(super) async fn split(
    State(controller): Shared,
    Path(tenant): Path<String>,
    Body(request): Body<ShardSplitRequest>,
) -> Answer<Value> {
    let tenant: TenantId = in_path("tenant_id", &tenant)?;
    Ok(to_the_end(async move { controller.split_tenant(tenant, request).await }).await?.into())
}

pub(super) async fn safekeeper_migrate(
    State(controller): Shared,
    Path((tenant, timeline)): Path<(String, String)>,
    Body(request): Body<SafekeeperMigrate>,
) -> Answer<()> {
    let (tenant, timeline) = (in_path("tenant_id", &tenant)?, in_path("timeline_id", &timeline)?);
    to_the_end(async move { controller.migrate_safekeepers(tenant, timeline, request).await }).await?;
    Ok(null())
}

pub(super) async fn describe_timeline(
    State(controller): Shared,
    Path((tenant, timeline)): Path<(String, String)>,
) -> Answer<Value> {
    let (tenant, timeline) = (in_path("tenant_id", &tenant)?, in_path("timeline_id", &timeline)?);
    Ok(controller.describe_timeline(tenant, timeline).await?.into())
}

/// What would come by itself within 20 s.
pub(super) async fn reconcile_all(State(controller): Shared) -> Answer<usize> {
    Ok(controller.reconcile_behind().into())
}

pub(super) async fn locate_tenant(State(controller): Shared, Path(tenant): Path<String>) -> Answer<Value> {
    Ok(controller.locate_tenant(in_path("tenant_id", &tenant)?)?.into())
}

pub(super) async fn locate_timeline(
    State(controller): Shared,
    Path((tenant, timeline)): Path<(String, String)>,
) -> Answer<Value> {
    let (tenant, timeline) = (in_path("tenant_id", &tenant)?, in_path("timeline_id", &timeline)?);
    Ok(controller.locate_timeline(tenant, timeline).await?.into())
}
