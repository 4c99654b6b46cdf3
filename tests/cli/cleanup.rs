//! What goes, when, and by whom: `stop` and `down` of components that don't want to, `up --ephemeral`, `gc`.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use convoke::engine::Status;
use serde_json::{Value, json};

use crate::support::{Api, Running, TestCluster, http_services};

const STUBBORN: (&str, &str) = ("stubborn", "command: [--ignore-sigterm], stop_grace_period: 2m");

// === stop and down ===

#[test]
fn however_many_ignore_their_signal_it_takes_one_grace() {
    let services: Vec<String> = (0..6).map(|n| format!("s{n}")).collect();
    let services: Vec<(&str, &str)> = services.iter().map(|name| (name.as_str(), STUBBORN.1)).collect();
    let cluster = TestCluster::new(&http_services(&services));
    cluster.ok(&["up"]);
    let down = cluster.ok(&["down", "-t", "2"]);
    assert!(down.took >= Duration::from_secs(2), "{down}");
    // One after the other would be 12 s of grace alone.
    down.within(Duration::from_secs(10));
    cluster.assert_gone();
}

#[test]
fn the_time_given_is_the_time_until_sigkill() {
    let cluster = TestCluster::new(&http_services(&[STUBBORN, ("web", "")]));
    cluster.ok(&["up"]);
    let stop = cluster.ok(&["stop", "--time", "1", "stubborn"]);
    assert!(stop.took >= Duration::from_secs(1), "{stop}");
    stop.within(Duration::from_secs(8));
    assert_eq!(cluster.inspect("stubborn")["State"]["ExitCode"], 137);
    assert_eq!(cluster.container("web").state.status, Status::Running);
    cluster.run(&["down", "-t", "1", "--grace", "1"]).exits(2);
}

#[test]
fn dependents_go_first_where_that_is_asked() {
    let gate = "depends_on: { db: { condition: service_started } }";
    let cluster = TestCluster::new(&http_services(&[("db", ""), ("app", gate), ("web", "depends_on: [app]")]));
    cluster.ok(&["up"]);
    cluster.ok(&["stop", "--ordered"]);
    let ended = |component: &str| cluster.container(component).state.finished_at.unwrap();
    assert!(ended("web") < ended("app") && ended("app") < ended("db"));
    cluster.ok(&["up"]);
    cluster.ok(&["down", "--ordered"]);
    cluster.assert_gone();
}

// === up --ephemeral ===

/// A process that a cluster may belong to. It is killed when this is dropped.
struct Owner(Child);

impl Owner {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            _ = self.0.wait();
        }
    }
}

/// One with a volume of its own.
fn with_volume() -> TestCluster {
    let services = http_services(&[("web", "environment: { LEVEL: one }"), ("db", "volumes: ['data:/data']")]);
    TestCluster::new(&format!("{services}volumes: {{ data: {{}} }}\n"))
}

fn wait_until_gone(cluster: &TestCluster) {
    cluster.wait_until("it is removed", |seen| {
        seen.containers.is_empty() && seen.networks.is_empty() && seen.volumes.is_empty()
    });
    cluster.assert_gone();
    assert_watcher_ends(cluster);
}

/// The process that waits for the owner's end, if there is one.
fn watcher(cluster: &TestCluster) -> Option<String> {
    let path = cluster.path().join(format!("state/clusters/{}/watcher.lock", cluster.name));
    let mut file = std::fs::File::open(path).ok()?;
    if file.try_lock_shared().is_ok() {
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    // One that has just taken it writes its number a moment later.
    let holder: Value = serde_json::from_str(&text).unwrap_or_default();
    Some(holder["pid"].to_string())
}

fn assert_watcher_ends(cluster: &TestCluster) {
    let begun = Instant::now();
    while let Some(pid) = watcher(cluster) {
        assert!(begun.elapsed() < Duration::from_secs(10), "process {pid} still waits");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_ephemeral_cluster_goes_with_the_shell_that_started_it() {
    let cluster = with_volume();
    let convoke = env!("CARGO_BIN_EXE_convoke");
    let script =
        format!("{convoke} -p {} up --ephemeral && echo it is up && read line; echo not reached", cluster.name);
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(cluster.path()).env("CONVOKE_STATE_DIR", cluster.path().join("state"));
    let mut shell = Running::begin({
        command.stdin(Stdio::piped());
        command
    });
    shell.wait_for("it is up");
    assert_eq!(cluster.components(), ["db", "web"]);
    assert_eq!(cluster.observe().volumes.len(), 1);
    assert!(watcher(&cluster).is_some());
    shell.kill();
    wait_until_gone(&cluster);
}

#[test]
fn it_goes_even_if_convoke_was_killed_and_even_in_the_middle_of_the_start() {
    let cluster = with_volume();
    for moment in [150, 400, 900] {
        let mut owner = Owner::new();
        let up = cluster.begin(&["up", "--ephemeral", "--owner-pid", &owner.pid()]);
        std::thread::sleep(Duration::from_millis(moment));
        up.kill();
        owner.kill();
        // What the killed run's last calls make comes a moment later, and goes as well.
        std::thread::sleep(Duration::from_secs(1));
        wait_until_gone(&cluster);
    }
    let mut owner = Owner::new();
    cluster.edit("LEVEL: one }", "LEVEL: one }, command: [--ready-after, 10m]");
    let mut up = cluster.begin(&["--format", "plain", "up", "--ephemeral", "--owner-pid", &owner.pid()]);
    up.wait_for("live");
    owner.kill();
    up.end().exits(130);
    wait_until_gone(&cluster);
}

#[test]
fn after_down_the_owner_s_end_means_nothing_to_the_next_cluster() {
    let cluster = with_volume();
    let mut owner = Owner::new();
    cluster.ok(&["up", "--ephemeral", "--owner-pid", &owner.pid()]);
    cluster.ok(&["down"]);
    cluster.assert_gone();
    assert_eq!(watcher(&cluster), None, "nobody waits any more");
    cluster.ok(&["up"]);
    let before = cluster.identities();
    owner.kill();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(cluster.identities(), before);
}

#[test]
fn a_second_up_goes_on_for_the_same_owner_and_no_other() {
    let cluster = with_volume();
    let (mut first, other) = (Owner::new(), Owner::new());
    let up = |owner: &Owner| cluster.run(&["up", "--ephemeral", "--owner-pid", &owner.pid()]);
    up(&first).exits(0);
    let before = cluster.identities();
    up(&first).exits(0);
    assert_eq!(cluster.identities(), before);
    up(&other).exits(5).says(&[&format!("is an ephemeral cluster of process {}", first.pid())]);
    // Without the flag it stays what it is.
    cluster.edit("LEVEL: one", "LEVEL: two");
    cluster.ok(&["up"]);
    let label = |component: &str| cluster.container(component).labels["convoke.ephemeral"].clone();
    assert_eq!(label("web"), label("db"));
    first.kill();
    wait_until_gone(&cluster);
    up(&other).exits(0);
}

#[test]
fn what_is_there_already_does_not_become_ephemeral() {
    let cluster = with_volume();
    cluster.ok(&["up"]);
    cluster.run(&["up", "--ephemeral"]).exits(2).says(&["is there already, and not ephemeral", "--volumes"]);
    cluster.ok(&["down"]);
    cluster.run(&["up", "--ephemeral"]).exits(2).says(&["is there already, and not ephemeral"]);
    let wanted = cluster.path().join(format!("state/clusters/{}/wanted", cluster.name));
    assert_eq!(std::fs::read_to_string(wanted).unwrap().trim(), "down", "one that is refused wants nothing");
    cluster.run(&["up", "--ephemeral", "--supervise"]).exits(2);
    assert_eq!(cluster.observe().volumes.len(), 1, "its data are kept");
    cluster.run(&["up", "--owner-pid", "1"]).exits(2);
    let mut owner = Owner::new();
    owner.kill();
    cluster.run(&["up", "--ephemeral", "--owner-pid", &owner.pid()]).exits(2).says(&["there is no process"]);
}

#[test]
fn what_a_lost_watcher_left_is_found_by_gc_and_by_the_next_up() {
    let cluster = with_volume();
    for by_gc in [true, false] {
        let mut owner = Owner::new();
        cluster.ok(&["up", "--ephemeral", "--owner-pid", &owner.pid()]);
        let before = cluster.identities();
        let gc = ["gc", "--volumes", "--older-than", "0"];
        cluster.ok(&gc).says(&["nothing is left over"]);
        let pid = watcher(&cluster).unwrap();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        assert_watcher_ends(&cluster);
        owner.kill();
        cluster.ok(&gc).says(&["the process that its ephemeral cluster belonged to is gone", "nothing was removed"]);
        assert_eq!(cluster.identities(), before);
        if by_gc {
            cluster.ok(&["gc", "--volumes", "--yes"]).says(&["removed 4 things"]);
            cluster.assert_gone();
        } else {
            cluster.ok(&["up"]).says(&["removing what an ephemeral cluster of a process that is gone left"]);
            let after = cluster.identities();
            assert!(after.iter().zip(&before).all(|(new, old)| new.1 != old.1), "{before:?} {after:?}");
            assert!(!cluster.container("web").labels.contains_key("convoke.ephemeral"));
        }
    }
}

// === gc ===

/// Makes things as a run of convoke does, without one.
struct Maker<'a> {
    api: Api,
    cluster: &'a TestCluster,
}

impl<'a> Maker<'a> {
    fn new(cluster: &'a TestCluster) -> Self {
        Self { api: Api::new(), cluster }
    }

    fn container(&self, name: &str) {
        let own = format!("{}-web-1", self.cluster.name);
        let labels =
            json!({ "convoke.cluster": self.cluster.name, "convoke.component": "web", "convoke.container": own });
        let body = json!({ "Image": "convoke-test/probe-target:latest", "Labels": labels });
        let (status, answer) = self.api.send("POST", &format!("/containers/create?name={name}"), &body.to_string());
        assert_eq!(status, 201, "{answer}");
    }

    fn network(&self, name: &str) -> String {
        let body = json!({ "Name": name, "Labels": { "convoke.cluster": self.cluster.name } });
        let (status, answer) = self.api.send("POST", "/networks/create", &body.to_string());
        assert_eq!(status, 201, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()["Id"].as_str().unwrap().to_owned()
    }
}

/// Kind and name of what is left over.
fn left(cluster: &TestCluster, args: &[&str]) -> Vec<String> {
    let rows = cluster.json(&[&["gc", "--older-than", "0"], args].concat());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| format!("{} {}", text(&row["kind"]), text(&row["name"]))).collect()
}

#[test]
fn gc_removes_what_no_run_could_need_and_touches_nothing_else() {
    let cluster = with_volume();
    cluster.ok(&["up"]);
    let before = cluster.identities();
    assert_eq!(left(&cluster, &["--volumes"]), Vec::<String>::new(), "of a healthy cluster there is nothing");
    let maker = Maker::new(&cluster);
    let (unfinished, temporary) =
        (format!("{}-web-1.unfinished", cluster.name), format!("0123456789ab_{}-web-1", cluster.name));
    maker.container(&unfinished);
    maker.container(&temporary);
    let mut wanted = vec![format!("container {temporary}"), format!("container {unfinished}")];
    let has_twin = cluster.observe().networks.len() == 1 && old_engine();
    if has_twin {
        maker.network(&format!("{}_default", cluster.name));
        wanted.push(format!("network {}_default", cluster.name));
    }
    assert_eq!(left(&cluster, &["--volumes"]), wanted);
    cluster.ok(&["gc"]).says(&["nothing is left over"]).says_nothing_of(&["unfinished"]);
    cluster.ok(&["gc", "--older-than", "0"]).says(&["a run was killed while it made it", "convoke gc --yes"]);
    assert_eq!(cluster.observe().containers.len(), 4, "it only said so");
    cluster.ok(&["gc", "--older-than", "0", "--yes"]).says(&[&format!("removed {} things", wanted.len())]);
    assert_eq!(cluster.identities(), before);
    assert_eq!((cluster.observe().networks.len(), cluster.observe().volumes.len()), (1, 1));
}

/// One that lets two networks share a name.
fn old_engine() -> bool {
    Api::new().get("/version")["Version"].as_str().unwrap().starts_with("20.")
}

#[test]
fn gc_keeps_volumes_unless_told_and_networks_that_somebody_is_on() {
    let cluster = with_volume();
    cluster.ok(&["up"]);
    cluster.ok(&["down"]);
    let maker = Maker::new(&cluster);
    let network = maker.network(&format!("{}_default", cluster.name));
    let state = format!("state {}", cluster.path().join("state/clusters").join(&cluster.name).display());
    let orphan = format!("network {}_default", cluster.name);
    assert_eq!(left(&cluster, &[]), [orphan.as_str()]);
    let guest = format!("guest-{}", cluster.name);
    let body = json!({ "Image": "convoke-test/probe-target:latest", "HostConfig": { "NetworkMode": network } });
    let (status, answer) = maker.api.send("POST", &format!("/containers/create?name={guest}"), &body.to_string());
    assert_eq!(status, 201, "{answer}");
    let (status, answer) = maker.api.send("POST", &format!("/containers/{guest}/start"), "");
    assert_eq!(status, 204, "{answer}");
    let gc = cluster.ok(&["gc", "--older-than", "0", "--yes"]);
    let (status, answer) = maker.api.send("DELETE", &format!("/containers/{guest}?force=1"), "");
    assert_eq!(status, 204, "{answer}");
    gc.says(&["is left alone", &guest, "nothing is left over"]);
    cluster.ok(&["gc", "--older-than", "0", "--yes"]).says(&["removed 1 thing"]);
    assert_eq!(cluster.observe().volumes.len(), 1);
    assert_eq!(left(&cluster, &["--volumes", "--yes"]), [format!("volume {}_data", cluster.name)]);
    cluster.assert_gone();
    assert_eq!(left(&cluster, &["--yes"]), [state]);
    assert!(!cluster.path().join("state/clusters").join(&cluster.name).exists());
}

#[test]
fn gc_leaves_alone_what_a_run_works_on() {
    let cluster = TestCluster::new(&http_services(&[("web", "command: [--ready-after, 10m]")]));
    let mut up = cluster.begin(&["--format", "plain", "up"]);
    up.wait_for("live");
    Maker::new(&cluster).container(&format!("{}-web-1.unfinished", cluster.name));
    let gc = cluster.ok(&["gc", "--older-than", "0", "--yes"]);
    gc.says(&["is left alone: convoke up (process", "nothing is left over"]);
    assert_eq!(cluster.observe().containers.len(), 2);
    up.signal("INT");
    up.end().exits(130);
    cluster.ok(&["gc", "--older-than", "0", "--yes"]).says(&["removed 1 thing"]);
}

#[test]
fn gc_drops_notes_about_containers_that_are_gone() {
    let cluster = TestCluster::new(&http_services(&[("web", ""), ("db", "")]));
    cluster.ok(&["up"]);
    cluster.ok(&["chaos", "kill", "web"]);
    assert_eq!(left(&cluster, &[]), Vec::<String>::new());
    let (status, answer) = Api::new().send("DELETE", &format!("/containers/{}", cluster.container("web").id), "");
    assert_eq!(status, 204, "{answer}");
    assert_eq!(left(&cluster, &["--yes"]), ["note kill web"]);
    assert_eq!(left(&cluster, &[]), Vec::<String>::new());
}
