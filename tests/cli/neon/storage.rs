//! Layers in an S3 server of the cluster's own (`storage=s3`).

use super::whole::{MAIN, Neon};
use crate::support::{Api, http_get};

const SET: [&str; 5] =
    ["storage=s3", "safekeepers=1", "pageservers=1", "s3_access_key=somebody", "s3_secret_key=hunter2-of-s3"];

#[test]
fn layers_in_the_cluster_s_own_bucket_outlive_the_pageserver_s_disk() {
    let (neon, up) = Neon::up(&SET);
    let c = &neon.cluster;
    assert_eq!(neon.inside(MAIN, "select 1").exits(0).out.trim(), "1");
    c.ok(&["neon", "timeline", "branch", "--branch-name", "dev"]);
    let before = c.ok(&["neon", "timeline", "list"]).out;
    let (code, said) = http_get(&c.address("s3", 9000), "/neon?list-type=2");
    assert_eq!(code, 403, "{said}");
    for component in ["s3", "pageserver-1", "safekeeper-1", "control-plane"] {
        let shown = c.inspect(component).to_string();
        assert!(
            !shown.contains("hunter2-of-s3") && !c.log(component).contains("hunter2-of-s3"),
            "{component}: {shown}"
        );
    }
    let set: Vec<&str> = SET.iter().chain(&["images=sim"]).flat_map(|set| ["--set", set]).collect();
    let config = c.ok(&[&["config", "neon"][..], &set].concat());
    for text in [config.all(), up.all(), c.ok(&["report"]).all()] {
        assert!(!text.contains("hunter2-of-s3"), "{text}");
    }

    c.ok(&["down"]);
    let disk = format!("{}_pageserver-1", c.name);
    assert_eq!(Api::new().send("DELETE", &format!("/volumes/{disk}"), "").0, 204);
    // The pageserver says that its disk is empty, and the controller has it load everything from the bucket.
    c.ok(&[&["up", "neon"][..], &set].concat());
    assert_eq!(neon.inside(MAIN, "select 1").exits(0).out.trim(), "1");
    assert_eq!(c.ok(&["neon", "timeline", "list"]).out, before);
}
