//! What a changed file does to a cluster that runs: looked at before, and done one replica after the other.

use std::time::Duration;

use convoke::event::Phase;

use crate::support::{TestCluster, http_services};

/// Three replicas that take a while to boot, and one other component.
fn replicas() -> TestCluster {
    let web = "scale: 3, command: [--boot, 300ms], environment: { LEVEL: one }, stop_grace_period: 1s";
    TestCluster::new(&http_services(&[("web", web), ("db", "stop_grace_period: 1s")]))
}

#[test]
fn replicas_are_replaced_one_after_the_other() {
    let cluster = replicas();
    cluster.ok(&["up"]);
    cluster.edit("LEVEL: one", "LEVEL: two");
    let up = cluster.ok(&["--format", "json", "up"]);
    assert_eq!(up.planned(), ["db keep", "web-1 replace", "web-2 replace", "web-3 replace"]);
    let starting = up.entered(Phase::Starting);
    let ready: Vec<_> = up.entered(Phase::Ready).into_iter().filter(|(name, _)| name != "db").collect();
    let names = |entered: &[(String, Duration)]| entered.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&starting), ["web-1", "web-2", "web-3"], "{up}");
    assert_eq!(names(&ready), ["web-1", "web-2", "web-3"], "{up}");
    assert!(starting[1].1 > ready[0].1 && starting[2].1 > ready[1].1, "{up}");
    for name in ["web-1", "web-2", "web-3"] {
        cluster.ok(&["exec", name, "probe-target", "env"]).says(&["LEVEL=two"]);
    }
    cluster.ok(&["report"]).says(&["web-2 until web-1 was ready", "web-3 until web-2 was ready"]);
}

#[test]
fn a_new_version_that_fails_stops_with_the_first_replica() {
    let cluster = replicas();
    cluster.ok(&["up"]);
    let before = cluster.identities();
    cluster.edit("--boot, 300ms", "--exit, '3', --after, 100ms, --boot, 5s");
    let up = cluster.run(&["up", "--on-failure", "keep"]);
    up.exits(1).says(&["web-1: exited 3 before it was ready"]);
    let kept = |identities: Vec<(String, String, String)>| {
        identities.into_iter().filter(|(name, ..)| name == "db").collect::<Vec<_>>()
    };
    assert_eq!(kept(cluster.identities()), kept(before));
    for name in ["web-2", "web-3"] {
        cluster.ok(&["exec", name, "probe-target", "env"]).says(&["LEVEL=one"]);
    }
    // The next version goes on from there.
    cluster.edit("--exit, '3', --after, 100ms, --boot, 5s", "--boot, 10ms");
    cluster.ok(&["up", "--at-once"]);
    assert_eq!(cluster.components(), ["db", "web-1", "web-2", "web-3"]);
}

#[test]
fn a_plan_says_what_would_be_done_and_does_nothing() {
    let cluster = replicas();
    let name = &cluster.name;
    cluster.ok(&["up", "--plan"]).says(&[
        "web-1      create  it isn't there",
        &format!("networks to make: {name}_default"),
        &format!("plan of {name}: 4 to create; nothing was done"),
    ]);
    assert!(cluster.components().is_empty());

    cluster.ok(&["up"]);
    let before = cluster.identities();
    cluster.edit("LEVEL: one", "LEVEL: two");
    cluster.edit("scale: 3", "scale: 2");
    cluster.ok(&["up", "--plan"]).says(&[
        "db         keep     it runs",
        "web-1      replace  its configuration changed: environment",
        "web-2      replace  its configuration changed: environment; when web-1 is ready",
        "web-3      remove   the service has fewer replicas now",
        "1 to keep, 1 to remove, 2 to replace; nothing was done",
    ]);
    let plan = cluster.json(&["up", "--plan"]);
    assert_eq!(plan["actions"][1]["action"], "replace", "{plan}");
    assert_eq!(plan["networks"].as_array().unwrap().len(), 0, "{plan}");
    assert_eq!(cluster.identities(), before);

    let up = cluster.ok(&["up"]);
    up.says(&["web-1  will be replaced (its configuration changed: environment)"]);
    assert_eq!(cluster.components(), ["db", "web-1", "web-2"]);
}

#[test]
fn a_plan_tells_what_up_would_refuse_and_what_it_would_pull() {
    let cluster = TestCluster::new("services: { web: { image: convoke-test/nowhere:1 } }");
    cluster.ok(&["up", "--plan"]).says(&["images to pull: convoke-test/nowhere:1", "1 to create"]);
    let other = TestCluster::new(&format!(
        "services: {{ web: {{ image: 'convoke-test/probe-target:latest', container_name: {}-web-1 }} }}",
        cluster.name
    ));
    other.ok(&["up"]);
    cluster.run(&["up", "--plan"]).exits(1).says(&["up would refuse: a container named", "isn't of this cluster"]);
}
