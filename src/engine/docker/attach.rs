//! Networks of a new container: which go with the create call, which after it, and failing fast.
//!
//! A connection to an address with nobody behind it blocks in ARP: three solicitations, a second apart, then "no
//! route" after 3 s. With the neighbour retransmission time at 50 ms it takes 0.17 s (measured on 20.10.24, kernel
//! 6.x; the file then reads 52, whole ticks). What was tried there:
//!
//! * `net.ipv4.neigh.default.…` as the container's sysctl: the start fails, a network namespace of its own has no such
//!   file (`open /proc/sys/net/ipv4/neigh/default/retrans_time_ms: no such file or directory`).
//! * `net.ipv4.neigh.eth0.…`, `eth1` and so on, also for networks attached after the create call: accepted, and 52 is
//!   read on each; interfaces are made before the sysctls are written, and numbered from 0 in the order of attachment,
//!   the create call's own first. One interface too many and the start fails as above.
//!
//! A peer that was talked to and then went away is worse: its entry counts as reachable for some 30 s, then as one to be
//! asked in 5 s, and a connection hung for over 60 s (measured, 20.10.24, with the retransmission time set). With
//! entries that are good for 0.1 s and asked at once it fails after 1.2 s at first and 0.17 s from then on.
//!
//! From API 1.46 on the engine refuses a container's sysctl with an interface's name and takes one for the endpoint,
//! where `IFNAME` stands for the interface.

use std::collections::HashMap;

use bollard::models::{EndpointIpamConfig, EndpointSettings};

use super::connect::ApiVersion;
use crate::engine::request::{Attach, CreateContainer};

const INTERFACE_NAME: &str = "com.docker.network.endpoint.ifname";
const ENDPOINT_SYSCTLS: &str = "com.docker.network.endpoint.sysctls";
/// What is set of `net.ipv4.neigh.<interface>.`: in what steps an absent peer is asked for, for how long an answer is
/// good, and how long a doubtful one is used before it is asked again.
const NEIGHBOURS: [(&str, &str); 3] =
    [("retrans_time_ms", "50"), ("base_reachable_time_ms", "100"), ("delay_first_probe_time", "0")];

/// The attachments that the create call itself makes, and the rest, in order.
pub(super) fn split(networks: &[Attach], api: ApiVersion) -> (&[Attach], &[Attach]) {
    let first = if api >= ApiVersion::MANY_NETWORKS { networks.len() } else { networks.len().min(1) };
    networks.split_at(first)
}

/// One attachment as the engine wants it.
pub(super) fn endpoint(attach: &Attach, api: ApiVersion) -> EndpointSettings {
    let said = &attach.settings;
    let link_local = (!said.link_local_ips.is_empty()).then(|| said.link_local_ips.clone());
    let is_addressed = attach.address.is_some() || said.ipv6_address.is_some() || link_local.is_some();
    let addresses = is_addressed.then(|| EndpointIpamConfig {
        ipv4_address: attach.address.map(|address| address.to_string()),
        ipv6_address: said.ipv6_address.map(|address| address.to_string()),
        link_local_ips: link_local,
    });
    EndpointSettings {
        ipam_config: addresses,
        aliases: Some(attach.aliases.clone()),
        mac_address: said.mac_address.clone(),
        gw_priority: said.gw_priority,
        driver_opts: driver_opts(attach, api),
        ..Default::default()
    }
}

fn driver_opts(attach: &Attach, api: ApiVersion) -> Option<HashMap<String, String>> {
    let mut options: HashMap<String, String> = attach.settings.driver_opts.clone().into_iter().collect();
    if attach.fail_fast && api >= ApiVersion::ENDPOINT_SYSCTLS {
        let own = options.remove(ENDPOINT_SYSCTLS);
        let settings = neighbours("IFNAME").map(|(key, value)| format!("{key}={value}"));
        // The file's own come last, and win.
        let all: Vec<String> = settings.chain(own).collect();
        options.insert(ENDPOINT_SYSCTLS.to_owned(), all.join(","));
    }
    if let Some(name) = &attach.settings.interface_name {
        options.insert(INTERFACE_NAME.to_owned(), name.clone());
    }
    (!options.is_empty()).then_some(options)
}

/// What the file asks of an attachment and an engine of this version can't do.
pub(super) fn check(attach: &Attach, api: ApiVersion) -> Result<(), String> {
    let said = &attach.settings;
    let wanted = [
        ("mac_address", said.mac_address.is_some(), ApiVersion::MANY_NETWORKS),
        ("gw_priority", said.gw_priority.is_some(), ApiVersion::IMAGE_MOUNTS),
        ("interface_name", said.interface_name.is_some(), ApiVersion::INTERFACE_NAMES),
    ];
    let mut said = wanted.into_iter().filter(|(_, is_said, _)| *is_said);
    said.try_for_each(|(key, _, least)| api.require(least, &format!("{key} on network {} needs", attach.key)))
}

/// The attachment of a container, with the names that it has for others, and its hardware address on the first network.
pub(super) fn endpoint_of(attach: &Attach, request: &CreateContainer, api: ApiVersion) -> EndpointSettings {
    let settings = &request.spec.settings;
    let is_first = request.networks.first().is_some_and(|first| first.key == attach.key);
    EndpointSettings {
        links: (!settings.links.is_empty()).then(|| settings.links.clone()),
        mac_address: attach.settings.mac_address.clone().or(settings.mac_address.clone().filter(|_| is_first)),
        ..endpoint(attach, api)
    }
}

/// The container's own kernel parameters for failing fast, on engines without those of endpoints.
///
/// The numbers of interfaces are certain when all networks want it; with a mixture only the first network's is.
pub(super) fn sysctls(networks: &[Attach], api: ApiVersion) -> HashMap<String, String> {
    if api >= ApiVersion::ENDPOINT_SYSCTLS {
        return HashMap::new();
    }
    let interfaces = match networks {
        all if all.iter().all(|attach| attach.fail_fast) => all.len(),
        [first, ..] if first.fail_fast => 1,
        _ => 0,
    };
    let all = (0..interfaces).flat_map(|n| neighbours(&format!("eth{n}")).collect::<Vec<_>>());
    all.map(|(key, value)| (key, value.to_owned())).collect()
}

fn neighbours(interface: &str) -> impl Iterator<Item = (String, &'static str)> {
    NEIGHBOURS.into_iter().map(move |(key, value)| (format!("net.ipv4.neigh.{interface}.{key}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NetworkKey;

    fn attach(name: &str, fail_fast: bool) -> Attach {
        Attach {
            key: NetworkKey::new(name).unwrap(),
            network_id: format!("id-{name}"),
            network_name: format!("shop_{name}"),
            address: Some([10, 231, 0, 2].into()),
            settings: crate::cluster::EndpointSettings::default(),
            aliases: vec!["web".into()],
            fail_fast,
        }
    }

    #[test]
    fn old_engines_take_one_network_and_sysctls_by_interface() {
        let networks = [attach("a", true), attach("b", true)];
        let (first, rest) = split(&networks, ApiVersion::OLDEST);
        assert_eq!((first.len(), rest.len()), (1, 1));
        let mut keys: Vec<_> = sysctls(&networks, ApiVersion::OLDEST).into_keys().collect();
        keys.sort();
        assert_eq!(keys.len(), 6);
        assert_eq!(keys[2], "net.ipv4.neigh.eth0.retrans_time_ms");
        assert_eq!(keys[5], "net.ipv4.neigh.eth1.retrans_time_ms");
        assert_eq!(endpoint(&networks[0], ApiVersion::OLDEST).driver_opts, None);
    }

    #[test]
    fn new_engines_take_all_networks_and_settings_by_endpoint() {
        let networks = [attach("a", true), attach("b", false)];
        let api = ApiVersion::new(1, 46);
        assert_eq!(split(&networks, api).1.len(), 0);
        assert!(sysctls(&networks, api).is_empty());
        let options = endpoint(&networks[0], api).driver_opts.unwrap();
        assert_eq!(
            options[ENDPOINT_SYSCTLS],
            "net.ipv4.neigh.IFNAME.retrans_time_ms=50,net.ipv4.neigh.IFNAME.base_reachable_time_ms=100,\
             net.ipv4.neigh.IFNAME.delay_first_probe_time=0"
        );
        assert_eq!(endpoint(&networks[1], api).driver_opts, None);
    }

    #[test]
    fn only_certain_interfaces_are_set() {
        let set = |networks: &[Attach]| sysctls(networks, ApiVersion::OLDEST).len() / NEIGHBOURS.len();
        assert_eq!(set(&[attach("a", true), attach("b", false)]), 1);
        assert_eq!(set(&[attach("a", false), attach("b", true)]), 0);
        assert_eq!(set(&[]), 0);
    }
}
