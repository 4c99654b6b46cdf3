//! `kill -9` at any moment: the next command just works.

use std::collections::BTreeMap;

use super::harness::*;
use crate::cluster::{Cluster, GateCondition};
use crate::engine::fake::{Behaviour, FakeEngine, Faults};
use crate::engine::{CreateNetwork, Engine};
use crate::event::Outcome;
use crate::plan::request;

fn scene(seed: u64) -> (FakeEngine, Cluster) {
    let mut job = plain("job");
    job.completes = true;
    let engine = engine(seed)
        .with_pullable("far", ms(120))
        .behave("job", Behaviour::exits(ms(60), 0))
        .behave("a", Behaviour::ready_after(ms(150)).needs(["b"]))
        .behave("b", Behaviour::ready_after(ms(90)).live_needs(["a"]));
    let mut far = checked("far");
    far.image = "far".into();
    let parts = [
        member(http("a"), &["b"]),
        member(http("b"), &["a"]),
        far,
        job,
        gated(plain("last"), GateCondition::Completed, "job"),
    ];
    (engine, cluster(parts))
}

#[tokio::test(start_paused = true)]
async fn up_again_is_ready() {
    for cut in (0..90u64).map(|n| n * 3 + n * n / 8) {
        let (engine, cluster) = scene(cut);
        cut_short(&engine, &cluster, Default::default(), ms(cut)).await;
        let ran = up(&engine, &cluster).await.is(Outcome::Ready);
        assert_eq!(engine.containers().len(), 5, "cut at {cut} ms\n{}", ran.story());
        assert_eq!(engine.networks_and_volumes().0.len(), 1, "cut at {cut} ms");
        assert!(engine.violations().is_empty(), "cut at {cut} ms: {:?}", engine.violations());
    }
}

#[tokio::test(start_paused = true)]
async fn down_leaves_nothing() {
    for cut in (0..90u64).map(|n| n * 3 + n * n / 8) {
        let (engine, cluster) = scene(cut);
        cut_short(&engine, &cluster, Default::default(), ms(cut)).await;
        stop_all(&engine, &cluster, &down()).await.is(Outcome::Ready);
        // A call that was in flight when convoke died may take effect after that: the next `down` gets it.
        tokio::time::sleep(secs(1)).await;
        stop_all(&engine, &cluster, &down()).await.is(Outcome::Ready);
        assert!(engine.containers().is_empty(), "cut at {cut} ms");
        assert_eq!(engine.networks_and_volumes(), (vec![], vec![]), "cut at {cut} ms");
    }
}

/// Whether the calls of the one that died reach the engine all the same.
const CALLS_ARRIVE: [f64; 3] = [0.0, 0.5, 1.0];

#[tokio::test(start_paused = true)]
async fn between_any_two_steps_up_again_is_ready() {
    for lost_request in CALLS_ARRIVE {
        let mut steps = 0;
        while let (engine, cluster) = scene(steps)
            && let engine = engine.faults(Faults { lost_request, ..Faults::none() })
            && killed_at(&engine, &cluster, Default::default(), steps).await.is_none()
        {
            let ran = up(&engine, &cluster).await.is(Outcome::Ready);
            assert_eq!(engine.containers().len(), 5, "killed after {steps} steps\n{}", ran.story());
            assert_eq!(engine.networks_and_volumes().0.len(), 1, "killed after {steps} steps");
            assert!(engine.violations().is_empty(), "killed after {steps} steps: {:?}", engine.violations());
            steps += 1;
        }
        assert!(steps > 50, "a run has more steps than {steps}");
    }
}

#[tokio::test(start_paused = true)]
async fn between_any_two_steps_of_a_replacement_up_again_is_ready() {
    for lost_request in CALLS_ARRIVE {
        let mut steps = 0;
        loop {
            let (engine, mut cluster) = scene(steps);
            let engine = engine.faults(Faults { lost_request, ..Faults::none() });
            up(&engine, &cluster).await.is(Outcome::Ready);
            let before = fingerprint(&engine);
            for name in ["a", "far"] {
                cluster.components.get_mut(name).unwrap().config_hash = "second".into();
            }
            if killed_at(&engine, &cluster, Default::default(), steps).await.is_some() {
                break;
            }
            let ran = up(&engine, &cluster).await.is(Outcome::Ready);
            let after = fingerprint(&engine);
            let kept = before.iter().filter(|(id, started)| after.get(*id) == Some(*started)).count();
            assert_eq!((after.len(), kept), (5, 3), "killed after {steps} steps\n{}", ran.story());
            assert!(engine.violations().is_empty(), "killed after {steps} steps: {:?}", engine.violations());
            steps += 1;
        }
        assert!(steps > 30, "a run has more steps than {steps}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_network_of_one_name_goes() {
    let (engine, cluster) = scene(1);
    let wanted = cluster.networks.values().next().unwrap();
    let second = CreateNetwork {
        name: wanted.engine_name.clone(),
        labels: request::network_labels(&cluster, "other", wanted),
        driver: None,
        driver_opts: BTreeMap::new(),
        internal: false,
        attachable: false,
        subnet: None,
        gateway: None,
        ip_range: None,
        ipam: crate::cluster::Ipam::default(),
    };
    // Two that a killed convoke left, and then one that comes while the cluster runs.
    engine.create_network(&second).await.unwrap();
    for _ in 0..2 {
        engine.create_network(&second).await.unwrap();
        let ran = up(&engine, &cluster).await.is(Outcome::Ready);
        assert_eq!(engine.networks_and_volumes().0.len(), 1, "{}", ran.story());
        assert!(ran.took < secs(2), "{:?}", ran.took);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_networks_of_one_name_that_nobody_runs_on_one_goes_whoever_is_on_it() {
    let (engine, cluster) = (engine(1), cluster([http("a"), http("b")]));
    let (first, second) = futures::join!(up(&engine, &cluster), up(&engine, &cluster));
    assert_eq!((first.outcome, second.outcome), (Outcome::Ready, Outcome::Ready), "{}", first.story());
    assert_eq!(engine.networks_and_volumes().0.len(), 1, "{}", first.story());
    assert_eq!(engine.containers().len(), 2);
}
