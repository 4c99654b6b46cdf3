//! What is done with a scenario: killed runs, a run, a run again, `down`; each is checked.

use std::time::Duration;

use super::check;
use super::scenario::{Scenario, draw};
use crate::drive::driver::Options;
use crate::drive::stop::StopRequest;
use crate::drive::tests::harness::*;
use crate::engine::Engine;
use crate::event::Outcome;
use crate::plan::labelled::from_labels;

/// Once faults are over, a run takes no longer: calls that hang do so for 30 s, boots and restarts take seconds.
const CONVERGES_WITHIN: Duration = Duration::from_secs(150);
/// After this time without faults no call of old is on its way any more.
const LATE_EFFECTS: Duration = Duration::from_secs(60);

/// Plays a seed and tells its story.
pub(super) async fn play(seed: u64) -> String {
    let mut scene = draw(seed);
    let mut story = String::new();
    // The world begins.
    let _ = scene.engine.now();
    for (n, cut) in scene.cuts.clone().into_iter().enumerate() {
        if n % 3 == 2 {
            let interrupt = tokio::time::sleep(cut);
            let ran = run(&scene.engine, &scene.cluster, scene.options.clone(), interrupt).await;
            story += &check::run(seed, &scene, &ran);
            assert!(ran.took < cut + secs(2), "seed {seed}\n{}", ran.story());
        } else if let Some(ran) = cut_short(&scene.engine, &scene.cluster, scene.options.clone(), cut).await {
            story += &check::run(seed, &scene, &ran);
        }
        check::world(seed, &scene);
        change_some(&mut scene);
    }
    story += &converge(seed, &scene).await;
    if scene.doomed.is_empty() {
        change_some(&mut scene);
        story += &converge(seed, &scene).await;
        nothing_is_touched(seed, &scene).await;
        if seed.is_multiple_of(4) {
            stop_and_start(seed, &scene).await;
        }
    }
    finish(seed, &scene).await;
    story
}

fn change_some(scene: &mut Scenario) {
    for name in std::mem::take(&mut scene.changes) {
        scene.cluster.components.get_mut(name.as_str()).unwrap().config_hash += "-changed";
    }
}

/// Runs `up`, again if components crashed, until it must be ready and is.
async fn converge(seed: u64, scene: &Scenario) -> String {
    let mut story = String::new();
    loop {
        let began = scene.engine.now();
        let vandal = vandalise(scene);
        let up = up_with(&scene.engine, &scene.cluster, scene.options.clone());
        let ran = tokio::select! { biased; ran = up => ran, () = vandal => unreachable!() };
        story += &check::run(seed, scene, &ran);
        check::world(seed, scene);
        if !scene.doomed.is_empty() {
            return story;
        }
        if ran.outcome == Outcome::Ready {
            let after_faults = scene.engine.now().saturating_sub(scene.until.max(began));
            assert!(after_faults < CONVERGES_WITHIN, "seed {seed}: took {after_faults:?}\n{}", ran.story());
            return story;
        }
        let may_fail = scene.crashes && began < scene.until && ran.outcome == Outcome::Failed;
        assert!(may_fail, "seed {seed}: {:?}\n{}", ran.outcome, ran.story());
    }
}

/// Somebody else removes containers while faults last.
async fn vandalise(scene: &Scenario) {
    for after in &scene.vandalism {
        tokio::time::sleep(*after).await;
        let containers = scene.engine.containers();
        if let Some(container) = containers.first()
            && scene.engine.now() < scene.until
        {
            _ = scene.engine.remove(&container.id, true).await;
        }
    }
    std::future::pending().await
}

/// Once all is well, `up` only reads.
async fn nothing_is_touched(seed: u64, scene: &Scenario) {
    tokio::time::sleep(scene.until.saturating_sub(scene.engine.now()) + LATE_EFFECTS).await;
    converge(seed, scene).await;
    let (before, calls) = (fingerprint(&scene.engine), scene.engine.changing_calls().len());
    converge(seed, scene).await;
    let made = &scene.engine.changing_calls()[calls..];
    assert!(made.is_empty(), "seed {seed}: {made:?}");
    assert_eq!(before, fingerprint(&scene.engine), "seed {seed}");
}

/// `stop`, then `start` by the labels alone: the same containers run again.
async fn stop_and_start(seed: u64, scene: &Scenario) {
    let request = StopRequest { remove: false, volumes: false, ..down() };
    let ran = stop_all(&scene.engine, &scene.cluster, &request).await;
    assert_eq!(ran.outcome, Outcome::Ready, "seed {seed}\n{}", ran.story());
    let before: Vec<_> = fingerprint(&scene.engine).into_keys().collect();
    let observed = scene.engine.observe(&scene.cluster.name).await.unwrap();
    let rebuilt = from_labels(&scene.cluster.name, &observed);
    let options = Options { from_labels: true, ..scene.options.clone() };
    let ran = up_with(&scene.engine, &rebuilt, options).await;
    assert_eq!(ran.outcome, Outcome::Ready, "seed {seed}\n{}", ran.story());
    check::run(seed, scene, &ran);
    let after: Vec<_> = fingerprint(&scene.engine).into_keys().collect();
    assert_eq!(before, after, "seed {seed}");
}

async fn finish(seed: u64, scene: &Scenario) {
    tokio::time::sleep(scene.until.saturating_sub(scene.engine.now()) + LATE_EFFECTS).await;
    let ran = stop_all(&scene.engine, &scene.cluster, &down()).await;
    assert_eq!(ran.outcome, Outcome::Ready, "seed {seed}\n{}", ran.story());
    let left: Vec<String> = scene.engine.containers().into_iter().map(|container| container.name).collect();
    assert!(left.is_empty(), "seed {seed}: {left:?}");
    assert_eq!(scene.engine.networks_and_volumes(), (vec![], vec![]), "seed {seed}");
    check::world(seed, scene);
}
