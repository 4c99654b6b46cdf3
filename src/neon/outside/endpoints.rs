//! Endpoints: made, started, stopped, told.

use hyper::Method;
use serde_json::{Value, json};

use super::super::api::{EndpointCreate, EndpointView, Stopped, Token, TokenWanted};
use super::super::compute::Compute;
use super::super::ids::EndpointName;
use super::super::plane::{HOOK_LIMIT, Plane, PlaneError};
use super::super::server::{Answer, Asked};
use super::super::state::{Endpoint, Mode, State};
use super::super::tell::Told;
use super::Result;
use super::routes::DAY;
use super::timelines::{check_position, info_of};

pub(super) fn view(plane: &Plane, state: &State, name: &EndpointName, endpoint: &Endpoint) -> EndpointView {
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

pub(super) async fn create(plane: &Plane, body: EndpointCreate) -> Result<EndpointView> {
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

pub(super) async fn route(plane: &Plane, method: &str, name: &str, rest: &[&str], asked: &Asked) -> Result<Answer> {
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
