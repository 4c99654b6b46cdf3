//! Timelines: made, put aside, deleted.

use hyper::Method;
use serde_json::Value;

use super::super::api::{SafekeepersWanted, TimelineCreate, TimelineView};
use super::super::controller::Origin;
use super::super::ids::{Lsn, TenantId, TimelineId};
use super::super::plane::{Plane, PlaneError};
use super::super::server::{Answer, Asked};
use super::super::state::Branch;
use super::super::wire::TimelineInfo;
use super::Result;
use super::tenants::{delete, random};

pub(super) async fn list(plane: &Plane, tenant: TenantId) -> Result<Vec<TimelineView>> {
    let infos = plane.controller.timelines(tenant).await?;
    let state = plane.memory.state();
    let branches = state.tenants.get(&tenant).map(|known| known.branches.clone()).unwrap_or_default();
    let name = |id: TimelineId| branches.iter().find(|(_, branch)| branch.timeline == id).map(|(name, _)| name.clone());
    Ok(infos.into_iter().map(|info| TimelineView { branch: name(info.timeline_id), info }).collect())
}

pub(super) async fn info_of(plane: &Plane, tenant: TenantId, timeline: TimelineId) -> Result<TimelineInfo> {
    let infos = plane.controller.timelines(tenant).await?;
    let found = infos.into_iter().find(|info| info.timeline_id == timeline);
    found.ok_or_else(|| PlaneError::NotYet(format!("timeline {timeline} is not on its pageserver")))
}

/// The storage controller would wait for a position in the future, and hold the tenant meanwhile.
pub(super) fn check_position(info: &TimelineInfo, lsn: Lsn) -> Result<()> {
    let first = info.min_readable_lsn.or(info.ancestor_lsn).unwrap_or(Lsn(0));
    if lsn > info.last_record_lsn || lsn < first {
        let range = format!("it has {first} to {}", info.last_record_lsn);
        return Err(PlaneError::Input(format!("{lsn} is outside of timeline {}: {range}", info.timeline_id)));
    }
    Ok(())
}

pub(super) async fn create(plane: &Plane, tenant: TenantId, body: TimelineCreate) -> Result<TimelineView> {
    let state = plane.memory.state();
    let (origin, pg_version) = match &body.ancestor {
        Some(text) => {
            let (_, ancestor) = state.branch(tenant, text)?;
            let info = info_of(plane, tenant, ancestor.timeline).await?;
            body.at.map_or(Ok(()), |lsn| check_position(&info, lsn))?;
            (Origin::Ancestor { timeline: ancestor.timeline, at: body.at }, info.pg_version)
        }
        None if body.at.is_some() => return Err(PlaneError::Input("a position needs an ancestor".into())),
        None => {
            let pg_version = body.pg_version.unwrap_or(plane.settings.pg_version);
            (Origin::Fresh { pg_version }, pg_version)
        }
    };
    let known = state.tenants.get(&tenant).and_then(|known| known.branches.get(&body.branch)).copied();
    // The name of a call that was cut off is still free for its repetition.
    let unfinished = known.filter(|branch| !branch.created).map(|branch| branch.timeline);
    let timeline = body.timeline_id.or(unfinished).map_or_else(|| random(TimelineId::random()), Ok)?;
    plane.memory.change(|state| {
        let branch = Branch { timeline, pg_version, created: false };
        Ok::<_, PlaneError>(state.add_branch(tenant, body.branch.clone(), branch)?)
    })?;
    let made = plane.controller.create_timeline(tenant, timeline, origin).await;
    let failed = made.as_ref().is_err_and(|error| !error.is_transient());
    plane.memory.change(|state| {
        if let Some(known) = state.tenants.get_mut(&tenant) {
            if failed && known.branches.get(&body.branch).is_some_and(|branch| !branch.created) {
                known.branches.remove(&body.branch);
            } else if let Some(branch) = known.branches.get_mut(&body.branch).filter(|_| made.is_ok()) {
                branch.created = true;
            }
        }
        Ok::<_, PlaneError>(())
    })?;
    Ok(TimelineView { branch: Some(body.branch), info: made.map_err(|error| plane.explained(error, origin))? })
}

/// One that an endpoint serves isn't put aside.
pub(super) async fn archive(plane: &Plane, tenant: TenantId, text: &str, asked: &Asked) -> Result<Answer> {
    let body: Value = match asked.json() {
        Ok(body) => body,
        Err(answer) => return Ok(answer),
    };
    let state = plane.memory.state();
    let (name, branch) = state.branch(tenant, text)?;
    if body["state"] == "Archived" {
        state.check_unserved(tenant, Some(name))?;
    }
    let path = format!("/v1/tenant/{tenant}/timeline/{}/archival_config", branch.timeline);
    let (status, body) = plane.controller.call(Method::PUT, &path, Some(&body)).await?;
    Ok(Answer { status, body })
}

/// When it is back, endpoints of the branch write to these.
pub(super) async fn other_safekeepers(
    plane: &Plane,
    tenant: TenantId,
    text: &str,
    wanted: SafekeepersWanted,
) -> Result<()> {
    let timeline = plane.memory.state().branch(tenant, text)?.1.timeline;
    let known = plane.controller.safekeepers().await?;
    let mut zones = std::collections::BTreeSet::new();
    for id in &wanted.safekeepers {
        let found = known.iter().find(|known| known.id == *id);
        let found = found.ok_or_else(|| PlaneError::Input(format!("there is no safekeeper {id}")))?;
        if !zones.insert(found.availability_zone_id.as_str()) {
            return Err(PlaneError::Input(format!(
                "no two of them may be in one zone: {}",
                found.availability_zone_id
            )));
        }
    }
    Ok(plane.controller.migrate_safekeepers(tenant, timeline, &wanted.safekeepers).await?)
}

/// A timeline with branches of its own is refused here: the controller would first take it off the safekeepers.
pub(super) async fn delete_timeline(plane: &Plane, tenant: TenantId, text: &str) -> Result<()> {
    let state = plane.memory.state();
    let (name, branch) = state.branch(tenant, text)?;
    let timeline = branch.timeline;
    state.check_unserved(tenant, Some(name))?;
    let infos = plane.controller.timelines(tenant).await?;
    if let Some(child) = infos.iter().find(|info| info.ancestor_timeline_id == Some(timeline)) {
        return Err(PlaneError::Input(format!("branch {name} has branches itself: timeline {}", child.timeline_id)));
    }
    delete(plane, &format!("/v1/tenant/{tenant}/timeline/{timeline}")).await?;
    let name = name.clone();
    plane.memory.change(|state| {
        if let Some(known) = state.tenants.get_mut(&tenant) {
            known.branches.remove(&name);
            known.safekeepers.remove(&timeline);
        }
        Ok::<_, PlaneError>(())
    })
}
