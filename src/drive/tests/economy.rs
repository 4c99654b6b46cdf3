//! No call is made that can't do anything: each of these was a change of the code that no other test noticed.

use std::collections::BTreeMap;

use super::harness::*;
use crate::cluster::{Cluster, Component, Mount, MountKind, Volume};
use crate::drive::driver::Options;
use crate::engine::Status;
use crate::engine::fake::{Call, FakeEngine, Latency, Op, most_at_once};
use crate::event::Outcome;

/// `a` with a volume and an image that has to be pulled, on a network.
fn with_everything() -> Cluster {
    let key = || "data".parse().unwrap();
    let mut a = Component { image: "app:1".into(), ..http("a") };
    a.spec.mounts.push(Mount::new("/data", MountKind::Volume { key: key(), nocopy: false }, false));
    let volume = Volume {
        key: key(),
        engine_name: "test_data".into(),
        external: false,
        driver: None,
        driver_opts: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    Cluster { volumes: [(key(), volume)].into(), ..cluster([a, http("b")]) }
}

fn first(engine: &FakeEngine, op: Op) -> Call {
    engine.journal().into_iter().find(|call| call.op == op).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_container_is_made_once_when_its_image_networks_and_volumes_are_there() {
    for (call, pull) in [(ms(2000), ms(10)), (ms(1), secs(2))] {
        let engine =
            engine(1).with_pullable("app:1", pull).latency(Latency { call: (call, call), ..Latency::default() });
        let ran = up(&engine, &with_everything()).await.is(Outcome::Ready);
        let made = calls(&engine, Op::Create, "a");
        assert_eq!(made.len(), 1, "{}", ran.story());
        for needed in [Op::Pull, Op::CreateNetwork, Op::CreateVolume] {
            assert!(first(&engine, needed).ended.unwrap() <= made[0].at, "{needed:?}: {}", ran.story());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_only_to_be_made_is_not_started() {
    let engine = engine(1);
    let options = || Options { only_make: true, timeout: Some(secs(60)), ..Options::default() };
    let cluster = cluster([http("a"), http("b")]);
    for _ in 0..2 {
        let ran = up_with(&engine, &cluster, options()).await.is(Outcome::Ready);
        assert!(ran.took < secs(2), "{}", ran.story());
    }
    assert_eq!(find(&engine, "a").state.status, Status::Created);
    assert!(engine.journal().iter().all(|call| call.op != Op::Start));
    assert_eq!(calls(&engine, Op::Create, "b").len(), 1);
}

/// The engine would make the volume itself, without our labels.
#[tokio::test(start_paused = true)]
async fn a_volume_is_waited_for_where_the_network_is_there_already() {
    let latency = Latency { call: (secs(2), secs(2)), ..Latency::default() };
    let engine = engine(1).with_pullable("app:1", ms(10)).latency(latency);
    let others = Options { only: Some([name("b")].into()), ..Options::default() };
    up_with(&engine, &with_everything(), others).await.is(Outcome::Ready);
    let ran = up(&engine, &with_everything()).await.is(Outcome::Ready);
    let made = &calls(&engine, Op::Create, "a")[0];
    assert!(first(&engine, Op::CreateVolume).ended.unwrap() <= made.at, "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn no_more_containers_are_made_at_once_than_asked_for() {
    let engine = engine(1);
    let options = Options { creates_in_flight: 2, ..Options::default() };
    let components: Vec<Component> = (0..6).map(|n| http(&format!("c{n}"))).collect();
    up_with(&engine, &cluster(components), options).await.is(Outcome::Ready);
    assert_eq!(most_at_once(&engine.journal(), Op::Create), 2);
}

/// Starts take long: while one is under way, creates are no reason to wait with another.
#[tokio::test(start_paused = true)]
async fn containers_that_are_made_do_not_count_as_starts() {
    let engine = engine(1).latency(Latency { create: (secs(1), secs(3)), ..Latency::default() });
    let options = Options { starts_in_flight: 1, ..Options::default() };
    let ran = up_with(&engine, &cluster([http("a"), http("b"), http("c")]), options).await.is(Outcome::Ready);
    let begins: Vec<_> = engine.journal().into_iter().filter(|call| call.op == Op::Start).map(|call| call.at).collect();
    let creates: Vec<_> =
        engine.journal().into_iter().filter(|call| call.op == Op::Create).filter_map(|call| call.ended).collect();
    assert!(begins.iter().min() < creates.iter().max(), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_where_all_containers_are_there() {
    let engine = engine(1).with_pullable("app:1", ms(10));
    up(&engine, &with_everything()).await.is(Outcome::Ready);
    let before = engine.changing_calls().len();
    up(&engine, &with_everything()).await.is(Outcome::Ready);
    assert_eq!(engine.changing_calls().len(), before);
}
