//! A storage plane on loopback: Postgres, the controller, pageservers, safekeepers, with a recorder between them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::pattern::assert_like;
use crate::process::{Postgres, Process, free_port};
use crate::recorder::{Recorder, Seen};

/// How long a test waits for something that should take moments.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Everything of one test. What it holds is dropped in this order.
pub struct World {
    pub controller: Option<Process>,
    pub pageservers: BTreeMap<u64, Process>,
    pub safekeepers: BTreeMap<u64, Process>,
    pub postgres: Postgres,
    pub recorder: Recorder,
    /// Flags of the controller.
    flags: Vec<String>,
    port: u16,
    /// Where pageservers find the controller: the recorder listens there.
    upcall_port: u16,
    client: Client<HttpConnector, Full<Bytes>>,
    directory: TempDir,
}

impl World {
    /// Postgres with an empty database, and nothing else yet. `flags` are for the controller, beside those which all
    /// tests need: fast heartbeats, and a hook.
    pub async fn new(flags: &[&str]) -> Self {
        let recorder = Recorder::default();
        let hook = format!("http://127.0.0.1:{}/", recorder.hook().await);
        let flags: Vec<_> = ["--control-plane-url", &hook].into_iter().chain(flags.iter().copied()).collect();
        Self::with_recorder(recorder, &flags).await
    }

    /// A controller that is ready, and has no hook unless `flags` say so.
    pub async fn without_hook(flags: &[&str]) -> Self {
        let mut world = Self::with_recorder(Recorder::default(), flags).await;
        world.start_controller();
        world.until_answers("/ready").await;
        world
    }

    async fn with_recorder(recorder: Recorder, flags: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("neon-sim-").tempdir().expect("a directory");
        // Postgres runs as somebody else where the tests run as root.
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o711)).expect("own directory");
        let postgres = Postgres::start(directory.path(), free_port());
        let port = free_port();
        let upcall_port = recorder.in_front_of("sc", port).await;
        let mut all = format!(
            "--dev --listen 127.0.0.1:{port} --database-url {} --address-for-peers http://127.0.0.1:{port}/ \
             --heartbeat-interval 300ms --max-offline-interval 2s \
             --max-warming-up-interval 20s --timelines-onto-safekeepers",
            postgres.url("storage_controller")
        )
        .split_whitespace()
        .map(str::to_owned)
        .collect::<Vec<_>>();
        all.extend(flags.iter().map(ToString::to_string));
        postgres.create_database("storage_controller").await;
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            controller: None,
            pageservers: BTreeMap::new(),
            safekeepers: BTreeMap::new(),
            postgres,
            recorder,
            flags: all,
            port,
            upcall_port,
            client,
            directory,
        }
    }

    /// The same with a controller that is ready.
    pub async fn with_controller(flags: &[&str]) -> Self {
        let mut world = Self::new(flags).await;
        world.start_controller();
        world.until_answers("/ready").await;
        world
    }

    /// Two pageservers and three safekeepers that are Active, as most of the recorded situations have them.
    pub async fn complete() -> Self {
        let mut world = Self::with_controller(&[]).await;
        for id in 1..=2 {
            world.start_pageserver(id).await;
        }
        for id in 1..=3 {
            world.start_safekeeper(id).await;
            world.register_safekeeper(id).await;
        }
        world.until_nodes_are(&["Active", "Active"]).await;
        world.until_safekeepers_are("Active").await;
        world.recorder.take();
        world
    }

    pub fn start_controller(&mut self) {
        self.controller = Some(self.spawn_controller(&self.flags));
    }

    /// A controller with its own flags, which isn't kept.
    pub fn spawn_controller(&self, flags: &[String]) -> Process {
        Process::role("storage_controller", "storage_controller", self.directory.path(), flags)
    }

    /// Kills the controller and starts it again; gives the moment of its start.
    pub fn restart_controller(&mut self) -> Instant {
        self.controller = None;
        self.start_controller();
        Instant::now()
    }

    /// An empty database in the place of the one there was.
    pub async fn replace_database(&self) {
        self.postgres.drop_database("storage_controller").await;
        self.postgres.create_database("storage_controller").await;
    }

    pub fn stop_postgres(&mut self) {
        self.postgres.stop();
    }

    /// The same files again.
    pub fn start_postgres(&mut self, port: u16) {
        self.postgres = Postgres::start(self.directory.path(), port);
    }

    /// First start or later start of a pageserver in zone az-ID. Returns at once.
    pub async fn start_pageserver(&mut self, id: u64) {
        let workdir = self.workdir("pageserver", id);
        if !workdir.exists() {
            std::fs::create_dir(&workdir).expect("a new directory");
            let (http, pg) = (free_port(), free_port());
            let announced = self.recorder.in_front_of(&format!("ps-{id}"), http).await;
            let storage = self.directory.path().join("remote");
            let write = |name: &str, text: String| std::fs::write(workdir.join(name), text).expect("own directory");
            write("identity.toml", format!("id={id}\n"));
            write("metadata.json", metadata(id, pg, announced).to_string());
            write(
                "pageserver.toml",
                format!(
                    "control_plane_api = 'http://127.0.0.1:{}/upcall/v1/'\nlisten_http_addr = '127.0.0.1:{http}'\n\
                     listen_pg_addr = '127.0.0.1:{pg}'\nremote_storage = {{ local_path = '{}' }}\n\
                     broker_endpoint = 'http://127.0.0.1:1'\n",
                    self.upcall_port,
                    storage.display()
                ),
            );
        }
        let args = ["-D".to_owned(), workdir.display().to_string()];
        let process = Process::role("pageserver", &format!("ps-{id}"), self.directory.path(), &args);
        self.pageservers.insert(id, process);
    }

    /// What it had on its disk is lost; its files with settings aren't.
    pub fn empty_pageserver(&self, id: u64) {
        std::fs::remove_dir_all(self.workdir("pageserver", id).join("tenants")).expect("it had some");
    }

    /// The same for a safekeeper; the controller isn't told.
    pub async fn start_safekeeper(&mut self, id: u64) {
        let workdir = self.workdir("safekeeper", id);
        let ports = workdir.with_extension("ports");
        if !workdir.exists() {
            std::fs::create_dir(&workdir).expect("a new directory");
            let http = free_port();
            let announced = self.recorder.in_front_of(&format!("sk-{id}"), http).await;
            std::fs::write(&ports, json!([http, free_port(), announced]).to_string()).expect("own directory");
        }
        let [http, pg, _] = self.safekeeper_ports(id);
        let args = format!(
            "-D {} --id {id} --listen-pg 127.0.0.1:{pg} --listen-http 127.0.0.1:{http} --availability-zone az-{id} \
             --broker-endpoint http://127.0.0.1:1",
            workdir.display()
        );
        let args: Vec<_> = args.split_whitespace().map(str::to_owned).collect();
        let process = Process::role("safekeeper", &format!("sk-{id}"), self.directory.path(), &args);
        self.safekeepers.insert(id, process);
    }

    fn safekeeper_ports(&self, id: u64) -> [u16; 3] {
        let text = std::fs::read_to_string(self.workdir("safekeeper", id).with_extension("ports"));
        serde_json::from_str(&text.expect("written at its first start")).expect("three ports")
    }

    pub fn safekeeper_body(&self, id: u64) -> Value {
        let [_, pg, announced] = self.safekeeper_ports(id);
        json!({
            "id": id, "created_at": "2023-10-25T09:11:25Z", "updated_at": "2024-08-28T11:32:43Z", "region_id": "local",
            "host": "127.0.0.1", "port": pg, "http_port": announced, "https_port": null, "version": 5957,
            "availability_zone_id": format!("az-{id}"),
        })
    }

    pub async fn register_safekeeper(&self, id: u64) {
        let body = self.safekeeper_body(id);
        self.expect("POST", &format!("/control/v1/safekeeper/{id}"), body, 204, Value::Null).await;
    }

    fn workdir(&self, role: &str, id: u64) -> PathBuf {
        self.directory.path().join(format!("{role}-{id}"))
    }

    /// One call of the controller by a client; null as a body is none.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.try_call(method, path, body).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The same, with an error instead of a panic when there is no answer.
    pub async fn try_call(&self, method: &str, path: &str, body: Value) -> Result<(u16, Value), String> {
        let bytes = match &body {
            Value::Null => Bytes::new(),
            Value::String(text) => Bytes::from(text.clone()),
            other => Bytes::from(other.to_string()),
        };
        let method: Method = method.parse().map_err(|error| format!("{error}"))?;
        let request = Request::builder().method(method).uri(format!("http://127.0.0.1:{}{path}", self.port));
        let request = request.body(Full::new(bytes)).map_err(|error| error.to_string())?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
            let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
            Ok((
                status,
                if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or_else(|_| text()) },
            ))
        };
        timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
    }

    /// A row of a table: the call, its code and what its answer looks like. Gives the answer.
    pub async fn expect(&self, method: &str, path: &str, body: Value, status: u16, pattern: Value) -> Value {
        let (seen, answer) = self.call(method, path, body).await;
        assert_eq!(seen, status, "{method} {path}: {answer}");
        assert_like(&format!("{method} {path}"), &answer, &pattern);
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call("GET", path, Value::Null).await;
        assert_eq!(status, 200, "GET {path}: {answer}");
        answer
    }

    /// Waits until a GET is answered with 200.
    pub async fn until_answers(&self, path: &str) {
        let (begin, mut last) = (Instant::now(), String::new());
        while begin.elapsed() < PATIENCE {
            match self.try_call("GET", path, Value::Null).await {
                Ok((200, _)) => return,
                other => last = format!("{other:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("GET {path} after {PATIENCE:?}: {last}");
    }

    /// Waits until an answer fits.
    pub async fn until(&self, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let (begin, mut last) = (Instant::now(), Value::Null);
        while begin.elapsed() < PATIENCE {
            last = self.get(path).await;
            if fits(&last) {
                return last;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("GET {path} after {PATIENCE:?}: {last}");
    }

    pub async fn until_nodes_are(&self, availabilities: &[&str]) {
        let fits = |nodes: &Value| {
            let nodes = nodes.as_array().cloned().unwrap_or_default();
            nodes
                .iter()
                .map(|node| node["availability"].as_str().unwrap_or_default())
                .eq(availabilities.iter().copied())
        };
        self.until("/control/v1/node", fits).await;
    }

    pub async fn until_safekeepers_are(&self, policy: &str) {
        let fits =
            |all: &Value| all.as_array().is_some_and(|all| all.iter().all(|one| one["scheduling_policy"] == policy));
        self.until("/control/v1/safekeeper", fits).await;
    }

    /// Waits until so many calls were seen that fit, and gives all that was seen, in order.
    pub async fn seen(&self, count: usize, fits: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        let begin = Instant::now();
        loop {
            let seen = self.recorder.peek();
            if seen.iter().filter(|call| fits(call) && call.status.is_some()).count() >= count {
                return self.recorder.take();
            }
            assert!(begin.elapsed() < PATIENCE, "only {seen:#?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What a pageserver announces.
pub fn metadata(id: u64, pg: u16, http: u16) -> Value {
    json!({
        "host": "127.0.0.1", "port": pg, "grpc_host": null, "grpc_port": null, "http_host": "127.0.0.1",
        "http_port": http, "https_port": null, "availability_zone_id": format!("az-{id}"),
    })
}

/// A row of a table of calls between programs: who was called, how, with what, and what was answered.
pub struct Row<'a>(pub &'a str, pub &'a str, pub String, pub Value, pub u16, pub Value);

/// Compares what was seen, in its order, with a table.
pub fn assert_calls(seen: &[Seen], rows: &[Row<'_>]) {
    let brief = |call: &Seen| format!("{} {} {}", call.to, call.method, call.path);
    let wanted: Vec<_> = rows.iter().map(|row| format!("{} {} {}", row.0, row.1, row.2)).collect();
    assert_eq!(seen.iter().map(brief).collect::<Vec<_>>(), wanted);
    for (call, Row(_, _, _, body, status, answer)) in seen.iter().zip(rows) {
        assert_like(&format!("body of {}", brief(call)), &call.body, body);
        assert_eq!(call.status, Some(*status), "{}: {}", brief(call), call.answer);
        assert_like(&format!("answer to {}", brief(call)), &call.answer, answer);
    }
}
