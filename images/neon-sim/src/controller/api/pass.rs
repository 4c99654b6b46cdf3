//! What the controller hands on to a pageserver.

use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};

use super::super::model::Node;
use super::super::peers::CALL_LIMIT;
use super::super::state::Controller;
use super::super::tenants::tenant_not_found;
use super::Shared;
use crate::http::{ApiError, in_path};
use crate::ids::TenantShardId;

/// Everything else about a tenant is asked of the pageserver which has its first shard (or the shard that was named):
/// the same call, with the shard's id for the tenant's.
pub(super) async fn pass_through(State(controller): Shared, request: Request) -> Result<Response, ApiError> {
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

fn first_shard(controller: &Controller, asked: TenantShardId) -> Result<(TenantShardId, Node), ApiError> {
    let model = controller.model();
    let fits = |id: TenantShardId| if asked.is_unsharded() { id.is_zero() } else { id == asked };
    let shard = model.tenant(asked.tenant_id).find(|shard| fits(shard.id));
    let shard = shard.ok_or_else(|| tenant_not_found(asked.tenant_id))?;
    let node = shard.intent.attached.and_then(|node| model.nodes.get(&node));
    let node = node.ok_or_else(|| ApiError::Conflict("Cannot call timeline API on non-attached tenant".into()))?;
    Ok((shard.id, node.clone()))
}
