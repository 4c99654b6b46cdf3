//! Starts that go well: order, gates, cycles, images.

use super::harness::*;
use crate::cluster::{Component, GateCondition, HealthCheck};
use crate::drive::driver::Options;
use crate::engine::fake::{Behaviour, Latency, Op, most_at_once};
use crate::engine::{ImageInfo, Subnet};
use crate::event::{EventKind, Outcome, Phase};
use crate::report::waterfall::{Stage, critical_path, starts};

#[tokio::test(start_paused = true)]
async fn one_component() {
    let engine = engine(1).behave("a", Behaviour::ready_after(ms(300)));
    let ran = up(&engine, &cluster([http("a")])).await.is(Outcome::Ready);
    assert_eq!(
        ran.phases("a"),
        [Phase::Creating, Phase::Created, Phase::Starting, Phase::Started, Phase::Live, Phase::Ready],
        "{}",
        ran.story()
    );
    assert!(ran.took < ms(800), "{}", ran.story());
    assert!(matches!(ran.events[0].kind, EventKind::RunStarted { .. }));
    assert!(matches!(ran.events.last().unwrap().kind, EventKind::RunFinished { .. }));
}

#[tokio::test(start_paused = true)]
async fn no_start_waits_for_any_readiness() {
    let names = ["a", "b", "c", "d", "e"];
    let slow = Behaviour::ready_after(secs(2));
    let engine = names.iter().fold(engine(1), |engine, name| engine.behave(name, slow.clone()));
    let ran = up(&engine, &cluster(names.map(http))).await.is(Outcome::Ready);
    assert_eq!(most_at_once(&engine.journal(), Op::Start), 5);
    assert_eq!(most_at_once(&engine.journal(), Op::Create), 5);
    assert!(ran.took < ms(2600), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn gates_hold_starts_back_and_nothing_else_does() {
    let mut job = plain("job");
    job.completes = true;
    let cluster = cluster([
        http("db"),
        job,
        gated(http("after-start"), GateCondition::Started, "db"),
        gated(http("after-ready"), GateCondition::Ready, "db"),
        gated(http("after-job"), GateCondition::Completed, "job"),
        http("free"),
    ]);
    let engine = engine(1).behave("db", Behaviour::ready_after(secs(1))).behave("job", Behaviour::exits(ms(500), 0));
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    let starting = |name| ran.entered(name, Phase::Starting).unwrap();
    assert!(starting("after-start") >= ran.entered("db", Phase::Started).unwrap());
    assert!(starting("after-start") < ms(200), "{}", ran.story());
    assert!(starting("after-ready") >= ran.entered("db", Phase::Ready).unwrap());
    assert!(starting("after-job") >= ran.entered("job", Phase::Completed).unwrap());
    assert!(starting("after-job") < ms(800), "{}", ran.story());
    assert!(starting("free") < ms(100), "{}", ran.story());
    assert!(ran.entered("after-ready", Phase::Created).unwrap() < ms(100), "only the start is gated");
}

#[tokio::test(start_paused = true)]
async fn a_cycle_is_ready_together() {
    let engine = engine(1)
        .behave("a", Behaviour::ready_after(ms(100)).needs(["b"]))
        .behave("b", Behaviour::ready_after(ms(400)).live_needs(["a"]));
    let cluster = cluster([member(http("a"), &["b"]), member(http("b"), &["a"])]);
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert!(ran.took < secs(1), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn the_longest_boot_goes_first() {
    let names: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
    let engine = engine(1)
        .behave("c6", Behaviour::ready_after(secs(3)))
        .latency(Latency { serial_start: Some(ms(270)), ..Latency::default() });
    let options = Options {
        boot_times: names.iter().map(|n| (name(n), if n == "c6" { secs(3) } else { ms(100) })).collect(),
        starts_in_flight: 2,
        ..Options::default()
    };
    let ran = up_with(&engine, &cluster(names.iter().map(|n| http(n))), options).await.is(Outcome::Ready);
    let starts: Vec<String> = engine
        .journal()
        .into_iter()
        .filter(|call| call.op == Op::Start)
        .map(|call| call.component.unwrap().to_string())
        .collect();
    assert!(starts[..2].contains(&"c6".to_owned()), "{starts:?}");
    assert_eq!(most_at_once(&engine.journal(), Op::Start), 2);
    assert!(ran.took < ms(4200), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn one_that_boots_long_shares_the_engine_with_one_other_start() {
    let names: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
    let engine = engine(1).latency(Latency { start: (ms(300), ms(310)), ..Latency::default() });
    let options = Options {
        boot_times: names.iter().map(|n| (name(n), if n == "c6" { secs(3) } else { ms(100) })).collect(),
        ..Options::default()
    };
    let ran = up_with(&engine, &cluster(names.iter().map(|n| http(n))), options).await.is(Outcome::Ready);
    let entered = |n: &str| ran.entered(n, Phase::Starting).unwrap();
    let beside = names.iter().filter(|n| entered(n) < entered("c6") + ms(200)).count();
    assert_eq!(beside, 2, "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn a_frequent_health_check_is_the_engines_while_starts_are_pending() {
    let engine = engine(1).latency(Latency { serial_start: Some(secs(1)), ..Latency::default() });
    let mut often = [checked("a"), checked("b"), checked("c")];
    for component in &mut often {
        component.probes.health = Some(HealthCheck { interval: secs(1), ..health_check() });
    }
    let awaited = gated(http("d"), GateCondition::Ready, "a");
    let options = Options { starts_in_flight: 1, ..Options::default() };
    let ran = up_with(&engine, &cluster(often.into_iter().chain([awaited])), options).await.is(Outcome::Ready);
    let booted = |n: &str| ran.entered(n, Phase::Ready).unwrap() - ran.entered(n, Phase::Started).unwrap();
    assert!(booted("a") < ms(300), "d waits for it: {}", ran.story());
    assert!(booted("b") > ms(900), "the engine asks after a second: {}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn an_image_is_pulled_once_and_holds_only_its_users_back() {
    let mut pulled = [http("p1"), http("p2")];
    for component in &mut pulled {
        component.image = "far".into();
    }
    let engine = engine(1).with_pullable("far", secs(5));
    let ran = up(&engine, &cluster(pulled.into_iter().chain([http("here")]))).await.is(Outcome::Ready);
    assert_eq!(engine.journal().iter().filter(|call| call.op == Op::Pull).count(), 1);
    assert!(ran.entered("here", Phase::Ready).unwrap() < ms(500), "{}", ran.story());
    let ready =
        ran.events.iter().filter(|event| matches!(&event.kind, EventKind::ImageReady { how, .. } if how == "pulled"));
    assert_eq!(ready.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_health_check_is_run_at_once_rather_than_after_its_interval() {
    let engine = engine(1).behave("a", Behaviour::ready_after(ms(300)));
    let ran = up(&engine, &cluster([checked("a")])).await.is(Outcome::Ready);
    assert!(ran.took < ms(1000), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn an_images_health_check_counts_like_the_files() {
    let info = ImageInfo { id: "sha256:1".into(), health: Some(health_check()), ..ImageInfo::default() };
    let engine = engine(1).with_image_info("image", info).behave("a", Behaviour::ready_after(ms(2500)));
    let ran = up(&engine, &cluster([plain("a")])).await.is(Outcome::Ready);
    assert!(ran.took > ms(2500) && ran.took < ms(3200), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn without_any_probe_a_second_of_running_is_ready() {
    let engine = engine(1);
    let ran = up(&engine, &cluster([plain("a"), plain("b"), plain("c")])).await.is(Outcome::Ready);
    assert!(ran.took > secs(1) && ran.took < ms(1500), "the windows overlap:\n{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn names_resolve_before_their_owners_exist() {
    let resolver = Behaviour::default().resolves(["late"], 9);
    let engine = engine(1).behave("early", resolver).behave("late", Behaviour::default().start_latency(secs(1)));
    up(&engine, &cluster([http("early"), http("late")])).await.is(Outcome::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_subnet_that_is_taken_makes_way_for_the_next() {
    // A network that the list doesn't show yet: somebody makes it between our list and our create.
    let pool: Subnet = "10.231.0.0/23".parse().unwrap();
    let engine = engine(1);
    let options = || Options { pool, ..Options::default() };
    let mut first = cluster([http("a")]);
    first.name = "first".parse().unwrap();
    first.networks.values_mut().for_each(|network| network.engine_name = "first_default".into());
    first.components.values_mut().for_each(|component| component.container_name = "first-a-1".into());
    let second = cluster([http("b")]);
    let (one, two) = tokio::join!(up_with(&engine, &first, options()), up_with(&engine, &second, options()));
    one.is(Outcome::Ready);
    two.is(Outcome::Ready);
    assert_eq!(engine.networks_and_volumes().0, ["first_default", "test_default"]);
}

#[tokio::test(start_paused = true)]
async fn when_no_subnet_of_the_pool_fits_the_engine_picks_one() {
    let engine = engine(1).with_route("10.231.0.0/16".parse().unwrap());
    let cluster = cluster([http("a"), http("b")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    // Addresses are fixed all the same: the network is made once more with what the engine picked.
    for container in engine.containers() {
        assert!(container.networks["test_default"].fixed_address.is_some(), "{container:?}");
    }
    assert_eq!(engine.networks_and_volumes().0, ["test_default"]);
    let before = fingerprint(&engine);
    up(&engine, &cluster).await.is(Outcome::Ready);
    assert_eq!(fingerprint(&engine), before);
}

#[tokio::test(start_paused = true)]
async fn only_the_chosen_ones_are_touched() {
    let engine = engine(1);
    let cluster = cluster([http("a"), http("b")]);
    let options = Options { only: Some([name("a")].into()), ..Options::default() };
    up_with(&engine, &cluster, options).await.is(Outcome::Ready);
    assert!(calls(&engine, Op::Create, "b").is_empty());
    assert_eq!(engine.containers().len(), 1);
}

/// `a` waits for `b` to be ready, but does without it if there is none.
fn optional() -> crate::cluster::Cluster {
    let mut a = gated(http("a"), GateCondition::Ready, "b");
    a.gates[0].required = false;
    cluster([a, http("b")])
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_required_is_waited_for_where_it_is_started() {
    let engine = engine(1).behave("b", Behaviour::ready_after(secs(2)));
    let ran = up(&engine, &optional()).await.is(Outcome::Ready);
    assert!(ran.entered("a", Phase::Starting) >= ran.entered("b", Phase::Ready), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_required_is_not_waited_for_where_nobody_starts_it() {
    let options = || Options { only: Some([name("a")].into()), timeout: Some(secs(60)), ..Options::default() };
    up_with(&engine(1), &optional(), options()).await.is(Outcome::Ready);
    // One that runs is waited for, whoever started it.
    let engine = engine(2).behave("b", Behaviour::ready_after(secs(5)));
    let others = Options { only: Some([name("b")].into()), timeout: Some(secs(1)), ..Options::default() };
    up_with(&engine, &optional(), others).await;
    let ran = up_with(&engine, &optional(), options()).await.is(Outcome::Ready);
    assert!(ran.entered("a", Phase::Starting).unwrap() > secs(2), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn the_events_prove_which_starts_waited_for_a_readiness() {
    let names = ["a", "b", "c", "d", "e"];
    let ran = up(&engine(1), &cluster(names.map(http))).await.is(Outcome::Ready);
    let found = starts(&ran.timeline()).unwrap();
    assert_eq!((found.calls, found.after_first_ready, found.waited), (5, 0, vec![]), "{}", ran.story());

    let slow = engine(1).behave("db", Behaviour::ready_after(secs(2)));
    let members = [http("db"), gated(http("web"), GateCondition::Ready, "db"), http("other")];
    let ran = up(&slow, &cluster(members)).await.is(Outcome::Ready);
    let found = starts(&ran.timeline()).unwrap();
    let [wait] = found.waited.as_slice() else { panic!("{}", ran.story()) };
    assert_eq!((wait.component.as_str(), wait.on.as_str(), wait.phase), ("web", "db", Phase::Ready));
    assert_eq!(wait.until.map(|until| until.0), ran.entered("db", Phase::Ready));
    let path: Vec<_> = critical_path(&ran.timeline()).into_iter().map(|leg| leg.component.to_string()).collect();
    assert_eq!(path, ["db", "web"], "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_pulled_has_its_share_of_the_time() {
    let engine = engine(1).with_pullable("far", secs(5));
    let ran = up(&engine, &cluster([http("a"), Component { image: "far".into(), ..http("b") }])).await;
    let path = critical_path(&ran.timeline());
    assert_eq!(path.len(), 1, "{}", ran.story());
    assert_eq!((path[0].component.as_str(), path[0].stages[0].stage), ("b", Stage::Image), "{path:?}");
    assert!(path[0].stages[0].time.0 > secs(4), "{path:?}");
}
