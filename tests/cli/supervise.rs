//! `convoke supervise`: a cluster that is kept as it should be, whatever happens to it.

use std::time::{Duration, Instant};

use convoke::engine::{Engine, ObservedContainer, Status};
use convoke::event::{Event, EventKind, Phase};

use crate::support::{Api, Running, TestCluster, http_services, with_engine};

fn two() -> TestCluster {
    TestCluster::new(&http_services(&[("db", ""), ("web", "depends_on: [db]")]))
}

/// Supervises a cluster, and waits until all of it is ready.
fn supervised(cluster: &TestCluster, args: &[&str]) -> Running {
    let mut run = cluster.begin(args);
    run.wait_for("supervising ");
    run
}

/// How often this was said.
fn times(run: &Running, text: &str) -> usize {
    run.so_far().matches(text).count()
}

/// Waits until this was said so often.
#[track_caller]
fn wait_for_times(run: &Running, text: &str, wanted: usize) {
    let begun = Instant::now();
    while times(run, text) < wanted {
        assert!(begun.elapsed() < Duration::from_secs(40), "{text:?} isn't said {wanted} times:\n{}", run.so_far());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_up(cluster: &TestCluster, component: &str) -> bool {
    let all = cluster.observe().containers;
    all.iter().any(|at| at.component.as_str() == component && at.state.status == Status::Running)
}

fn network_of(container: &ObservedContainer) -> String {
    container.networks.values().next().unwrap().network_id.clone()
}

#[test]
fn what_is_lost_comes_back_and_nobody_else_is_touched() {
    let cluster = two();
    let run = supervised(&cluster, &["supervise"]);
    let web = cluster.container("web");

    let killed = cluster.container("db").id;
    with_engine(async |engine| engine.kill(&killed, "SIGKILL").await.unwrap());
    wait_for_times(&run, "ready again", 1);
    assert!(run.so_far().contains("exited 137 after it was ready; brought back at once (1 of 10)"), "{}", run.so_far());

    let removed = cluster.container("db");
    assert_eq!(removed.id, killed, "the same container");
    with_engine(async |engine| engine.remove(&removed.id, true).await.unwrap());
    wait_for_times(&run, "ready again", 2);
    let anew = cluster.container("db");
    assert_ne!(anew.id, removed.id);
    let address = |container: &ObservedContainer| container.networks.values().next().unwrap().fixed_address;
    assert_eq!(address(&anew), address(&removed));

    let (network, name) = (network_of(&anew), anew.name.clone());
    with_engine(async |engine| engine.disconnect(&network, &name).await.unwrap());
    cluster.wait_until("back on its network", |seen| {
        seen.containers.iter().any(|at| at.id == anew.id && at.networks.values().any(|on| on.address == address(&anew)))
    });
    assert_eq!(cluster.container("db").state.started_at, anew.state.started_at, "it went on");

    with_engine(async |engine| engine.pause(&anew.id).await.unwrap());
    cluster.wait_until("goes on", |seen| {
        seen.containers.iter().any(|at| at.id == anew.id && at.state.status == Status::Running)
    });
    let after = cluster.container("web");
    assert_eq!((after.id, after.state.started_at), (web.id, web.state.started_at));

    run.signal("TERM");
    run.end().exits(0).says(&["interrupted", "goes on without supervision"]);
    assert!(is_up(&cluster, "db") && is_up(&cluster, "web"), "Ctrl-C and TERM leave it running");
}

#[test]
fn one_that_stays_unhealthy_is_restarted() {
    let cluster = TestCluster::new(&http_services(&[("db", ""), ("web", "command: [--ready-until, 4s]")]));
    let run = supervised(&cluster, &["supervise"]);
    let (db, web) = (cluster.container("db"), cluster.container("web"));
    wait_for_times(&run, "it stays unhealthy; brought back at once", 1);
    wait_for_times(&run, "ready again", 1);
    let after = cluster.container("web");
    assert_eq!(after.id, web.id);
    assert_ne!(after.state.started_at, web.state.started_at);
    assert_eq!(cluster.container("db").state.started_at, db.state.started_at);
}

#[test]
fn changes_of_the_files_are_applied_and_mistakes_are_told() {
    let cluster = TestCluster::new(&http_services(&[("db", ""), ("web", "env_file: [settings/web.env]")]));
    cluster.write("settings/web.env", "LEVEL=one\n");
    let run = supervised(&cluster, &["supervise"]);
    let db = cluster.container("db");

    let before = cluster.container("web").id;
    // As an editor does it: a new file takes the place of the old one.
    let beside = cluster.write("settings/web.env~", "LEVEL=two\n");
    std::fs::rename(beside, cluster.path().join("settings/web.env")).unwrap();
    wait_for_times(&run, "files  changed: changed web", 1);
    wait_for_times(&run, "ready again", 1);
    assert_ne!(cluster.container("web").id, before);
    cluster.ok(&["exec", "web", "probe-target", "env"]).says(&["LEVEL=two"]);

    let text = std::fs::read_to_string(cluster.path().join("compose.yaml")).unwrap();
    cluster.write("compose.yaml", &text.replace("env_file:", "envfile:"));
    wait_for_times(&run, "can't be used: the cluster stays as it was", 1);
    wait_for_times(&run, "did you mean \"env_file\"?", 1);
    cluster.write(
        "compose.yaml",
        &text.replace("  db: { <<: *target }", "  db: { <<: *target }\n  late: { <<: *target }"),
    );
    wait_for_times(&run, "new late", 1);
    wait_for_times(&run, "ready again", 2);
    assert_eq!(cluster.components(), ["db", "late", "web"]);
    let after = cluster.container("db");
    assert_eq!((after.id, after.state.started_at), (db.id, db.state.started_at));
}

#[test]
fn a_template_s_files_are_followed_too() {
    let cluster = TestCluster::without_file();
    cluster.write(
        "templates/pair/template.yaml",
        "summary: two\nparameters:\n  level: { type: string, default: one, help: a level }\n",
    );
    let text = http_services(&[("db", ""), ("web", "environment: { LEVEL: {{ level }}, STEP: first }")]);
    cluster.write("templates/pair/compose.yaml.j2", &text);
    let run = supervised(&cluster, &["--template-dir", "templates", "supervise", "pair", "--set", "level=two"]);
    cluster.write("templates/pair/compose.yaml.j2", &text.replace("first", "second"));
    wait_for_times(&run, "ready again", 1);
    cluster.ok(&["exec", "web", "probe-target", "env"]).says(&["LEVEL=two", "STEP=second"]);
}

#[test]
fn there_is_one_at_a_time_and_the_next_takes_up_what_is_there() {
    let cluster = two();
    let first = supervised(&cluster, &["up", "--supervise"]);
    let before = cluster.identities();
    let second = cluster.run(&["supervise"]);
    second.exits(5).says(&["is supervised already, by convoke up (process ", "leaves the cluster running"]);
    first.kill();

    let mut next = cluster.begin(&["--format", "json", "supervise"]);
    next.wait_for("\"event\":\"cluster_ready\"");
    let events: Vec<Event> = next.so_far().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_ready = |event: &&Event| matches!(event.kind, EventKind::ClusterReady { .. });
    let took = events.iter().find(is_ready).unwrap().at.0;
    // A start takes a second; what is measured exactly is in docs/supervise.md.
    assert!(took < Duration::from_millis(800), "{took:?}");
    assert_eq!(cluster.identities(), before);
    next.signal("INT");
    next.end().exits(0);
}

#[test]
fn what_other_commands_want_is_obeyed() {
    let cluster = TestCluster::new(&http_services(&[("db", ""), ("web", "")]));
    let run = supervised(&cluster, &["supervise"]);

    cluster.ok(&["stop"]);
    wait_for_times(&run, "only looking on: it is stopped", 1);
    std::thread::sleep(Duration::from_secs(2));
    assert!(!is_up(&cluster, "db") && !is_up(&cluster, "web"), "{}", run.so_far());

    cluster.ok(&["start"]).says(&["ready in"]);
    wait_for_times(&run, "ready again", 1);

    cluster.ok(&["stop", "web"]);
    let db = cluster.container("db").id;
    with_engine(async |engine| engine.kill(&db, "SIGKILL").await.unwrap());
    cluster.wait_until("db is back", |seen| {
        seen.containers.iter().any(|at| at.id == db && at.state.status == Status::Running)
    });
    assert!(!is_up(&cluster, "web"), "{}", run.so_far());
    cluster.ok(&["restart", "web"]).says(&["ready in"]);
    assert!(is_up(&cluster, "web"));

    let before = cluster.identities();
    cluster.ok(&["up"]).says(&["supervised by convoke supervise (process ", "nothing was started"]);
    assert_eq!(cluster.identities(), before);

    cluster.ok(&["down"]);
    run.end().exits(0).says(&["the cluster was taken down"]);
    cluster.assert_gone();
}

#[test]
fn what_nobody_told_convoke_is_undone() {
    let cluster = two();
    let run = supervised(&cluster, &["supervise"]);
    // As `docker compose down` does it: stop and remove all at once, then the network.
    let all = cluster.observe();
    with_engine(async |engine| {
        let stops = all.containers.iter().map(|at| async {
            engine.stop(&at.id, Duration::from_secs(1)).await.unwrap();
            engine.remove(&at.id, true).await.unwrap();
        });
        futures::future::join_all(stops).await;
        // Those that are back already are on it.
        _ = engine.remove_network(&all.networks[0].id).await;
    });
    wait_for_times(&run, "ready again", 1);
    cluster.wait_until("both run", |seen| {
        seen.containers.len() == 2 && seen.containers.iter().all(|at| at.state.status == Status::Running)
    });
}

#[test]
fn a_crash_loop_is_given_up_and_a_restart_begins_anew() {
    let cluster = TestCluster::new(&http_services(&[("db", ""), ("web", "command: [--exit, \"3\", --after, 100ms]")]));
    let mut run = cluster.begin(&["supervise", "--attempts", "2"]);
    run.wait_for("given up");
    run.wait_for("brought back 2 times in a row, to no avail");
    run.wait_for("convoke restart web");
    let starts = cluster.container("web").state.started_at;
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(cluster.container("web").state.started_at, starts, "it is left alone:\n{}", run.so_far());
    assert_eq!(times(&run, "given up"), 1);
    assert!(is_up(&cluster, "db"));
    // It may be ready for a moment, or fail before it is.
    cluster.run(&["restart", "web"]);
    wait_for_times(&run, "given up", 2);
    cluster.edit("--exit, \"3\", --after, 100ms", "--boot, 10ms");
    wait_for_times(&run, "supervising ", 1);
}

#[test]
fn without_its_file_a_cluster_is_supervised_by_what_it_was_started_from() {
    let cluster = two();
    cluster.ok(&["up"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = cluster.command(&["supervise"]);
    command.current_dir(elsewhere.path());
    let mut run = Running::begin(command);
    run.wait_for("supervising ");
    let id = cluster.container("db").id;
    with_engine(async |engine| engine.remove(&id, true).await.unwrap());
    wait_for_times(&run, "ready again", 1);

    // And by labels alone where that is gone.
    run.kill();
    std::fs::rename(cluster.path().join("compose.yaml"), cluster.path().join("away")).unwrap();
    let mut command = cluster.command(&["supervise"]);
    command.current_dir(elsewhere.path());
    let mut run = Running::begin(command);
    run.wait_for("supervising ");
    let id = cluster.container("db").id;
    with_engine(async |engine| engine.kill(&id, "SIGKILL").await.unwrap());
    wait_for_times(&run, "ready again", 1);
    with_engine(async |engine| engine.remove(&id, true).await.unwrap());
    run.wait_for("without its file it can't be made anew");
}

#[test]
fn its_events_fit_the_schema_and_nothing_foreign_is_touched() {
    let cluster = two();
    let mut run = cluster.begin(&["--format", "json", "supervise"]);
    run.wait_for("\"event\":\"cluster_ready\"");
    let name = format!("{}-guest", cluster.name);
    let api = Api::new();
    let body = format!(
        r#"{{"Image":"convoke-test/probe-target:latest","HostConfig":{{"NetworkMode":"{}"}}}}"#,
        cluster.observe().networks[0].name
    );
    let (status, text) = api.send("POST", &format!("/containers/create?name={name}"), &body);
    assert_eq!(status, 201, "{text}");
    assert_eq!(api.send("POST", &format!("/containers/{name}/start"), "").0, 204);
    run.wait_for("\"event\":\"drift_found\"");
    assert!(run.so_far().contains(&format!("{name} is on the network")), "{}", run.so_far());
    let id = cluster.container("web").id;
    with_engine(async |engine| engine.kill(&id, "SIGKILL").await.unwrap());
    wait_for_times(&run, "\"event\":\"cluster_ready\"", 2);
    // The slow tick comes by once more.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(times(&run, "\"event\":\"recovery_planned\""), 1);
    assert_eq!(times(&run, "drift_found"), 1, "once");
    assert_eq!(api.get(&format!("/containers/{name}/json"))["State"]["Running"], true);
    assert_eq!(api.send("DELETE", &format!("/containers/{name}?force=true"), "").0, 204);
    run.signal("INT");
    let ran = run.end();
    let schema = crate::support::Schema::of_events();
    for line in ran.out.lines() {
        schema.check(&serde_json::from_str(line).unwrap()).unwrap_or_else(|error| panic!("{error}\n{line}"));
    }
    let last = ran.events().pop().unwrap();
    assert!(matches!(last.kind, EventKind::RunFinished { .. }));
    assert!(ran.entered(Phase::Ready).len() >= 3);
}
