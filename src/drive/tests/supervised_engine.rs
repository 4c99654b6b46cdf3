//! Supervised runs: engines that restart, images that can't be had, starts that don't end.

use super::harness::*;
use super::vigil::{Vigil, find, supervise, supervise_with, three};
use crate::cluster::{GateCondition, RestartPolicy};
use crate::drive::driver::Options;
use crate::engine::Engine;
use crate::engine::fake::{Behaviour, FakeEngine, Faults, Op};
use crate::event::{EventKind, Outcome, Phase};

#[tokio::test(start_paused = true)]
async fn an_engine_that_restarts_is_waited_for() {
    let mut kept = http("k");
    kept.spec.restart = RestartPolicy::Always;
    let engine = engine(1);
    supervise(
        &engine,
        &cluster([http("a"), kept, gated(http("d"), GateCondition::Ready, "a")]),
        async |vigil: &Vigil| {
            vigil.ready(1).await;
            engine.restart(secs(100));
            vigil.ready(2).await;
            let lost = |kind: &EventKind| matches!(kind, EventKind::EngineLost { .. });
            let found = |kind: &EventKind| matches!(kind, EventKind::EngineFound {});
            assert_eq!((vigil.count(lost), vigil.count(found)), (1, 1), "{}", vigil.story());
            // And a short while away.
            engine.restart(secs(3));
            vigil.ready(3).await;
            assert_eq!(vigil.count(lost), 1);
        },
    )
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_restarts_beside_its_containers_costs_nothing() {
    let engine = engine(1).faults(Faults { live_restore: true, ..Faults::none() });
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.ready(1).await;
        let (before, calls) = (fingerprint(&engine), engine.changing_calls().len());
        engine.restart(secs(20));
        tokio::time::sleep(secs(60)).await;
        assert_eq!((fingerprint(&engine), engine.changing_calls().len()), (before, calls), "{}", vigil.story());
        // One that ended meanwhile.
        engine.restart(secs(20));
        engine.crash("b", 1);
        vigil.until("b is back", |vigil| vigil.phase("b") == Some(Phase::Ready) && engine.is_ready("b")).await;
        assert_eq!(calls_on(&engine, "a"), 1);
    })
    .await
    .is(Outcome::Released);
}

/// Starts of a component.
fn calls_on(engine: &FakeEngine, component: &str) -> usize {
    calls(engine, Op::Start, component).len()
}

/// A restart of the engine at any moment of a start, with and without its containers.
#[tokio::test(start_paused = true)]
async fn up_goes_on_beside_a_restart_of_the_engine() {
    for moment in (0..30).map(|n| ms(n * 20)) {
        for keeps in [false, true] {
            let faults = Faults { live_restore: keeps, ..Faults::none() };
            let engine = engine(1).behave("b", Behaviour::ready_after(ms(300))).faults(faults);
            let cluster = three();
            let outage = async {
                tokio::time::sleep(moment).await;
                engine.restart(secs(2));
            };
            let (ran, ()) = tokio::join!(up(&engine, &cluster), outage);
            ran.is(Outcome::Ready);
            up(&engine, &cluster).await.is(Outcome::Ready);
            assert_eq!(engine.containers().len(), 3, "at {moment:?}, keeps {keeps}");
            assert!(engine.violations().is_empty(), "{:?}", engine.violations());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_can_not_be_had_is_tried_again() {
    let mut far = http("b");
    far.image = "far".into();
    let engine = engine(1);
    supervise(&engine, &cluster([http("a"), far]), async |vigil: &Vigil| {
        vigil.until("said", |vigil| vigil.drifts().iter().any(|what| what.contains("far"))).await;
        vigil.until("a is ready", |vigil| vigil.phase("a") == Some(Phase::Ready)).await;
        let _ = engine.clone().with_image("far");
        vigil.ready(1).await;
        assert_eq!(vigil.drifts().len(), 1, "{:?}", vigil.drifts());
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn one_that_never_gets_ready_is_restarted_unless_it_waits_for_a_peer() {
    let never = Behaviour { ready_after: None, ..Behaviour::ready_after(ms(100)) };
    let engine = engine(1).behave("a", never.clone()).behave("b", never);
    let cluster = cluster([http("a"), member(http("b"), &["a"])]);
    let options = Options { timeout: Some(secs(20)), ..Options::default() };
    supervise_with(&engine, &cluster, options, async |vigil: &Vigil| {
        vigil.until("restarted", |vigil| vigil.recoveries("a").len() == 2).await;
        assert!(vigil.recoveries("b").is_empty(), "{}", vigil.story());
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn jobs_are_not_run_again() {
    let mut job = plain("job");
    job.completes = true;
    let engine = engine(1).behave("job", Behaviour::exits(ms(50), 0));
    supervise(&engine, &cluster([gated(http("a"), GateCondition::Completed, "job"), job]), async |vigil: &Vigil| {
        vigil.ready(1).await;
        engine.crash("a", 1);
        vigil.ready(2).await;
        assert_eq!(calls(&engine, Op::Start, "job").len(), 1);
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn from_labels_what_is_there_is_kept_up_and_what_is_gone_is_said() {
    let engine = engine(1);
    let cluster = three();
    up(&engine, &cluster).await.is(Outcome::Ready);
    let observed = engine.observe(&cluster.name).await.unwrap();
    let rebuilt = crate::plan::labelled::from_labels(&cluster.name, &observed);
    let options = Options { from_labels: true, ..Options::default() };
    supervise_with(&engine, &rebuilt, options, async |vigil: &Vigil| {
        vigil.ready(1).await;
        engine.crash("a", 1);
        vigil.ready(2).await;
        engine.remove(&find(&engine, "b").id, true).await.unwrap();
        vigil.until("given up", |vigil| vigil.phase("b") == Some(Phase::Failed)).await;
        engine.crash("a", 1);
        vigil
            .until("a is back", |vigil| vigil.recoveries("a").len() == 2 && vigil.phase("a") == Some(Phase::Ready))
            .await;
    })
    .await
    .is(Outcome::Released);
}
