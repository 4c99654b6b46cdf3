//! The world's own habits; what it shares with a real engine is in `tests/contract`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures::StreamExt;

use super::{Behaviour, FakeEngine, Faults, Op, Outcome, most_at_once};
use crate::cluster::{ContainerSpec, HealthCheck, RestartPolicy};
use crate::engine::{
    CreateContainer, Engine, EngineEventKind, ErrorKind, HealthStatus, LogQuery, ObservedContainer, Status, labels,
};
use crate::names::{ClusterName, ComponentName, ContainerId};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn request(component: &str) -> CreateContainer {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    CreateContainer {
        component: ComponentName::new(component).unwrap(),
        name: format!("c-{component}-1"),
        image: "img".to_owned(),
        spec: ContainerSpec::default(),
        health: None,
        health_disabled: false,
        labels: BTreeMap::from([label(labels::CLUSTER, "c"), label(labels::COMPONENT, component)]),
        networks: Vec::new(),
        volumes: BTreeMap::new(),
        hosts: Vec::new(),
        publish_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        carried_volumes: BTreeMap::new(),
        files: Vec::new(),
        owners: Vec::new(),
        one_off: None,
    }
}

fn engine() -> FakeEngine {
    FakeEngine::new(7).with_image("img")
}

async fn running(engine: &FakeEngine, request: &CreateContainer) -> ContainerId {
    let id = engine.create_container(request).await.unwrap();
    engine.start(&id).await.unwrap();
    id
}

async fn inspect(engine: &FakeEngine, id: &ContainerId) -> ObservedContainer {
    engine.inspect(id).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_cycle_becomes_ready_only_together() {
    let engine = engine()
        .behave("sc", Behaviour::ready_after(ms(100)).needs(["ps"]))
        .behave("ps", Behaviour::ready_after(ms(50)).live_needs(["sc"]));
    running(&engine, &request("sc")).await;
    tokio::time::sleep(ms(5000)).await;
    assert!(!engine.is_ready("sc"));
    running(&engine, &request("ps")).await;
    tokio::time::sleep(ms(60)).await;
    assert!(engine.is_ready("sc") && engine.is_ready("ps"));
}

#[tokio::test(start_paused = true)]
async fn one_gives_up_on_a_missing_peer() {
    let engine = engine().behave("a", Behaviour::default().needs(["b"]).gives_up(ms(300), 3));
    let id = running(&engine, &request("a")).await;
    tokio::time::sleep(ms(310)).await;
    let state = inspect(&engine, &id).await.state;
    assert_eq!((state.status, state.exit_code), (Status::Exited, 3));
}

#[tokio::test(start_paused = true)]
async fn a_policy_backs_off_and_counts() {
    let engine = engine().behave("a", Behaviour::default().crashes_first(3, ms(10), 1));
    let mut request = request("a");
    request.spec.restart = RestartPolicy::Always;
    let id = running(&engine, &request).await;
    tokio::time::sleep(ms(2000)).await;
    let state = inspect(&engine, &id).await.state;
    assert_eq!((state.status, state.restart_count), (Status::Running, 3));
    let starts: Vec<Duration> =
        engine.changes().iter().filter(|change| change.action == "start").map(|change| change.at).collect();
    let gaps: Vec<Duration> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [ms(110), ms(210), ms(410)]);
}

#[tokio::test(start_paused = true)]
async fn the_engine_checks_health_after_an_interval() {
    let engine = engine().behave("a", Behaviour::ready_after(ms(1500)));
    let mut request = request("a");
    request.health = Some(HealthCheck {
        command: vec!["check".to_owned()],
        shell: false,
        interval: ms(1000),
        timeout: ms(1000),
        retries: 3,
        start_period: ms(0),
        start_interval: None,
    });
    let id = running(&engine, &request).await;
    tokio::time::sleep(ms(1500)).await;
    assert_eq!(inspect(&engine, &id).await.state.health.unwrap().status, HealthStatus::Starting);
    tokio::time::sleep(ms(1000)).await;
    assert_eq!(inspect(&engine, &id).await.state.health.unwrap().status, HealthStatus::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_takes_effect_all_the_same() {
    let engine = engine().behave("a", Behaviour::default().start_latency(ms(100)));
    let id = engine.create_container(&request("a")).await.unwrap();
    assert!(tokio::time::timeout(ms(10), engine.start(&id)).await.is_err());
    tokio::time::sleep(ms(200)).await;
    assert_eq!(inspect(&engine, &id).await.state.status, Status::Running);
    let start = engine.journal().into_iter().find(|call| call.op == Op::Start).unwrap();
    assert_eq!((start.outcome, start.ended.unwrap() - start.at), (Outcome::Dropped, ms(10)));
    assert_eq!(start.effect.unwrap() - start.at, ms(100));
}

#[tokio::test(start_paused = true)]
async fn an_engine_restart_breaks_everything_that_has_no_policy() {
    let engine = engine();
    let plain = running(&engine, &request("plain")).await;
    let mut kept = request("kept");
    kept.spec.restart = RestartPolicy::UnlessStopped;
    let kept = running(&engine, &kept).await;
    let mut events = engine.events(&ClusterName::new("c").unwrap());
    assert_eq!(events.next().await.unwrap().unwrap().kind, EngineEventKind::Subscribed);
    engine.restart(ms(500));
    assert_eq!(events.next().await.unwrap().unwrap_err().kind, ErrorKind::Unreachable);
    assert!(events.next().await.is_none());
    assert_eq!(engine.info().await.unwrap_err().kind, ErrorKind::Unreachable);
    tokio::time::sleep(ms(600)).await;
    let state = inspect(&engine, &plain).await.state;
    assert_eq!((state.status, state.exit_code), (Status::Exited, 137));
    assert_eq!(inspect(&engine, &kept).await.state.status, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_silent_engine_lets_calls_time_out() {
    let engine = engine();
    engine.fall_silent(ms(1000));
    assert!(matches!(engine.info().await.unwrap_err().kind, ErrorKind::Timeout(_)));
    assert!(engine.info().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn starts_can_be_bound_by_the_engine() {
    let engine = engine().latency(super::Latency { serial_start: Some(ms(270)), ..Default::default() });
    let ids = [running_later(&engine, "a").await, running_later(&engine, "b").await];
    let began = engine.now();
    let (one, two) = tokio::join!(engine.start(&ids[0]), engine.start(&ids[1]));
    assert!(one.is_ok() && two.is_ok());
    assert!(engine.now() - began >= ms(540));
    assert_eq!(most_at_once(&engine.journal(), Op::Start), 2);
}

async fn running_later(engine: &FakeEngine, component: &str) -> ContainerId {
    engine.create_container(&request(component)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn broken_promises_are_recorded() {
    let engine = engine().with_foreign_volume("theirs");
    engine.remove_volume("theirs").await.unwrap();
    running(&engine, &request("a")).await;
    let mut twin = request("a");
    twin.name = "other".to_owned();
    running(&engine, &twin).await;
    let violations = engine.violations();
    assert_eq!(violations.len(), 2, "{violations:?}");
    assert!(violations[0].contains("removed volume theirs") && violations[1].contains("2 running containers for a"));
}

#[tokio::test(start_paused = true)]
async fn names_resolve_by_hosts_file_or_running_peer() {
    let engine = engine().behave("a", Behaviour::default().resolves(["b"], 9));
    let id = running(&engine, &request("a")).await;
    assert_eq!(inspect(&engine, &id).await.state.exit_code, 9);
    engine.remove(&id, true).await.unwrap();
    let mut known = request("a");
    known.hosts.push(("b".to_owned(), Ipv4Addr::new(10, 231, 0, 3)));
    let id = running(&engine, &known).await;
    assert_eq!(inspect(&engine, &id).await.state.status, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_followed_log_ends_with_the_run() {
    let behaviour = Behaviour::exits(ms(100), 0).prints(ms(5), "one").complains(ms(50), "two");
    let engine = engine().behave("a", behaviour);
    let id = running(&engine, &request("a")).await;
    let query = LogQuery { follow: true, tail: None, since: None };
    let lines: Vec<_> = engine.logs(&id, &query).map(|line| line.unwrap().text).collect().await;
    assert_eq!(lines, ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn pulls_show_progress_and_missing_images_fail() {
    let engine = FakeEngine::new(1).with_pullable("etcd", ms(800)).with_failing_build("bad", "exit 1");
    assert!(engine.image("etcd").await.unwrap().is_none());
    let progress: Vec<_> = engine.pull("etcd").collect().await;
    assert!(progress.len() == 4 && progress.iter().all(Result::is_ok));
    assert!(engine.image("etcd").await.unwrap().is_some());
    let missing: Vec<_> = engine.pull("nowhere").collect().await;
    assert_eq!(missing[0].as_ref().unwrap_err().kind, ErrorKind::ImageMissing);
}

/// What a run of one seed under faults leaves behind.
async fn troubled_run(seed: u64) -> String {
    let engine = FakeEngine::new(seed)
        .with_image("img")
        .faults(Faults::many().until(ms(20_000)))
        .behave("a", Behaviour::default());
    let listener = engine.clone();
    let events = tokio::spawn(async move {
        let mut seen = Vec::new();
        let cluster = ClusterName::new("c").unwrap();
        while listener.now() < ms(30_000) {
            let mut events = listener.events(&cluster);
            while let Ok(Some(event)) = tokio::time::timeout(ms(30_000), events.next()).await {
                seen.push(format!("{:?} {event:?}", listener.now()));
            }
        }
        seen
    });
    for n in 0..20 {
        let component = request(&format!("a{n}"));
        if let Ok(id) = engine.create_container(&component).await {
            let _ = engine.start(&id).await;
            let _ = engine.stop(&id, ms(1000)).await;
        }
        tokio::time::sleep(ms(500)).await;
    }
    format!("{:?}\n{:?}\n{:?}", engine.journal(), engine.changes(), events.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_run() {
    let first = troubled_run(3).await;
    assert_eq!(first, troubled_run(3).await);
    assert_ne!(first, troubled_run(4).await);
    assert!(first.contains("Failed("));
}

#[tokio::test(start_paused = true)]
async fn every_start_in_the_record_has_its_end() {
    for seed in 0..40 {
        let engine = FakeEngine::new(seed).with_image("img").faults(Faults::many().until(ms(60_000)));
        let mut restarting = request("a");
        restarting.spec.restart = RestartPolicy::Always;
        while engine.now() < ms(61_000) {
            if let Ok(id) = engine.create_container(&restarting).await {
                let _ = engine.start(&id).await;
            }
            tokio::time::sleep(ms(1000)).await;
        }
        let mut up = false;
        for change in engine.changes() {
            match change.action {
                "start" => assert!(!std::mem::replace(&mut up, true), "seed {seed}: started twice"),
                "die" => assert!(std::mem::replace(&mut up, false), "seed {seed}: died twice"),
                _ => {}
            }
        }
        assert_eq!(up, engine.containers().iter().any(|at| at.state.status == Status::Running), "seed {seed}");
        assert_eq!(engine.violations(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_fails_once_faults_stop() {
    let engine = engine().faults(Faults::many().until(ms(1000)));
    assert!(engine.now().is_zero());
    tokio::time::sleep(ms(60_000)).await;
    for n in 0..50 {
        let id = engine.create_container(&request(&format!("a{n}"))).await.unwrap();
        engine.start(&id).await.unwrap();
        engine.remove(&id, true).await.unwrap();
    }
}
