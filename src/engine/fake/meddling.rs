//! Others at the same engine: what they do to our containers, and things of their own that nobody else may touch.

use std::collections::BTreeMap;
use std::time::Duration;

use super::engine::FakeEngine;
use super::world::World;
use crate::engine::{CreateNetwork, labels};
use crate::names::ContainerId;

/// What somebody does by hand to a container of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// `docker stop`.
    Stop,
    /// `docker kill`.
    Kill,
    /// `docker rm -f`.
    Remove,
    /// `docker restart`.
    Restart,
    /// `docker pause`.
    Pause,
    /// `docker unpause`.
    Unpause,
    /// `docker network disconnect`, of each network.
    CutOff,
}

/// The grace that `docker stop` gives unless told otherwise.
const GRACE: Duration = Duration::from_secs(10);
/// How long somebody takes from stopping a container to starting it again.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

impl FakeEngine {
    /// Somebody does this to every container of a component. It isn't in the journal, which is for the code under test.
    pub fn meddle(&self, component: &str, how: Meddling) {
        self.with(|world| world.meddle(component, how));
    }

    /// Somebody else's network, with these labels, on a subnet of the engine's choice.
    #[must_use]
    pub fn with_foreign_network(self, name: &str, labels: &[(&str, &str)]) -> Self {
        self.set(|world| {
            let request = CreateNetwork {
                name: name.to_owned(),
                labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
                driver: None,
                driver_opts: BTreeMap::new(),
                internal: false,
                attachable: false,
                subnet: None,
                gateway: None,
                ip_range: None,
                ipam: crate::cluster::Ipam::default(),
            };
            let _ = world.make_network(&request);
        })
    }

    /// Everything that doesn't have this cluster's label, as it is now, one line each.
    #[must_use]
    pub fn strangers(&self, cluster: &str) -> Vec<String> {
        let is_strange = |labels: &BTreeMap<String, String>| labels.get(labels::CLUSTER).is_none_or(|at| at != cluster);
        self.with(|world| {
            let containers = world.containers.values().filter(|one| is_strange(&one.labels));
            let networks = world.networks.values().filter(|one| is_strange(&one.labels));
            // One that came with a container has no labels, and belongs to it.
            let volumes = world.volumes.iter().filter(|(_, one)| is_strange(&one.labels) && !one.anonymous);
            let mut lines: Vec<String> = containers
                .map(|one| format!("container {} {} {} {:?}", one.name, one.id, one.stopped_by_call, one.started_at))
                .chain(networks.map(|one| format!("network {} {}", one.name, one.id)))
                .chain(volumes.map(|(name, _)| format!("volume {name}")))
                .collect();
            lines.sort();
            lines
        })
    }
}

impl World {
    fn meddle(&mut self, component: &str, how: Meddling) {
        let is = |labels: &BTreeMap<String, String>| labels.get(labels::COMPONENT).is_some_and(|at| at == component);
        let hit: Vec<_> = self.containers.values().filter(|one| is(&one.labels)).map(|one| one.id.clone()).collect();
        for id in hit {
            let _ = match how {
                Meddling::Stop => self.ask_to_stop(&id, GRACE),
                Meddling::Kill => self.signal(&id, "KILL"),
                Meddling::Remove => self.begin_removal(&id, false, Duration::from_millis(30)).map(|_| ()),
                Meddling::Pause => self.pause(&id),
                Meddling::Unpause => self.unpause(&id),
                Meddling::CutOff => {
                    self.cut_off(&id);
                    Ok(())
                }
                Meddling::Restart => {
                    let stopped = self.ask_to_stop(&id, Duration::ZERO);
                    self.after(RESTART_PAUSE, move |world| _ = world.start_container(&id));
                    stopped
                }
            };
        }
        self.dirty = true;
    }

    fn cut_off(&mut self, container: &ContainerId) {
        let endpoints = self.containers.get(container).map(|at| at.endpoints.clone()).unwrap_or_default();
        for endpoint in endpoints {
            self.take_off(container, &endpoint.network_id);
        }
    }
}
