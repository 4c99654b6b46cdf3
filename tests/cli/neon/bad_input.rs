//! Mistakes of people, and what is said of them.

use std::time::{Duration, Instant};

use super::Plane;
use super::plane::DATABASE;
use crate::support::{Api, Proxy, Running, TestCluster, http_get};

/// For what takes seconds; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn impossible_numbers_are_refused_before_anything_is_made() {
    let cluster = TestCluster::without_file();
    let two = cluster.run(&["up", "neon", "--set", "safekeepers=2"]);
    two.exits(2).says(&["safekeepers must be 1, or 3 and more, but it is 2", "the majority of two is both"]);
    let none = cluster.run(&["up", "neon", "--set", "pageservers=0"]);
    none.exits(2).says(&[r#"parameter "pageservers" of template neon must be a whole number from 1 to 32"#]);
    cluster.run(&["up", "neon", "--set", "images=simulated"]).exits(2).says(&["must be one of official, sim"]);
    let old = cluster.run(&["up", "neon", "--set", "endpoints=main,old:13"]);
    old.exits(2).says(&["endpoints: old:13: Postgres 13 is none of 14, 15, 16 and 17"]);
    let name = cluster.run(&["up", "neon", "--set", "endpoints=Main"]);
    name.exits(2).says(&["Main is not an endpoint's name"]);
    assert!(cluster.components().is_empty());
}

#[test]
fn an_image_without_the_programs_is_told_by_what_it_lacks() {
    let cluster = TestCluster::without_file();
    let mut args = vec!["up", "neon", "--timeout", "8s"];
    let set = [
        "repository=convoke-test/busybox",
        "postgres_image=convoke/postgres:15",
        "pageservers=1",
        "safekeepers=1",
        "endpoints=",
    ];
    args.extend(set.iter().flat_map(|set| ["--set", set]));
    let up = cluster.run(&args);
    up.exits(3).says(&["storage-broker: ", "exit code 127", "storage_broker", "No such file or directory"]);
}

#[test]
fn a_control_plane_that_no_program_here_is_for_is_told_before_anything_is_made() {
    // An engine on another kind of processor, which nobody has given an image.
    let here = std::env::consts::ARCH;
    let other = &"mips64el"[..here.len()];
    let name = |arch: &str| format!(r#""Architecture":"{arch}""#);
    let proxy = Proxy::altering(&[
        (&name(here), &name(other)),
        ("/images/convoke/control-plane:", "/images/convoke/control-plate:"),
    ]);
    let cluster = TestCluster::without_file();
    for command in [&["up", "neon", "--set", "images=sim"][..], &["neon", "image"]] {
        let mut run = cluster.command(command);
        run.env("DOCKER_HOST", proxy.address());
        Running::begin(run).end().exits(2).says(&[&format!("for Linux on {other}")]);
    }
    assert!(cluster.components().is_empty());
}

#[test]
fn a_database_that_never_comes_is_named_by_the_controller() {
    let plane = Plane::new(1, 1);
    plane.cluster.edit("--db-connect-timeout=60s", "--db-connect-timeout=2s");
    let asleep = "services: { storage-controller-db: { entrypoint: [sleep, infinity] } }";
    plane.cluster.write("asleep.yaml", asleep);
    let up = plane.cluster.run(&["-f", "compose.yaml", "-f", "asleep.yaml", "up", "--timeout", "9s"]);
    up.exits(3).says(&[
        "storage-controller     restarting (exited 1)",
        "storage-controller-db is started: tcp :5432: connection refused",
        "Database not yet available, waiting...",
        "pageserver-1 and storage-controller wait for each other",
        "missing: control-plane, pageserver-1, storage-controller, storage-controller-db",
    ]);
    assert!(up.all().lines().any(|line| line.contains("storage-controller is") && line.contains(DATABASE)), "{up}");
}

#[test]
fn a_pageserver_without_an_availability_zone_is_told_by_its_log() {
    let plane = Plane::new(1, 1);
    plane.cluster.edit(r#", "availability_zone_id": "zone-1""#, "");
    let up = plane.cluster.run(&["up", "--timeout", "14s"]);
    // The control plane has no pageserver to make its tenant on.
    up.exits(3).says(&[
        "pageserver-1: ",
        "exit code 101",
        "no availability zone",
        "missing: control-plane, pageserver-1",
    ]);
}

#[test]
fn a_pageserver_that_moved_is_told_by_the_controller_s_refusal() {
    let plane = Plane::new(1, 1);
    // An image with fewer versions of Postgres, by the way.
    plane.write_fault("pageserver-1", "no-postgres=15");
    plane.up().exits(0);
    let create = |version: &str| {
        plane.cluster.run(&["neon", "timeline", "create", "--branch-name", "old", "--pg-version", version])
    };
    let lacking = "the pageservers' image has no Postgres 15: there is no initdb of it. It has made branches of 17; ";
    create("15").exits(2).says(&[lacking, "parameters repository and tag"]);
    create("16").exits(0).says(&["branch old"]);
    plane.heal("pageserver-1");
    // It serves where it did, and says that it is elsewhere: for the controller, a node can't move.
    plane.cluster.edit(r#""http_port": 9898"#, r#""http_port": 9899"#);
    let up = plane.cluster.run(&["-f", "compose.yaml", "-f", "faults.yaml", "up", "--timeout", "8s"]);
    up.exits(3).says(&[
        "pageserver-1",
        "no answer",
        "re-attach failed, will retry",
        "already registered with different address",
    ]);
}

#[test]
fn a_database_that_doesn_t_belong_to_the_pageservers_is_noticed() {
    let plane = Plane::new(1, 1);
    plane.up().exits(0);
    plane.populate();
    lose(&plane, DATABASE);
    let volume = format!("{}_{DATABASE}", plane.cluster.name);
    // The tenant isn't made again: its generations would begin anew over the old files.
    let said = up_in_vain(&plane, "the storage controller doesn't know tenant");
    for part in [&format!("these volumes are made anew: {volume};"), "convoke down --volumes", "It is not made again"] {
        assert!(said.contains(part), "{part}:\n{said}");
    }

    // It goes on from what the remote storage has.
    let default = || plane.cluster.json(&["neon", "status"])["control_plane"]["default_tenant"].clone();
    let tenant = default().as_str().expect("an id").to_owned();
    let import = |id: &str| plane.cluster.run(&["neon", "tenant", "import", "--tenant-id", id]);
    import("aaaa0000000000000000000000000099").exits(2).says(&["there is nothing of tenant aaaa"]);
    import(&tenant).exits(0).says(&[&format!("tenant {tenant} with branches main")]);
    plane.up().exits(0);
    import(&tenant).exits(0);
    let (_, timelines) = http_get(&plane.controller(), &format!("/v1/tenant/{tenant}/timeline"));
    assert!(timelines.contains("last_record_lsn"), "{timelines}");

    // The control plane's own memory is lost: nothing is made beside what there is.
    lose(&plane, "control-plane");
    let said = up_in_vain(&plane, "the storage controller has tenants and this control plane knows none");
    assert!(said.contains(&format!("--tenant-id {tenant} --set-default")), "{said}");
    import(&tenant).exits(0).says(&["with branches main"]);
    plane.up().exits(0);
    assert_eq!(default().as_str(), Some(tenant.as_str()));

    // And the other way round: the database is there, and what it counts generations of isn't.
    lose(&plane, "remote-storage");
    let said = up_in_vain(&plane, "the remote storage has nothing of it");
    assert!(said.contains("Nothing is made anew"), "{said}");
    plane.cluster.ok(&["down", "--volumes"]);
    plane.up().exits(0).says_nothing_of(&["made anew"]);
}

/// Brings up what can be; it stays, to be repaired, while the control plane says what is wrong.
fn up_in_vain(plane: &Plane, why: &str) -> String {
    let up = plane.cluster.begin(&["-f", "compose.yaml", "-f", "faults.yaml", "up"]);
    // `up` tells it after some seconds without news, and as much of it as a line has room for.
    let status = until_said(plane, why);
    let said = up.so_far();
    up.kill();
    format!("{said}\n{status}")
}

/// What `neon status` says, as soon as it says this too.
fn until_said(plane: &Plane, why: &str) -> String {
    let begun = Instant::now();
    loop {
        let status = plane.cluster.run(&["neon", "status"]);
        if status.out.contains(why) {
            return status.out;
        }
        assert!(begun.elapsed() < PATIENCE, "{why:?} isn't said\n{status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn lose(plane: &Plane, volume: &str) {
    plane.cluster.ok(&["down"]);
    let volume = format!("{}_{volume}", plane.cluster.name);
    assert_eq!(Api::new().send("DELETE", &format!("/volumes/{volume}"), "").0, 204);
}
