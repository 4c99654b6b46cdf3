//! Which subnets are in use, and whether a network's subnet was chosen by somebody.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use bollard::models::{Ipam, Network};

use crate::engine::{Subnet, labels};

/// Where an engine takes subnets from when none is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AddressPool {
    /// The whole.
    pub(super) base: Subnet,
    /// Length of the prefix of each subnet taken from it.
    pub(super) prefix: u8,
}

/// The pools of an engine whose configuration doesn't name any.
pub(super) fn default_pools() -> Vec<AddressPool> {
    let pool =
        |a, b, length, prefix| AddressPool { base: Subnet { base: Ipv4Addr::new(a, b, 0, 0), prefix: length }, prefix };
    vec![pool(172, 16, 12, 16), pool(192, 168, 16, 20)]
}

/// The IPv4 subnets of a network.
pub(super) fn of_network(network: &Network) -> impl Iterator<Item = Subnet> {
    let config = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    config.into_iter().flatten().filter_map(|entry| entry.subnet.as_deref()?.parse().ok())
}

/// Whether fixed addresses are allowed on a network: the engine takes them only where the subnet was given.
///
/// The engine doesn't say it outright. What shows: convoke's own label, a range (which is never made up), a missing
/// gateway (the engine fills it in for the subnets that it picks), and a subnet which isn't one of its pools'.
pub(super) fn is_configured(network: &Network, pools: &[AddressPool]) -> bool {
    let predefined = matches!(network.name.as_deref(), Some("bridge" | "host" | "none"));
    let marked = network.labels.as_ref().is_some_and(|all| all.contains_key(labels::ADDRESSED));
    !predefined && (marked || network.ipam.as_ref().is_some_and(|ipam| shows_a_choice(ipam, pools)))
}

fn shows_a_choice(ipam: &Ipam, pools: &[AddressPool]) -> bool {
    ipam.config.iter().flatten().any(|entry| {
        let Some(subnet) = entry.subnet.as_deref().and_then(|text| text.parse::<Subnet>().ok()) else { return false };
        let from_pool = pools.iter().any(|pool| pool.prefix == subnet.prefix && pool.base.contains(subnet.base));
        let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        given(&entry.ip_range) || !given(&entry.gateway) || !from_pool
    })
}

/// All subnets that a new network must keep clear of.
pub(super) fn in_use(networks: &[Network], routes: &str) -> Vec<Subnet> {
    let all: BTreeSet<Subnet> = networks.iter().flat_map(of_network).chain(of_routes(routes)).collect();
    all.into_iter().collect()
}

/// Parses `/proc/net/route`. The default route is no obstacle, nor are the two halves that VPN clients split it in.
fn of_routes(table: &str) -> impl Iterator<Item = Subnet> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let destination = u32::from_be(u32::from_str_radix(fields.nth(1)?, 16).ok()?);
        let mask = u32::from_be(u32::from_str_radix(fields.nth(5)?, 16).ok()?);
        let prefix = u8::try_from(mask.leading_ones()).ok()?;
        (prefix >= 8).then(|| Subnet { base: Ipv4Addr::from(destination & mask), prefix })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::IpamConfig;
    use std::collections::HashMap;

    fn network(name: &str, subnet: &str, gateway: Option<&str>, range: Option<&str>) -> Network {
        let entry = IpamConfig {
            subnet: Some(subnet.into()),
            gateway: gateway.map(Into::into),
            ip_range: range.map(Into::into),
            ..Default::default()
        };
        let ipam = Ipam { config: Some(vec![entry]), ..Default::default() };
        Network { name: Some(name.into()), ipam: Some(ipam), ..Default::default() }
    }

    #[test]
    fn subnets_of_networks_and_routes() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                      eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      tun0\t00000080\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n\
                      docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                      eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\nnonsense\n";
        let networks = [network("bridge", "172.17.0.0/16", None, None), network("x", "fd00::/64", None, None)];
        let all: Vec<String> = in_use(&networks, routes).iter().map(ToString::to_string).collect();
        assert_eq!(all, ["172.17.0.0/16", "192.0.2.0/24"]);
    }

    /// The answers of 20.10.24 to networks made in these ways.
    #[test]
    fn which_subnets_were_chosen() {
        let chosen = |network: &Network| is_configured(network, &default_pools());
        assert!(!chosen(&network("auto", "172.20.0.0/16", Some("172.20.0.1"), None)));
        assert!(!chosen(&network("bridge", "172.17.0.0/16", None, None)));
        assert!(chosen(&network("subnet only", "172.20.0.0/16", None, None)));
        assert!(chosen(&network("own range", "10.240.9.0/24", Some("10.240.9.1"), None)));
        assert!(chosen(&network("range", "172.20.0.0/16", Some("172.20.0.1"), Some("172.20.1.0/24"))));
        let mut ours = network("ours", "172.20.0.0/16", Some("172.20.0.1"), None);
        ours.labels = Some(HashMap::from([(labels::ADDRESSED.to_owned(), String::new())]));
        assert!(chosen(&ours));
    }
}
