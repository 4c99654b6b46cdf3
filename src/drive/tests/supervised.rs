//! Supervised runs: what is lost comes back, what is wanted is obeyed, what isn't ours is left.

use std::sync::Arc;

use super::harness::*;
use super::vigil::{Vigil, supervise, supervise_with};
use crate::cluster::{Cluster, GateCondition, RestartPolicy};
use crate::drive::driver::Options;
use crate::drive::recover::{ATTEMPTS, STEADY, UNHEALTHY_FOR};
use crate::drive::supervise::Order;
use crate::engine::fake::{Behaviour, FakeEngine, Faults, Op};
use crate::engine::{Engine, ObservedContainer, Status};
use crate::event::{EventKind, Outcome, Phase};

fn find(engine: &FakeEngine, component: &str) -> ObservedContainer {
    let all = engine.containers();
    all.into_iter().find(|container| container.component == name(component)).expect("it has a container")
}

fn three() -> Cluster {
    cluster([http("a"), http("b"), checked("c")])
}

/// Ids and start times of all but one.
fn others(engine: &FakeEngine, but: &str) -> Vec<(crate::names::ContainerId, Option<jiff::Timestamp>)> {
    let others = engine.containers().into_iter().filter(|at| at.component != name(but));
    others.map(|at| (at.id, at.state.started_at)).collect()
}

#[tokio::test(start_paused = true)]
async fn ready_is_said_and_nothing_happens_after() {
    let (engine, cluster) = (engine(1), three());
    let ran = supervise(&engine, &cluster, async |vigil: &Vigil| {
        vigil.ready(1).await;
        let (calls, said, asked) = (engine.changing_calls().len(), vigil.events().len(), vigil.times_asked());
        tokio::time::sleep(secs(3000)).await;
        assert_eq!(engine.changing_calls().len(), calls);
        assert_eq!(vigil.events().len(), said, "{}", vigil.story());
        assert_eq!(vigil.times_asked(), asked, "leave is asked for when there is something to do");
    });
    let ran = ran.await.is(Outcome::Released);
    // Two are asked every 3 s, with an answer and a tick each; a list every 5 s.
    assert!(ran.steps < 6000, "{} steps", ran.steps);
    assert_eq!(engine.containers().iter().filter(|at| at.state.status == Status::Running).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_killed_one_comes_back_at_once_and_nobody_else_is_touched() {
    let engine = engine(1);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.ready(1).await;
        let before = others(&engine, "b");
        let killed = engine.now();
        engine.crash("b", 137);
        vigil.ready(2).await;
        assert!(engine.now() - killed < secs(2), "{}", vigil.story());
        assert_eq!(vigil.recoveries("b"), [("exited 137 after it was ready".to_owned(), 0)]);
        assert_eq!(others(&engine, "b"), before);
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_stopped_from_outside_comes_back() {
    let engine = engine(1);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.ready(1).await;
        let id = find(&engine, "a").id;
        engine.stop(&id, secs(1)).await.unwrap();
        vigil.ready(2).await;
        assert_eq!(find(&engine, "a").id, id, "the same container");
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn a_removed_one_is_made_anew_with_its_address() {
    let engine = engine(1);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.ready(1).await;
        let old = find(&engine, "a");
        engine.remove(&old.id, true).await.unwrap();
        vigil.ready(2).await;
        let new = find(&engine, "a");
        assert_ne!(old.id, new.id);
        assert_eq!(new.networks["test_default"].fixed_address, old.networks["test_default"].fixed_address);
        assert_eq!(vigil.recoveries("a").len(), 1, "{}", vigil.story());
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn all_of_them_and_the_network_come_back() {
    let engine = engine(1);
    let cluster = three();
    supervise(&engine, &cluster, async |vigil: &Vigil| {
        vigil.ready(1).await;
        // As `docker compose down` does it: nobody told convoke.
        let all = engine.containers();
        let network = all[0].networks["test_default"].network_id.clone();
        futures::future::join_all(all.iter().map(|at| engine.remove(&at.id, true))).await;
        // The first may be back on it.
        _ = engine.remove_network(&network).await;
        vigil.ready(2).await;
        assert_eq!(engine.containers().len(), 3);
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn of_two_who_make_a_network_at_once_each_uses_it() {
    for seed in 0..20 {
        let engine = engine(seed).unique_network_names();
        let cluster = three();
        let (one, other) = tokio::join!(up(&engine, &cluster), up(&engine, &cluster));
        one.is(Outcome::Ready);
        other.is(Outcome::Ready);
        assert_eq!(engine.networks_and_volumes().0.len(), 1);
        assert!(engine.violations().is_empty(), "{:?}", engine.violations());
    }
}

/// A container that was made for two networks, of which somebody removed one or both before it was started.
#[tokio::test(start_paused = true)]
async fn networks_that_went_meanwhile_are_made_anew_by_up() {
    for gone in [&["test_one"][..], &["test_two"], &["test_one", "test_two"]] {
        let engine = engine(1);
        let mut both = http("a");
        both.spec.networks = crate::cluster::sample::component("a", &["one", "two"]).spec.networks;
        let cluster = cluster([both, http("b")]);
        up(&engine, &cluster).await.is(Outcome::Ready);
        let request = crate::drive::stop::StopRequest { remove: false, volumes: false, ..down() };
        stop_all(&engine, &cluster, &request).await.is(Outcome::Ready);
        let observed = engine.observe(&cluster.name).await.unwrap();
        for network in observed.networks.iter().filter(|at| gone.contains(&at.name.as_str())) {
            engine.remove_network(&network.id).await.unwrap();
        }
        let ran = up(&engine, &cluster).await.is(Outcome::Ready);
        assert!(ran.took < secs(5), "{gone:?}\n{}", ran.story());
        assert_eq!(find(&engine, "a").networks.len(), 2);
        assert!(engine.violations().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_taken_off_its_network_is_put_back_and_goes_on() {
    let engine = engine(1);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.ready(1).await;
        let before = find(&engine, "b");
        let cut = engine.now();
        engine.cut_off("b");
        let is_back = |_: &Vigil| find(&engine, "b").networks == before.networks;
        vigil.until("back on its network", is_back).await;
        assert!(engine.now() - cut < secs(6), "the slow tick finds it");
        tokio::time::sleep(secs(5)).await;
        let after = find(&engine, "b");
        assert_eq!((after.id, after.state.started_at), (before.id, before.state.started_at));
        assert_eq!(vigil.recoveries("b"), [("it was taken off its network".to_owned(), 0)]);
        assert_eq!(vigil.phase("b"), Some(Phase::Ready), "{}", vigil.story());
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn up_puts_one_back_too() {
    let engine = engine(1);
    let cluster = three();
    up(&engine, &cluster).await.is(Outcome::Ready);
    let before = find(&engine, "b");
    engine.cut_off("b");
    up(&engine, &cluster).await.is(Outcome::Ready);
    assert_eq!(find(&engine, "b"), before);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_somebody_took_meanwhile_costs_a_new_container() {
    let engine = engine(1);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.ready(1).await;
        let before = find(&engine, "b");
        let network = before.networks["test_default"].clone();
        engine.cut_off("b");
        let mut thief = create_request(&plain("thief"), &network.network_id);
        thief.networks[0].address = network.fixed_address;
        let id = engine.create_container(&thief).await.unwrap();
        engine.start(&id).await.unwrap();
        vigil
            .until("made anew", |_| {
                engine.containers().iter().any(|at| at.component == name("b") && at.id != before.id)
            })
            .await;
        vigil.until("ready", |vigil| vigil.phase("b") == Some(Phase::Ready)).await;
        assert_ne!(find(&engine, "b").networks["test_default"].fixed_address, network.fixed_address);
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_one_goes_on() {
    let engine = engine(1);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.ready(1).await;
        for (times, component) in [(2, "a"), (3, "c")] {
            let before = find(&engine, component);
            engine.pause(&before.id).await.unwrap();
            vigil.ready(times).await;
            let after = find(&engine, component);
            assert_eq!((after.id, after.state.started_at), (before.id, before.state.started_at));
            assert_eq!(vigil.recoveries(component), [("it is paused".to_owned(), 0)]);
        }
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn one_that_stays_unhealthy_is_restarted_and_one_that_blinks_is_not() {
    let engine = engine(1);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.ready(1).await;
        let before = find(&engine, "a");
        for ready in [false, true] {
            engine.set_ready("a", ready);
            tokio::time::sleep(ms(800)).await;
        }
        tokio::time::sleep(secs(20)).await;
        assert_eq!(find(&engine, "a").state.started_at, before.state.started_at);
        assert_eq!(vigil.phase("a"), Some(Phase::Ready), "{}", vigil.story());
        let began = engine.now();
        engine.set_ready("a", false);
        vigil.ready(2).await;
        let took = engine.now() - began;
        assert!(took > UNHEALTHY_FOR && took < UNHEALTHY_FOR + secs(10), "{took:?}\n{}", vigil.story());
        let after = find(&engine, "a");
        assert_eq!(after.id, before.id);
        assert_ne!(after.state.started_at, before.state.started_at);
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_calls_unhealthy_is_restarted() {
    let mut component = checked("c");
    component.probes.health.as_mut().unwrap().interval = secs(2);
    let engine = engine(1);
    supervise(&engine, &cluster([component, http("a")]), async |vigil: &Vigil| {
        vigil.ready(1).await;
        let before = find(&engine, "c");
        engine.set_ready("c", false);
        vigil.until("restarted", |_| find(&engine, "c").state.started_at != before.state.started_at).await;
        vigil.ready(2).await;
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_is_given_up_after_ever_longer_pauses_and_the_others_go_on() {
    let behaviour = Behaviour::ready_after(ms(100)).exiting(ms(500), 3);
    let engine = engine(1).behave("b", behaviour);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.until("given up", |vigil| vigil.count(|kind| matches!(kind, EventKind::GivenUp { .. })) == 1).await;
        let pauses: Vec<u64> = vigil.recoveries("b").into_iter().map(|(_, pause)| pause).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pauses.len(), usize::try_from(ATTEMPTS).unwrap());
        let given_up = vigil.events().into_iter().find_map(|event| match event.kind {
            EventKind::GivenUp { failure } => Some(failure),
            _ => None,
        });
        let failure = given_up.unwrap();
        assert_eq!(failure.exit_code, Some(3));
        assert!(failure.hint.unwrap().contains("convoke restart b"));
        let starts = calls(&engine, Op::Start, "b").len();
        engine.crash("a", 1);
        vigil
            .until("a is back", |vigil| vigil.recoveries("a").len() == 1 && vigil.phase("a") == Some(Phase::Ready))
            .await;
        tokio::time::sleep(secs(300)).await;
        assert_eq!(calls(&engine, Op::Start, "b").len(), starts, "it is left alone");
        assert_eq!(vigil.count(|kind| matches!(kind, EventKind::GivenUp { .. })), 1, "said once");
        // Somebody starts it, with its cause gone.
        engine.set_behaviour("b", Behaviour::ready_after(ms(100)));
        engine.start(&find(&engine, "b").id).await.unwrap();
        vigil.ready(1).await;
        engine.crash("b", 1);
        vigil.ready(2).await;
        assert_eq!(vigil.recoveries("b").last().unwrap().1, 0, "a new budget");
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn one_that_did_well_for_a_while_begins_anew() {
    let engine = engine(1);
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.ready(1).await;
        for n in 0..30 {
            engine.crash("a", 1);
            vigil.ready(2 + n).await;
            tokio::time::sleep(STEADY + secs(1)).await;
        }
        assert!(vigil.recoveries("a").iter().all(|(_, pause)| *pause == 0), "{:?}", vigil.recoveries("a"));
    })
    .await
    .is(Outcome::Released);
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_the_start_ends_nothing() {
    let engine = engine(1).behave("b", Behaviour::ready_after(ms(100)).missing_command());
    supervise(&engine, &three(), async |vigil: &Vigil| {
        vigil.until("tried again", |vigil| vigil.recoveries("b").len() == 3).await;
        engine.set_behaviour("b", Behaviour::ready_after(ms(100)));
        vigil.ready(1).await;
    })
    .await
    .is(Outcome::Released);
}

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
