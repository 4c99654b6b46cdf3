//! Containers beside the components: `run`; and files in and out: `cp`.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use convoke::engine::Status;

use crate::support::{Api, TestCluster};

const SHOP: &str = r#"
services:
  db:
    image: convoke-test/probe-target:latest
    x-convoke: { ready: { http: { port: 8080, path: /ready } } }
  web:
    image: debian:bookworm-slim
    command: [sleep, infinity]
    init: true
    environment: { COLOUR: red, KEPT: "yes" }
    ports: ["127.0.0.1::80"]
    restart: always
    networks: { default: { aliases: [shop] } }
    depends_on: { db: { condition: service_healthy } }
    volumes: [data:/data]
  tool:
    image: debian:bookworm-slim
    profiles: [tools]
    entrypoint: [echo, tool]
    scale: 0
volumes: { data: {} }
"#;

#[test]
fn run_is_a_command_in_a_container_of_its_own() {
    let cluster = TestCluster::new(SHOP);
    // What it depends on is started and ready first, and it finds that by its name.
    let script =
        "grep -c 'db$' /etc/hosts; echo $COLOUR $KEPT $MORE; pwd; id -u; cat /given/file; echo err >&2; exit 7";
    cluster.write("given/file", "from here\n");
    cluster.write("more.env", "COLOUR=blue\nMORE='1'\n");
    let args = [
        "run",
        "--rm",
        "-e",
        "COLOUR=$green",
        "--env-from-file",
        "more.env",
        "--remove-orphans",
        "-w",
        "/tmp",
        "-u",
        "65534",
        "-v",
        "./given:/given",
    ];
    let ran = cluster.run(&[&args[..], &["web", "sh", "-c", script]].concat());
    assert_eq!((ran.code, ran.out.as_str()), (7, "1\n$green yes 1\n/tmp\n65534\nfrom here\n"), "{ran}");
    assert!(ran.err.contains("err\n") && ran.err.contains("db"), "{ran}");
    assert_eq!(cluster.components(), ["db"], "it counts nowhere");
    assert!(cluster.observe().one_offs.is_empty(), "--rm removed it");

    // One that stays, with the service's ports and command, under a name of its own.
    let name = format!("{}-mine", cluster.name);
    let ran = cluster.ok(&["run", "-d", "-P", "--name", &name, "--no-deps", "--use-aliases", "web"]);
    assert_eq!(ran.out, format!("{name}\n"));
    let shown = Api::new().get(&format!("/containers/{name}/json"));
    let labels = &shown["Config"]["Labels"];
    assert_eq!(labels["com.docker.compose.oneoff"], "True");
    assert_eq!(labels["com.docker.compose.service"], "web");
    assert!(labels["com.docker.compose.container-number"].is_null());
    assert_eq!(shown["HostConfig"]["RestartPolicy"]["Name"], "no");
    assert_eq!(shown["HostConfig"]["PortBindings"]["80/tcp"][0]["HostIp"], "127.0.0.1");
    let network = format!("{}_default", cluster.name);
    let aliases = shown["NetworkSettings"]["Networks"][&network]["Aliases"].to_string();
    assert!(aliases.contains(r#""web""#) && aliases.contains(r#""shop""#), "{aliases}");

    // Neither `up` nor `ps` nor `stop` takes it for the component.
    cluster.ok(&["up"]);
    assert_eq!(cluster.components(), ["db", "web"]);
    assert!(!cluster.ok(&["ps"]).out.contains("mine"));
    cluster.ok(&["stop", "--time", "1"]);
    let one_off = &cluster.observe().one_offs[0];
    assert_eq!((one_off.name.as_str(), one_off.state.status), (name.as_str(), Status::Running));
    let taken = cluster.run(&["run", "--no-deps", "--name", &name, "web", "true"]);
    taken.exits(1).says(&[&name]);
    assert_eq!(cluster.observe().one_offs.len(), 1, "the one whose name it is stays");

    // A service of which none runs, with another entry point; and a program that isn't there.
    assert_eq!(cluster.ok(&["run", "--rm", "tool", "x"]).out, "tool x\n");
    assert_eq!(cluster.ok(&["run", "--rm", "--entrypoint", "echo other", "tool"]).out, "other\n");
    cluster.run(&["run", "--rm", "tool-x"]).exits(2).says(&["there is no service \"tool-x\""]);
    let missing = cluster.run(&["run", "--rm", "--no-deps", "web", "no-such-program"]);
    assert_eq!(missing.code, 127, "{missing}");
    cluster.run(&["run", "-p", "80:x", "web"]).exits(2);
    assert_eq!(cluster.observe().one_offs.len(), 1, "none of them is left");
    // `down` takes it along: the test fails otherwise.
}

#[test]
fn run_passes_input_and_signals_on() {
    let cluster =
        TestCluster::new("services: { box: { image: 'debian:bookworm-slim', command: [cat], stop_grace_period: 1s } }");
    let data: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let mut child = cluster
        .command(&["run", "--rm", "-T", "box"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let sent = data.clone();
    let writing = std::thread::spawn(move || input.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success() && output.stdout == data, "{} bytes", output.stdout.len());

    let trap = "trap 'echo got it; exit 5' TERM; echo begun; while :; do sleep 0.05; done";
    let mut running = cluster.begin(&["run", "--rm", "box", "sh", "-c", trap]);
    running.wait_for("begun");
    running.signal("TERM");
    let ended = running.end_within(Duration::from_secs(20));
    assert!(ended.code == 5 && ended.out.contains("got it"), "{ended}");
    assert!(cluster.observe().one_offs.is_empty());

    // One that doesn't end by itself: the third time it is killed.
    let mut running =
        cluster.begin(&["run", "box", "sh", "-c", "trap '' INT; echo begun; while :; do sleep 0.05; done"]);
    running.wait_for("begun");
    for _ in 0..3 {
        running.signal("INT");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(running.end_within(Duration::from_secs(20)).code, 137);
    assert_eq!(cluster.observe().one_offs.len(), 1, "without --rm it stays");
}

#[test]
fn cp_goes_both_ways() {
    let cluster = TestCluster::new(
        "services: { box: { image: 'debian:bookworm-slim', init: true, command: [sleep, infinity], scale: 2 } }",
    );
    cluster.ok(&["up"]);
    cluster.write("tree/deep/file", "text");
    cluster.write("tree/run.sh", "#!/bin/sh");
    let inside = |command: &str| cluster.ok(&["exec", "box-2", "sh", "-c", command]).out;

    // Into all, or into one; a new name, a folder that is there, what is in a folder.
    cluster.ok(&["cp", "tree", "box:/opt"]).says(&["copied tree to box:/opt"]);
    assert_eq!(inside("cat /opt/tree/deep/file; stat -c %u /opt/tree"), "text0\n");
    cluster.ok(&["cp", "--index", "2", "tree", "box:/opt/new"]);
    assert_eq!(inside("cat /opt/new/deep/file"), "text");
    assert_eq!(cluster.run(&["exec", "box-1", "ls", "/opt/new"]).code, 2, "not into the other");
    cluster.ok(&["cp", "tree/.", "box-2:/mnt"]);
    cluster.ok(&["cp", "tree/run.sh", "box-2:/mnt/renamed"]);
    assert_eq!(inside("ls /mnt"), "deep\nrenamed\nrun.sh\n");

    // Out: a file, a folder under another name, a link and what it leads to.
    inside("ln -s /opt/tree/deep/file /mnt/link; chmod 640 /mnt/run.sh; chown 7:7 /mnt/run.sh");
    cluster.ok(&["cp", "box-2:/mnt", "out"]);
    let read = |path: &str| std::fs::read_to_string(cluster.path().join(path)).unwrap();
    assert_eq!(read("out/deep/file"), "text");
    assert!(cluster.path().join("out/link").is_symlink());
    cluster.ok(&["cp", "-L", "box-2:/mnt/link", "."]);
    assert_eq!(read("link"), "text");
    cluster.ok(&["cp", "box:/etc/hostname", "out/"]);
    assert!(!read("out/hostname").is_empty());

    // As archives, from one to the other.
    let archive = cluster.command(&["cp", "box-2:/opt/tree", "-"]).output().unwrap();
    let mut child = cluster.command(&["cp", "-", "box-1:/srv"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&archive.stdout).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(cluster.ok(&["exec", "box-1", "cat", "/srv/tree/deep/file"]).out, "text");

    for (from, to, says) in [
        ("box:/none", ".", "box-1 has no /none"),
        ("none", "box:/opt", "No such file"),
        ("tree", "box-2:/mnt/renamed", "a folder can't take its place"),
        ("tree", "box-2:/no/where", "/no"),
        ("a", "b", "which of the two is in a component?"),
        ("box:/a", "box:/b", "from one component to another"),
        ("tree", "nobody:/a", "nobody"),
    ] {
        let ran = cluster.run(&["cp", from, to]);
        assert_ne!(ran.code, 0, "cp {from} {to}");
        ran.says(&[says]);
    }
}
