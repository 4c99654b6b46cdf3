//! Where the time of a run went: at its end, and later from its record.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{TestCluster, http_services};

/// Two that start at once, and one that waits for one of them.
fn chain() -> String {
    http_services(&[
        ("db", "command: [--boot, 500ms]"),
        ("other", ""),
        ("web", "depends_on: { db: { condition: service_healthy } }"),
    ])
}

/// The records of a cluster.
fn records(cluster: &TestCluster) -> Vec<PathBuf> {
    let runs = cluster.path().join(format!("state/clusters/{}/runs", cluster.name));
    let mut files: Vec<PathBuf> = fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|path| path.metadata().unwrap().modified().unwrap());
    files
}

fn names(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_start_ends_with_bars_and_a_report_shows_them_again() {
    let cluster = TestCluster::new(&chain());
    let up = cluster.ok(&["up"]);
    let parts = ["- created", "# ready", "last: web, by way of db:", "once db was ready: "];
    up.says(&parts).says(&["starts: 3 in ", "1 waited for readiness: web until db was ready"]);
    assert!(!up.out.contains("created"), "bars aren't the result of a start:\n{up}");

    let report = cluster.ok(&["report"]);
    report.says(&parts).says(&[&format!("up {} at 2", cluster.name), " ready in "]);
    assert_eq!(report.err, "", "they are the result of a report");
    let is_bar = |line: &&str| ["  db ", "  other ", "  web "].iter().any(|name| line.starts_with(name));
    let bars = |text: &str| text.lines().filter(is_bar).map(ToOwned::to_owned).collect::<Vec<_>>();
    assert_eq!(bars(&up.err), bars(&report.out), "{up}\n{report}");
    assert_eq!(bars(&up.err).len(), 3, "{up}");

    // With JSON there are the events and nothing else.
    cluster.ok(&["down"]);
    let json = cluster.ok(&["--format", "json", "up"]);
    assert_eq!(json.err, "", "{json}");
    json.events();
    // And with --quiet the result.
    cluster.ok(&["down"]);
    let quiet = cluster.ok(&["--quiet", "up"]);
    assert_eq!((quiet.err.as_str(), quiet.out.lines().count()), ("", 1), "{quiet}");
}

#[test]
fn the_record_proves_that_starts_waited_for_no_readiness() {
    let names = ["c1", "c2", "c3", "c4", "c5", "c6"];
    let cluster = TestCluster::new(&http_services(&names.map(|name| (name, "command: [--boot, 8s]"))));
    cluster.ok(&["up"]).says(&["starts: 6 in ", "none waited for readiness (none was ready yet)"]);
    let timings = cluster.json(&["report"]);
    let starts = &timings["starts"];
    assert_eq!((&starts["calls"], &starts["after_first_ready"]), (&6.into(), &0.into()), "{starts}");
    assert_eq!(starts["waited"], Value::Array(vec![]));
    assert!(starts["last"].as_u64() < starts["first_ready"].as_u64(), "{starts}");
}

#[test]
fn earlier_runs_are_listed_and_reported_by_name() {
    let cluster = TestCluster::new(&chain());
    cluster.ok(&["up"]);
    cluster.ok(&["up"]).says(&["nothing was started: all was ready already"]);
    cluster.ok(&["restart", "other"]).says(&["last: other, stop "]).says_nothing_of(&["# ready"]);
    cluster.ok(&["down"]);
    // None of this needs the engine, nor the file where the name is given.
    let report = |args: &[&str]| {
        let mut command = cluster.command(&[&["-H", "unix:///nowhere/docker.sock"], args].concat());
        command.current_dir("/");
        cluster.run_command(command)
    };
    let list = report(&["report", "--list"]);
    list.exits(0);
    let verdicts: Vec<String> =
        list.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()[2..4].join(" ")).collect();
    assert_eq!(verdicts, ["COMMAND VERDICT", "down removed", "restart ready", "up ready", "up ready"], "{list}");
    let rows: Value = serde_json::from_str(&report(&["--format", "json", "report", "--list"]).out).unwrap();
    assert_eq!(names(&rows, "outcome"), ["ready"; 4]);

    let runs = names(&rows, "run");
    report(&["report"]).exits(0).says(&["down ", "nothing was started", "removed in"]);
    report(&["report", &runs[3]]).exits(0).says(&["last: web, by way of db:"]);
    report(&["report", &runs[1]]).exits(0).says(&["restart ", "  other ", "# ready"]);
    report(&["report", "nonsense"]).exits(2).says(&["there is no record of a run \"nonsense\"", "report --list"]);
    report(&["report", "2"]).exits(2).says(&["4 runs begin with \"2\""]);
    // Without a name: the cluster that something was done with last.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_convoke"));
    command.arg("report").current_dir("/").env("CONVOKE_STATE_DIR", cluster.path().join("state"));
    cluster.run_command(command).exits(0).says(&[&format!("{} removed in", cluster.name)]);
}

#[test]
fn a_cluster_that_nothing_was_done_with_has_no_report() {
    let cluster = TestCluster::new(&chain());
    cluster.run(&["report"]).exits(1).says(&[&format!("no run of cluster {} is recorded", cluster.name)]);
    assert!(!cluster.path().join("state").exists(), "looking makes nothing");
}

#[test]
fn a_run_that_was_killed_is_reported_as_far_as_it_was_recorded() {
    let cluster = TestCluster::new(&chain());
    cluster.edit("--boot, 500ms", "--ready-after, 10m");
    let mut up = cluster.begin(&["--format", "plain", "up"]);
    up.wait_for("db     live");
    cluster.ok(&["report"]).says(&["still goes on: ", "1 waited", "in vain: web for db"]);
    cluster.ok(&["report", "--list"]).says(&["goes on"]);
    up.kill();
    let record = records(&cluster).pop().unwrap();
    // What a kill within a write leaves.
    fs::OpenOptions::new().append(true).open(&record).unwrap().write_all(b"{\"v\":1,\"at\":99").unwrap();
    let report = cluster.ok(&["report"]);
    report.says(&["  db ", "+ live", "was cut off: ", " of 3 ready after "]);
    cluster.ok(&["report", "--list"]).says(&["cut off"]);
    let timings = cluster.json(&["report"]);
    assert_eq!((&timings["outcome"], &timings["components"][0]["phase"]), (&Value::Null, &"live".into()));
}

#[test]
fn the_report_of_a_failed_run_says_why_and_keeps_secrets() {
    let secret = "hunter2-the-second";
    let cluster = TestCluster::new(
        "services:\n  web:\n    image: convoke-test/probe-target:latest\n    secrets: [password]\n    \
         command: [--cat, /run/secrets/password, --exit, '4', --after, 300ms]\n    \
         x-convoke: { ready: { http: { port: 8080, path: /nope } } }\n\
         secrets:\n  password: { environment: CONVOKE_TEST_SECRET }\n",
    );
    let mut command = cluster.command(&["up"]);
    command.env("CONVOKE_TEST_SECRET", secret);
    let up = cluster.run_command(command);
    up.exits(1).says_nothing_of(&["# ready", "last: "]);
    for format in ["plain", "json"] {
        let report = cluster.ok(&["--format", format, "report"]);
        report.says_nothing_of(&[secret]);
    }
    cluster.ok(&["report"]).says(&["web: exited 4", "***", "x failed", "failed: web, ", "failed after"]);
}
