//! Timelines on safekeepers, and which safekeepers a timeline has.

use serde::{Deserialize, Serialize};

use crate::ids::{Lsn, NodeId, TenantId, TimelineId};

/// One member of a timeline's set of safekeepers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafekeeperMember {
    pub id: NodeId,
    pub host: String,
    pub pg_port: u16,
}

/// The set, counted up with each change; with `new_members` it is on its way to the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipConfig {
    pub generation: u32,
    pub members: Vec<SafekeeperMember>,
    #[serde(default)]
    pub new_members: Option<Vec<SafekeeperMember>>,
}

/// Body of `POST /v1/tenant/timeline`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SafekeeperTimelineCreate {
    pub tenant_id: TenantId,
    pub timeline_id: TimelineId,
    pub mconf: MembershipConfig,
    /// 170000 and not 17.
    pub pg_version: u32,
    #[serde(default)]
    pub system_id: Option<u64>,
    #[serde(default)]
    pub wal_seg_size: Option<u32>,
    pub start_lsn: Lsn,
    #[serde(default)]
    pub commit_lsn: Option<Lsn>,
}

/// Answer to `PUT …/timeline/:id/membership`, whose body is the new configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MembershipSwitch {
    pub previous_conf: MembershipConfig,
    pub current_conf: MembershipConfig,
    pub last_log_term: u64,
    pub flush_lsn: Lsn,
}

/// Answer to DELETE of a timeline and to PUT exclude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineDeleted {
    pub dir_existed: bool,
}

/// Body of `POST /v1/pull_timeline`: take the timeline from whichever of these has most of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PullTimelineRequest {
    pub tenant_id: TenantId,
    pub timeline_id: TimelineId,
    pub http_hosts: Vec<String>,
    #[serde(default)]
    pub mconf: Option<MembershipConfig>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PullTimelineAnswer {
    /// The donor; null when the timeline was here already.
    pub safekeeper_host: Option<String>,
}
