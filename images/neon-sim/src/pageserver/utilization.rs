//! What a pageserver tells with each heartbeat.

use std::path::Path;

use super::tenants::Tenants;
use crate::wire::stamp::Stamp;
use crate::wire::utilization::PageserverUtilization;

const MAX_SHARDS: u32 = 2500;
/// The score of a pageserver with `MAX_SHARDS` shards.
const FULL: u64 = 1_000_000;
const USABLE_PERCENT: u8 = 80;

pub fn measure(workdir: &Path, tenants: &Tenants) -> rustix::io::Result<PageserverUtilization> {
    let disk = rustix::fs::statvfs(workdir)?;
    let shards = tenants.each(|(_, shard)| {
        let sizes = shard.timelines.values().map(super::timelines::Timeline::physical_size);
        sizes.sum::<u64>() + shard.download.bytes_total
    });
    let count = u32::try_from(shards.len()).unwrap_or(u32::MAX);
    Ok(PageserverUtilization {
        disk_usage_bytes: disk.f_blocks.saturating_sub(disk.f_bfree).saturating_mul(disk.f_frsize),
        free_space_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        disk_wanted_bytes: shards.iter().sum(),
        disk_usable_pct: USABLE_PERCENT,
        shard_count: count,
        max_shard_count: MAX_SHARDS,
        utilization_score: Some(u64::from(count) * FULL / u64::from(MAX_SHARDS)),
        captured_at: Stamp::now(),
    })
}
