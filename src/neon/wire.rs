//! What Neon's programs say over HTTP, as far as it is used here. Unknown fields are ignored: later releases add some.

use serde::{Deserialize, Serialize};

use super::ids::{Lsn, TenantId, TimelineId};

/// A pageserver, of `GET /control/v1/node`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its number.
    pub id: u64,
    /// `Active`, `WarmingUp` or `Offline`.
    pub availability: String,
    /// `Active`, `Filling`, `Pause`, `PauseForRestart`, `Draining` or `Deleting`.
    pub scheduling: String,
    /// Its zone.
    #[serde(default)]
    pub availability_zone_id: Option<String>,
    /// Where computes reach it.
    pub listen_pg_addr: String,
    /// The same.
    pub listen_pg_port: u16,
}

/// A safekeeper, of `GET /control/v1/safekeeper`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Safekeeper {
    /// Its number.
    pub id: u64,
    /// Its host's name.
    pub host: String,
    /// Where computes reach it.
    pub port: u16,
    /// Its management API.
    pub http_port: u16,
    /// Its zone.
    pub availability_zone_id: String,
    /// `Active`, `Activating`, `Pause` or `Decomissioned` (spelt so).
    pub scheduling_policy: String,
}

/// Body of `POST /control/v1/safekeeper/:id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SafekeeperUpsert {
    /// Its number.
    pub id: u64,
    /// Any.
    pub region_id: String,
    /// Of the record, not of the program.
    pub version: i64,
    /// Its host's name.
    pub host: String,
    /// Where computes reach it.
    pub port: u16,
    /// Its management API.
    pub http_port: u16,
    /// None here.
    pub https_port: Option<u16>,
    /// Its zone.
    pub availability_zone_id: String,
}

/// Of `GET /debug/v1/tenant/:id/locate`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Located {
    /// In the order of shards.
    pub shards: Vec<LocatedShard>,
    /// How many, and how wide their stripes are.
    pub shard_params: ShardParams,
}

/// One shard's place.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LocatedShard {
    /// Which pageserver.
    pub node_id: u64,
    /// Where computes reach it.
    pub listen_pg_addr: String,
    /// The same.
    pub listen_pg_port: u16,
    /// Its management API.
    pub listen_http_addr: String,
    /// The same.
    pub listen_http_port: u16,
}

/// Body of `POST /v1/tenant/timeline` at a safekeeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OnSafekeeperCreate {
    /// Which tenant.
    pub tenant_id: TenantId,
    /// Which timeline.
    pub timeline_id: TimelineId,
    /// Who has it.
    pub mconf: MembershipWanted,
    /// 170000 and not 17.
    pub pg_version: u32,
    /// Not known before a compute writes.
    pub system_id: Option<u64>,
    /// As Postgres has it.
    pub wal_seg_size: Option<u32>,
    /// Where its WAL begins.
    pub start_lsn: Lsn,
    /// The same.
    pub commit_lsn: Option<Lsn>,
}

/// A timeline's first set of safekeepers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MembershipWanted {
    /// 1.
    pub generation: u32,
    /// The set.
    pub members: Vec<Member>,
    /// None: it isn't on its way to another one.
    pub new_members: Option<Vec<Member>>,
}

/// A safekeeper in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its number.
    pub id: u64,
    /// Its host's name.
    pub host: String,
    /// Where computes reach it.
    pub pg_port: u16,
}

/// How a tenant is sharded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardParams {
    /// 0: not at all.
    pub count: u8,
    /// In pages.
    pub stripe_size: u32,
}

/// Of `GET /debug/v1/tenant/:id/timeline/:id/locate`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TimelineLocated {
    /// Counts changes of the set.
    pub generation: u32,
    /// Its safekeepers.
    pub sk_set: Vec<u64>,
    /// Those that it is moving to.
    #[serde(default)]
    pub new_sk_set: Option<Vec<u64>>,
}

/// Of `GET /control/v1/tenant/:id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TenantDescription {
    /// Which tenant.
    pub tenant_id: TenantId,
    /// Its shards.
    pub shards: Vec<ShardDescription>,
    /// In pages.
    pub stripe_size: u32,
    /// `{"Attached": n}`, `"Secondary"` or `"Detached"`.
    #[serde(default)]
    pub policy: serde_json::Value,
}

/// One shard in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardDescription {
    /// `<tenant>` or `<tenant>-NNCC`.
    pub tenant_shard_id: String,
    /// Where it is.
    pub node_attached: Option<u64>,
    /// Where it is kept warm.
    #[serde(default)]
    pub node_secondary: Vec<u64>,
    /// What went wrong last.
    #[serde(default)]
    pub last_error: String,
    /// Whether it is being moved.
    #[serde(default)]
    pub is_reconciling: bool,
    /// Whether computes haven't been told yet.
    #[serde(default)]
    pub is_pending_compute_notification: bool,
    /// Whether it is being split.
    #[serde(default)]
    pub is_splitting: bool,
}

/// A timeline, of `GET /v1/tenant/:id/timeline`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineInfo {
    /// Which timeline.
    pub timeline_id: TimelineId,
    /// What it was branched from.
    pub ancestor_timeline_id: Option<TimelineId>,
    /// Where.
    pub ancestor_lsn: Option<Lsn>,
    /// Its end.
    pub last_record_lsn: Lsn,
    /// Before this nothing can be read any more.
    #[serde(default)]
    pub min_readable_lsn: Option<Lsn>,
    /// Postgres' major version.
    pub pg_version: u32,
    /// `Active` and others.
    pub state: String,
}

/// Body of `PUT /notify-attach`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyAttach {
    /// Which tenant.
    pub tenant_id: TenantId,
    /// Null for a tenant without shards.
    pub stripe_size: Option<u32>,
    /// All of them; their number is the count.
    pub shards: Vec<NotifiedShard>,
}

/// A shard in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifiedShard {
    /// Which pageserver.
    pub node_id: u64,
    /// From 0.
    pub shard_number: u8,
}

/// Body of `PUT /notify-safekeepers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifySafekeepers {
    /// Which tenant.
    pub tenant_id: TenantId,
    /// Which timeline.
    pub timeline_id: TimelineId,
    /// Counts changes of the set.
    pub generation: u32,
    /// The set.
    pub safekeepers: Vec<NotifiedSafekeeper>,
}

/// A safekeeper in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifiedSafekeeper {
    /// Its number.
    pub id: u64,
    /// Its host, without a port.
    #[serde(default)]
    pub hostname: Option<String>,
}

/// Of a compute's `GET /status`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ComputeStatus {
    /// `running` and others.
    pub status: ComputeState,
    /// Which start of it this is.
    #[serde(default)]
    pub start_time: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
}

/// What a compute is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComputeState {
    /// Waits for a specification.
    Empty,
    /// About to take one.
    ConfigurationPending,
    /// Starting.
    Init,
    /// Serving.
    Running,
    /// Taking one.
    Configuration,
    /// Given up.
    Failed,
    /// About to stop.
    TerminationPendingFast,
    /// About to stop.
    TerminationPendingImmediate,
    /// Stopped.
    Terminated,
    /// About to ask for its specification again.
    RefreshConfigurationPending,
    /// Asking.
    RefreshConfiguration,
    /// A later release's.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Bodies as recorded from the real programs.
    #[test]
    fn recorded_bodies_are_understood() {
        let attach: NotifyAttach = serde_json::from_value(json!({
            "tenant_id": "aaaa0000000000000000000000000001", "preferred_az": "az-1", "stripe_size": 2048,
            "shards": [{ "node_id": 1, "shard_number": 0 }, { "node_id": 2, "shard_number": 1 }],
        }))
        .unwrap();
        assert_eq!((attach.stripe_size, attach.shards[1].node_id), (Some(2048), 2));
        let safekeepers: NotifySafekeepers = serde_json::from_value(json!({
            "tenant_id": "bbbb0000000000000000000000000001", "timeline_id": "f00d0000000000000000000000000011",
            "generation": 2, "safekeepers": [{ "id": 1, "hostname": "127.0.0.1" }, { "id": 4, "hostname": null }],
        }))
        .unwrap();
        assert_eq!((safekeepers.generation, safekeepers.safekeepers[1].id), (2, 4));
        let node: Node = serde_json::from_value(json!({
            "id": 1, "availability": "Active", "scheduling": "Active", "availability_zone_id": "az-1",
            "listen_http_addr": "127.0.0.1", "listen_http_port": 29891, "listen_https_port": null,
            "listen_pg_addr": "127.0.0.1", "listen_pg_port": 16401, "listen_grpc_addr": null, "listen_grpc_port": null,
        }))
        .unwrap();
        assert_eq!(node.listen_pg_port, 16401);
        let described: TenantDescription = serde_json::from_value(json!({
            "tenant_id": "bbbb0000000000000000000000000001", "stripe_size": 2048, "policy": { "Attached": 1 },
            "config": {}, "shards": [{
                "tenant_shard_id": "bbbb0000000000000000000000000001", "node_attached": 2, "node_secondary": [1],
                "last_error": "", "is_reconciling": false, "is_pending_compute_notification": false,
                "is_splitting": false, "is_importing": false, "scheduling_policy": "Active", "preferred_az_id": "az-2",
            }],
        }))
        .unwrap();
        assert_eq!(described.shards[0].node_secondary, [1]);
        let status: ComputeStatus = serde_json::from_value(json!({ "status": "something_new" })).unwrap();
        assert_eq!(status.status, ComputeState::Unknown);
    }
}
