//! What computes and the storage controller ask a control plane: specifications, and notifications about moved shards
//! and changed safekeepers.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::http::CallError;
use super::ids::EndpointName;
use super::plane::{HOOK_LIMIT, Plane, PlaneError};
use super::server::{Answer, Asked};
use super::state::{Refusal, SafekeeperSet};
use super::tokens;
use super::wire::{NotifyAttach, NotifySafekeepers};

/// A compute that asks too early is kept for so long: less than its own patience, and enough for the timeline to be
/// there. It would otherwise end and start again, or warm up for nothing.
const HOLD: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// Answers one of them.
pub(super) async fn handle(plane: Arc<Plane>, asked: Asked) -> Answer {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    if let Err(refused) = admit(&plane, &asked, &path) {
        return refused;
    }
    match (asked.method.as_str(), path.as_slice()) {
        ("GET", ["compute", "api", "v2", "computes", id, "spec"]) => spec(&plane, id).await,
        ("PUT", ["notify-attach"]) => match asked.json() {
            Ok(message) => attached(&plane, &message).await,
            Err(answer) => answer,
        },
        ("PUT", ["notify-safekeepers"]) => match asked.json() {
            Ok(message) => safekeepers(&plane, message).await,
            Err(answer) => answer,
        },
        // Imports aren't made here; the controller would repeat it every second.
        ("PUT", ["import_complete"]) => Answer::ok(Value::Null),
        ("GET", ["status"]) => Answer::ok(Value::Null),
        _ => Answer::no_route(&asked),
    }
}

/// With `auth`, computes and the storage controller have a token each; it isn't good for the other's calls.
fn admit(plane: &Plane, asked: &Asked, path: &[&str]) -> Result<(), Answer> {
    let wanted = match path {
        ["compute", ..] => tokens::SPEC,
        ["notify-attach" | "notify-safekeepers" | "import_complete"] => tokens::HOOK,
        _ => return Ok(()),
    };
    if !plane.settings.auth {
        return Ok(());
    }
    let refuse = |status, why: &str| {
        tracing::warn!("refused {} {}: {why}", asked.method, asked.target);
        Err(Answer::problem(status, why))
    };
    match asked.token.as_deref().map(|token| plane.keys.claims(token)) {
        None => refuse(StatusCode::UNAUTHORIZED, "this call wants a token"),
        Some(None) => refuse(StatusCode::UNAUTHORIZED, "the token isn't one of this cluster"),
        Some(Some(claims)) if claims["scope"] == wanted => Ok(()),
        Some(Some(_)) => refuse(StatusCode::FORBIDDEN, "the token is for other calls"),
    }
}

/// `GET /compute/api/v2/computes/ID/spec`.
async fn spec(plane: &Plane, id: &str) -> Answer {
    let Ok(name) = id.parse::<EndpointName>() else {
        return Answer::problem(StatusCode::NOT_FOUND, format_args!("there is no compute {id:?}"));
    };
    let begun = Instant::now();
    loop {
        let error = match plane.spec_for(&name).await {
            Ok(spec) => return reply(plane, "attached", &spec),
            Err(error) => error,
        };
        if begun.elapsed() < HOLD && is_early(plane, &name, &error) {
            sleep(POLL).await;
            continue;
        }
        tracing::info!("compute {name} asked for its specification: {error}");
        return match error {
            // It is told as soon as there is something to tell.
            _ if is_early(plane, &name, &error) && plane.waits_for().is_some() => reply(plane, "empty", &Value::Null),
            PlaneError::Refused(refusal) => Answer::problem(StatusCode::NOT_FOUND, refusal),
            error => Answer::problem(StatusCode::SERVICE_UNAVAILABLE, error),
        };
    }
}

/// Whether waiting may help: a declared endpoint before its timeline is there, a controller that is starting.
fn is_early(plane: &Plane, name: &EndpointName, error: &PlaneError) -> bool {
    match error {
        PlaneError::Refused(_) => {
            plane.waits_for().is_some() && plane.settings.endpoints.iter().any(|endpoint| endpoint.name == *name)
        }
        PlaneError::Call(error) => error.is_transient(),
        PlaneError::NotYet(_) => true,
        PlaneError::Disk(_) | PlaneError::Input(_) => false,
    }
}

fn reply(plane: &Plane, status: &str, spec: &Value) -> Answer {
    let config = json!({ "jwks": plane.keys.jwks(), "tls": null });
    Answer::ok(json!({ "spec": spec, "status": status, "compute_ctl_config": config }))
}

/// `PUT /notify-attach`: 200 when every compute of the tenant runs with it, 503 when one can't yet.
async fn attached(plane: &Plane, message: &NotifyAttach) -> Answer {
    plane.note_attached(message);
    let names = plane.endpoints(|endpoint| endpoint.tenant == message.tenant_id);
    told(&plane.tell_all(&names, HOOK_LIMIT).await)
}

/// `PUT /notify-safekeepers`: the same for a timeline; an older set than the one known is nothing new.
async fn safekeepers(plane: &Plane, message: NotifySafekeepers) -> Answer {
    let (tenant, timeline) = (message.tenant_id, message.timeline_id);
    let ids = message.safekeepers.iter().map(|safekeeper| safekeeper.id).collect();
    let set = SafekeeperSet { generation: message.generation, ids };
    let noted = plane.memory.change(|state| Ok::<_, std::io::Error>(state.note_safekeepers(tenant, timeline, set)));
    match noted {
        Ok(true) => {}
        Ok(false) => return Answer::ok(Value::Null),
        Err(error) => return Answer::problem(StatusCode::SERVICE_UNAVAILABLE, error),
    }
    let state = plane.memory.state();
    let names = plane.endpoints(|endpoint| {
        let branch = state.branch(endpoint.tenant, endpoint.branch.as_str());
        endpoint.tenant == tenant && branch.is_ok_and(|(_, branch)| branch.timeline == timeline)
    });
    told(&plane.tell_all(&names, HOOK_LIMIT).await)
}

/// 503 is what the controller repeats at once, and more patiently each time.
fn told(trouble: &[String]) -> Answer {
    if trouble.is_empty() {
        return Answer::ok(Value::Null);
    }
    let trouble = trouble.join("; ");
    tracing::info!("not told yet: {trouble}");
    Answer::problem(StatusCode::SERVICE_UNAVAILABLE, trouble)
}

impl PlaneError {
    /// The code that an answer has because of it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused(
                Refusal::NoTenant(_)
                | Refusal::NoBranch { .. }
                | Refusal::NoEndpoint(_)
                | Refusal::NoDefaultTenant
                | Refusal::NothingToImport(_),
            ) => StatusCode::NOT_FOUND,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::Input(_) => StatusCode::BAD_REQUEST,
            Self::NotYet(_) | Self::Disk(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Call(CallError::Refused { status, .. }) => *status,
            Self::Call(_) => StatusCode::BAD_GATEWAY,
        }
    }
}
