//! What a pageserver knows of a timeline without having its pages.

use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

use crate::http::ApiError;
use crate::ids::{Lsn, TenantShardId, TimelineId};
use crate::wire::timeline::{PgMajor, TimelineCreateRequestMode, TimelineInfo};

/// The real program counts a timeline's size in the background.
const SIZE_KNOWN_AFTER: Duration = Duration::from_secs(1);

/// What is kept of a timeline in remote storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub id: TimelineId,
    pub ancestor: Option<Ancestor>,
    pub pg_version: PgMajor,
    pub initdb_lsn: Lsn,
    pub prev_record_lsn: Lsn,
    pub last_record_lsn: Lsn,
    pub archived: bool,
}

/// Where a branch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    pub id: TimelineId,
    pub lsn: Lsn,
}

/// A timeline of an attached shard.
#[derive(Debug, Clone)]
pub struct Timeline {
    pub index: Index,
    origin: Origin,
    /// Made or loaded then.
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Here, in this generation; the controller may have validated that generation since.
    Created { validated: bool },
    /// From remote storage.
    Loaded,
}

/// What a real initdb leaves. 16 and 17 as recorded; 14 and 15 weren't, and have numbers of the same kind.
struct Initdb {
    start: u64,
    end: u64,
    logical_size: u64,
    physical_size: u64,
}

fn initdb(version: PgMajor) -> Initdb {
    let (start, logical_size) = match version.0 {
        14 => (0x0169_65D8, 22_437_888),
        15 => (0x014E_E0B8, 22_667_264),
        16 => (0x014D_DE18, 22_978_560),
        _ => (0x014D_8A38, 22_953_984),
    };
    Initdb { start, end: start + 0x78, logical_size, physical_size: logical_size + 204_800 }
}

/// A request that names an existing id with other data.
pub fn exists_differently() -> ApiError {
    ApiError::Plain(axum::http::StatusCode::CONFLICT, "timeline already exists with different parameters".into())
}

/// Refused branches; the texts and codes are the recorded ones.
pub fn unknown_ancestor(shard: TenantShardId, id: TimelineId) -> ApiError {
    ApiError::Internal(format!(
        "Cannot branch off the timeline that's not present in pageserver: Timeline {shard}/{id} was not found"
    ))
}

fn not_acceptable(why: String) -> ApiError {
    ApiError::Plain(axum::http::StatusCode::NOT_ACCEPTABLE, why)
}

/// Whether a branch can begin where it is asked to.
#[derive(Debug, PartialEq, Eq)]
pub enum Branch {
    At(Lsn),
    /// The ancestor has no such position yet.
    NotYet,
}

impl Timeline {
    pub fn loaded(index: Index) -> Self {
        Self { index, origin: Origin::Loaded, since: Instant::now() }
    }

    pub fn created(index: Index) -> Self {
        Self { index, origin: Origin::Created { validated: false }, since: Instant::now() }
    }

    /// As after initdb.
    pub fn bootstrap(id: TimelineId, version: PgMajor) -> Self {
        let initdb = initdb(version);
        Self::created(Index {
            id,
            ancestor: None,
            pg_version: version,
            initdb_lsn: Lsn(initdb.start),
            prev_record_lsn: Lsn(initdb.start),
            last_record_lsn: Lsn(initdb.end),
            archived: false,
        })
    }

    /// As after the import of a base backup of this moment.
    pub fn imported(id: TimelineId, version: PgMajor, lsn: Lsn) -> Self {
        Self::created(Index {
            id,
            ancestor: None,
            pg_version: version,
            initdb_lsn: lsn,
            prev_record_lsn: lsn,
            last_record_lsn: lsn,
            archived: false,
        })
    }

    /// A branch off this one.
    pub fn branch(&self, id: TimelineId, lsn: Lsn) -> Self {
        let index = &self.index;
        Self::created(Index {
            id,
            ancestor: Some(Ancestor { id: index.id, lsn }),
            last_record_lsn: lsn,
            archived: false,
            ..index.clone()
        })
    }

    /// Nothing is ever collected here, so the cutoff stays at the first record.
    fn gc_cutoff(&self) -> Lsn {
        self.index.initdb_lsn
    }

    /// May a branch begin at `start`, or at the end if none is given?
    pub fn branch_point(&self, start: Option<Lsn>) -> Result<Branch, ApiError> {
        if self.index.archived {
            return Err(not_acceptable("ancestor timeline is archived".into()));
        }
        let lsn = start.unwrap_or(self.index.last_record_lsn);
        let cutoff = self.gc_cutoff();
        if lsn < cutoff {
            return Err(not_acceptable(format!(
                "invalid branch start lsn: less than latest GC cutoff {cutoff}: LSN {lsn} is earlier than latest GC \
                 cutoff {cutoff} (we might've already garbage collected needed data)"
            )));
        }
        Ok(if lsn > self.index.last_record_lsn { Branch::NotYet } else { Branch::At(lsn) })
    }

    /// A repeated create is answered as the first one was, if it asks for the same.
    pub fn was_asked_for(&self, mode: &TimelineCreateRequestMode) -> bool {
        let index = &self.index;
        match mode {
            TimelineCreateRequestMode::Branch { ancestor_timeline_id, ancestor_start_lsn, pg_version, .. } => {
                index.ancestor.is_some_and(|ancestor| {
                    ancestor.id == *ancestor_timeline_id && ancestor_start_lsn.is_none_or(|lsn| lsn == ancestor.lsn)
                }) && pg_version.is_none_or(|version| version == index.pg_version)
            }
            TimelineCreateRequestMode::ImportPgdata { .. } => false,
            TimelineCreateRequestMode::Bootstrap { pg_version, .. } => {
                index.ancestor.is_none() && pg_version.unwrap_or(PgMajor::DEFAULT) == index.pg_version
            }
        }
    }

    /// The controller says that this shard's generation is still the last one.
    pub fn validated(&mut self) {
        if let Origin::Created { validated } = &mut self.origin {
            *validated = true;
        }
    }

    pub fn needs_validation(&self) -> bool {
        self.origin == Origin::Created { validated: false }
    }

    /// Bytes on disk, if there were pages.
    pub fn physical_size(&self) -> u64 {
        if self.index.ancestor.is_some() { 0 } else { initdb(self.index.pg_version).physical_size }
    }

    /// As answered to GETs, and to a repeated create.
    pub fn info(&self, shard: TenantShardId) -> TimelineInfo {
        let index = &self.index;
        let is_bootstrap = self.origin != Origin::Loaded && index.ancestor.is_none();
        let size_known = is_bootstrap || self.since.elapsed() > SIZE_KNOWN_AFTER;
        let (remote, visible) = match self.origin {
            Origin::Created { validated: true } => (index.last_record_lsn, index.last_record_lsn),
            Origin::Created { validated: false } => (index.last_record_lsn, Lsn::INVALID),
            Origin::Loaded => (Lsn::INVALID, index.last_record_lsn),
        };
        TimelineInfo {
            tenant_id: shard,
            timeline_id: index.id,
            ancestor_timeline_id: index.ancestor.map(|ancestor| ancestor.id),
            ancestor_lsn: index.ancestor.map(|ancestor| ancestor.lsn),
            last_record_lsn: index.last_record_lsn,
            prev_record_lsn: Some(index.prev_record_lsn),
            applied_gc_cutoff_lsn: self.gc_cutoff(),
            min_readable_lsn: self.gc_cutoff(),
            disk_consistent_lsn: index.last_record_lsn,
            remote_consistent_lsn: remote,
            remote_consistent_lsn_visible: visible,
            initdb_lsn: index.initdb_lsn,
            current_logical_size: if size_known { initdb(index.pg_version).logical_size } else { 0 },
            current_logical_size_is_accurate: size_known,
            directory_entries_counts: if is_bootstrap { vec![4, 0, 296, 0, 1, 1, 1, 0] } else { vec![0; 8] },
            current_physical_size: Some(self.physical_size()),
            current_logical_size_non_incremental: None,
            pitr_history_size: index.last_record_lsn.0,
            within_ancestor_pitr: false,
            timeline_dir_layer_file_size_sum: None,
            wal_source_connstr: None,
            last_received_msg_lsn: None,
            last_received_msg_ts: None,
            pg_version: index.pg_version.0,
            state: "Active".into(),
            walreceiver_status: ": disconnected, safekeeper candidates (id|update_time|commit_lsn): []".into(),
            is_archived: Some(index.archived),
            rel_size_migration: Some("legacy".into()),
            rel_size_migrated_at: None,
            is_invisible: Some(false),
            image_consistent_lsn: None,
        }
    }

    /// As answered to the create itself: nobody has looked for WAL yet.
    pub fn info_at_birth(&self, shard: TenantShardId) -> TimelineInfo {
        TimelineInfo { walreceiver_status: "Not active".into(), ..self.info(shard) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> TimelineId {
        TimelineId(number)
    }

    #[test]
    fn a_branch_begins_within_its_ancestor() {
        let main = Timeline::bootstrap(id(1), PgMajor(17));
        assert_eq!(main.branch_point(None), Ok(Branch::At("0/14D8AB0".parse().unwrap())));
        assert_eq!(main.branch_point(Some("F/0".parse().unwrap())), Ok(Branch::NotYet));
        let refused = main.branch_point(Some("0/10".parse().unwrap())).unwrap_err();
        assert_eq!(refused.status().as_u16(), 406);
        assert_eq!(
            refused.to_string(),
            "invalid branch start lsn: less than latest GC cutoff 0/14D8A38: LSN 0/10 is earlier than latest GC cutoff \
             0/14D8A38 (we might've already garbage collected needed data)"
        );
    }

    #[test]
    fn only_the_same_request_may_be_repeated() {
        let main = Timeline::bootstrap(id(1), PgMajor(17));
        let bootstrap =
            |version| TimelineCreateRequestMode::Bootstrap { existing_initdb_timeline_id: None, pg_version: version };
        assert!(main.was_asked_for(&bootstrap(None)));
        assert!(!main.was_asked_for(&bootstrap(Some(PgMajor(16)))));
        let branch = main.branch(id(2), main.index.last_record_lsn);
        assert!(!branch.was_asked_for(&bootstrap(None)));
        let again = |lsn| TimelineCreateRequestMode::Branch {
            ancestor_timeline_id: id(1),
            ancestor_start_lsn: lsn,
            read_only: false,
            pg_version: None,
        };
        assert!(branch.was_asked_for(&again(None)));
        assert!(!branch.was_asked_for(&again(Some(Lsn(1)))));
    }
}
