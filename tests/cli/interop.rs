//! `docker compose` on our clusters.
//!
//! What is tried: `$COMPOSE_BIN`, `docker compose`, `docker-compose`. The first version of Compose (1.x) wants a file for
//! everything and has no `ls`. Where there is none at all, the labels that it goes by are still checked; in CI that is a
//! failure.

use std::path::Path;
use std::process::Command;

use crate::support::{Ran, TestCluster};

/// Three of which two wait for another, as Compose has it too.
const CHAIN: &str = r#"
x-target: &target
  image: convoke-test/probe-target:latest
  healthcheck: { test: [CMD, probe-target, check], interval: 2s }
services:
  broker: *target
  storage:
    <<: *target
    depends_on: { broker: { condition: service_healthy } }
  web:
    <<: *target
    depends_on: { broker: { condition: service_started }, storage: { condition: service_healthy } }
    volumes: ["data:/data"]
volumes:
  data: {}
"#;

/// A cycle of three, which Compose can't start but should handle once it runs.
const CYCLE: &str = r#"
x-target: &target
  image: convoke-test/probe-target:latest
  x-convoke: { ready: { http: { port: 8080, path: /ready } } }
services:
  broker:
    <<: *target
    depends_on: { storage: { condition: service_healthy } }
  storage:
    <<: *target
    depends_on: { web: { condition: service_healthy } }
  web:
    <<: *target
    depends_on: { broker: { condition: service_healthy } }
    volumes: ["data:/data"]
volumes:
  data: {}
"#;

/// The same services for Compose 1.x, which reads a file before anything else.
const SERVICES: &str = r#"
services:
  broker: { image: "convoke-test/probe-target:latest" }
  storage: { image: "convoke-test/probe-target:latest" }
  web: { image: "convoke-test/probe-target:latest", volumes: ["data:/data"] }
volumes:
  data: {}
"#;

/// Docker compose as it is found here.
pub(crate) struct Compose {
    pub(crate) program: Vec<String>,
    version: String,
    /// Compose looks for a file in all folders above, so this one is outside the cluster's.
    elsewhere: tempfile::TempDir,
}

impl Compose {
    /// The one that is asked for, or the one that is there.
    #[expect(clippy::print_stdout, reason = "a test's output says which it was")]
    pub(crate) fn find() -> Option<Self> {
        let found = match std::env::var("COMPOSE_BIN") {
            Ok(path) => Some(Self::at(vec![path]).expect("COMPOSE_BIN is no docker compose that runs")),
            Err(_) => Self::at(vec!["docker".to_owned(), "compose".to_owned()])
                .or_else(|| Self::at(vec!["docker-compose".to_owned()])),
        };
        match &found {
            Some(compose) => println!("docker compose {}: {}", compose.version, compose.program.join(" ")),
            None if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("CI needs docker compose"),
            None => println!("no docker compose here: nobody asked it about our clusters"),
        }
        found
    }

    fn at(program: Vec<String>) -> Option<Self> {
        let output = Command::new(&program[0]).args(&program[1..]).args(["version", "--short"]).output().ok()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("services.yaml"), SERVICES).unwrap();
        output.status.success().then_some(Self { program, version, elsewhere })
    }

    /// Version 1.x, which wants a file for everything.
    pub(crate) fn is_first(&self) -> bool {
        self.version.starts_with("1.")
    }

    /// A command about the cluster, by its name alone unless Compose insists on a file.
    #[track_caller]
    fn ok(&self, cluster: &TestCluster, args: &[&str]) -> Ran {
        let ran = self.run(cluster, args);
        assert_eq!(ran.code, 0, "docker compose {}\n{ran}", args.join(" "));
        ran
    }

    /// The same, however it ends.
    pub(crate) fn run(&self, cluster: &TestCluster, args: &[&str]) -> Ran {
        let file: &[&str] = if self.is_first() { &["-f", "services.yaml"] } else { &[] };
        self.run_in(self.elsewhere.path(), cluster, file, args)
    }

    fn run_in(&self, folder: &Path, cluster: &TestCluster, before: &[&str], args: &[&str]) -> Ran {
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]).args(before);
        let mut command = cluster.at_home(command, args);
        command.current_dir(folder);
        cluster.run_command(command)
    }
}

#[test]
fn compose_sees_stops_restarts_and_removes_a_cluster() {
    let cluster = TestCluster::new(CHAIN);
    cluster.ok(&["up"]);
    labels_are_compose_s(&cluster, "broker:service_started:false,storage:service_healthy:false");
    handled_by_compose(&cluster);
}

#[test]
fn compose_sees_stops_restarts_and_removes_a_cyclic_cluster() {
    let cluster = TestCluster::new(CYCLE);
    cluster.ok(&["up"]);
    // A cycle in the label would keep Compose from doing anything at all.
    labels_are_compose_s(&cluster, "");
    handled_by_compose(&cluster);
}

#[test]
fn compose_refuses_the_files_of_cyclic_clusters() {
    let cluster = TestCluster::new(CYCLE);
    let Some(compose) = Compose::find() else { return };
    let etcd = cluster.ok(&["render", "etcd"]).out;
    for text in [CYCLE, &etcd] {
        cluster.write("compose.yaml", text);
        let ran = compose.run_in(cluster.path(), &cluster, &[], &["config"]);
        assert_ne!(ran.code, 0, "{ran}");
        let said = ran.all().to_lowercase();
        assert!(said.contains("cycle") || said.contains("circular"), "{ran}");
        cluster.ok(&["config", "--resolved"]).says(&["3 components"]);
    }
}

#[test]
fn compose_takes_the_template_neon() {
    let cluster = TestCluster::without_file();
    let Some(compose) = Compose::find().filter(|compose| !compose.is_first()) else { return };
    for set in ["images=official", "images=sim"] {
        let text = cluster.ok(&["render", "neon", "--set", set, "--set", "pageservers=3"]).out;
        cluster.write("compose.yaml", &text);
        let ran = compose.run_in(cluster.path(), &cluster, &[], &["config", "--services"]);
        // With endpoint storage, control plane and an endpoint.
        assert_eq!((ran.code, ran.out.lines().count()), (0, 12), "{ran}");
    }
}

/// What one does with a cluster of three that runs, and what convoke makes of it then.
#[track_caller]
fn handled_by_compose(cluster: &TestCluster) {
    let Some(compose) = Compose::find() else { return };
    let ids = || cluster.identities().into_iter().map(|(_, id, _)| id).collect::<Vec<_>>();
    let before = ids();
    if !compose.is_first() {
        let list = compose.ok(cluster, &["ls"]).out;
        let line = list.lines().find(|line| line.starts_with(&cluster.name));
        let line = line.unwrap_or_else(|| panic!("{} isn't listed:\n{list}", cluster.name));
        assert!(line.contains("running(3)") && line.contains("compose.yaml"), "{line}");
    }
    compose.ok(cluster, &["ps"]).says(&["broker", "storage", "web"]);
    compose.ok(cluster, &["logs"]).says(&["broker", "storage", "web", "listening on 8080"]);

    compose.ok(cluster, &["stop"]);
    let stopped = cluster.ok(&["ps"]).out.matches("stopped").count();
    assert_eq!(stopped, 3);
    cluster.ok(&["up"]).says(&["ready in"]);
    compose.ok(cluster, &["stop", "web"]);
    cluster.ok(&["up"]).says(&["ready in"]);
    compose.ok(cluster, &["restart"]);
    cluster.ok(&["up"]);
    assert_eq!(ids(), before, "they are the same containers to us");

    compose.ok(cluster, &["down"]);
    cluster.run(&["ps"]).exits(1).says(&["nothing of cluster"]);
    assert_eq!(cluster.observe().networks.len(), 0, "Compose removed the network too");
    cluster.ok(&["up"]).says(&["ready in"]);
    compose.ok(cluster, &["down", "--volumes"]);
    cluster.assert_gone();
}

#[track_caller]
fn labels_are_compose_s(cluster: &TestCluster, dependencies_of_web: &str) {
    let observed = cluster.observe();
    for container in &observed.containers {
        let label = |key: &str| container.label(&format!("com.docker.compose.{key}")).unwrap_or_default().to_owned();
        let (name, service) = (cluster.name.as_str(), container.component.as_str());
        assert_eq!(label("project"), name);
        assert_eq!(label("service"), service);
        assert_eq!(label("container-number"), "1");
        assert_eq!(label("oneoff"), "False", "this spelling");
        assert_eq!(label("config-hash").len(), 64);
        assert_eq!(container.name, format!("{name}-{service}-1"));
        if service == "web" {
            assert_eq!(label("depends_on"), dependencies_of_web);
        }
    }
    assert_eq!(observed.networks[0].name, format!("{}_default", cluster.name));
    assert_eq!(observed.networks[0].labels["com.docker.compose.network"], "default");
    assert_eq!(observed.volumes[0].name, format!("{}_data", cluster.name));
    assert_eq!(observed.volumes[0].labels["com.docker.compose.volume"], "data");
}
