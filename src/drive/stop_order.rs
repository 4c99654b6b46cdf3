//! The order in which components are stopped: all at once, or dependents before what they depend on.
//!
//! Members of a cycle go together: when everything that depends on one of them is done. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::Stored;
use crate::cluster::graph::Graph;
use crate::engine::{ObservedContainer, labels};
use crate::names::ComponentName;

/// Containers that are to be stopped, and who waits for whom.
pub(super) struct Queue {
    waiting: Vec<ObservedContainer>,
    /// For each component, those that must be done before it.
    blockers: BTreeMap<ComponentName, BTreeSet<ComponentName>>,
    /// Containers of each component that aren't done.
    left: BTreeMap<ComponentName, usize>,
}

impl Queue {
    /// All of these; `ordered`: dependents first.
    pub(super) fn new(containers: Vec<ObservedContainer>, ordered: bool) -> Self {
        let blockers = if ordered { blockers(&containers) } else { BTreeMap::new() };
        let mut left = BTreeMap::new();
        for container in &containers {
            *left.entry(container.component.clone()).or_default() += 1;
        }
        Self { waiting: containers, blockers, left }
    }

    /// Takes out those that wait for nobody any more.
    pub(super) fn take_free(&mut self) -> Vec<ObservedContainer> {
        let (blockers, left) = (&self.blockers, &self.left);
        let is_done = |component: &ComponentName| left.get(component).is_none_or(|count| *count == 0);
        let is_free = |container: &ObservedContainer| {
            blockers.get(&container.component).is_none_or(|before| before.iter().all(is_done))
        };
        let (free, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(is_free);
        self.waiting = waiting;
        free
    }

    /// A container of this component is done with, whether it went well or not.
    pub(super) fn done(&mut self, component: &ComponentName) {
        if let Some(count) = self.left.get_mut(component) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Who must be done before whom, by what the labels say of dependencies.
fn blockers(containers: &[ObservedContainer]) -> BTreeMap<ComponentName, BTreeSet<ComponentName>> {
    let names: BTreeSet<ComponentName> = containers.iter().map(|container| container.component.clone()).collect();
    let edges = containers.iter().flat_map(|container| {
        let stored: Option<Stored> = container.label(labels::PROBES).and_then(|text| serde_json::from_str(text).ok());
        let stored = stored.unwrap_or_default();
        let on: BTreeSet<ComponentName> = stored.gates.into_iter().map(|gate| gate.on).chain(stored.needs).collect();
        on.into_iter().map(|on| (container.component.clone(), on)).collect::<Vec<_>>()
    });
    let graph = Graph::new(names.iter().cloned(), edges);
    let goes_with = |one: &ComponentName, other: &ComponentName| one == other || graph.share_cycle(one, other);
    let mut all: BTreeMap<ComponentName, BTreeSet<ComponentName>> = BTreeMap::new();
    for (dependent, on) in graph.acyclic_edges() {
        for name in names.iter().filter(|name| goes_with(name, on)) {
            let before = names.iter().filter(|other| goes_with(other, dependent)).cloned();
            all.entry(name.clone()).or_default().extend(before);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::FakeEngine;
    use crate::engine::{CreateContainer, Engine};
    use crate::plan::addresses::Addressing;
    use crate::plan::request;

    /// Containers of these components, each with what it depends on.
    async fn containers(components: &[(&str, &[&str])]) -> Vec<ObservedContainer> {
        let engine = FakeEngine::new(1).with_image("image");
        let cluster = crate::cluster::sample::cluster(components.iter().map(|(name, on)| {
            let mut component = crate::cluster::sample::component(name, &[]);
            component.needs = on.iter().map(|name| name.parse().unwrap()).collect();
            component
        }));
        let context = request::Context {
            cluster: &cluster,
            run: "run",
            publish_address: [127, 0, 0, 1].into(),
            networks: &BTreeMap::new(),
            addressing: &Addressing::default(),
        };
        for component in cluster.components.values() {
            let image = engine.image("image").await.unwrap().unwrap();
            let name = component.container_name.clone();
            let request: CreateContainer = request::container(&context, component, &image, name, None);
            engine.create_container(&request).await.unwrap();
        }
        engine.observe(&cluster.name).await.unwrap().containers
    }

    fn waves(mut queue: Queue) -> Vec<String> {
        let mut waves = Vec::new();
        loop {
            let free = queue.take_free();
            if free.is_empty() {
                assert!(queue.waiting.is_empty(), "some wait for ever");
                return waves;
            }
            let names: Vec<&str> = free.iter().map(|container| container.component.as_str()).collect();
            waves.push(names.join(" "));
            free.iter().for_each(|container| queue.done(&container.component));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn dependents_first_and_cycles_together() {
        let all = containers(&[
            ("db", &[]),
            ("controller", &["db", "pageserver"]),
            ("pageserver", &["controller"]),
            ("compute", &["pageserver"]),
            ("other", &["not-there"]),
        ])
        .await;
        assert_eq!(waves(Queue::new(all.clone(), true)), ["compute other", "controller pageserver", "db"]);
        assert_eq!(waves(Queue::new(all, false)).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_chain_goes_from_its_end() {
        let all = containers(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &["d"])]).await;
        assert_eq!(waves(Queue::new(all, true)), ["c d", "b", "a"]);
    }
}
