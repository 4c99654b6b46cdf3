//! A timeline out of a base backup (`import_basebackup`), and the WAL that was written meanwhile (`import_wal`). The
//! archives are read and checked; their pages are not kept.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http_body_util::BodyExt;
use serde::Deserialize;

use super::Pageserver;
use super::archive::{Archive, Entry};
use super::lifecycle::no_timeline;
use super::timelines::Timeline;
use crate::http::{Answer, ApiError, Query, in_path, null};
use crate::ids::{Lsn, TenantId, TenantShardId, TimelineId};
use crate::wire::timeline::PgMajor;

type Server = State<Arc<Pageserver>>;

/// All of them have to be there.
#[derive(Debug, Deserialize)]
pub struct Base {
    base_lsn: Lsn,
    end_lsn: Lsn,
    pg_version: u32,
}

#[derive(Debug, Deserialize)]
pub struct Wal {
    start_lsn: Lsn,
    end_lsn: Lsn,
}

/// A tenant's id, and not a shard's: there is no import into shards.
fn ids((tenant, timeline): &(String, String)) -> Result<(TenantShardId, TimelineId), ApiError> {
    let tenant: TenantId = in_path("tenant_id", tenant)?;
    Ok((TenantShardId::unsharded(tenant), in_path("timeline_id", timeline)?))
}

/// `PUT …/timeline/:id/import_basebackup`: the timeline must not be there, and is not there afterwards if this fails.
pub async fn base(
    State(server): Server,
    Path(path): Path<(String, String)>,
    Query(asked): Query<Base>,
    body: Body,
) -> Answer<()> {
    let (id, timeline) = ids(&path)?;
    let version = PgMajor::known(asked.pg_version)
        .ok_or_else(|| ApiError::BadRequest(format!("cannot parse query param pg_version: {}", asked.pg_version)))?;
    if asked.end_lsn < asked.base_lsn {
        return Err(ApiError::Internal(format!("end_lsn {} is before base_lsn {}", asked.end_lsn, asked.base_lsn)));
    }
    must_be_new(&server, id, timeline)?;
    let entries = read(body).await?;
    check_base(&entries, version)?;
    must_be_new(&server, id, timeline)?;
    server.tenants.with_attached(id, |shard| {
        let made = Timeline::imported(timeline, version, asked.base_lsn);
        server.tenants.save(id, shard, &made.index)?;
        shard.timelines.insert(timeline, made);
        Ok(())
    })?;
    tracing::info!(
        "timeline {timeline} imported at {}, {} files; their pages are not kept",
        asked.base_lsn,
        entries.len()
    );
    Ok(null())
}

/// `PUT …/timeline/:id/import_wal`: from where the timeline ends now.
pub async fn wal(
    State(server): Server,
    Path(path): Path<(String, String)>,
    Query(asked): Query<Wal>,
    body: Body,
) -> Answer<()> {
    let (id, timeline) = ids(&path)?;
    let check = |found: &Timeline| {
        let last = found.index.last_record_lsn;
        if last == asked.start_lsn {
            return Ok(());
        }
        Err(ApiError::Internal(format!(
            "Cannot import WAL from Lsn {} because timeline does not start from the same lsn: {last}",
            asked.start_lsn
        )))
    };
    let found = |shard: &mut super::tenants::Shard| {
        check(shard.timelines.get(&timeline).ok_or_else(|| no_timeline(id, timeline))?)
    };
    server.tenants.with_attached(id, found)?;
    let entries = read(body).await?;
    if !entries.iter().any(|entry| is_segment(&entry.name)) {
        return Err(ApiError::Internal("no WAL segment in the archive".into()));
    }
    server.tenants.with_attached(id, |shard| {
        let found = shard.timelines.get_mut(&timeline).ok_or_else(|| no_timeline(id, timeline))?;
        check(found)?;
        found.index.last_record_lsn = asked.end_lsn;
        let index = found.index.clone();
        server.tenants.save(id, shard, &index)
    })?;
    server.tenants.changed.notify_waiters();
    Ok(null())
}

fn must_be_new(server: &Pageserver, id: TenantShardId, timeline: TimelineId) -> Result<(), ApiError> {
    server.tenants.with_attached(id, |shard| {
        if shard.timelines.contains_key(&timeline) {
            return Err(ApiError::Internal(format!("timeline {id}/{timeline} already exists")));
        }
        Ok(())
    })
}

/// As it comes; nothing of it is held.
async fn read(mut body: Body) -> Result<Vec<Entry>, ApiError> {
    let broken = |why: String| ApiError::Internal(format!("failed to import: {why}"));
    let mut archive = Archive::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(error.to_string()))?;
        frame.data_ref().map_or(Ok(()), |data| archive.feed(data)).map_err(broken)?;
    }
    archive.end().map_err(broken)
}

/// What a base backup can't be without.
fn check_base(entries: &[Entry], version: PgMajor) -> Result<(), ApiError> {
    let find = |name: &str| entries.iter().find(|entry| entry.name == name);
    if find("global/pg_control").is_none() {
        return Err(ApiError::Internal("failed to import: pg_control file not found".into()));
    }
    let said = find("PG_VERSION").map(|entry| String::from_utf8_lossy(&entry.begin).trim().to_owned());
    if said.as_deref().is_some_and(|said| said != version.0.to_string()) {
        let said = said.unwrap_or_default();
        return Err(ApiError::Internal(format!(
            "failed to import: the backup is of Postgres {said}, not {}",
            version.0
        )));
    }
    Ok(())
}

/// 24 hexadecimal digits, wherever it is.
fn is_segment(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or_default();
    name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_backup_has_its_control_file_and_its_version() {
        let entry = |name: &str, begin: &str| Entry { name: name.into(), size: 9, begin: begin.into() };
        let control = entry("global/pg_control", "");
        let why = |entries: &[Entry]| check_base(entries, PgMajor(16)).map_err(|error| error.to_string());
        assert_eq!(why(&[control.clone(), entry("PG_VERSION", "16\n")]), Ok(()));
        assert_eq!(why(&[entry("PG_VERSION", "16\n")]), Err("failed to import: pg_control file not found".into()));
        let other = why(&[control, entry("PG_VERSION", "17\n")]);
        assert_eq!(other, Err("failed to import: the backup is of Postgres 17, not 16".into()));
    }

    #[test]
    fn segments_are_known_by_their_names() {
        assert!(is_segment("000000010000000000000002") && is_segment("pg_wal/000000010000000000000002"));
        assert!(!is_segment("base.tar") && !is_segment("00000001000000000000000z"));
    }
}
