//! Networks and fixed addresses.

use super::{good, messages, one};

#[test]
fn services_without_networks_are_on_the_default_one() {
    let cluster = good(
        "
name: demo
services:
  plain: { image: i }
  host: { image: i, network_mode: host }
  named: { image: i, networks: { back: { aliases: [store] }, shared: {} } }
networks:
  back: { driver: bridge, internal: true }
  shared: { external: true, name: lan }
  unused: {}
",
    );
    let names: Vec<(&str, &str, bool)> = cluster
        .networks
        .values()
        .map(|network| (network.key.as_str(), network.engine_name.as_str(), network.external))
        .collect();
    assert_eq!(names, [("back", "demo_back", false), ("default", "demo_default", false), ("shared", "lan", true)]);
    assert!(cluster.networks["back"].internal);
    assert!(one(&cluster, "host").spec.networks.is_empty());
    assert_eq!(one(&cluster, "named").spec.networks["back"].aliases, ["store"]);
}

#[test]
fn fixed_addresses_must_fit() {
    let text = "
services:
  a: { image: i, networks: { n: { ipv4_address: 10.9.0.5 } } }
  b: { image: i, networks: { n: { ipv4_address: 10.9.0.5 } } }
  c: { image: i, networks: { n: { ipv4_address: 10.8.0.5 } } }
  d: { image: i, networks: { bare: { ipv4_address: 10.8.0.5 } } }
  e: { image: i, scale: 2, networks: { n: { ipv4_address: 10.9.0.6 } } }
networks:
  n: { ipam: { config: [{ subnet: 10.9.0.0/24 }] } }
  bare: {}
";
    let messages: Vec<String> = messages(text).into_iter().map(|m| m.split(" (").next().unwrap().to_owned()).collect();
    assert_eq!(
        messages,
        [
            "10.9.0.5 is the address of \"b\" and of \"a\"",
            "10.8.0.5 is not in the subnet 10.9.0.0/24 of network \"n\"",
            "a fixed address needs a subnet, and network \"bare\" has none",
            "2 containers of \"e\" can't have the one address",
        ]
    );
}

#[test]
fn an_address_that_is_no_host_s_is_refused() {
    let refused = |address: &str, ipam: &str| {
        let text = format!(
            "services: {{ a: {{ image: i, networks: {{ n: {{ ipv4_address: {address} }} }} }} }}\n\
             networks: {{ n: {{ ipam: {{ config: [{{ {ipam} }}] }} }} }}\n"
        );
        messages(&text).concat()
    };
    let usual = "subnet: 10.9.0.0/24";
    assert_eq!(
        refused("10.9.0.0", usual),
        "10.9.0.0 is the network's own address in the subnet 10.9.0.0/24 of network \"n\""
    );
    assert_eq!(
        refused("10.9.0.255", usual),
        "10.9.0.255 is the broadcast address of the subnet 10.9.0.0/24 of network \"n\""
    );
    assert_eq!(refused("10.9.0.1", usual), "10.9.0.1 is the gateway of the subnet 10.9.0.0/24 of network \"n\"");
    assert_eq!(refused("10.9.0.2", usual), "");
    let given = "subnet: 10.9.0.0/24, gateway: 10.9.0.9";
    assert_eq!(refused("10.9.0.1", given), "");
    assert_eq!(refused("10.9.0.9", given), "10.9.0.9 is the gateway of the subnet 10.9.0.0/24 of network \"n\"");
}
