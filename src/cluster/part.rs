//! A part of a cluster: the components of some services, and what they depend on.

use std::collections::BTreeSet;

use super::{Cluster, Component, Mount, MountKind};
use crate::names::{ComponentName, ServiceName, VolumeKey};

impl Cluster {
    /// The components of these services, and all that they wait for or need, however indirectly.
    #[must_use]
    pub fn with_dependencies(&self, services: &[ServiceName]) -> BTreeSet<ComponentName> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&Component> = self.of_services(services).collect();
        while let Some(component) = open.pop() {
            if found.insert(component.name.clone()) {
                let others = component.gates.iter().map(|gate| &gate.on).chain(&component.needs);
                open.extend(others.filter_map(|name| self.components.get(name)));
            }
        }
        found
    }

    /// The components of these services.
    pub fn of_services(&self, services: &[ServiceName]) -> impl Iterator<Item = &Component> {
        self.components.values().filter(|component| services.contains(&component.service))
    }

    /// Only these components and what they use. The other services count as switched off.
    #[must_use]
    pub fn reduced_to(&self, components: &BTreeSet<ComponentName>) -> Self {
        let mut part = self.clone();
        part.components.retain(|name, _| components.contains(name));
        let specs = || part.components.values().map(|component| &component.spec);
        let networks: BTreeSet<_> = specs().flat_map(|spec| spec.networks.keys().cloned()).collect();
        let volumes: BTreeSet<_> = specs().flat_map(|spec| &spec.mounts).filter_map(Mount::volume).cloned().collect();
        let left: BTreeSet<&ServiceName> = part.components.values().map(|component| &component.service).collect();
        let services = self.components.values().map(|component| &component.service);
        let off: Vec<ServiceName> = services.filter(|service| !left.contains(service)).cloned().collect();
        part.networks.retain(|key, _| networks.contains(key));
        part.volumes.retain(|key, _| volumes.contains(key));
        part.switched_off.extend(off);
        part
    }
}

impl Mount {
    /// The image that is mounted.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        match &self.kind {
            MountKind::Image { reference } => Some(reference),
            _ => None,
        }
    }

    /// The named volume that is mounted.
    #[must_use]
    pub const fn volume(&self) -> Option<&VolumeKey> {
        match &self.kind {
            MountKind::Volume { key, .. } => Some(key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Gate, GateCondition, sample};

    #[test]
    fn what_is_waited_for_or_needed_belongs_to_it() {
        let name = |name: &str| name.parse::<ComponentName>().unwrap();
        let mut all = ["app", "db", "disk", "peer", "other"].map(|name| sample::component(name, &[]));
        let gate = |on: &str| Gate { on: name(on), condition: GateCondition::Started, required: false };
        all[0].gates = vec![gate("db")];
        all[1].gates = vec![gate("disk")];
        all[2].needs = [name("peer")].into();
        all[3].needs = [name("disk")].into();
        let cluster = sample::cluster(all);
        let part = |service: &str| {
            let found = cluster.with_dependencies(&[service.parse().unwrap()]);
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(part("app"), "app db disk peer");
        assert_eq!((part("peer"), part("other")), ("disk peer".to_owned(), "other".to_owned()));
        let alone = cluster.reduced_to(&[name("disk"), name("peer")].into());
        assert_eq!((alone.components.len(), alone.switched_off.len()), (2, 3));
    }
}
