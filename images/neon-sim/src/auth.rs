//! Tokens between the storage programs: who may ask what, and what the others are answered.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use ed25519_compact::PublicKey;
use serde::Deserialize;

use crate::http::ApiError;
use crate::ids::{TenantId, TenantShardId};
use crate::jwt::{self, BadToken};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Tenant,
    TenantEndpoint,
    PageServerApi,
    SafekeeperData,
    #[serde(rename = "generations_api")]
    GenerationsApi,
    Admin,
    Infra,
    Scrubber,
    #[serde(rename = "controller_peer")]
    ControllerPeer,
}

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Claims {
    pub scope: Scope,
    /// With the scope `tenant`.
    #[serde(default)]
    pub tenant_id: Option<TenantId>,
}

impl Claims {
    /// A tenant's own token.
    pub fn is_of(&self, tenant: TenantId) -> bool {
        self.scope == Scope::Tenant && self.tenant_id == Some(tenant)
    }

    /// The same for a path's part, which may be a shard's id.
    pub fn is_of_path(&self, part: &str) -> bool {
        let tenant = part.parse::<TenantShardId>().map(|id| id.tenant_id).or_else(|_| part.parse());
        tenant.is_ok_and(|tenant| self.is_of(tenant))
    }
}

/// The keys that a program checks tokens with. Without any it takes everybody.
#[derive(Debug, Clone, Default)]
pub struct Guard(Option<Arc<[PublicKey]>>);

impl Guard {
    /// Of a key's text.
    pub fn of_pem(text: &str) -> anyhow::Result<Self> {
        // neon_local hands it over in quotes.
        let key = PublicKey::from_pem(text.trim().trim_matches('"')).context("the public key isn't PEM text")?;
        Ok(Self(Some([key].into())))
    }

    /// Of a file, or of all files in a folder.
    pub fn of_path(path: &Path) -> anyhow::Result<Self> {
        let read = |file: &Path| -> anyhow::Result<PublicKey> {
            let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
            PublicKey::from_pem(text.trim()).with_context(|| format!("{} holds no public key", file.display()))
        };
        if !path.is_dir() {
            return Ok(Self(Some([read(path)?].into())));
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("can't read {}", path.display()))?;
        let files = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
        let keys = files.iter().map(|file| read(file)).collect::<anyhow::Result<Vec<_>>>()?;
        if keys.is_empty() {
            bail!("{} holds no public key", path.display());
        }
        Ok(Self(Some(keys.into())))
    }

    /// Of a path that may not have been given.
    pub fn of_optional(path: Option<&Path>) -> anyhow::Result<Self> {
        path.map(Self::of_path).transpose().map(Option::unwrap_or_default)
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The claims of a token; `None` where nothing is checked.
    pub fn claims(&self, token: &str) -> Result<Option<Claims>, BadToken> {
        self.0.as_deref().map(|keys| jwt::verify(token, keys)).transpose()
    }

    fn of_headers(&self, headers: &HeaderMap) -> Result<Option<Claims>, ApiError> {
        let unauthorized = |why: &str| ApiError::Unauthorized(why.to_owned());
        if !self.is_on() {
            return Ok(None);
        }
        let value = headers.get(header::AUTHORIZATION).ok_or_else(|| unauthorized("missing authorization header"))?;
        let token = value.to_str().ok().and_then(jwt::bearer);
        let token = token.ok_or_else(|| unauthorized("malformed authorization header"))?;
        self.claims(token).map_err(|error| unauthorized(&format!("malformed jwt token: {error}")))
    }

    /// The routes, for those whose token `allows` the call alone. 401: no token, or none of these keys'; 403: another's.
    pub fn around(self, router: Router, allows: fn(&Method, &[&str], Option<&Claims>) -> bool) -> Router {
        if !self.is_on() {
            return router;
        }
        router.layer(from_fn(move |request: Request, next: Next| {
            let guard = self.clone();
            async move {
                match guard.check(&request, allows) {
                    Ok(()) => next.run(request).await,
                    Err(error) => Response::into_response(error.into_response()),
                }
            }
        }))
    }

    fn check(&self, request: &Request, allows: fn(&Method, &[&str], Option<&Claims>) -> bool) -> Result<(), ApiError> {
        let path: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
        // Some calls are everybody's.
        if allows(request.method(), &path, None) {
            return Ok(());
        }
        let claims = self.of_headers(request.headers())?;
        if claims.is_some_and(|claims| allows(request.method(), &path, Some(&claims))) {
            return Ok(());
        }
        Err(ApiError::Forbidden("JWT authentication error".to_owned()))
    }
}

#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::jwt::testing::pair;

    /// All that there are, with their names in tokens.
    pub const SCOPES: [(Scope, &str); 9] = [
        (Scope::Tenant, "tenant"),
        (Scope::TenantEndpoint, "tenantendpoint"),
        (Scope::PageServerApi, "pageserverapi"),
        (Scope::SafekeeperData, "safekeeperdata"),
        (Scope::GenerationsApi, "generations_api"),
        (Scope::Admin, "admin"),
        (Scope::Infra, "infra"),
        (Scope::Scrubber, "scrubber"),
        (Scope::ControllerPeer, "controller_peer"),
    ];

    /// One that checks with the key of this seed.
    pub fn guard(seed: u8) -> Guard {
        Guard(Some([pair(seed).pk].into()))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::guard;
    use super::*;
    use crate::jwt::testing::{pair, token};
    use axum::body::Body;
    use serde_json::json;

    const TENANT: &str = "aaaa0000000000000000000000000001";

    fn status(guard: &Guard, path: &str, authorization: Option<&str>) -> u16 {
        let mut request = Request::builder().uri(path);
        if let Some(value) = authorization {
            request = request.header("Authorization", value);
        }
        let allows = |_: &Method, path: &[&str], claims: Option<&Claims>| {
            path == ["open"] || claims.is_some_and(|claims| claims.is_of_path(path[0]))
        };
        guard.check(&request.body(Body::empty()).unwrap(), allows).err().map_or(200, |error| error.status().as_u16())
    }

    #[test]
    fn a_token_is_asked_for_then_checked_then_weighed() {
        let (on, path) = (guard(1), format!("/{TENANT}-0102"));
        let bearer = |seed: u8, tenant: &str| {
            format!("Bearer {}", token(&pair(seed), &json!({ "scope": "tenant", "tenant_id": tenant })))
        };
        let other = "aaaa0000000000000000000000000002";
        assert_eq!(status(&on, "/open", None), 200);
        assert_eq!(status(&on, &path, None), 401);
        assert_eq!(status(&on, &path, Some("Basic x")), 401);
        assert_eq!(status(&on, &path, Some(&bearer(2, TENANT))), 401);
        assert_eq!(status(&on, &path, Some(&bearer(1, other))), 403);
        assert_eq!(status(&on, &path, Some(&bearer(1, TENANT))), 200);
    }

    #[test]
    fn keys_come_from_text_a_file_or_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        Guard::of_path(folder.path()).unwrap_err();
        let file = folder.path().join("one.pem");
        std::fs::write(&file, pair(1).pk.to_pem()).unwrap();
        let own = token(&pair(1), &json!({ "scope": "generations_api" }));
        let quoted = format!("\"{}\"", pair(1).pk.to_pem());
        let all = [Guard::of_path(&file), Guard::of_path(folder.path()), Guard::of_pem(&quoted)];
        for guard in all {
            assert_eq!(guard.unwrap().claims(&own).unwrap().unwrap().scope, Scope::GenerationsApi);
        }
        assert_eq!(Guard::of_optional(None).unwrap().claims("x"), Ok(None));
        Guard::of_pem("x").unwrap_err();
    }
}
