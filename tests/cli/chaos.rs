//! `chaos`: each fault is really there afterwards, and healing puts back what was.

use std::time::Duration;

use convoke::engine::Status;
use serde_json::Value;

use crate::support::{TestCluster, http_get, http_services};

/// One whose policy restarts it, and one without, on two networks.
fn two() -> TestCluster {
    let services =
        http_services(&[("web", "restart: always"), ("db", "networks: { default: { aliases: [store] }, back: {} }")]);
    TestCluster::new(&format!("{services}networks: {{ default: {{}}, back: {{}} }}\n"))
}

/// Id, start, networks with addresses and aliases.
fn whole(cluster: &TestCluster, component: &str) -> (String, String, Value) {
    let inspected = cluster.inspect(component);
    let networks = inspected["NetworkSettings"]["Networks"].as_object().unwrap();
    let places = networks.iter().map(|(name, at)| {
        // The engine repeats the short id here and there.
        let aliases = at["Aliases"].as_array().cloned().unwrap_or_default();
        let mut aliases: Vec<Value> = aliases.into_iter().filter(|alias| !is_id(&inspected, alias)).collect();
        aliases.sort_by_key(ToString::to_string);
        (
            name.clone(),
            Value::from(vec![at["IPAddress"].clone(), at["IPAMConfig"]["IPv4Address"].clone(), aliases.into()]),
        )
    });
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&inspected["Id"]), text(&inspected["State"]["StartedAt"]), Value::Object(places.collect()))
}

fn is_id(inspected: &Value, alias: &Value) -> bool {
    inspected["Id"].as_str().unwrap().starts_with(alias.as_str().unwrap())
}

fn status(cluster: &TestCluster, component: &str) -> Status {
    cluster.container(component).state.status
}

/// Component and fault of what is listed as broken.
fn broken(cluster: &TestCluster) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = cluster.json(&["chaos", "list"]);
    rows.as_array().unwrap().iter().map(|row| (text(&row["component"]), text(&row["fault"]))).collect()
}

fn pair(component: &str, fault: &str) -> (String, String) {
    (component.to_owned(), fault.to_owned())
}

fn answers(cluster: &TestCluster, component: &str) -> bool {
    http_get(&cluster.address(component, 8080), "/ready").0 == 200
}

#[test]
fn a_kill_is_not_answered_by_a_policy_and_healing_starts_it() {
    let cluster = two();
    cluster.ok(&["up"]);
    let before = whole(&cluster, "web");
    cluster.ok(&["chaos", "kill", "web"]).says(&["web killed"]);
    let state = cluster.inspect("web")["State"].clone();
    assert_eq!((&state["Status"], &state["ExitCode"]), (&"exited".into(), &137.into()));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(status(&cluster, "web"), Status::Exited, "the policy didn't answer");
    assert_eq!(broken(&cluster), [pair("web", "kill")]);
    cluster.ok(&["chaos"]).says(&["web", "kill", "ended with 137"]);
    cluster.ok(&["chaos", "kill", "web"]).says(&["doesn't run: left as it is"]);
    cluster.ok(&["chaos", "heal"]).says(&["web healed: started"]);
    cluster.wait_until("web runs", |seen| seen.containers.iter().all(|c| c.state.status == Status::Running));
    let after = whole(&cluster, "web");
    assert_eq!((before.0, before.2), (after.0, after.2), "the same container at the same place");
    assert_eq!(broken(&cluster), []);
    cluster.ok(&["chaos", "heal"]).says(&["nothing is broken"]);
}

#[test]
fn a_crash_is_answered_by_a_policy_and_without_one_it_stays_down() {
    let cluster = two();
    cluster.ok(&["up"]);
    cluster.ok(&["chaos", "crash", "web", "db"]).says(&["web crashed", "db crashed"]);
    cluster.wait_until("web is restarted", |seen| {
        seen.containers
            .iter()
            .any(|c| c.component.as_str() == "web" && c.state.restart_count == 1 && c.state.status == Status::Running)
    });
    assert_eq!(cluster.inspect("db")["State"]["ExitCode"], 137);
    assert_eq!(status(&cluster, "db"), Status::Exited);
    let started = whole(&cluster, "web").1;
    cluster.ok(&["chaos", "heal"]).says(&["db healed: started", "web is as it was"]);
    assert_eq!(status(&cluster, "db"), Status::Running);
    assert_eq!(whole(&cluster, "web").1, started, "what runs is left alone");
}

#[test]
fn a_stop_and_a_pause_are_undone() {
    let cluster = two();
    cluster.ok(&["up"]);
    let before = whole(&cluster, "db");
    cluster.ok(&["chaos", "pause", "db"]).says(&["db paused"]);
    assert_eq!(cluster.inspect("db")["State"]["Paused"], true);
    cluster.ok(&["chaos", "stop", "web"]).says(&["web stopped"]);
    assert_eq!(cluster.inspect("web")["State"]["ExitCode"], 0, "it had its signal and its grace period");
    assert_eq!(broken(&cluster), [pair("db", "pause"), pair("web", "stop")]);
    cluster.run(&["chaos", "crash", "db"]).exits(1).says(&["db: can't crash it: it is paused: heal it first"]);
    cluster.ok(&["chaos", "heal", "db"]).says(&["db healed: goes on"]);
    assert_eq!(whole(&cluster, "db"), before);
    assert!(answers(&cluster, "db"));
    assert_eq!(broken(&cluster), [pair("web", "stop")]);
    cluster.ok(&["chaos", "heal", "web"]).says(&["web healed: started"]);
    assert_eq!(status(&cluster, "web"), Status::Running);
}

#[test]
fn a_restart_leaves_nothing_to_heal() {
    let cluster = two();
    cluster.ok(&["up"]);
    let before = whole(&cluster, "web");
    cluster.ok(&["chaos", "restart", "web"]).says(&["web restarted"]);
    let after = whole(&cluster, "web");
    assert_eq!((&before.0, &before.2), (&after.0, &after.2));
    assert_ne!(before.1, after.1);
    assert_eq!(broken(&cluster), []);
}

#[test]
fn a_partition_cuts_every_way_and_healing_gives_the_same_addresses_and_names_back() {
    let cluster = two();
    cluster.ok(&["up"]);
    let before = whole(&cluster, "db");
    assert_eq!(before.2.as_object().unwrap().len(), 2, "{before:?}");
    // On the network that both are on.
    let network = format!("{}_default", cluster.name);
    let address = format!("{}:8080", cluster.container("db").networks[&network].address.unwrap());
    cluster.ok(&["chaos", "partition", "db"]).says(&["db partitioned"]);
    assert_eq!(whole(&cluster, "db").2, Value::Object(Default::default()), "it is on no network");
    assert!(std::net::TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(1)).is_err());
    let (_, answer) = http_get(&cluster.address("web", 8080), &format!("/connect?peer={address}"));
    assert!(!answer.contains(" connected in "), "{answer}");
    assert_eq!(broken(&cluster), [pair("db", "partition")]);
    cluster.ok(&["chaos", "partition", "db"]).says(&["is on no network: left as it is"]);
    cluster.ok(&["chaos", "heal"]).says(&["db healed: connected to"]);
    assert_eq!(whole(&cluster, "db"), before);
    for name in ["db", "store"] {
        let (_, answer) = http_get(&cluster.address("web", 8080), &format!("/connect?peer={name}:8080"));
        assert!(answer.contains(" connected in "), "{name}: {answer}");
    }
}

#[test]
fn what_is_broken_is_healed_even_if_the_notes_are_lost() {
    let cluster = two();
    cluster.ok(&["up"]);
    let before = whole(&cluster, "db");
    cluster.ok(&["chaos", "partition", "db"]);
    cluster.ok(&["chaos", "pause", "web"]);
    std::fs::remove_dir_all(cluster.path().join("state")).unwrap();
    cluster.ok(&["chaos"]).says(&["db", "partition", "web", "pause", "not by chaos"]);
    cluster.ok(&["chaos", "heal"]).says(&["db healed: connected to", "web healed: goes on"]);
    let after = whole(&cluster, "db");
    assert_eq!(after, before);
    cluster.ok(&["chaos", "kill", "db"]);
    std::fs::remove_dir_all(cluster.path().join("state")).unwrap();
    cluster.ok(&["chaos", "heal"]).says(&["nothing is broken"]);
    cluster.ok(&["chaos", "heal", "db"]).says(&["db healed: started"]);
}

#[test]
fn a_partitioned_one_that_died_comes_back_whole() {
    let cluster = two();
    cluster.ok(&["up"]);
    let before = whole(&cluster, "db");
    cluster.ok(&["chaos", "partition", "db"]);
    cluster.ok(&["chaos", "kill", "db"]);
    assert_eq!(broken(&cluster), [pair("db", "partition"), pair("db", "kill")]);
    cluster.ok(&["chaos", "heal"]).says(&["db healed: connected to", "started"]);
    let after = whole(&cluster, "db");
    assert_eq!((before.0, before.2), (after.0, after.2));
    assert_eq!(status(&cluster, "db"), Status::Running);
}

#[test]
fn for_a_while_or_until_ctrl_c() {
    let cluster = two();
    cluster.ok(&["up"]);
    let before = whole(&cluster, "db");
    let ran = cluster.ok(&["chaos", "pause", "db", "--for", "1s"]);
    ran.says(&["db paused", "for 1.00 s, or until Ctrl-C", "db healed: goes on"]);
    assert!(ran.took >= Duration::from_secs(1));
    assert_eq!(whole(&cluster, "db"), before);

    let mut chaos = cluster.begin(&["chaos", "partition", "db", "--until-interrupted"]);
    chaos.wait_for("until Ctrl-C");
    assert_eq!(broken(&cluster), [pair("db", "partition")]);
    chaos.signal("INT");
    chaos.end().exits(0).says(&["db healed: connected to"]);
    assert_eq!(whole(&cluster, "db"), before);

    let mut chaos = cluster.begin(&["chaos", "pause", "db", "--for", "10m"]);
    chaos.wait_for("until Ctrl-C");
    chaos.kill();
    assert_eq!(broken(&cluster), [pair("db", "pause")], "the note outlives it");
    cluster.ok(&["chaos", "heal"]).says(&["db healed: goes on"]);
    assert_eq!(whole(&cluster, "db"), before);
}

#[test]
fn down_ends_what_was_broken_and_what_is_not_there_is_named() {
    let cluster = two();
    cluster.ok(&["up"]);
    cluster.run(&["chaos", "kill", "nobody"]).exits(2).says(&["there is no component \"nobody\"", "one of db, web"]);
    cluster.run(&["chaos", "kill"]).exits(2);
    cluster.run(&["chaos", "restart"]).exits(2).says(&["which components?"]);
    let rows = cluster.json(&["chaos", "pause", "web"]);
    assert_eq!((&rows[0]["component"], &rows[0]["result"]), (&"web".into(), &"done".into()), "{rows}");
    cluster.ok(&["down"]);
    cluster.assert_gone();
    assert!(!cluster.path().join(format!("state/clusters/{}/chaos.json", cluster.name)).exists());
    cluster.run(&["chaos"]).exits(1).says(&["nothing of cluster"]);
}
