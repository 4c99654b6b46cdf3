//! Published ports: which component has which, and whether two want the same.

use std::net::IpAddr;

use indexmap::IndexMap;

use super::build::Context;
use super::roster::Roster;
use crate::cluster::{PortBinding, Protocol};
use crate::compose::{self, Diagnostic, Diagnostics, Place, Port, Service};
use crate::names::ServiceName;

/// The bindings of the n-th (from 0) of `count` components of a service.
///
/// A range of host ports for one port inside (`8080-8082:80`) is shared out: each component gets one of them.
pub(super) fn of_replica(service: &Service, index: usize, count: usize) -> Vec<PortBinding> {
    if is_host_network(service) || shares_network(service) {
        return Vec::new();
    }
    let mut bindings: Vec<PortBinding> =
        ranges(service).into_iter().filter_map(|range| choose(&range, index, count)).map(binding).collect();
    bindings.sort();
    bindings.dedup();
    bindings
}

/// How bad it is: an error, or a warning.
type Grade = fn(&Place, String) -> Diagnostic;

/// Reports host ports that too many components want. Who only wants to read the project is warned of it.
pub(super) fn check(context: &Context<'_>, roster: &Roster, problems: &mut Diagnostics) {
    let grade: Grade = if context.options.describes_only { Diagnostic::warning } else { Diagnostic::error };
    let mut wanted: Vec<(&ServiceName, &Port)> = Vec::new();
    for (name, service) in &context.project.services {
        let count = roster.of(name.as_str()).len();
        if shares_network(service) {
            if let Some(port) = service.ports.first() {
                let message = format!("\"{name}\" can't publish ports: its network is another container's");
                problems.push(grade(&port.at, message).hint("publish them where the network belongs to"));
            }
            continue;
        }
        if is_host_network(service) {
            if let Some(port) = service.ports.first() {
                problems.push(
                    Diagnostic::warning(&port.at, format!("ports of \"{name}\" are not published"))
                        .hint("with network_mode: host its ports are the host's own; remove this"),
                );
            }
            continue;
        }
        for range in ranges(service) {
            check_range(name, &range, count, grade, problems);
            wanted.extend((0..count.min(range.len())).filter_map(|n| Some((name, choose(&range, n, count)?))));
        }
    }
    check_conflicts(&wanted, grade, problems);
}

/// The service's ports, those of one written range (same place, same port inside) together.
fn ranges(service: &Service) -> Vec<Vec<&Port>> {
    let mut ranges: IndexMap<_, Vec<&Port>> = IndexMap::new();
    for port in &service.ports {
        let at = (port.at.file(), port.at.line(), port.at.column());
        ranges.entry((at, port.target, port.protocol, port.host_ip)).or_default().push(port);
    }
    ranges.into_values().collect()
}

/// A lone component gets a range's first port; one without a host port goes to everybody.
fn choose<'a>(range: &[&'a Port], index: usize, count: usize) -> Option<&'a Port> {
    match range {
        [one] if one.published.is_none() => Some(one),
        _ if count <= 1 => range.first().copied(),
        _ => range.get(index).copied(),
    }
}

fn check_range(name: &ServiceName, range: &[&Port], count: usize, grade: Grade, problems: &mut Diagnostics) {
    let Some(first) = range.first() else { return };
    let Some(published) = first.published else { return };
    if count > range.len() {
        let target = first.target;
        let end = usize::from(published) + count - 1;
        let hint = if end <= usize::from(u16::MAX) {
            format!("give a range (\"{published}-{end}:{target}\"), or no host port (\"{target}\")")
        } else {
            format!("give no host port (\"{target}\")")
        };
        let what = match range.len() {
            1 => format!("port {published} of \"{name}\""),
            several => format!("the {several} host ports of \"{name}\""),
        };
        problems.push(grade(&first.at, format!("{what} can't be published by {count} containers")).hint(hint));
    }
}

fn check_conflicts(wanted: &[(&ServiceName, &Port)], grade: Grade, problems: &mut Diagnostics) {
    let mut ordered: Vec<(usize, &(&ServiceName, &Port))> = wanted.iter().enumerate().collect();
    ordered.retain(|(_, (_, port))| port.published.is_some());
    ordered.sort_by_key(|(position, (_, port))| (port.published, *position));
    for same in ordered.chunk_by(|(_, a), (_, b)| a.1.published == b.1.published) {
        for (later, (_, (name, port))) in same.iter().enumerate() {
            let earlier = same.iter().take(later).find(|(_, (_, other))| collide(other, port));
            if let Some((_, (other_name, other))) = earlier {
                let problem = grade(&port.at, conflict(name, port, other_name, other));
                problems.push(problem.hint("give one of them another host port"));
            }
        }
    }
}

fn conflict(name: &ServiceName, port: &Port, other_name: &ServiceName, other: &Port) -> String {
    let number = port.published.unwrap_or_default();
    if name == other_name {
        format!("host port {number} is published twice by \"{name}\" (also at {})", other.at)
    } else {
        format!("host port {number} is published by \"{name}\" and by \"{other_name}\" ({})", other.at)
    }
}

/// Whether two bindings of one host port want the same thing. Without an address a port goes to the publish address,
/// which is 127.0.0.1 or, if so asked, all.
fn collide(a: &Port, b: &Port) -> bool {
    let usual = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_loopback() || ip.is_unspecified());
    a.protocol == b.protocol
        && match (a.host_ip, b.host_ip) {
            (Some(a), Some(b)) => a == b || ((a.is_unspecified() || b.is_unspecified()) && a.is_ipv4() == b.is_ipv4()),
            (a, b) => usual(a) && usual(b),
        }
}

fn is_host_network(service: &Service) -> bool {
    service.network_mode.as_ref().is_some_and(|mode| mode.value == "host")
}

/// Whether its network is another container's.
fn shares_network(service: &Service) -> bool {
    let mode = service.network_mode.as_ref().map(|mode| mode.value.as_str());
    mode.is_some_and(|mode| mode.starts_with("service:") || mode.starts_with("container:"))
}

fn binding(port: &Port) -> PortBinding {
    PortBinding {
        host_ip: port.host_ip,
        host_port: port.published,
        container_port: port.target,
        protocol: protocol(port.protocol),
    }
}

/// The same protocol in the cluster's terms.
pub(super) const fn protocol(protocol: compose::Protocol) -> Protocol {
    match protocol {
        compose::Protocol::Tcp => Protocol::Tcp,
        compose::Protocol::Udp => Protocol::Udp,
        compose::Protocol::Sctp => Protocol::Sctp,
    }
}
