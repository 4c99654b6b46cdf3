//! Replicas of a service are replaced one after the other.

use super::harness::*;
use crate::cluster::{Cluster, Component};
use crate::drive::driver::Options;
use crate::engine::fake::{Behaviour, FakeEngine, Op};
use crate::event::{EventKind, Outcome, Phase};

/// `number` replicas of `web`, with a configuration called `hash`.
fn replicas(number: u32, hash: &str) -> impl Iterator<Item = Component> {
    (1..=number).map(move |number| {
        let name = format!("web-{number}");
        let container_name = format!("test-{name}");
        Component { service: "web".parse().unwrap(), number, container_name, config_hash: hash.into(), ..http(&name) }
    })
}

fn service(number: u32, hash: &str) -> Cluster {
    cluster(replicas(number, hash).chain([http("other")]))
}

/// When each replica of the run was taken away, and ready again.
fn exchanges(ran: &Ran, number: u32) -> Vec<(std::time::Duration, std::time::Duration)> {
    let of = |number| {
        let name = format!("web-{number}");
        (ran.entered(&name, Phase::Starting).unwrap(), ran.entered(&name, Phase::Ready).unwrap())
    };
    (1..=number).map(of).collect()
}

/// The least number of replicas that ran at any time since `since`, by the engine's own story.
fn fewest_running(engine: &FakeEngine, since: std::time::Duration, number: usize) -> usize {
    let (mut running, mut fewest) = (number, number);
    let is_replica = |name: &crate::names::ComponentName| name.as_str().starts_with("web-");
    let changes = engine.changes().into_iter().filter(|change| change.at >= since);
    for change in changes.filter(|change| change.component.as_ref().is_some_and(is_replica)) {
        match change.action {
            "die" => running -= 1,
            "start" => running += 1,
            _ => {}
        }
        fewest = fewest.min(running);
    }
    fewest
}

#[tokio::test(start_paused = true)]
async fn each_goes_when_the_one_before_is_ready_again() {
    let engine = (1..=3)
        .fold(engine(1), |engine, n| engine.behave(format!("web-{n}").as_str(), Behaviour::ready_after(secs(2))));
    up(&engine, &service(3, "first")).await.is(Outcome::Ready);
    let since = engine.now();
    let ran = up(&engine, &service(3, "second")).await.is(Outcome::Ready);
    let exchanges = exchanges(&ran, 3);
    for pair in exchanges.windows(2) {
        assert!(pair[1].0 > pair[0].1, "{}", ran.story());
    }
    assert_eq!(fewest_running(&engine, since, 3), 2, "{}", ran.story());
    assert!(ran.entered("web-3", Phase::Creating).unwrap() >= exchanges[1].1, "{}", ran.story());
    let waits = |event: &crate::event::Event| match &event.kind {
        EventKind::Waiting { component, why, gate, .. } => {
            component.as_str() == "web-2"
                && why == "is replaced when web-1 is ready again"
                && *gate == Some(Phase::Ready)
        }
        _ => false,
    };
    assert!(ran.events.iter().any(waits), "{}", ran.story());
    assert!(calls(&engine, Op::Start, "other").len() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_version_that_fails_leaves_the_others_as_they_are() {
    let engine = engine(1);
    up(&engine, &service(3, "first")).await.is(Outcome::Ready);
    let kept = [find(&engine, "web-2").id, find(&engine, "web-3").id];
    let engine = engine.behave("web-1", Behaviour::never_ready(ms(5)).exiting(ms(300), 1));
    up(&engine, &service(3, "second")).await.is(Outcome::Failed);
    for id in kept {
        let container = engine.containers().into_iter().find(|container| container.id == id).unwrap();
        assert_eq!(container.state.status, crate::engine::Status::Running);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_killed_in_the_middle_is_taken_up() {
    for cut in (50..6_000).step_by(500) {
        let engine = (1..=3)
            .fold(engine(1), |engine, n| engine.behave(format!("web-{n}").as_str(), Behaviour::ready_after(secs(1))));
        up(&engine, &service(3, "first")).await.is(Outcome::Ready);
        let since = engine.now();
        cut_short(&engine, &service(3, "second"), Options::default(), ms(cut)).await;
        let ran = up(&engine, &service(3, "second")).await.is(Outcome::Ready);
        assert!(fewest_running(&engine, since, 3) >= 2, "cut after {cut} ms\n{}", ran.story());
        let hashes: Vec<_> = engine
            .containers()
            .iter()
            .map(|c| c.label(crate::engine::labels::CONFIG_HASH).unwrap().to_owned())
            .collect();
        assert_eq!(hashes.iter().filter(|hash| *hash == "second").count(), 3, "cut after {cut} ms");
        assert_eq!(hashes.len(), 4);
    }
}

/// A run was killed when the new container was there and the old one too; then the file changed again.
#[tokio::test(start_paused = true)]
async fn a_replacement_that_is_outdated_before_it_took_its_place_goes() {
    for cut in (10..2_000).step_by(30) {
        let engine = engine(1);
        up(&engine, &service(1, "first")).await.is(Outcome::Ready);
        cut_short(&engine, &service(1, "second"), Options::default(), ms(cut)).await;
        let ran = up(&engine, &service(1, "third")).await.is(Outcome::Ready);
        assert!(ran.took < secs(15), "cut after {cut} ms\n{}", ran.story());
        assert_eq!(engine.containers().len(), 2, "cut after {cut} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_do_not_run_are_not_waited_for() {
    let engine = engine(1);
    up(&engine, &service(3, "first")).await.is(Outcome::Ready);
    engine.crash("web-1", 1);
    engine.crash("web-2", 1);
    let ran = up(&engine, &service(3, "second")).await.is(Outcome::Ready);
    let starting = |name| ran.entered(name, Phase::Starting).unwrap();
    assert!(starting("web-2") < ran.entered("web-1", Phase::Ready).unwrap(), "{}", ran.story());
    assert!(starting("web-3") > ran.entered("web-2", Phase::Ready).unwrap(), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn new_replicas_come_first() {
    let engine = engine(1);
    up(&engine, &service(2, "first")).await.is(Outcome::Ready);
    let ran = up(&engine, &service(4, "second")).await.is(Outcome::Ready);
    let newest = ran.entered("web-3", Phase::Ready).max(ran.entered("web-4", Phase::Ready)).unwrap();
    assert!(ran.entered("web-1", Phase::Starting).unwrap() > newest, "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn all_at_once_if_asked() {
    let engine = engine(1);
    up(&engine, &service(3, "first")).await.is(Outcome::Ready);
    let options = Options { replace_at_once: true, ..Options::default() };
    let ran = up_with(&engine, &service(3, "second"), options).await.is(Outcome::Ready);
    let exchanges = exchanges(&ran, 3);
    assert!(exchanges[2].0 < exchanges[0].1, "{}", ran.story());
}
