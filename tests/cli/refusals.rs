//! What stands in the way outside the file: taken ports and names, missing images and programs, a state directory that
//! can't be written, another run.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::support::{Api, TestCluster};

const ONE: &str = "services:\n  web:\n    image: convoke-test/probe-target:latest\n";

const PROGRAM: &str = env!("CARGO_BIN_EXE_convoke");

/// A host port that is free now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_port_that_a_process_has() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let cluster = TestCluster::new(&format!("{ONE}    ports: [\"{port}:8080\"]\n"));
    cluster.run(&["up"]).exits(1).within(Duration::from_secs(10)).says(&[
        &format!("web: host port {port} is in use by another process\n"),
        &format!("try: `ss -ltnp sport = :{port}` shows which process has it; end it, or publish another port\n"),
    ]);
    drop(listener);
    cluster.ok(&["up"]);
}

#[test]
fn a_port_that_a_container_has() {
    let port = free_port();
    let other = TestCluster::new(&format!("{ONE}    ports: [\"{port}:8080\"]\n"));
    other.ok(&["up"]);
    let cluster = TestCluster::new(&format!("{ONE}    ports: [\"{port}:8080\"]\n"));
    cluster.run(&["up"]).exits(1).says(&[
        &format!("web: host port {port} is in use by container {}-web-1\n", other.name),
        &format!("try: stop {}-web-1, or publish another port than {port}\n", other.name),
    ]);
}

/// There may be no registry within reach: then it must not take long to say so.
#[test]
fn an_image_that_exists_nowhere() {
    let text = "services:\n  web: { image: \"convoke-test.invalid/nothing:1\" }\n";
    let cluster = TestCluster::new(text);
    cluster.run(&["up"]).exits(1).within(Duration::from_secs(30)).says(&[
        "web: image convoke-test.invalid/nothing:1 can't be had: ",
        "try: is the registry reachable? an image can also be loaded with `docker load`",
    ]);
    assert!(cluster.components().is_empty(), "something was made");
}

#[test]
fn a_program_that_the_image_does_not_have() {
    for (command, text) in
        [("serve", "executable file not found in $PATH"), ("/opt/serve", "no such file or directory")]
    {
        let cluster = TestCluster::new(&format!("{ONE}    entrypoint: [{command}]\n"));
        let up = cluster.run(&["up"]);
        up.exits(1).says(&[&format!("web: its command can't be run: exec: \"{command}\""), text]);
        up.says(&["try: the program isn't in the image, or can't be run: check `command` and `entrypoint`"]);
        up.says_nothing_of(&["OCI runtime", ": unknown"]);
    }
}

#[test]
fn a_container_of_our_name_that_somebody_else_made() {
    for (labels, remedy) in [
        ("{}", "`docker rm -f NAME-web-1`"),
        (r#"{"com.docker.compose.project":"NAME"}"#, "`docker compose -p NAME down`"),
    ] {
        let cluster = TestCluster::new(ONE);
        let body =
            format!(r#"{{"Image":"{}","Labels":{labels}}}"#, crate::support::IMAGE).replace("NAME", &cluster.name);
        let foreign = Foreign::container(&format!("{}-web-1", cluster.name), &body);
        let before = foreign.inspect();
        let up = cluster.run(&["up"]);
        let name = format!("{}-web-1", cluster.name);
        up.exits(1).says(&[
            &format!("web: a container named {name} is there already, and convoke didn't make it\n"),
            &format!("try: remove it with {}, or choose another name with -p\n", remedy.replace("NAME", &cluster.name)),
        ]);
        // Nothing was made that could be looked at.
        up.says_nothing_of(&["next:", "that this run started"]);
        cluster.ok(&["down"]);
        assert_eq!(foreign.inspect(), before, "it was touched");
    }
}

/// With `container_name` two clusters can want the same one.
#[test]
fn a_container_of_our_name_that_belongs_to_another_cluster() {
    let shared = format!("convoke-test-shared-{}", std::process::id());
    let text = format!("{ONE}    container_name: {shared}\n");
    let other = TestCluster::new(&text);
    other.ok(&["up"]);
    let before = other.identities();
    let cluster = TestCluster::new(&text);
    cluster.run(&["up"]).exits(1).says(&[
        &format!("web: a container named {shared} is there already: it belongs to cluster {}\n", other.name),
        &format!("try: remove that cluster with `convoke down -p {}`", other.name),
    ]);
    assert_eq!(other.identities(), before);
}

#[test]
fn a_network_of_our_name_that_is_not_ours() {
    let cluster = TestCluster::new(ONE);
    let name = format!("{}_default", cluster.name);
    let foreign = Foreign::network(&name);
    let before = foreign.inspect();
    cluster.run(&["up"]).exits(1).says(&[
        &format!("a network named {name} is there already, and convoke didn't make it\n"),
        &format!("try: remove it with `docker network rm {name}`, or choose another name with -p\n"),
    ]);
    cluster.ok(&["down"]);
    assert_eq!(foreign.inspect(), before, "it was touched");
}

/// A folder that even root can't write: a warning, and everything else works.
#[test]
fn a_state_directory_that_cannot_be_written() {
    let cluster = TestCluster::new(ONE);
    let file = cluster.write("not-a-folder", "");
    let (file, sealed) = (file.to_str().unwrap(), cluster.path().join("sealed"));
    std::fs::create_dir(&sealed).unwrap();
    let sealed = sealed.to_str().unwrap();
    for (folder, why) in [("/proc/convoke", "No such file"), (file, "Not a directory"), (sealed, "Read-only")] {
        let run = |args: &[&str]| {
            let mut command = if folder == sealed { sealing(folder) } else { Command::new(PROGRAM) };
            command = cluster.at_home(command, args);
            command.env("CONVOKE_STATE_DIR", folder);
            cluster.run_command(command)
        };
        let warning = format!("warning: state directory {folder} can't be written: {why}");
        let consequence = "runs are not recorded, and two commands at once are not kept apart";
        run(&["up"]).exits(0).says(&[&warning, consequence, "ready in"]);
        run(&["ps"]).exits(0).says(&["web"]);
        run(&["down"]).exits(0).says(&[&warning]);
    }
}

#[test]
fn another_run_has_the_lock() {
    let cluster = TestCluster::new(&format!(
        "{ONE}    command: [--boot, 4s]\n    x-convoke: {{ ready: {{ tcp: {{ port: 8080 }} }} }}\n"
    ));
    let mut first = cluster.begin(&["up"]);
    first.wait_for("started");
    let second = cluster.run(&["up", "--no-wait-lock"]);
    second.exits(5).within(Duration::from_secs(3)).says(&[
        "error: ",
        "up",
        "try: wait for it, or leave out --no-wait-lock",
    ]);
    first.end().exits(0);
}

/// The program where nothing can be written into this folder.
fn sealing(folder: &str) -> Command {
    let script = format!("mount -t tmpfs -o ro tmpfs '{folder}' && exec {PROGRAM} \"$@\"");
    let mut command = Command::new("unshare");
    // Root as itself, and others where they may be root in a namespace.
    command.args(["--map-root-user", "--mount", "bash", "-c", &script, "convoke"]);
    command
}

/// `docker commit` copies labels into the image, and every container made of it has them.
#[test]
fn a_container_of_an_image_that_was_committed_from_ours() {
    let cluster = TestCluster::new(ONE);
    cluster.ok(&["up"]);
    let image = format!("{}-committed", cluster.name);
    let container = format!("{}-web-1", cluster.name);
    let (status, answer) = Api::new().send("POST", &format!("/commit?container={container}&repo={image}"), "{}");
    assert_eq!(status, 201, "{answer}");
    let _image = Foreign { path: format!("/images/{image}") };
    let foreign = Foreign::container(&format!("{}-copy", cluster.name), &format!(r#"{{"Image":"{image}"}}"#));
    let before = foreign.inspect();
    assert!(before.contains("convoke.cluster"), "{before}");
    let ours = cluster.identities();
    cluster.ok(&["up"]);
    assert_eq!(cluster.identities(), ours);
    cluster.ok(&["down"]);
    assert_eq!(foreign.inspect(), before, "it was touched");
}

/// An object that convoke didn't make; removed at the end.
struct Foreign {
    path: String,
}

impl Foreign {
    fn container(name: &str, body: &str) -> Self {
        let (status, answer) = Api::new().send("POST", &format!("/containers/create?name={name}"), body);
        assert_eq!(status, 201, "{answer}");
        Self { path: format!("/containers/{name}") }
    }

    fn network(name: &str) -> Self {
        // A subnet that nobody else picks: convoke's own pool, and the engine's, are elsewhere.
        let body = format!(r#"{{"Name":"{name}","IPAM":{{"Config":[{{"Subnet":"10.98.76.0/29"}}]}}}}"#);
        let (status, answer) = Api::new().send("POST", "/networks/create", &body);
        assert_eq!(status, 201, "{answer}");
        Self { path: format!("/networks/{name}") }
    }

    fn inspect(&self) -> String {
        let path = if self.path.starts_with("/containers") { format!("{}/json", self.path) } else { self.path.clone() };
        Api::new().get(&path).to_string()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let (status, answer) = Api::new().send("DELETE", &format!("{}?force=1", self.path), "");
        assert!(status < 300 || std::thread::panicking(), "{} stays: {answer}", self.path);
    }
}
