//! What the programs' HTTP servers have in common: errors as they are written on the wire, bodies, unknown routes.

use std::fmt;
use std::str::FromStr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An answer that isn't success: `{"msg": …}`, with the prefix that Neon's programs give each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// 400; the message is quoted once more.
    BadRequest(String),
    /// 401 with `Unauthorized: `.
    Unauthorized(String),
    /// 403 with `Forbidden: `.
    Forbidden(String),
    /// 404 with `NotFound: `.
    NotFound(String),
    /// 408.
    Timeout(String),
    /// 409 with `Conflict: `.
    Conflict(String),
    /// 412 with `Precondition failed: `.
    Precondition(String),
    /// 500.
    Internal(String),
    /// 503.
    Unavailable(String),
    /// Any other, with its message as it is.
    Plain(StatusCode, String),
}

impl ApiError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Timeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Precondition(_) => StatusCode::PRECONDITION_FAILED,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Plain(status, _) => *status,
        }
    }

    /// For calls that need pages: the simulation has none.
    pub fn no_pages(call: &str) -> Self {
        Self::Plain(StatusCode::NOT_IMPLEMENTED, format!("neon-sim is a simulation and stores no pages: no {call}"))
    }

    /// For what the real programs have and the simulation hasn't.
    pub fn not_simulated(what: &str) -> Self {
        Self::Plain(StatusCode::NOT_IMPLEMENTED, format!("neon-sim doesn't simulate {what}"))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(why) => write!(f, "{why:?}"),
            Self::Unauthorized(why) => write!(f, "Unauthorized: {why}"),
            Self::Forbidden(why) => write!(f, "Forbidden: {why}"),
            Self::NotFound(what) => write!(f, "NotFound: {what}"),
            Self::Conflict(why) => write!(f, "Conflict: {why}"),
            Self::Precondition(why) => write!(f, "Precondition failed: {why}"),
            Self::Timeout(why) | Self::Internal(why) | Self::Unavailable(why) | Self::Plain(_, why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            tracing::error!("{status}: {self}");
        } else {
            tracing::info!("{status}: {self}");
        }
        (status, Json(serde_json::json!({ "msg": self.to_string() }))).into_response()
    }
}

/// What handlers return.
pub type Answer<T> = Result<Json<T>, ApiError>;

/// Success without content is `null` in these programs.
pub fn null() -> Json<()> {
    Json(())
}

/// The same with another code than 200.
pub fn answer<T: Serialize>(status: StatusCode, body: T) -> Response {
    (status, Json(body)).into_response()
}

/// `GET /metrics`, so that whoever scrapes it isn't told of an error.
pub async fn metrics() -> &'static str {
    "# neon-sim: a simulation has nothing to measure\n"
}

/// Unknown routes and wrong methods are the same to these programs.
pub fn with_fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.fallback(no_route).method_not_allowed_fallback(no_route)
}

async fn no_route() -> Response {
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain")], "Not Found").into_response()
}

/// Runs `work` to its end even if the client hangs up, which drops the handler: what changes the database and then
/// memory, or other programs, may not stop in between.
pub async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(|error| ApiError::Internal(error.to_string()))?
}

/// An id out of a path.
pub fn in_path<T: FromStr>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::BadRequest(format!("failed to parse {name}")))
}

/// A JSON body, whatever its content type; says as the real programs do which key is wrong.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| ApiError::BadRequest(format!("can't read the request body: {error}")))?;
        if bytes.is_empty() {
            return Err(ApiError::BadRequest("missing request body".into()));
        }
        parse(&bytes).map(Self)
    }
}

/// The part of a URI behind its question mark.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|rejection| {
            let text = rejection.body_text();
            let why = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            ApiError::BadRequest(format!("cannot parse query param {why}"))
        })
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| ApiError::BadRequest(format!("Failed to parse json request: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TenantId;

    #[derive(Debug, serde::Deserialize)]
    struct Create {
        #[expect(dead_code, reason = "read by serde only")]
        new_tenant_id: TenantId,
    }

    #[test]
    fn errors_have_their_prefixes() {
        assert_eq!(ApiError::BadRequest("bad".into()).to_string(), "\"bad\"");
        assert_eq!(ApiError::NotFound("Tenant not found".into()).to_string(), "NotFound: Tenant not found");
        assert_eq!(ApiError::Unavailable("later".into()).to_string(), "later");
    }

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits() {
        let (done, mut ends) = tokio::sync::mpsc::channel(1);
        let work = to_the_end(async move {
            tokio::task::yield_now().await;
            let _ = done.send(()).await;
            Ok(())
        });
        // Looked at once, then dropped, as a handler is.
        tokio::select! {
            biased;
            _ = work => panic!("it takes a turn more"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(ends.recv().await, Some(()));
    }

    #[test]
    fn a_bad_body_is_told_with_key_and_place() {
        let why = |text: &str| parse::<Create>(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            why(r#"{"new_tenant_id":"xyz"}"#),
            r#""Failed to parse json request: new_tenant_id: Invalid string length at line 1 column 22""#
        );
        assert_eq!(why("{nojson"), r#""Failed to parse json request: key must be a string at line 1 column 2""#);
    }
}
