//! Pageservers: how they register and re-attach, and what operators may say about them.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};

use super::model::{Availability, Node, NodeScheduling};
use super::schedule;
use super::state::Controller;
use crate::http::ApiError;
use crate::ids::NodeId;
use crate::wire::location::LocationMode;
use crate::wire::upcall::{
    NodeRegister, ReAttachAnswer, ReAttachRequest, ReAttachTenant, ValidateAnswer, ValidateRequest, ValidatedTenant,
};

const RESOLVE_LIMIT: Duration = Duration::from_secs(5);

/// Body of `PUT /control/v1/node/:id/config`.
#[derive(Debug, Deserialize)]
pub struct NodeConfig {
    node_id: NodeId,
    #[serde(default)]
    availability: Option<Availability>,
    #[serde(default)]
    scheduling: Option<NodeScheduling>,
}

impl Controller {
    /// Takes in a pageserver. Its address and zone are fixed from then on, and its name has to resolve here.
    pub async fn register(&self, announced: NodeRegister) -> Result<(), ApiError> {
        let _turn = self.node_turn.lock().await;
        let id = announced.node_id;
        if let Some(known) = self.node(id) {
            if is_same_place(&known.announced, &announced) {
                return Ok(());
            }
            tracing::warn!("node {id} was {:?} and announces itself as {announced:?}", known.announced);
            return Err(ApiError::Conflict("Node is already registered with different address".into()));
        }
        if self.db.tombstones().await?.contains(&id) {
            return Err(ApiError::Conflict(format!("Node {id} was previously deleted")));
        }
        self.resolve(&announced).await?;
        self.db.add_node(&announced, NodeScheduling::Active).await?;
        tracing::info!("node {id} registered at {}:{}", announced.listen_http_addr, announced.listen_http_port);
        let (scheduling, availability) = (NodeScheduling::Active, Availability::Offline);
        self.model().nodes.insert(id, Node { announced, scheduling, availability, last_seen: Instant::now() });
        Ok(())
    }

    async fn resolve(&self, announced: &NodeRegister) -> Result<(), ApiError> {
        let host = &announced.listen_http_addr;
        let found = timeout(RESOLVE_LIMIT, lookup_host((host.as_str(), announced.listen_http_port))).await;
        let resolves = found.is_ok_and(|found| found.is_ok_and(|mut addresses| addresses.next().is_some()));
        if resolves {
            return Ok(());
        }
        let id = announced.node_id;
        Err(ApiError::Unavailable(format!("Node {id} tried to register with unknown address {host:?}")))
    }

    /// A pageserver starts: it gets a new generation for all that is attached to it.
    pub async fn re_attach(&self, request: ReAttachRequest) -> Result<ReAttachAnswer, ApiError> {
        if let Some(announced) = request.register {
            self.register(announced).await?;
        }
        let id = request.node_id;
        let is_emptied = self.options.handle_ps_local_disk_loss && request.empty_local_disk == Some(true);
        let attached = self.db.re_attach(id).await?;
        self.reset_scheduling(id).await?;
        let mut tenants = Vec::new();
        let mut model = self.model();
        for (shard, generation) in &attached {
            let Some(shard) = model.shards.get_mut(shard) else { continue };
            shard.generation = Some(*generation);
            let location = shard.location(LocationMode::AttachedSingle);
            // It ignores what it is told of shards that aren't on its disk: it has to be asked, and told anew.
            shard.observed.insert(id, Some(location).filter(|_| !is_emptied));
            tenants.push(answered(shard.id, Some(*generation), LocationMode::AttachedSingle, shard.stripe_size));
        }
        for shard in model.shards.values().filter(|shard| shard.intent.secondary.contains(&id)) {
            tenants.push(answered(shard.id, None, LocationMode::Secondary, shard.stripe_size));
        }
        tenants.sort_by_key(|tenant| tenant.id);
        if let Some(node) = model.nodes.get_mut(&id) {
            node.availability = Availability::WarmingUp;
            node.last_seen = Instant::now();
        }
        tracing::info!("node {id} re-attached with {} shards", tenants.len());
        Ok(ReAttachAnswer { tenants })
    }

    async fn reset_scheduling(&self, id: NodeId) -> Result<(), ApiError> {
        if self.node(id).is_some_and(|node| node.scheduling.is_reset_by_re_attach()) {
            self.set_scheduling(id, NodeScheduling::Active).await?;
        }
        Ok(())
    }

    /// Stored first, then believed.
    pub async fn set_scheduling(&self, id: NodeId, scheduling: NodeScheduling) -> Result<(), ApiError> {
        self.db.set_node_scheduling(id, scheduling).await?;
        if let Some(node) = self.model().nodes.get_mut(&id) {
            node.scheduling = scheduling;
        }
        Ok(())
    }

    /// Whether pageservers still have the generations they believe to have.
    pub fn validate(&self, request: &ValidateRequest) -> ValidateAnswer {
        let model = self.model();
        let known = request.tenants.iter().filter_map(|asked| {
            let shard = model.shards.get(&asked.id)?;
            Some(ValidatedTenant { id: asked.id, valid: shard.generation == Some(asked.generation) })
        });
        ValidateAnswer { tenants: known.collect() }
    }

    pub fn describe_nodes(&self) -> Vec<Value> {
        self.model().nodes.values().map(Node::describe).collect()
    }

    pub fn describe_node(&self, id: NodeId) -> Result<Value, ApiError> {
        let node = self.node(id).ok_or_else(|| ApiError::NotFound(format!("Node {id} not registered")))?;
        Ok(node.describe())
    }

    /// What is, or is meant to be, on a node.
    pub fn describe_node_shards(&self, id: NodeId) -> Value {
        let model = self.model();
        let here = model.shards.values().filter(|shard| shard.intent.includes(id) || shard.observed.contains_key(&id));
        let shards: Vec<_> = here
            .map(|shard| {
                let seen = shard.observed.get(&id).and_then(Option::as_ref);
                json!({
                    "tenant_shard_id": shard.id,
                    "is_observed_secondary": seen.map(|seen| seen.mode == LocationMode::Secondary),
                    "is_intended_secondary":
                        shard.intent.includes(id).then(|| shard.intent.secondary.contains(&id)),
                })
            })
            .collect();
        json!({ "node_id": id, "shards": shards })
    }

    /// An operator's word about a node.
    pub async fn configure_node(self: &Arc<Self>, id: NodeId, config: NodeConfig) -> Result<(), ApiError> {
        if config.node_id != id {
            return Err(ApiError::BadRequest("Path and body node_id differ".into()));
        }
        if self.node(id).is_none() {
            // The real program's text, with the placeholder it forgot to fill in.
            return Err(ApiError::Internal("Node node_id not found for update".into()));
        }
        if let Some(scheduling) = config.scheduling {
            self.set_scheduling(id, scheduling).await?;
        }
        let Some(availability) = config.availability else { return Ok(()) };
        let moved = {
            let mut model = self.model();
            let Some(node) = model.nodes.get_mut(&id) else { return Ok(()) };
            node.availability = availability;
            node.last_seen = Instant::now();
            if availability == Availability::Offline { schedule::fail_over(&mut model, id) } else { Vec::new() }
        };
        self.reconcile_all(moved).await;
        Ok(())
    }
}

fn answered(
    id: crate::ids::TenantShardId,
    generation: Option<crate::ids::Generation>,
    mode: LocationMode,
    stripe_size: u32,
) -> ReAttachTenant {
    ReAttachTenant { id, generation, mode, stripe_size }
}

/// Whether a node is where it was. Ports for gRPC may change.
fn is_same_place(known: &NodeRegister, announced: &NodeRegister) -> bool {
    let place = |at: &NodeRegister| {
        let pg = (at.listen_pg_addr.clone(), at.listen_pg_port);
        let http = (at.listen_http_addr.clone(), at.listen_http_port, at.listen_https_port);
        (pg, http, at.availability_zone_id.clone())
    };
    place(known) == place(announced)
}
