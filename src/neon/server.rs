//! A small HTTP server: requests with their bodies read, within limits, and answers as JSON.

use std::fmt::Display;
use std::future::Future;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

/// More than any request is long.
const LARGEST: usize = 8 << 20;
/// For a client to send what it has to say.
const READ: Duration = Duration::from_secs(30);

/// A request.
#[derive(Debug)]
pub struct Asked {
    /// Its method.
    pub method: Method,
    /// Path and query as they came.
    pub target: String,
    /// The parts of its path, decoded.
    pub path: Vec<String>,
    /// What proves that the caller may ask.
    pub token: Option<String>,
    /// Its body.
    pub body: Bytes,
    /// A body that may be long, and wasn't read yet: an archive.
    stream: Mutex<Option<Incoming>>,
}

impl Asked {
    /// The body, if it is an archive and nobody has taken it yet.
    ///
    /// # Errors
    /// An answer that says that there is none.
    pub fn archive(&self) -> Result<Incoming, Answer> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        let why = "this call wants an archive (Content-Type: application/x-tar)";
        stream.ok_or_else(|| Answer::problem(StatusCode::BAD_REQUEST, why))
    }

    /// A parameter of the query, as `T`.
    ///
    /// # Errors
    /// An answer that says that it isn't there, or what is wrong with it.
    pub fn parameter<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Answer> {
        let bad = |why: &dyn Display| Answer::problem(StatusCode::BAD_REQUEST, format_args!("parameter {name}: {why}"));
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let found = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
        let (_, value) = found.ok_or_else(|| bad(&"it is missing"))?;
        let value = decoded(value).ok_or_else(|| bad(&"it isn't text"))?;
        value.parse().map_err(|error| bad(&error))
    }

    /// The body as `T`.
    ///
    /// # Errors
    /// An answer that says what is wrong with it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Answer> {
        serde_json::from_slice(&self.body).map_err(|error| Answer::problem(StatusCode::BAD_REQUEST, error))
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its code.
    pub status: StatusCode,
    /// JSON.
    pub body: Bytes,
}

impl Answer {
    /// Success.
    pub fn ok(body: impl Serialize) -> Self {
        match serde_json::to_vec(&body) {
            Ok(text) => Self { status: StatusCode::OK, body: text.into() },
            Err(error) => Self::problem(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }

    /// Anything else: `{"msg": …}`.
    pub fn problem(status: StatusCode, why: impl Display) -> Self {
        Self { status, body: json!({ "msg": why.to_string() }).to_string().into() }
    }

    /// 404 for a path that leads nowhere.
    #[must_use]
    pub fn no_route(asked: &Asked) -> Self {
        Self::problem(StatusCode::NOT_FOUND, format_args!("there is no {} {}", asked.method, asked.target))
    }
}

/// Serves for ever. Each request is worked off to its end, even if its client hangs up meanwhile: what was begun with
/// other programs isn't left half done.
pub async fn serve<F>(listener: TcpListener, handle: impl Fn(Asked) -> F + Send + Sync + 'static)
where
    F: Future<Output = Answer> + Send + 'static,
{
    let handle = Arc::new(handle);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("can't accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let handle = Arc::clone(&handle);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let handle = Arc::clone(&handle);
                async move { Ok::<_, std::convert::Infallible>(respond(request, &*handle).await) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(READ);
            // An error here is the client's: it is gone.
            _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond<F>(request: Request<Incoming>, handle: &(impl Fn(Asked) -> F + Sync)) -> Response<Full<Bytes>>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let answer = match read(request).await {
        Ok(asked) => match tokio::spawn(handle(asked)).await {
            Ok(answer) => answer,
            Err(error) => Answer::problem(StatusCode::INTERNAL_SERVER_ERROR, error),
        },
        Err(answer) => answer,
    };
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}

async fn read(request: Request<Incoming>) -> Result<Asked, Answer> {
    let (head, body) = request.into_parts();
    let bad = |why: String| Answer::problem(StatusCode::BAD_REQUEST, why);
    let is_archive = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/x-tar");
    let (body, stream) = if is_archive {
        (Bytes::new(), Some(body))
    } else {
        let body = timeout(READ, Limited::new(body, LARGEST).collect()).await;
        let body = body.map_err(|_| bad("the body didn't come".into()))?.map_err(|error| bad(error.to_string()))?;
        (body.to_bytes(), None)
    };
    let path = head.uri.path().split('/').filter(|part| !part.is_empty());
    let path = path.map(|part| decoded(part).ok_or_else(|| bad(format!("bad path {}", head.uri.path()))));
    let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    Ok(Asked {
        path: path.collect::<Result<_, _>>()?,
        method: head.method,
        target,
        token,
        body,
        stream: Mutex::new(stream),
    })
}

/// Percent signs and what they stand for; None for text that can't be.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A part of a path, so that it stays one.
#[must_use]
pub fn encoded(part: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    part.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neon::http::Peer;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_part_of_a_path_comes_out_as_it_went_in(text in ".{1,40}") {
            prop_assert_eq!(decoded(&encoded(&text)), Some(text));
        }
    }

    #[test]
    fn bad_percent_signs_are_refused() {
        for bad in ["%", "%1", "%zz", "%ff"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn parameters_are_read_from_the_query() {
        let asked = Asked {
            method: Method::PUT,
            target: "/a?x=0/16B5A50&y=%2F&z=7".into(),
            path: Vec::new(),
            token: None,
            body: Bytes::new(),
            stream: Mutex::default(),
        };
        assert_eq!(asked.parameter::<String>("x").unwrap(), "0/16B5A50");
        assert_eq!(asked.parameter::<String>("y").unwrap(), "/");
        assert_eq!(asked.parameter::<u32>("z").unwrap(), 7);
        let why = |name: &str| String::from_utf8(asked.parameter::<u32>(name).unwrap_err().body.to_vec()).unwrap();
        assert_eq!(why("no"), r#"{"msg":"parameter no: it is missing"}"#);
        assert_eq!(why("y"), r#"{"msg":"parameter y: invalid digit found in string"}"#);
    }

    #[tokio::test]
    async fn a_request_arrives_whole_and_its_answer_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve(listener, async |asked: Asked| {
            Answer::ok(json!({ "path": asked.path, "token": asked.token, "body": asked.json::<u32>().ok() }))
        }));
        let peer = Peer { token: Some("t".into()), ..Peer::new("x", address) };
        let limit = Duration::from_secs(10);
        let answer: serde_json::Value = peer.ask(Method::PUT, "/a%2Fb/c?d=e", Some(&7), limit).await.unwrap();
        assert_eq!(answer, json!({ "path": ["a/b", "c"], "token": "t", "body": 7 }));
    }
}
