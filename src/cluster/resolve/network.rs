//! Networks, and how a service is on them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::text::unknown;
use crate::cluster::{Network, NetworkAttachment};
use crate::compose::{self, Attachment, Diagnostic, Diagnostics, Project, Service, Spanned};
use crate::names::{ClusterName, NetworkKey, ServiceName};

/// The network of services that name none.
const DEFAULT: &str = "default";

/// The networks that a service's components are on; none with `network_mode`.
pub(super) fn attachments(
    project: &Project,
    service: &Service,
    problems: &mut Diagnostics,
) -> BTreeMap<NetworkKey, NetworkAttachment> {
    if service.network_mode.is_some() {
        return BTreeMap::new();
    }
    let Some(networks) = service.networks.as_ref().filter(|networks| !networks.is_empty()) else {
        return BTreeMap::from([(default_key(), NetworkAttachment::default())]);
    };
    for (key, attachment) in networks {
        if key.as_str() != DEFAULT && !project.networks.contains_key(key) {
            let known = project.networks.keys().map(NetworkKey::as_str);
            let hint = unknown(key.as_str(), known, "networks");
            problems.push(Diagnostic::error(&attachment.at, format!("network \"{key}\" is not defined")).hint(hint));
        }
    }
    let attach = |attachment: &Attachment| NetworkAttachment {
        aliases: attachment.aliases.clone(),
        ipv4_address: attachment.ipv4_address.as_ref().map(|address| address.value),
        settings: attachment.settings.clone(),
    };
    networks.iter().map(|(key, attachment)| (key.clone(), attach(attachment))).collect()
}

/// Reports fixed addresses which can't be had, `count` being the number of containers of a service.
pub(super) fn check_addresses(project: &Project, count: impl Fn(&ServiceName) -> usize, problems: &mut Diagnostics) {
    let mut owners: BTreeMap<(&NetworkKey, Ipv4Addr), (&ServiceName, &Spanned<Ipv4Addr>)> = BTreeMap::new();
    for (name, service) in &project.services {
        for (key, attachment) in service.networks.iter().flatten() {
            check_ipv6(project.networks.get(key), key, attachment, problems);
            let Some(address) = &attachment.ipv4_address else { continue };
            if count(name) > 1 {
                let message = format!("{} containers of \"{name}\" can't have the one address", count(name));
                problems
                    .push(Diagnostic::error(&address.at, message).hint("remove ipv4_address, or run one container"));
            }
            if let Some((other, first)) = owners.insert((key, address.value), (name, address)) {
                let message =
                    format!("{} is the address of \"{name}\" and of \"{other}\" ({})", address.value, first.at);
                problems.push(Diagnostic::error(&address.at, message).hint("give one of them another address"));
            }
            check_address(project.networks.get(key), key, address, problems);
        }
    }
}

/// The engine takes fixed addresses from a subnet that was given only.
fn check_ipv6(
    network: Option<&compose::Network>,
    key: &NetworkKey,
    attachment: &Attachment,
    problems: &mut Diagnostics,
) {
    let Some(at) = &attachment.ipv6_at else { return };
    if network.is_some_and(|network| network.external || network.ipam.ipv6.is_some()) {
        return;
    }
    let message = format!("a fixed IPv6 address needs an IPv6 subnet, and network \"{key}\" has none");
    let hint = "add enable_ipv6: true and ipam: { config: [{ subnet: fd00:…::/64 }] } to it";
    problems.push(Diagnostic::error(at, message).hint(hint));
}

fn check_address(
    network: Option<&compose::Network>,
    key: &NetworkKey,
    address: &Spanned<Ipv4Addr>,
    problems: &mut Diagnostics,
) {
    if network.is_some_and(|network| network.external) {
        return;
    }
    let Some(subnet) = network.and_then(|network| network.subnet.as_ref()) else {
        let message = format!("a fixed address needs a subnet, and network \"{key}\" has none");
        problems.push(Diagnostic::error(&address.at, message).hint(
            "add ipam: { config: [{ subnet: … }] } to it, or remove ipv4_address: convoke fixes addresses itself",
        ));
        return;
    };
    let gateway = network.and_then(|network| network.gateway.as_ref()).map(|gateway| gateway.value);
    let more = network.iter().flat_map(|network| &network.ipam.more);
    let in_another = |pool: &compose::IpPool| {
        let gateway = pool.gateway.as_ref().and_then(|gateway| gateway.parse().ok());
        pool.subnet.contains('.') && misfit(&pool.subnet, gateway, address.value).is_none()
    };
    if let Some(why) = misfit(&subnet.value, gateway, address.value)
        && !more.into_iter().any(in_another)
    {
        let message = format!("{} is {why} {} of network \"{key}\"", address.value, subnet.value);
        problems.push(Diagnostic::error(&address.at, message).hint(format!("the subnet is at {}", subnet.at)));
    }
}

/// What keeps a container from having the address in the subnet (CIDR). A subnet of another form was refused before.
fn misfit(subnet: &str, gateway: Option<Ipv4Addr>, address: Ipv4Addr) -> Option<&'static str> {
    let (base, prefix) = subnet.split_once('/')?;
    let (base, prefix) = (u32::from(base.parse::<Ipv4Addr>().ok()?), prefix.parse::<u32>().ok()?);
    let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix)).unwrap_or(0);
    let (first, last) = (base & mask, base | !mask);
    let has_ends = prefix < 31;
    // The engine takes the first address for itself where the file doesn't say which.
    let gateway = gateway.map_or(first | 1, u32::from);
    let address = u32::from(address);
    if address & mask != first {
        Some("not in the subnet")
    } else if has_ends && address == first {
        Some("the network's own address in the subnet")
    } else if has_ends && address == last {
        Some("the broadcast address of the subnet")
    } else if has_ends && address == gateway {
        Some("the gateway of the subnet")
    } else {
        None
    }
}

/// The networks that some component is on.
pub(super) fn used<'a>(project: &Project, keys: impl Iterator<Item = &'a NetworkKey>) -> BTreeMap<NetworkKey, Network> {
    keys.map(|key| (key.clone(), network(&project.name, key, project.networks.get(key)))).collect()
}

fn network(cluster: &ClusterName, key: &NetworkKey, written: Option<&compose::Network>) -> Network {
    let external = written.is_some_and(|network| network.external);
    let usual = if external { key.to_string() } else { format!("{cluster}_{key}") };
    Network {
        key: key.clone(),
        engine_name: written.and_then(|network| network.name.clone()).unwrap_or(usual),
        external,
        driver: written.and_then(|network| network.driver.as_ref()).map(|driver| driver.value.clone()),
        driver_opts: written.map(|network| network.driver_opts.clone().into_iter().collect()).unwrap_or_default(),
        internal: written.is_some_and(|network| network.internal),
        attachable: written.is_some_and(|network| network.attachable),
        labels: written.map(|network| network.labels.clone().into_iter().collect()).unwrap_or_default(),
        subnet: written.and_then(|network| network.subnet.as_ref()).map(|subnet| subnet.value.clone()),
        gateway: written.and_then(|network| network.gateway.as_ref()).map(|gateway| gateway.value.to_string()),
        ipam: written.map(|network| network.ipam.clone()).unwrap_or_default(),
    }
}

fn default_key() -> NetworkKey {
    NetworkKey::new(DEFAULT).expect("a valid name")
}
