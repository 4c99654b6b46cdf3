//! Networks, a service's place on them, and additional hosts entries.

use std::net::{Ipv4Addr, Ipv6Addr};

use indexmap::IndexMap;

use super::super::diagnostic::Diagnostic;
use super::super::node::{Entry, Kind, Node};
use super::super::place::{Place, Spanned};
use super::super::raw::Network;
use super::super::raw_parts::Attachment;
use super::fields::{Fields, Reader};
use crate::names::NetworkKey;

/// Subnet and gateway.
type Ipam = (Option<Spanned<String>>, Option<Spanned<Ipv4Addr>>);

impl Reader {
    /// A top-level network.
    pub(super) fn network(&mut self, key: &str, entry: &Entry) -> Option<Network> {
        let mut network = Network {
            at: entry.key.clone(),
            name: None,
            external: false,
            driver: None,
            driver_opts: IndexMap::new(),
            internal: false,
            attachable: false,
            labels: IndexMap::new(),
            subnet: None,
            gateway: None,
        };
        if entry.value.is_null() {
            return Some(network);
        }
        let mut fields = Fields::of(self, &entry.value, format!("networks.{key}"))?;
        network.name = fields.read(self, "name", Self::filled);
        (network.external, network.name) = self.external(&mut fields, network.name);
        network.driver = fields.read(self, "driver", Self::spanned);
        network.driver_opts = fields.read_or_default(self, "driver_opts", Self::labels);
        network.internal = fields.read(self, "internal", Self::boolean).unwrap_or_default();
        network.attachable = fields.read(self, "attachable", Self::boolean).unwrap_or_default();
        network.labels = fields.read_or_default(self, "labels", Self::labels);
        (network.subnet, network.gateway) = fields.read_or_default(self, "ipam", Self::ipam);
        fields.finish(self, &["enable_ipv4", "enable_ipv6"]);
        if network.external {
            self.check_external(entry, &format!("networks.{key}"));
        }
        Some(network)
    }

    /// A list of networks, or a mapping with aliases and addresses.
    pub(super) fn attachments(&mut self, node: &Node, path: &str) -> IndexMap<NetworkKey, Attachment> {
        let mut attachments = IndexMap::new();
        if let Kind::Map(map) = &node.kind {
            for (key, entry) in map {
                let Some(name) = self.name(key, &entry.key) else { continue };
                let mut attachment = Attachment { at: entry.key.clone(), aliases: Vec::new(), ipv4_address: None };
                if !entry.value.is_null()
                    && let Some(mut fields) = Fields::of(self, &entry.value, format!("{path}.{key}"))
                {
                    attachment.aliases = fields.read_or_default(self, "aliases", Self::strings);
                    attachment.ipv4_address = fields
                        .read(self, "ipv4_address", |reader, node, path| reader.parsed(node, path, "an IPv4 address"));
                    let unsupported = [
                        "driver_opts",
                        "gw_priority",
                        "interface_name",
                        "ipv6_address",
                        "link_local_ips",
                        "mac_address",
                        "priority",
                    ];
                    fields.finish(self, &unsupported);
                }
                attachments.insert(name, attachment);
            }
            return attachments;
        }
        for name in self.names(node, path) {
            let Some(key) = self.name(&name.value, &name.at) else { continue };
            attachments.insert(key, Attachment { at: name.at, aliases: Vec::new(), ipv4_address: None });
        }
        attachments
    }

    /// A list of `name=address` or `name:address`, or a mapping of a name to one or several addresses.
    pub(super) fn extra_hosts(&mut self, node: &Node, path: &str) -> Vec<(String, String)> {
        let mut hosts = Vec::new();
        if let Kind::Map(map) = &node.kind {
            for (name, entry) in map {
                for address in self.string_or_list(&entry.value, &format!("{path}.{name}")) {
                    hosts.extend(self.extra_host(name, &address, &entry.value.at, path));
                }
            }
            return hosts;
        }
        for item in self.items(node, path, Self::spanned) {
            match item.value.split_once(['=', ':']) {
                Some((name, address)) => hosts.extend(self.extra_host(name, address, &item.at, path)),
                None => self.out.error(&item.at, format!("{path}: {:?} is not name=address", item.value)),
            }
        }
        hosts
    }

    fn extra_host(&mut self, name: &str, address: &str, at: &Place, path: &str) -> Option<(String, String)> {
        let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        if name.is_empty() || name.contains(char::is_whitespace) {
            self.out.error(at, format!("{path}: {name:?} is not a host name"));
        } else if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
            self.out.error(at, format!("{path}: {address:?} is neither an IP address nor host-gateway"));
        } else {
            return Some((name.to_owned(), address.to_owned()));
        }
        None
    }

    fn ipam(&mut self, node: &Node, path: &str) -> Ipam {
        let Some(mut fields) = Fields::of(self, node, path) else { return (None, None) };
        let driver = fields.read(self, "driver", Self::spanned);
        if let Some(driver) = driver.filter(|driver| driver.value != "default") {
            let message = format!("{path}.driver {:?} isn't supported yet", driver.value);
            self.unsupported(Diagnostic::error(&driver.at, message));
        }
        let configs = fields.read_or_default(self, "config", |reader, node, path| {
            let configs = reader.items(node, path, Self::ipam_config);
            if configs.len() > 1 {
                let message = format!("{path}: more than one subnet isn't supported yet");
                reader.unsupported(Diagnostic::error(&node.at, message));
            }
            configs
        });
        fields.finish(self, &["options"]);
        configs.into_iter().next().unwrap_or_default()
    }

    fn ipam_config(&mut self, node: &Node, path: &str) -> Option<Ipam> {
        let mut fields = Fields::of(self, node, path)?;
        let subnet = fields.read(self, "subnet", |reader, node, path| {
            let subnet = reader.spanned(node, path)?;
            if is_ipv6_subnet(&subnet.value) {
                let message = format!("{path}: subnets of IPv6 aren't supported yet");
                reader.unsupported(Diagnostic::error(&node.at, message));
                return None;
            }
            if !is_subnet(&subnet.value) {
                let message =
                    format!("{path} must be an IPv4 subnet such as 10.5.0.0/24, but it is {:?}", subnet.value);
                reader.out.error(&node.at, message);
                return None;
            }
            Some(subnet)
        });
        let gateway = fields.read(self, "gateway", |reader, node, path| reader.parsed(node, path, "an IPv4 address"));
        fields.finish(self, &["ip_range", "aux_addresses"]);
        if let Some(gateway) = gateway.as_ref().filter(|_| subnet.is_none()) {
            self.out.error(&gateway.at, format!("{path} has a gateway but no subnet"));
        }
        Some((subnet, gateway))
    }
}

fn is_ipv6_subnet(text: &str) -> bool {
    let parts = text.split_once('/').map(|(address, prefix)| (address.parse::<Ipv6Addr>(), prefix.parse::<u8>()));
    matches!(parts, Some((Ok(_), Ok(0..=128))))
}

/// Whether the text is an IPv4 network with a prefix length, no host bits set.
fn is_subnet(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(prefix)) = (address.parse::<Ipv4Addr>(), prefix.parse::<u32>()) else { return false };
    prefix <= 32 && u32::MAX.checked_shr(prefix).unwrap_or(0) & address.to_bits() == 0
}
