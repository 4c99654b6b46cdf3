//! Networks, addresses and host ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::clock::timestamp;
use super::container::{Attachment, Container};
use super::world::{Trouble, World};
use crate::cluster::PortBinding;
use crate::engine::{Attach, CreateNetwork, ErrorKind, ObservedNetwork, Status, Subnet};
use crate::names::ContainerId;

/// The first host port that the engine picks by itself.
const FIRST_DYNAMIC_PORT: u16 = 49_153;

/// A network of the world.
#[derive(Debug, Clone)]
pub(super) struct FakeNetwork {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    driver: String,
    subnet: Option<Subnet>,
    subnet_configured: bool,
    gateway: Option<Ipv4Addr>,
    ip_range: Option<Subnet>,
    created_at: Duration,
    /// Orders networks that were made at the same instant.
    number: usize,
    /// Names of containers that are gone, and that an old engine still counts.
    stale: BTreeSet<String>,
    /// The engine counts one container more than there is, and lets the network go only after its own restart.
    is_miscounted: bool,
}

impl FakeNetwork {
    fn observed(&self) -> ObservedNetwork {
        ObservedNetwork {
            id: self.id.clone(),
            name: self.name.clone(),
            labels: self.labels.clone(),
            driver: self.driver.clone(),
            subnet: self.subnet,
            subnet_configured: self.subnet_configured,
            gateway: self.gateway,
            created_at: Some(timestamp(self.created_at)),
        }
    }
}

/// The subnets that the engine gives when none is asked for, as 20.10 has them.
fn default_pool() -> impl Iterator<Item = Subnet> {
    let large = (18..32).map(|n| Subnet { base: Ipv4Addr::new(172, n, 0, 0), prefix: 16 });
    let small = (0..16).map(|n| Subnet { base: Ipv4Addr::new(192, 168, n * 16, 0), prefix: 20 });
    large.chain(small)
}

impl World {
    /// The networks that every engine has.
    pub(super) fn add_default_networks(&mut self) {
        for (name, subnet) in [("bridge", Some("172.17.0.0/16")), ("host", None), ("none", None)] {
            let subnet: Option<Subnet> = subnet.and_then(|text| text.parse().ok());
            let driver = if name == "none" { "null" } else { name };
            self.add_network(name, BTreeMap::new(), driver, subnet, false);
        }
    }

    fn add_network(
        &mut self,
        name: &str,
        labels: BTreeMap<String, String>,
        driver: &str,
        subnet: Option<Subnet>,
        subnet_configured: bool,
    ) -> &mut FakeNetwork {
        let id = self.ids_rng.id();
        let network = FakeNetwork {
            id: id.clone(),
            name: name.to_owned(),
            labels,
            driver: driver.to_owned(),
            subnet,
            subnet_configured,
            gateway: subnet.and_then(|subnet| subnet.address(1)),
            ip_range: None,
            created_at: self.now,
            number: self.networks.len(),
            stale: BTreeSet::new(),
            is_miscounted: false,
        };
        self.networks.entry(id).or_insert(network)
    }

    /// `create_network`.
    pub(super) fn make_network(&mut self, request: &CreateNetwork) -> Result<String, Trouble> {
        if self.unique_network_names && self.networks.values().any(|network| network.name == request.name) {
            return Err((ErrorKind::NameTaken, format!("network with name {} already exists", request.name)));
        }
        let taken = |subnet: Subnet| {
            let mut subnets = self.networks.values().filter_map(|network| network.subnet);
            subnets.any(|other| other.overlaps(subnet))
        };
        let subnet = match request.subnet {
            Some(subnet) if taken(subnet) => {
                return Err((ErrorKind::PoolOverlaps, "Pool overlaps with other one on this address space".to_owned()));
            }
            Some(subnet) => subnet,
            None => default_pool()
                .find(|subnet| !taken(*subnet) && !self.routes.iter().any(|route| route.overlaps(*subnet)))
                .ok_or_else(|| {
                    let text = "could not find an available, non-overlapping IPv4 address pool among the defaults";
                    (ErrorKind::PoolExhausted, text.to_owned())
                })?,
        };
        let driver = request.driver.as_deref().unwrap_or("bridge");
        let configured = request.subnet.is_some();
        let network = self.add_network(&request.name, request.labels.clone(), driver, Some(subnet), configured);
        network.gateway = request.gateway.or(network.gateway);
        network.ip_range = request.ip_range;
        Ok(network.id.clone())
    }

    /// `remove_network`; one that is gone is success.
    pub(super) fn drop_network(&mut self, id: &str) -> Result<(), Trouble> {
        let Some(network) = self.networks.get(id).cloned() else { return Ok(()) };
        self.check_ours("removed network", &network.name, &network.labels);
        if network.is_miscounted || !self.members(id).is_empty() {
            let text = format!("error while removing network: network {} id {id} has active endpoints", network.name);
            return Err((ErrorKind::InUse, text));
        }
        self.networks.remove(id);
        Ok(())
    }

    /// Names of what is on the network, or was.
    pub(super) fn members(&self, id: &str) -> Vec<String> {
        let up = |container: &Container| matches!(container.status, Status::Running | Status::Paused);
        let on = |container: &&Container| up(container) && container.endpoints.iter().any(|at| at.network_id == id);
        let there = self.containers.values().filter(on).map(|container| container.name.clone());
        there.chain(self.networks.get(id).into_iter().flat_map(|network| network.stale.iter().cloned())).collect()
    }

    /// `disconnect`; one that isn't on it is success.
    pub(super) fn disconnect(&mut self, id: &str, member: &str) {
        if let Some(network) = self.networks.get_mut(id) {
            network.stale.remove(member);
        }
        let is = |container: &&Container| container.name == member || container.id.as_str() == member;
        let Some(container) = self.containers.values().find(is) else { return };
        let (at, labels) = (container.id.clone(), container.labels.clone());
        self.check_ours("took off its network", member, &labels);
        self.take_off(&at, id);
    }

    /// A container loses its place on a network, whoever does it. No event tells of it: they are about containers only.
    pub(super) fn take_off(&mut self, container: &ContainerId, network: &str) {
        if let Some(container) = self.containers.get_mut(container) {
            container.endpoints.retain(|at| at.network_id != network);
            self.dirty = true;
        }
    }

    /// `connect`; one that is on it already is success.
    pub(super) fn connect(&mut self, id: &ContainerId, attach: &Attach) -> Result<(), Trouble> {
        let container = self.container(id)?;
        if matches!(container.status, Status::Removing | Status::Dead) {
            let text = format!("Container {} is marked for removal and cannot be connected to a network", id.short());
            return Err((ErrorKind::Conflict, text));
        }
        if container.endpoints.iter().any(|at| at.network_id == attach.network_id) {
            return Ok(());
        }
        let (name, labels, is_up) = (container.name.clone(), container.labels.clone(), !container.rests());
        let Some(network) = self.networks.get(&attach.network_id) else {
            return Err((ErrorKind::NotFound, format!("network {} not found", attach.network_id)));
        };
        let address = match (is_up, attach.address) {
            (false, _) => None,
            (true, Some(address)) => Some(self.check_fixed(network, address)?),
            (true, None) => Some(self.free_address(network)?),
        };
        let attachment = Attachment {
            network_id: network.id.clone(),
            network_name: network.name.clone(),
            fixed: attach.address,
            address,
            aliases: attach.aliases.clone(),
        };
        self.check_ours("put on a network", &name, &labels);
        self.container(id)?.endpoints.push(attachment);
        self.progress();
        self.dirty = true;
        Ok(())
    }

    /// The networks of this name go on counting a container that is gone.
    pub(super) fn leave_behind(&mut self, network: &str, member: &str) {
        for one in self.networks.values_mut().filter(|one| one.name == network) {
            one.stale.insert(member.to_owned());
        }
    }

    /// The networks of this name are counted wrong.
    pub(super) fn miscount(&mut self, network: &str) {
        self.networks.values_mut().filter(|one| one.name == network).for_each(|one| one.is_miscounted = true);
    }

    /// Every network, oldest first.
    pub(super) fn observed_networks(&self) -> Vec<ObservedNetwork> {
        let mut networks: Vec<&FakeNetwork> = self.networks.values().collect();
        networks.sort_by_key(|network| (network.created_at, network.number));
        networks.into_iter().map(FakeNetwork::observed).collect()
    }

    /// Subnets of all networks and of the host's routes.
    pub(super) fn subnets_in_use(&self) -> Vec<Subnet> {
        let networks = self.networks.values().filter_map(|network| network.subnet);
        let mut subnets: Vec<Subnet> = networks.chain(self.routes.iter().copied()).collect();
        subnets.sort_unstable();
        subnets.dedup();
        subnets
    }

    /// Addresses for a container that starts, in the order of its attachments. The real engine finds a conflict only
    /// now, not when the container is made.
    pub(super) fn hand_out_addresses(&self, id: &ContainerId) -> Result<Vec<(String, Ipv4Addr)>, Trouble> {
        let Some(container) = self.containers.get(id) else { return Ok(Vec::new()) };
        let made_with = container.request.as_ref().map(|request| request.networks.as_slice()).unwrap_or_default();
        if made_with.iter().any(|at| at.fail_fast) && container.endpoints.len() < made_with.len() {
            // 20.10 sets kernel parameters of interfaces by number.
            let interface = container.endpoints.len();
            let text = format!("open /proc/sys/net/ipv4/neigh/eth{interface}/retrans_time_ms: no such file");
            return Err((ErrorKind::Rejected, text));
        }
        let mut addresses = Vec::new();
        for (index, at) in container.endpoints.iter().enumerate() {
            // The first one is looked up by its name, the others by their ids.
            let network =
                if index == 0 { self.only_network(&at.network_name)? } else { self.networks.get(&at.network_id) };
            let Some(network) = network else {
                return Err((ErrorKind::NotFound, format!("network {} not found", at.network_name)));
            };
            let address = match at.fixed {
                Some(address) => self.check_fixed(network, address)?,
                None => self.free_address(network)?,
            };
            addresses.push((network.id.clone(), address));
        }
        Ok(addresses)
    }

    fn only_network(&self, name: &str) -> Result<Option<&FakeNetwork>, Trouble> {
        let mut of_name = self.networks.values().filter(|network| network.name == name);
        match (of_name.next(), of_name.count()) {
            (found, 0) => Ok(found),
            (_, more) => {
                let text = format!("network {name} is ambiguous ({} matches found on name)", more + 1);
                Err((ErrorKind::Conflict, text))
            }
        }
    }

    fn address_in_use(&self, network: &FakeNetwork, address: Ipv4Addr) -> bool {
        network.gateway == Some(address)
            || self
                .containers
                .values()
                .flat_map(|container| &container.endpoints)
                .any(|at| at.network_id == network.id && at.address == Some(address))
    }

    fn check_fixed(&self, network: &FakeNetwork, address: Ipv4Addr) -> Result<Ipv4Addr, Trouble> {
        if !network.subnet_configured {
            let text = "user specified IP address is supported only when connecting to networks with user configured \
                        subnets";
            return Err((ErrorKind::Rejected, text.to_owned()));
        }
        if !network.subnet.is_some_and(|subnet| subnet.contains(address)) {
            let text = format!("Invalid address {address}: It does not belong to any of this network's subnets");
            return Err((ErrorKind::AddressTaken, text));
        }
        if self.address_in_use(network, address) {
            return Err((ErrorKind::AddressTaken, "Address already in use".to_owned()));
        }
        Ok(address)
    }

    fn free_address(&self, network: &FakeNetwork) -> Result<Ipv4Addr, Trouble> {
        let Some(range) = network.ip_range.or(network.subnet) else { return Ok(Ipv4Addr::UNSPECIFIED) };
        let subnet = network.subnet.unwrap_or(range);
        let (first, last) = (subnet.address(0), u32::try_from(subnet.size() - 1).ok().and_then(|n| subnet.address(n)));
        let size = u32::try_from(range.size()).unwrap_or(u32::MAX);
        (0..size)
            .filter_map(|n| range.address(n))
            .find(|address| {
                Some(*address) != first && Some(*address) != last && !self.address_in_use(network, *address)
            })
            .ok_or_else(|| (ErrorKind::PoolExhausted, "no available IPv4 addresses on this network's pool".to_owned()))
    }

    /// Host ports for a container that starts.
    pub(super) fn bind_ports(&self, id: &ContainerId) -> Result<Vec<PortBinding>, Trouble> {
        let Some(request) = self.containers.get(id).and_then(|container| container.request.as_ref()) else {
            return Ok(Vec::new());
        };
        let mut bound: Vec<PortBinding> = Vec::new();
        for port in &request.spec.ports {
            let mut port = port.clone();
            port.host_ip = Some(port.host_ip.unwrap_or(request.publish_address));
            match port.host_port.filter(|number| *number != 0) {
                Some(number) if self.port_in_use(&port, number, &bound) => {
                    let ip = port.host_ip.unwrap_or(request.publish_address);
                    return Err((
                        ErrorKind::PortTaken,
                        format!("Bind for {ip}:{number} failed: port is already allocated"),
                    ));
                }
                Some(_) => {}
                None => {
                    let mut free = FIRST_DYNAMIC_PORT..=u16::MAX;
                    port.host_port = free.find(|number| !self.port_in_use(&port, *number, &bound));
                }
            }
            bound.push(port);
        }
        Ok(bound)
    }

    fn port_in_use(&self, wanted: &PortBinding, number: u16, bound: &[PortBinding]) -> bool {
        let meets = |a: Option<IpAddr>, b: Option<IpAddr>| match (a, b) {
            (Some(a), Some(b)) => a == b || a.is_unspecified() || b.is_unspecified(),
            _ => true,
        };
        self.busy_ports.contains(&number)
            || self.containers.values().flat_map(|container| &container.bound).chain(bound).any(|other| {
                other.host_port == Some(number)
                    && other.protocol == wanted.protocol
                    && meets(other.host_ip, wanted.host_ip)
            })
    }

    /// Whether a name that a container looks up has an address: in its hosts file, or as a name of a running peer.
    pub(super) fn resolves(&self, id: &ContainerId, name: &str) -> bool {
        let Some(container) = self.containers.get(id) else { return false };
        let in_hosts = container.request.as_ref().is_some_and(|request| {
            let own = request.spec.extra_hosts.iter().map(|(host, _)| host);
            own.chain(request.hosts.iter().map(|(host, _)| host)).any(|host| host == name)
        });
        let networks: Vec<&str> = container.endpoints.iter().map(|at| at.network_id.as_str()).collect();
        in_hosts
            || self.containers.values().filter(|peer| peer.runs()).any(|peer| {
                peer.endpoints.iter().any(|at| {
                    networks.contains(&at.network_id.as_str())
                        && (peer.name == name || at.aliases.iter().any(|alias| alias == name))
                })
            })
    }
}
