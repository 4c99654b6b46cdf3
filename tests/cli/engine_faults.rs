//! An engine that isn't there, that stops answering, that goes away and comes back.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::support::{IMAGE, Proxy, Ran, Running, TestCluster, http_services};

/// One that is ready at once, and one that isn't.
fn two() -> TestCluster {
    TestCluster::new(&http_services(&[("web", ""), ("late", "command: [--boot, 3s]")]))
}

fn begin(cluster: &TestCluster, host: &str, args: &[&str]) -> Running {
    let mut command = cluster.command(args);
    command.env("DOCKER_HOST", host);
    Running::begin(command)
}

fn run(cluster: &TestCluster, host: &str, args: &[&str]) -> Ran {
    begin(cluster, host, args).end()
}

#[test]
fn no_engine() {
    let cluster = two();
    for args in [&["up"][..], &["down"], &["ps"], &["logs"], &["exec", "web", "true"], &["restart"]] {
        run(&cluster, "unix:///nonexistent/docker.sock", args).exits(4).within(Duration::from_secs(2)).says(&[
            "error: failed to connect to the engine at unix:///nonexistent/docker.sock: there is no socket",
            "try: start the engine, or say where it is with DOCKER_HOST; `convoke doctor` shows what is found",
        ]);
    }
    // Nothing listens there any more, as after a crash.
    let socket = cluster.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let host = format!("unix://{}", socket.display());
    run(&cluster, &host, &["up"]).exits(4).within(Duration::from_secs(2)).says(&["Connection refused", &host]);
}

#[test]
fn an_engine_that_accepts_and_is_silent() {
    let cluster = two();
    let proxy = Proxy::silent();
    for command in ["up", "down"] {
        run(&cluster, &proxy.address(), &[command]).exits(4).within(Duration::from_secs(12)).says(&[
            "error: failed to connect to the engine at ",
            ": no answer from the engine within 5.00 s",
            "`convoke doctor`",
        ]);
    }
}

#[test]
fn an_engine_that_falls_silent_before_the_first_list() {
    let cluster = two();
    let proxy = Proxy::silent_from("/containers/json");
    let up = run(&cluster, &proxy.address(), &["up", "--timeout", "3s"]);
    up.exits(3)
        .within(Duration::from_secs(8))
        .says(&["web: still pending after 3.00 s: the engine was asked what is there"]);
}

#[test]
fn an_engine_that_falls_silent_during_the_start() {
    let cluster = two();
    let proxy = Proxy::new();
    let mut up = begin(&cluster, &proxy.address(), &["up", "--timeout", "6s", "--on-failure", "keep"]);
    up.wait_for("web   created");
    proxy.fall_silent();
    up.end()
        .exits(3)
        .within(Duration::from_secs(12))
        .says(&["web: still starting after 6.00 s: the engine has been starting it for"]);
}

/// Without a `--timeout` patience with a silent engine ends by itself.
#[test]
fn a_silent_engine_is_given_up() {
    let cluster = two();
    let proxy = Proxy::new();
    let mut up = begin(&cluster, &proxy.address(), &["up"]);
    up.wait_for("web   created");
    proxy.fall_silent();
    up.end().exits(4).within(Duration::from_secs(55)).says(&[
        "no answer within 10.0 s",
        "try: is the engine",
        "the engine can't be reached, given up after",
        "convoke doctor",
    ]);
}

#[test]
fn a_connection_that_drops_and_comes_back() {
    let cluster = two();
    let proxy = Proxy::new();
    for moment in ["network", "web   created", "late  started"] {
        let mut up = begin(&cluster, &proxy.address(), &["up"]);
        up.wait_for(moment);
        proxy.go_away();
        sleep(Duration::from_secs(2));
        proxy.come_back();
        up.end().exits(0).within(Duration::from_secs(30)).says(&["ready in"]);
        cluster.ok(&["down"]);
    }
}

/// An engine of the test's own, so that nobody else is disturbed: it is stopped with its containers and started again.
#[test]
fn an_engine_that_is_restarted_during_the_start() {
    let engine = OwnEngine::start();
    let cluster = two();
    let begin = |args: &[&str]| {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net={}", engine.namespace)).arg(env!("CARGO_BIN_EXE_convoke"));
        let mut command = cluster.at_home(inside, args);
        command.env("DOCKER_HOST", &engine.host);
        Running::begin(command)
    };
    let mut up = begin(&["up"]);
    up.wait_for("late  started");
    engine.script("stop");
    sleep(Duration::from_millis(300));
    engine.script("start");
    let up = up.end();
    up.exits(0).says(&["the engine was away", "ready in"]);
    begin(&["ps"]).end().exits(0).says(&["late", "ready"]);
    begin(&["down"]).end().exits(0);
}

struct OwnEngine {
    name: String,
    host: String,
    namespace: String,
}

impl OwnEngine {
    fn start() -> Self {
        let mut this =
            Self { name: format!("ct{}", std::process::id()), host: String::new(), namespace: String::new() };
        let said = this.script("start");
        let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
        (this.host, this.namespace) = (value("DOCKER_HOST="), value("NETNS="));
        let load = "set -o pipefail; source scripts/lib.sh; engine GET /images/$1/get --output - | \
                    DOCKER_HOST=$2 engine POST /images/load --header content-type:application/x-tar --data-binary @-";
        Self::bash(&["-c", load, "load", IMAGE, &this.host]);
        this
    }

    fn script(&self, verb: &str) -> String {
        Self::bash(&["scripts/engine-private.sh", verb, &self.name])
    }

    fn bash(args: &[&str]) -> String {
        let root = env!("CARGO_MANIFEST_DIR");
        let output = Command::new("bash").args(args).current_dir(root).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{args:?}\n{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let root = env!("CARGO_MANIFEST_DIR");
        _ = Command::new("bash").args(["scripts/engine-private.sh", "remove", &self.name]).current_dir(root).output();
    }
}

#[test]
fn an_engine_with_another_clock_is_told_by_the_doctor() {
    let cluster = two();
    let proxy = Proxy::altering(&[(r#""SystemTime":"20"#, r#""SystemTime":"19"#)]);
    let doctor = run(&cluster, &proxy.address(), &["doctor"]);
    doctor.exits(0).says(&["the clock of the engine's machine is", "behind this one's", "RequestTimeTooSkewed"]);
    cluster.ok(&["doctor"]).says(&["the engine's is this machine's, within 30 s"]);
}
