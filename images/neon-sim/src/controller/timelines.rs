//! Timelines: made on the pageservers of all shards, then on safekeepers; deleted in the other order.

use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::model::{Node, Shard};
use super::state::Controller;
use super::tenants::tenant_not_found;
use crate::client::CallError;
use crate::http::ApiError;
use crate::ids::{TenantId, TenantShardId, TimelineId};
use crate::wire::timeline::{TimelineCreateRequest, TimelineCreateRequestMode, TimelineInfo};

/// A pageserver waits itself for an LSN of the future, up to 5 minutes.
const CREATE_LIMIT: Duration = Duration::from_secs(310);
const DELETE_LIMIT: Duration = Duration::from_secs(10);
/// How long a client waits for a deletion before it is asked to repeat it.
const DELETE_WAIT: Duration = Duration::from_secs(25);

/// A shard and the pageserver it is attached to.
type Attached = (TenantShardId, Node);

impl Controller {
    pub async fn create_timeline(
        self: &Arc<Self>,
        tenant: TenantId,
        request: TimelineCreateRequest,
    ) -> Result<Value, ApiError> {
        if matches!(request.mode, TimelineCreateRequestMode::ImportPgdata { .. }) {
            return Err(ApiError::not_simulated("import_pgdata"));
        }
        let _lock = self.share_tenant(tenant).await;
        let shards = self.attached_shards(tenant)?;
        let Some(((first, node), others)) = shards.split_first() else { return Err(no_tenant()) };
        let first = self.create_on(*first, node, &request).await?;
        let info: TimelineInfo = serde_json::from_value(first.clone()).map_err(|error| {
            ApiError::Internal(format!("can't read the timeline from node {}: {error}", node.title()))
        })?;
        let request = for_other_shards(request, &info);
        for (shard, node) in others {
            self.create_on(*shard, node, &request).await?;
        }
        let safekeepers = match self.options.timelines_onto_safekeepers {
            true => json!(self.create_on_safekeepers(tenant, &info).await?),
            false => Value::Null,
        };
        let mut answer: Map<String, Value> = serde_json::from_value(first).unwrap_or_default();
        answer.insert("safekeepers".to_owned(), safekeepers);
        Ok(Value::Object(answer))
    }

    /// The shards of a tenant in their order, with their nodes. 503 while one of them has none.
    fn attached_shards(&self, tenant: TenantId) -> Result<Vec<Attached>, ApiError> {
        let model = self.model();
        let attached = |shard: &Shard| {
            let node = shard.intent.attached.and_then(|node| model.nodes.get(&node).cloned());
            let node = node.ok_or_else(|| ApiError::Unavailable("Tenant shard not attached yet".into()))?;
            // An attach that has not happened yet: the generation comes with it.
            if shard.generation.is_none() {
                return Err(ApiError::Unavailable("Tenant shard not attached yet".into()));
            }
            Ok((shard.id, node))
        };
        let shards = model.tenant(tenant).map(attached).collect::<Result<Vec<_>, _>>()?;
        if shards.is_empty() { Err(no_tenant()) } else { Ok(shards) }
    }

    async fn create_on(
        &self,
        shard: TenantShardId,
        node: &Node,
        request: &TimelineCreateRequest,
    ) -> Result<Value, ApiError> {
        let path = format!("/v1/tenant/{shard}/timeline");
        let reply = self.ask_node(node, Method::POST, &path, Some(request), CREATE_LIMIT).await;
        reply.and_then(|reply| reply.json()).map_err(|error| hand_on(node, &error))
    }

    /// Children first, the first shard last. A pageserver says 202 while it works and 404 when it is done.
    pub async fn delete_timeline(
        self: &Arc<Self>,
        tenant: TenantId,
        timeline: TimelineId,
    ) -> Result<StatusCode, ApiError> {
        let _lock = self.share_tenant(tenant).await;
        let shards = self.attached_shards(tenant)?;
        // Safekeepers lose the timeline even if pageservers refuse: so does the real program.
        let on_safekeepers = self.delete_from_safekeepers_of(tenant, timeline);
        let (on_pageservers, on_safekeepers) =
            tokio::join!(self.delete_from_pageservers(&shards, timeline), on_safekeepers);
        let status = on_pageservers?;
        on_safekeepers?;
        Ok(status)
    }

    async fn delete_from_pageservers(&self, shards: &[Attached], timeline: TimelineId) -> Result<StatusCode, ApiError> {
        let Some((first, others)) = shards.split_first() else { return Err(no_tenant()) };
        let deadline = Instant::now() + DELETE_WAIT;
        while Instant::now() < deadline {
            let mut gone = true;
            for shard in others {
                gone &= self.delete_on(shard, timeline).await?;
            }
            if !gone {
                sleep(Duration::from_secs(1)).await;
                continue;
            }
            if self.delete_on(first, timeline).await? {
                return Ok(StatusCode::OK);
            }
            // The real program waits for 5 s here.
            sleep(Duration::from_secs(1)).await;
        }
        Err(ApiError::Conflict(format!("timeline {timeline} is still being deleted")))
    }

    /// Whether it is gone.
    async fn delete_on(&self, (shard, node): &Attached, timeline: TimelineId) -> Result<bool, ApiError> {
        let path = format!("/v1/tenant/{shard}/timeline/{timeline}");
        let why = |why: String| {
            let node = node.title();
            ApiError::Internal(format!(
                "Error deleting timeline {timeline} on {shard} on node {node}: pageserver API: {why}"
            ))
        };
        let reply = self.ask_node::<()>(node, Method::DELETE, &path, None, DELETE_LIMIT).await;
        let reply = reply.map_err(|error| why(error.to_string()))?;
        match reply.status {
            StatusCode::NOT_FOUND => Ok(true),
            StatusCode::ACCEPTED | StatusCode::OK => Ok(false),
            _ => Err(why(reply.message())),
        }
    }

    /// `GET /control/v1/tenant/:id/timeline/:id`: the timeline as all shards see it.
    pub async fn describe_timeline(&self, tenant: TenantId, timeline: TimelineId) -> Result<Value, ApiError> {
        let shards = self.attached_shards(tenant).map_err(|error| match error {
            ApiError::NotFound(_) => tenant_not_found(tenant),
            other => other,
        })?;
        let mut infos: Vec<TimelineInfo> = Vec::new();
        for (shard, node) in &shards {
            let path = format!("/v1/tenant/{shard}/timeline/{timeline}?include-image-consistent-lsn=true");
            let info = self.get_from_node(node, &path, DELETE_LIMIT).await;
            infos.push(info.map_err(|error| hand_on_as_is(node, &error))?);
        }
        let consistent = infos.iter().map(|info| info.image_consistent_lsn).min().flatten();
        Ok(json!({ "shards": infos, "image_consistent_lsn": consistent }))
    }

    /// A change of a timeline that all shards have to know, such as its archival; the same body for each.
    pub async fn on_all_shards(
        &self,
        tenant: TenantId,
        method: Method,
        rest: &str,
        body: &Value,
    ) -> Result<(), ApiError> {
        let _lock = self.share_tenant(tenant).await;
        for (shard, node) in self.attached_shards(tenant)? {
            let path = format!("/v1/tenant/{shard}/{rest}");
            let reply = self.ask_node(&node, method.clone(), &path, Some(body), DELETE_LIMIT).await;
            reply.and_then(|reply| reply.ok().map(drop)).map_err(|error| hand_on_as_is(&node, &error))?;
        }
        Ok(())
    }
}

fn no_tenant() -> ApiError {
    ApiError::NotFound("Tenant not found".into())
}

/// All shards start from the first one's initdb, or branch where the first one did.
fn for_other_shards(mut request: TimelineCreateRequest, info: &TimelineInfo) -> TimelineCreateRequest {
    match &mut request.mode {
        TimelineCreateRequestMode::Branch { ancestor_start_lsn, .. } => *ancestor_start_lsn = info.ancestor_lsn,
        TimelineCreateRequestMode::ImportPgdata { .. } => {}
        TimelineCreateRequestMode::Bootstrap { existing_initdb_timeline_id, .. } => {
            *existing_initdb_timeline_id = Some(request.new_timeline_id);
        }
    }
    request
}

/// What a client is told when a pageserver says no to a creation: its answer, wrapped in a 409.
fn hand_on(node: &Node, error: &CallError) -> ApiError {
    let title = node.title();
    match error.status() {
        None => ApiError::Unavailable(format!("{title} error receiving error body: {error}")),
        Some(StatusCode::NOT_FOUND) => ApiError::NotFound(error.to_string()),
        Some(StatusCode::SERVICE_UNAVAILABLE) => ApiError::Unavailable(format!("{title}: {error}")),
        Some(status) => ApiError::Conflict(format!("{title} {status}: {status} {error}")),
    }
}

/// The same for other calls.
fn hand_on_as_is(node: &Node, error: &CallError) -> ApiError {
    match error.status() {
        None => ApiError::Unavailable(format!("Error sending pageserver API request to {}: {error}", node.title())),
        Some(status) => ApiError::Plain(status, error.to_string()),
    }
}
