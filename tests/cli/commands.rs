//! What one does with a cluster that runs.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use convoke::engine::Status;

use crate::support::{Running, TestCluster, http_get, http_services};

const PAIR: &str = r#"
x-target: &target
  image: convoke-test/probe-target:latest
  x-convoke: { ready: { http: { port: 8080, path: /ready } } }
services:
  db: *target
  web:
    <<: *target
    ports: ["8080", "127.0.0.1::9090"]
    depends_on: { db: { condition: service_healthy } }
"#;

#[test]
fn stop_start_and_restart_work_without_the_file() {
    let cluster = TestCluster::new(PAIR);
    cluster.ok(&["up"]);
    let before = cluster.identities();
    std::fs::remove_file(cluster.path().join("compose.yaml")).unwrap();

    cluster.ok(&["stop", "web"]);
    assert_eq!(cluster.container("web").state.status, Status::Exited);
    assert_eq!(cluster.identities()[0], before[0], "db goes on");
    cluster.ok(&["ps"]).says(&["stopped"]);
    cluster.ok(&["start", "web"]).says(&["ready"]);

    cluster.ok(&["stop"]);
    assert!(cluster.observe().containers.iter().all(|c| c.state.status == Status::Exited));
    cluster.ok(&["start", "db"]).says(&["start 1", "ready in"]);
    cluster.ok(&["start"]).says(&["ready in"]);

    let web = cluster.identities()[1].clone();
    cluster.ok(&["restart", "db"]);
    let after = cluster.identities();
    assert_eq!(after[0].1, before[0].1, "the container is the same");
    assert_ne!(after[0].2, before[0].2, "its process isn't");
    assert_eq!(after[1], web, "web is left alone");
    cluster.run(&["restart", "elsewhere"]).exits(2).says(&["elsewhere", "db", "web"]);
}

/// Its gate waits for a peer that is down: that is said at once, and what runs goes on.
#[test]
fn a_part_whose_peer_is_stopped_is_not_restarted_without_it() {
    let cluster = TestCluster::new(PAIR);
    cluster.ok(&["up"]);
    cluster.ok(&["stop", "db"]);
    let before = cluster.identities();
    let restart = cluster.run(&["restart", "web"]);
    restart.exits(2).within(Duration::from_secs(5)).says(&[
        "error: web starts when db is ready, and db is stopped and isn't part of this run\n",
        &format!("try: convoke restart -p {} db web\n", cluster.name),
    ]);
    assert_eq!(cluster.identities(), before, "nothing was touched");
    assert_eq!(cluster.container("web").state.status, Status::Running);
    // It runs: nothing has to be waited for.
    cluster.ok(&["start", "web"]);

    cluster.ok(&["stop", "web"]);
    let start = cluster.run(&["start", "web"]);
    start.exits(2).says(&["web starts when db is ready", &format!("try: convoke start -p {} db web\n", cluster.name)]);
    cluster.ok(&["start", "db", "web"]).says(&["start 2", "ready in"]);
}

#[test]
fn port_says_where_a_port_is_published() {
    let cluster = TestCluster::new(PAIR);
    cluster.ok(&["up"]);
    let one = cluster.ok(&["port", "web", "8080"]).out;
    assert!(one.starts_with("127.0.0.1:"), "{one}");
    assert_eq!(http_get(one.trim(), "/live").0, 200);
    assert_eq!(cluster.ok(&["port", "web"]).out.lines().count(), 2);
    cluster.run(&["port", "db"]).exits(1).says(&["db publishes no port"]);
}

#[test]
fn exec_passes_input_output_and_exit_codes() {
    let cluster = TestCluster::new(
        r#"
services:
  box:
    image: debian:bookworm-slim
    init: true
    command: [sleep, infinity]
    x-convoke: { ready: { exec: { command: ["true"] } } }
"#,
    );
    cluster.ok(&["up"]);
    let ran = cluster.run(&["exec", "box", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (7, "out\n", "err\n"));
    let said = ["-e", "A=1", "-u", "65534", "-w", "/tmp", "--index", "1"];
    let ran = cluster.run(&[&["exec"], &said[..], &["box", "sh", "-c", "echo $A; id -u; pwd"]].concat());
    assert_eq!((ran.code, ran.out.as_str()), (0, "1\n65534\n/tmp\n"), "{ran}");
    let capabilities = |option: &[&str]| {
        let inside: &[&str] = &["box", "grep", "CapEff", "/proc/self/status"];
        cluster.run(&[&["exec"], option, inside].concat())
    };
    let (all, some) = (capabilities(&["--privileged"]), capabilities(&[]));
    // An engine that doesn't have them all itself, as in a container, can't give them.
    let are_refused = all.code == 126 && all.out.contains("unable to apply caps");
    assert!(some.code == 0 && (are_refused || all.out > some.out), "{all}\n{some}");
    cluster.run(&["exec", "--index", "2", "box", "true"]).exits(1).says(&["box number 2 doesn't run"]);
    let begun = cluster.ok(&["exec", "-d", "box", "sh", "-c", "sleep 0.1; touch /made"]);
    begun.within(Duration::from_secs(2));
    let wait = "for i in $(seq 200); do test -f /made && exit 0; sleep 0.02; done; exit 1";
    cluster.ok(&["exec", "box", "sh", "-c", wait]);
    let missing = cluster.run(&["exec", "box", "no-such-program"]);
    missing.says(&["no-such-program"]);
    assert!(matches!(missing.code, 126 | 127), "engines differ in which of the two it is: {missing}");
    cluster.run(&["exec", "nobody", "true"]).exits(2).says(&["nobody"]);

    let mut command = cluster.command(&["exec", "box", "sha256sum"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // More than any buffer on the way holds, and not text.
    let data: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    child.stdin.take().unwrap().write_all(&data).unwrap();
    let output = child.wait_with_output().unwrap();
    let sum = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && sum.starts_with(&sha256(&data)), "{sum}");
}

fn sha256(data: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn logs_of_all_or_some_and_new_lines_as_they_come() {
    let news = "command: [--log-line, news of the day, --log-after, 5s]";
    let cluster = TestCluster::new(&http_services(&[("db", ""), ("web", news)]));
    cluster.ok(&["up"]);
    let all = cluster.ok(&["logs"]).all();
    assert!(all.lines().any(|line| line.starts_with("db ")) && all.lines().any(|line| line.starts_with("web ")));
    cluster.ok(&["logs", "db"]).says_nothing_of(&["web "]);
    let last = cluster.ok(&["logs", "-n", "1", "db"]).all();
    assert_eq!(last.lines().count(), 1, "{last}");
    let bare = cluster.ok(&["logs", "--no-log-prefix", "-n", "all", "--since", "1h", "--index", "1", "db"]).all();
    assert!(bare.contains("listening on") && !bare.contains("db |"), "{bare}");
    assert_eq!(cluster.ok(&["logs", "--until", "1h"]).all(), "");
    assert_eq!(cluster.ok(&["logs", "--since", "2100-01-01T00:00:00Z"]).all(), "");
    assert_eq!(cluster.ok(&["logs", "--until", "2100-01-01T00:00:00Z"]).all(), all);
    cluster.run(&["logs", "--since", "noon"]).exits(2).says(&["neither a time such as"]);

    let mut follow = cluster.begin(&["logs", "-f"]);
    follow.wait_for("listening on");
    follow.wait_for("news of the day");
    let asked = follow.age();
    follow.signal("INT");
    let followed = follow.end();
    followed.exits(0);
    assert!(followed.took - asked < Duration::from_secs(1), "{followed}");
}

#[test]
fn a_process_that_ignores_sigterm_gets_its_grace_period_and_no_more() {
    let stubborn = "command: [--ignore-sigterm], stop_grace_period: 1s";
    let cluster = TestCluster::new(&http_services(&[("stubborn", stubborn)]));
    cluster.ok(&["up"]);
    let stop = cluster.ok(&["stop"]);
    assert!(stop.took > Duration::from_millis(900), "{stop}");
    stop.within(Duration::from_secs(5));
    assert_eq!(cluster.container("stubborn").state.exit_code, 137);
    cluster.ok(&["start"]);
    cluster.ok(&["down"]).within(Duration::from_secs(5));
}

#[test]
fn the_resolved_cluster_is_shown_before_anything_is_started() {
    let cluster = TestCluster::new(PAIR);
    let shown = cluster.ok(&["config", "--resolved"]);
    shown.says(&["2 components", "db", "web", "fixed address", "starts when db is ready"]);
    let config = cluster.json(&["config", "--resolved"]);
    assert_eq!(config["name"], cluster.name.as_str());
    assert_eq!(config["components"]["web"]["image"], "convoke-test/probe-target:latest");
    cluster.run(&["ps"]).exits(1).says(&["nothing of cluster"]);
}

#[test]
fn doctor_completions_and_the_manual_page() {
    let cluster = TestCluster::without_file();
    cluster.ok(&["doctor"]).says(&["engine", "state"]);
    let rows = cluster.json(&["doctor"]);
    assert!(rows.as_array().unwrap().iter().all(|row| row["status"] == "ok"), "{rows}");
    for shell in ["bash", "zsh", "fish"] {
        cluster.ok(&["completions", shell]).says(&["convoke", "restart"]);
    }
    cluster.ok(&["man"]).says(&[".TH", "convoke"]);
    cluster.ok(&["man", "."]);
    let page = std::fs::read_to_string(cluster.path().join("convoke-up.1")).unwrap();
    assert!(page.contains("scale"), "{page}");
    cluster.ok(&["--help"]).says(&["Exit codes", "130"]);
    cluster.ok(&["--version"]).says(&["convoke "]);
}

#[test]
fn the_file_is_found_from_a_folder_below_and_several_are_merged() {
    let cluster = TestCluster::new(PAIR);
    cluster.write("more.yaml", "services: { extra: { image: 'convoke-test/probe-target:latest' } }");
    cluster.write("below/deeper/note", "");
    let mut command = cluster.command(&["config", "--resolved"]);
    command.current_dir(cluster.path().join("below/deeper"));
    cluster.run_command(command).exits(0).says(&["2 components"]);
    let files = ["-f", "compose.yaml", "-f", "more.yaml"];
    cluster.ok(&[&["config", "--resolved"], &files[..]].concat()).says(&["3 components", "extra"]);
}

#[test]
fn stop_can_be_interrupted_and_done_again() {
    let stubborn = "command: [--ignore-sigterm], stop_grace_period: 30s";
    let cluster = TestCluster::new(&http_services(&[("stubborn", stubborn)]));
    cluster.ok(&["up"]);
    let stop: Running = cluster.begin(&["stop"]);
    std::thread::sleep(Duration::from_millis(700));
    let asked = stop.age();
    stop.signal("INT");
    let stopped = stop.end();
    stopped.exits(130);
    assert!(stopped.took - asked < Duration::from_secs(2), "{stopped}");
    cluster.ok(&["down", "--grace", "1"]).within(Duration::from_secs(6));
}
