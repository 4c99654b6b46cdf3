//! What a pageserver asks the storage controller: `POST /upcall/v1/re-attach` and `POST /upcall/v1/validate`.

use serde::{Deserialize, Serialize};

use super::location::LocationMode;
use crate::ids::{Generation, NodeId, TenantShardId};

/// Sent by a pageserver at its start, until it is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReAttachRequest {
    pub node_id: NodeId,
    /// Absent from a pageserver without a metadata.json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register: Option<NodeRegister>,
    /// True when the pageserver has no tenants on its disk.
    #[serde(default)]
    pub empty_local_disk: Option<bool>,
}

/// How a pageserver wants to be reached; all keys are sent, nulls too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRegister {
    pub node_id: NodeId,
    pub listen_pg_addr: String,
    pub listen_pg_port: u16,
    pub listen_grpc_addr: Option<String>,
    pub listen_grpc_port: Option<u16>,
    pub listen_http_addr: String,
    pub listen_http_port: u16,
    pub listen_https_port: Option<u16>,
    pub availability_zone_id: String,
    #[serde(default)]
    pub node_ip_addr: Option<String>,
}

/// Every shard which the controller wants on this pageserver.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReAttachAnswer {
    pub tenants: Vec<ReAttachTenant>,
}

/// One shard, with the generation it has from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReAttachTenant {
    pub id: TenantShardId,
    /// Null for secondaries. The key is shorter than in a location config.
    #[serde(rename = "gen")]
    pub generation: Option<Generation>,
    pub mode: LocationMode,
    /// In pages; always given, for unsharded tenants too.
    pub stripe_size: u32,
}

/// Asked before objects are deleted from remote storage: do these shards still have these generations?
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValidateRequest {
    pub tenants: Vec<ValidateTenant>,
}

/// A shard and the generation which the pageserver has for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValidateTenant {
    pub id: TenantShardId,
    #[serde(rename = "gen")]
    pub generation: Generation,
}

/// One answer for each known shard of the request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ValidateAnswer {
    pub tenants: Vec<ValidatedTenant>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValidatedTenant {
    pub id: TenantShardId,
    pub valid: bool,
}
