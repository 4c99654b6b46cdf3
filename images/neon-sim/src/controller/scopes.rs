//! Which token each of the controller's calls wants, as in the real program.

use axum::http::Method;

use crate::auth::{Claims, Scope};

/// Whether a call may be made with these claims; `None`: without a token. `admin` may do everything.
pub fn allows(method: &Method, path: &[&str], claims: Option<&Claims>) -> bool {
    let Some(wanted) = wanted(method, path) else { return true };
    claims.is_some_and(|claims| claims.scope == wanted || claims.scope == Scope::Admin)
}

/// None: no token at all.
fn wanted(method: &Method, path: &[&str]) -> Option<Scope> {
    let scope = match path {
        ["status" | "ready" | "live" | "metrics"] | ["profile", ..] => return None,
        ["upcall", ..] => Scope::GenerationsApi,
        ["v1", ..] => Scope::PageServerApi,
        ["debug", "v1", "tenant", _, "import" | "drop"] => Scope::PageServerApi,
        ["debug", "v1", "tenant", _, "timeline", _, "import"] => Scope::PageServerApi,
        ["control", "v1", rest @ ..] => control(method, rest),
        _ => Scope::Admin,
    };
    Some(scope)
}

fn control(method: &Method, path: &[&str]) -> Scope {
    match path {
        ["node"] | ["node", _, "drain" | "fill"] => Scope::Infra,
        ["node", _] if *method == Method::GET => Scope::Infra,
        ["node", _, "delete"] if *method == Method::DELETE => Scope::Infra,
        ["safekeeper"] | ["safekeeper", _] => Scope::Infra,
        ["tenant", _] | ["tenant", _, "timeline", _] | ["metadata_health", ..] => Scope::Scrubber,
        ["step_down"] => Scope::ControllerPeer,
        _ => Scope::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::testing::SCOPES;

    /// The table of the real program's calls.
    #[test]
    fn each_call_wants_its_token() {
        let rows = [
            ("GET", "/status", None),
            ("GET", "/ready", None),
            ("POST", "/upcall/v1/re-attach", Some(Scope::GenerationsApi)),
            ("POST", "/upcall/v1/validate", Some(Scope::GenerationsApi)),
            ("POST", "/v1/tenant", Some(Scope::PageServerApi)),
            ("POST", "/v1/tenant/T/timeline", Some(Scope::PageServerApi)),
            ("POST", "/debug/v1/tenant/T/import", Some(Scope::PageServerApi)),
            ("GET", "/debug/v1/tenant/T/locate", Some(Scope::Admin)),
            ("GET", "/control/v1/node", Some(Scope::Infra)),
            ("POST", "/control/v1/node", Some(Scope::Infra)),
            ("GET", "/control/v1/node/1/shards", Some(Scope::Admin)),
            ("PUT", "/control/v1/node/1/config", Some(Scope::Admin)),
            ("PUT", "/control/v1/node/1/drain", Some(Scope::Infra)),
            ("PUT", "/control/v1/node/1/delete", Some(Scope::Admin)),
            ("DELETE", "/control/v1/node/1/delete", Some(Scope::Infra)),
            ("DELETE", "/control/v1/node/1", Some(Scope::Admin)),
            ("POST", "/control/v1/safekeeper/1", Some(Scope::Infra)),
            ("POST", "/control/v1/safekeeper/1/scheduling_policy", Some(Scope::Admin)),
            ("GET", "/control/v1/tenant", Some(Scope::Admin)),
            ("GET", "/control/v1/tenant/T", Some(Scope::Scrubber)),
            ("PUT", "/control/v1/tenant/T/migrate", Some(Scope::Admin)),
            ("PUT", "/control/v1/step_down", Some(Scope::ControllerPeer)),
            ("GET", "/no/such/path", Some(Scope::Admin)),
        ];
        for (method, path, scope) in rows {
            let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
            let method = method.parse().unwrap();
            assert_eq!(wanted(&method, &parts), scope, "{method} {path}");
            let claims = |scope| Claims { scope, tenant_id: None };
            for (given, _) in SCOPES {
                let right = scope.is_none() || scope == Some(given) || given == Scope::Admin;
                assert_eq!(allows(&method, &parts, Some(&claims(given))), right, "{method} {path} with {given:?}");
            }
            assert_eq!(allows(&method, &parts, None), scope.is_none(), "{path}");
        }
    }
}
