use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::cluster::{Cluster, Component, sample};
use crate::engine::{ContainerState, Endpoint, Observed, ObservedContainer, ObservedNetwork, Status, Subnet};
use crate::names::{ComponentName, NetworkKey};

fn key(name: &str) -> NetworkKey {
    name.parse().unwrap()
}

fn name(name: &str) -> ComponentName {
    name.parse().unwrap()
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 231, 0, last)
}

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

/// The n-th network as made by convoke: 10.231.n.0/24.
fn observed_network(cluster: &Cluster, key: &NetworkKey, n: u8) -> ObservedNetwork {
    ObservedNetwork {
        id: format!("id-{key}"),
        name: cluster.networks[key].engine_name.clone(),
        driver: "bridge".into(),
        subnet: Some(subnet(&format!("10.231.{n}.0/24"))),
        subnet_configured: true,
        gateway: Some(Ipv4Addr::new(10, 231, n, 1)),
        ..ObservedNetwork::default()
    }
}

fn networks(cluster: &Cluster) -> BTreeMap<NetworkKey, ObservedNetwork> {
    let numbered = cluster.networks.keys().zip(0u8..);
    numbered.map(|(key, n)| (key.clone(), observed_network(cluster, key, n))).collect()
}

/// The container that convoke would have made.
fn container(cluster: &Cluster, component: &Component, addressing: &Addressing) -> ObservedContainer {
    let own = addressing.addresses.get(&component.name);
    let endpoint = |key: &NetworkKey| {
        let fixed_address = own.and_then(|own| own.get(key)).copied();
        Endpoint { network_id: format!("id-{key}"), address: fixed_address, fixed_address, ..Endpoint::default() }
    };
    let hosts = addressing.hosts.get(&component.name).into_iter().flatten();
    let id = format!("id-{}", component.name).parse().unwrap();
    let made = ObservedContainer::made(id, component.container_name.clone(), component.name.clone());
    ObservedContainer {
        state: ContainerState { status: Status::Running, ..made.state.clone() },
        networks: component
            .spec
            .networks
            .keys()
            .map(|key| (cluster.networks[key].engine_name.clone(), endpoint(key)))
            .collect(),
        extra_hosts: hosts.map(|(name, address)| (name.clone(), address.to_string())).collect(),
        ..made
    }
}

fn observe(cluster: &Cluster, addressing: &Addressing, which: impl Fn(&ComponentName) -> bool) -> Observed {
    let made = cluster.components.values().filter(|component| which(&component.name));
    Observed { containers: made.map(|c| container(cluster, c, addressing)).collect(), ..Observed::default() }
}

fn three() -> Cluster {
    sample::cluster(["a", "b", "c"].map(|name| sample::component(name, &["default"])))
}

fn addresses_of(addressing: &Addressing, network: &str) -> BTreeMap<String, Ipv4Addr> {
    let found = addressing.addresses.iter().filter_map(|(name, on)| Some((name.to_string(), *on.get(&key(network))?)));
    found.collect()
}

#[test]
fn a_new_cluster_gets_the_lowest_addresses_and_everybody_knows_the_others() {
    let cluster = three();
    let addressing = assign(&cluster, &networks(&cluster), &Observed::default());
    let expected = [("a", ip(2)), ("b", ip(3)), ("c", ip(4))].map(|(name, ip)| (name.to_owned(), ip));
    assert_eq!(addresses_of(&addressing, "default"), expected.into());
    let hosts: Vec<String> = addressing.hosts[&name("b")].iter().map(|(name, ip)| format!("{name} {ip}")).collect();
    assert_eq!(hosts, ["a 10.231.0.2", "c 10.231.0.4", "test-a-1 10.231.0.2", "test-c-1 10.231.0.4"]);
}

#[test]
fn a_replaced_component_gets_the_address_that_its_peers_know() {
    let cluster = three();
    let before = assign(&cluster, &networks(&cluster), &Observed::default());
    // The file now has one more, which comes first by name.
    let mut components: Vec<Component> = cluster.components.values().cloned().collect();
    components.push(sample::component("0", &["default"]));
    let grown = sample::cluster(components);
    let observed = observe(&cluster, &before, |name| name.as_str() == "c");
    let after = addresses_of(&assign(&grown, &networks(&grown), &observed), "default");
    assert_eq!((after["a"], after["b"], after["c"], after["0"]), (ip(2), ip(3), ip(4), ip(5)));
}

#[test]
fn an_address_is_not_reused_while_an_entry_names_somebody_else() {
    let cluster = three();
    let before = assign(&cluster, &networks(&cluster), &Observed::default());
    // `a` left the file and its container is gone; `c` still has an entry for it.
    let now = sample::cluster(["b", "c", "d"].map(|name| sample::component(name, &["default"])));
    let observed = observe(&cluster, &before, |name| name.as_str() == "c");
    let after = addresses_of(&assign(&now, &networks(&now), &observed), "default");
    assert_eq!((after["b"], after["c"], after["d"]), (ip(3), ip(4), ip(5)));
}

#[test]
fn an_orphan_keeps_its_address() {
    let cluster = three();
    let before = assign(&cluster, &networks(&cluster), &Observed::default());
    let now = sample::cluster([sample::component("d", &["default"])]);
    let mut observed = observe(&cluster, &before, |name| name.as_str() == "a");
    observed.containers[0].extra_hosts.clear();
    assert_eq!(addresses_of(&assign(&now, &networks(&now), &observed), "default")["d"], ip(3));
}

#[test]
fn the_address_of_the_file_wins() {
    let mut cluster = three();
    let before = assign(&cluster, &networks(&cluster), &Observed::default());
    let observed = observe(&cluster, &before, |name| name.as_str() != "c");
    let c = cluster.components.get_mut(&name("c")).unwrap();
    c.spec.networks.get_mut(&key("default")).unwrap().ipv4_address = Some(ip(2));
    let after = addresses_of(&assign(&cluster, &networks(&cluster), &observed), "default");
    assert_eq!((after["a"], after["b"], after["c"]), (ip(5), ip(3), ip(2)));
}

#[test]
fn a_container_with_a_dynamic_address_stays_with_dns() {
    let cluster = three();
    let mut observed = observe(&cluster, &Addressing::default(), |name| name.as_str() == "a");
    let endpoint = observed.containers[0].networks.get_mut("test_default").unwrap();
    endpoint.address = Some(ip(200));
    let addressing = assign(&cluster, &networks(&cluster), &observed);
    assert!(!addressing.addresses.contains_key(&name("a")));
    assert!(addressing.hosts[&name("b")].iter().all(|(name, _)| name.starts_with('c') || name == "test-c-1"));
}

#[test]
fn networks_that_convoke_does_not_address_have_no_addresses() {
    let cluster = three();
    for spoil in [0, 1, 2, 3] {
        let mut cluster = cluster.clone();
        let mut networks = networks(&cluster);
        let observed = networks.get_mut(&key("default")).unwrap();
        match spoil {
            0 => observed.subnet_configured = false,
            1 => observed.driver = "macvlan".into(),
            2 => observed.subnet = None,
            _ => cluster.networks.get_mut(&key("default")).unwrap().external = true,
        }
        assert_eq!(assign(&cluster, &networks, &Observed::default()), Addressing::default(), "{spoil}");
    }
    assert_eq!(assign(&cluster, &BTreeMap::new(), &Observed::default()), Addressing::default());
}

#[test]
fn names_with_several_owners_stay_with_dns() {
    let mut replicas = ["web-1", "web-2"].map(|name| sample::component(name, &["default"]));
    for replica in &mut replicas {
        replica.service = "web".parse().unwrap();
    }
    let mut alias = sample::component("db", &["default"]);
    alias.spec.networks.get_mut(&key("default")).unwrap().aliases = vec!["Store".into(), "WEB-2".into()];
    let client = sample::component("client", &["default"]);
    let cluster = sample::cluster(replicas.into_iter().chain([alias, client]));
    let addressing = assign(&cluster, &networks(&cluster), &Observed::default());
    let names: Vec<&str> = addressing.hosts[&name("client")].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["db", "Store", "test-db-1", "test-web-1-1", "test-web-2-1", "web-1"]);
}

#[test]
fn a_peer_on_two_networks_has_one_entry_and_one_on_none_has_none() {
    let mut client = sample::component("client", &["back", "front"]);
    client.spec.extra_hosts = vec![("legacy".into(), "192.0.2.1".into())];
    let cluster = sample::cluster([
        sample::component("both", &["back", "front"]),
        client,
        sample::component("elsewhere", &["far"]),
        sample::component("legacy", &["back"]),
    ]);
    let addressing = assign(&cluster, &networks(&cluster), &Observed::default());
    let hosts = &addressing.hosts[&name("client")];
    let names: Vec<&str> = hosts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["both", "test-both-1", "test-legacy-1"]);
    assert_eq!(hosts[0].1, addressing.addresses[&name("both")][&key("back")]);
}

#[test]
fn a_full_subnet_leaves_the_rest_to_dns() {
    let cluster = sample::cluster((0..200).map(|n| sample::component(&format!("c{n:03}"), &["default"])));
    let addressing = assign(&cluster, &networks(&cluster), &Observed::default());
    assert_eq!(addressing.addresses.len(), 190);
    assert!(!addressing.hosts[&name("c000")].iter().any(|(name, _)| name == "c199"));
}

#[test]
fn candidates_skip_what_is_in_use() {
    let cluster = "demo".parse().unwrap();
    let all = |in_use: &[Subnet], n| {
        subnet_candidates(in_use, DEFAULT_POOL, &cluster, &key("default"), n).collect::<Vec<_>>()
    };
    let free = all(&[], 10);
    assert_eq!(free.len(), 256);
    let first = free[0];
    assert_eq!(first.subnet.prefix, 24);
    assert_eq!(first.subnet.address(1), Some(first.gateway));
    assert_eq!(first.ip_range, Subnet { base: first.subnet.address(192).unwrap(), prefix: 26 });
    assert_eq!(all(&[first.subnet], 10)[0], free[1]);
    assert_eq!(all(&[subnet("10.0.0.0/8")], 10), []);
    assert_eq!(all(&[subnet("10.231.0.0/17")], 10).len(), 128);
    assert_eq!((all(&[], 190)[0].subnet.prefix, all(&[], 191)[0].subnet.prefix), (24, 23));
    assert_eq!(all(&[], 5000)[0].subnet.prefix, 19);
    let other = subnet_candidates(&[], DEFAULT_POOL, &cluster, &key("other"), 1).next().unwrap();
    assert_ne!(other, first);
}

#[test]
fn a_small_pool_is_divided_as_far_as_it_goes() {
    let cluster = "demo".parse().unwrap();
    let of = |pool| subnet_candidates(&[], subnet(pool), &cluster, &key("default"), 10).collect::<Vec<_>>();
    assert_eq!(of("192.168.7.0/26").len(), 1);
    assert_eq!(of("192.168.7.0/26")[0].ip_range, subnet("192.168.7.48/28"));
    assert_eq!(of("192.168.7.0/30"), []);
    assert_eq!(subnet_candidates(&[], subnet("0.0.0.0/0"), &cluster, &key("x"), 1).count(), 1 << 24);
}

/// A cluster of up to twelve components on one or both of two networks.
fn clusters() -> impl Strategy<Value = Cluster> {
    let member = (0u8..12, prop_oneof![Just(vec!["x"]), Just(vec!["y"]), Just(vec!["x", "y"])]);
    prop::collection::vec(member, 1..12).prop_map(|members| {
        sample::cluster(members.into_iter().map(|(n, networks)| sample::component(&format!("c{n}"), &networks)))
    })
}

fn check(cluster: &Cluster, addressing: &Addressing) -> Result<(), TestCaseError> {
    let networks = networks(cluster);
    for (key, network) in &networks {
        let given = addresses_of(addressing, key.as_str());
        let distinct: BTreeSet<&Ipv4Addr> = given.values().collect();
        prop_assert_eq!(distinct.len(), given.len(), "an address twice");
        for address in given.values() {
            let last = address.octets()[3];
            prop_assert!(network.subnet.unwrap().contains(*address) && (2..192).contains(&last));
        }
    }
    for (viewer, lines) in &addressing.hosts {
        let distinct: BTreeSet<&String> = lines.iter().map(|(name, _)| name).collect();
        prop_assert_eq!(distinct.len(), lines.len(), "a name twice");
        let own: Vec<&Ipv4Addr> = addressing.addresses.get(viewer).into_iter().flatten().map(|(_, ip)| ip).collect();
        prop_assert!(lines.iter().all(|(_, address)| !own.contains(&address)), "an entry for itself");
    }
    Ok(())
}

proptest! {
    #[test]
    fn addresses_are_distinct_and_stable(cluster in clusters(), there in prop::collection::vec(any::<bool>(), 12)) {
        let networks = networks(&cluster);
        let first = assign(&cluster, &networks, &Observed::default());
        check(&cluster, &first)?;
        // Some containers were made before convoke died; the next run gives the same addresses.
        let made = |name: &ComponentName| there[name.as_str()[1..].parse::<usize>().unwrap() % there.len()];
        let again = assign(&cluster, &networks, &observe(&cluster, &first, made));
        prop_assert_eq!(again, first);
    }

    #[test]
    fn another_file_never_moves_a_container_nor_takes_a_known_address(
        before in clusters(),
        after in clusters(),
        there in prop::collection::vec(any::<bool>(), 12),
    ) {
        let first = assign(&before, &networks(&before), &Observed::default());
        let made = |name: &ComponentName| there[name.as_str()[1..].parse::<usize>().unwrap() % there.len()];
        let observed = observe(&before, &first, made);
        // The networks keep their numbers: both files may have `x` and `y`.
        let mut all = networks(&sample::cluster([sample::component("c0", &["x", "y"])]));
        let before_networks = networks(&before);
        all.extend(before_networks);
        if all[&key("x")].subnet == all[&key("y")].subnet {
            return Ok(());
        }
        let second = assign(&after, &all, &observed);
        for container in &observed.containers {
            for (network, endpoint) in &container.networks {
                let network = key(network.trim_start_matches("test_"));
                let Some(component) = after.components.get(&container.component) else { continue };
                if component.spec.networks.contains_key(&network) {
                    prop_assert_eq!(
                        second.addresses[&component.name].get(&network).copied(), endpoint.fixed_address
                    );
                }
            }
            for (known, address) in &container.extra_hosts {
                let owner = known.trim_start_matches("test-").split('-').next().unwrap();
                for (holder, on) in &second.addresses {
                    if on.values().any(|given| given.to_string() == *address) {
                        prop_assert_eq!(holder.as_str(), owner);
                    }
                }
            }
        }
    }
}

/// The first address, the last one and the gateway are nobody's, the upper quarter is the engine's to give.
#[test]
fn the_bounds_of_a_subnet() {
    let (net, at) = (subnet("10.231.0.16/28"), |last| ip(last));
    let hosts: Vec<u8> = (0..=48).filter(|last| subnets::is_host(net, at(*last))).collect();
    assert_eq!(hosts, (17..=30).collect::<Vec<u8>>());
    assert!(!subnets::is_host(net, Ipv4Addr::new(10, 230, 255, 20)));
    let fixed = |gateway: Option<u8>| -> Vec<u8> {
        (0..=48).filter(|last| subnets::is_fixed(net, gateway.map(ip), at(*last))).collect()
    };
    assert_eq!(fixed(None), (18..=27).collect::<Vec<u8>>());
    assert_eq!(fixed(Some(20)), [17, 18, 19, 21, 22, 23, 24, 25, 26, 27]);
}
