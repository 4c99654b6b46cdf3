//! Answers to the storage controller's heartbeat, `GET /v1/utilization`.

use serde::{Deserialize, Serialize};

use super::stamp::Stamp;

/// A pageserver's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PageserverUtilization {
    pub disk_usage_bytes: u64,
    pub free_space_bytes: u64,
    pub disk_wanted_bytes: u64,
    pub disk_usable_pct: u8,
    pub shard_count: u32,
    pub max_shard_count: u32,
    /// 0 is idle; the controller schedules onto the lowest.
    #[serde(default)]
    pub utilization_score: Option<u64>,
    /// With milliseconds.
    pub captured_at: Stamp,
}

/// A safekeeper's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SafekeeperUtilization {
    pub timeline_count: u64,
}
