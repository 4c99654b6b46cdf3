//! Tenants: created, described, located, configured, detached, deleted.

use std::sync::Arc;

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::db::PendingOp;
use super::model::{DEFAULT_STRIPE_SIZE, Intent, Model, PlacementPolicy, Shard, ShardScheduling, TenantConfig};
use super::peers::CALL_LIMIT;
use super::schedule::{self, ScheduleError};
use super::state::Controller;
use super::tenant_config::check_keys;
use crate::http::ApiError;
use crate::ids::{Generation, TenantId, TenantShardId};
use crate::wire::location::{LocationConfigAnswer, LocationMode, ShardLocation};

/// Body of `POST /v1/tenant`; settings are keys beside the others.
#[derive(Debug, Deserialize)]
pub struct CreateTenant {
    new_tenant_id: TenantShardId,
    #[serde(default)]
    generation: Option<Generation>,
    #[serde(default)]
    shard_parameters: Option<ShardParameters>,
    #[serde(default)]
    placement_policy: Option<PlacementPolicy>,
    #[serde(flatten)]
    config: TenantConfig,
}

impl CreateTenant {
    /// One that is in remote storage, up to this generation: the next attach counts on from it.
    pub fn imported(tenant: TenantId, count: u8, generation: Option<Generation>) -> Self {
        Self {
            new_tenant_id: TenantShardId::unsharded(tenant),
            generation,
            shard_parameters: Some(ShardParameters { count, stripe_size: DEFAULT_STRIPE_SIZE }),
            placement_policy: Some(PlacementPolicy::Attached(0)),
            config: TenantConfig::new(),
        }
    }
}

/// Both keys are needed; count 0 is a tenant without shards.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShardParameters {
    count: u8,
    stripe_size: u32,
}

/// Body of `PUT /control/v1/tenant/:id/policy`.
#[derive(Debug, Deserialize)]
pub struct TenantPolicy {
    #[serde(default)]
    placement: Option<PlacementPolicy>,
    #[serde(default)]
    scheduling: Option<ShardScheduling>,
}

/// Body of `PUT /v1/tenant/:id/location_config`.
#[derive(Debug, Deserialize)]
pub struct TenantLocation {
    mode: LocationMode,
    #[serde(default)]
    generation: Option<Generation>,
    tenant_conf: TenantConfig,
}

/// Which tenants `GET /control/v1/tenant` lists.
#[derive(Debug, Default, Deserialize)]
pub struct TenantPage {
    limit: Option<usize>,
    start_after: Option<TenantId>,
}

impl Controller {
    /// Creates a tenant, or finds a place for one that has none yet. The generations in the answer are those from
    /// before the attach: 0 the first time.
    pub async fn create_tenant(self: &Arc<Self>, request: CreateTenant) -> Result<Value, ApiError> {
        check_keys(&request.config)?;
        let tenant = request.new_tenant_id.tenant_id;
        let _lock = self.lock_tenant(tenant).await;
        if self.model().tenant(tenant).next().is_none() {
            self.add_tenant(request).await?;
        }
        let shards = self
            .place_tenant(tenant)
            .map_err(|error| ApiError::Conflict(format!("Failed to schedule shard(s): {error}")))?;
        let answer: Vec<_> = shards
            .iter()
            .filter_map(|shard| {
                let generation = shard.generation.unwrap_or(Generation(0));
                Some(json!({ "shard_id": shard.id, "node_id": shard.intent.attached?, "generation": generation }))
            })
            .collect();
        self.reconcile_all(shards.iter().map(|shard| shard.id)).await;
        Ok(json!({ "shards": answer }))
    }

    /// The rows stay even if there is no place for the shards yet.
    async fn add_tenant(&self, request: CreateTenant) -> Result<(), ApiError> {
        let parameters =
            request.shard_parameters.unwrap_or(ShardParameters { count: 0, stripe_size: DEFAULT_STRIPE_SIZE });
        let tenant_id = request.new_tenant_id.tenant_id;
        let policy = request.placement_policy.unwrap_or(PlacementPolicy::Attached(0));
        let zone = schedule::zone_for_new_tenant(&self.model());
        let shards: Vec<_> = (0..parameters.count.max(1))
            .map(|shard_number| {
                let id = TenantShardId { tenant_id, shard_number, shard_count: parameters.count };
                let mut shard = Shard::new(id, parameters.stripe_size, policy, request.config.clone());
                shard.preferred_az.clone_from(&zone);
                shard.generation = request.generation;
                shard
            })
            .collect();
        self.db.add_shards(&shards).await?;
        self.model().shards.extend(shards.into_iter().map(|shard| (shard.id, shard)));
        Ok(())
    }

    /// Completes the intents of a tenant's shards.
    pub fn place_tenant(&self, tenant: TenantId) -> Result<Vec<Shard>, ScheduleError> {
        let mut model = self.model();
        for id in model.shard_ids(tenant) {
            schedule::schedule(&mut model, id)?;
        }
        Ok(model.tenant(tenant).cloned().collect())
    }

    pub fn describe_tenant(&self, tenant: TenantId) -> Result<Value, ApiError> {
        describe(&self.model(), tenant).ok_or_else(|| tenant_not_found(tenant))
    }

    pub fn describe_tenants(&self, page: &TenantPage) -> Vec<Value> {
        let model = self.model();
        let mut ids: Vec<_> = model.shards.keys().map(|shard| shard.tenant_id).collect();
        ids.dedup();
        ids.into_iter()
            .filter(|id| page.start_after.is_none_or(|after| *id > after))
            .take(page.limit.unwrap_or(usize::MAX))
            .filter_map(|id| describe(&model, id))
            .collect()
    }

    /// Where computes should look for a tenant: the intent, not a proof.
    pub fn locate_tenant(&self, tenant: TenantId) -> Result<Value, ApiError> {
        let model = self.model();
        let mut shards = Vec::new();
        let mut parameters = None;
        for shard in model.tenant(tenant) {
            let node = shard.intent.attached.and_then(|node| model.nodes.get(&node));
            let node =
                node.ok_or_else(|| ApiError::BadRequest("Cannot locate a tenant that is not attached".into()))?;
            shards.push(node.locate(shard.id));
            parameters = Some(json!({ "count": shard.id.shard_count, "stripe_size": shard.stripe_size }));
        }
        let parameters = parameters.ok_or_else(|| ApiError::NotFound("No shards for this tenant ID found".into()))?;
        Ok(json!({ "shards": shards, "shard_params": parameters }))
    }

    pub async fn set_policy(self: &Arc<Self>, tenant: TenantId, policy: TenantPolicy) -> Result<(), ApiError> {
        let _lock = self.lock_tenant(tenant).await;
        self.must_exist(tenant)?;
        if let Some(placement) = policy.placement {
            self.db.set_placement(tenant, placement).await?;
        }
        if let Some(scheduling) = policy.scheduling {
            self.db.set_scheduling(tenant, scheduling).await?;
        }
        for shard in self.model().tenant_mut(tenant) {
            shard.policy = policy.placement.unwrap_or(shard.policy);
            shard.scheduling = policy.scheduling.unwrap_or(shard.scheduling);
        }
        let shards = self.place_tenant(tenant).map_err(|error| ApiError::Conflict(error.to_string()))?;
        self.reconcile_all(shards.iter().map(|shard| shard.id)).await;
        Ok(())
    }

    pub fn must_exist(&self, tenant: TenantId) -> Result<(), ApiError> {
        if self.model().tenant(tenant).next().is_none() { Err(tenant_not_found(tenant)) } else { Ok(()) }
    }

    /// Attaches or detaches a tenant as a whole; one that isn't known is created.
    pub async fn set_location(self: &Arc<Self>, id: TenantShardId, to: TenantLocation) -> Result<Value, ApiError> {
        check_keys(&to.tenant_conf)?;
        let tenant = id.tenant_id;
        let _lock = self.lock_tenant(tenant).await;
        let policy = self.policy_for(tenant, to.mode);
        if self.must_exist(tenant).is_err() {
            if to.mode == LocationMode::Detached {
                return Err(tenant_not_found(tenant));
            }
            let placement_policy = Some(policy);
            let (generation, config) = (to.generation, to.tenant_conf.clone());
            let new_tenant_id = TenantShardId::unsharded(tenant);
            let request = CreateTenant { new_tenant_id, generation, shard_parameters: None, placement_policy, config };
            self.add_tenant(request).await?;
        }
        self.db.set_placement(tenant, policy).await?;
        self.db.set_config(tenant, &to.tenant_conf).await?;
        for shard in self.model().tenant_mut(tenant) {
            shard.policy = policy;
            shard.config.clone_from(&to.tenant_conf);
        }
        let shards = self.place_tenant(tenant).map_err(|error| ApiError::Conflict(error.to_string()))?;
        self.reconcile_all(shards.iter().map(|shard| shard.id)).await;
        let attached = shards
            .iter()
            .filter_map(|shard| Some(ShardLocation { shard_id: shard.id, node_id: shard.intent.attached? }));
        let stripe_size = shards.first().filter(|shard| !shard.id.is_unsharded()).map(|shard| shard.stripe_size);
        Ok(json!(LocationConfigAnswer { shards: attached.collect(), stripe_size }))
    }

    /// Attached again, a tenant gets a secondary.
    fn policy_for(&self, tenant: TenantId, mode: LocationMode) -> PlacementPolicy {
        let known = self.model().tenant(tenant).next().map(|shard| shard.policy);
        match (mode, known) {
            (LocationMode::Detached, _) => PlacementPolicy::Detached,
            (LocationMode::Secondary, _) => PlacementPolicy::Secondary,
            (_, Some(attached @ PlacementPolicy::Attached(_))) => attached,
            (_, _) => PlacementPolicy::Attached(1),
        }
    }

    /// Detaches everywhere, has any pageserver remove the data, and forgets the tenant. Its safekeepers are told after
    /// the answer.
    pub async fn delete_tenant(self: &Arc<Self>, tenant: TenantId) -> Result<StatusCode, ApiError> {
        let _lock = self.lock_tenant(tenant).await;
        if self.must_exist(tenant).is_err() {
            if self.model().nodes.is_empty() {
                return Err(ApiError::BadRequest("No AZ with nodes found to load tenant".into()));
            }
            return Err(tenant_not_found(tenant));
        }
        // In memory only, as in the real program: after a restart a tenant whose deletion failed is attached again.
        for shard in self.model().tenant_mut(tenant) {
            shard.policy = PlacementPolicy::Detached;
            shard.intent = Intent::default();
        }
        let shards = self.model().shard_ids(tenant);
        self.reconcile_all(shards).await;
        let node = schedule::any_node(&self.model());
        let node = node.map_err(|error| ApiError::Conflict(format!("Scheduling error: {error}")))?;
        let Some(node) = self.node(node) else { return Err(ApiError::Unavailable("the node is gone".into())) };
        let path = format!("/v1/tenant/{tenant}");
        let reply = self.ask_node::<()>(&node, Method::DELETE, &path, None, CALL_LIMIT).await;
        let reply = reply.map_err(|error| ApiError::Unavailable(format!("node {}: {error}", node.title())))?;
        match reply.status {
            StatusCode::ACCEPTED => return Ok(StatusCode::ACCEPTED),
            status if status.is_success() || status == StatusCode::NOT_FOUND => (),
            _ => return Err(ApiError::Conflict(format!("node {}: {}", node.title(), reply.message()))),
        }
        self.db.delete_tenant(tenant).await?;
        self.model().shards.retain(|shard, _| shard.tenant_id != tenant);
        self.hook.forget(tenant);
        self.delete_from_safekeepers(tenant).await?;
        Ok(StatusCode::OK)
    }

    async fn delete_from_safekeepers(self: &Arc<Self>, tenant: TenantId) -> Result<(), ApiError> {
        let timelines = self.db.timelines(tenant).await?;
        let mut members: Vec<_> = timelines.into_iter().flat_map(|timeline| timeline.members()).collect();
        members.sort_unstable();
        members.dedup();
        self.db.remove_pending_creates(tenant).await?;
        for safekeeper in members {
            let op = PendingOp { safekeeper, tenant_id: tenant, timeline_id: None, create: None };
            self.db.add_pending_op(&op).await?;
        }
        self.db.delete_timelines(tenant).await?;
        let controller = Arc::clone(self);
        tokio::spawn(async move { controller.work_off_pending_ops().await });
        Ok(())
    }
}

/// The 404 of most calls.
pub fn tenant_not_found(tenant: TenantId) -> ApiError {
    ApiError::NotFound(format!("Tenant {tenant} not found"))
}

fn describe(model: &Model, tenant: TenantId) -> Option<Value> {
    let first = model.tenant(tenant).next()?;
    let shards: Vec<_> = model.tenant(tenant).map(Shard::describe).collect();
    Some(json!({
        "tenant_id": tenant, "shards": shards, "stripe_size": first.stripe_size, "policy": first.policy,
        "config": first.config,
    }))
}
