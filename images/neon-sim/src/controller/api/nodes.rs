//! What is asked about pageservers and safekeepers, by themselves and by others. None of it waits for the startup
//! reconcile.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::imports::TimelineImport;
use super::super::model::{NodeScheduling, SafekeeperRecord};
use super::super::nodes::NodeConfig;
use super::super::safekeepers::PolicyRequest;
use super::Shared;
use crate::http::{Answer, ApiError, Body, Query, answer, in_path, null, to_the_end};
use crate::ids::NodeId;
use crate::wire::upcall::{NodeRegister, ReAttachRequest, ValidateRequest};

pub(super) async fn re_attach(State(controller): Shared, Body(request): Body<ReAttachRequest>) -> Answer<Value> {
    let attached = to_the_end(async move { controller.re_attach(request).await }).await?;
    Ok(json!(attached).into())
}

pub(super) async fn validate(State(controller): Shared, Body(request): Body<ValidateRequest>) -> Answer<Value> {
    Ok(json!(controller.validate(&request)).into())
}

pub(super) async fn leader(State(controller): Shared) -> Answer<Value> {
    let leader = controller.db.leader().await?;
    Ok(leader
        .map_or(Value::Null, |(address, started_at)| json!({ "address": address, "started_at": started_at }))
        .into())
}

pub(super) async fn list_nodes(State(controller): Shared) -> Answer<Vec<Value>> {
    Ok(controller.describe_nodes().into())
}

pub(super) async fn register_node(State(controller): Shared, Body(node): Body<NodeRegister>) -> Answer<()> {
    to_the_end(async move { controller.register(node).await }).await?;
    Ok(null())
}

pub(super) async fn get_node(State(controller): Shared, Path(node): Path<String>) -> Answer<Value> {
    Ok(controller.describe_node(in_path("node_id", &node)?)?.into())
}

pub(super) async fn node_shards(State(controller): Shared, Path(node): Path<String>) -> Answer<Value> {
    Ok(controller.describe_node_shards(in_path("node_id", &node)?).into())
}

pub(super) async fn configure_node(
    State(controller): Shared,
    Path(node): Path<String>,
    Body(config): Body<NodeConfig>,
) -> Answer<()> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.configure_node(node, config).await }).await?;
    Ok(null())
}

pub(super) async fn drain(State(controller): Shared, Path(node): Path<String>) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.start_drain(node).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

pub(super) async fn cancel_drain(State(controller): Shared, Path(node): Path<String>) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.cancel_background(node, NodeScheduling::Draining).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

pub(super) async fn fill(State(controller): Shared, Path(node): Path<String>) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.start_fill(node).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

pub(super) async fn cancel_fill(State(controller): Shared, Path(node): Path<String>) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.cancel_background(node, NodeScheduling::Filling).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

/// Whether shards without another place may be left without any.
#[derive(Debug, Deserialize)]
pub(super) struct Deletion {
    #[serde(default)]
    force: bool,
}

pub(super) async fn delete_node(
    State(controller): Shared,
    Path(node): Path<String>,
    Query(deletion): Query<Deletion>,
) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.start_delete(node, deletion.force).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

pub(super) async fn cancel_delete(State(controller): Shared, Path(node): Path<String>) -> Result<Response, ApiError> {
    let node = in_path("node_id", &node)?;
    to_the_end(async move { controller.cancel_background(node, NodeScheduling::Deleting).await }).await?;
    Ok(answer(StatusCode::ACCEPTED, Value::Null))
}

pub(super) async fn tombstones(State(controller): Shared) -> Answer<Vec<Value>> {
    let ids = controller.tombstones().await?;
    Ok(ids.into_iter().map(|id| json!({ "id": id })).collect::<Vec<_>>().into())
}

pub(super) async fn remove_tombstone(State(controller): Shared, Path(node): Path<String>) -> Answer<()> {
    controller.remove_tombstone(in_path("node_id", &node)?).await?;
    Ok(null())
}

pub(super) async fn import_tenant(State(controller): Shared, Path(tenant): Path<String>) -> Answer<Value> {
    let tenant = in_path("tenant_id", &tenant)?;
    Ok(to_the_end(async move { controller.import_tenant(tenant).await }).await?.into())
}

pub(super) async fn import_timeline(State(controller): Shared, Body(request): Body<TimelineImport>) -> Answer<()> {
    to_the_end(async move { controller.import_timeline(request).await }).await?;
    Ok(null())
}

pub(super) async fn list_safekeepers(State(controller): Shared) -> Answer<Vec<Value>> {
    Ok(controller.describe_safekeepers().into())
}

pub(super) async fn get_safekeeper(State(controller): Shared, Path(id): Path<String>) -> Answer<Value> {
    Ok(controller.describe_safekeeper(in_path("id", &id)?)?.into())
}

pub(super) async fn upsert_safekeeper(
    State(controller): Shared,
    Path(id): Path<String>,
    Body(record): Body<SafekeeperRecord>,
) -> Result<StatusCode, ApiError> {
    let id: NodeId = in_path("id", &id)?;
    to_the_end(async move { controller.upsert_safekeeper(id, record).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn safekeeper_policy(
    State(controller): Shared,
    Path(id): Path<String>,
    Body(request): Body<PolicyRequest>,
) -> Answer<()> {
    let id = in_path("id", &id)?;
    to_the_end(async move { controller.set_safekeeper_policy(id, request).await }).await?;
    Ok(null())
}
