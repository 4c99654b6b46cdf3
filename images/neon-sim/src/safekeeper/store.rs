//! The timelines of a safekeeper, one directory each, and the tombstones of those that were deleted.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::files::{names, read_json, remove_dir, write_json};
use crate::http::ApiError;
use crate::ids::{Lsn, NodeId, TenantId, TimelineId};
use crate::wire::safekeeper::{MembershipConfig, MembershipSwitch, SafekeeperTimelineCreate, TimelineDeleted};

/// In a timeline's directory.
const STATE: &str = "neon-sim-timeline.json";
/// Instead of a timeline's directory; survives it, so that a late create of the timeline is refused.
const TOMBSTONE: &str = ".deleted";
const DEFAULT_SEGMENT: u32 = 16 * 1024 * 1024;

/// What calls come to.
type Outcome<T> = Result<T, ApiError>;

/// A timeline of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TenantTimeline {
    pub tenant_id: TenantId,
    pub timeline_id: TimelineId,
}

impl fmt::Display for TenantTimeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant_id, self.timeline_id)
    }
}

/// What is kept of a timeline; there is no WAL, so its end is where it was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    pub mconf: MembershipConfig,
    pub pg_version: u32,
    pub system_id: u64,
    pub wal_seg_size: u32,
    pub start_lsn: Lsn,
    pub commit_lsn: Lsn,
}

#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    timelines: Mutex<Timelines>,
}

#[derive(Debug, Default)]
struct Timelines {
    here: BTreeMap<TenantTimeline, Timeline>,
    deleted: BTreeSet<TenantTimeline>,
}

fn unwritable(error: io::Error) -> ApiError {
    ApiError::Internal(format!("neon-sim can't write its state: {error}"))
}

fn unknown(id: TenantTimeline) -> ApiError {
    ApiError::NotFound(format!("timeline {id} was not found in global map"))
}

fn was_deleted(id: TenantTimeline) -> ApiError {
    ApiError::Internal(format!("Timeline {id} has been deleted"))
}

impl Store {
    /// With all timelines that are in the directory. A kill may have left some half made or half deleted: the former
    /// are skipped, until they are created again, and the latter removed.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let mut timelines = Timelines::default();
        for tenant in names(directory)? {
            let Ok(tenant_id) = tenant.parse() else { continue };
            for name in names(&directory.join(&tenant))? {
                let deleted = name.strip_suffix(TOMBSTONE);
                let Ok(timeline_id) = deleted.unwrap_or(&name).parse() else { continue };
                let id = TenantTimeline { tenant_id, timeline_id };
                if deleted.is_some() {
                    timelines.deleted.insert(id);
                    continue;
                }
                match read_json(&directory.join(&tenant).join(name).join(STATE)) {
                    Ok(timeline) => drop(timelines.here.insert(id, timeline)),
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        tracing::warn!("timeline {id} has no {STATE}: skipped");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        for id in &timelines.deleted {
            timelines.here.remove(id);
            remove_dir(&directory.join(id.to_string()))?;
        }
        Ok(Self { directory: directory.to_path_buf(), timelines: Mutex::new(timelines) })
    }

    /// What panics under the lock is a bug of one call; the others go on.
    fn lock(&self) -> MutexGuard<'_, Timelines> {
        self.timelines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: TenantTimeline) -> PathBuf {
        self.directory.join(id.to_string())
    }

    fn save(&self, id: TenantTimeline, timeline: &Timeline) -> Outcome<()> {
        let directory = self.path(id);
        std::fs::create_dir_all(&directory).map_err(unwritable)?;
        write_json(&directory.join(STATE), timeline).map_err(unwritable)
    }

    pub fn count(&self) -> u64 {
        self.lock().here.len() as u64
    }

    pub fn get(&self, id: TenantTimeline) -> Outcome<Timeline> {
        self.lock().here.get(&id).cloned().ok_or_else(|| unknown(id))
    }

    pub fn contains(&self, id: TenantTimeline) -> bool {
        self.lock().here.contains_key(&id)
    }

    /// Nothing happens if it is here already; a deleted one can't come back.
    pub fn create(&self, request: SafekeeperTimelineCreate) -> Outcome<()> {
        let id = TenantTimeline { tenant_id: request.tenant_id, timeline_id: request.timeline_id };
        let timeline = Timeline {
            mconf: request.mconf,
            pg_version: request.pg_version,
            system_id: request.system_id.unwrap_or(0),
            wal_seg_size: request.wal_seg_size.unwrap_or(DEFAULT_SEGMENT),
            start_lsn: request.start_lsn,
            commit_lsn: request.commit_lsn.unwrap_or(request.start_lsn),
        };
        self.insert(id, timeline)
    }

    /// As made here, or as pulled from another safekeeper.
    pub fn insert(&self, id: TenantTimeline, timeline: Timeline) -> Outcome<()> {
        let mut timelines = self.lock();
        if timelines.deleted.contains(&id) {
            return Err(was_deleted(id));
        }
        if let Entry::Vacant(place) = timelines.here.entry(id) {
            self.save(id, &timeline)?;
            place.insert(timeline);
        }
        Ok(())
    }

    /// Takes up a configuration that is newer than the one it has, and leaves any other.
    pub fn switch(&self, id: TenantTimeline, to: MembershipConfig) -> Outcome<MembershipSwitch> {
        let mut timelines = self.lock();
        if timelines.deleted.contains(&id) {
            return Err(was_deleted(id));
        }
        let timeline = timelines.here.get_mut(&id).ok_or_else(|| unknown(id))?;
        let previous_conf = timeline.mconf.clone();
        if to.generation > previous_conf.generation {
            let changed = Timeline { mconf: to, ..timeline.clone() };
            self.save(id, &changed)?;
            *timeline = changed;
        }
        let current_conf = timeline.mconf.clone();
        Ok(MembershipSwitch { previous_conf, current_conf, last_log_term: 0, flush_lsn: timeline.commit_lsn })
    }

    pub fn delete(&self, id: TenantTimeline) -> Outcome<TimelineDeleted> {
        let mut timelines = self.lock();
        let mut tombstone = self.path(id);
        tombstone.as_mut_os_string().push(TOMBSTONE);
        std::fs::create_dir_all(self.directory.join(id.tenant_id.to_string())).map_err(unwritable)?;
        std::fs::write(tombstone, "").map_err(unwritable)?;
        timelines.deleted.insert(id);
        self.remove(&mut timelines, id)
    }

    /// Removes a timeline whose safekeeper isn't a member any more; it may come back later.
    pub fn exclude(&self, id: TenantTimeline, myself: NodeId, conf: &MembershipConfig) -> Outcome<TimelineDeleted> {
        let members = conf.members.iter().chain(conf.new_members.iter().flatten());
        if members.into_iter().any(|member| member.id == myself) {
            return Err(ApiError::Internal(format!("can't exclude {id}: safekeeper {myself} is a member of it")));
        }
        let mut timelines = self.lock();
        if timelines.here.get(&id).is_some_and(|timeline| timeline.mconf.generation > conf.generation) {
            return Err(ApiError::Internal(format!("can't exclude {id}: its configuration is newer than that")));
        }
        self.remove(&mut timelines, id)
    }

    fn remove(&self, timelines: &mut Timelines, id: TenantTimeline) -> Outcome<TimelineDeleted> {
        remove_dir(&self.path(id)).map_err(unwritable)?;
        Ok(TimelineDeleted { dir_existed: timelines.here.remove(&id).is_some() })
    }

    /// All timelines of a tenant.
    pub fn of_tenant(&self, tenant_id: TenantId) -> Vec<TenantTimeline> {
        self.lock().here.keys().filter(|id| id.tenant_id == tenant_id).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(timeline: u128) -> SafekeeperTimelineCreate {
        SafekeeperTimelineCreate {
            tenant_id: TenantId(1),
            timeline_id: TimelineId(timeline),
            mconf: MembershipConfig { generation: 1, members: Vec::new(), new_members: None },
            pg_version: 170_000,
            system_id: None,
            wal_seg_size: None,
            start_lsn: Lsn(0x14D_8AB0),
            commit_lsn: None,
        }
    }

    #[test]
    fn timelines_and_tombstones_are_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let id = |timeline| TenantTimeline { tenant_id: TenantId(1), timeline_id: TimelineId(timeline) };
        let store = Store::open(directory.path()).unwrap();
        store.create(create(1)).unwrap();
        store.create(create(2)).unwrap();
        assert!(store.delete(id(2)).unwrap().dir_existed);
        assert!(!store.delete(id(3)).unwrap().dir_existed);
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.count(), 1);
        assert_eq!(store.get(id(1)).unwrap().commit_lsn, Lsn(0x14D_8AB0));
        assert_eq!(store.create(create(2)).unwrap_err(), was_deleted(id(2)));
    }

    #[test]
    fn what_a_kill_left_half_done_is_no_reason_not_to_start() {
        let directory = tempfile::tempdir().unwrap();
        let id = |timeline| TenantTimeline { tenant_id: TenantId(1), timeline_id: TimelineId(timeline) };
        let store = Store::open(directory.path()).unwrap();
        store.create(create(1)).unwrap();
        store.create(create(2)).unwrap();
        // Killed after it made 3's directory, after 1's tombstone, and while it removed 4.
        std::fs::create_dir(store.path(id(3))).unwrap();
        std::fs::create_dir(store.path(id(4))).unwrap();
        for gone in [1, 4] {
            std::fs::write(directory.path().join(format!("{}{TOMBSTONE}", id(gone))), "").unwrap();
        }
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.of_tenant(TenantId(1)), [id(2)]);
        assert!(!store.path(id(1)).exists() && !store.path(id(4)).exists());
        store.create(create(3)).unwrap();
        assert_eq!(store.create(create(1)).unwrap_err(), was_deleted(id(1)));
    }

    #[test]
    fn only_a_newer_configuration_is_taken_up() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.create(create(1)).unwrap();
        let id = TenantTimeline { tenant_id: TenantId(1), timeline_id: TimelineId(1) };
        let conf = |generation| MembershipConfig { generation, members: Vec::new(), new_members: None };
        let switched = store.switch(id, conf(3)).unwrap();
        assert_eq!((switched.previous_conf.generation, switched.current_conf.generation), (1, 3));
        assert_eq!(store.switch(id, conf(2)).unwrap().current_conf.generation, 3);
        assert!(store.exclude(id, NodeId(1), &conf(2)).is_err());
        assert!(store.exclude(id, NodeId(1), &conf(4)).unwrap().dir_existed);
        store.create(create(1)).unwrap();
    }
}
