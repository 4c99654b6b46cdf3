//! `up`: the first time, again, with another file, with other numbers.

use crate::support::{TestCluster, http_get, http_services};

/// Five that are asked by http, each with something of its own.
fn five() -> TestCluster {
    TestCluster::new(&http_services(&[
        ("broker", ""),
        ("storage", "environment: { LEVEL: one }"),
        ("web", "command: [--boot, 200ms], ports: ['8080']"),
        ("late", "command: [--ready-after, 400ms]"),
        ("user", "image: convoke-test/probe-target:user"),
    ]))
}

#[test]
fn five_components_become_ready_and_ps_shows_them() {
    let cluster = five();
    let up = cluster.ok(&["up"]);
    up.says(&["ready in", "(5 components)", "127.0.0.1:"]);
    let (status, body) = http_get(cluster.ok(&["port", "web", "8080"]).out.trim(), "/ready");
    assert_eq!((status, body.as_str()), (200, "ready"), "a component that is said to be ready is ready");

    let ps = cluster.ok(&["ps"]);
    ps.says(&["broker", "storage", "web", "late", "user", "ready", "127.0.0.1:"]);
    let rows = cluster.json(&["ps"]);
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 5, "{rows:?}");
    for row in rows {
        assert_eq!(row["phase"], "ready", "{row}");
        assert_eq!(row["restarts"], 0, "{row}");
        assert!(row["addresses"][0].as_str().unwrap().starts_with("10."), "{row}");
    }
}

#[test]
fn a_second_up_touches_nothing() {
    let cluster = five();
    cluster.ok(&["up"]);
    let before = cluster.identities();
    let again = cluster.ok(&["--format", "json", "up"]);
    assert_eq!(again.planned(), ["broker keep", "late keep", "storage keep", "user keep", "web keep"]);
    assert_eq!(cluster.identities(), before);
}

#[test]
fn a_changed_component_is_replaced_alone_and_keeps_its_address() {
    let cluster = five();
    cluster.ok(&["up"]);
    let (before, address) = (cluster.identities(), cluster.address("storage", 0));
    cluster.edit("LEVEL: one", "LEVEL: two");
    let up = cluster.ok(&["--format", "json", "up"]);
    assert_eq!(up.planned(), ["broker keep", "late keep", "storage replace", "user keep", "web keep"]);

    let after = cluster.identities();
    let changed: Vec<_> = before.iter().zip(&after).filter(|(old, new)| old != new).map(|(old, _)| &old.0).collect();
    assert_eq!(changed, ["storage"]);
    assert_eq!(cluster.address("storage", 0), address, "its peers have this address in their hosts files");
    cluster.ok(&["exec", "storage", "probe-target", "env"]).says(&["LEVEL=two"]);
    let (_, answer) = http_get(&cluster.address("broker", 8080), "/connect?peer=storage:8080");
    assert!(answer.contains(" connected in "), "{answer}");
}

#[test]
fn a_change_of_probes_alone_replaces_nothing() {
    let cluster = five();
    cluster.ok(&["up"]);
    let before = cluster.identities();
    cluster.edit("path: /ready", "path: /live");
    cluster.ok(&["up"]);
    assert_eq!(cluster.identities(), before);
}

#[test]
fn a_volume_of_the_image_keeps_its_content_over_a_replacement() {
    let cluster = TestCluster::new(
        r#"
services:
  store:
    image: convoke-test/probe-target:volume
    command: [--cat, /data/hello, --write, /data/mark]
    x-convoke: { ready: { tcp: { port: 8080 } } }
"#,
    );
    cluster.ok(&["up"]);
    assert!(cluster.log("store").contains("/data/hello: from the image"), "content of the image is copied in");
    let volume = |cluster: &TestCluster| cluster.inspect("store")["Mounts"][0]["Name"].clone();
    let before = (cluster.container("store").id, volume(&cluster));

    cluster.edit("--cat, /data/hello, --write, /data/mark", "--cat, /data/mark");
    cluster.ok(&["up"]);
    let after = (cluster.container("store").id, volume(&cluster));
    assert_ne!(before.0, after.0);
    assert_eq!(before.1, after.1, "the anonymous volume goes on to the new container");
    assert!(cluster.log("store").contains("/data/mark: "));

    cluster.ok(&["down"]);
    cluster.assert_gone();
}

#[test]
fn named_volumes_outlive_down_without_volumes() {
    let cluster = TestCluster::new(
        r#"
services:
  store:
    image: convoke-test/probe-target:latest
    command: [--exit-first, "1", "3"]
    restart: on-failure
    volumes: ["starts:/state"]
    x-convoke: { ready: { tcp: { port: 8080 } } }
volumes:
  starts: {}
"#,
    );
    cluster.ok(&["up"]);
    assert_eq!(cluster.container("store").state.restart_count, 1, "its policy started it again");
    cluster.ok(&["down"]);
    let left = cluster.observe();
    assert_eq!((left.containers.len(), left.networks.len(), left.volumes.len()), (0, 0, 1));
    cluster.ok(&["up"]);
    assert_eq!(cluster.container("store").state.restart_count, 0, "the count of starts is in the volume");
    cluster.ok(&["down", "--volumes"]);
    cluster.assert_gone();
}

#[test]
fn the_number_of_containers_of_a_service_goes_up_and_down() {
    let cluster = TestCluster::new(
        r#"
services:
  web:
    image: convoke-test/probe-target:latest
    x-convoke: { ready: { http: { port: 8080, path: /ready } } }
  client:
    image: convoke-test/probe-target:latest
    x-convoke: { ready: { tcp: { port: 8080 } } }
"#,
    );
    cluster.ok(&["up"]);
    assert_eq!(cluster.components(), ["client", "web"]);
    let only = cluster.identities();

    cluster.ok(&["up", "--scale", "web=3"]);
    assert_eq!(cluster.components(), ["client", "web-1", "web-2", "web-3"]);
    let ids = |all: Vec<(String, String, String)>| all.into_iter().map(|(_, id, _)| id).collect::<Vec<_>>();
    assert!(ids(cluster.identities()).contains(&only[0].1), "the client is left alone");
    let (_, answer) = http_get(&cluster.address("web-3", 8080), "/connect?peer=web-1:8080");
    assert!(answer.contains(" connected in "), "the first one's new name leads to it: {answer}");
    let (status, answer) = http_get(&cluster.address("client", 8080), "/resolve?name=web");
    assert_eq!(status, 200, "the name of a scaled service stays with DNS: {answer}");

    cluster.ok(&["exec", "web-1", "probe-target", "env"]);

    cluster.edit("  web:\n", "  web:\n    scale: 2\n");
    cluster.ok(&["up"]);
    assert_eq!(cluster.components(), ["client", "web-1", "web-2"]);
    cluster.ok(&["up", "--scale", "web=1"]);
    assert_eq!(cluster.components(), ["client", "web"]);
}
