//! `docker compose` on our clusters.
//!
//! What is tried: `$COMPOSE_BIN`, `docker compose`, `docker-compose`. The first version of Compose (1.x) wants a file for
//! everything and has no `ls`. Where there is none at all, the labels that it goes by are still checked.

use std::process::Command;

use crate::support::{Ran, TestCluster};

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

struct Compose {
    program: Vec<String>,
    is_first: bool,
}

impl Compose {
    fn find() -> Option<Self> {
        let own = std::env::var("COMPOSE_BIN").ok().map(|program| vec![program]);
        let usual = [vec!["docker".to_owned(), "compose".to_owned()], vec!["docker-compose".to_owned()]];
        own.into_iter().chain(usual).find_map(|program| {
            let output = Command::new(&program[0]).args(&program[1..]).args(["version", "--short"]).output().ok()?;
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            output.status.success().then(|| Self { program, is_first: version.starts_with("1.") })
        })
    }

    /// A command about the cluster, from a folder that has none of its files unless Compose insists.
    fn run(&self, cluster: &TestCluster, args: &[&str]) -> Ran {
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]);
        if self.is_first {
            command.args(["-f", "services.yaml"]);
        }
        let mut command = cluster.at_home(command, args);
        if !self.is_first {
            command.current_dir(cluster.path().join("empty"));
        }
        cluster.run_command(command)
    }
}

#[test]
fn compose_sees_stops_restarts_and_removes_a_cyclic_cluster() {
    let cluster = TestCluster::new(CYCLE);
    cluster.write("services.yaml", SERVICES);
    cluster.write("empty/note", "");
    cluster.ok(&["up"]);
    labels_are_compose_s(&cluster);
    let Some(compose) = Compose::find() else {
        println!("no docker compose here: its labels were checked, its commands were not");
        return;
    };
    if !compose.is_first {
        compose.run(&cluster, &["ls"]).exits(0).says(&[&cluster.name, "running(3)"]);
    }
    let ps = compose.run(&cluster, &["ps"]);
    ps.exits(0).says(&["broker", "storage", "web"]);
    compose.run(&cluster, &["logs"]).exits(0).says(&["listening on 8080"]);

    compose.run(&cluster, &["stop"]).exits(0);
    cluster.ok(&["ps"]).says(&["stopped"]);
    cluster.ok(&["up"]).says(&["ready in"]);
    compose.run(&cluster, &["restart"]).exits(0);
    let before: Vec<_> = cluster.identities().into_iter().map(|(_, id, _)| id).collect();
    cluster.ok(&["up"]);
    let after: Vec<_> = cluster.identities().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(before, after, "they are the same containers to us");

    compose.run(&cluster, &["down"]).exits(0);
    cluster.run(&["ps"]).exits(1).says(&["nothing of cluster"]);
    assert_eq!(cluster.observe().networks.len(), 0, "Compose removed the network too");
    cluster.ok(&["up"]).says(&["ready in"]);
    compose.run(&cluster, &["down", "--volumes"]).exits(0);
    cluster.assert_gone();
}

#[test]
fn compose_refuses_the_file_of_a_cyclic_cluster() {
    let cluster = TestCluster::new(CYCLE);
    let Some(compose) = Compose::find() else {
        println!("no docker compose here: it wasn't asked");
        return;
    };
    let mut command = Command::new(&compose.program[0]);
    command.args(&compose.program[1..]);
    let ran = cluster.run_command(cluster.at_home(command, &["ps"]));
    assert_ne!(ran.code, 0, "{ran}");
    let said = ran.all().to_lowercase();
    assert!(said.contains("cycle") || said.contains("circular"), "{ran}");
    cluster.ok(&["config"]).says(&["3 components"]);
}

#[track_caller]
fn labels_are_compose_s(cluster: &TestCluster) {
    for container in cluster.observe().containers {
        let label = |key: &str| container.label(&format!("com.docker.compose.{key}")).unwrap_or_default().to_owned();
        let (name, service) = (cluster.name.as_str(), container.component.as_str());
        assert_eq!(label("project"), name);
        assert_eq!(label("service"), service);
        assert_eq!(label("container-number"), "1");
        assert_eq!(label("oneoff"), "False", "this spelling");
        assert_eq!(label("config-hash").len(), 64);
        assert_eq!(label("depends_on"), "", "a cycle would keep `down` from working");
        assert_eq!(container.name, format!("{name}-{service}-1"));
    }
    let observed = cluster.observe();
    assert_eq!(observed.networks[0].name, format!("{}_default", cluster.name));
    assert_eq!(observed.networks[0].labels["com.docker.compose.network"], "default");
    assert_eq!(observed.volumes[0].name, format!("{}_data", cluster.name));
    assert_eq!(observed.volumes[0].labels["com.docker.compose.volume"], "data");
}
