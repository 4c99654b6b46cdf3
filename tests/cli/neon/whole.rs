//! Neon whole, with the simulated programs: from nothing to psql, and what happens to an endpoint when its pages move.

use std::time::{Duration, Instant};

use convoke::event::Phase;
use serde_json::Value;

use super::{Story, imports};
use crate::support::{Ran, TestCluster, http_get_with};

/// For what takes seconds; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const MAIN: &str = "endpoint-main";

/// A cluster of the template, brought up.
pub(super) struct Neon {
    pub(super) cluster: TestCluster,
}

impl Neon {
    pub(super) fn up(set: &[&str]) -> (Self, Ran) {
        let cluster = TestCluster::without_file();
        let set: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
        let args: Vec<&str> = ["up", "neon", "--set", "images=sim"].into_iter().chain(set).collect();
        let up = cluster.run(&args);
        up.exits(0);
        (Self { cluster }, up)
    }

    /// `psql` in the endpoint's container, where no password is asked for.
    pub(super) fn inside(&self, endpoint: &str, query: &str) -> Ran {
        let args = ["exec", "-T", endpoint, "psql", "-h", "127.0.0.1", "-p", "55433", "-U", "neon", "-d", "neondb"];
        self.cluster.run(&[&args[..], &["-qAtX", "-c", query]].concat())
    }

    pub(super) fn shows(&self, endpoint: &str, setting: &str) -> String {
        self.inside(endpoint, &format!("show {setting}")).out.trim().to_owned()
    }

    fn status(&self) -> Value {
        self.cluster.json(&["neon", "status"])
    }

    /// The pageserver that the default tenant's only shard is on.
    pub(super) fn pageserver(&self) -> u64 {
        self.status()["tenants"][0]["description"]["shards"][0]["node_attached"].as_u64().expect("it is attached")
    }

    pub(super) fn wait_for(&self, what: &str, condition: impl Fn(&Self) -> bool) -> Duration {
        let begun = Instant::now();
        while !condition(self) {
            assert!(begun.elapsed() < PATIENCE, "never {what}\n{}", self.cluster.log("control-plane"));
            std::thread::sleep(Duration::from_millis(100));
        }
        begun.elapsed()
    }
}

pub(super) fn connstring(pageserver: u64) -> String {
    format!("postgres://no_user@pageserver-{pageserver}:6400")
}

#[test]
fn one_command_leads_from_nothing_to_a_psql_line_that_works() {
    let (neon, up) = Neon::up(&[]);
    // The line that `up` ends with, as it would be typed.
    let line = up.all().lines().find_map(|line| line.trim().strip_prefix("psql ").map(str::to_owned));
    let line = line.unwrap_or_else(|| panic!("no line to type\n{up}"));
    assert!(line.starts_with("postgresql://neon:neon@127.0.0.1:") && line.ends_with("/neondb"), "{line}");
    let one = neon.cluster.run(&["neon", "psql", "main", "-qAtX", "-c", "select 1"]);
    assert_eq!(one.exits(0).out.trim(), "1", "{one}");
    // From elsewhere than its own machine it wants the password.
    let address = neon.cluster.address(MAIN, 55433);
    let with = |password: &str| {
        let target = format!("postgresql://neon:{password}@{address}/neondb");
        neon.cluster.run(&["exec", "-T", MAIN, "psql", &target, "-qAtX", "-c", "select current_user"])
    };
    assert_eq!(with("neon").exits(0).out.trim(), "neon");
    with("wrong").exits(2).says(&["password authentication failed"]);
    // No start waited for any readiness.
    let starts = neon.cluster.json(&["report"])["starts"].clone();
    assert_eq!(starts["waited"], serde_json::json!([]), "{starts}");
    assert_eq!(neon.shows(MAIN, "neon.pageserver_connstring"), connstring(neon.pageserver()));
    assert!(neon.shows(MAIN, "neon.safekeepers").starts_with("g#1:safekeeper-"));

    // All of it once more, at once, with a tenant.
    neon.cluster.run(&["restart"]).exits(0);
    neon.wait_for("served again", |neon| neon.inside(MAIN, "select 1").out.trim() == "1");
    // Nothing is kept but in volumes, and those are enough.
    neon.cluster.ok(&["down"]);
    neon.cluster.run(&["up", "neon", "--set", "images=sim"]).exits(0).says(&["psql postgresql://neon:neon@"]);
    assert_eq!(neon.status()["tenants"].as_array().unwrap().len(), 1);
}

#[test]
fn an_endpoint_follows_its_pages_by_migration_split_and_failover() {
    let (neon, _) = Neon::up(&["safekeepers=1"]);
    let first = neon.pageserver();
    let other = 3 - first;
    // When the command is back the endpoint runs with the new place: the controller waits for the hook.
    neon.cluster.ok(&["neon", "shard", "migrate", "--node", &other.to_string()]);
    assert_eq!(neon.shows(MAIN, "neon.pageserver_connstring"), connstring(other));
    assert_eq!(neon.inside(MAIN, "select 1").exits(0).out.trim(), "1");

    // Its pageserver is held down: the tenant fails over, and who connects again is served by the other one.
    neon.cluster.ok(&["stop", &format!("pageserver-{other}")]);
    neon.inside(MAIN, "select 1").exits(2).says(&["could not connect to pageserver"]);
    let took = neon.wait_for("served by the other", |neon| neon.inside(MAIN, "select 1").out.trim() == "1");
    assert_eq!(neon.shows(MAIN, "neon.pageserver_connstring"), connstring(first));
    // For people: nextest shows it with --no-capture. The controller itself waits for 10 s.
    eprintln!("served again {took:?} after its pageserver was stopped");
    neon.cluster.ok(&["start", &format!("pageserver-{other}")]);

    neon.cluster.ok(&["neon", "shard", "split", "--shard-count", "2"]);
    neon.wait_for("told of both shards", |neon| neon.shows(MAIN, "neon.pageserver_connstring").split(',').count() == 2);
    assert_eq!(neon.shows(MAIN, "neon.stripe_size"), "2048");
    imports::backup(neon.cluster.path());
    let import = ["neon", "timeline", "import", "--branch-name", "old", "--base-tarfile", "base.tar"];
    neon.cluster.run(&import).exits(2).says(&["has 2 shards: pageservers import into a tenant without shards alone"]);
    assert_eq!(neon.inside(MAIN, "select 1").exits(0).out.trim(), "1");
}

#[test]
fn a_control_plane_that_crashes_loses_nothing_and_catches_up() {
    let (neon, _) = Neon::up(&["safekeepers=1"]);
    let before = neon.status()["control_plane"].clone();
    neon.cluster.ok(&["stop", "control-plane"]);
    // An endpoint runs on without it.
    assert_eq!(neon.inside(MAIN, "select 1").exits(0).out.trim(), "1");
    let back = neon.cluster.run(&["--format", "json", "start", "control-plane"]);
    let story = Story::of(back.exits(0));
    assert!(story.first("control-plane", Phase::Ready) < Duration::from_secs(10), "{story:?}");
    let after = neon.status()["control_plane"].clone();
    assert_eq!(after["default_tenant"], before["default_tenant"]);
    assert_eq!(after["endpoints"][0]["timeline"], before["endpoints"][0]["timeline"]);
    assert_eq!(neon.status()["tenants"].as_array().unwrap().len(), 1);
    // And it still tells where pages go.
    let other = 3 - neon.pageserver();
    neon.cluster.ok(&["neon", "shard", "migrate", "--node", &other.to_string()]);
    assert_eq!(neon.shows(MAIN, "neon.pageserver_connstring"), connstring(other));
}

#[test]
fn endpoints_and_branches_come_and_go() {
    let (neon, _) = Neon::up(&["safekeepers=1", "pageservers=1"]);
    let c = &neon.cluster;
    c.run(&["neon", "endpoint", "create", "two", "--branch-name", "main"])
        .exits(2)
        .says(&["endpoint main is a primary"]);
    c.run(&["neon", "endpoint", "create", "x", "--branch-name", "nothing"])
        .exits(2)
        .says(&["has no branch \"nothing\"; it has main"]);
    c.ok(&["neon", "timeline", "branch", "--branch-name", "dev"]);
    c.run(&["neon", "timeline", "branch", "--branch-name", "dev2", "--ancestor-start-lsn", "F/0"])
        .exits(2)
        .says(&["is outside of timeline"]);
    let taken =
        ["neon", "timeline", "create", "--branch-name", "dev", "--timeline-id", "aaaa0000000000000000000000000001"];
    c.run(&taken).exits(2).says(&["the branch name dev is taken"]);
    c.run(&["neon", "endpoint", "create", "dev"]).exits(0).says(&["psql postgresql://neon:neon@"]);
    assert_eq!(neon.inside("endpoint-dev", "select 1").exits(0).out.trim(), "1");
    let tree = c.ok(&["neon", "timeline", "list"]).out;
    assert!(tree.lines().count() == 2 && tree.contains("└─ @"), "{tree}");
    let listed = c.ok(&["neon", "endpoint", "list"]).out;
    assert!(listed.lines().any(|line| line.starts_with("dev ") && line.contains("running")), "{listed}");

    c.ok(&["neon", "endpoint", "stop", "dev"]);
    let exited = c.inspect("endpoint-dev");
    assert_eq!(exited["State"]["ExitCode"], 0, "it ended by itself: {exited}");
    c.ok(&["neon", "endpoint", "start", "dev"]);
    assert_eq!(neon.inside("endpoint-dev", "select 1").exits(0).out.trim(), "1");
    c.run(&["neon", "timeline", "delete", "dev"]).exits(2).says(&["endpoint dev serves it"]);
    // As it is, and as it was: neither writes.
    c.ok(&["neon", "endpoint", "create", "ro", "--branch-name", "dev", "--hot-standby"]);
    assert_eq!(neon.shows("endpoint-ro", "neon.compute_mode"), "replica");
    let line = tree.lines().find(|line| line.contains("dev")).expect("the branch").to_owned();
    let at = line.split("up to ").nth(1).and_then(|rest| rest.split(',').next()).expect("a position").to_owned();
    c.run(&["neon", "endpoint", "create", "then", "--branch-name", "dev", "--lsn", "F/0"])
        .exits(2)
        .says(&["is outside of timeline"]);
    c.ok(&["neon", "endpoint", "create", "then", "--branch-name", "dev", "--lsn", &at]);
    assert_eq!(neon.shows("endpoint-then", "neon.compute_mode"), "static");
    assert_eq!(neon.shows("endpoint-then", "recovery_target_lsn"), at);
    c.run(&["neon", "endpoint", "promote", "then"]).exits(2).says(&["as it was at one position"]);
    c.ok(&["neon", "endpoint", "destroy", "then"]);

    // The standby takes over.
    c.run(&["neon", "endpoint", "promote", "ro"]).exits(2).says(&["endpoint dev is a primary"]);
    let started = c.container("endpoint-ro").state.started_at;
    c.ok(&["neon", "endpoint", "promote", "ro", "--stop-primary"]);
    assert_eq!(neon.shows("endpoint-ro", "neon.compute_mode"), "primary");
    assert_eq!(c.container("endpoint-ro").state.started_at, started, "it ran on");
    c.ok(&["neon", "endpoint", "promote", "ro"]);
    c.run(&["neon", "endpoint", "start", "dev"]).exits(2).says(&["endpoint ro is a primary"]);
    c.ok(&["neon", "endpoint", "destroy", "ro"]);
    c.ok(&["neon", "endpoint", "destroy", "dev"]);
    assert!(!c.components().contains(&"endpoint-dev".to_owned()));
    c.run(&["neon", "timeline", "delete", "main"]).exits(2);
    c.ok(&["neon", "timeline", "delete", "dev"]);
    c.run(&["neon", "endpoint", "destroy", "main"]).exits(2).says(&["parameter `endpoints`"]);

    // Another tenant.
    c.ok(&["neon", "tenant", "create", "--tenant-id", "aaaa0000000000000000000000000001"]);
    let tenants = c.ok(&["neon", "tenant", "list"]).out;
    assert!(tenants.contains("aaaa0000000000000000000000000001") && tenants.contains("(default)"), "{tenants}");
    c.run(&["neon", "tenant", "set-default", "aaaa0000000000000000000000000002"])
        .exits(2)
        .says(&["there is no tenant"]);
    c.ok(&["neon", "tenant", "delete", "aaaa0000000000000000000000000001"]);
    c.run(&["neon", "node", "drain", "7"]).exits(2).says(&["there is no pageserver 7"]);
    c.run(&["neon", "shard", "split", "--shard-count", "3"]).exits(2).says(&["power of two"]);
    assert!(c.ok(&["neon", "safekeeper", "list"]).out.contains("safekeeper-1:5454"));
    c.run(&["neon", "timeline", "branch", "--branch-name", "y", "--ancestor-start-lsn", "zz"])
        .exits(2)
        .says(&["is not an LSN"]);
}

#[test]
fn settings_policies_and_tokens() {
    let (neon, _) = Neon::up(&["safekeepers=1", "pageservers=1", "postgresql_config=work_mem=64MB", "prewarm=60"]);
    let c = &neon.cluster;
    assert_eq!(neon.shows(MAIN, "work_mem"), "64MB");
    assert_eq!(neon.shows(MAIN, "neon.file_cache_path"), "/neon/cache");
    c.ok(&["neon", "tenant", "config", "-c", "gc_horizon:1024", "-c", "pitr_interval:7d"]);
    c.ok(&["neon", "tenant", "config", "-c", "pitr_interval:"]);
    let config = c.json(&["neon", "tenant", "config"]).to_string();
    assert!(config.contains("1024") && !config.contains("7d"), "{config}");
    c.run(&["neon", "tenant", "config", "-c", "gc_horizn:1"]).exits(2).says(&["gc_horizn"]);

    c.ok(&["neon", "node", "policy", "1", "Pause"]);
    assert!(c.ok(&["neon", "node", "list"]).out.contains("Pause"));
    c.ok(&["neon", "node", "policy", "1", "Active"]);
    c.ok(&["neon", "safekeeper", "policy", "1", "Pause"]);
    assert!(c.ok(&["neon", "safekeeper", "list"]).out.contains("Pause"));
    c.run(&["neon", "safekeeper", "policy", "7", "Pause"]).exits(2).says(&["there is no safekeeper 7"]);
    c.run(&["neon", "node", "policy", "1", "Asleep"]).exits(2);

    c.ok(&["neon", "safekeeper", "policy", "1", "Active"]);
    c.ok(&["neon", "timeline", "branch", "--branch-name", "old"]);
    c.ok(&["neon", "timeline", "archive", "old"]);
    c.ok(&["neon", "timeline", "archive", "old", "--undo"]);
    c.run(&["neon", "timeline", "archive", "main"]).exits(2).says(&["endpoint main serves it"]);

    // compute_ctl takes what is printed, from whoever has it; nobody else's.
    let status = |token: &str| {
        let address = neon.cluster.address(MAIN, 3080);
        let authorization = format!("Authorization: Bearer {token}");
        http_get_with(&address, "/status", &authorization).0
    };
    let own = c.ok(&["neon", "endpoint", "jwt", "main"]).out;
    let admin = c.ok(&["neon", "endpoint", "jwt", "main", "--scope", "compute_ctl:admin"]).out;
    assert_eq!((status(own.trim()), status(admin.trim()), status("x.y.z")), (200, 200, 401));
    c.ok(&["neon", "endpoint", "refresh", "main"]);
    neon.wait_for("told", |neon| neon.cluster.run(&["neon", "endpoint", "reconfigure", "main"]).code == 0);
    c.run(&["neon", "endpoint", "jwt", "none"]).exits(2).says(&["there is no endpoint none"]);
}
