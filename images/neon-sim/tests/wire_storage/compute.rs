//! compute_ctl: how it asks for its specification, its states, its ports, and what its Postgres says.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::controller::Controller;
use crate::node::{MAIN, Node, PATIENCE, TENANT, free_port, temporary};
use crate::process::Process;
use crate::token::{ctl_config, key, token};

pub async fn request(port: u16, method: Method, path: &str, token: &str, body: &str) -> Result<(u16, String), String> {
    let mut request = Request::builder().method(method).uri(format!("http://127.0.0.1:{port}{path}"));
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).map_err(|error| error.to_string())?;
    let response = Client::builder(TokioExecutor::new()).build_http().request(request).await;
    let response = response.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Answers for the spec service: one after the other, the last one for ever.
type Answers = Arc<Mutex<(Vec<(u16, Value)>, Vec<Instant>)>>;

async fn spec_service(answers: &[(u16, Value)]) -> (u16, Answers) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("as in every run");
    let port = listener.local_addr().expect("as in every run").port();
    let state: Answers = Arc::new(Mutex::new((answers.to_vec(), Vec::new())));
    let router = Router::new().route("/compute/api/v2/computes/main/spec", get(answer)).with_state(Arc::clone(&state));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, state)
}

async fn answer(State(answers): State<Answers>) -> Response {
    let mut answers = answers.lock().expect("as in every run");
    answers.1.push(Instant::now());
    let last = answers.0.len() == 1;
    let (status, body) = if last { answers.0[0].clone() } else { answers.0.remove(0) };
    (StatusCode::from_u16(status).expect("as in every run"), Json(body)).into_response()
}

struct Compute {
    process: Process,
    pg: u16,
    external: u16,
    internal: u16,
    directory: TempDir,
}

impl Compute {
    fn start(pg: u16, control_plane: u16) -> Self {
        let directory = temporary();
        let (external, internal) = (free_port(), free_port());
        let args = format!(
            "--pgdata {}/pgdata -C postgresql://cloud_admin@localhost:{pg}/postgres -b /usr/local/bin/postgres \
             --compute-id main -p http://127.0.0.1:{control_plane} --external-http-port {external} \
             --internal-http-port {internal} --dev",
            directory.path().display()
        );
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        let process = Process::role("compute_ctl", "compute_ctl", directory.path(), &args);
        Self { process, pg, external, internal, directory }
    }

    fn admin() -> String {
        token(&key(1), &json!({ "scope": "compute_ctl:admin", "aud": ["compute"] }))
    }

    async fn until(&self, status: &str) -> Value {
        let begun = Instant::now();
        let mut last = String::new();
        while begun.elapsed() < PATIENCE {
            if let Ok((200, text)) = request(self.external, Method::GET, "/status", &Self::admin(), "").await {
                let answer: Value = serde_json::from_str(&text).expect("as in every run");
                if answer["status"] == status {
                    return answer;
                }
                last = text;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("never {status}; last {last}");
    }

    async fn ask(&self, query: &str) -> Result<String, String> {
        let text = format!("host=127.0.0.1 port={} user=neon dbname=neondb", self.pg);
        let (client, connection) = tokio_postgres::connect(&text, NoTls).await.map_err(|error| format!("{error:?}"))?;
        tokio::spawn(connection);
        let rows = client.simple_query(query).await.map_err(|error| format!("{error:?}"))?;
        let row = rows.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(row.unwrap_or_default())
    }
}

fn spec(pg: u16, pageserver: u16, safekeeper: u16) -> Value {
    json!({
        "format_version": 1.0, "suspend_timeout_seconds": -1, "skip_pg_catalog_updates": false, "mode": "Primary",
        "cluster": {
            "roles": [{ "name": "neon", "encrypted_password": null, "options": null }],
            "databases": [{ "name": "neondb", "owner": "neon", "options": null }],
            "settings": null, "postgresql_conf": format!("port={pg}\nlisten_addresses='127.0.0.1'\n"),
        },
        "tenant_id": TENANT, "timeline_id": MAIN, "endpoint_id": "main",
        "pageserver_connstring": format!("postgres://no_user@127.0.0.1:{pageserver}"), "shard_stripe_size": null,
        "safekeepers_generation": 1, "safekeeper_connstrings": [format!("127.0.0.1:{safekeeper}")],
    })
}

fn attached(spec: &Value) -> (u16, Value) {
    (200, json!({ "spec": spec, "status": "attached", "compute_ctl_config": ctl_config(&key(1)) }))
}

async fn safekeeper() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("as in every run");
    let port = listener.local_addr().expect("as in every run").port();
    (listener, port)
}

#[tokio::test]
async fn it_runs_with_what_the_control_plane_says_and_can_be_told_otherwise() {
    let controller = Controller::start().await;
    let (one, other) = (Node::lone_pageserver(controller.port).await, Node::lone_pageserver(controller.port).await);
    one.with_timeline().await;
    other.with_timeline().await;
    let (_safekeeper, safekeeper) = safekeeper().await;
    let pg = free_port();
    let (control_plane, _) = spec_service(&[attached(&spec(pg, one.pg, safekeeper))]).await;
    let compute = Compute::start(pg, control_plane);
    let running = compute.until("running").await;
    assert_eq!(running["tenant"], TENANT);
    assert_eq!(compute.ask("select 1").await.expect("as in every run"), "1");
    let shown = |node: &Node| format!("postgres://no_user@127.0.0.1:{}", node.pg);
    assert_eq!(compute.ask("show neon.pageserver_connstring").await.expect("as in every run"), shown(&one));
    assert_eq!(
        compute.ask("show neon.safekeepers").await.expect("as in every run"),
        format!("g#1:127.0.0.1:{safekeeper}")
    );
    let refused = compute.ask("create table t (n int)").await.unwrap_err();
    assert!(refused.contains("stores no pages"), "{refused}");

    let moved = json!({ "spec": spec(pg, other.pg, safekeeper), "compute_ctl_config": ctl_config(&key(1)) });
    let configure = |body: String| request_owned(compute.external, "/configure", body);
    assert_eq!(configure(moved.to_string()).await.0, 200);
    assert_eq!(compute.ask("show neon.pageserver_connstring").await.expect("as in every run"), shown(&other));
    // A session begins only where its pages are.
    drop(other);
    let refused = compute.ask("select 1").await.unwrap_err();
    assert!(refused.contains("could not connect to pageserver"), "{refused}");
    let mut bad = moved.clone();
    bad["spec"]["safekeeper_connstrings"] = json!([]);
    let (code, text) = configure(bad.to_string()).await;
    assert_eq!((code, text.contains("safekeeper_connstrings is empty")), (400, true), "{text}");

    let terminate = |mode: &'static str| async move {
        request(compute.external, Method::POST, &format!("/terminate?mode={mode}"), &Compute::admin(), "").await
    };
    assert_eq!(terminate("immediate").await.expect("as in every run"), (200, r#"{"lsn":null}"#.to_owned()));
    let mut process = compute.process;
    assert_eq!(process.exit_code(PATIENCE).await, Some(0));
    drop(compute.directory);
}

async fn request_owned(port: u16, path: &str, body: String) -> (u16, String) {
    request(port, Method::POST, path, &Compute::admin(), &body).await.expect("as in every run")
}

#[tokio::test]
async fn tokens_are_checked_on_the_external_port() {
    let pg = free_port();
    let (control_plane, _) =
        spec_service(&[(200, json!({ "spec": null, "status": "empty", "compute_ctl_config": ctl_config(&key(1)) }))])
            .await;
    let compute = Compute::start(pg, control_plane);
    compute.until("empty").await;
    let of = |claims: Value| token(&key(1), &claims);
    let rows = [
        ("/status", String::new(), 400),
        ("/status", of(json!({ "compute_id": "main" })), 200),
        ("/status", of(json!({ "compute_id": "other" })), 403),
        ("/status", of(json!({})), 403),
        ("/status", of(json!({ "compute_id": "main", "exp": 1 })), 401),
        ("/status", token(&key(2), &json!({ "compute_id": "main" })), 401),
        ("/status", of(json!({ "scope": "compute_ctl:admin" })), 401),
        ("/status", of(json!({ "scope": "compute_ctl:admin", "aud": "compute" })), 200),
        ("/metrics", String::new(), 200),
    ];
    for (path, token, status) in rows {
        let seen = request(compute.external, Method::GET, path, &token, "").await.expect("as in every run");
        assert_eq!(seen.0, status, "{path} with {token:?}: {}", seen.1);
    }
    assert_eq!(
        request(compute.internal, Method::POST, "/refresh_configuration", "", "").await.expect("as in every run").0,
        412
    );
}

#[tokio::test]
async fn an_empty_compute_waits_and_is_configured() {
    let controller = Controller::start().await;
    let pageserver = Node::lone_pageserver(controller.port).await;
    pageserver.with_timeline().await;
    let (_safekeeper, safekeeper) = safekeeper().await;
    let pg = free_port();
    let empty = json!({ "spec": null, "status": "empty", "compute_ctl_config": ctl_config(&key(1)) });
    let (control_plane, _) = spec_service(&[(200, empty)]).await;
    let compute = Compute::start(pg, control_plane);
    compute.until("empty").await;
    let body = json!({ "spec": spec(pg, pageserver.pg, safekeeper), "compute_ctl_config": ctl_config(&key(1)) });
    let (code, text) = request_owned(compute.external, "/configure", body.to_string()).await;
    assert_eq!(code, 200, "{text}");
    assert_eq!(compute.ask("select 1").await.expect("as in every run"), "1");
}

#[tokio::test]
async fn it_asks_three_times_and_gives_up() {
    let (control_plane, asked) = spec_service(&[(503, json!(null))]).await;
    let mut compute = Compute::start(free_port(), control_plane);
    assert_eq!(compute.process.exit_code(PATIENCE).await, Some(1));
    let times = asked.lock().expect("as in every run").1.clone();
    assert_eq!(times.len(), 3);
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(95), "{:?}", pair[1] - pair[0]);
    }
    // Anything else than "later" is final.
    let (control_plane, asked) = spec_service(&[(404, json!(null))]).await;
    let mut compute = Compute::start(free_port(), control_plane);
    assert_eq!(compute.process.exit_code(PATIENCE).await, Some(1));
    assert_eq!(asked.lock().expect("as in every run").1.len(), 1);
}
