//! Calls over plain HTTP, each over a connection of its own and within a time limit.

use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HOST};
use hyper::http::request::Builder;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::clock::Clocks;

/// More than any answer is long; a peer that never ends one may not fill the memory.
const LARGEST: usize = 64 << 20;

/// Why a call has no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody is there, or the connection broke.
    #[error("{peer} can't be reached: {why}")]
    Unreachable {
        /// Whom.
        peer: String,
        /// Why.
        why: String,
    },
    /// It took too long.
    #[error("{peer} gave no answer to {what} within {} s", limit.as_secs_f32())]
    Timeout {
        /// Whom.
        peer: String,
        /// What was asked.
        what: String,
        /// For how long it was waited.
        limit: Duration,
    },
    /// The answer was no.
    #[error("{peer} answered {what} with {status}: {message}")]
    Refused {
        /// Who.
        peer: String,
        /// What was asked.
        what: String,
        /// The code.
        status: StatusCode,
        /// What it said.
        message: String,
    },
    /// The answer isn't what was expected.
    #[error("the answer of {peer} to {what} can't be read: {why}")]
    Form {
        /// Who.
        peer: String,
        /// What was asked.
        what: String,
        /// Why.
        why: String,
    },
}

impl CallError {
    /// The code of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether it is a 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// Whether the same call may well succeed a little later: nobody there, no answer in time, busy, starting, or (409)
    /// no pageserver to put something on yet.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Refused { status, message, .. } => match status.as_u16() {
                408 | 423 | 429 | 502 | 503 | 504 => true,
                409 => {
                    let waits = ["No pageserver", "Failed to schedule", "429 Too Many", "406 Not Acceptable: tenant"];
                    waits.iter().any(|text| message.contains(text))
                }
                _ => false,
            },
            Self::Form { .. } => false,
        }
    }
}

/// A program with an HTTP API: where it is, and what proves that we may ask.
#[derive(Clone)]
pub struct Peer {
    /// For people.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// Bearer token.
    pub token: Option<String>,
    /// Where it is noted what time the program says it is.
    pub clocks: Option<Arc<Clocks>>,
}

/// Without the token.
impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({} at {})", self.name, self.address)
    }
}

impl Peer {
    /// Without a token.
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self { name: name.into(), address: address.into(), token: None, clocks: None }
    }

    /// A call whose answer is `T`. `body` is sent as JSON.
    ///
    /// # Errors
    /// When there is no answer within the limit, or it isn't success, or isn't a `T`.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
        limit: Duration,
    ) -> Result<T, CallError> {
        let (status, bytes) = self.call(method.clone(), path, body, limit).await?;
        self.understood(&format!("{method} {path}"), status, bytes)
    }

    /// What an answer says, if it is success.
    pub(super) fn understood<T: DeserializeOwned>(
        &self,
        what: &str,
        status: StatusCode,
        bytes: Bytes,
    ) -> Result<T, CallError> {
        let what = || what.to_owned();
        if !status.is_success() {
            let message = message_of(&bytes);
            return Err(CallError::Refused { peer: self.name.clone(), what: what(), status, message });
        }
        // Some answers have no body at all, which is the same as null.
        let bytes = if bytes.is_empty() { Bytes::from_static(b"null") } else { bytes };
        serde_json::from_slice(&bytes).map_err(|error| CallError::Form {
            peer: self.name.clone(),
            what: what(),
            why: error.to_string(),
        })
    }

    /// A call, whatever its answer.
    ///
    /// # Errors
    /// When there is no answer within the limit.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let what = format!("{method} {path}");
        let bytes = match body.map(serde_json::to_vec).transpose() {
            Ok(bytes) => bytes,
            Err(error) => {
                return Err(CallError::Form { peer: self.name.clone(), what, why: error.to_string() });
            }
        };
        let is_json = bytes.is_some();
        let exchange = async {
            let body = Full::new(Bytes::from(bytes.unwrap_or_default()));
            let mut request = self.request(method, path);
            if is_json {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            self.exchange(request.body(body).map_err(|error| error.to_string())?).await
        };
        match timeout(limit, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(CallError::Unreachable { peer: self.name.clone(), why }),
            Err(_) => Err(CallError::Timeout { peer: self.name.clone(), what, limit }),
        }
    }

    /// A request without its body.
    pub(super) fn request(&self, method: Method, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(path).header(HOST, &self.address).header(ACCEPT, "*/*");
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// Over a connection of its own.
    pub(super) async fn exchange<B>(&self, request: Request<B>) -> Result<(StatusCode, Bytes), String>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let asked = Timestamp::now();
        let stream = TcpStream::connect(self.address.as_str()).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let answer = pin!(async move {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = response.status();
            if let (Some(clocks), Some(date)) = (&self.clocks, response.headers().get(DATE)) {
                clocks.note(&self.name, date.as_bytes(), asked);
            }
            let body =
                Limited::new(response.into_body(), LARGEST).collect().await.map_err(|error| error.to_string())?;
            Ok((status, body.to_bytes()))
        });
        match select(answer, pin!(connection)).await {
            Either::Left((answer, _)) => answer,
            // The connection ended; whatever came over it is there for the answer to read.
            Either::Right((_, answer)) => answer.await,
        }
    }
}

/// What an error's body says: its `msg` or `error`, else its text.
fn message_of(body: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let field = |name: &str| value.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let text = || String::from_utf8_lossy(body).chars().take(500).collect::<String>().trim().to_owned();
    field("msg").or_else(|| field("error")).unwrap_or_else(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, message: &str) -> CallError {
        let status = StatusCode::from_u16(status).unwrap();
        CallError::Refused { peer: "x".into(), what: "GET /".into(), status, message: message.into() }
    }

    #[test]
    fn what_is_worth_another_try() {
        let rows = [
            (503, "Tenant shard not attached yet", true),
            (408, "", true),
            (429, "", true),
            (423, "", true),
            (409, "Conflict: No pageserver found matching constraint", true),
            (409, "Conflict: No pageservers found", true),
            (409, "Conflict: timeline already exists with different parameters", false),
            (400, "bad", false),
            (404, "NotFound: Tenant not found", false),
            (412, "Precondition failed", false),
            (500, "couldn't find 3 safekeepers in different AZs", false),
        ];
        for (status, message, expected) in rows {
            assert_eq!(refused(status, message).is_transient(), expected, "{status} {message}");
        }
    }

    #[test]
    fn messages_of_errors() {
        assert_eq!(message_of(br#"{"msg":"NotFound: x"}"#), "NotFound: x");
        assert_eq!(message_of(br#"{"error":"y"}"#), "y");
        assert_eq!(message_of(b" plain "), "plain");
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_the_name() {
        let error = Peer::new("the controller", "127.0.0.1:1")
            .ask::<()>(Method::GET, "/", None::<&()>, Duration::from_secs(5))
            .await
            .unwrap_err();
        assert!(error.to_string().starts_with("the controller can't be reached: "), "{error}");
        assert!(error.is_transient());
    }
}
