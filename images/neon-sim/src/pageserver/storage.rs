//! Remote storage: a directory which pageservers may share, so that a shard can move from one to another.
//!
//! As in the real one, each generation writes its own files: an older owner can't overwrite what a newer one wrote.

use std::fs;
use std::io::{ErrorKind, Result};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::timelines::Index;
use crate::files::{names, read_json, remove_dir, write_json};
use crate::ids::{Generation, TenantShardId, TimelineId};
use crate::wire::stamp::Stamp;

const INDEX: &str = "index_part.json-";
const HEATMAP: &str = "heatmap-v1.json";

/// The directory.
#[derive(Debug, Clone)]
pub struct Storage {
    root: PathBuf,
}

/// What a secondary would download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heatmap {
    pub written: Stamp,
    pub layers: u64,
    pub bytes: u64,
}

impl Storage {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn tenant(&self, shard: TenantShardId) -> PathBuf {
        self.root.join("tenants").join(shard.to_string())
    }

    fn timelines(&self, shard: TenantShardId) -> PathBuf {
        self.tenant(shard).join("timelines")
    }

    pub fn save(&self, shard: TenantShardId, generation: Generation, index: &Index) -> Result<()> {
        let directory = self.timelines(shard).join(index.id.to_string());
        fs::create_dir_all(&directory)?;
        write_json(&directory.join(format!("{INDEX}{:08x}", generation.0)), index)
    }

    /// The timelines as the latest generation up to this one has left them.
    pub fn load(&self, shard: TenantShardId, generation: Generation) -> Result<Vec<Index>> {
        let directory = self.timelines(shard);
        let mut found = Vec::new();
        for name in names(&directory)? {
            let timeline = directory.join(name);
            let latest = names(&timeline)?
                .into_iter()
                .filter_map(|name| u32::from_str_radix(name.strip_prefix(INDEX)?, 16).ok())
                .filter(|written| *written <= generation.0)
                .max();
            if let Some(latest) = latest {
                found.push(read_json(&timeline.join(format!("{INDEX}{latest:08x}")))?);
            }
        }
        Ok(found)
    }

    pub fn remove_timeline(&self, shard: TenantShardId, timeline: TimelineId) -> Result<()> {
        remove_dir(&self.timelines(shard).join(timeline.to_string()))
    }

    pub fn remove_tenant(&self, shard: TenantShardId) -> Result<()> {
        remove_dir(&self.tenant(shard))
    }

    pub fn write_heatmap(&self, shard: TenantShardId, heatmap: &Heatmap) -> Result<()> {
        fs::create_dir_all(self.tenant(shard))?;
        write_json(&self.tenant(shard).join(HEATMAP), heatmap)
    }

    /// None if there is none yet.
    pub fn heatmap(&self, shard: TenantShardId) -> Result<Option<Heatmap>> {
        match read_json(&self.tenant(shard).join(HEATMAP)) {
            Ok(heatmap) => Ok(Some(heatmap)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::timelines::Timeline;
    use super::*;
    use crate::wire::timeline::PgMajor;

    #[test]
    fn a_later_generation_is_not_seen_by_an_earlier_one() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new(directory.path().join("remote"));
        let shard: TenantShardId = "aaaa0000000000000000000000000001-0102".parse().unwrap();
        let mut index = Timeline::bootstrap(TimelineId(1), PgMajor(17)).index;
        storage.save(shard, Generation(2), &index).unwrap();
        index.archived = true;
        storage.save(shard, Generation(3), &index).unwrap();
        assert!(storage.load(shard, Generation(1)).unwrap().is_empty());
        assert!(!storage.load(shard, Generation(2)).unwrap()[0].archived);
        assert!(storage.load(shard, Generation(9)).unwrap()[0].archived);
        storage.remove_timeline(shard, TimelineId(1)).unwrap();
        storage.remove_timeline(shard, TimelineId(1)).unwrap();
        assert!(storage.load(shard, Generation(9)).unwrap().is_empty());
    }
}
