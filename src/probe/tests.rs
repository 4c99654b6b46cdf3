//! The prober as a whole: commands, logs and health on the fake engine, connections on real sockets.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::testing::{closed_port, serve, silent_port, start};
use super::{Answer, EngineProber, Prober, ReachMode, Target, Verdict, Way};
use crate::cluster::{HealthCheck, PortBinding, Probe, ProbeAction, Protocol};
use crate::engine::fake::{Behaviour, ExecScript, FakeEngine, Op, most_at_once};
use crate::engine::{Engine, EngineInfo};

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn engine() -> FakeEngine {
    FakeEngine::new(1).with_image("img")
}

fn prober(engine: &FakeEngine) -> EngineProber<FakeEngine> {
    EngineProber::new(engine.clone(), &engine.known_info(), HOST, ReachMode::Auto)
}

fn exec(timeout: u64) -> Probe {
    Probe { action: ProbeAction::Exec { command: vec!["check".to_owned()] }, timeout: ms(timeout) }
}

fn tcp(port: u16, timeout: u64) -> Probe {
    Probe { action: ProbeAction::Tcp { port }, timeout: ms(timeout) }
}

fn http(port: u16, timeout: u64) -> Probe {
    let action = ProbeAction::Http { port, path: "/ready".to_owned(), headers: Vec::new() };
    Probe { action, timeout: ms(timeout) }
}

/// A behaviour whose commands that begin so take so long; None: for ever.
fn takes(behaviour: Behaviour, word: &str, takes: Option<u64>, code: i64, output: &str) -> Behaviour {
    let mut behaviour = behaviour;
    let script = ExecScript { code, output: output.to_owned(), takes: takes.map(ms) };
    behaviour.execs.push((vec![word.to_owned()], script));
    behaviour
}

fn said(answer: &Answer) -> (Verdict, &str) {
    (answer.verdict, &answer.text)
}

fn execs(engine: &FakeEngine) -> usize {
    engine.journal().iter().filter(|call| call.op == Op::Exec).count()
}

// === Commands ===

#[tokio::test(start_paused = true)]
async fn a_command_s_end_is_the_answer() {
    let engine = engine()
        .behave("good", Behaviour::default())
        .behave("bad", Behaviour::default().exec(["check"], 2, "connecting\nno such database\n"))
        .behave("bare", Behaviour::default().missing_probe());
    let prober = prober(&engine);
    for (component, verdict, text) in [
        ("good", Verdict::Pass, "exit 0"),
        ("bad", Verdict::Refuses, "exit 2: no such database"),
        ("bare", Verdict::Impossible, "exec: \"check\": executable file not found in $PATH"),
    ] {
        let target = start(&engine, component, None).await;
        assert_eq!(said(&prober.ask(&target, &exec(1000)).await), (verdict, text));
    }
    let target = start(&engine, "gone", None).await;
    engine.crash("gone", 1);
    assert_eq!(prober.ask(&target, &exec(1000)).await.verdict, Verdict::EngineTrouble);
    let nothing = Probe { action: ProbeAction::Exec { command: Vec::new() }, timeout: ms(1) };
    assert_eq!(prober.ask(&target, &nothing).await.verdict, Verdict::Impossible);
}

#[tokio::test(start_paused = true)]
async fn no_second_command_while_one_hangs() {
    let engine = engine().behave("a", takes(Behaviour::default(), "check", Some(4000), 0, ""));
    let (prober, target) = (prober(&engine), start(&engine, "a", None).await);
    let begun = Instant::now();
    let first = prober.ask(&target, &exec(1000)).await;
    assert_eq!(said(&first), (Verdict::Refuses, "no answer in 1 s"));
    assert_eq!(first.took, ms(1000));
    for _ in 0..2 {
        let answer = prober.ask(&target, &exec(1000)).await;
        assert_eq!(said(&answer), (Verdict::Refuses, "the previous check still runs"));
    }
    assert_eq!((begun.elapsed(), execs(&engine)), (ms(3000), 1));
    engine.set_behaviour("a", Behaviour::default());
    // It ends during this attempt, which then has its turn.
    assert_eq!(prober.ask(&target, &exec(2000)).await.verdict, Verdict::Pass);
    assert_eq!((execs(&engine), most_at_once(&engine.journal(), Op::Exec)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_caller_left_is_still_waited_for() {
    let engine = engine().behave("a", takes(Behaviour::default(), "check", Some(700), 0, ""));
    let (prober, target) = (prober(&engine), start(&engine, "a", None).await);
    let left = {
        let (prober, target) = (prober.clone(), target.clone());
        tokio::spawn(async move { prober.ask(&target, &exec(5000)).await })
    };
    sleep(ms(100)).await;
    left.abort();
    let answer = prober.ask(&target, &exec(5000)).await;
    assert_eq!((answer.verdict, execs(&engine)), (Verdict::Pass, 2));
    assert!(answer.took >= ms(1300), "{:?}: 600 for the first, 700 of its own", answer.took);
    assert_eq!(most_at_once(&engine.journal(), Op::Exec), 1);
}

#[tokio::test(start_paused = true)]
async fn as_many_commands_at_once_as_cores_and_hung_ones_do_not_count() {
    let engine = engine()
        .behave("img", takes(Behaviour::default(), "check", Some(300), 0, ""))
        .behave("hung", takes(Behaviour::default(), "check", None, 0, ""));
    let prober = prober(&engine);
    let mut targets = Vec::new();
    for n in 0..6 {
        targets.push(start(&engine, &format!("c{n}"), None).await);
    }
    let answers = targets.iter().map(|target| {
        let prober = prober.clone();
        async move { prober.ask(target, &exec(5000)).await.verdict }
    });
    assert_eq!(futures::future::join_all(answers).await, [Verdict::Pass; 6]);
    assert_eq!(most_at_once(&engine.journal(), Op::Exec), engine.known_info().cpus);

    let one = EngineInfo { cpus: 1, ..engine.known_info() };
    let prober = EngineProber::new(engine.clone(), &one, HOST, ReachMode::Auto);
    let hung = start(&engine, "hung", None).await;
    let hanging = async { prober.ask(&hung, &exec(1000)).await.text };
    let waiting = async { prober.ask(&targets[0], &exec(500)).await };
    let (hung, waited) = tokio::join!(biased; hanging, waiting);
    assert_eq!(hung, "no answer in 1 s");
    assert_eq!(said(&waited), (Verdict::EngineTrouble, "too many other checks run"));
    assert_eq!(prober.ask(&targets[0], &exec(500)).await.verdict, Verdict::Pass);
}

#[tokio::test(start_paused = true)]
async fn a_command_ends_with_its_container() {
    let engine = engine().behave("a", takes(Behaviour::default(), "check", None, 0, ""));
    let (prober, mut target) = (prober(&engine), start(&engine, "a", None).await);
    assert_eq!(prober.ask(&target, &exec(500)).await.text, "no answer in 500 ms");
    engine.crash("a", 1);
    engine.set_behaviour("a", Behaviour::default());
    engine.start(&target.container).await.unwrap();
    target.started_at = engine.inspect(&target.container).await.unwrap().unwrap().state.started_at;
    assert_eq!(prober.ask(&target, &exec(500)).await.verdict, Verdict::Pass);
}

// === Logs and health ===

#[tokio::test(start_paused = true)]
async fn a_line_of_this_run_passes() {
    let line = |contains: &str| Probe { action: ProbeAction::Log { contains: contains.to_owned() }, timeout: ms(1) };
    let behaviour = Behaviour::default().prints(ms(50), "starting").complains(ms(3000), "LOG: ready to serve");
    let engine = engine().behave("a", behaviour);
    let (prober, target) = (prober(&engine), start(&engine, "a", None).await);
    let begun = Instant::now();
    let answer = prober.ask(&target, &line("ready to")).await;
    assert_eq!(said(&answer), (Verdict::Pass, "the line is there"));
    assert!(begun.elapsed() >= ms(2900) && begun.elapsed() < ms(3200), "{:?}", begun.elapsed());

    engine.set_behaviour("a", Behaviour::exits(ms(100), 1));
    engine.crash("a", 1);
    sleep(ms(10)).await;
    engine.start(&target.container).await.unwrap();
    let started_at = engine.inspect(&target.container).await.unwrap().unwrap().state.started_at;
    let again = Target { started_at, ..target };
    assert_eq!(said(&prober.ask(&again, &line("ready to")).await), (Verdict::Refuses, "the log ended without it"));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_log_probe_closes_the_stream() {
    let engine = engine();
    let (prober, target) = (prober(&engine), start(&engine, "a", None).await);
    let line = Probe { action: ProbeAction::Log { contains: "never".to_owned() }, timeout: ms(1) };
    assert!(tokio::time::timeout(ms(100), prober.ask(&target, &line)).await.is_err());
    sleep(ms(100)).await;
    let open = engine.journal().into_iter().filter(|call| call.op == Op::Logs && call.ended.is_none()).count();
    assert_eq!(open, 0);
}

#[tokio::test(start_paused = true)]
async fn the_engine_s_health_is_that_of_a_running_container() {
    let check = HealthCheck {
        command: vec!["check".to_owned()],
        shell: false,
        interval: ms(1000),
        timeout: ms(1000),
        retries: 2,
        start_period: ms(0),
        start_interval: None,
    };
    let engine = engine().behave("a", Behaviour::ready_after(ms(3500)));
    let prober = prober(&engine);
    let target = start(&engine, "a", Some(check)).await;
    let probe = Probe { action: ProbeAction::EngineHealth, timeout: ms(1000) };
    assert_eq!(said(&prober.ask(&target, &probe).await), (Verdict::Refuses, "starting"));
    sleep(ms(2500)).await;
    assert_eq!(said(&prober.ask(&target, &probe).await), (Verdict::Refuses, "unhealthy: not ready"));
    sleep(ms(2500)).await;
    assert_eq!(said(&prober.ask(&target, &probe).await), (Verdict::Pass, "healthy"));
    engine.crash("a", 1);
    assert_eq!(said(&prober.ask(&target, &probe).await), (Verdict::Unreachable, "the container isn't running"));
    engine.remove(&target.container, true).await.unwrap();
    assert_eq!(said(&prober.ask(&target, &probe).await), (Verdict::Unreachable, "the container is gone"));
    let without = start(&engine, "b", None).await;
    assert_eq!(prober.ask(&without, &probe).await.verdict, Verdict::Impossible);
}

// === Connections ===

#[tokio::test]
async fn direct_answers() {
    let engine = engine();
    let (prober, target) = (prober(&engine), start(&engine, "a", None).await);
    let warming = serve(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 503 No\r\n\r\nwarming up").await;
        std::future::pending().await
    });
    let (warming, closed) = (warming.await.port(), closed_port().await.port());
    let silent = serve(|stream| async { std::mem::forget(stream) }).await.port();
    assert_eq!(prober.reach().way, None);
    for (probe, verdict, text) in [
        (tcp(closed, 1000), Verdict::Unreachable, "connection refused"),
        (http(closed, 1000), Verdict::Unreachable, "connection refused"),
        (tcp(silent, 1000), Verdict::Pass, "accepts connections"),
        (http(silent, 100), Verdict::Refuses, "accepted the connection, no answer in 100 ms"),
        (http(warming, 1000), Verdict::Refuses, "503: warming up"),
    ] {
        assert_eq!(said(&prober.ask(&target, &probe).await), (verdict, text));
    }
    assert_eq!(prober.reach().way, Some(Way::Direct));
    assert_eq!(prober.reach().components, BTreeMap::from([(target.component.clone(), Way::Direct)]));
    assert_eq!(execs(&engine), 0);
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_given_up_for_commands_inside() {
    let (address, _silent) = silent_port().await;
    let table = format!("  sl  local_address\n 0: 00000000:{:04X} 00000000:0000 0A\n", address.port());
    let behaviour = takes(Behaviour::default(), "cat", Some(1), 0, &table);
    let behaviour = takes(behaviour, "curl", Some(1), 127, "exec: \"curl\": executable file not found in $PATH");
    let behaviour = takes(behaviour, "wget", Some(1), 139, "");
    let behaviour = takes(behaviour, "bash", Some(1), 0, "HTTP/1.0 503 Service Unavailable\r\n");
    let engine = engine().behave("a", behaviour);
    let (prober, target) = (prober(&engine), start(&engine, "a", None).await);
    let first = prober.ask(&target, &tcp(address.port(), 5000)).await;
    assert_eq!(said(&first), (Verdict::Unreachable, "no connection in 1.5 s"));
    let second = prober.ask(&target, &tcp(address.port(), 5000)).await;
    assert_eq!(said(&second), (Verdict::Pass, "accepts connections"));
    assert_eq!(prober.reach().components, BTreeMap::from([(target.component.clone(), Way::Exec)]));

    let before = execs(&engine);
    for tries in [3, 1] {
        let made = execs(&engine);
        let answer = prober.ask(&target, &http(address.port(), 1000)).await;
        assert_eq!(said(&answer), (Verdict::Refuses, "503: Service Unavailable"));
        assert_eq!(execs(&engine) - made, tries, "the tool that works is remembered");
    }
    assert_eq!(execs(&engine) - before, 4);
}

#[tokio::test]
async fn silence_of_a_container_that_ended_proves_nothing() {
    let (address, _silent) = silent_port().await;
    let engine = engine();
    let (prober, target) = (prober(&engine), start(&engine, "a", None).await);
    engine.crash("a", 1);
    for _ in 0..2 {
        let answer = prober.ask(&target, &tcp(address.port(), 1000)).await;
        assert_eq!(said(&answer), (Verdict::Unreachable, "no connection in 1 s"));
    }
    assert_eq!((prober.reach().way, execs(&engine)), (None, 0));
}

#[tokio::test]
async fn without_any_tool_inside_it_says_what_to_do() {
    let engine = engine().behave("a", Behaviour::default().missing_probe());
    let target = start(&engine, "a", None).await;
    let prober = EngineProber::new(engine.clone(), &engine.known_info(), HOST, ReachMode::Exec);
    let answer = prober.ask(&target, &http(80, 1000)).await;
    assert_eq!(answer.verdict, Verdict::Impossible);
    insta::assert_snapshot!(answer.text, @"port 80 can't be reached from here, and the container has none of curl, wget, bash, nc to ask it with: publish the port or give an exec probe");
}

#[tokio::test]
async fn commands_inside_keep_their_distance() {
    let engine = engine().behave("a", takes(Behaviour::default(), "cat", Some(1), 0, "local_address"));
    let target = start(&engine, "a", None).await;
    let prober = EngineProber::new(engine.clone(), &engine.known_info(), HOST, ReachMode::Exec);
    let begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(said(&prober.ask(&target, &tcp(80, 1000)).await), (Verdict::Unreachable, "connection refused"));
    }
    assert!(begun.elapsed() >= ms(400));
}

#[tokio::test]
async fn a_published_port_s_proxy_is_not_the_program() {
    let engine = engine();
    let mut target = start(&engine, "a", None).await;
    let prober = EngineProber::new(engine.clone(), &engine.known_info(), HOST, ReachMode::Published);
    let proxy = serve(|stream| async { drop(stream) }).await;
    let program = serve(|stream| async { std::mem::forget(stream) }).await;
    for (host_port, verdict) in [(proxy.port(), Verdict::Unreachable), (program.port(), Verdict::Pass)] {
        let binding =
            PortBinding { host_ip: None, host_port: Some(host_port), container_port: 80, protocol: Protocol::Tcp };
        target.published = vec![binding];
        assert_eq!(prober.ask(&target, &tcp(80, 1000)).await.verdict, verdict);
    }
    assert_eq!(prober.ask(&target, &tcp(81, 1000)).await.verdict, Verdict::Impossible);
}
