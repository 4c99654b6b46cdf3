//! What `up` would do, for people who want to know before: the same judgement as the driver's, and what it would make
//! besides containers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::diff;
use crate::cluster::{Cluster, Component};
use crate::engine::{ImageInfo, Observed};
use crate::event::PlannedAction;
use crate::names::{ClusterName, ComponentName, ServiceName};

/// What `up` would do now. Its serialised form is what `up --plan --format json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The cluster.
    pub cluster: ClusterName,
    /// What would be done to each component.
    pub actions: Vec<PlannedAction>,
    /// Images that would be obtained first, by reference.
    pub images: BTreeMap<String, Obtain>,
    /// The engine's names of networks that would be made.
    pub networks: Vec<String>,
    /// The engine's names of volumes that would be made.
    pub volumes: Vec<String>,
    /// Components that run in the cluster and that the file doesn't have: left alone.
    pub orphans: Vec<ComponentName>,
    /// Why `up` would refuse.
    pub refusals: Vec<String>,
}

/// How an image is obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Obtain {
    /// From a registry.
    Pull,
    /// From its build context.
    Build,
}

/// How `up` was asked to go about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// Build images that are there.
    pub rebuild: bool,
    /// Replace all replicas of a service at once.
    pub replace_at_once: bool,
    /// Remove components that the file doesn't have.
    pub remove_orphans: bool,
}

impl Preview {
    /// Looks ahead. `images` has the images that the engine has.
    #[must_use]
    pub fn new(cluster: &Cluster, observed: &Observed, images: &BTreeMap<String, ImageInfo>, asked: Asked) -> Self {
        let ids = images.iter().map(|(reference, info)| (reference.clone(), info.id.clone())).collect();
        let plan = diff::plan(cluster, observed, &ids);
        let mut this = Self {
            cluster: cluster.name.clone(),
            actions: plan.actions,
            images: to_obtain(cluster, images, asked.rebuild),
            networks: networks_to_make(cluster, observed),
            volumes: volumes_to_make(cluster, observed),
            orphans: plan.orphans,
            refusals: refusals(cluster, observed),
        };
        if asked.remove_orphans {
            let remove = |component| PlannedAction {
                component,
                action: "remove".to_owned(),
                reason: "the file doesn't have it".to_owned(),
            };
            this.actions.extend(std::mem::take(&mut this.orphans).into_iter().map(remove));
        }
        this.say_what_a_build_may_change(cluster);
        if !asked.replace_at_once {
            this.say_turns(cluster);
        }
        this
    }

    /// How many components each action is for.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for planned in &self.actions {
            *counts.entry(planned.action.as_str()).or_default() += 1;
        }
        counts
    }

    /// Nobody knows what comes out of a build before it is done.
    fn say_what_a_build_may_change(&mut self, cluster: &Cluster) {
        for planned in self.actions.iter_mut().filter(|planned| planned.action == "keep") {
            let image = cluster.components.get(&planned.component).map(|component| &component.image);
            if image.is_some_and(|image| self.images.contains_key(image)) {
                planned.reason.push_str("; replaced if its image comes out different");
            }
        }
    }

    /// Replicas of a service are replaced one after the other.
    fn say_turns(&mut self, cluster: &Cluster) {
        let mut before: BTreeMap<&ServiceName, &ComponentName> = BTreeMap::new();
        let mut replaced: Vec<&Component> = self
            .actions
            .iter()
            .filter(|planned| planned.action == "replace")
            .filter_map(|planned| cluster.components.get(&planned.component))
            .collect();
        replaced.sort_by_key(|component| component.number);
        let mut turns: BTreeMap<&ComponentName, &ComponentName> = BTreeMap::new();
        for component in replaced {
            if let Some(earlier) = before.insert(&component.service, &component.name) {
                turns.insert(&component.name, earlier);
            }
        }
        for planned in &mut self.actions {
            if let Some(earlier) = turns.get(&planned.component) {
                planned.reason.push_str(&format!("; when {earlier} is ready"));
            }
        }
    }
}

fn to_obtain(cluster: &Cluster, images: &BTreeMap<String, ImageInfo>, rebuild: bool) -> BTreeMap<String, Obtain> {
    let mut wanted = BTreeMap::new();
    let mut open: Vec<&str> = cluster.components.values().flat_map(Component::images).collect();
    while let Some(image) = open.pop() {
        let (build, is_there) = (cluster.build_of(image).map(|(_, build)| build), images.contains_key(image));
        if is_there && !(rebuild && build.is_some()) {
            continue;
        }
        let how = if build.is_some() { Obtain::Build } else { Obtain::Pull };
        if wanted.insert(image.to_owned(), how).is_none() {
            // What it is built from only matters now.
            open.extend(build.iter().flat_map(|build| &build.bases).map(String::as_str));
        }
    }
    wanted
}

fn networks_to_make(cluster: &Cluster, observed: &Observed) -> Vec<String> {
    let there: BTreeSet<&str> = observed.networks.iter().map(|network| network.name.as_str()).collect();
    let own = cluster.networks.values().filter(|network| !network.external);
    own.map(|network| network.engine_name.clone()).filter(|name| !there.contains(name.as_str())).collect()
}

fn volumes_to_make(cluster: &Cluster, observed: &Observed) -> Vec<String> {
    let there: BTreeSet<&str> = observed.volumes.iter().map(|volume| volume.name.as_str()).collect();
    let own = cluster.volumes.values().filter(|volume| !volume.external);
    own.map(|volume| volume.engine_name.clone()).filter(|name| !there.contains(name.as_str())).collect()
}

/// What isn't ours and has our names, and what is external and isn't there.
fn refusals(cluster: &Cluster, observed: &Observed) -> Vec<String> {
    let mut all = Vec::new();
    for component in cluster.components.values() {
        let name = &component.container_name;
        if observed.foreign_containers.iter().any(|foreign| foreign.name == *name) {
            all.push(format!("a container named {name} is there already, and it isn't of this cluster"));
        }
    }
    for network in cluster.networks.values() {
        let name = &network.engine_name;
        let is_other = observed.other_networks.iter().any(|other| other.name == *name);
        match (network.external, is_other) {
            (false, true) => all.push(format!("a network named {name} is there already, and convoke didn't make it")),
            (true, false) => all.push(format!("network {name} is external, and the engine doesn't have it")),
            _ => {}
        }
    }
    for volume in cluster.volumes.values() {
        let name = &volume.engine_name;
        match (volume.external, observed.other_volumes.contains(name)) {
            (false, true) => all.push(format!("a volume named {name} is there already, and convoke didn't make it")),
            (true, false) => all.push(format!("volume {name} is external, and the engine doesn't have it")),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample;

    fn replica(number: u32) -> Component {
        let name = format!("web-{number}");
        Component { service: "web".parse().unwrap(), number, ..sample::component(&name, &["default"]) }
    }

    fn info() -> ImageInfo {
        ImageInfo { id: "sha256:1".into(), ..ImageInfo::default() }
    }

    #[test]
    fn of_nothing_everything_is_made() {
        let cluster = sample::cluster([replica(1), replica(2)]);
        let preview = Preview::new(&cluster, &Observed::default(), &BTreeMap::new(), Asked::default());
        assert_eq!(preview.counts(), [("create", 2)].into());
        assert_eq!(preview.images, [("image".to_owned(), Obtain::Pull)].into());
        assert_eq!(preview.networks, ["test_default"]);
        assert_eq!(preview.refusals, [""; 0]);
    }

    #[test]
    fn replicas_take_turns_unless_asked_otherwise() {
        let cluster = sample::cluster([replica(1), replica(2), replica(10)]);
        let say = |at_once: bool| {
            let actions = cluster.components.keys().map(|component| PlannedAction {
                component: component.clone(),
                action: "replace".into(),
                reason: "why".into(),
            });
            let mut preview = Preview::new(&cluster, &Observed::default(), &BTreeMap::new(), Asked::default());
            preview.actions = actions.collect();
            if !at_once {
                preview.say_turns(&cluster);
            }
            preview.actions.into_iter().map(|planned| planned.reason).collect::<Vec<_>>()
        };
        assert_eq!(say(false), ["why", "why; when web-2 is ready", "why; when web-1 is ready"]);
        assert_eq!(say(true), ["why", "why", "why"]);
    }

    #[test]
    fn what_others_have_under_our_names_is_told() {
        let cluster = sample::cluster([replica(1)]);
        let observed = Observed {
            other_networks: vec![crate::engine::ObservedNetwork {
                id: "n".into(),
                name: "test_default".into(),
                labels: BTreeMap::new(),
                driver: "bridge".into(),
                subnet: None,
                subnet_configured: false,
                gateway: None,
                created_at: None,
            }],
            ..Observed::default()
        };
        let images = [("image".to_owned(), info())].into();
        let preview = Preview::new(&cluster, &observed, &images, Asked::default());
        assert_eq!(preview.refusals, ["a network named test_default is there already, and convoke didn't make it"]);
        assert!(preview.images.is_empty());
    }
}
