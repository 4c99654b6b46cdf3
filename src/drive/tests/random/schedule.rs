//! What is done with a scenario: killed runs, a run, a run again, `down`; each is checked.

use std::future::{Future, pending};
use std::ops::ControlFlow;
use std::time::Duration;

use super::coverage::Coverage;
use super::properties;
use super::scenario::{Company, Scenario, Seed, draw};
use crate::drive::driver::{Driver, Options};
use crate::drive::input::Input;
use crate::drive::stop::StopRequest;
use crate::drive::tests::harness::*;
use crate::engine::Engine;
use crate::engine::fake::Meddling;
use crate::event::Outcome;
use crate::plan::labelled::from_labels;

/// After this time without faults no call of old is on its way any more.
const LATE_EFFECTS: Duration = Duration::from_secs(60);

/// Plays a seed; its story, and what it covered.
pub(super) async fn play(seed: Seed) -> (String, Coverage) {
    let mut scene = draw(seed);
    let mut story = String::new();
    // The world begins.
    let _ = scene.engine.now();
    for (n, cut) in scene.cuts.clone().into_iter().enumerate() {
        if n % 3 == 2 {
            let ran = scene.up(tokio::time::sleep(cut), u64::MAX).await.expect("nobody kills it");
            story += &ran.story();
            assert!(ran.took < cut + secs(2), "{}", scene.tell(&ran));
        } else if let Ok(Some(ran)) = tokio::time::timeout(cut, scene.up(pending(), u64::MAX)).await {
            story += &ran.story();
        }
        after_a_death(&mut scene);
    }
    for inputs in scene.deaths.clone() {
        if let Some(ran) = scene.up(pending(), inputs).await {
            story += &ran.story();
        }
        after_a_death(&mut scene);
    }
    story += &converge(&scene).await;
    if scene.doomed.is_empty() {
        change_some(&mut scene);
        story += &converge(&scene).await;
        nothing_is_touched(&scene).await;
        if seed.number.is_multiple_of(4) {
            stop_and_start(&scene).await;
        }
    }
    finish(&scene).await;
    (story, scene.coverage.take())
}

impl Scenario {
    /// Runs `up` and checks what it did; None if it was killed, after so many inputs.
    async fn up(&self, interrupt: impl Future<Output = ()>, inputs: u64) -> Option<Ran> {
        self.up_with(&self.options, interrupt, inputs).await
    }

    async fn up_with(&self, options: &Options, interrupt: impl Future<Output = ()>, inputs: u64) -> Option<Ran> {
        let (mut seen, mut calm) = (0, 0);
        let watch = |driver: &Driver, input: &Input| {
            seen += 1;
            calm += u64::from(self.engine.now() >= self.until);
            self.calm_steps.set(calm);
            if seen > inputs {
                return ControlFlow::Break(());
            }
            self.coverage.borrow_mut().input(driver, input);
            ControlFlow::Continue(())
        };
        let ran = watched(&self.engine, &self.cluster, options.clone(), interrupt, watch).await?;
        properties::of_a_run(self, &ran);
        Some(ran)
    }

    /// What others do while faults last.
    async fn trouble(&self) {
        futures::join!(self.vandalise(), self.meddle(), self.recover());
        pending().await
    }

    /// Somebody else removes containers.
    async fn vandalise(&self) {
        for after in &self.vandalism {
            tokio::time::sleep(*after).await;
            let containers = self.engine.containers();
            if let Some(container) = containers.first()
                && self.engine.now() < self.until
            {
                _ = self.engine.remove(&container.id, true).await;
            }
        }
    }

    pub(super) async fn meddle(&self) {
        for (after, component, how) in &self.meddling {
            tokio::time::sleep(*after).await;
            if self.engine.now() < self.until {
                self.engine.meddle(component.as_str(), *how);
            }
        }
    }

    pub(super) async fn recover(&self) {
        tokio::time::sleep(self.until.saturating_sub(self.engine.now())).await;
        for (_, component, _) in self.meddling.iter().filter(|(_, _, how)| *how == Meddling::Pause) {
            self.engine.meddle(component.as_str(), Meddling::Unpause);
        }
        for (name, behaviour) in &self.recovering {
            self.engine.set_behaviour(name.as_str(), behaviour.clone());
        }
    }
}

fn after_a_death(scene: &mut Scenario) {
    properties::of_the_world(scene);
    change_some(scene);
}

/// The file changes: some configurations, and a service or replica that it has no more.
fn change_some(scene: &mut Scenario) {
    for name in std::mem::take(&mut scene.changes) {
        scene.cluster.components.get_mut(name.as_str()).unwrap().config_hash += "-changed";
    }
    for name in std::mem::take(&mut scene.replicas) {
        let Some(gone) = scene.cluster.components.remove(&name) else { continue };
        let service_stays = scene.cluster.components.values().any(|component| component.service == gone.service);
        scene.doomed.remove(name.as_str());
        scene.flapping.remove(&name);
        if !service_stays && !scene.options.remove_orphans {
            scene.orphans.insert(name);
        }
    }
}

/// Runs `up`, again if something else made it fail, until it must be ready and is.
async fn converge(scene: &Scenario) -> String {
    let mut story = String::new();
    let mut company = scene.company.filter(|_| scene.engine.now() < scene.until);
    loop {
        let began = scene.engine.now();
        let (healthy, calls) = (properties::healthy_containers(scene), scene.engine.journal().len());
        let up = scene.up(pending(), u64::MAX);
        let with_company = company.take();
        let both = async { futures::join!(up, keep_company(scene, with_company)).0 };
        let ran = tokio::select! { biased; ran = both => ran, () = scene.trouble() => unreachable!() };
        let ran = ran.expect("nobody kills it");
        story += &ran.story();
        properties::of_the_world(scene);
        if with_company.is_none() && scene.vandalism.is_empty() && scene.meddling.is_empty() {
            properties::no_healthy_container_is_touched(scene, &healthy, calls);
        }
        if !scene.doomed.is_empty() {
            return story;
        }
        // `down` may have come last, and has to be answered by one more `up`.
        let is_settled = with_company.is_none();
        if ran.outcome == Outcome::Ready && is_settled {
            properties::converges_soon(scene, &ran, began);
            return story;
        }
        let may_fail = scene.may_fail && began < scene.until;
        assert!(may_fail || !is_settled, "{:?}: {}", ran.outcome, scene.tell(&ran));
    }
}

/// Another convoke, which has no lock in common with the first.
async fn keep_company(scene: &Scenario, company: Option<(Duration, Company)>) {
    let Some((after, who)) = company else { return };
    tokio::time::sleep(after).await;
    match who {
        Company::Up => {
            let options = Options { run: "other".into(), ..scene.options.clone() };
            let ran = scene.up_with(&options, pending(), u64::MAX).await.expect("nobody kills it");
            let fine = ran.outcome == Outcome::Ready || !scene.doomed.is_empty() || scene.may_fail;
            assert!(fine, "the other: {}", scene.tell(&ran));
        }
        Company::Down => {
            let ran = stop_all(&scene.engine, &scene.cluster, &down()).await;
            let explained = ran.outcome == Outcome::Ready || !ran.failures().is_empty();
            assert!(explained, "down: {}", scene.tell(&ran));
        }
    }
}

/// Once all is well, `up` only reads.
async fn nothing_is_touched(scene: &Scenario) {
    tokio::time::sleep(scene.until.saturating_sub(scene.engine.now()) + LATE_EFFECTS).await;
    converge(scene).await;
    let (before, calls) = (fingerprint(&scene.engine), scene.engine.changing_calls().len());
    converge(scene).await;
    let made = &scene.engine.changing_calls()[calls..];
    assert!(made.is_empty(), "{scene}: {made:?}");
    assert_eq!(before, fingerprint(&scene.engine), "{scene}");
    properties::one_container_for_each(scene);
    properties::everyone_is_on_its_networks(scene);
}

/// `stop`, then `start` by the labels alone: the same containers run again.
async fn stop_and_start(scene: &Scenario) {
    let request = StopRequest { remove: false, volumes: false, ..down() };
    let ran = stop_all(&scene.engine, &scene.cluster, &request).await;
    assert_eq!(ran.outcome, Outcome::Ready, "{}", scene.tell(&ran));
    let before: Vec<_> = fingerprint(&scene.engine).into_keys().collect();
    let observed = scene.engine.observe(&scene.cluster.name).await.unwrap();
    let rebuilt = from_labels(&scene.cluster.name, &observed);
    let options = Options { from_labels: true, ..scene.options.clone() };
    let ran = up_with(&scene.engine, &rebuilt, options).await;
    assert_eq!(ran.outcome, Outcome::Ready, "{}", scene.tell(&ran));
    properties::of_a_run(scene, &ran);
    let after: Vec<_> = fingerprint(&scene.engine).into_keys().collect();
    assert_eq!(before, after, "{scene}");
}

async fn finish(scene: &Scenario) {
    tokio::time::sleep(scene.until.saturating_sub(scene.engine.now()) + LATE_EFFECTS).await;
    let ran = stop_all(&scene.engine, &scene.cluster, &down()).await;
    assert_eq!(ran.outcome, Outcome::Ready, "{}", scene.tell(&ran));
    let left: Vec<String> = scene.engine.containers().into_iter().map(|container| container.name).collect();
    assert!(left.is_empty(), "{scene}: {left:?}");
    properties::of_the_world(scene);
    properties::nothing_is_left(scene);
}
