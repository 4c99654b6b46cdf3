//! The built-in templates, run.

use serde_json::Value;

use crate::support::TestCluster;

#[test]
fn etcd_s_members_depend_on_each_other_and_become_a_cluster() {
    let cluster = TestCluster::without_file();
    cluster.ok(&["up", "etcd"]).says(&["(3 components)", "2379"]);
    let list = cluster.ok(&["exec", "etcd-1", "etcdctl", "member", "list"]).out;
    let started = list.lines().filter(|line| line.contains("started")).count();
    assert_eq!(started, 3, "{list}");
    cluster.ok(&["exec", "etcd-1", "etcdctl", "put", "greeting", "hello"]);
    cluster.ok(&["exec", "etcd-3", "etcdctl", "get", "greeting"]).says(&["hello"]);

    let before = cluster.identities();
    cluster.ok(&["up", "etcd"]);
    assert_eq!(cluster.identities(), before);
    // What it stored outlives its containers.
    cluster.ok(&["down"]);
    cluster.ok(&["up", "etcd"]);
    cluster.ok(&["exec", "etcd-2", "etcdctl", "get", "greeting"]).says(&["hello"]);
}

#[test]
fn postgres_takes_its_parameters_and_answers() {
    let cluster = TestCluster::without_file();
    let args = ["up", "postgres", "--set", "database=shop", "--set", "password=correct horse"];
    let up = cluster.ok(&args);
    up.says_nothing_of(&["correct horse"]);
    cluster.ok(&["exec", "postgres", "pg_isready"]).says(&["accepting connections"]);
    let answer = cluster.ok(&["exec", "postgres", "psql", "-At", "-c", "select 40 + 2", "shop"]).out;
    assert_eq!(answer.trim(), "42");
    let right = "postgresql://postgres:correct%20horse@postgres/shop";
    let command = ["exec", "postgres", "psql", "-At", "-c", "select current_database()", right];
    assert_eq!(cluster.ok(&command).out.trim(), "shop");
    let labels = format!("{:?}", cluster.container("postgres").labels);
    assert!(!labels.contains("correct horse"), "{labels}");
}

#[test]
fn templates_are_listed_and_shown_as_compose_text() {
    let cluster = TestCluster::without_file();
    cluster.ok(&["templates"]).says(&["etcd", "postgres", "members=3"]);
    let names: Vec<Value> =
        cluster.json(&["templates"]).as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert!(names.contains(&"etcd".into()) && names.contains(&"postgres".into()), "{names:?}");

    let text = cluster.ok(&["render", "etcd", "--set", "members=2"]).out;
    assert!(text.contains("etcd-2") && !text.contains("etcd-3"), "{text}");
    cluster.write("compose.yaml", &text);
    cluster.ok(&["config", "--resolved"]).says(&["2 components"]);
    cluster.run(&["render", "etcd", "--set", "members=ten"]).exits(2).says(&["members"]);
}

#[test]
fn templates_of_one_s_own_are_found() {
    let cluster = TestCluster::without_file();
    cluster.write(
        "mine/solo/compose.yaml.j2",
        "services:\n  solo:\n    image: convoke-test/probe-target:latest\n    command: [--boot, {{ boot }}]\n    \
         x-convoke: { ready: { tcp: { port: 8080 } } }\n",
    );
    let manifest = "summary: one\nparameters:\n  boot: { type: string, default: 10ms, help: \"How long\" }\n";
    cluster.write("mine/solo/template.yaml", manifest);
    cluster.ok(&["--template-dir", "mine", "templates"]).says(&["solo"]);
    cluster.ok(&["--template-dir", "mine", "up", "solo", "--set", "boot=50ms"]).says(&["ready"]);
}
