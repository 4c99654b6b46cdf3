//! Every way to ask whether a component is ready.

use std::time::Duration;

use convoke::event::Phase;

use crate::support::{Api, Ran, TestCluster};

/// From the first start to ready.
#[track_caller]
fn boot(ran: &Ran, component: &str) -> Duration {
    let when = |phase| {
        let all = ran.entered(phase);
        let found = all.iter().find(|(name, _)| name == component);
        found.unwrap_or_else(|| panic!("{component} was never {phase}:\n{ran}")).1
    };
    when(Phase::Ready) - when(Phase::Started)
}

#[test]
fn each_kind_of_probe_says_ready_when_it_is_true_and_soon() {
    let cluster = TestCluster::new(
        r#"
x-target: &target
  image: convoke-test/probe-target:latest
services:
  http:
    <<: *target
    command: [--ready-after, 700ms]
    x-convoke: { live: { tcp: { port: 8080 } }, ready: { http: { port: 8080, path: /ready } } }
  tcp:
    <<: *target
    command: [--boot, 700ms]
    x-convoke: { ready: { tcp: { port: 8080 } } }
  exec:
    <<: *target
    command: [--ready-after, 700ms]
    x-convoke: { ready: { exec: { command: [probe-target, check] } } }
  log:
    <<: *target
    command: [--log-line, now it runs, --log-after, 700ms]
    x-convoke: { ready: { log: { contains: now it runs } } }
"#,
    );
    let up = cluster.ok(&["--format", "json", "up"]);
    for component in ["http", "tcp", "exec", "log"] {
        let boot = boot(&up, component).as_millis();
        // The start event comes a little after the process began.
        assert!((400..3000).contains(&boot), "{component}: ready after {boot} ms\n{up}");
    }
    let live: Vec<_> = up.entered(Phase::Live).into_iter().map(|(name, _)| name).collect();
    assert!(live.contains(&"http".to_owned()), "it answers before it is ready:\n{up}");
    for row in cluster.json(&["ps"]).as_array().unwrap() {
        assert_eq!(row["phase"], "ready", "{row}");
    }
    // A log line of the run before doesn't count.
    cluster.ok(&["--format", "json", "restart", "log"]);
    let lines = cluster.log("log").matches("now it runs").count();
    assert_eq!(lines, 2, "it was waited for again");
}

/// Where containers have no address that leads to them, the published port is asked. Nothing is wrong before the engine
/// has shown which one it is.
#[test]
fn by_published_ports() {
    let cluster = TestCluster::new(
        r#"
services:
  web:
    image: convoke-test/probe-target:latest
    command: [--boot, 500ms]
    ports: ["8080"]
    x-convoke: { live: { tcp: { port: 8080 } }, ready: { http: { port: 8080, path: /ready } } }
  hidden:
    image: convoke-test/probe-target:latest
    x-convoke: { ready: { http: { port: 8080, path: /ready } } }
"#,
    );
    let up = |args: &[&str]| {
        let mut command = cluster.command(args);
        command.env("CONVOKE_REACH", "published");
        cluster.run_command(command)
    };
    up(&["up", "--timeout", "12s"]).exits(3).says(&[
        "warning: hidden: its probe can't be run: port 8080 isn't published where convoke could connect to it",
        "web     ready\n",
    ]);
    cluster.ok(&["down"]);
    cluster.edit("/ready } } }\n  hidden:", "/ready } } }\nx-hidden:\n  hidden:");
    let alone = up(&["--format", "json", "up"]);
    alone.exits(0).says_nothing_of(&["warning"]);
    assert!(boot(&alone, "web") > Duration::from_millis(300), "what accepts is the engine's proxy, not web:\n{alone}");
    let rows = up(&["--format", "json", "ps"]);
    rows.says(&[r#""phase": "ready""#]);
}

/// Where nothing is published either, a command inside asks.
#[test]
fn by_commands_inside() {
    let cluster = TestCluster::new(
        r#"
services:
  web:
    image: convoke/etcd:3.4
    entrypoint: [etcd]
    command: [--data-dir=/tmp/data, "--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://web:2379"]
    x-convoke: { live: { tcp: { port: 2379 } }, ready: { http: { port: 2379, path: /health } } }
  bare:
    image: convoke-test/probe-target:latest
    x-convoke: { ready: { http: { port: 8080, path: /ready } } }
"#,
    );
    let up = |args: &[&str]| {
        let mut command = cluster.command(args);
        command.env("CONVOKE_REACH", "exec");
        cluster.run_command(command)
    };
    up(&["up", "--timeout", "15s"]).exits(3).says(&[
        "web   ready\n",
        "warning: bare: its probe can't be run",
        "bare: started but not ready",
    ]);
}

#[test]
fn health_checks_with_long_intervals_cost_nothing() {
    let cluster = TestCluster::new(
        r#"
services:
  of-the-file:
    image: convoke-test/probe-target:latest
    command: [--ready-after, 500ms]
    healthcheck: { test: [CMD, probe-target, check], interval: 30s, retries: 3 }
  of-the-image:
    image: convoke-test/probe-target:health
    command: [--ready-after, 500ms]
  gated:
    image: convoke-test/probe-target:latest
    depends_on: { of-the-file: { condition: service_healthy }, of-the-image: { condition: service_healthy } }
    x-convoke: { ready: { tcp: { port: 8080 } } }
"#,
    );
    let up = cluster.ok(&["--format", "json", "up"]);
    up.within(Duration::from_secs(10));
    assert!(boot(&up, "of-the-file") < Duration::from_secs(5), "{up}");
    assert!(boot(&up, "of-the-image") < Duration::from_secs(5), "{up}");
}

#[test]
fn the_engine_s_own_verdict_can_be_asked_for() {
    let cluster = TestCluster::new(
        r#"
services:
  web:
    image: convoke-test/probe-target:latest
    healthcheck: { test: [CMD, probe-target, check], interval: 1s }
    x-convoke: { ready: { engine_health: true } }
"#,
    );
    cluster.ok(&["up"]);
    assert_eq!(cluster.inspect("web")["State"]["Health"]["Status"], "healthy");
}

#[test]
fn a_health_check_that_hangs_is_not_asked_twice_at_once() {
    // The timeout is long on purpose: when it passes while 20.10 is still starting the check, which takes it a while on a
    // busy machine, it never lets go of the container again, and inspect, stop and remove hang.
    let cluster = TestCluster::new(
        r#"
services:
  web:
    image: convoke-test/probe-target:latest
    healthcheck: { test: [CMD, probe-target, check, --hang], interval: 1s, timeout: 4s, retries: 3 }
"#,
    );
    let mut up = cluster.begin(&["up", "--timeout", "10s", "--on-failure", "keep"]);
    let mut most = 0;
    cluster.wait_until("it runs", |seen| seen.containers.first().is_some_and(|c| c.state.started_at.is_some()));
    let id = cluster.container("web").id;
    let api = Api::new();
    while up.is_running() {
        assert!(up.age() < Duration::from_secs(60), "its deadline is 10 s:\n{}", up.so_far());
        let list = api.get(&format!("/containers/{id}/top"));
        let checks = list["Processes"].as_array().unwrap().iter().filter(|p| p.to_string().contains("--hang")).count();
        most = most.max(checks);
        std::thread::sleep(Duration::from_millis(50));
    }
    let up = up.end();
    assert_ne!(up.code, 0, "{up}");
    // One of ours; one of the engine's own, which kills it after its timeout but needs a moment to.
    assert!((1..=2).contains(&most), "{most} checks at a time");
}

#[test]
fn a_component_that_stops_answering_is_shown_so_and_a_reattach_says_it() {
    let cluster = TestCluster::new(
        r#"
services:
  web:
    image: convoke-test/probe-target:latest
    command: [--ready-until, 3s]
    x-convoke: { ready: { http: { port: 8080, path: /ready } } }
"#,
    );
    cluster.ok(&["up"]);
    std::thread::sleep(Duration::from_secs(3));
    let row = cluster.json(&["ps"])[0].clone();
    assert_ne!(row["phase"], "ready", "{row}");
    let before = cluster.identities();
    cluster.run(&["up", "--timeout", "2s"]).exits(3).says(&["503"]);
    assert_eq!(cluster.identities(), before, "it wasn't started by this run, so it is left alone");
}
