//! Which tenant shards are on this pageserver, and how. Kept on disk, one file a shard, so that a restart finds them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::storage::{Heatmap, Storage};
use super::timelines::{Index, Timeline};
use crate::files::{names, read_json, remove_dir, write_json};
use crate::http::ApiError;
use crate::ids::{Generation, NodeId, TenantId, TenantShardId, TimelineId};
use crate::wire::location::{
    LocationConfig, LocationConfigAnswer, LocationList, LocationMode, ScannedShard, ScannedTenant, SecondaryConf,
    ShardLocation,
};
use crate::wire::stamp::Stamp;
use crate::wire::timeline::{SecondaryProgress, ShardSplitRequest};
use crate::wire::upcall::ReAttachTenant;

/// In a shard's directory.
const LOCATION: &str = "location.json";

/// One shard on this pageserver.
#[derive(Debug)]
pub struct Shard {
    pub location: LocationConfig,
    /// Empty unless it is attached.
    pub timelines: BTreeMap<TimelineId, Timeline>,
    /// What a secondary has downloaded.
    pub download: SecondaryProgress,
}

/// All of them. Files are written under the lock: they are small, and the order of changes is that of the calls.
#[derive(Debug)]
pub struct Tenants {
    node_id: NodeId,
    directory: PathBuf,
    storage: Storage,
    shards: Mutex<BTreeMap<TenantShardId, Shard>>,
    /// Wakes those who wait for something to change, such as a branch at a position that isn't there yet.
    pub changed: Notify,
}

/// What a bucket says, or doesn't, may be different the next time.
fn unwritable(error: std::io::Error) -> ApiError {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, TimedOut, WouldBlock};
    if matches!(error.kind(), ConnectionRefused | HostUnreachable | TimedOut | WouldBlock) {
        return ApiError::Unavailable(format!("remote storage: {error}"));
    }
    ApiError::Internal(format!("neon-sim can't write its state: {error}"))
}

pub fn no_tenant(id: TenantShardId) -> ApiError {
    ApiError::NotFound(format!("Tenant {id} not found"))
}

/// The shards that are on the disk of a working directory.
pub fn on_disk(workdir: &Path) -> std::io::Result<BTreeMap<TenantShardId, LocationConfig>> {
    let directory = workdir.join("tenants");
    let mut found = BTreeMap::new();
    for name in names(&directory)? {
        let Ok(id) = name.parse::<TenantShardId>() else {
            tracing::warn!("tenants/{name} isn't a tenant shard");
            continue;
        };
        match read_json(&directory.join(&name).join(LOCATION)) {
            Ok(location) => drop(found.insert(id, location)),
            Err(error) => tracing::error!("can't read the location of tenant shard {id}: {error}"),
        }
    }
    Ok(found)
}

impl Tenants {
    pub fn new(node_id: NodeId, workdir: &Path, storage: Storage) -> Self {
        let directory = workdir.join("tenants");
        Self { node_id, directory, storage, shards: Mutex::default(), changed: Notify::new() }
    }

    /// What panics under the lock is a bug of one call; the others go on.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantShardId, Shard>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up the shards on the disk as the controller wants them now. Those which it didn't name are removed; those
    /// which it named and which aren't there are ignored.
    pub fn start(
        &self,
        on_disk: BTreeMap<TenantShardId, LocationConfig>,
        wanted: &[ReAttachTenant],
    ) -> std::io::Result<()> {
        for (id, location) in on_disk {
            match wanted.iter().find(|wanted| wanted.id == id) {
                None => {
                    tracing::info!("removing tenant shard {id}: the storage controller doesn't want it here");
                    remove_dir(&self.directory.join(id.to_string()))?;
                }
                Some(wanted) => self.restart(id, location, Some(wanted))?,
            }
        }
        for wanted in wanted.iter().filter(|wanted| !self.lock().contains_key(&wanted.id)) {
            tracing::warn!("tenant shard {} isn't on this disk, ignoring it", wanted.id);
        }
        Ok(())
    }

    /// Takes up all shards on the disk as they are, for the emergency mode.
    pub fn start_alone(&self, on_disk: BTreeMap<TenantShardId, LocationConfig>) -> std::io::Result<()> {
        on_disk.into_iter().try_for_each(|(id, location)| self.restart(id, location, None))
    }

    fn restart(
        &self,
        id: TenantShardId,
        mut location: LocationConfig,
        wanted: Option<&ReAttachTenant>,
    ) -> std::io::Result<()> {
        if let Some(wanted) = wanted {
            location.mode = wanted.mode;
            location.generation = wanted.generation;
            location.shard_stripe_size = wanted.stripe_size;
            let secondary = location.mode == LocationMode::Secondary;
            location.secondary_conf = secondary.then_some(SecondaryConf { warm: true });
        }
        self.store(id, &location)?;
        let timelines = self.load(id, &location)?;
        self.lock().insert(id, Shard { location, timelines, download: SecondaryProgress::default() });
        Ok(())
    }

    fn store(&self, id: TenantShardId, location: &LocationConfig) -> std::io::Result<()> {
        let directory = self.directory.join(id.to_string());
        std::fs::create_dir_all(&directory)?;
        write_json(&directory.join(LOCATION), location)
    }

    /// From remote storage; none for a secondary.
    fn load(&self, id: TenantShardId, location: &LocationConfig) -> std::io::Result<BTreeMap<TimelineId, Timeline>> {
        let Some(generation) = location.generation.filter(|_| location.mode.is_attached()) else {
            return Ok(BTreeMap::new());
        };
        let found = self.storage.load(id, generation)?;
        Ok(found.into_iter().map(|index| (index.id, Timeline::loaded(index))).collect())
    }

    /// `PUT location_config`. The answer is None for a shard that is detached now.
    pub fn put(&self, id: TenantShardId, location: LocationConfig) -> Result<Option<LocationConfigAnswer>, ApiError> {
        let answer = match location.mode {
            LocationMode::Detached => self.detach(id).map(|()| None),
            LocationMode::Secondary => self.make_secondary(id, location).map(Some),
            _ => self.attach(id, location).map(Some),
        };
        self.changed.notify_waiters();
        answer
    }

    fn detach(&self, id: TenantShardId) -> Result<(), ApiError> {
        let mut shards = self.lock();
        if shards.remove(&id).is_none() {
            tracing::info!("tenant shard {id} isn't here, nothing to detach");
        }
        remove_dir(&self.directory.join(id.to_string())).map_err(unwritable)
    }

    fn make_secondary(&self, id: TenantShardId, location: LocationConfig) -> Result<LocationConfigAnswer, ApiError> {
        if location.secondary_conf.is_none() {
            return Err(ApiError::BadRequest("secondary_conf is needed for the mode Secondary".into()));
        }
        let mut shards = self.lock();
        self.store(id, &location).map_err(unwritable)?;
        let download = shards.remove(&id).map(|shard| shard.download).unwrap_or_default();
        shards.insert(id, Shard { location, timelines: BTreeMap::new(), download });
        Ok(LocationConfigAnswer { shards: Vec::new(), stripe_size: None })
    }

    fn attach(&self, id: TenantShardId, location: LocationConfig) -> Result<LocationConfigAnswer, ApiError> {
        let Some(generation) = location.generation else {
            return Err(ApiError::BadRequest("a generation is needed for an attached mode".into()));
        };
        let stripe_size = (!id.is_unsharded()).then_some(location.shard_stripe_size);
        let mut shards = self.lock();
        let before = shards.get(&id).and_then(|shard| shard.location.generation);
        if let Some(before) = before
            && generation < before
        {
            return Err(ApiError::BadRequest(format!("Generation {generation} is less than existing {before}")));
        }
        self.store(id, &location).map_err(unwritable)?;
        match shards.get_mut(&id) {
            Some(shard) if before == Some(generation) => shard.location = location,
            _ => {
                let timelines = self.load(id, &location).map_err(unwritable)?;
                shards.insert(id, Shard { location, timelines, download: SecondaryProgress::default() });
            }
        }
        Ok(LocationConfigAnswer { shards: vec![ShardLocation { shard_id: id, node_id: self.node_id }], stripe_size })
    }

    pub fn location(&self, id: TenantShardId) -> Result<LocationConfig, ApiError> {
        self.lock().get(&id).map(|shard| shard.location.clone()).ok_or_else(|| no_tenant(id))
    }

    pub fn locations(&self) -> LocationList {
        let pair = |(id, shard): (&TenantShardId, &Shard)| (*id, Some(shard.location.clone()));
        LocationList { tenant_shards: self.lock().iter().map(pair).collect() }
    }

    /// Looks at each shard.
    pub fn each<T>(&self, look: impl FnMut((&TenantShardId, &Shard)) -> T) -> Vec<T> {
        self.lock().iter().map(look).collect()
    }

    /// Does something with an attached shard; 404 for any other.
    pub fn with_attached<T>(
        &self,
        id: TenantShardId,
        act: impl FnOnce(&mut Shard) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut shards = self.lock();
        match shards.get_mut(&id) {
            Some(shard) if shard.location.mode.is_attached() => act(shard),
            _ => Err(no_tenant(id)),
        }
    }

    /// Writes a new or changed timeline to remote storage.
    pub fn save(&self, id: TenantShardId, shard: &Shard, index: &Index) -> Result<(), ApiError> {
        let generation = shard.location.generation.unwrap_or(Generation(0));
        self.storage.save(id, generation, index).map_err(unwritable)
    }

    pub fn forget_timeline(&self, id: TenantShardId, timeline: TimelineId) -> Result<(), ApiError> {
        self.storage.remove_timeline(id, timeline).map_err(unwritable)
    }

    /// `DELETE tenant`: also for a shard that isn't here, since what is in remote storage is deleted.
    pub fn delete(&self, id: TenantShardId) -> Result<(), ApiError> {
        self.detach(id)?;
        self.changed.notify_waiters();
        self.storage.remove_tenant(id).map_err(unwritable)
    }

    /// What remote storage has of a tenant, whoever has it attached.
    pub fn scan(&self, tenant: TenantId) -> Result<ScannedTenant, ApiError> {
        let shards = self.storage.scan(tenant).map_err(|error| ApiError::Internal(error.to_string()))?;
        let shard = |(tenant_shard_id, generation)| ScannedShard { tenant_shard_id, generation };
        Ok(ScannedTenant { shards: shards.into_iter().map(shard).collect() })
    }

    /// What a secondary could download, written when an attached shard is about to move.
    pub fn write_heatmap(&self, id: TenantShardId) -> Result<(), ApiError> {
        let heatmap = self.with_attached(id, |shard| {
            let bytes = shard.timelines.values().map(Timeline::physical_size);
            let layers = shard.timelines.values().filter(|timeline| timeline.physical_size() > 0).count();
            Ok(Heatmap { written: Stamp::now(), layers: layers as u64, bytes: bytes.sum() })
        })?;
        if heatmap.layers == 0 { Ok(()) } else { self.storage.write_heatmap(id, &heatmap).map_err(unwritable) }
    }

    /// `POST secondary/download`: takes no time here. Zeros if there is nothing to download yet.
    pub fn download(&self, id: TenantShardId) -> Result<SecondaryProgress, ApiError> {
        let heatmap = self.storage.heatmap(id).map_err(unwritable)?;
        self.with_secondary(id, |shard| {
            if let Some(heatmap) = heatmap {
                shard.download = SecondaryProgress {
                    heatmap_mtime: Some(heatmap.written),
                    layers_downloaded: heatmap.layers,
                    layers_total: heatmap.layers,
                    bytes_downloaded: heatmap.bytes,
                    bytes_total: heatmap.bytes,
                };
            }
            shard.download.clone()
        })
    }

    pub fn with_secondary<T>(&self, id: TenantShardId, act: impl FnOnce(&mut Shard) -> T) -> Result<T, ApiError> {
        let mut shards = self.lock();
        match shards.get_mut(&id) {
            Some(shard) if shard.location.mode == LocationMode::Secondary => Ok(act(shard)),
            _ => Err(no_tenant(id)),
        }
    }

    /// `PUT shard_split`: the children take the parent's place, its generation and its timelines.
    pub fn split(&self, parent: TenantShardId, request: &ShardSplitRequest) -> Result<Vec<TenantShardId>, ApiError> {
        let children = children(parent, request.new_shard_count)?;
        let (location, timelines) = self.with_attached(parent, |shard| {
            let indexes: Vec<Index> = shard.timelines.values().map(|timeline| timeline.index.clone()).collect();
            Ok((shard.location.clone(), indexes))
        })?;
        for child in &children {
            for index in &timelines {
                self.storage.save(*child, location.generation.unwrap_or(Generation(0)), index).map_err(unwritable)?;
            }
            let mut location = location.clone();
            location.shard_number = child.shard_number;
            location.shard_count = child.shard_count;
            location.shard_stripe_size = request.new_stripe_size.unwrap_or(location.shard_stripe_size);
            self.attach(*child, location)?;
        }
        self.detach(parent)?;
        self.changed.notify_waiters();
        Ok(children)
    }
}

/// Which of `count` shards come out of this one: every shard whose number is the parent's, modulo the old count.
fn children(parent: TenantShardId, count: u8) -> Result<Vec<TenantShardId>, ApiError> {
    let before = parent.shard_count.max(1);
    if count <= before {
        return Err(ApiError::BadRequest(format!("Requested shard count {count} isn't more than {before}")));
    }
    let numbers = (parent.shard_number..count).step_by(before.into());
    Ok(numbers.map(|shard_number| TenantShardId { shard_number, shard_count: count, ..parent }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parent: &str, count: u8) -> Vec<String> {
        let id = format!("aaaa0000000000000000000000000001{parent}").parse().unwrap();
        children(id, count).unwrap().iter().map(|child| child.to_string()[32..].to_owned()).collect()
    }

    #[test]
    fn children_are_spread_as_recorded() {
        assert_eq!(names("", 2), ["-0002", "-0102"]);
        assert_eq!(names("-0002", 3), ["-0003", "-0203"]);
        assert_eq!(names("-0102", 3), ["-0103"]);
        assert!(children("aaaa0000000000000000000000000001-0002".parse().unwrap(), 2).is_err());
    }
}
