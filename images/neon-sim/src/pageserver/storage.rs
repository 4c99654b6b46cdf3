//! Remote storage: a directory which pageservers may share, or a bucket, so that a shard can move from one to another.
//!
//! As in the real one, each generation writes its own files: an older owner can't overwrite what a newer one wrote.

use std::fs;
use std::io::{ErrorKind, Result};
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::timelines::Index;
use crate::files::{names, remove_dir, write};
use crate::ids::{Generation, TenantId, TenantShardId, TimelineId};
use crate::s3::Bucket;
use crate::wire::stamp::Stamp;

const INDEX: &str = "index_part.json-";
const HEATMAP: &str = "heatmap-v1.json";

/// Where objects are: keys are paths.
#[derive(Debug, Clone)]
pub enum Objects {
    Directory(PathBuf),
    Bucket(Arc<Bucket>),
}

impl Objects {
    fn write<T: Serialize>(&self, key: &str, value: &T) -> Result<()> {
        let content = serde_json::to_vec_pretty(value)?;
        match self {
            Self::Bucket(bucket) => bucket.put(key, &content),
            Self::Directory(root) => {
                let file = root.join(key);
                file.parent().map_or(Ok(()), fs::create_dir_all)?;
                write(&file, &content)
            }
        }
    }

    fn read<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let content = match self {
            Self::Bucket(bucket) => bucket.get(key)?,
            Self::Directory(root) => fs::read(root.join(key))?,
        };
        Ok(serde_json::from_slice(&content)?)
    }

    /// Names directly below a key.
    fn names(&self, key: &str) -> Result<Vec<String>> {
        match self {
            Self::Bucket(bucket) => bucket.children(key),
            Self::Directory(root) => names(&root.join(key)),
        }
    }

    /// Removes everything below a key.
    fn remove(&self, key: &str) -> Result<()> {
        match self {
            Self::Bucket(bucket) => bucket.remove(key),
            Self::Directory(root) => remove_dir(&root.join(key)),
        }
    }
}

/// Timelines and heatmaps in it.
#[derive(Debug, Clone)]
pub struct Storage {
    objects: Objects,
}

/// What a secondary would download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heatmap {
    pub written: Stamp,
    pub layers: u64,
    pub bytes: u64,
}

impl Storage {
    pub fn new(objects: Objects) -> Self {
        Self { objects }
    }

    pub fn save(&self, shard: TenantShardId, generation: Generation, index: &Index) -> Result<()> {
        self.objects.write(&format!("{}/{}/{INDEX}{:08x}", timelines(shard), index.id, generation.0), index)
    }

    /// The timelines as the latest generation up to this one has left them.
    pub fn load(&self, shard: TenantShardId, generation: Generation) -> Result<Vec<Index>> {
        let mut found = Vec::new();
        for name in self.objects.names(&timelines(shard))? {
            let timeline = format!("{}/{name}", timelines(shard));
            let latest = generations(&self.objects.names(&timeline)?).filter(|written| *written <= generation.0).max();
            if let Some(latest) = latest {
                found.push(self.objects.read(&format!("{timeline}/{INDEX}{latest:08x}"))?);
            }
        }
        Ok(found)
    }

    /// The shards that a tenant has here, each with the highest generation that has written something.
    pub fn scan(&self, tenant: TenantId) -> Result<Vec<(TenantShardId, Option<Generation>)>> {
        let shards = self.objects.names("tenants")?.into_iter().filter_map(|name| name.parse().ok());
        let own = shards.filter(|shard: &TenantShardId| shard.tenant_id == tenant);
        own.map(|shard| {
            let mut latest = None;
            for timeline in self.objects.names(&timelines(shard))? {
                let written = generations(&self.objects.names(&format!("{}/{timeline}", timelines(shard)))?).max();
                latest = latest.max(written);
            }
            Ok((shard, latest.map(Generation)))
        })
        .collect()
    }

    pub fn remove_timeline(&self, shard: TenantShardId, timeline: TimelineId) -> Result<()> {
        self.objects.remove(&format!("{}/{timeline}", timelines(shard)))
    }

    pub fn remove_tenant(&self, shard: TenantShardId) -> Result<()> {
        self.objects.remove(&tenant(shard))
    }

    pub fn write_heatmap(&self, shard: TenantShardId, heatmap: &Heatmap) -> Result<()> {
        self.objects.write(&format!("{}/{HEATMAP}", tenant(shard)), heatmap)
    }

    /// None if there is none yet.
    pub fn heatmap(&self, shard: TenantShardId) -> Result<Option<Heatmap>> {
        match self.objects.read(&format!("{}/{HEATMAP}", tenant(shard))) {
            Ok(heatmap) => Ok(Some(heatmap)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn tenant(shard: TenantShardId) -> String {
    format!("tenants/{shard}")
}

fn timelines(shard: TenantShardId) -> String {
    format!("{}/timelines", tenant(shard))
}

/// Of a timeline's files.
fn generations(names: &[String]) -> impl Iterator<Item = u32> {
    names.iter().filter_map(|name| u32::from_str_radix(name.strip_prefix(INDEX)?, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::super::timelines::Timeline;
    use super::*;
    use crate::wire::timeline::PgMajor;

    #[test]
    fn a_later_generation_is_not_seen_by_an_earlier_one() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new(Objects::Directory(directory.path().join("remote")));
        let shard: TenantShardId = "aaaa0000000000000000000000000001-0102".parse().unwrap();
        let mut index = Timeline::bootstrap(TimelineId(1), PgMajor(17)).index;
        storage.save(shard, Generation(2), &index).unwrap();
        index.archived = true;
        storage.save(shard, Generation(3), &index).unwrap();
        assert!(storage.load(shard, Generation(1)).unwrap().is_empty());
        assert!(!storage.load(shard, Generation(2)).unwrap()[0].archived);
        assert!(storage.load(shard, Generation(9)).unwrap()[0].archived);
        assert_eq!(storage.scan(shard.tenant_id).unwrap(), [(shard, Some(Generation(3)))]);
        assert_eq!(storage.scan(TenantId(9)).unwrap(), []);
        storage.remove_timeline(shard, TimelineId(1)).unwrap();
        storage.remove_timeline(shard, TimelineId(1)).unwrap();
        assert!(storage.load(shard, Generation(9)).unwrap().is_empty());
    }
}
