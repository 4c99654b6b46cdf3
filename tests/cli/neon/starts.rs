//! Starts that go well, and what a start in order costs.

use std::time::Duration;

use convoke::event::Phase;

use super::plane::{CONTROLLER, DATABASE};
use super::{Plane, Story};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn everything_starts_at_once_and_restarts_at_once_with_a_tenant() {
    let plane = Plane::new(2, 3);
    let up = plane.up();
    up.exits(0);
    assert_eq!(up.entered(Phase::Ready).len(), 10, "{up}");
    assert!(!Story::of(&up).has_gates(), "{up}");
    let starts = plane.cluster.json(&["report"])["starts"].clone();
    assert_eq!((&starts["calls"], &starts["waited"]), (&10.into(), &serde_json::json!([])), "{starts}");
    plane.populate();
    let before = plane.tenant_is_on();

    // Now the controller has pageservers to ask, and they need it to answer.
    let restart = plane.restart();
    let story = Story::of(restart.exits(0));
    assert!(!story.has_gates(), "{story:?}");
    let attached = ["pageserver-1", "pageserver-2"].map(|node| story.last(node, Phase::Ready));
    let after = story.last(CONTROLLER, Phase::Ready).saturating_sub(attached[0].max(attached[1]));
    // Where it asks one that isn't there yet, its packet is sent again after 1 and 3 s. Giving up takes over 7 s.
    assert!(after < SECOND * 5, "{after:?} after its pageservers\n{story:?}");
    let log = plane.cluster.log(CONTROLLER);
    assert!(log.contains("startup scan: 2 of 2 pageservers answered"), "{log}");
    assert_eq!(plane.tenant_is_on(), before);
}

#[test]
fn a_controller_that_is_waited_for_gives_up_on_absent_pageservers_after_seconds() {
    let plane = Plane::new(2, 1);
    plane.up().exits(0);
    plane.populate();
    plane.cluster.ok(&["stop"]);
    let first = plane.cluster.run(&["--format", "json", "start", DATABASE, CONTROLLER]);
    let story = Story::of(first.exits(0));
    let took = story.first(CONTROLLER, Phase::Ready) - story.first(CONTROLLER, Phase::Live);
    // Its own limits take 7.5 s; one that hangs would take over 20.
    assert!((SECOND * 6..SECOND * 19).contains(&took), "{took:?}\n{story:?}");
    let said = story.said_at(story.first(CONTROLLER, Phase::Live) + SECOND * 3);
    assert_eq!(said[CONTROLLER].on, ["pageserver-1", "pageserver-2"], "{story:?}");
    let log = plane.cluster.log(CONTROLLER);
    assert!(log.contains("startup scan: 0 of 2 pageservers answered"), "{log}");
    plane.cluster.ok(&["start"]);
}

#[test]
#[ignore = "most of a minute: make test-faults"]
fn a_controller_that_is_waited_for_gives_up_on_a_hanging_pageserver_after_21_s() {
    let plane = Plane::new(2, 1);
    plane.up().exits(0);
    plane.populate();
    plane.cluster.ok(&["stop"]);
    plane.write_fault("pageserver-1", "hang=10m");
    let mut start = plane.cluster.begin(&["start", DATABASE, CONTROLLER, "pageserver-1"]);
    start.wait_for("storage-controller     ready");
    start.signal("INT");
    start.end().exits(130);
    // The record tells when; the engine stays as it is left.
    let report = plane.cluster.json(&["report"]);
    let row = report["components"].as_array().unwrap().iter().find(|row| row["component"] == CONTROLLER).unwrap();
    let at = |phase: &str| {
        let entered = row["phases"].as_array().unwrap().iter().find(|entered| entered["phase"] == phase);
        Duration::from_micros(entered.unwrap_or_else(|| panic!("never {phase}: {row}"))["at"].as_u64().unwrap())
    };
    let took = at("ready") - at("live");
    // On a busy machine later, but never before its two limits.
    assert!((SECOND * 20..SECOND * 40).contains(&took), "{took:?}\n{row}");
}
