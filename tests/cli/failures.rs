//! Components that fail, and what is said about them: what happened, the exit code, the last probe answer, the last log
//! lines, and what to try.

use std::time::{Duration, SystemTime};

use convoke::event::{EventKind, Failure, Outcome, Phase};

use crate::support::{Ran, TestCluster};

/// Asked by http on 8080.
const HTTP: &str = "x-convoke: { ready: { http: { port: 8080, path: /ready } } }";

/// A cluster of probe-targets: each line is a name and the rest of its service.
fn cluster(services: &[(&str, &str)]) -> TestCluster {
    let image = "image: convoke-test/probe-target:latest";
    let line = |(name, rest): &(&str, &str)| {
        let comma = if rest.is_empty() { "" } else { ", " };
        format!("  {name}: {{ {image}{comma}{rest} }}\n")
    };
    let services: String = services.iter().map(line).collect();
    TestCluster::new(&format!("services:\n{services}"))
}

fn failures(ran: &Ran) -> Vec<Failure> {
    let failure = |kind| match kind {
        EventKind::Failed { failure } => Some(failure),
        _ => None,
    };
    ran.events().into_iter().filter_map(|event| failure(event.kind)).collect()
}

#[test]
fn one_that_exits_1() {
    let cluster = cluster(&[
        (
            "web",
            &format!(
                "command: [--log-line, disk full, --log-after, 50ms, --ready-after, 1m, --exit, '1', --after, 300ms], {HTTP}"
            ),
        ),
        ("db", ""),
    ]);
    let up = cluster.run(&["up"]);
    up.exits(1).says(&[
        "web: exited 1 before it was ready\n",
        "  exit code 1\n",
        "  last probe answer: ",
        "  last log lines:\n  | listening on 8080",
        "  | disk full\n",
        "  try: `convoke logs web` shows all it said\n",
        "failed after",
        ": web\n",
        "stopped 1 component that this run started (--on-failure keep leaves them)\n",
    ]);
}

/// `ps` afterwards: it failed, as long ago as it did; what was stopped by somebody is stopped, whatever its exit code.
#[test]
fn one_that_failed_and_is_kept_is_shown_as_failed() {
    let trap = "[sh, -c, 'trap \"exit 9\" TERM; touch /up; while :; do sleep 0.1; done']";
    let ready = "x-convoke: { ready: { exec: { command: [test, -f, /up] } } }";
    let cluster = TestCluster::new(&format!(
        "services:\n  web: {{ image: 'convoke-test/probe-target:latest', command: [--ready-after, 1m, --exit, '4', --after, 1s], {HTTP} }}\n  \
         own: {{ image: 'debian:bookworm-slim', command: {trap}, {ready} }}\n"
    ));
    cluster.run(&["up", "--on-failure", "keep"]).exits(1);
    std::thread::sleep(Duration::from_millis(2100));
    let rows = cluster.json(&["ps"]);
    let row = |rows: &serde_json::Value, name: &str| {
        rows.as_array().unwrap().iter().find(|row| row["component"] == name).unwrap().clone()
    };
    let web = row(&rows, "web");
    assert_eq!((&web["phase"], &web["exit_code"]), (&"failed".into(), &4.into()), "{rows}");
    let table = cluster.ok(&["ps"]);
    let line = table.out.lines().find(|line| line.starts_with("web ")).unwrap().to_owned();
    let seconds: Vec<_> = line.split_whitespace().collect();
    assert!(seconds[1] == "failed" && seconds[3] == "s" && seconds[2].parse::<u32>().unwrap() >= 2, "{table}");

    cluster.ok(&["stop", "own"]);
    let rows = cluster.json(&["ps"]);
    let own = row(&rows, "own");
    assert_eq!((&own["phase"], &own["exit_code"]), (&"stopped".into(), &9.into()), "{rows}");
}

/// Of the log of a container that ran before, only the last run's lines are quoted.
#[test]
fn lines_of_earlier_runs_are_not_quoted() {
    let script = "[ -f /second ] && { echo disk full; exit 3; }; touch /second; echo all is well; exec sleep infinity";
    let ready = "x-convoke: { ready: { exec: { command: [test, -f, /second] } } }";
    let cluster = TestCluster::new(&format!(
        "services:\n  web: {{ image: 'debian:bookworm-slim', init: true, command: [sh, -c, '{script}'], {ready} }}\n"
    ));
    cluster.ok(&["up"]);
    cluster.ok(&["stop"]);
    let up = cluster.run(&["up"]);
    up.exits(1).says(&["web: exited 3", "  last log lines:\n  | disk full\n"]).says_nothing_of(&["all is well"]);
}

#[test]
fn one_that_runs_out_of_memory() {
    let cluster = cluster(&[("web", &format!("command: [--eat-memory, '64'], mem_limit: 16m, {HTTP}"))]);
    let up = cluster.run(&["up"]);
    up.exits(1).says(&[
        "web: ran out of memory and was killed\n",
        "exit code 137 (killed, SIGKILL)",
        "| eating 64 MiB",
        "try: raise its memory limit (`mem_limit`)",
    ]);
}

/// Exit code 0 is no success for something that is asked whether it is ready.
#[test]
fn one_that_exits_0_before_it_is_ready() {
    let cluster = cluster(&[("web", &format!("command: [--exit, '0'], {HTTP}"))]);
    let up = cluster.run(&["up"]);
    up.exits(1)
        .says(&["web: exited 0 before it was ready\n", "if it is a job that ends, `x-convoke: { completes: true }`"]);
}

#[test]
fn one_that_ends_after_it_was_ready() {
    let late = format!("command: [--boot, 30s], {HTTP}");
    let cluster = cluster(&[("web", &format!("command: [--exit, '3', --after, 1s], {HTTP}")), ("late", &late)]);
    let up = cluster.run(&["up"]);
    up.exits(1).says(&["web: exited 3 after it was ready\n", "last probe answer: 200"]);
}

#[test]
fn a_job_that_fails_and_the_one_that_waits_for_it() {
    let cluster = cluster(&[
        ("migrate", "command: [--log-line, no such table, --exit, '1', --after, 200ms]"),
        ("web", "depends_on: { migrate: { condition: service_completed_successfully } }"),
    ]);
    let up = cluster.run(&["up"]);
    up.exits(1).says(&["migrate: exited 1\n", "| no such table", "failed after", ": migrate\n"]);
    assert!(cluster.inspect("web")["State"]["StartedAt"].as_str().unwrap().starts_with("0001"), "web was started");
}

#[test]
fn a_gate_on_one_that_fails() {
    let health = "healthcheck: { test: [CMD, probe-target, check] }";
    let cluster = cluster(&[
        ("db", &format!("command: [--ready-after, 1m, --exit, '2', --after, 1s], {health}")),
        ("web", "depends_on: { db: { condition: service_healthy } }"),
    ]);
    let up = cluster.run(&["up"]);
    up.exits(1).says(&["db: exited 2 before it was ready\n", "last probe answer: exit 1"]);
    up.says_nothing_of(&["web: exited"]);
}

/// `required: false`: a warning, and the rest becomes ready.
#[test]
fn a_dependency_that_is_not_required() {
    let health = "healthcheck: { test: [CMD, probe-target, check] }";
    let cluster = cluster(&[
        ("cache", &format!("command: [--exit, '2'], {health}")),
        ("web", &format!("depends_on: {{ cache: {{ condition: service_healthy, required: false }} }}, {HTTP}")),
    ]);
    let up = cluster.run(&["up", "--timeout", "20s"]);
    up.exits(0).says(&[
        "warning: cache failed (exited 2 before it was ready); those that depend on it don't require it",
        "ready in",
    ]);
}

#[test]
fn those_that_never_become_ready_and_who_waits_for_whom() {
    let cluster = cluster(&[
        ("controller", &format!("command: [--ready-after, 10m], depends_on: [pageserver], {HTTP}")),
        (
            "pageserver",
            &format!(
                "command: [--boot, 10m, --log-line, waiting for the controller], depends_on: [controller], {HTTP}"
            ),
        ),
        ("compute", "depends_on: { pageserver: { condition: service_healthy } }"),
    ]);
    let up = cluster.run(&["up", "--timeout", "10s"]);
    up.exits(3).within(Duration::from_secs(25)).says(&[
        "controller is live: http :8080/ready: 503",
        "(waits for pageserver)",
        "pageserver is started: http :8080/ready: connection refused (waits for controller)",
        "compute is created: starts when pageserver is ready (waits for pageserver)",
        "controller and pageserver wait for each other: controller -> pageserver -> controller",
        "controller: live but not ready after 10.0 s",
        "last probe answer: 503",
        "pageserver: started but not ready after 10.0 s",
        "last probe answer: connection refused",
        "| waiting for the controller",
        "compute: still created after 10.0 s: starts when pageserver is ready",
        "try: look at pageserver first",
        "`--timeout` gives it longer",
        "0 of 3 ready; missing: compute, controller, pageserver",
    ]);
}

#[test]
fn a_crash_loop_is_never_ready() {
    // `late` takes longer than a first run of the other: nobody can tell a loop by that run alone.
    let late = format!("command: [--boot, 1s], {HTTP}");
    for (name, service) in [
        ("plain", "restart: always, command: [--exit, '3', --after, 150ms]".to_owned()),
        ("asked", format!("restart: on-failure, command: [--exit, '3', --after, 150ms], {HTTP}")),
    ] {
        let services = [(name, service.as_str()), ("late", &late)];
        let up = cluster(&services).run(&["--format", "json", "up", "--timeout", "6s"]);
        up.exits(3);
        // A busy engine tells of an end late, so a crashing component may pass for a moment; the verdict looks again.
        let last = up.events().pop().unwrap();
        assert!(matches!(last.kind, EventKind::RunFinished { outcome: Outcome::DeadlinePassed, .. }), "{last:?}");
        // It may just be running when the deadline passes.
        let all = failures(&up);
        let [failure] = all.as_slice() else { panic!("{up}") };
        assert!(failure.what.contains("exited 3, restarted") || failure.what.contains("not ready"), "{failure:?}");
        // A busy engine may not hand its log out in time. One that just runs has said no more than that it does.
        let is_running = failure.what.contains("not ready");
        let ends = failure.log.iter().any(|line| line == "exiting with 3");
        assert!(ends || is_running || failure.log.is_empty(), "{failure:?}");
    }
}

#[test]
fn one_that_turns_unhealthy_before_the_others_are_ready() {
    let cluster = cluster(&[
        ("web", &format!("command: [--ready-until, 1s], {HTTP}")),
        ("late", &format!("command: [--boot, 2s], {HTTP}")),
    ]);
    let up = cluster.run(&["up", "--timeout", "6s"]);
    up.exits(3).says(&["unhealthy (503", "web: still unhealthy after 6.00 s", "1 of 2 ready; missing: web"]);
}

#[test]
fn a_probe_program_that_is_missing_is_said_at_once_and_fails_after_its_time() {
    let health = |test: &str| format!("healthcheck: {{ test: {test}, start_period: 1s, interval: 1s, retries: 2 }}");
    let cluster = cluster(&[("exec", &health("[CMD, pg_isready, -q]")), ("shell", &health("curl -f localhost"))]);
    let up = cluster.run(&["--format", "json", "up"]);
    up.exits(1);
    let warned = |name: &str, text: &str| {
        let said = |kind: &EventKind| matches!(kind, EventKind::Warning { message } if message.starts_with(name) && message.contains(text));
        let events = up.events();
        let at = events.iter().find(|event| said(&event.kind)).map(|event| event.at.0);
        at.unwrap_or_else(|| panic!("no warning about {name}\n{up}"))
    };
    let program = warned("exec: ", r#"exec: "pg_isready": executable file not found"#);
    warned("shell: ", r#"exec: "/bin/sh""#);
    let started = up.entered(Phase::Started).into_iter().find(|(name, _)| name == "exec").unwrap().1;
    let failed = up.entered(Phase::Failed)[0].1;
    let patience = failed - started;
    println!("said {:?} after the start, failed {patience:?} after it", program - started);
    // 3 s after the start at the earliest, as the file asks for; a busy machine takes a while more to see it.
    assert!(patience > Duration::from_millis(2500) && patience < Duration::from_secs(12), "failed after {patience:?}");
    assert!(program < failed, "said with the failure only");
    for failure in failures(&up) {
        assert_eq!(failure.what, "its probe can't be run in its container");
        assert!(failure.hint.unwrap().contains("probe by http or tcp"));
    }
}

/// The moment that the engine writes down as the end, against the moment that the failure is on standard output.
#[test]
fn a_failure_is_reported_within_a_second_of_the_death() {
    let cluster = cluster(&[
        ("web", &format!("command: [--exit, '1', --after, 1s], {HTTP}")),
        ("db", HTTP),
        ("late", "command: [--boot, 30s], x-convoke: { ready: { tcp: { port: 8080 } } }"),
    ]);
    let mut up = cluster.begin(&["--format", "json", "up", "--on-failure", "keep"]);
    up.wait_for("\"event\":\"failed\"");
    let said = SystemTime::now();
    up.end().exits(1);
    let died = SystemTime::from(cluster.container("web").state.finished_at.unwrap());
    let delay = said.duration_since(died).unwrap_or_default();
    println!("a failure was reported {delay:?} after the death");
    // Below 1 s on a machine that isn't busy with other tests.
    assert!(delay < Duration::from_secs(4), "{delay:?}");
}

#[test]
fn every_failure_is_told_and_the_record_has_them_too() {
    let command = "command: [--ready-after, 1m, --exit, '1', --after, 300ms]";
    let cluster = cluster(&[("a", &format!("{command}, {HTTP}")), ("b", HTTP)]);
    let up = cluster.run(&["--format", "json", "up"]);
    up.exits(1);
    let last = up.events().pop().unwrap();
    assert!(matches!(last.kind, EventKind::RunFinished { outcome: Outcome::Failed, .. }), "{last:?}");
    let runs = cluster.path().join("state/clusters").join(&cluster.name).join("runs");
    let record = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_to_string(record).unwrap(), up.out, "the record is what was printed");
}

#[test]
fn secrets_are_masked_everywhere() {
    let secret = "hunter2-and-more";
    let cluster = TestCluster::new(
        "services:\n  web:\n    image: convoke-test/probe-target:latest\n    command: [--cat, /run/secrets/password, --exit, '1', --after, 300ms]\n    \
         secrets: [password]\n    x-convoke: { ready: { http: { port: 8080, path: /nope } } }\n\
         secrets:\n  password: { environment: CONVOKE_TEST_SECRET }\n",
    );
    for format in ["plain", "json"] {
        let mut command = cluster.command(&["--format", format, "up"]);
        command.env("CONVOKE_TEST_SECRET", secret).env("RUST_LOG", "trace");
        let up = cluster.run_command(command);
        up.exits(1).says(&["/run/secrets/password: ***"]).says_nothing_of(&[secret]);
    }
    let labels = cluster.inspect("web")["Config"]["Labels"].to_string();
    assert!(!labels.contains(secret), "{labels}");
    let files = std::process::Command::new("grep").args(["-r", secret, "state"]).current_dir(cluster.path()).output();
    assert_eq!(String::from_utf8_lossy(&files.unwrap().stdout), "", "in the state directory");
    let mut command = cluster.command(&["--format", "json", "config"]);
    command.env("CONVOKE_TEST_SECRET", secret);
    cluster.run_command(command).exits(0).says_nothing_of(&[secret]);
}
