//! Supervised runs: what is wanted is obeyed, what isn't ours is left.

use std::sync::Arc;

use super::harness::*;
use super::vigil::{Vigil, find, others, supervise, three};
use crate::drive::supervise::Order;
use crate::engine::fake::{Behaviour, Op};
use crate::engine::{Engine, Status};
use crate::event::{EventKind, Outcome, Phase};

#[tokio::test(start_paused = true)]
async fn what_is_wanted_stopped_stays_so_until_it_is_wanted_again() {
    let engine = engine(1);
    let cluster = three();
    supervise(&engine, &cluster, async |vigil: &Vigil| {
        vigil.ready(1).await;
        vigil.want(Some("stopped"), &[]);
        let request = crate::drive::stop::StopRequest { remove: false, volumes: false, ..down() };
        stop_all(&engine, &cluster, &request).await.is(Outcome::Ready);
        let starts = engine.journal().iter().filter(|call| call.op == Op::Start).count();
        tokio::time::sleep(secs(120)).await;
        assert_eq!(engine.journal().iter().filter(|call| call.op == Op::Start).count(), starts);
        assert_eq!(vigil.phase("a"), Some(Phase::Stopped));
        assert!(vigil.recoveries("a").is_empty());
        vigil.want(None, &[]);
        vigil.ready(2).await;
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_stopped_by_its_name_stays_so() {
    let engine = engine(1);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.ready(1).await;
        vigil.want(None, &["b"]);
        engine.stop(&find(&engine, "b").id, secs(1)).await.unwrap();
        engine.crash("a", 1);
        vigil.ready(2).await;
        tokio::time::sleep(secs(60)).await;
        assert_eq!(find(&engine, "b").state.status, Status::Exited);
        vigil.want(None, &[]);
        vigil.ready(3).await;
        assert_eq!(find(&engine, "b").state.status, Status::Running);
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn while_another_works_it_only_looks_on() {
    let engine = engine(1);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.ready(1).await;
        vigil.others_work();
        let calls = engine.changing_calls().len();
        engine.crash("a", 1);
        tokio::time::sleep(secs(30)).await;
        assert_eq!(engine.changing_calls().len(), calls);
        let paused = |kind: &EventKind| matches!(kind, EventKind::SupervisionPaused { why } if why.contains("restart"));
        assert_eq!(vigil.count(paused), 1, "{}", vigil.story());
        vigil.others_are_done();
        vigil.ready(2).await;
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn another_description_changes_what_differs_and_nothing_else() {
    let engine = engine(1);
    let first = three();
    supervise(&engine, &first, async |vigil: &Vigil| {
        vigil.ready(1).await;
        let before = others(&engine, "b");
        let old = find(&engine, "b").id;
        let mut second = first.clone();
        second.components.get_mut("b").unwrap().config_hash = "second".into();
        let d = http("d");
        second.components.insert(d.name.clone(), d);
        vigil.tell(Order::Describe(Arc::new(second.clone())));
        vigil.ready(2).await;
        assert_ne!(find(&engine, "b").id, old);
        assert_eq!(engine.containers().len(), 4);
        let after = others(&engine, "b");
        assert!(before.iter().all(|at| after.contains(at)), "{before:?}\n{after:?}");
        // The same once more is no change.
        let said = vigil.events().len();
        vigil.tell(Order::Describe(Arc::new(second.clone())));
        tokio::time::sleep(secs(60)).await;
        assert_eq!(vigil.events().len(), said, "{}", vigil.story());
        // One that isn't described any more is said, and left.
        second.components.remove("d");
        vigil.tell(Order::Describe(Arc::new(second)));
        vigil.until("said", |vigil| vigil.drifts().iter().any(|what| what.starts_with("d runs"))).await;
        assert_eq!(engine.containers().len(), 4);
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn a_change_gives_a_new_budget() {
    let engine = engine(1).behave("b", Behaviour::ready_after(ms(100)).missing_command());
    let first = three();
    supervise(&engine, &first, async |vigil: &Vigil| {
        vigil.until("given up", |vigil| vigil.phase("b") == Some(Phase::Failed)).await;
        engine.set_behaviour("b", Behaviour::ready_after(ms(100)));
        let mut second = first.clone();
        second.components.get_mut("b").unwrap().config_hash = "second".into();
        vigil.tell(Order::Describe(Arc::new(second)));
        vigil.ready(1).await;
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn a_description_of_another_cluster_is_refused() {
    let engine = engine(1);
    let first = three();
    supervise(&engine, &first, async |vigil: &Vigil| {
        vigil.ready(1).await;
        let mut second = first.clone();
        second.name = "other".parse().unwrap();
        vigil.tell(Order::Describe(Arc::new(second)));
        let refused = |kind: &EventKind| matches!(kind, EventKind::DescriptionRefused { .. });
        vigil.until("refused", |vigil| vigil.count(refused) == 1).await;
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_is_said_once_and_left() {
    let engine = engine(1).with_foreign("test-b-1", Some("theirs"), &[]);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil
            .until("the others are ready", |vigil| {
                vigil.phase("a") == Some(Phase::Ready) && vigil.phase("c") == Some(Phase::Ready)
            })
            .await;
        let network = find(&engine, "a").networks["test_default"].network_id.clone();
        let guest = engine.create_container(&create_request(&plain("guest"), &network)).await.unwrap();
        tokio::time::sleep(secs(120)).await;
        let drifts = vigil.drifts();
        assert_eq!(drifts.len(), 2, "{drifts:?}");
        assert!(drifts[0].contains("test-b-1") && drifts[1].contains("test-guest-1"), "{drifts:?}");
        assert_eq!(vigil.times_ready(), 0);
        assert!(engine.violations().is_empty(), "{:?}", engine.violations());
        // Once it is gone, it may come back: that is news.
        engine.remove(&guest, true).await.unwrap();
        tokio::time::sleep(secs(20)).await;
        engine.create_container(&create_request(&plain("guest"), &network)).await.unwrap();
        tokio::time::sleep(secs(20)).await;
        assert_eq!(vigil.drifts().len(), 3);
    })
    .await
    .is(Outcome::Released);
}
