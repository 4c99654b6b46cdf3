//! What is there already and this controller doesn't know: a tenant in remote storage, a timeline on safekeepers.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::db::StoredTimeline;
use super::peers::CALL_LIMIT;
use super::schedule;
use super::state::Controller;
use super::tenants::{CreateTenant, tenant_not_found};
use crate::http::ApiError;
use crate::ids::{Lsn, NodeId, TenantId, TimelineId};
use crate::wire::location::ScannedTenant;

/// Body of `POST /debug/v1/tenant/:id/timeline/:id/import`.
#[derive(Debug, Deserialize)]
pub struct TimelineImport {
    tenant_id: TenantId,
    timeline_id: TimelineId,
    start_lsn: Lsn,
    sk_set: Vec<NodeId>,
    #[serde(default)]
    force_upsert: bool,
}

impl Controller {
    /// With the most shards and the highest generation that remote storage has of it. One that is known stays as it is.
    pub async fn import_tenant(self: &Arc<Self>, tenant: TenantId) -> Result<Value, ApiError> {
        let node = schedule::any_node(&self.model()).ok();
        let node = node.and_then(|id| self.node(id));
        let node = node.ok_or_else(|| ApiError::BadRequest("No available node for the import".into()))?;
        let path = format!("/v1/tenant/{tenant}/scan_remote_storage");
        let found: ScannedTenant = self
            .get_from_node(&node, &path, CALL_LIMIT)
            .await
            .map_err(|error| ApiError::Unavailable(format!("node {}: {error}", node.title())))?;
        let count = found.shards.iter().map(|shard| shard.tenant_shard_id.shard_count).max();
        let count = count.ok_or_else(|| tenant_not_found(tenant))?;
        let generation = found.shards.iter().filter_map(|shard| shard.generation).max();
        tracing::info!("tenant {tenant} is imported with {count} shards, generation {generation:?}");
        self.create_tenant(CreateTenant::imported(tenant, count, generation)).await
    }

    /// Writes down who has a timeline. What is known of it stays, unless `force_upsert` is set.
    pub async fn import_timeline(&self, request: TimelineImport) -> Result<(), ApiError> {
        self.must_exist(request.tenant_id)?;
        let _lock = self.lock_tenant(request.tenant_id).await;
        let timeline = StoredTimeline {
            tenant_id: request.tenant_id,
            timeline_id: request.timeline_id,
            start_lsn: request.start_lsn,
            generation: 1,
            sk_set: request.sk_set,
            new_sk_set: None,
        };
        self.db.add_timeline(&timeline).await?;
        if request.force_upsert {
            self.db.set_safekeepers(&timeline).await?;
        }
        Ok(())
    }
}
