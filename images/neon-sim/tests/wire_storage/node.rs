//! One pageserver or safekeeper with its directory, and calls to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::pattern::assert_like;
use crate::process::Process;
pub use crate::process::free_port;

/// How long a test waits for something that should take moments.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const TENANT: &str = "aaaa0000000000000000000000000001";
pub const MAIN: &str = "f00d0000000000000000000000000001";

pub struct Node {
    pub process: Option<Process>,
    pub http: u16,
    pub pg: u16,
    pub directory: PathBuf,
    args: Vec<String>,
    role: &'static str,
    /// None when another node has the directory that this one is in.
    _own: Option<TempDir>,
}

pub fn temporary() -> TempDir {
    tempfile::Builder::new().prefix("neon-sim-").tempdir().expect("a directory")
}

impl Node {
    /// A pageserver with its files, not started; its timelines are below `remote`.
    pub fn pageserver(directory: &Path, id: u64, controller: u16, remote: &Path) -> Self {
        let (http, pg) = (free_port(), free_port());
        std::fs::create_dir_all(directory).expect("own directory");
        let write = |name: &str, text: String| std::fs::write(directory.join(name), text).expect("own directory");
        write("identity.toml", format!("id={id}\n"));
        let metadata = json!({
            "host": "127.0.0.1", "port": pg, "grpc_host": null, "grpc_port": null, "http_host": "127.0.0.1",
            "http_port": http, "https_port": null, "availability_zone_id": format!("az-{id}"),
        });
        write("metadata.json", metadata.to_string());
        write(
            "pageserver.toml",
            format!(
                "control_plane_api = 'http://127.0.0.1:{controller}/upcall/v1/'\nlisten_http_addr = '127.0.0.1:{http}'\n\
                 listen_pg_addr = '127.0.0.1:{pg}'\nremote_storage = {{ local_path = '{}' }}\n",
                remote.display()
            ),
        );
        let args = vec!["-D".to_owned(), directory.display().to_string()];
        Self { process: None, http, pg, directory: directory.to_path_buf(), args, role: "pageserver", _own: None }
    }

    /// One pageserver in a directory of its own, serving.
    pub async fn lone_pageserver(controller: u16) -> Self {
        let own = temporary();
        let mut node = Self::pageserver(own.path(), 1, controller, Path::new("remote"));
        node._own = Some(own);
        node.start();
        node.until_it_answers().await;
        node
    }

    /// A safekeeper in a directory of its own, serving.
    pub async fn safekeeper(id: u64) -> Self {
        let own = temporary();
        let (http, pg) = (free_port(), free_port());
        let args = format!(
            "-D {} --id={id} --listen-pg=127.0.0.1:{pg} --advertise-pg=sk:5454 --listen-http=127.0.0.1:{http} \
             --availability-zone=sk-{id} --broker-endpoint=http://127.0.0.1:1 --no-sync",
            own.path().display()
        );
        let args = args.split_whitespace().map(str::to_owned).collect();
        let directory = own.path().to_path_buf();
        let mut node = Self { process: None, http, pg, directory, args, role: "safekeeper", _own: Some(own) };
        node.start();
        node.until_it_answers().await;
        node
    }

    pub fn start(&mut self) {
        self.process = Some(Process::role(self.role, self.role, &self.directory, &self.args));
    }

    /// Kills it and starts it again.
    pub async fn restart(&mut self) {
        self.process = None;
        self.start();
        self.until_it_answers().await;
    }

    pub async fn until_it_answers(&self) {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if matches!(self.try_call("GET", "/v1/status", Value::Null).await, Ok((200, _))) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the {} doesn't answer", self.role);
    }

    pub fn write_file(&self, name: &str, text: &str) {
        std::fs::write(self.directory.join(name), text).expect("own directory");
    }

    /// A row of a table: the call, its code and what its answer looks like. Gives the answer.
    pub async fn expect(&self, method: &str, path: &str, body: Value, status: u16, pattern: Value) -> Value {
        let exchange = timeout(PATIENCE, self.try_call(method, path, body)).await.expect("an answer in time");
        let (seen, answer) = exchange.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert_eq!(seen, status, "{method} {path}: {answer}");
        assert_like(&format!("{method} {path}"), &answer, &pattern);
        answer
    }

    /// As the controller calls: `null` is sent as a body.
    pub async fn try_call(&self, method: &str, path: &str, body: Value) -> Result<(u16, Value), String> {
        call(self.http, method, path, body).await
    }

    /// `PUT location_config` of an unsharded tenant.
    pub async fn put_location(&self, tenant: &str, mode: &str, generation: Option<u32>, answer: Value) {
        let body = location(mode, generation);
        self.expect("PUT", &format!("/v1/tenant/{tenant}/location_config"), body, 200, answer).await;
    }

    /// The tenant `TENANT` attached, with a timeline `MAIN`.
    pub async fn with_timeline(&self) {
        let answer = json!({ "shards": [{ "shard_id": TENANT, "node_id": "<int>" }], "stripe_size": null });
        self.put_location(TENANT, "AttachedSingle", Some(1), answer).await;
        let create = json!({ "new_timeline_id": MAIN, "existing_initdb_timeline_id": null, "pg_version": 17 });
        self.expect("POST", &format!("/v1/tenant/{TENANT}/timeline"), create, 201, json!("<object>")).await;
    }
}

/// Body of a location_config of an unsharded tenant.
pub fn location(mode: &str, generation: Option<u32>) -> Value {
    let secondary = if mode == "Secondary" { json!({ "warm": true }) } else { Value::Null };
    json!({
        "mode": mode, "generation": generation, "secondary_conf": secondary, "shard_number": 0, "shard_count": 0,
        "shard_stripe_size": 2048, "tenant_conf": {},
    })
}

pub fn msg(text: &str) -> Value {
    json!({ "msg": text })
}

pub async fn call(port: u16, method: &str, path: &str, body: Value) -> Result<(u16, Value), String> {
    let bytes = match &body {
        Value::String(text) => Bytes::from(text.clone()),
        other => Bytes::from(other.to_string()),
    };
    let method: Method = method.parse().map_err(|error| format!("{error}"))?;
    let request = Request::builder().method(method).uri(format!("http://127.0.0.1:{port}{path}"));
    let request = request.body(Full::new(bytes)).map_err(|error| error.to_string())?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    let answer = if body.is_empty() { json!("") } else { serde_json::from_slice(&body).unwrap_or_else(|_| text()) };
    Ok((status, answer))
}
