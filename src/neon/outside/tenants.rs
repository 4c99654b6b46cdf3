//! Tenants: made, taken up, deleted.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::api::{TenantCreate, TenantImport, TenantMade, TenantView};
use super::super::bootstrap::MAIN;
use super::super::controller::Origin;
use super::super::ids::{BranchName, TenantId, TimelineId};
use super::super::plane::{Plane, PlaneError};
use super::super::server::{Answer, Asked};
use super::super::state::{Branch, Refusal, Tenant};
use super::super::wire::TenantDescription;
use super::{Result, imports, timelines};

pub(super) async fn list(plane: &Plane) -> Result<Vec<TenantView>> {
    let default = plane.memory.state().default_tenant;
    let all = plane.controller.tenants().await?;
    let view =
        |description: TenantDescription| TenantView { is_default: Some(description.tenant_id) == default, description };
    Ok(all.into_iter().map(view).collect())
}

pub(super) fn random<T>(made: std::result::Result<T, getrandom::Error>) -> Result<T> {
    made.map_err(|error| PlaneError::Disk(std::io::Error::other(error)))
}

pub(super) async fn create(plane: &Plane, body: TenantCreate) -> Result<TenantMade> {
    let tenant = body.tenant_id.map_or_else(|| random(TenantId::random()), Ok)?;
    let state = plane.memory.state();
    let main: BranchName = MAIN.parse().map_err(|error| PlaneError::Input(format!("{error}")))?;
    let known = state.tenants.get(&tenant).and_then(|known| known.branches.get(&main)).map(|branch| branch.timeline);
    let timeline = body.timeline_id.or(known).map_or_else(|| random(TimelineId::random()), Ok)?;
    let pg_version = body.pg_version.unwrap_or(plane.settings.pg_version);
    let mut more = body.config;
    if body.shard_count > 0 {
        let stripe_size = body.stripe_size.unwrap_or(2048);
        more.insert("shard_parameters".into(), json!({ "count": body.shard_count, "stripe_size": stripe_size }));
    }
    if let Some(placement) = body.placement {
        more.insert("placement_policy".into(), placement);
    }
    // Remembered before it is made: a call that is cut off can be made again.
    plane.memory.change(|state| {
        state.tenants.entry(tenant).or_default();
        Ok::<_, PlaneError>(state.add_branch(tenant, main.clone(), Branch { timeline, pg_version, created: false })?)
    })?;
    let made = plane.controller.create_tenant(tenant, &Value::Object(more)).await;
    if let Err(error) = made {
        if !error.is_transient() {
            forget_unmade(plane, tenant)?;
        }
        return Err(error.into());
    }
    let origin = Origin::Fresh { pg_version };
    let made = plane.controller.create_timeline(tenant, timeline, origin).await;
    made.map_err(|error| plane.explained(error, origin))?;
    plane.memory.change(|state| {
        let known = state.tenants.entry(tenant).or_default();
        known.created = true;
        known.branches.insert(main, Branch { timeline, pg_version, created: true });
        if body.set_default {
            state.default_tenant = Some(tenant);
        }
        Ok::<_, PlaneError>(())
    })?;
    Ok(TenantMade { tenant_id: tenant, timeline_id: timeline })
}

fn forget_unmade(plane: &Plane, tenant: TenantId) -> Result<()> {
    plane.memory.change(|state| {
        if state.tenants.get(&tenant).is_some_and(|known| !known.created) {
            state.tenants.remove(&tenant);
        }
        Ok::<_, PlaneError>(())
    })
}

pub(super) async fn route(
    plane: &Plane,
    method: &str,
    tenant: TenantId,
    rest: &[&str],
    asked: &Asked,
) -> Result<Answer> {
    Ok(match (method, rest) {
        ("DELETE", []) => {
            plane.memory.state().check_unserved(tenant, None)?;
            delete(plane, &format!("/v1/tenant/{tenant}")).await?;
            plane.memory.change(|state| {
                state.tenants.remove(&tenant);
                state.default_tenant = state.default_tenant.filter(|default| *default != tenant);
                Ok::<_, PlaneError>(())
            })?;
            Answer::ok(Value::Null)
        }
        ("POST", ["import"]) => match asked.json::<TenantImport>() {
            Ok(body) => Answer::ok(plane.import_tenant(tenant, body.set_default).await?),
            Err(answer) => answer,
        },
        (method, ["imports", rest @ ..]) => imports::route(plane, method, tenant, rest, asked).await?,
        ("PUT", ["default"]) => {
            let there = plane.controller.tenant(tenant).await?.is_some();
            there.then_some(()).ok_or(Refusal::NoTenant(tenant))?;
            plane.memory.change(|state| {
                state.tenants.entry(tenant).or_insert_with(|| Tenant { created: true, ..Tenant::default() });
                state.default_tenant = Some(tenant);
                Ok::<_, PlaneError>(())
            })?;
            Answer::ok(json!({ "tenant_id": tenant }))
        }
        ("GET", ["timelines"]) => Answer::ok(timelines::list(plane, tenant).await?),
        ("POST", ["timelines"]) => match asked.json() {
            Ok(body) => Answer::ok(timelines::create(plane, tenant, body).await?),
            Err(answer) => answer,
        },
        ("PUT", ["timelines", branch, "archival"]) => timelines::archive(plane, tenant, branch, asked).await?,
        ("PUT", ["timelines", branch, "safekeepers"]) => match asked.json() {
            Ok(body) => Answer::ok(timelines::other_safekeepers(plane, tenant, branch, body).await?),
            Err(answer) => answer,
        },
        ("DELETE", ["timelines", branch]) => {
            timelines::delete_timeline(plane, tenant, branch).await?;
            Answer::ok(Value::Null)
        }
        _ => Answer::no_route(asked),
    })
}

pub(super) async fn delete(plane: &Plane, path: &str) -> Result<()> {
    let (status, body) = plane.controller.call(Method::DELETE, path, None).await?;
    if status.is_success() || status == StatusCode::NOT_FOUND {
        return Ok(());
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Err(PlaneError::Input(format!("the storage controller answered {status}: {body}")))
}
