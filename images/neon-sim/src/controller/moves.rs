//! Migrations that an operator asks for.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::model::{Availability, Model, Node, Shard};
use super::state::Controller;
use super::tenants::tenant_not_found;
use crate::client::CallError;
use crate::http::ApiError;
use crate::ids::{NodeId, TenantId, TenantShardId};
use crate::wire::timeline::SecondaryProgress;

/// How often a destination is asked whether it has downloaded enough.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long that may take before the migration is given up.
const WARM_UP_LIMIT: Duration = Duration::from_secs(300);
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Body of `PUT /control/v1/tenant/:shard/migrate`.
#[derive(Debug, Deserialize)]
pub struct MigrateRequest {
    node_id: NodeId,
    #[serde(default)]
    origin_node_id: Option<NodeId>,
    #[serde(default)]
    migration_config: MigrationConfig,
}

/// How to migrate; other keys of the real program are taken and have no effect.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct MigrationConfig {
    override_scheduler: bool,
    prewarm: bool,
}

impl Default for MigrationConfig {
    fn default() -> Self {
        Self { override_scheduler: false, prewarm: true }
    }
}

impl Controller {
    /// With prewarm this returns at once, and the shard moves when the destination has its data; without, it moves now.
    pub async fn migrate_shard(self: &Arc<Self>, id: TenantShardId, request: MigrateRequest) -> Result<(), ApiError> {
        let _lock = self.lock_tenant(id.tenant_id).await;
        let destination = request.node_id;
        check(&self.model(), id, &request)?;
        if self.shard(id).is_some_and(|shard| shard.intent.attached == Some(destination)) {
            return Ok(());
        }
        if !request.migration_config.prewarm {
            self.with_shard(id, |shard| shard.intent.move_to(destination));
            self.reconcile_all([id]).await;
            return Ok(());
        }
        let added = self.with_shard(id, |shard| {
            let new = !shard.intent.secondary.contains(&destination);
            if new {
                shard.intent.secondary.push(destination);
            }
            new
        });
        if added == Some(true) {
            self.reconcile_all([id]).await;
        }
        let controller = Arc::clone(self);
        tokio::spawn(async move { controller.migrate_when_warm(id, destination).await });
        Ok(())
    }

    async fn migrate_when_warm(self: &Arc<Self>, id: TenantShardId, destination: NodeId) {
        let deadline = Instant::now() + WARM_UP_LIMIT;
        while Instant::now() < deadline {
            let still_wanted = self.shard(id).is_some_and(|shard| shard.intent.secondary.contains(&destination));
            if !still_wanted {
                return;
            }
            match self.is_warm(id, destination).await {
                Ok(true) => {
                    self.with_shard(id, |shard| shard.intent.move_to(destination));
                    self.reconcile(id);
                    return;
                }
                Ok(false) => (),
                Err(error) => tracing::warn!("{id} on node {destination}: {error}"),
            }
            sleep(ASK_EVERY).await;
        }
        tracing::warn!("{id} stays: node {destination} hasn't its data after {WARM_UP_LIMIT:?}");
    }

    /// Has all secondaries of a tenant download what there is; answers the sum of what they have.
    pub async fn download_secondaries(&self, tenant: TenantId, wait_ms: u64) -> Result<SecondaryProgress, ApiError> {
        self.must_exist(tenant)?;
        let places: Vec<(TenantShardId, Node)> = {
            let model = self.model();
            let secondaries =
                model.tenant(tenant).flat_map(|shard| shard.intent.secondary.iter().map(|node| (shard.id, *node)));
            secondaries.filter_map(|(shard, node)| Some((shard, model.nodes.get(&node)?.clone()))).collect()
        };
        let mut sum = SecondaryProgress::default();
        for (shard, node) in places {
            let path = format!("/v1/tenant/{shard}/secondary/download?wait_ms={wait_ms}");
            let limit = CALL_LIMIT + Duration::from_millis(wait_ms);
            let reply = self.ask_node::<()>(&node, Method::POST, &path, None, limit).await;
            let progress: SecondaryProgress = reply
                .and_then(|reply| reply.json())
                .map_err(|error| ApiError::Unavailable(format!("node {}: {error}", node.title())))?;
            sum.heatmap_mtime = sum.heatmap_mtime.max(progress.heatmap_mtime);
            sum.layers_downloaded += progress.layers_downloaded;
            sum.layers_total += progress.layers_total;
            sum.bytes_downloaded += progress.bytes_downloaded;
            sum.bytes_total += progress.bytes_total;
        }
        Ok(sum)
    }

    /// Whether a secondary has all that the attached one has written down; nothing is written down in the first minute.
    pub async fn is_warm(&self, id: TenantShardId, node: NodeId) -> Result<bool, CallError> {
        let Some(node) = self.node(node) else { return Ok(false) };
        let path = format!("/v1/tenant/{id}/secondary/status");
        let progress: SecondaryProgress = self.get_from_node(&node, &path, CALL_LIMIT).await?;
        Ok(progress.heatmap_mtime.is_some() && progress.layers_downloaded >= progress.layers_total)
    }
}

fn check(model: &Model, id: TenantShardId, request: &MigrateRequest) -> Result<(), ApiError> {
    let node = request.node_id;
    let destination = model.nodes.get(&node).ok_or_else(|| ApiError::BadRequest(format!("Node {node} not found")))?;
    let shard = model.shards.get(&id).ok_or_else(|| tenant_not_found(id.tenant_id))?;
    if destination.availability != Availability::Active {
        return Err(ApiError::Precondition(format!("Node {node} is not available")));
    }
    if let Some(origin) = request.origin_node_id.filter(|origin| shard.intent.attached != Some(*origin)) {
        let at = shard.intent.attached.map_or_else(|| "None".to_owned(), |node| format!("Some(NodeId({node}))"));
        return Err(ApiError::Precondition(format!(
            "Migration expected to originate from {origin} but shard is on {at}"
        )));
    }
    if is_worse(model, shard, &destination.announced.availability_zone_id)
        && !request.migration_config.override_scheduler
    {
        return Err(ApiError::Precondition("Migration to a worse-scoring node".into()));
    }
    Ok(())
}

/// Out of the zone that the shard prefers, and is in.
fn is_worse(model: &Model, shard: &Shard, zone: &str) -> bool {
    let now = shard.intent.attached.and_then(|node| model.nodes.get(&node));
    let at_home = |zone: &str| shard.preferred_az.as_deref() == Some(zone);
    now.is_some_and(|node| at_home(&node.announced.availability_zone_id)) && !at_home(zone)
}
