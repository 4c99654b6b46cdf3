//! Which call is whose, and those that are about no tenant and no endpoint.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::super::api::{LoginView, Overview, StorageTokenWanted, Token};
use super::super::ids::TenantId;
use super::super::keys::same_secret;
use super::super::plane::{Plane, PlaneError};
use super::super::server::{Answer, Asked};
use super::super::state::State;
use super::super::tokens;
use super::{Result, endpoints, tenants};

/// How long tokens for people hold, in seconds.
pub(super) const DAY: i64 = 24 * 60 * 60;

/// Answers one call.
pub(in crate::neon) async fn handle(plane: Arc<Plane>, token: Arc<str>, asked: Asked) -> Answer {
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
            Ok(body) => Answer::ok(endpoints::create(plane, body).await?),
            Err(answer) => answer,
        },
        (method, ["endpoints", name, rest @ ..]) => endpoints::route(plane, method, name, rest, asked).await?,
        ("POST", ["jwt"]) => match asked.json() {
            Ok(wanted) => Answer::ok(storage_token(plane, &wanted)?),
            Err(answer) => answer,
        },
        ("GET", ["tenants"]) => Answer::ok(tenants::list(plane).await?),
        ("POST", ["tenants"]) => match asked.json() {
            Ok(body) => Answer::ok(tenants::create(plane, body).await?),
            Err(answer) => answer,
        },
        (method, ["tenants", tenant, rest @ ..]) => {
            let tenant = tenant_of(&plane.memory.state(), tenant)?;
            tenants::route(plane, method, tenant, rest, asked).await?
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
    let endpoints =
        state.endpoints.iter().map(|(name, endpoint)| endpoints::view(plane, &state, name, endpoint)).collect();
    Overview {
        waits_for: plane.waits_for(),
        default_tenant: state.default_tenant,
        endpoints,
        warnings: plane.warnings(),
    }
}

/// For people, who ask pageservers, safekeepers or the storage controller something themselves.
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
