//! `stop` and `down`.

use super::harness::*;
use crate::drive::stop::StopRequest;
use crate::engine::fake::{Behaviour, Faults};
use crate::engine::{Engine, Status};
use crate::event::{EventKind, Outcome};

fn stop_request() -> StopRequest {
    StopRequest { command: "stop".into(), remove: false, volumes: false, ..down() }
}

#[tokio::test(start_paused = true)]
async fn down_leaves_nothing_of_ours_and_all_of_theirs() {
    let engine = engine(1).with_foreign("theirs", None, &[]).with_foreign_volume("their-volume");
    let cluster = cluster([http("a"), plain("b")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let ran = stop_all(&engine, &cluster, &down()).await.is(Outcome::Ready);
    assert!(engine.containers().is_empty());
    assert_eq!(engine.networks_and_volumes(), (vec![], vec!["their-volume".to_owned()]));
    assert!(engine.violations().is_empty(), "{:?}", engine.violations());
    assert!(ran.took < secs(1), "{:?}", ran.took);
    assert!(matches!(ran.events[0].kind, EventKind::RunStarted { .. }));
    assert!(matches!(ran.events.last().unwrap().kind, EventKind::RunFinished { .. }));
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_run_s_last_call_makes_meanwhile_goes_as_well() {
    let engine = engine(1);
    let cluster = cluster([http("a")]);
    let labels = crate::plan::request::base_labels(&cluster, "killed");
    let late =
        crate::engine::CreateVolume { name: "late".into(), labels, driver: None, driver_opts: Default::default() };
    let other = engine.clone();
    let call = tokio::spawn(async move {
        tokio::time::sleep(ms(500)).await;
        other.create_volume(&late).await
    });
    let request = StopRequest { aftermath: secs(1), ..down() };
    let ran = stop_all(&engine, &cluster, &request).await.is(Outcome::Ready);
    call.await.unwrap().unwrap();
    assert_eq!(engine.networks_and_volumes(), (vec![], vec![]));
    assert!(ran.took < secs(2), "{:?}", ran.took);
}

/// 20.10 goes on counting containers that were removed, and refuses to remove their network.
#[tokio::test(start_paused = true)]
async fn a_container_that_is_gone_does_not_hold_its_network() {
    let engine = engine(1);
    let cluster = cluster([http("a"), http("b")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    engine.leave_behind("test_default", "test-c-1");
    let ran = stop_all(&engine, &cluster, &down()).await.is(Outcome::Ready);
    assert_eq!(engine.networks_and_volumes(), (vec![], vec![]));
    assert!(engine.violations().is_empty(), "{:?}", engine.violations());
    assert!(ran.took < secs(1), "{:?}", ran.took);
}

/// 20.10's count of endpoints goes wrong at times when many start at once.
#[tokio::test(start_paused = true)]
async fn a_network_that_the_engine_counts_wrong_is_told_soon_and_used_again() {
    let engine = engine(1);
    let cluster = cluster([http("a")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    engine.miscount("test_default");
    let ran = stop_all(&engine, &cluster, &down()).await.is(Outcome::Failed);
    let hint = ran.failures()[0].hint.as_ref().unwrap();
    assert!(hint.contains("nobody is on it"), "{}", ran.story());
    assert!(ran.took < secs(5), "{:?}", ran.took);
    assert!(engine.containers().is_empty());
    up(&engine, &cluster).await.is(Outcome::Ready);
}

#[tokio::test(start_paused = true)]
async fn whoever_else_is_on_the_network_is_named() {
    let engine = engine(1);
    let cluster = cluster([http("a")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let ours = engine.containers().remove(0);
    let guest = crate::cluster::Component { container_name: "guest".into(), ..http("t") };
    let id = engine.create_container(&create_request(&guest, &ours.networks["test_default"].network_id)).await.unwrap();
    engine.start(&id).await.unwrap();
    let ran = stop_all(&engine, &cluster, &down()).await.is(Outcome::Failed);
    let hint = ran.failures()[0].hint.as_ref().unwrap();
    assert!(hint.contains("docker network disconnect test_default guest"), "{}", ran.story());
    assert!(ran.took < secs(2), "{:?}", ran.took);
    assert!(engine.is_ready("t"), "it was touched");
}

#[tokio::test(start_paused = true)]
async fn one_that_ignores_its_signal_costs_its_grace_and_no_more() {
    let mut stubborn = http("a");
    stubborn.spec.stop_grace_period = Some(secs(3));
    let engine = engine(1).behave("a", Behaviour::default().ignores_sigterm());
    let cluster = cluster([stubborn, http("b")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let ran = stop_all(&engine, &cluster, &down()).await.is(Outcome::Ready);
    assert!(ran.took >= secs(3) && ran.took < secs(4), "{:?}", ran.took);
    assert!(engine.containers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_grace_can_be_limited() {
    let engine = engine(1).behave("a", Behaviour::default().ignores_sigterm());
    let cluster = cluster([http("a")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let request = StopRequest { grace_limit: Some(secs(1)), ..down() };
    let ran = stop_all(&engine, &cluster, &request).await.is(Outcome::Ready);
    assert!(ran.took < secs(2), "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn the_grace_can_be_set_over_the_file_s() {
    let mut quick = http("a");
    quick.spec.stop_grace_period = Some(secs(1));
    let engine = engine(1).behave("a", Behaviour::default().ignores_sigterm());
    let cluster = cluster([quick]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let request = StopRequest { grace: Some(secs(5)), ..down() };
    let ran = stop_all(&engine, &cluster, &request).await.is(Outcome::Ready);
    assert!(ran.took >= secs(5) && ran.took < secs(6), "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn fifty_that_ignore_their_signal_cost_one_grace() {
    let names: Vec<String> = (0..50).map(|n| format!("c{n}")).collect();
    let engine =
        names.iter().fold(engine(1), |engine, name| engine.behave(name, Behaviour::default().ignores_sigterm()));
    let cluster = cluster(names.iter().map(|name| http(name)));
    up(&engine, &cluster).await.is(Outcome::Ready);
    let ran = stop_all(&engine, &cluster, &down()).await.is(Outcome::Ready);
    assert!(ran.took >= secs(10) && ran.took < secs(12), "{:?}", ran.took);
    assert_eq!(engine.networks_and_volumes(), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn one_that_can_not_be_killed_is_named_and_does_not_hold_up_the_rest() {
    for remove in [true, false] {
        let engine = engine(1).behave("a", Behaviour::default().unkillable());
        let cluster = cluster([http("a"), http("b"), http("c")]);
        up(&engine, &cluster).await.is(Outcome::Ready);
        let ran = stop_all(&engine, &cluster, &StopRequest { remove, ..down() }).await.is(Outcome::Failed);
        assert!(ran.took < secs(40), "{:?}", ran.took);
        let failures = ran.failures();
        assert_eq!(failures.len(), 1, "{}", ran.story());
        assert_eq!(failures[0].component, Some(name("a")));
        assert!(failures[0].what.contains("it hasn't ended 30"), "{}", failures[0].what);
        let others = engine
            .containers()
            .iter()
            .filter(|at| at.component != name("a") && at.state.status == Status::Running)
            .count();
        assert_eq!(others, 0, "{}", ran.story());
    }
}

#[tokio::test(start_paused = true)]
async fn dependents_are_stopped_first_where_that_is_asked() {
    let dependent = |on: &str| gated(http("web"), crate::cluster::GateCondition::Ready, on);
    let engine = engine(1).behave("web", Behaviour::default().on_term(secs(2), 0));
    let cluster = cluster([http("db"), dependent("db"), member(http("x"), &["y"]), member(http("y"), &["x", "db"])]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let stops = |engine: &crate::engine::fake::FakeEngine| -> Vec<String> {
        let calls = engine.journal().into_iter().filter(|call| call.op == crate::engine::fake::Op::Stop);
        calls.map(|call| call.component.unwrap().to_string()).collect()
    };
    let request = StopRequest { ordered: true, ..stop_request() };
    let ran = stop_all(&engine, &cluster, &request).await.is(Outcome::Ready);
    let order = stops(&engine);
    assert_eq!(order.last().map(String::as_str), Some("db"), "{order:?}");
    assert!(ran.took >= secs(2) && ran.took < secs(3), "{:?}", ran.took);
    stop_all(&engine, &cluster, &StopRequest { ordered: true, ..down() }).await.is(Outcome::Ready);
    assert_eq!(engine.networks_and_volumes(), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn stop_keeps_the_containers() {
    let engine = engine(1);
    let cluster = cluster([http("a"), http("b")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    stop_all(&engine, &cluster, &stop_request()).await.is(Outcome::Ready);
    assert!(engine.containers().iter().all(|container| container.state.status == Status::Exited));
    assert_eq!(engine.containers().len(), 2);
    up(&engine, &cluster).await.is(Outcome::Ready);
}

#[tokio::test(start_paused = true)]
async fn only_some_can_be_stopped() {
    let engine = engine(1);
    let cluster = cluster([http("a"), http("b")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let request = StopRequest { only: Some([name("a")].into()), ..stop_request() };
    stop_all(&engine, &cluster, &request).await.is(Outcome::Ready);
    assert!(engine.is_ready("b") && !engine.is_ready("a"));
}

#[tokio::test(start_paused = true)]
async fn down_of_nothing_says_so_and_is_fine() {
    let engine = engine(1);
    let ran = stop_all(&engine, &cluster([http("a")]), &down()).await.is(Outcome::Ready);
    assert!(matches!(ran.events[0].kind, EventKind::RunStarted { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_is_told_apart() {
    let engine = engine(1);
    let _ = engine.now();
    engine.restart(secs(600));
    let ran = stop_all(&engine, &cluster([http("a")]), &down()).await.is(Outcome::EngineUnreachable);
    assert!(matches!(ran.events[0].kind, EventKind::RunStarted { .. }), "{}", ran.story());
    assert!(!ran.failures().is_empty());
}

#[tokio::test(start_paused = true)]
async fn down_gets_through_a_bad_day() {
    for seed in 0..60 {
        let engine = engine(seed);
        let cluster = cluster([http("a"), plain("b"), checked("c")]);
        up(&engine, &cluster).await.is(Outcome::Ready);
        let until = engine.now() + secs(20);
        engine.set_faults(Faults { crash: None, engine_restart: None, ..Faults::many() }.until(until));
        let ran = stop_all(&engine, &cluster, &down()).await;
        if ran.outcome != Outcome::Ready {
            assert!(!ran.failures().is_empty(), "seed {seed}: a failure has a text\n{}", ran.story());
            tokio::time::sleep(secs(40)).await;
            stop_all(&engine, &cluster, &down()).await.is(Outcome::Ready);
        }
        assert!(engine.containers().is_empty(), "seed {seed}\n{}", ran.story());
        assert!(engine.violations().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_down_that_another_run_undoes_all_the_time_says_what_is_there_again() {
    let (engine, cluster) = (engine(1), cluster([http("a")]));
    let labels = crate::plan::request::base_labels(&cluster, "other");
    let volume =
        crate::engine::CreateVolume { name: "again".into(), labels, driver: None, driver_opts: Default::default() };
    let other = engine.clone();
    let again = async {
        loop {
            other.create_volume(&volume).await.unwrap();
        }
    };
    let request = down();
    let ran = tokio::select! { ran = stop_all(&engine, &cluster, &request) => ran, () = again => unreachable!() };
    let ran = ran.is(Outcome::Failed);
    assert_eq!(ran.failures()[0].what, "there again after 5 rounds: again");
    assert!(ran.failures()[0].hint.as_ref().unwrap().contains("another run"), "{}", ran.story());
}
