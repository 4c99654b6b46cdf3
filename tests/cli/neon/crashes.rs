//! With endpoints: components crash, one and two at a time, and all is well again without help.

use std::time::Duration;

use serde_json::Value;

use super::whole::{MAIN, Neon, connstring};

/// Those that nobody's pages go through: an endpoint serves while they are away.
const MANAGEMENT: [&str; 4] = ["storage-broker", "storage-controller", "storage-controller-db", "control-plane"];

#[test]
fn whatever_two_crash_the_endpoint_runs_on_and_follows_its_pages() {
    let (neon, _) = Neon::up(&["safekeepers=1"]);
    let mut sets: Vec<Vec<&str>> = MANAGEMENT.iter().map(|one| vec![*one]).collect();
    for (n, one) in MANAGEMENT.iter().enumerate() {
        sets.extend(MANAGEMENT[n + 1..].iter().map(|other| vec![*one, *other]));
    }
    assert_eq!(sets.len(), 4 + 6);
    // It moves by our command alone.
    let mut place = neon.pageserver();
    for crashed in sets {
        let before: Vec<u64> = crashed.iter().map(|name| restarts(&neon, name)).collect();
        neon.cluster.ok(&[&["chaos", "crash"][..], &crashed].concat());
        assert_eq!(neon.inside(MAIN, "select 1").out.trim(), "1", "{crashed:?}");
        let took = neon.wait_for(&format!("well again after a crash of {crashed:?}"), |neon| {
            crashed.iter().zip(&before).all(|(name, before)| restarts(neon, name) > *before) && is_well(neon)
        });
        // The hook of the new ones works: it is the controller's to tell, the control plane's to pass on.
        let other = 3 - place;
        place = other;
        neon.cluster.ok(&["neon", "shard", "migrate", "--node", &other.to_string()]);
        let logs = || format!("{}{}", neon.cluster.log("storage-controller"), neon.cluster.log("control-plane"));
        assert_eq!(neon.shows(MAIN, "neon.pageserver_connstring"), connstring(other), "{crashed:?}\n{}", logs());
        assert_eq!(neon.inside(MAIN, "select 1").out.trim(), "1", "{crashed:?}");
        // For people: nextest shows it with --no-capture.
        eprintln!("well again {took:?} after a crash of {crashed:?}");
    }
}

fn restarts(neon: &Neon, component: &str) -> u64 {
    neon.cluster.inspect(component)["RestartCount"].as_u64().expect("the engine counts")
}

/// The control plane says so, the controller answers about tenants (which it does once it is ready), pageservers take
/// shards, and the database is open: without it nothing moves.
fn is_well(neon: &Neon) -> bool {
    let database = ["exec", "-T", "storage-controller-db", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "controller"];
    if neon.cluster.run(&database).code != 0 {
        return false;
    }
    let status = neon.cluster.run(&["--format", "json", "neon", "status"]);
    let status: Value = serde_json::from_str(&status.out).unwrap_or_default();
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    let active = nodes.len() == 2 && nodes.iter().all(|node| node["availability"] == "Active");
    active && status["control_plane"].get("waits_for") == Some(&Value::Null)
}

/// The compute crashes while its pages move: it comes back with the right place.
#[test]
fn an_endpoint_that_crashes_comes_back_by_itself() {
    let (neon, _) = Neon::up(&["safekeepers=1"]);
    let other = 3 - neon.pageserver();
    neon.cluster.ok(&["chaos", "crash", MAIN]);
    neon.cluster.ok(&["neon", "shard", "migrate", "--node", &other.to_string()]);
    let took = neon.wait_for("served again", |neon| neon.inside(MAIN, "select 1").out.trim() == "1");
    assert_eq!(neon.shows(MAIN, "neon.pageserver_connstring"), connstring(other));
    assert!(took < Duration::from_secs(30), "{took:?}");
}
