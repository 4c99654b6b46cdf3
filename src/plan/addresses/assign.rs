//! Which component has which address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::hosts::{self, Names};
use super::subnets::{fixed_addresses, is_fixed, is_host};
use crate::cluster::{Cluster, Component};
use crate::engine::{Observed, ObservedContainer, ObservedNetwork, Subnet};
use crate::names::{ComponentName, NetworkKey};

/// Addresses and hosts entries of every component that has any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressing {
    /// The address of a component on each network where it has a fixed one.
    pub addresses: BTreeMap<ComponentName, BTreeMap<NetworkKey, Ipv4Addr>>,
    /// Lines of a component's hosts file for its peers, by name; each name once.
    pub hosts: BTreeMap<ComponentName, Vec<(String, Ipv4Addr)>>,
}

/// Gives every component an address on each network where convoke chooses them.
///
/// `networks` are the engine's networks that the cluster will be on, `observed` what there is now. In this order: the
/// file's `ipv4_address`; the address that the component's container was created with; the one that its peers'
/// hosts entries name; the lowest one that is neither in use nor named by any entry. A component whose container is
/// there without a fixed address keeps to DNS, and so does one for which there is no address left.
///
/// The result differs from what a container has only if the file now gives its address to another component.
#[must_use]
pub fn assign(cluster: &Cluster, networks: &BTreeMap<NetworkKey, ObservedNetwork>, observed: &Observed) -> Addressing {
    assign_without(cluster, networks, observed, &BTreeSet::new())
}

/// The same, but addresses that are `refused` (a start found them in use) are chosen for nobody, not even for the
/// component whose container has one.
#[must_use]
pub fn assign_without(
    cluster: &Cluster,
    networks: &BTreeMap<NetworkKey, ObservedNetwork>,
    observed: &Observed,
    refused: &BTreeSet<Ipv4Addr>,
) -> Addressing {
    let names = Names::of(cluster);
    let mut addresses: BTreeMap<ComponentName, BTreeMap<NetworkKey, Ipv4Addr>> = BTreeMap::new();
    for key in cluster.networks.keys() {
        for (component, address) in OnNetwork::new(cluster, key, networks.get(key), observed, &names).assign(refused) {
            addresses.entry(component.clone()).or_default().insert(key.clone(), address);
        }
    }
    let hosts = hosts::entries(cluster, &names, &addresses);
    Addressing { addresses, hosts }
}

/// One network while its addresses are given out.
struct OnNetwork<'a> {
    members: Vec<&'a Component>,
    key: &'a NetworkKey,
    /// Subnet and gateway, if convoke may choose here.
    chosen_from: Option<(Subnet, Option<Ipv4Addr>)>,
    /// The container of each member, the one with the right name if there are several.
    containers: BTreeMap<&'a ComponentName, &'a ObservedContainer>,
    /// Addresses that containers have, with those that may keep or inherit them.
    held: BTreeMap<Ipv4Addr, BTreeSet<&'a ComponentName>>,
    /// Addresses that entries name: the members that every entry for it could mean.
    entries: BTreeMap<Ipv4Addr, Entry<'a>>,
    engine_name: &'a str,
    /// What the file says is somebody else's.
    others: Vec<Ipv4Addr>,
}

/// What the hosts entries of all containers say of one address.
struct Entry<'a> {
    /// Members that own every name which stands for this address.
    owners: BTreeSet<&'a ComponentName>,
    /// How many entries there are.
    count: usize,
}

impl<'a> OnNetwork<'a> {
    fn new(
        cluster: &'a Cluster,
        key: &'a NetworkKey,
        network: Option<&'a ObservedNetwork>,
        observed: &'a Observed,
        names: &Names<'a>,
    ) -> Self {
        let members: Vec<&Component> =
            cluster.components.values().filter(|component| component.spec.networks.contains_key(key)).collect();
        let desired = cluster.networks.get(key).filter(|desired| desired.is_addressed());
        let network = network.filter(|network| network.subnet_configured && network.driver == "bridge");
        let chosen_from = desired.and(network).and_then(|network| Some((network.subnet?, network.gateway)));
        let engine_name = cluster.networks.get(key).map_or("", |network| network.engine_name.as_str());
        let mut this = Self {
            members,
            key,
            chosen_from,
            containers: BTreeMap::new(),
            held: BTreeMap::new(),
            entries: BTreeMap::new(),
            engine_name,
            others: desired
                .iter()
                .flat_map(|network| network.ipam.aux_addresses.values())
                .filter_map(|address| address.parse().ok())
                .collect(),
        };
        this.look_at(observed, names);
        this
    }

    fn look_at(&mut self, observed: &'a Observed, names: &Names<'a>) {
        for container in in_order(observed, &self.members) {
            self.containers.entry(&container.component).or_insert(container);
            if let Some(endpoint) = container.networks.get(self.engine_name) {
                for address in [endpoint.fixed_address, endpoint.address].into_iter().flatten() {
                    self.held.entry(address).or_default().insert(&container.component);
                }
            }
            for (name, address) in &container.extra_hosts {
                let Ok(address) = address.parse::<Ipv4Addr>() else { continue };
                let owners = names.owners(name, self.key);
                self.entries
                    .entry(address)
                    .and_modify(|entry| {
                        entry.owners.retain(|owner| owners.contains(owner));
                        entry.count += 1;
                    })
                    .or_insert(Entry { owners, count: 1 });
            }
        }
    }

    fn assign(&self, refused: &BTreeSet<Ipv4Addr>) -> BTreeMap<&'a ComponentName, Ipv4Addr> {
        let mut given: BTreeMap<&ComponentName, Ipv4Addr> = BTreeMap::new();
        let mut taken: BTreeSet<Ipv4Addr> = BTreeSet::new();
        let steps: [fn(&Self, &'a Component) -> Option<Ipv4Addr>; 3] =
            [Self::written, Self::of_container, Self::known_to_peers];
        for step in steps {
            for component in &self.members {
                let is_free = |address: &Ipv4Addr| {
                    !taken.contains(address) && (!refused.contains(address) || self.written(component).is_some())
                };
                let address = step(self, component).filter(is_free);
                if let Some(address) = address.filter(|_| !given.contains_key(&component.name)) {
                    given.insert(&component.name, address);
                    taken.insert(address);
                }
            }
        }
        let Some((subnet, gateway)) = self.chosen_from else { return given };
        let mut free = fixed_addresses(subnet, gateway).filter(|address| {
            !refused.contains(address)
                && !taken.contains(address)
                && !self.held.contains_key(address)
                && !self.entries.contains_key(address)
                && !self.others.contains(address)
        });
        for component in &self.members {
            if !given.contains_key(&component.name)
                && !self.is_dynamic(component)
                && let Some(address) = free.next()
            {
                given.insert(&component.name, address);
            }
        }
        given
    }

    /// The file's own choice, on any network.
    fn written(&self, component: &'a Component) -> Option<Ipv4Addr> {
        component.spec.networks.get(self.key)?.ipv4_address
    }

    /// What its container was created with. The dynamic quarter isn't excluded: the container has it all the same.
    fn of_container(&self, component: &'a Component) -> Option<Ipv4Addr> {
        let endpoint = self.containers.get(&component.name)?.networks.get(self.engine_name)?;
        endpoint.fixed_address.filter(|address| self.may_choose(*address))
    }

    /// What its peers' entries say, once its own container is gone.
    fn known_to_peers(&self, component: &'a Component) -> Option<Ipv4Addr> {
        if self.is_dynamic(component) {
            return None;
        }
        let (subnet, gateway) = self.chosen_from?;
        self.entries
            .iter()
            .filter(|(address, entry)| is_fixed(subnet, gateway, **address) && entry.owners.contains(&component.name))
            .filter(|(address, _)| {
                self.held.get(address).is_none_or(|holders| holders.iter().all(|holder| **holder == component.name))
            })
            .max_by_key(|(address, entry)| (entry.count, std::cmp::Reverse(**address)))
            .map(|(address, _)| *address)
    }

    /// Whether its container is on the network with an address of the engine's choice: it stays so until replaced,
    /// and an entry for another address would lead nowhere.
    fn is_dynamic(&self, component: &Component) -> bool {
        let container = self.containers.get(&component.name);
        let endpoint = container.and_then(|container| container.networks.get(self.engine_name));
        endpoint.is_some_and(|endpoint| endpoint.fixed_address.is_none())
    }

    fn may_choose(&self, address: Ipv4Addr) -> bool {
        self.chosen_from.is_some_and(|(subnet, gateway)| is_host(subnet, address) && gateway != Some(address))
    }
}

/// The containers, those with their component's right name first: a replacement in progress leaves two.
fn in_order<'a>(observed: &'a Observed, members: &[&Component]) -> Vec<&'a ObservedContainer> {
    let right: BTreeSet<&str> = members.iter().map(|component| component.container_name.as_str()).collect();
    let mut containers: Vec<&ObservedContainer> = observed.everything().collect();
    containers.sort_by_key(|container| {
        (!right.contains(container.name.as_str()), container.created_at, container.id.clone())
    });
    containers
}
