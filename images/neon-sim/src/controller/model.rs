//! What the controller knows: nodes, safekeepers and shards, as loaded from the database and as seen since.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::ids::{Generation, NodeId, TenantId, TenantShardId};
use crate::wire::location::{LocationConfig, LocationMode, SecondaryConf};
use crate::wire::upcall::NodeRegister;

/// Pages of a stripe, for tenants created without shard parameters too.
pub const DEFAULT_STRIPE_SIZE: u32 = 2048;

/// The tenant's own settings.
pub type TenantConfig = Map<String, Value>;

/// How many places a tenant wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlacementPolicy {
    /// Attached once, with so many warm secondaries.
    Attached(usize),
    /// Warm, but not attached.
    Secondary,
    Detached,
}

/// Whether the controller may move a shard by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShardScheduling {
    Active,
    Essential,
    Pause,
    Stop,
}

/// Whether shards may be put on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeScheduling {
    Active,
    Filling,
    Pause,
    PauseForRestart,
    Draining,
    Deleting,
}

impl NodeScheduling {
    /// These end with the node's next start.
    pub fn is_reset_by_re_attach(self) -> bool {
        matches!(self, Self::PauseForRestart | Self::Draining | Self::Filling | Self::Deleting)
    }

    fn takes_shards(self) -> bool {
        matches!(self, Self::Active | Self::Filling)
    }
}

/// Whether a node can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Availability {
    Active,
    /// It has re-attached and no heartbeat was answered since.
    WarmingUp,
    Offline,
}

/// Whether timelines may be put on a safekeeper. The last one is spelt as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SafekeeperScheduling {
    Active,
    /// Known, but no heartbeat was answered yet.
    Activating,
    Pause,
    Decomissioned,
}

/// A pageserver.
#[derive(Debug, Clone)]
pub struct Node {
    pub announced: NodeRegister,
    pub scheduling: NodeScheduling,
    pub availability: Availability,
    /// When it last answered, or re-attached.
    pub last_seen: Instant,
}

impl Node {
    pub fn id(&self) -> NodeId {
        self.announced.node_id
    }

    /// Where its management API is.
    pub fn base_url(&self) -> String {
        format!("http://{}:{}", self.announced.listen_http_addr, self.announced.listen_http_port)
    }

    /// `1 (pageserver-1)`, as the real program names nodes in messages.
    pub fn title(&self) -> String {
        format!("{} ({})", self.id(), self.announced.listen_http_addr)
    }

    pub fn takes_shards(&self) -> bool {
        self.availability == Availability::Active && self.scheduling.takes_shards()
    }

    /// The object of `GET /control/v1/node`.
    pub fn describe(&self) -> Value {
        let at = &self.announced;
        json!({
            "id": at.node_id, "availability": self.availability, "scheduling": self.scheduling,
            "availability_zone_id": at.availability_zone_id,
            "listen_http_addr": at.listen_http_addr, "listen_http_port": at.listen_http_port,
            "listen_https_port": at.listen_https_port,
            "listen_pg_addr": at.listen_pg_addr, "listen_pg_port": at.listen_pg_port,
            "listen_grpc_addr": at.listen_grpc_addr, "listen_grpc_port": at.listen_grpc_port,
        })
    }

    /// The addresses of `GET /debug/v1/tenant/:id/locate`.
    pub fn locate(&self, shard: TenantShardId) -> Value {
        let at = &self.announced;
        json!({
            "shard_id": shard, "node_id": at.node_id,
            "listen_pg_addr": at.listen_pg_addr, "listen_pg_port": at.listen_pg_port,
            "listen_grpc_addr": at.listen_grpc_addr, "listen_grpc_port": at.listen_grpc_port,
            "listen_http_addr": at.listen_http_addr, "listen_http_port": at.listen_http_port,
            "listen_https_port": at.listen_https_port,
        })
    }
}

/// What is stored of a safekeeper, and said about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SafekeeperRecord {
    pub id: NodeId,
    pub region_id: String,
    pub version: i64,
    pub host: String,
    pub port: u16,
    pub http_port: u16,
    #[serde(default)]
    pub https_port: Option<u16>,
    pub availability_zone_id: String,
}

/// A safekeeper.
#[derive(Debug, Clone)]
pub struct Safekeeper {
    pub record: SafekeeperRecord,
    pub scheduling: SafekeeperScheduling,
    /// How many timelines it said to have; none while it doesn't answer.
    pub timelines: Option<u64>,
}

impl Safekeeper {
    pub fn base_url(&self) -> String {
        format!("http://{}:{}", self.record.host, self.record.http_port)
    }

    /// The object of `GET /control/v1/safekeeper`.
    pub fn describe(&self) -> Value {
        let at = &self.record;
        json!({
            "id": at.id, "region_id": at.region_id, "version": at.version, "host": at.host, "port": at.port,
            "http_port": at.http_port, "https_port": at.https_port,
            "availability_zone_id": at.availability_zone_id, "scheduling_policy": self.scheduling,
        })
    }
}

/// Where a shard should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intent {
    pub attached: Option<NodeId>,
    pub secondary: Vec<NodeId>,
}

impl Intent {
    pub fn attached_to(node: Option<NodeId>) -> Self {
        Self { attached: node, secondary: Vec::new() }
    }

    /// Attached there from now on, and a secondary where it was.
    pub fn move_to(&mut self, destination: NodeId) {
        self.secondary.retain(|node| *node != destination);
        self.secondary.extend(self.attached.replace(destination));
    }

    pub fn includes(&self, node: NodeId) -> bool {
        self.attached == Some(node) || self.secondary.contains(&node)
    }
}

/// One shard of a tenant, or the whole tenant.
#[derive(Debug, Clone)]
pub struct Shard {
    pub id: TenantShardId,
    pub stripe_size: u32,
    /// None for a shard that was never attached.
    pub generation: Option<Generation>,
    pub policy: PlacementPolicy,
    pub scheduling: ShardScheduling,
    pub preferred_az: Option<String>,
    pub config: TenantConfig,
    pub intent: Intent,
    /// What nodes were last seen to have of it; `None` when that isn't known any more.
    pub observed: BTreeMap<NodeId, Option<LocationConfig>>,
    pub last_error: String,
    /// Reconciles that run or wait.
    pub reconciling: u32,
    pub pending_notification: bool,
    pub splitting: bool,
    /// Held by whoever changes its locations.
    pub turn: Arc<tokio::sync::Mutex<()>>,
}

impl Shard {
    /// A shard as it is stored, seen nowhere yet.
    pub fn new(id: TenantShardId, stripe_size: u32, policy: PlacementPolicy, config: TenantConfig) -> Self {
        Self {
            id,
            stripe_size,
            generation: None,
            policy,
            scheduling: ShardScheduling::Active,
            preferred_az: None,
            config,
            intent: Intent::default(),
            observed: BTreeMap::new(),
            last_error: String::new(),
            reconciling: 0,
            pending_notification: false,
            splitting: false,
            turn: Arc::default(),
        }
    }

    /// What a node should be told. Secondaries follow what the attached one writes down every minute, so it is told to.
    pub fn location(&self, mode: LocationMode) -> LocationConfig {
        let mut tenant_conf = self.config.clone();
        if !self.intent.secondary.is_empty() {
            tenant_conf.insert("heatmap_period".to_owned(), json!("1m"));
        }
        self.location_with(mode, tenant_conf)
    }

    /// The same without the wish for what secondaries need: in the steps of a live migration.
    pub fn bare_location(&self, mode: LocationMode) -> LocationConfig {
        self.location_with(mode, self.config.clone())
    }

    fn location_with(&self, mode: LocationMode, tenant_conf: TenantConfig) -> LocationConfig {
        let detached = mode == LocationMode::Detached;
        LocationConfig {
            mode,
            generation: self.generation.filter(|_| mode.is_attached()),
            secondary_conf: (mode == LocationMode::Secondary).then_some(SecondaryConf { warm: true }),
            shard_number: self.id.shard_number,
            shard_count: self.id.shard_count,
            shard_stripe_size: self.stripe_size,
            tenant_conf: if detached { TenantConfig::new() } else { tenant_conf },
        }
    }

    /// Attached where it should be, with its present generation.
    pub fn is_stably_attached(&self) -> bool {
        let seen = self.intent.attached.and_then(|node| self.observed.get(&node)).and_then(Option::as_ref);
        seen.is_some_and(|seen| seen.mode == LocationMode::AttachedSingle && seen.generation == self.generation)
    }

    /// Its part of `GET /control/v1/tenant/:id`.
    pub fn describe(&self) -> Value {
        json!({
            "tenant_shard_id": self.id, "node_attached": self.intent.attached, "node_secondary": self.intent.secondary,
            "last_error": self.last_error, "is_reconciling": self.reconciling > 0,
            "is_pending_compute_notification": self.pending_notification, "is_splitting": self.splitting,
            "is_importing": false, "scheduling_policy": self.scheduling, "preferred_az_id": self.preferred_az,
        })
    }
}

/// Everything, in memory.
#[derive(Debug, Default)]
pub struct Model {
    pub nodes: BTreeMap<NodeId, Node>,
    pub safekeepers: BTreeMap<NodeId, Safekeeper>,
    pub shards: BTreeMap<TenantShardId, Shard>,
}

impl Model {
    pub fn tenant(&self, tenant: TenantId) -> impl Iterator<Item = &Shard> {
        self.shards.range(first_shard(tenant)..=last_shard(tenant)).map(|(_, shard)| shard)
    }

    pub fn tenant_mut(&mut self, tenant: TenantId) -> impl Iterator<Item = &mut Shard> {
        self.shards.range_mut(first_shard(tenant)..=last_shard(tenant)).map(|(_, shard)| shard)
    }

    pub fn shard_ids(&self, tenant: TenantId) -> Vec<TenantShardId> {
        self.tenant(tenant).map(|shard| shard.id).collect()
    }
}

fn first_shard(tenant_id: TenantId) -> TenantShardId {
    TenantShardId { tenant_id, shard_number: 0, shard_count: 0 }
}

fn last_shard(tenant_id: TenantId) -> TenantShardId {
    TenantShardId { tenant_id, shard_number: u8::MAX, shard_count: u8::MAX }
}
