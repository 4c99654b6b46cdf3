//! What the command line asks a control plane ([`super::api`] has the bodies).

use std::sync::Arc;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::api::{
    EndpointCreate, EndpointView, LoginView, Overview, SafekeepersWanted, Stopped, StorageTokenWanted, TenantCreate,
    TenantImport, TenantMade, TenantView, TimelineCreate, TimelineView, Token, TokenWanted,
};
use super::bootstrap::MAIN;
use super::compute::Compute;
use super::controller::Origin;
use super::ids::{BranchName, EndpointName, Lsn, TenantId, TimelineId};
use super::keys::same_secret;
use super::plane::{HOOK_LIMIT, Plane, PlaneError, Told};
use super::server::{Answer, Asked};
use super::state::{Branch, Endpoint, Mode, State, Tenant};
use super::tokens;
use super::wire::TimelineInfo;

/// How long tokens for people hold, in seconds.
const DAY: i64 = 24 * 60 * 60;

type Result<T> = std::result::Result<T, PlaneError>;

/// Answers one call.
pub(super) async fn handle(plane: Arc<Plane>, token: Arc<str>, asked: Asked) -> Answer {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    match (asked.method.as_str(), path.as_slice()) {
        ("GET", ["status"]) => return Answer::ok(Value::Null),
        ("GET", ["ready"]) => return ready(&plane),
        _ => {}
    }
    if !asked.token.as_ref().is_some_and(|given| same_secret(given, &token)) {
        return Answer::problem(StatusCode::UNAUTHORIZED, "this call wants the control plane's token");
    }
    let ["v1", path @ ..] = path.as_slice() else { return Answer::no_route(&asked) };
    match route(&plane, &asked, path).await {
        Ok(answer) => answer,
        Err(error) => Answer::problem(error.status(), error),
    }
}

fn ready(plane: &Plane) -> Answer {
    match plane.waits_for() {
        None => Answer::ok(Value::Null),
        Some(what) => Answer::problem(StatusCode::SERVICE_UNAVAILABLE, what),
    }
}

async fn route(plane: &Plane, asked: &Asked, path: &[&str]) -> Result<Answer> {
    Ok(match (asked.method.as_str(), path) {
        ("GET", ["state"]) => Answer::ok(overview(plane)),
        ("GET", ["login"]) => {
            let login = plane.settings.login.clone();
            Answer::ok(LoginView { role: login.role, password: login.password, database: login.database })
        }
        ("POST", ["endpoints"]) => match asked.json() {
            Ok(body) => Answer::ok(create_endpoint(plane, body).await?),
            Err(answer) => answer,
        },
        (method, ["endpoints", name, rest @ ..]) => endpoint(plane, method, name, rest, asked).await?,
        ("POST", ["jwt"]) => match asked.json() {
            Ok(wanted) => Answer::ok(storage_token(plane, &wanted)?),
            Err(answer) => answer,
        },
        ("GET", ["tenants"]) => Answer::ok(tenants(plane).await?),
        ("POST", ["tenants"]) => match asked.json() {
            Ok(body) => Answer::ok(create_tenant(plane, body).await?),
            Err(answer) => answer,
        },
        (method, ["tenants", tenant, rest @ ..]) => {
            let tenant = tenant_of(&plane.memory.state(), tenant)?;
            tenant_route(plane, method, tenant, rest, asked).await?
        }
        (_, ["controller", ..]) => pass_on(plane, asked).await?,
        _ => Answer::no_route(asked),
    })
}

/// An id, or `-` for the default one.
fn tenant_of(state: &State, text: &str) -> Result<TenantId> {
    let given = match text {
        "-" => None,
        text => Some(text.parse().map_err(|error| PlaneError::Input(format!("{error}")))?),
    };
    Ok(state.tenant_id(given)?)
}

/// Everything that the storage controller does without this program's knowing: the call as it is.
async fn pass_on(plane: &Plane, asked: &Asked) -> Result<Answer> {
    let path = asked.target.strip_prefix("/v1/controller").unwrap_or(&asked.target);
    let body: Option<Value> = match asked.body.as_ref() {
        [] => None,
        body => Some(serde_json::from_slice(body).map_err(|error| PlaneError::Input(error.to_string()))?),
    };
    let (status, body) = plane.controller.call(asked.method.clone(), path, body.as_ref()).await?;
    Ok(Answer { status, body })
}

fn overview(plane: &Plane) -> Overview {
    let state = plane.memory.state();
    let endpoints = state.endpoints.iter().map(|(name, endpoint)| view(plane, &state, name, endpoint)).collect();
    let warnings = plane.room().into_iter().collect();
    Overview { waits_for: plane.waits_for(), default_tenant: state.default_tenant, endpoints, warnings }
}

fn view(plane: &Plane, state: &State, name: &EndpointName, endpoint: &Endpoint) -> EndpointView {
    let branch = state.branch(endpoint.tenant, endpoint.branch.as_str()).ok().map(|(_, branch)| *branch);
    EndpointView {
        name: name.clone(),
        tenant: endpoint.tenant,
        branch: endpoint.branch.clone(),
        timeline: branch.map(|branch| branch.timeline),
        pg_version: branch.map_or(plane.settings.pg_version, |branch| branch.pg_version),
        mode: endpoint.mode,
        stopped: endpoint.stopped,
        declared: endpoint.declared,
        said: plane.said(name),
    }
}

async fn create_endpoint(plane: &Plane, body: EndpointCreate) -> Result<EndpointView> {
    let state = plane.memory.state();
    let tenant = state.tenant_id(body.tenant)?;
    let (branch, found) = state.branch(tenant, &body.branch)?;
    let (branch, timeline) = (branch.clone(), found.timeline);
    if let Mode::Static(lsn) = body.mode {
        let info = info_of(plane, tenant, timeline).await?;
        check_position(&info, lsn)?;
        // Without it, pages of that moment may be collected before the endpoint holds them itself.
        let path = format!("/v1/tenant/{tenant}/timeline/{timeline}/lsn_lease");
        let (status, answer) = plane.controller.call(Method::POST, &path, Some(&json!({ "lsn": lsn }))).await?;
        if !status.is_success() {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            return Err(PlaneError::Input(format!("no lease for {lsn}: {answer}")));
        }
    }
    let endpoint = Endpoint {
        tenant,
        branch,
        mode: body.mode,
        stopped: false,
        allow_multiple: body.allow_multiple,
        declared: false,
        promoting: false,
    };
    let name = body.name;
    plane.memory.change(|state| {
        state.add_endpoint(name.clone(), endpoint)?;
        Ok::<_, PlaneError>(())
    })?;
    let state = plane.memory.state();
    Ok(view(plane, &state, &name, state.endpoint(&name)?))
}

async fn endpoint(plane: &Plane, method: &str, name: &str, rest: &[&str], asked: &Asked) -> Result<Answer> {
    let name: EndpointName = name.parse().map_err(|error| PlaneError::Input(format!("{error}")))?;
    Ok(match (method, rest) {
        ("GET", []) => {
            let state = plane.memory.state();
            Answer::ok(view(plane, &state, &name, state.endpoint(&name)?))
        }
        ("DELETE", []) => {
            plane.memory.change(|state| Ok::<_, PlaneError>(state.remove_endpoint(&name)?))?;
            Answer::ok(Value::Null)
        }
        ("POST", ["start"]) => {
            plane.memory.change(|state| Ok::<_, PlaneError>(state.set_stopped(&name, false)?))?;
            Answer::ok(Value::Null)
        }
        ("POST", ["stop"]) => Answer::ok(stop(plane, &name).await?),
        ("POST", ["reconfigure"]) => {
            plane.memory.state().endpoint(&name)?;
            match plane.tell(&name, HOOK_LIMIT).await? {
                Told::Done => Answer::ok(Value::Null),
                Told::Gone => return Err(PlaneError::NotYet(format!("endpoint {name} isn't running"))),
                Told::Busy(why) => return Err(PlaneError::NotYet(format!("endpoint {name}: {why}"))),
            }
        }
        ("POST", ["refresh"]) => {
            plane.memory.state().endpoint(&name)?;
            Compute::refresh(&name).await?;
            Answer::ok(Value::Null)
        }
        ("POST", ["promote"]) => Answer::ok(plane.promote(&name).await?),
        ("POST", ["jwt"]) => match asked.json() {
            Ok(wanted) => Answer::ok(token(plane, &name, &wanted)?),
            Err(answer) => answer,
        },
        _ => Answer::no_route(asked),
    })
}

/// For people, who ask compute_ctl something themselves.
fn token(plane: &Plane, name: &EndpointName, wanted: &TokenWanted) -> Result<Token> {
    plane.memory.state().endpoint(name)?;
    let exp = jiff::Timestamp::now().as_second() + DAY;
    let claims = match wanted.scope.as_deref() {
        None => json!({ "compute_id": name, "exp": exp }),
        Some("compute_ctl:admin") => json!({ "scope": "compute_ctl:admin", "aud": ["compute"], "exp": exp }),
        Some(other) => return Err(PlaneError::Input(format!("there is no scope {other:?} for compute_ctl"))),
    };
    Ok(Token { token: plane.keys.token(&claims) })
}

/// The same for pageservers, safekeepers and the storage controller.
fn storage_token(plane: &Plane, wanted: &StorageTokenWanted) -> Result<Token> {
    let scope = wanted.scope.as_str();
    if !tokens::FOR_PEOPLE.contains(&scope) {
        let known = tokens::FOR_PEOPLE.join(", ");
        return Err(PlaneError::Input(format!("there is no scope {scope:?} for the storage; one of {known}")));
    }
    let mut claims = json!({ "scope": scope, "exp": jiff::Timestamp::now().as_second() + DAY });
    if scope == "tenant" {
        claims["tenant_id"] = json!(plane.memory.state().tenant_id(wanted.tenant)?);
    }
    Ok(Token { token: plane.keys.token(&claims) })
}

/// Cleanly, while the compute answers. From now on nobody tells it anything.
async fn stop(plane: &Plane, name: &EndpointName) -> Result<Stopped> {
    plane.memory.change(|state| Ok::<_, PlaneError>(state.set_stopped(name, true)?))?;
    match plane.compute(name).terminate().await {
        Ok(lsn) => Ok(Stopped { lsn, was_gone: false }),
        Err(error) => {
            tracing::info!("{error}");
            Ok(Stopped { lsn: None, was_gone: true })
        }
    }
}

async fn tenants(plane: &Plane) -> Result<Vec<TenantView>> {
    let default = plane.memory.state().default_tenant;
    let all = plane.controller.tenants().await?;
    let view = |description: super::wire::TenantDescription| TenantView {
        is_default: Some(description.tenant_id) == default,
        description,
    };
    Ok(all.into_iter().map(view).collect())
}

fn random<T>(made: std::result::Result<T, getrandom::Error>) -> Result<T> {
    made.map_err(|error| PlaneError::Disk(std::io::Error::other(error)))
}

async fn create_tenant(plane: &Plane, body: TenantCreate) -> Result<TenantMade> {
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
    plane.controller.create_timeline(tenant, timeline, Origin::Fresh { pg_version }).await?;
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

async fn tenant_route(plane: &Plane, method: &str, tenant: TenantId, rest: &[&str], asked: &Asked) -> Result<Answer> {
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
        ("PUT", ["default"]) => {
            let there = plane.controller.tenant(tenant).await?.is_some();
            there.then_some(()).ok_or(super::state::Refusal::NoTenant(tenant))?;
            plane.memory.change(|state| {
                state.tenants.entry(tenant).or_insert_with(|| Tenant { created: true, ..Tenant::default() });
                state.default_tenant = Some(tenant);
                Ok::<_, PlaneError>(())
            })?;
            Answer::ok(json!({ "tenant_id": tenant }))
        }
        ("GET", ["timelines"]) => Answer::ok(timelines(plane, tenant).await?),
        ("POST", ["timelines"]) => match asked.json() {
            Ok(body) => Answer::ok(create_timeline(plane, tenant, body).await?),
            Err(answer) => answer,
        },
        ("PUT", ["timelines", branch, "archival"]) => archive(plane, tenant, branch, asked).await?,
        ("PUT", ["timelines", branch, "safekeepers"]) => match asked.json() {
            Ok(body) => Answer::ok(other_safekeepers(plane, tenant, branch, body).await?),
            Err(answer) => answer,
        },
        ("DELETE", ["timelines", branch]) => {
            delete_timeline(plane, tenant, branch).await?;
            Answer::ok(Value::Null)
        }
        _ => Answer::no_route(asked),
    })
}

async fn delete(plane: &Plane, path: &str) -> Result<()> {
    let (status, body) = plane.controller.call(Method::DELETE, path, None).await?;
    if status.is_success() || status == StatusCode::NOT_FOUND {
        return Ok(());
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Err(PlaneError::Input(format!("the storage controller answered {status}: {body}")))
}

async fn timelines(plane: &Plane, tenant: TenantId) -> Result<Vec<TimelineView>> {
    let infos = plane.controller.timelines(tenant).await?;
    let state = plane.memory.state();
    let branches = state.tenants.get(&tenant).map(|known| known.branches.clone()).unwrap_or_default();
    let name = |id: TimelineId| branches.iter().find(|(_, branch)| branch.timeline == id).map(|(name, _)| name.clone());
    Ok(infos.into_iter().map(|info| TimelineView { branch: name(info.timeline_id), info }).collect())
}

async fn info_of(plane: &Plane, tenant: TenantId, timeline: TimelineId) -> Result<TimelineInfo> {
    let infos = plane.controller.timelines(tenant).await?;
    let found = infos.into_iter().find(|info| info.timeline_id == timeline);
    found.ok_or_else(|| PlaneError::NotYet(format!("timeline {timeline} is not on its pageserver")))
}

/// The storage controller would wait for a position in the future, and hold the tenant meanwhile.
fn check_position(info: &TimelineInfo, lsn: Lsn) -> Result<()> {
    let first = info.min_readable_lsn.or(info.ancestor_lsn).unwrap_or(Lsn(0));
    if lsn > info.last_record_lsn || lsn < first {
        let range = format!("it has {first} to {}", info.last_record_lsn);
        return Err(PlaneError::Input(format!("{lsn} is outside of timeline {}: {range}", info.timeline_id)));
    }
    Ok(())
}

async fn create_timeline(plane: &Plane, tenant: TenantId, body: TimelineCreate) -> Result<TimelineView> {
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
    Ok(TimelineView { branch: Some(body.branch), info: made? })
}

/// One that an endpoint serves isn't put aside.
async fn archive(plane: &Plane, tenant: TenantId, text: &str, asked: &Asked) -> Result<Answer> {
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
async fn other_safekeepers(plane: &Plane, tenant: TenantId, text: &str, wanted: SafekeepersWanted) -> Result<()> {
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
async fn delete_timeline(plane: &Plane, tenant: TenantId, text: &str) -> Result<()> {
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
