//! What dead runs left behind in a cluster.
//!
//! Only what no run could still need: a run that is cut off is gone on with by the next one, so a container that the next
//! one would use is not left over, however it looks.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::engine::{Observed, ObservedContainer, ObservedNetwork, Status, labels};
use crate::names::{ClusterName, ContainerId};

/// What kind of thing is left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// A cluster's folder in the state directory.
    State,
    /// A note of something that was broken on purpose.
    Note,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::State => "state",
            Self::Note => "note",
        }
    }
}

/// Something that is left over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Leftover {
    /// The cluster that it belongs to.
    pub cluster: ClusterName,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The engine's id, or the name where it has none.
    #[serde(skip)]
    pub id: String,
    /// Why nobody needs it.
    pub why: &'static str,
}

/// What counts as left over.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Now.
    pub now: Timestamp,
    /// What is younger may be the work of a run that isn't seen from here.
    pub older_than: SignedDuration,
    /// Volumes of clusters that have nothing else count too.
    pub volumes: bool,
    /// The cluster is ephemeral, and its owner is gone: all of it counts.
    pub is_orphan: bool,
}

const NEVER_COMPLETED: &str = "a run was killed while it made it";
const NEVER_BEGUN: &str = "a run was killed before it started it";
const REPLACEMENT: &str = "a run was killed before it took the place of another";
const TWIN: &str = "another network has the same name, and nobody is on this one";
const NO_CONTAINERS: &str = "the cluster has no containers";
const OWNER_GONE: &str = "the process that its ephemeral cluster belonged to is gone";

/// What is left over of the cluster. Who is on a network is for the caller to find out.
#[must_use]
pub fn leftovers(cluster: &ClusterName, observed: &Observed, rules: &Rules) -> Vec<Leftover> {
    let find = Finding { cluster, observed, rules };
    let mut all = if rules.is_orphan { find.everything() } else { find.pieces() };
    if rules.volumes && (rules.is_orphan || observed.everything().next().is_none()) {
        let why = if rules.is_orphan { OWNER_GONE } else { NO_CONTAINERS };
        all.extend(observed.volumes.iter().map(|volume| find.leftover(Kind::Volume, &volume.name, &volume.name, why)));
    }
    all.sort();
    all
}

struct Finding<'a> {
    cluster: &'a ClusterName,
    observed: &'a Observed,
    rules: &'a Rules,
}

impl Finding<'_> {
    fn leftover(&self, kind: Kind, name: &str, id: &str, why: &'static str) -> Leftover {
        Leftover { cluster: self.cluster.clone(), kind, name: name.to_owned(), id: id.to_owned(), why }
    }

    fn container(&self, container: &ObservedContainer, why: &'static str) -> Leftover {
        self.leftover(Kind::Container, &container.name, container.id.as_str(), why)
    }

    fn network(&self, network: &ObservedNetwork, why: &'static str) -> Leftover {
        self.leftover(Kind::Network, &network.name, &network.id, why)
    }

    fn everything(&self) -> Vec<Leftover> {
        let containers = self.observed.everything().map(|one| self.container(one, OWNER_GONE));
        containers.chain(self.observed.networks.iter().map(|one| self.network(one, OWNER_GONE))).collect()
    }

    fn pieces(&self) -> Vec<Leftover> {
        let mut all: Vec<Leftover> = self.observed.everything().filter_map(|one| self.of_container(one)).collect();
        let networks = &self.observed.networks;
        for (index, network) in networks.iter().enumerate().filter(|(_, network)| self.is_old(network.created_at)) {
            // The oldest of a name comes first, and is the one that runs keep.
            let is_twin = networks[..index].iter().any(|older| older.name == network.name);
            if self.observed.everything().next().is_none() {
                all.push(self.network(network, NO_CONTAINERS));
            } else if is_twin && !self.is_used(network) {
                all.push(self.network(network, TWIN));
            }
        }
        all
    }

    /// A container that never ran, under a name that isn't its own, beside the one that has the name.
    fn of_container(&self, container: &ObservedContainer) -> Option<Leftover> {
        let never_ran = container.state.status == Status::Created && container.state.started_at.is_none();
        if !never_ran || !self.is_old(container.created_at) {
            return None;
        }
        if container.name.ends_with(labels::UNFINISHED) {
            return Some(self.container(container, NEVER_COMPLETED));
        }
        if container.is_one_off() {
            return Some(self.container(container, NEVER_BEGUN));
        }
        let own = container.label(labels::CONTAINER)?;
        let is_other = |other: &&ObservedContainer| other.id != container.id && other.name == own;
        let replaces = container.name != own && self.observed.containers.iter().any(|other| is_other(&other));
        replaces.then(|| self.container(container, REPLACEMENT))
    }

    fn is_used(&self, network: &ObservedNetwork) -> bool {
        let on = |container: &ObservedContainer| container.networks.values().any(|at| at.network_id == network.id);
        self.observed.everything().any(on)
    }

    /// What has no date isn't touched.
    fn is_old(&self, created_at: Option<Timestamp>) -> bool {
        created_at.is_some_and(|at| self.rules.now.duration_since(at) >= self.rules.older_than)
    }
}

/// The container that a leftover is.
#[must_use]
pub fn container_id(leftover: &Leftover) -> Option<ContainerId> {
    ContainerId::new(leftover.id.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::FakeEngine;
    use crate::engine::{CreateNetwork, Engine};

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn rules(engine: &FakeEngine) -> Rules {
        let now = engine.wall_clock() + HOUR;
        Rules { now, older_than: SignedDuration::from_secs(120), volumes: false, is_orphan: false }
    }

    fn name() -> ClusterName {
        ClusterName::new("test").unwrap()
    }

    /// A cluster with a container for each of these names, which are their own unless another is given.
    async fn with_containers(names: &[(&str, &str)], running: bool) -> FakeEngine {
        let engine = FakeEngine::new(1).with_image("image");
        for (at, own) in names {
            let component = crate::cluster::sample::component("web", &[]);
            let cluster = crate::cluster::sample::cluster([component.clone()]);
            let context = super::super::request::Context {
                cluster: &cluster,
                run: "run",
                publish_address: [127, 0, 0, 1].into(),
                networks: &std::collections::BTreeMap::new(),
                addressing: &super::super::addresses::Addressing::default(),
            };
            let image = engine.image("image").await.unwrap().unwrap();
            let mut request = super::super::request::container(&context, &component, &image, (*at).to_owned(), None);
            request.labels.insert(labels::CONTAINER.to_owned(), (*own).to_owned());
            let id = engine.create_container(&request).await.unwrap();
            if running {
                engine.start(&id).await.unwrap();
            }
        }
        engine
    }

    async fn network(engine: &FakeEngine, at: &str) {
        let labels = [(labels::CLUSTER.to_owned(), "test".to_owned())].into();
        let request = CreateNetwork {
            name: at.to_owned(),
            labels,
            driver: None,
            driver_opts: Default::default(),
            internal: false,
            attachable: false,
            subnet: None,
            gateway: None,
            ip_range: None,
            ipam: crate::cluster::Ipam::default(),
        };
        engine.create_network(&request).await.unwrap();
    }

    async fn found(engine: &FakeEngine, rules: &Rules) -> Vec<String> {
        let observed = engine.observe(&name()).await.unwrap();
        let all = leftovers(&name(), &observed, rules);
        all.iter().map(|one| format!("{} {}", one.kind.as_str(), one.name)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_never_completed_is_left_over() {
        let engine =
            with_containers(&[("test-web-1.unfinished", "test-web-1"), ("test-web-1", "test-web-1")], false).await;
        network(&engine, "test_default").await;
        assert_eq!(found(&engine, &rules(&engine)).await, ["container test-web-1.unfinished"]);
        let young = Rules { older_than: HOUR + HOUR, ..rules(&engine) };
        assert_eq!(found(&engine, &young).await, Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_replacement_counts_only_beside_what_it_was_to_replace() {
        let temporary = "0123456789ab_test-web-1";
        let both = with_containers(&[("test-web-1", "test-web-1"), (temporary, "test-web-1")], false).await;
        assert_eq!(found(&both, &rules(&both)).await, [format!("container {temporary}")]);
        let alone = with_containers(&[(temporary, "test-web-1")], false).await;
        assert_eq!(found(&alone, &rules(&alone)).await, Vec::<String>::new(), "the next run goes on with it");
        let running = with_containers(&[(temporary, "test-web-1")], true).await;
        assert_eq!(found(&running, &rules(&running)).await, Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_healthy_cluster_has_nothing_left_over() {
        let engine = with_containers(&[("test-web-1", "test-web-1")], true).await;
        network(&engine, "test_default").await;
        let all = Rules { volumes: true, older_than: SignedDuration::ZERO, ..rules(&engine) };
        assert_eq!(found(&engine, &all).await, Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn networks_without_containers_and_twins_count() {
        let engine = FakeEngine::new(1);
        network(&engine, "test_default").await;
        assert_eq!(found(&engine, &rules(&engine)).await, ["network test_default"]);
        let engine = with_containers(&[("test-web-1", "test-web-1")], true).await;
        network(&engine, "test_default").await;
        network(&engine, "test_default").await;
        let observed = engine.observe(&name()).await.unwrap();
        let all = leftovers(&name(), &observed, &rules(&engine));
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].id, observed.networks[1].id, "the younger one");
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_orphan_everything_counts_and_volumes_only_where_asked() {
        let engine = with_containers(&[("test-web-1", "test-web-1")], true).await;
        network(&engine, "test_default").await;
        let labels = [(labels::CLUSTER.to_owned(), "test".to_owned())].into();
        let volume = crate::engine::CreateVolume {
            name: "test_data".into(),
            labels,
            driver: None,
            driver_opts: Default::default(),
        };
        engine.create_volume(&volume).await.unwrap();
        let orphan = Rules { is_orphan: true, ..rules(&engine) };
        assert_eq!(found(&engine, &orphan).await, ["container test-web-1", "network test_default"]);
        let all = Rules { volumes: true, ..orphan };
        assert_eq!(found(&engine, &all).await.len(), 3);
        assert_eq!(found(&engine, &Rules { volumes: true, ..rules(&engine) }).await, Vec::<String>::new());
    }
}
