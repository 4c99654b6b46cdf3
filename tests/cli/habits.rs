//! What users of docker compose type.

use std::time::Duration;

use convoke::engine::Status;

use crate::support::TestCluster;

const SHOP: &str = "services:
  db: { image: convoke-test/probe-target:latest, volumes: ['data:/data'] }
  web: { image: convoke-test/probe-target:latest, depends_on: [db] }
  debug: { image: convoke-test/probe-target:latest, profiles: [tools], networks: [side] }
  cron: { image: convoke-test/probe-target:latest }
networks: { default: , side: }
volumes: { data: }
";

#[test]
fn a_service_that_is_named_is_started_with_what_it_depends_on() {
    let cluster = TestCluster::new(SHOP);
    cluster.ok(&["up", "--plan", "web"]).says(&["2 to create"]);
    cluster.ok(&["up", "web"]).says(&["2 components"]);
    assert_eq!(cluster.components(), ["db", "web"]);
    assert_eq!(cluster.observe().networks.len(), 1, "none that only others are on");
    // Naming it switches its profile on, and leaves the others alone.
    let before = cluster.identities();
    cluster.ok(&["up", "debug"]).says(&["1 component"]);
    assert_eq!(cluster.components(), ["db", "debug", "web"]);
    cluster.edit("depends_on: [db] }", "depends_on: [db], user: '0' }");
    cluster.ok(&["up", "--no-deps", "cron"]);
    assert_eq!(cluster.identities().iter().filter(|one| before.contains(one)).count(), 2, "web isn't replaced");

    cluster.run(&["up", "wep"]).exits(2).says(&["there is no service \"wep\"", "did you mean \"web\"?"]);
    cluster.run(&["supervise", "web"]).exits(2).says(&["a cluster is supervised as a whole"]);
    cluster.ok(&["config", "--services", "web"]).says(&["db", "web"]);
    // A service goes before a template of the same name.
    cluster.write("compose.yaml", "services: { etcd: { image: convoke-test/probe-target:latest } }");
    cluster.ok(&["config", "--services", "etcd"]).says(&["etcd"]);
    assert!(!cluster.ok(&["config", "--services", "postgres"]).out.contains("etcd"));
}

#[test]
fn created_scaled_frozen_killed_and_removed() {
    let cluster = TestCluster::new(SHOP);
    cluster.ok(&["create", "web"]).says(&["created in"]);
    assert!(cluster.observe().containers.iter().all(|c| c.state.status == Status::Created));
    cluster.ok(&["scale", "web=2"]);
    assert_eq!(cluster.components(), ["db", "web-1", "web-2"]);
    cluster.ok(&["scale", "--no-deps", "web=1"]);
    assert_eq!(cluster.components(), ["db", "web"]);

    cluster.ok(&["pause", "web"]).says(&["web paused"]);
    assert_eq!(cluster.container("web").state.status, Status::Paused);
    cluster.run(&["pause", "web"]).exits(1).says(&["nothing of that runs"]);
    cluster.ok(&["unpause"]).says(&["web goes on"]);
    cluster.ok(&["kill", "-s", "KILL", "web"]).says(&["web killed"]);
    assert_eq!(cluster.container("web").state.exit_code, 137);
    cluster.run(&["rm"]).exits(2).says(&["--force removes without asking"]);
    cluster.ok(&["rm", "-f"]).says(&["removed"]);
    assert_eq!(cluster.components(), ["db"]);
    cluster.ok(&["rm", "-sf"]);
    assert!(cluster.components().is_empty());
}

#[test]
fn what_there_is_can_be_listed() {
    let cluster = TestCluster::new(SHOP);
    cluster.ok(&["up", "web"]);
    assert_eq!(cluster.ok(&["ps", "--services"]).out, "db\nweb\n");
    assert_eq!(cluster.ok(&["ps", "-q", "db"]).out.trim(), cluster.container("db").id.to_string());
    assert_eq!(cluster.ok(&["ps", "-q", "--filter", "status=exited"]).out, "");
    cluster.ok(&["ps", "-a", "--status", "running", "web"]).says(&["web"]).says_nothing_of(&["db"]);
    cluster.ok(&["ls"]).says(&[&cluster.name, "running(2)", "compose.yaml"]);
    cluster.ok(&["images", "web"]).says(&["web", "convoke-test/probe-target:latest"]);
    let volumes = cluster.json(&["volumes"]);
    assert_eq!(volumes[0]["key"], "data");
    cluster.ok(&["top", "web"]).says(&["web", "PID", "probe-target"]);
    assert_eq!(cluster.json(&["top", "db"])[0]["component"], "db");
    cluster.run(&["pull"]).exits(1).says(&["convoke-test/probe-target:latest"]);
    cluster.ok(&["build"]).says(&["nothing of that is built"]);
    cluster.run(&["up", "--abort-on-container-exit"]).exits(2).says(&[
        "error: convoke up has no --abort-on-container-exit: up returns when all is ready",
        "instead: convoke wait SERVICE",
    ]);
    cluster.ok(&["up", "--dry-run", "--force-recreate", "web"]).says(&["web        replace  asked for", "1 to keep"]);
}

#[test]
fn an_end_is_awaited_and_passed_on() {
    let cluster = TestCluster::new(SHOP);
    cluster.ok(&["up", "web"]);
    cluster.run(&["wait", "web", "--timeout", "300ms"]).exits(3);
    let events = cluster.begin(&["events", "--json", "web"]);
    let waiting = cluster.begin(&["wait", "web"]);
    std::thread::sleep(Duration::from_millis(500));
    cluster.ok(&["kill", "web"]);
    waiting.end().exits(137).says(&["web exited with code 137"]);
    std::thread::sleep(Duration::from_millis(200));
    events.signal("INT");
    let said = events.end();
    said.exits(130).says(&["\"action\":\"die\"", "\"component\":\"web\""]);
    assert!(!said.out.contains("\"db\""), "{said}");
    cluster.run(&["wait", "--down-project", "web"]).exits(137).within(Duration::from_secs(15));
    assert!(cluster.components().is_empty());
}
