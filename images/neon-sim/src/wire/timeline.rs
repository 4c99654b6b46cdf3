//! Timelines as a pageserver makes and shows them.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use super::stamp::Stamp;
use crate::ids::{Lsn, TenantShardId, TimelineId};

/// Body of `POST /v1/tenant/:id/timeline`, at the controller and at the pageserver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TimelineCreateRequest {
    pub new_timeline_id: TimelineId,
    #[serde(flatten)]
    pub mode: TimelineCreateRequestMode,
}

/// The first variant whose keys are there and can be read is taken. So a branch request with a start LSN that isn't
/// one becomes a bootstrap: it is like that in the real programs, and recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TimelineCreateRequestMode {
    Branch {
        ancestor_timeline_id: TimelineId,
        #[serde(default)]
        ancestor_start_lsn: Option<Lsn>,
        #[serde(default, skip_serializing_if = "is_false")]
        read_only: bool,
        #[serde(default)]
        pg_version: Option<PgMajor>,
    },
    /// Not simulated.
    ImportPgdata { import_pgdata: Map<String, Value> },
    Bootstrap {
        /// Set by the controller for all shards but the first: they take the first one's initdb.
        #[serde(default)]
        existing_initdb_timeline_id: Option<TimelineId>,
        #[serde(default)]
        pg_version: Option<PgMajor>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A major version of Postgres that Neon knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PgMajor(pub u32);

impl PgMajor {
    /// What a timeline gets whose request names no version.
    pub const DEFAULT: Self = Self(17);

    /// None for one that Neon doesn't know.
    pub fn known(version: u32) -> Option<Self> {
        (14..=17).contains(&version).then_some(Self(version))
    }

    /// As safekeepers are told it: 170000.
    pub fn full(self) -> u32 {
        self.0 * 10_000
    }
}

impl<'de> Deserialize<'de> for PgMajor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let version = u32::deserialize(deserializer)?;
        Self::known(version).ok_or_else(|| de::Error::custom(format_args!("Postgres {version} isn't supported")))
    }
}

/// What is known of a timeline; all keys are sent, nulls too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineInfo {
    pub tenant_id: TenantShardId,
    pub timeline_id: TimelineId,
    pub ancestor_timeline_id: Option<TimelineId>,
    pub ancestor_lsn: Option<Lsn>,
    pub last_record_lsn: Lsn,
    pub prev_record_lsn: Option<Lsn>,
    pub applied_gc_cutoff_lsn: Lsn,
    pub min_readable_lsn: Lsn,
    pub disk_consistent_lsn: Lsn,
    pub remote_consistent_lsn: Lsn,
    pub remote_consistent_lsn_visible: Lsn,
    pub initdb_lsn: Lsn,
    pub current_logical_size: u64,
    pub current_logical_size_is_accurate: bool,
    pub directory_entries_counts: Vec<u64>,
    pub current_physical_size: Option<u64>,
    pub current_logical_size_non_incremental: Option<u64>,
    pub pitr_history_size: u64,
    pub within_ancestor_pitr: bool,
    pub timeline_dir_layer_file_size_sum: Option<u64>,
    pub wal_source_connstr: Option<String>,
    pub last_received_msg_lsn: Option<Lsn>,
    pub last_received_msg_ts: Option<u64>,
    pub pg_version: u32,
    pub state: String,
    pub walreceiver_status: String,
    pub is_archived: Option<bool>,
    pub rel_size_migration: Option<String>,
    pub rel_size_migrated_at: Option<Lsn>,
    pub is_invisible: Option<bool>,
    /// Only when it was asked for, with `include-image-consistent-lsn=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_consistent_lsn: Option<Lsn>,
}

/// Body of `POST …/timeline/:id/lsn_lease`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LsnLeaseRequest {
    pub lsn: Lsn,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LsnLease {
    pub valid_until: Stamp,
}

/// Body of `PUT …/timeline/:id/archival_config`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArchivalConfig {
    pub state: ArchivalState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArchivalState {
    Archived,
    Unarchived,
}

/// Body of `PUT /v1/tenant/:shard/shard_split` at a pageserver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShardSplitRequest {
    pub new_shard_count: u8,
    #[serde(default)]
    pub new_stripe_size: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShardSplitAnswer {
    pub new_shards: Vec<TenantShardId>,
}

/// Answer to a secondary's `download` and `status`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SecondaryProgress {
    pub heatmap_mtime: Option<Stamp>,
    pub layers_downloaded: u64,
    pub layers_total: u64,
    pub bytes_downloaded: u64,
    pub bytes_total: u64,
}
