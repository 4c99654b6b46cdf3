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
