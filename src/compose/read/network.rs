//! Networks, a service's place on them, and additional hosts entries.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use indexmap::IndexMap;

use super::super::diagnostic::Diagnostic;
use super::super::node::{Entry, Kind, Node};
use super::super::place::{Place, Spanned};
use super::super::raw::Network;
use super::super::raw_parts::Attachment;
use super::super::settings::{EndpointSettings, IpPool, Ipam};
use super::fields::{Fields, Reader};
use crate::names::NetworkKey;

/// An entry of `ipam.config`.
struct Pool {
    subnet: Spanned<String>,
    gateway: Option<Spanned<IpAddr>>,
    ip_range: Option<String>,
    aux_addresses: BTreeMap<String, String>,
}

impl Reader {
    /// A top-level network.
    pub(super) fn network(&mut self, key: &str, entry: &Entry) -> Option<Network> {
        let blank = |name: Option<String>, external: bool| Network {
            at: entry.key.clone(),
            name,
            external,
            driver: None,
            driver_opts: IndexMap::new(),
            internal: false,
            attachable: false,
            labels: IndexMap::new(),
            subnet: None,
            gateway: None,
            ipam: Ipam::default(),
        };
        let mut network = blank(None, false);
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
        network.ipam.enable_ipv4 = fields.read(self, "enable_ipv4", Self::boolean);
        network.ipam.enable_ipv6 = fields.read(self, "enable_ipv6", Self::boolean);
        if let Some(node) = fields.take("ipam") {
            self.ipam(node, &fields.path_of("ipam"), &mut network);
        }
        fields.finish(self, &[]);
        if network.external {
            self.check_external(entry, &format!("networks.{key}"));
            return Some(blank(network.name, true));
        }
        Some(network)
    }

    /// A list of networks, or a mapping with aliases and addresses.
    pub(super) fn attachments(&mut self, node: &Node, path: &str) -> IndexMap<NetworkKey, Attachment> {
        let mut attachments = IndexMap::new();
        if let Kind::Map(map) = &node.kind {
            for (key, entry) in map {
                let Some(name) = self.name(key, &entry.key) else { continue };
                let mut attachment = attachment(entry.key.clone());
                if !entry.value.is_null()
                    && let Some(mut fields) = Fields::of(self, &entry.value, format!("{path}.{key}"))
                {
                    attachment.aliases = fields.read_or_default(self, "aliases", Self::strings);
                    attachment.ipv4_address = fields
                        .read(self, "ipv4_address", |reader, node, path| reader.parsed(node, path, "an IPv4 address"));
                    self.endpoint(&mut fields, &mut attachment);
                    fields.finish(self, &[]);
                }
                attachments.insert(name, attachment);
            }
            return attachments;
        }
        attachments.extend(self.names(node, path).into_iter().map(|name| (name.value, attachment(name.at))));
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

    fn endpoint(&mut self, fields: &mut Fields<'_>, attachment: &mut Attachment) {
        let ipv6 = fields
            .read(self, "ipv6_address", |reader, node, path| reader.parsed::<Ipv6Addr>(node, path, "an IPv6 address"));
        attachment.ipv6_at = ipv6.as_ref().map(|address| address.at.clone());
        let any = |reader: &mut Self, node: &Node, path: &str| reader.integer(node, path, i64::MIN, i64::MAX);
        attachment.settings = EndpointSettings {
            ipv6_address: ipv6.map(|address| address.value),
            link_local_ips: fields.read_or_default(self, "link_local_ips", Self::strings),
            mac_address: fields.read(self, "mac_address", Self::optional),
            driver_opts: fields.read_or_default(self, "driver_opts", Self::labels).into_iter().collect(),
            interface_name: fields.read(self, "interface_name", Self::optional),
            gw_priority: fields.read(self, "gw_priority", any),
            priority: fields.read(self, "priority", any),
        };
    }

    fn ipam(&mut self, node: &Node, path: &str, network: &mut Network) {
        let Some(mut fields) = Fields::of(self, node, path) else { return };
        network.ipam.driver = fields.read(self, "driver", Self::filled);
        let pools = fields.read_or_default(self, "config", |reader, node, path| reader.items(node, path, Self::pool));
        network.ipam.options = fields.read_or_default(self, "options", Self::labels).into_iter().collect();
        fields.finish(self, &[]);
        for pool in pools {
            self.add_pool(pool, path, network);
        }
    }

    fn add_pool(&mut self, pool: Pool, path: &str, network: &mut Network) {
        let Pool { subnet, gateway, ip_range, aux_addresses } = pool;
        let is_ipv6 = is_ipv6_subnet(&subnet.value);
        if let Some(gateway) = gateway.as_ref().filter(|gateway| gateway.value.is_ipv6() != is_ipv6) {
            let message = format!("{path}: the gateway {} isn't in the subnet {}", gateway.value, subnet.value);
            self.out.error(&gateway.at, message);
            return;
        }
        let is_further = if is_ipv6 { network.ipam.ipv6.is_some() } else { network.subnet.is_some() };
        let is_bridge = network.driver.as_ref().is_none_or(|driver| driver.value == "bridge");
        if is_further && is_bridge {
            let diagnostic = Diagnostic::error(&subnet.at, format!("{path}: a bridge has one subnet of a kind"));
            let hint = "remove this one, or choose another driver; a subnet of IPv4 and one of IPv6 go together";
            return self.unsupported(diagnostic.hint(hint));
        }
        if is_ipv6 || is_further {
            let gateway = gateway.map(|gateway| gateway.value.to_string());
            let pool = IpPool { subnet: subnet.value, gateway, ip_range, aux_addresses };
            match is_further {
                true => network.ipam.more.push(pool),
                false => network.ipam.ipv6 = Some(pool),
            }
            return;
        }
        network.gateway = gateway.and_then(|gateway| match gateway.value {
            IpAddr::V4(address) => Some(Spanned::new(address, gateway.at)),
            IpAddr::V6(_) => None,
        });
        network.subnet = Some(subnet);
        network.ipam.ip_range = ip_range;
        network.ipam.aux_addresses = aux_addresses;
    }

    /// None, with an error noted, without a subnet: there is nothing that the rest could mean.
    fn pool(&mut self, node: &Node, path: &str) -> Option<Pool> {
        let mut fields = Fields::of(self, node, path)?;
        let subnet = fields.read(self, "subnet", Self::subnet);
        let gateway =
            fields.read(self, "gateway", |reader, node, path| reader.parsed::<IpAddr>(node, path, "an IP address"));
        let ip_range = fields.read(self, "ip_range", Self::subnet);
        let aux_addresses = fields.read_or_default(self, "aux_addresses", Self::labels).into_iter().collect();
        let had_subnet = fields.entry("subnet").is_some();
        fields.finish(self, &[]);
        if subnet.is_none() && !had_subnet {
            let rest = gateway.as_ref().map(|at| ("a gateway", at.at.clone()));
            let rest = rest.or_else(|| ip_range.as_ref().map(|at| ("an ip_range", at.at.clone())));
            if let Some((what, at)) = rest {
                self.out.error(&at, format!("{path} has {what} but no subnet"));
            }
        }
        Some(Pool { subnet: subnet?, gateway, ip_range: ip_range.map(|range| range.value), aux_addresses })
    }

    fn subnet(&mut self, node: &Node, path: &str) -> Option<Spanned<String>> {
        let subnet = self.spanned(node, path)?;
        if !is_subnet(&subnet.value) && !is_ipv6_subnet(&subnet.value) {
            let message =
                format!("{path} must be a subnet such as 10.5.0.0/24 or fd00:5::/64, but it is {:?}", subnet.value);
            self.out.error(&node.at, message);
            return None;
        }
        Some(subnet)
    }
}

fn attachment(at: Place) -> Attachment {
    Attachment { at, aliases: Vec::new(), ipv4_address: None, settings: EndpointSettings::default(), ipv6_at: None }
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
