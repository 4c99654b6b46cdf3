//! What a run shows: to programs, to people on a terminal, to people elsewhere.

use std::process::Command;

use convoke::event::{EventKind, Outcome};

use crate::support::{Schema, TestCluster};

const CHATTY: &str = r#"
services:
  db:
    image: convoke-test/probe-target:latest
    command: [--boot, 600ms, --log-line, chatter of the program, --log-after, 10ms]
    x-convoke: { ready: { http: { port: 8080, path: /ready } } }
  web:
    image: convoke-test/probe-target:latest
    depends_on: { db: { condition: service_healthy } }
    ports: ["8080"]
    x-convoke: { ready: { http: { port: 8080, path: /ready } } }
"#;

#[test]
fn every_line_for_programs_is_an_event_from_first_to_last() {
    let cluster = TestCluster::new(CHATTY);
    let schema = Schema::of_events();
    for command in ["up", "stop", "start", "restart", "down"] {
        let ran = cluster.ok(&["--format", "json", command]);
        let events = ran.events();
        assert!(events.iter().all(|event| event.v == 1), "{ran}");
        for line in ran.out.lines() {
            assert_eq!(schema.check(&serde_json::from_str(line).unwrap()), Ok(()), "{line}");
        }
        assert!(events.windows(2).all(|pair| pair[0].at <= pair[1].at), "in the order of time:\n{ran}");
        assert!(matches!(&events[0].kind, EventKind::RunStarted { .. }), "{ran}");
        let is_last = |kind: &EventKind| matches!(kind, EventKind::RunFinished { .. });
        assert_eq!(events.iter().filter(|event| is_last(&event.kind)).count(), 1, "{ran}");
        let EventKind::RunFinished { outcome, .. } = &events.last().unwrap().kind else { panic!("{ran}") };
        assert_eq!(*outcome, Outcome::Ready);
    }
}

#[test]
fn the_lines_of_a_run_are_kept_as_its_record() {
    let cluster = TestCluster::new(CHATTY);
    let up = cluster.ok(&["--format", "json", "up"]);
    let runs = cluster.path().join(format!("state/clusters/{}/runs", cluster.name));
    let files: Vec<_> = std::fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), up.out);
}

#[test]
fn on_a_terminal_there_are_calm_lines_and_no_log() {
    let cluster = TestCluster::new(CHATTY);
    let mut command = Command::new("script");
    let program = format!("{} -p {} up", env!("CARGO_BIN_EXE_convoke"), cluster.name);
    command.args(["-qec", &program, "/dev/null"]).current_dir(cluster.path()).stdin(std::process::Stdio::null());
    command.env("CONVOKE_STATE_DIR", cluster.path().join("state")).env("TERM", "xterm-256color").env_remove("NO_COLOR");
    let up = cluster.run_command(command);
    up.exits(0).says(&["\u{1b}[", "db", "web", "ready in", "starts when db is ready"]);
    up.says_nothing_of(&["chatter of the program", "listening on", "..", "…\u{2026}"]);
    let plain = console::strip_ansi_codes(&up.out).replace('\r', "");
    let end = plain.lines().rev().find(|line| line.contains("ready in")).unwrap();
    assert!(end.contains(&format!("{} ready in", cluster.name)) && end.contains("(2 components)"), "{end}");
}

#[test]
fn elsewhere_each_change_is_a_line() {
    let cluster = TestCluster::new(CHATTY);
    let up = cluster.ok(&["up"]);
    up.says_nothing_of(&["\u{1b}[", "chatter of the program"]);
    for (component, phase) in [("db", "created"), ("db", "started"), ("db", "ready"), ("web", "ready")] {
        let lines = up.err.lines().filter(|line| {
            // The time, its unit, the component, the phase.
            line.split_whitespace().skip(2).collect::<Vec<_>>() == [component, phase]
        });
        assert_eq!(lines.count(), 1, "{component} {phase} in:\n{up}");
    }
    let quiet = cluster.ok(&["--quiet", "down"]);
    assert_eq!(quiet.err, "", "{quiet}");
}
