//! The calls that the programs make to each other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Legacy, Error as LegacyError};
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::fault::Faults;

/// More than any answer is long; a peer that never ends one may not fill the memory.
const LARGEST: usize = 64 * 1024 * 1024;

/// Why there is no answer that could be used. The texts are those which the controller hands on to its clients.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("error sending request for url ({url}): {source}")]
    Send { url: String, source: LegacyError },
    #[error("error sending request for url ({url}): refused by the fault drop-peer")]
    Dropped { url: String },
    #[error("error sending request for url ({url}): operation timed out")]
    Timeout { url: String },
    #[error("error receiving the body from url ({url}): {source}")]
    Receive { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{url} isn't an http URL: {why}")]
    Url { url: String, why: String },
    /// An answer, but with a status from 400 on.
    #[error("{msg}")]
    Status { status: StatusCode, msg: String },
    #[error("can't read the answer from {url}: {source}")]
    Json { url: String, source: serde_json::Error },
}

impl CallError {
    /// With what lies below it, such as a refused connection or an unknown name: for logs.
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self).and_then(std::error::Error::source);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }

    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Reply {
    pub url: String,
    pub status: StatusCode,
    pub content_type: Option<String>,
    pub body: Bytes,
}

impl Reply {
    /// The body as `T`, or the error that a status from 400 on tells.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        let reply = self.ok()?;
        serde_json::from_slice(&reply.body).map_err(|source| CallError::Json { url: self.url.clone(), source })
    }

    /// The reply itself unless its status is 400 or more.
    pub fn ok(&self) -> Result<&Self, CallError> {
        if self.status.as_u16() < 400 {
            return Ok(self);
        }
        Err(CallError::Status { status: self.status, msg: self.message() })
    }

    /// What an error body says: its `msg`, else its text.
    pub fn message(&self) -> String {
        #[derive(serde::Deserialize)]
        struct ErrorBody {
            msg: String,
        }
        serde_json::from_slice::<ErrorBody>(&self.body)
            .map_or_else(|_| String::from_utf8_lossy(&self.body).into_owned(), |body| body.msg)
    }
}

/// A client with its token, cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: Legacy<HttpConnector, Full<Bytes>>,
    token: Option<Arc<str>>,
    faults: Arc<Faults>,
}

impl Client {
    /// `token` goes along as a bearer token.
    pub fn new(token: Option<&str>, faults: &Arc<Faults>) -> Self {
        let http = Legacy::builder(TokioExecutor::new()).build_http();
        Self { http, token: token.map(Arc::from), faults: Arc::clone(faults) }
    }

    /// Sends `body` as JSON, nothing for `None`. (The controller sends pageservers `null` with each GET and DELETE:
    /// `Some(&())` is that.) Without a time limit it waits for ever.
    pub async fn call<B: Serialize + Sync>(
        &self,
        method: Method,
        url: &str,
        body: Option<&B>,
        limit: Option<Duration>,
    ) -> Result<Reply, CallError> {
        let request = self.request(method, url, body)?;
        let exchange = self.exchange(request, url);
        match limit {
            None => exchange.await,
            Some(limit) => {
                let late = || Err(CallError::Timeout { url: url.to_owned() });
                timeout(limit, exchange).await.unwrap_or_else(|_| late())
            }
        }
    }

    fn request<B: Serialize>(
        &self,
        method: Method,
        url: &str,
        body: Option<&B>,
    ) -> Result<Request<Full<Bytes>>, CallError> {
        let bad = |why: String| CallError::Url { url: url.to_owned(), why };
        let uri: Uri = url.parse().map_err(|error| bad(format!("{error}")))?;
        if uri.host().is_some_and(|host| self.faults.drops(host)) {
            return Err(CallError::Dropped { url: url.to_owned() });
        }
        let mut request = Request::builder().method(method).uri(uri).header(ACCEPT, "*/*");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            bytes = serde_json::to_vec(body).map_err(|error| bad(format!("{error}")))?.into();
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(bytes)).map_err(|error| bad(format!("{error}")))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, url: &str) -> Result<Reply, CallError> {
        let url = url.to_owned();
        let response = match self.http.request(request).await {
            Ok(response) => response,
            Err(source) => return Err(CallError::Send { url, source }),
        };
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.map(str::to_owned);
        match Limited::new(response.into_body(), LARGEST).collect().await {
            Ok(body) => Ok(Reply { url, status, content_type, body: body.to_bytes() }),
            Err(source) => Err(CallError::Receive { url, source }),
        }
    }
}
