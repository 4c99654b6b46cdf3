//! Stands between two programs and writes down what they say; or answers itself, as the compute hook.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// One call that was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// By which its answer finds it, whatever was taken meanwhile.
    number: u64,
    /// Who was called.
    pub to: String,
    pub method: String,
    /// With the query.
    pub path: String,
    pub body: Value,
    /// None when there was nobody.
    pub status: Option<u16>,
    pub answer: Value,
}

/// All calls of a test in their order, without those that come by themselves again and again.
#[derive(Clone, Default)]
pub struct Recorder {
    seen: Arc<Mutex<Vec<Seen>>>,
    numbers: Arc<AtomicU64>,
    hook_answers: Arc<Mutex<VecDeque<u16>>>,
}

#[derive(Clone)]
enum Behind {
    Port(u16),
    Hook,
}

impl Recorder {
    /// Calls to the answered port go on to `port`.
    pub async fn in_front_of(&self, name: &str, port: u16) -> u16 {
        self.listen(name, Behind::Port(port)).await
    }

    /// A compute hook: answers 200 with `{}`, or first with what was asked for.
    pub async fn hook(&self) -> u16 {
        self.listen("hook", Behind::Hook).await
    }

    /// The hook's next answers.
    pub fn hook_will_answer(&self, codes: &[u16]) {
        self.hook_answers.lock().expect("no panic before").extend(codes);
    }

    /// What was seen since the last time.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("no panic before"))
    }

    /// What was seen and not taken yet.
    pub fn peek(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic before").clone()
    }

    async fn listen(&self, name: &str, behind: Behind) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (recorder, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (recorder, name, behind, client) = (recorder.clone(), name.clone(), behind.clone(), client.clone());
                tokio::spawn(async move {
                    let service = service_fn(|request| recorder.pass_on(&name, &behind, &client, request));
                    // An error closes the connection: that is how a peer that is down looks.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        port
    }

    async fn pass_on(
        &self,
        name: &str,
        behind: &Behind,
        client: &Client<HttpConnector, Full<Bytes>>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, io::Error> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.note(Seen {
            number,
            to: name.to_owned(),
            method: parts.method.to_string(),
            path: path.clone(),
            body: parsed(&body),
            status: None,
            answer: Value::Null,
        });
        let Behind::Port(port) = behind else {
            let response = self.as_hook();
            self.note_answer(number, response.status(), json!({}));
            return Ok(response);
        };
        parts.uri = format!("http://127.0.0.1:{port}{path}").parse::<Uri>().map_err(io::Error::other)?;
        let response = client.request(Request::from_parts(parts, Full::new(body))).await.map_err(io::Error::other)?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        self.note_answer(number, parts.status, parsed(&body));
        Ok(Response::from_parts(parts, Full::new(body)))
    }

    fn as_hook(&self) -> Response<Full<Bytes>> {
        let code = self.hook_answers.lock().expect("no panic before").pop_front().unwrap_or(200);
        let response = Response::builder().status(code).header(CONTENT_TYPE, "application/json");
        response.body(Full::new(Bytes::from_static(b"{}"))).expect("a valid response")
    }

    fn note(&self, call: Seen) {
        if !call.path.starts_with("/v1/utilization") {
            self.seen.lock().expect("no panic before").push(call);
        }
    }

    fn note_answer(&self, number: u64, status: StatusCode, answer: Value) {
        let mut seen = self.seen.lock().expect("no panic before");
        if let Some(call) = seen.iter_mut().rfind(|call| call.number == number) {
            call.status = Some(status.as_u16());
            call.answer = answer;
        }
    }
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| match bytes {
        [] => Value::Null,
        text => json!(String::from_utf8_lossy(text)),
    })
}
