//! What goes wrong around the components: images, ports, probes, the engine itself.

use super::harness::*;
use crate::cluster::{Build, Component, PortBinding, Protocol, Volume};
use crate::drive::driver::Options;
use crate::drive::stop::StopRequest;
use crate::engine::fake::{Behaviour, Exit, Faults, Op};
use crate::event::{EventKind, Outcome, Phase};

#[tokio::test(start_paused = true)]
async fn a_missing_image_is_named() {
    let mut lost = http("a");
    lost.image = "nowhere:1".into();
    let engine = engine(1);
    let ran = up(&engine, &cluster([lost, http("b")])).await.is(Outcome::Failed);
    assert!(ran.failures()[0].what.contains("nowhere:1"), "{}", ran.story());
    assert!(ran.failures()[0].hint.is_some());
    assert!(ran.took < secs(1));
}

fn built(mut component: Component) -> Component {
    component.image = "built:1".into();
    component.build = Some(Build::new("/work/app"));
    component
}

#[tokio::test(start_paused = true)]
async fn a_build_that_fails_shows_what_it_printed() {
    let engine = engine(1).with_failing_build("built:1", "the command returned a non-zero code: 3");
    let ran = up(&engine, &cluster([built(http("a")), http("b")])).await.is(Outcome::Failed);
    let failure = ran.failures()[0];
    assert_eq!(failure.what, "image built:1 can't be built: the command returned a non-zero code: 3");
    assert_eq!(failure.log, ["Step 1/4", "Step 2/4", "Step 3/4"]);
    assert_eq!(failure.hint.as_deref(), Some("mend what service a is built from (/work/app), then `convoke up`"));
}

/// What ran before goes on, and has nothing to do with it.
#[tokio::test(start_paused = true)]
async fn a_rebuild_that_fails_tells_nothing_of_the_container_that_runs() {
    let says = Behaviour::ready_after(ms(50)).prints(ms(1), "listening");
    let engine = engine(1).behave("a", says);
    let cluster = cluster([built(http("a"))]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let before = fingerprint(&engine);
    let engine = engine.with_failing_build("built:1", "no space");
    let options = Options { rebuild: true, ..Options::default() };
    let ran = up_with(&engine, &cluster, options).await.is(Outcome::Failed);
    let failure = ran.failures()[0];
    assert_eq!((failure.exit_code, failure.last_probe.as_deref()), (None, None), "{}", ran.story());
    assert_eq!(failure.log, ["Step 1/4", "Step 2/4", "Step 3/4"]);
    assert!(failure.hint.as_ref().unwrap().ends_with("then `convoke up --build`"), "{failure:?}");
    assert_eq!(fingerprint(&engine), before);
}

/// A container that was started before has lines of other runs in its log.
#[tokio::test(start_paused = true)]
async fn only_the_last_run_s_lines_are_quoted() {
    let exits = vec![Exit { after: ms(300), code: 3, oom: false, from_start: 2, to_start: None }];
    let behaviour = Behaviour { exits, ..Behaviour::never_ready(ms(50)) }.prints(ms(1), "begins");
    let (engine, cluster) = (engine(1).behave("a", behaviour), cluster([plain("a")]));
    up(&engine, &cluster).await.is(Outcome::Ready);
    let stop = StopRequest { command: "stop".into(), remove: false, volumes: false, ..down() };
    stop_all(&engine, &cluster, &stop).await.is(Outcome::Ready);
    tokio::time::sleep(secs(1)).await;
    let ran = up(&engine, &cluster).await.is(Outcome::Failed);
    assert_eq!(ran.failures()[0].log, ["begins"], "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_taken_is_named_with_what_to_do() {
    let mut server = http("a");
    let port = PortBinding { host_ip: None, host_port: Some(8080), container_port: 80, protocol: Protocol::Tcp };
    server.spec.ports.push(port);
    let engine = engine(1).with_busy_port(8080);
    let ran = up(&engine, &cluster([server])).await.is(Outcome::Failed);
    assert!(ran.failures()[0].what.contains("8080"), "{}", ran.story());
    assert!(ran.failures()[0].hint.as_ref().unwrap().contains("port"));
    assert!(ran.took < secs(2), "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_missing_fails_at_once() {
    let engine = engine(1).behave("a", Behaviour::default().missing_command());
    let ran = up(&engine, &cluster([http("a")])).await.is(Outcome::Failed);
    assert!(ran.failures()[0].what.contains("not found"), "{}", ran.story());
    assert!(ran.took < secs(2), "{:?}", ran.took);
    assert_eq!(calls(&engine, Op::Start, "a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_missing_probe_program_is_shown_at_once_and_fails_later() {
    let engine = engine(1).behave("a", Behaviour::default().missing_probe());
    let ran = up(&engine, &cluster([checked("a")])).await.is(Outcome::Failed);
    let shown = ran
        .events
        .iter()
        .find(|event| matches!(&event.kind, EventKind::Waiting { why, .. } if why.contains("can't be run")));
    assert!(shown.unwrap().at.0 < secs(1), "{}", ran.story());
    assert!(ran.took >= secs(30) && ran.took < secs(33), "{:?}", ran.took);
    assert!(ran.failures()[0].last_probe.as_ref().unwrap().contains("not found"), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn a_probe_program_that_is_installed_late_is_fine() {
    let engine = engine(1).behave("a", Behaviour::default().probe_program_after(secs(8)));
    let ran = up(&engine, &cluster([checked("a")])).await.is(Outcome::Ready);
    assert!(ran.took < secs(9), "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_stall_says_who_waits_for_whom() {
    let engine = engine(1)
        .behave("a", Behaviour::never_ready(ms(10)))
        .behave("b", Behaviour::never_ready(ms(10)))
        .behave("c", Behaviour::ready_after(ms(10)));
    let cluster = cluster([member(http("a"), &["b"]), member(http("b"), &["a"]), http("c")]);
    let options = Options { timeout: Some(secs(25)), ..Options::default() };
    let ran = up_with(&engine, &cluster, options).await.is(Outcome::DeadlinePassed);
    let (at, lines) = ran.stalls()[0];
    assert!(at > secs(10) && at < secs(11), "{at:?}");
    assert_eq!(
        lines,
        [
            "a is live: http :80/ready: 503: not ready (waits for b)",
            "b is live: http :80/ready: 503: not ready (waits for a)",
            "a and b wait for each other: a -> b -> a"
        ]
    );
    let late: Vec<&str> = ran.failures().iter().map(|f| f.component.as_ref().unwrap().as_str()).collect();
    assert_eq!(late, ["a", "b"]);
    assert!(ran.failures()[0].what.contains("not ready after 25"), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn of_those_that_need_one_only_that_one_is_in_the_loop() {
    let never = || Behaviour::never_ready(ms(10));
    let engine = engine(1).behave("a", never()).behave("b", never()).behave("hub", never());
    let cluster = cluster([member(http("a"), &["hub"]), member(http("b"), &["hub"]), member(http("hub"), &["a", "b"])]);
    let options = Options { timeout: Some(secs(15)), ..Options::default() };
    let ran = up_with(&engine, &cluster, options).await.is(Outcome::DeadlinePassed);
    assert_eq!(ran.stalls()[0].1[3], "a, b and hub wait for each other: a -> hub -> a", "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn without_a_timeout_the_deadline_is_five_minutes() {
    let engine = engine(1).behave("a", Behaviour::never_ready(ms(10)));
    let ran = up(&engine, &cluster([http("a")])).await.is(Outcome::DeadlinePassed);
    assert!(ran.took >= secs(300) && ran.took < secs(302), "{:?}", ran.took);
    assert!(ran.steps < 6_000, "{} steps", ran.steps);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_container_is_refused_and_nothing_is_touched() {
    let engine = engine(1).with_foreign("test-a-1", Some("other"), &[]);
    let ran = up(&engine, &cluster([http("a"), http("b")])).await.is(Outcome::Failed);
    assert!(ran.failures()[0].hint.as_ref().unwrap().contains("docker compose -p other down"), "{}", ran.story());
    assert!(engine.changing_calls().is_empty(), "{:?}", engine.changing_calls());
}

#[tokio::test(start_paused = true)]
async fn a_foreign_volume_is_refused_unless_the_file_says_that_it_is_one() {
    let engine = engine(1).with_foreign_volume("test_data");
    let mut with_volume = cluster([http("a")]);
    let volume = Volume {
        key: "data".parse().unwrap(),
        engine_name: "test_data".into(),
        external: false,
        driver: None,
        driver_opts: Default::default(),
        labels: Default::default(),
    };
    with_volume.volumes.insert("data".parse().unwrap(), volume);
    let ran = up(&engine, &with_volume).await.is(Outcome::Failed);
    assert!(ran.failures()[0].what.contains("test_data"), "{}", ran.story());
    assert!(engine.changing_calls().is_empty(), "{:?}", engine.changing_calls());
    with_volume.volumes.values_mut().for_each(|volume| volume.external = true);
    up(&engine, &with_volume).await.is(Outcome::Ready);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_ends_the_run_after_a_while() {
    let engine = engine(1);
    let _ = engine.now();
    engine.restart(secs(600));
    let ran = up(&engine, &cluster([http("a")])).await.is(Outcome::EngineUnreachable);
    assert!(ran.took >= secs(29) && ran.took < secs(45), "{:?}\n{}", ran.took, ran.story());
    assert!(engine.journal().len() < 100, "{} calls", engine.journal().len());
    assert!(!ran.failures().is_empty());
}

/// A stall asks for logs meanwhile: that none came is no answer.
#[tokio::test(start_paused = true)]
async fn an_engine_that_goes_away_in_the_middle_ends_the_run_after_a_while() {
    let engine = engine(1).behave("a", Behaviour::never_ready(secs(60)));
    let (world, cluster) = (engine.clone(), cluster([http("a")]));
    let (ran, ()) = tokio::join!(up(&engine, &cluster), async move {
        tokio::time::sleep(secs(2)).await;
        world.restart(secs(600));
    });
    let ran = ran.is(Outcome::EngineUnreachable);
    assert!(ran.took >= secs(30) && ran.took < secs(45), "{:?}\n{}", ran.took, ran.story());
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_silent_ends_the_run_after_a_while() {
    let engine = engine(1);
    engine.fall_silent(secs(3600));
    let ran = up(&engine, &cluster([http("a")])).await.is(Outcome::EngineUnreachable);
    assert!(ran.took < secs(100), "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_comes_back_in_time_is_waited_for() {
    let engine = engine(1);
    let _ = engine.now();
    engine.restart(secs(8));
    let ran = up(&engine, &cluster([http("a")])).await.is(Outcome::Ready);
    assert!(ran.took < secs(15), "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_restarts_in_the_middle_is_no_failure() {
    for at in [5, 20, 45, 80, 120, 300, 700, 1100] {
        let engine = engine(at).behave("a", Behaviour::ready_after(secs(1)));
        let world = engine.clone();
        let cluster = cluster([http("a"), plain("b"), checked("c")]);
        let (ran, ()) = tokio::join!(up(&engine, &cluster), async move {
            tokio::time::sleep(ms(at)).await;
            world.restart(secs(2));
        });
        let ran = ran.is(Outcome::Ready);
        assert!(ran.took < secs(20), "at {at}: {:?}\n{}", ran.took, ran.story());
        assert!(engine.violations().is_empty(), "{:?}", engine.violations());
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_somebody_removes_is_made_again() {
    use crate::engine::Engine;
    for at in [30, 100, 600, 1200] {
        let engine =
            engine(at).behave("a", Behaviour::ready_after(secs(1))).behave("b", Behaviour::ready_after(secs(2)));
        let world = engine.clone();
        let cluster = cluster([http("a"), http("b")]);
        let (ran, ()) = tokio::join!(up(&engine, &cluster), async move {
            tokio::time::sleep(ms(at)).await;
            let found = world.containers().into_iter().find(|container| container.component == name("a"));
            if let Some(container) = found {
                world.remove(&container.id, true).await.unwrap();
            }
        });
        let ran = ran.is(Outcome::Ready);
        assert!(engine.is_ready("a"), "at {at}\n{}", ran.story());
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_taken_has_the_container_made_anew() {
    use crate::engine::Engine;
    let engine = engine(1);
    let cluster = cluster([http("a")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let ours = engine.containers().remove(0);
    let fixed = ours.networks["test_default"].fixed_address.unwrap();
    stop_all(&engine, &cluster, &crate::drive::stop::StopRequest { remove: false, volumes: false, ..down() }).await;
    // Somebody else's container takes the address of the stopped one.
    let mut thief = cluster.clone();
    thief.name = "thief".parse().unwrap();
    let thief = crate::cluster::Component { container_name: "thief".into(), ..http("t") };
    let mut theirs = crate::drive::tests::harness::create_request(&thief, &ours.networks["test_default"].network_id);
    theirs.networks[0].address = Some(fixed);
    let id = engine.create_container(&theirs).await.unwrap();
    engine.start(&id).await.unwrap();
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert!(!ran.warnings().is_empty(), "{}", ran.story());
    let again = engine.containers().into_iter().find(|container| container.component == name("a")).unwrap();
    assert_ne!(again.networks["test_default"].fixed_address, Some(fixed));
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_it_within_two_seconds_and_knows_what_it_started() {
    for at in [1, 10, 40, 90, 500] {
        let engine = engine(at).behave("a", Behaviour::never_ready(ms(10)));
        let cluster = cluster([http("a"), http("b")]);
        let ran = run(&engine, &cluster, Options::default(), tokio::time::sleep(ms(at))).await.is(Outcome::Interrupted);
        assert!(ran.took < ms(at) + secs(2), "{:?}", ran.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_all_the_time_is_no_busy_loop() {
    let engine = engine(1)
        .behave("a", Behaviour::ready_after(secs(60)))
        .faults(Faults { stream_break: Some(ms(1)), ..Faults::none() });
    let ran = up(&engine, &cluster([http("a")])).await.is(Outcome::Ready);
    assert!(engine.journal().len() < 800, "{} calls", engine.journal().len());
    assert!(ran.steps < 3000, "{}", ran.steps);
}

#[tokio::test(start_paused = true)]
async fn lost_events_cost_time_and_nothing_else() {
    let engine =
        engine(1).behave("a", Behaviour::exits(ms(700), 3)).faults(Faults { event_loss: 1.0, ..Faults::none() });
    let ran = up(&engine, &cluster([http("a"), http("b")])).await;
    assert!(ran.took < secs(7), "{:?}\n{}", ran.took, ran.story());
    if ran.outcome == Outcome::Failed {
        assert_eq!(ran.phases("a").last(), Some(&Phase::Failed));
    }
}

#[tokio::test(start_paused = true)]
async fn one_list_that_hangs_is_asked_for_again() {
    let engine = engine(1).behave("a", Behaviour::ready_after(secs(2)));
    let world = engine.clone();
    let cluster = cluster([http("a")]);
    let (ran, ()) = tokio::join!(up(&engine, &cluster), async move {
        tokio::time::sleep(ms(1900)).await;
        // The list that would confirm the verdict is never answered.
        world.set_faults(Faults { timeout: 1.0, ..Faults::none() }.until(ms(2300)));
    });
    assert!(ran.is(Outcome::Ready).took < secs(15));
}

#[tokio::test(start_paused = true)]
async fn an_engine_whose_lists_take_two_seconds_still_comes_to_a_verdict() {
    use crate::engine::fake::Latency;
    let engine = engine(1).latency(Latency { call: (secs(2), secs(2)), ..Latency::default() });
    let ran = up(&engine, &cluster([http("a"), checked("b"), plain("c")])).await.is(Outcome::Ready);
    assert!(ran.took < secs(30), "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_great_many_http_probes_do_not_starve_the_verdict() {
    let names: Vec<String> = (0..120).map(|n| format!("c{n}")).collect();
    let engine = engine(1);
    let options = Options { timeout: Some(secs(120)), probes_per_second: 40, ..Options::default() };
    up_with(&engine, &cluster(names.iter().map(|name| http(name))), options).await.is(Outcome::Ready);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_calls_it_unhealthy_once_does_not_make_a_busy_loop() {
    // Its own checks take longer than the engine allows it, but pass now and then for convoke.
    let mut short = checked("a");
    if let Some(health) = &mut short.probes.health {
        health.interval = secs(1);
        health.retries = 1;
    }
    let behaviour = Behaviour::ready_after(ms(1500));
    let engine = engine(1).behave("a", behaviour).behave("b", Behaviour::ready_after(secs(20)));
    let ran = up(&engine, &cluster([short, http("b")])).await.is(Outcome::Ready);
    assert!(engine.journal().len() < 200, "{}", engine.journal().len());
    assert!(ran.took < secs(25), "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_second_network_of_the_same_name_does_not_split_the_cluster() {
    use crate::engine::{CreateNetwork, Engine, labels};
    let engine = engine(1);
    let first = cluster([http("a")]);
    up(&engine, &first).await.is(Outcome::Ready);
    let on = engine.containers()[0].networks["test_default"].network_id.clone();
    // A create call of a run that was killed takes effect late.
    let twin = CreateNetwork {
        name: "test_default".into(),
        labels: [(labels::CLUSTER.to_owned(), "test".to_owned())].into(),
        driver: None,
        driver_opts: Default::default(),
        internal: false,
        attachable: false,
        subnet: None,
        gateway: None,
        ip_range: None,
        ipam: crate::cluster::Ipam::default(),
    };
    engine.create_network(&twin).await.unwrap();
    up(&engine, &cluster([http("a"), http("b")])).await.is(Outcome::Ready);
    assert!(engine.containers().iter().all(|container| container.networks["test_default"].network_id == on));
    stop_all(&engine, &first, &down()).await.is(Outcome::Ready);
    assert_eq!(engine.networks_and_volumes().0.len(), 0);
}

/// Whoever reads a report wants to know the code and how often, whether or not it happens to run at that moment.
#[tokio::test(start_paused = true)]
async fn a_loop_is_told_by_its_code_and_its_number_whenever_the_deadline_comes() {
    for timeout in (3_000..5_000).step_by(100) {
        let mut looping = http("a");
        looping.spec.restart = crate::cluster::RestartPolicy::Always;
        let behaviour = Behaviour::never_ready(ms(10)).complains(ms(590), "out of beans").exiting(ms(600), 7);
        let engine = engine(1).behave("a", behaviour);
        let options = Options { timeout: Some(ms(timeout)), ..Options::default() };
        let ran = up_with(&engine, &cluster([looping]), options).await.is(Outcome::DeadlinePassed);
        let failure = ran.failures()[0];
        assert_eq!(failure.exit_code, Some(7), "{}", ran.story());
        assert!(failure.what.contains("exited 7, restarted"), "{failure:?}");
        assert!(failure.hint.as_ref().unwrap().contains("more time alone won't help"), "{failure:?}");
        assert!(failure.log.iter().any(|line| line.contains("out of beans")), "the end of a run: {failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_quotes_what_was_said_last() {
    let engine = engine(1).behave("a", Behaviour::never_ready(ms(10)).complains(ms(50), "no route to the mother ship"));
    let options = Options { timeout: Some(secs(15)), ..Options::default() };
    let ran = up_with(&engine, &cluster([http("a"), http("b")]), options).await.is(Outcome::DeadlinePassed);
    let lines = ran.stalls()[0].1;
    assert!(lines.contains(&"a said last: no route to the mother ship".to_owned()), "{lines:?}");
}
