//! The same bad days under supervision: whatever happened meanwhile, all is ready once faults are over, and then nobody
//! is touched any more.

use std::time::Duration;

use super::properties;
use super::scenario::{Scenario, Seed, draw};
use crate::drive::tests::harness::*;
use crate::drive::tests::vigil::{Vigil, supervise_with};
use crate::engine::Engine;
use crate::engine::fake::Meddling;
use crate::event::{EventKind, Outcome};

/// Once faults are over, no call of old takes effect after this time.
const LATE_EFFECTS: Duration = Duration::from_secs(60);
/// And all is ready after this one: the longest pause, a stop that takes its time, a boot.
const CONVERGES_WITHIN: Duration = Duration::from_secs(200);

/// Plays a seed and tells its story.
pub(super) async fn play(seed: Seed) -> String {
    let scene = draw(seed);
    // The world begins.
    let _ = scene.engine.now();
    let ran = supervise_with(&scene.engine, &scene.cluster, scene.options.clone(), async |vigil: &Vigil| {
        futures::join!(vandalise(seed, &scene), scene.meddle(), scene.recover());
        tokio::time::sleep(scene.until.saturating_sub(scene.engine.now()) + LATE_EFFECTS).await;
        if scene.doomed.is_empty() {
            all_is_ready(seed, &scene, vigil).await;
        }
        properties::of_the_world(&scene);
    });
    let ran = ran.await.is(Outcome::Released);
    let failed = ran.events.iter().any(|event| matches!(event.kind, EventKind::Failed { .. }));
    assert!(!failed, "seed {seed}: no failure ends it\n{}", ran.story());
    finish(seed, &scene).await;
    ran.story()
}

async fn all_is_ready(seed: Seed, scene: &Scenario, vigil: &Vigil) {
    let is_ready = || {
        let mut components = scene.cluster.components.values();
        components.all(|at| vigil.phase(at.name.as_str()).is_some_and(crate::event::Phase::is_settled))
    };
    let limit = scene.engine.now() + CONVERGES_WITHIN;
    while !is_ready() {
        assert!(scene.engine.now() < limit, "seed {seed}: not ready\n{}", vigil.story());
        tokio::time::sleep(ms(100)).await;
    }
    // What is ready is left alone.
    tokio::time::sleep(secs(30)).await;
    let (before, calls) = (fingerprint(&scene.engine), scene.engine.changing_calls().len());
    tokio::time::sleep(secs(120)).await;
    let made = &scene.engine.changing_calls()[calls..];
    assert!(made.is_empty(), "seed {seed}: {made:?}\n{}", vigil.story());
    assert_eq!(before, fingerprint(&scene.engine), "seed {seed}");
    assert!(is_ready(), "seed {seed}\n{}", vigil.story());
    assert!(vigil.times_ready() > 0, "seed {seed}\n{}", vigil.story());
}

/// Somebody else removes, freezes and cuts off containers while faults last.
async fn vandalise(seed: Seed, scene: &Scenario) {
    for (n, after) in (seed.number..).zip(&scene.vandalism) {
        tokio::time::sleep(*after).await;
        let containers = scene.engine.containers();
        let Some(container) = containers.get(usize::try_from(n).unwrap_or(0) % containers.len().max(1)) else {
            continue;
        };
        match n % 5 {
            // As `docker compose down` does it.
            4 => {
                let network = container.networks.values().map(|at| at.network_id.clone()).next().unwrap_or_default();
                for container in &containers {
                    _ = scene.engine.remove(&container.id, true).await;
                }
                _ = scene.engine.remove_network(&network).await;
            }
            0 => _ = scene.engine.remove(&container.id, true).await,
            1 => _ = scene.engine.pause(&container.id).await,
            2 => scene.engine.meddle(container.component.as_str(), Meddling::CutOff),
            _ => _ = scene.engine.stop(&container.id, secs(1)).await,
        }
    }
}

async fn finish(seed: Seed, scene: &Scenario) {
    let ran = stop_all(&scene.engine, &scene.cluster, &down()).await;
    assert_eq!(ran.outcome, Outcome::Ready, "seed {seed}\n{}", ran.story());
    properties::nothing_is_left(scene);
}
