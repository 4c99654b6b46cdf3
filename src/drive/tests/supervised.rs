//! Supervised runs: what is lost comes back.

use super::harness::*;
use super::vigil::{Vigil, find, others, supervise, three};
use crate::drive::recover::{ATTEMPTS, STEADY, UNHEALTHY_FOR};
use crate::engine::fake::{Behaviour, Meddling, Op};
use crate::engine::{Engine, Status};
use crate::event::{EventKind, Outcome, Phase};

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
        engine.meddle("b", Meddling::CutOff);
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
    engine.meddle("b", Meddling::CutOff);
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
        engine.meddle("b", Meddling::CutOff);
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
async fn one_that_was_taken_off_its_network_while_it_did_not_run_is_put_back_before_its_start() {
    let engine = engine(1);
    up(&engine, &three()).await.is(Outcome::Ready);
    let before = find(&engine, "b");
    engine.stop(&before.id, secs(1)).await.unwrap();
    engine.meddle("b", Meddling::CutOff);
    up(&engine, &three()).await.is(Outcome::Ready);
    let after = find(&engine, "b");
    assert_eq!(after.id, before.id);
    let address = |at: &crate::engine::ObservedContainer| at.networks["test_default"].fixed_address;
    assert_eq!(address(&after), address(&before));
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
