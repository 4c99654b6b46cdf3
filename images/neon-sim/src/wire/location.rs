//! Where a shard is and how: the `location_config` calls of a pageserver.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{Generation, NodeId, TenantShardId};

/// What a pageserver does with a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LocationMode {
    AttachedSingle,
    AttachedMulti,
    AttachedStale,
    Secondary,
    Detached,
}

impl LocationMode {
    pub fn is_attached(self) -> bool {
        matches!(self, Self::AttachedSingle | Self::AttachedMulti | Self::AttachedStale)
    }
}

/// Body of `PUT /v1/tenant/:shard/location_config`, and what the GETs answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocationConfig {
    pub mode: LocationMode,
    /// Null when the shard isn't attached.
    #[serde(default)]
    pub generation: Option<Generation>,
    /// Null unless the mode is Secondary.
    #[serde(default)]
    pub secondary_conf: Option<SecondaryConf>,
    #[serde(default)]
    pub shard_number: u8,
    #[serde(default)]
    pub shard_count: u8,
    #[serde(default)]
    pub shard_stripe_size: u32,
    /// The tenant's own settings; `{}` when it has none.
    pub tenant_conf: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondaryConf {
    /// Downloads what the attached one has written.
    pub warm: bool,
}

/// Answer to the PUT, unless the mode was Detached: that one is answered with null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationConfigAnswer {
    /// The attached shards: empty after a PUT of a secondary.
    pub shards: Vec<ShardLocation>,
    /// Null for unsharded tenants.
    pub stripe_size: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardLocation {
    pub shard_id: TenantShardId,
    pub node_id: NodeId,
}

/// Answer to `GET /v1/tenant/:id/scan_remote_storage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannedTenant {
    pub shards: Vec<ScannedShard>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannedShard {
    pub tenant_shard_id: TenantShardId,
    /// The highest that has written something.
    pub generation: Option<Generation>,
}

/// Answer to `GET /v1/location_config`: pairs, with null for a shard that is being changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LocationList {
    pub tenant_shards: Vec<(TenantShardId, Option<LocationConfig>)>,
}
