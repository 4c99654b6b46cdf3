//! Which names lead where: the lines of each component's hosts file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::cluster::{Cluster, Component};
use crate::names::{ComponentName, NetworkKey};

/// Who answers to a name on a network. Names are compared without regard to case, as resolvers do.
pub(super) struct Names<'a> {
    by_network: BTreeMap<&'a NetworkKey, BTreeMap<String, Owners<'a>>>,
}

/// One name on one network.
struct Owners<'a> {
    /// As written.
    name: &'a str,
    components: BTreeSet<&'a ComponentName>,
}

impl<'a> Names<'a> {
    /// The names of every component: its service's, its own, its container's and its aliases.
    pub(super) fn of(cluster: &'a Cluster) -> Self {
        let mut by_network: BTreeMap<&NetworkKey, BTreeMap<String, Owners>> = BTreeMap::new();
        for component in cluster.components.values() {
            for (key, attachment) in &component.spec.networks {
                let on_network = by_network.entry(key).or_default();
                let own = [component.name.as_str(), &component.container_name];
                // A one-off container answers to its service's name only where it is told to.
                let service = component.is_under_its_service().then_some(component.service.as_str());
                for name in service.into_iter().chain(own).chain(attachment.aliases.iter().map(String::as_str)) {
                    on_network
                        .entry(name.to_lowercase())
                        .or_insert_with(|| Owners { name, components: BTreeSet::new() })
                        .components
                        .insert(&component.name);
                }
            }
        }
        Self { by_network }
    }

    /// The components that answer to `name` on a network.
    pub(super) fn owners(&self, name: &str, network: &NetworkKey) -> BTreeSet<&'a ComponentName> {
        let owners = self.by_network.get(network).and_then(|names| names.get(&name.to_lowercase()));
        owners.map(|owners| owners.components.clone()).unwrap_or_default()
    }

    /// The names that `viewer` can look up, with the networks on which they have owners, in key order.
    fn seen_by(&self, viewer: &'a Component) -> BTreeMap<&str, Vec<(&'a NetworkKey, &Owners<'a>)>> {
        let mut seen: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for key in viewer.spec.networks.keys() {
            for (folded, owners) in self.by_network.get(key).into_iter().flatten() {
                seen.entry(folded).or_default().push((key, owners));
            }
        }
        seen
    }
}

/// Every component's entries: for each name with exactly one owner over all networks that the component is on, the
/// owner's address on the first of them (by key) where it has one.
///
/// A name with several owners stays with DNS, since a resolver takes the first line only. No entry for the component
/// itself, nor for a name that the file's `extra_hosts` gives it.
pub(super) fn entries(
    cluster: &Cluster,
    names: &Names<'_>,
    addresses: &BTreeMap<ComponentName, BTreeMap<NetworkKey, Ipv4Addr>>,
) -> BTreeMap<ComponentName, Vec<(String, Ipv4Addr)>> {
    let mut entries = BTreeMap::new();
    for viewer in cluster.components.values() {
        let lines: Vec<(String, Ipv4Addr)> =
            names.seen_by(viewer).into_values().filter_map(|places| entry(viewer, &places, addresses)).collect();
        if !lines.is_empty() {
            entries.insert(viewer.name.clone(), lines);
        }
    }
    entries
}

fn entry(
    viewer: &Component,
    places: &[(&NetworkKey, &Owners<'_>)],
    addresses: &BTreeMap<ComponentName, BTreeMap<NetworkKey, Ipv4Addr>>,
) -> Option<(String, Ipv4Addr)> {
    let mut owners = places.iter().flat_map(|(_, owners)| &owners.components);
    let owner = *owners.next()?;
    let name = places.first()?.1.name;
    if owners.any(|other| *other != owner) || *owner == viewer.name || !is_writable(name) {
        return None;
    }
    if viewer.spec.extra_hosts.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
        return None;
    }
    let of_owner = addresses.get(owner)?;
    let address = places.iter().find_map(|(key, _)| of_owner.get(*key))?;
    Some((name.to_owned(), *address))
}

/// Whether a name can stand in a hosts file and in the engine's `name:address` form.
fn is_writable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != ':' && c != '#')
}
