//! Making, deleting and changing timelines.

use axum::http::StatusCode;
use tokio::time::timeout;

use super::Pageserver;
use super::tenants::{Shard, Tenants};
use super::timelines::{Branch, Timeline, exists_differently, unknown_ancestor};
use crate::http::ApiError;
use crate::ids::{TenantShardId, TimelineId};
use crate::wire::timeline::{
    ArchivalState, PgMajor, TimelineCreateRequest, TimelineCreateRequestMode as Mode, TimelineInfo,
};

/// What one look at the shard came to.
enum Outcome {
    Done(Box<TimelineInfo>),
    /// The ancestor hasn't got as far as the branch is to begin.
    NotYet,
}

/// A branch at a position that isn't there yet waits for it, as in the real program. Here it never comes, so this ends
/// when the tenant goes away or the time is over.
pub async fn create(
    server: &Pageserver,
    id: TenantShardId,
    request: &TimelineCreateRequest,
) -> Result<TimelineInfo, ApiError> {
    check_initdb(server, id, request)?;
    let made = timeout(server.config.wait_lsn_timeout, attempts(&server.tenants, id, request)).await;
    made.unwrap_or_else(|_| Err(ApiError::Internal("timed out waiting for the branch's start LSN".into())))
}

/// An image may have fewer versions of Postgres than Neon has. The text is the real program's, as far as it is known.
fn check_initdb(server: &Pageserver, id: TenantShardId, request: &TimelineCreateRequest) -> Result<(), ApiError> {
    let Mode::Bootstrap { existing_initdb_timeline_id: None, pg_version } = request.mode else { return Ok(()) };
    let version = pg_version.unwrap_or(PgMajor::DEFAULT).0;
    let is_there =
        || server.tenants.with_attached(id, |shard| Ok(shard.timelines.contains_key(&request.new_timeline_id)));
    if !server.faults.no_postgres.contains(&version) || is_there()? {
        return Ok(());
    }
    let why =
        r#"run initdb: failed to execute initdb: Os { code: 2, kind: NotFound, message: "No such file or directory" }"#;
    Err(ApiError::Internal(why.to_owned()))
}

async fn attempts(
    tenants: &Tenants,
    id: TenantShardId,
    request: &TimelineCreateRequest,
) -> Result<TimelineInfo, ApiError> {
    let mut waited = false;
    loop {
        let changed = tenants.changed.notified();
        match attempt(tenants, id, request) {
            Ok(Outcome::Done(info)) => return Ok(*info),
            Ok(Outcome::NotYet) => waited = true,
            Err(ApiError::NotFound(_)) if waited => return Err(ApiError::Unavailable("tenant shutting down".into())),
            Err(error) => return Err(error),
        }
        changed.await;
    }
}

fn attempt(tenants: &Tenants, id: TenantShardId, request: &TimelineCreateRequest) -> Result<Outcome, ApiError> {
    tenants.with_attached(id, |shard| {
        let new = request.new_timeline_id;
        if let Some(existing) = shard.timelines.get(&new) {
            let same = existing.was_asked_for(&request.mode);
            return if same { Ok(Outcome::Done(Box::new(existing.info(id)))) } else { Err(exists_differently()) };
        }
        let timeline = match &request.mode {
            Mode::Bootstrap { pg_version, .. } => Timeline::bootstrap(new, pg_version.unwrap_or(PgMajor::DEFAULT)),
            Mode::ImportPgdata { .. } => return Err(ApiError::not_simulated("import_pgdata")),
            Mode::Branch { ancestor_timeline_id, ancestor_start_lsn, .. } => {
                let ancestor = shard.timelines.get(ancestor_timeline_id);
                let ancestor = ancestor.ok_or_else(|| unknown_ancestor(id, *ancestor_timeline_id))?;
                match ancestor.branch_point(*ancestor_start_lsn)? {
                    Branch::At(lsn) => ancestor.branch(new, lsn),
                    Branch::NotYet => return Ok(Outcome::NotYet),
                }
            }
        };
        tenants.save(id, shard, &timeline.index)?;
        let info = timeline.info_at_birth(id);
        shard.timelines.insert(new, timeline);
        Ok(Outcome::Done(Box::new(info)))
    })
}

/// 202 for one that is deleted now, 404 for one that isn't there (any more), 412 for one with branches.
pub fn delete(tenants: &Tenants, id: TenantShardId, timeline: TimelineId) -> Result<StatusCode, ApiError> {
    tenants.with_attached(id, |shard| {
        let children = children(shard, timeline);
        if !children.is_empty() {
            return Err(ApiError::Precondition(format!(
                "Cannot delete timeline which has child timelines: [{}]",
                children.join(", ")
            )));
        }
        if shard.timelines.remove(&timeline).is_none() {
            return Err(ApiError::NotFound("timeline not found".into()));
        }
        tenants.forget_timeline(id, timeline)?;
        Ok(StatusCode::ACCEPTED)
    })
}

fn children(shard: &Shard, parent: TimelineId) -> Vec<String> {
    let of_parent = |timeline: &&Timeline| timeline.index.ancestor.is_some_and(|ancestor| ancestor.id == parent);
    shard.timelines.values().filter(of_parent).map(|timeline| timeline.index.id.to_string()).collect()
}

/// 404 of a timeline that was asked for by its id.
pub fn no_timeline(id: TenantShardId, timeline: TimelineId) -> ApiError {
    ApiError::NotFound(format!("Timeline {id}/{timeline} was not found"))
}

/// A timeline of an attached shard, as answered to GETs.
pub fn info(tenants: &Tenants, id: TenantShardId, timeline: TimelineId) -> Result<TimelineInfo, ApiError> {
    tenants.with_attached(id, |shard| {
        let found = shard.timelines.get(&timeline).ok_or_else(|| no_timeline(id, timeline))?;
        Ok(found.info(id))
    })
}

pub fn archive(
    tenants: &Tenants,
    id: TenantShardId,
    timeline: TimelineId,
    state: ArchivalState,
) -> Result<(), ApiError> {
    tenants.with_attached(id, |shard| {
        let Some(found) = shard.timelines.get_mut(&timeline) else {
            return Err(no_timeline(id, timeline));
        };
        found.index.archived = state == ArchivalState::Archived;
        let index = found.index.clone();
        tenants.save(id, shard, &index)
    })
}
