//! Shard splits: the pageserver makes children of a shard, the database takes them for their parent, computes are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::model::{Node, Shard, TenantConfig};
use super::state::Controller;
use super::tenants::tenant_not_found;
use crate::http::ApiError;
use crate::ids::{TenantId, TenantShardId};
use crate::wire::location::{LocationConfig, LocationMode};
use crate::wire::timeline::{ShardSplitAnswer, ShardSplitRequest};

const CALL_LIMIT: Duration = Duration::from_secs(30);

impl Controller {
    /// Asked for what there is already, it answers what there is.
    pub async fn split_tenant(
        self: &Arc<Self>,
        tenant: TenantId,
        request: ShardSplitRequest,
    ) -> Result<Value, ApiError> {
        let _lock = self.lock_tenant(tenant).await;
        let parents: Vec<Shard> = self.model().tenant(tenant).cloned().collect();
        let first = parents.first().ok_or_else(|| tenant_not_found(tenant))?;
        let (count, wanted) = (first.id.shard_count, request.new_shard_count);
        if count == wanted {
            return Ok(json!({ "new_shards": parents.iter().map(|shard| shard.id).collect::<Vec<_>>() }));
        }
        if wanted < count {
            let why = format!("Requested count {wanted} but already have shards at count {count}");
            return Err(ApiError::BadRequest(why));
        }
        if count > 1 && request.new_stripe_size.is_some_and(|size| size != first.stripe_size) {
            return Err(ApiError::BadRequest("Attempted to change stripe size of a sharded tenant".into()));
        }
        let places = parents.iter().map(|shard| self.place_of(shard)).collect::<Result<Vec<_>, _>>()?;
        self.mark_splitting(tenant, true);
        let split = self.split_all(&parents, &places, &request).await;
        self.mark_splitting(tenant, false);
        let children = split?;
        for (parent, node) in parents.iter().zip(&places) {
            self.remove_parent(parent.id, node).await;
        }
        self.reconcile_all(children.iter().copied()).await;
        Ok(json!({ "new_shards": children }))
    }

    fn place_of(&self, shard: &Shard) -> Result<Node, ApiError> {
        let node = shard.intent.attached.and_then(|node| self.node(node));
        node.ok_or_else(|| ApiError::BadRequest("Cannot split a tenant that is not attached".into()))
    }

    /// Meanwhile nobody else changes its locations.
    fn mark_splitting(&self, tenant: TenantId, splitting: bool) {
        for shard in self.model().tenant_mut(tenant) {
            shard.splitting = splitting;
        }
    }

    /// All or nothing, as far as the database goes.
    async fn split_all(
        &self,
        parents: &[Shard],
        places: &[Node],
        request: &ShardSplitRequest,
    ) -> Result<Vec<TenantShardId>, ApiError> {
        let mut children = Vec::new();
        for (parent, node) in parents.iter().zip(places) {
            let path = format!("/v1/tenant/{}/shard_split", parent.id);
            let reply = self.ask_node(node, Method::PUT, &path, Some(request), CALL_LIMIT).await;
            let answer: ShardSplitAnswer = reply.and_then(|reply| reply.json()).map_err(|error| {
                ApiError::Internal(format!("split of {} on node {}: {error}", parent.id, node.title()))
            })?;
            children.extend(answer.new_shards.into_iter().map(|id| child_of(parent, id, request.new_stripe_size)));
        }
        let gone: Vec<_> = parents.iter().map(|parent| parent.id).collect();
        self.db.replace_shards(&gone, &children).await?;
        let ids = children.iter().map(|child| child.id).collect();
        let mut model = self.model();
        for parent in gone {
            model.shards.remove(&parent);
        }
        model.shards.extend(children.into_iter().map(|child| (child.id, child)));
        Ok(ids)
    }

    /// The pageserver keeps the parent until it is told; stripe size 0, as recorded.
    async fn remove_parent(&self, parent: TenantShardId, node: &Node) {
        let wanted = LocationConfig {
            mode: LocationMode::Detached,
            generation: None,
            secondary_conf: None,
            shard_number: parent.shard_number,
            shard_count: parent.shard_count,
            shard_stripe_size: 0,
            tenant_conf: TenantConfig::new(),
        };
        let path = format!("/v1/tenant/{parent}/location_config");
        let reply = self.ask_node(node, Method::PUT, &path, Some(&wanted), CALL_LIMIT).await;
        if let Err(error) = reply.and_then(|reply| reply.ok().map(drop)) {
            tracing::warn!("parent {parent} on node {}: {error}", node.title());
        }
    }
}

/// Where its parent is, with its parent's generation, and attached there already.
fn child_of(parent: &Shard, id: TenantShardId, stripe_size: Option<u32>) -> Shard {
    let stripe_size = stripe_size.unwrap_or(parent.stripe_size);
    let mut child = Shard::new(id, stripe_size, parent.policy, parent.config.clone());
    child.generation = parent.generation;
    child.scheduling = parent.scheduling;
    child.preferred_az.clone_from(&parent.preferred_az);
    child.intent = parent.intent.clone();
    let seen = child.location(LocationMode::AttachedSingle);
    child.observed = child.intent.attached.map_or_else(BTreeMap::new, |node| BTreeMap::from([(node, Some(seen))]));
    child
}
