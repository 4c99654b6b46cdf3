//! `ports` and `expose`: `[[ip:]host:]container[/protocol]`, ranges, and the long form.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::super::diagnostic::Diagnostic;
use super::super::node::{Kind, Node};
use super::super::place::Place;
use super::super::raw_parts::{Port, Protocol};
use super::fields::{Fields, Reader};

impl Reader {
    /// `ports`, ranges spelled out. What two files both say comes once.
    pub(super) fn ports(&mut self, node: &Node, path: &str) -> Vec<Port> {
        let items = self.items(node, path, |reader, item, path| match &item.kind {
            Kind::Map(_) => reader.long_port(item, path),
            _ => {
                let text = reader.scalar(item, path)?.to_owned();
                reader.checked(&item.at, path, short_port(&text, &item.at))
            }
        });
        // A set, since a range may be of 65535 ports.
        let mut seen = HashSet::new();
        let is_new = |port: &Port| seen.insert((port.host_ip, port.published, port.target, port.protocol));
        items.into_iter().flatten().filter(is_new).collect()
    }

    /// `expose`: `port[-port][/protocol]`.
    pub(super) fn expose(&mut self, node: &Node, path: &str) -> Vec<(u16, Protocol)> {
        let items = self.items(node, path, |reader, item, path| {
            let text = reader.scalar(item, path)?.to_owned();
            let parsed = split_protocol(&text).and_then(|(range, protocol)| Ok((parse_range(range)?, protocol)));
            let (range, protocol) = reader.checked(&item.at, path, parsed)?;
            Some(range.map(move |port| (port, protocol)))
        });
        items.into_iter().flatten().collect()
    }

    fn long_port(&mut self, node: &Node, path: &str) -> Option<Vec<Port>> {
        let mut fields = Fields::of(self, node, path)?;
        let target = fields.read(self, "target", Self::port);
        let published = fields.read(self, "published", |reader, node, path| {
            let text = reader.scalar(node, path)?.to_owned();
            reader.checked(&node.at, path, parse_published(&text)).flatten()
        });
        let host_ip = fields.read(self, "host_ip", |reader, node, path| reader.parsed(node, path, "an IP address"));
        let protocol = fields.read(self, "protocol", |reader, node, path| {
            let text = reader.string(node, path)?;
            reader.checked(&node.at, path, parse_protocol(&text))
        });
        let mode = fields.read(self, "mode", Self::spanned);
        if let Some(mode) = mode.filter(|mode| mode.value != "ingress" && mode.value != "host") {
            self.out
                .error(&mode.at, format!("{path}.mode must be \"host\" or \"ingress\", but it is {:?}", mode.value));
        }
        fields.entry("name");
        fields.entry("app_protocol");
        if fields.take("target").is_none() {
            self.out.error(&node.at, format!("{path} has no target"));
        }
        fields.finish(self, &[]);
        let target = target?;
        let host_ip = host_ip.map(|ip| ip.value);
        let parsed = combine(&node.at, host_ip, published, target..=target, protocol.unwrap_or_default());
        self.checked(&node.at, path, parsed)
    }

    /// Notes the reason if there is one.
    pub(super) fn checked<T>(&mut self, at: &Place, path: &str, result: Result<T, Reason>) -> Option<T> {
        result
            .map_err(|reason| {
                let diagnostic = Diagnostic::error(at, format!("{path}: {}", reason.text));
                self.out.push(match reason.hint {
                    Some(hint) => diagnostic.hint(hint),
                    None => diagnostic,
                });
            })
            .ok()
    }
}

/// Why a short form can't be read.
pub(super) struct Reason {
    pub(super) text: String,
    pub(super) hint: Option<&'static str>,
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, hint: None }
    }
}

/// The parts of a short form as they are written.
pub(in crate::compose) struct ShortPort<'a> {
    pub(in crate::compose) host_ip: Option<&'a str>,
    /// Empty when the engine is to choose.
    pub(in crate::compose) published: &'a str,
    pub(in crate::compose) target: &'a str,
    pub(in crate::compose) protocol: &'a str,
}

impl<'a> ShortPort<'a> {
    /// `[[ip:]host:]container[/protocol]`.
    pub(in crate::compose) fn of(text: &'a str) -> Self {
        let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (host, target) = match rest.rsplit_once(':') {
            Some((host, target)) => (host, target),
            None => ("", rest),
        };
        // `[::1]:80` and `127.0.0.1:80` and `127.0.0.1:` and `80`.
        let (host_ip, published) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((ip, published)) => (Some(ip), published.strip_prefix(':').unwrap_or(published)),
            None => host.rsplit_once(':').map_or((None, host), |(ip, published)| (Some(ip), published)),
        };
        match host_ip {
            // `127.0.0.1::80` has no host port; `127.0.0.1:80` was meant to be one.
            None if published.contains('.') => Self { host_ip: Some(published), published: "", target, protocol },
            _ => Self { host_ip, published, target, protocol },
        }
    }
}

/// What two entries of `ports` have in common if one replaces the other in a later file.
pub(in crate::compose) fn port_identity(node: &Node) -> Option<String> {
    let text = |key: &str| node.get(key).and_then(Node::as_text).unwrap_or_default();
    match &node.kind {
        Kind::Scalar(scalar) => {
            let port = ShortPort::of(&scalar.text);
            let ip = port.host_ip.unwrap_or_default();
            Some(format!("{ip}:{}:{}/{}", port.published, port.target, port.protocol.to_ascii_lowercase()))
        }
        Kind::Map(_) => {
            let protocol = node.get("protocol").and_then(Node::as_text).unwrap_or("tcp");
            Some(format!("{}:{}:{}/{protocol}", text("host_ip"), text("published"), text("target")))
        }
        Kind::List(_) => None,
    }
}

fn short_port(text: &str, at: &Place) -> Result<Vec<Port>, Reason> {
    let port = ShortPort::of(text);
    let protocol = parse_protocol(port.protocol)?;
    let target = parse_range(port.target)?;
    let host_ip = match port.host_ip {
        Some(ip) => Some(ip.parse().map_err(|_| format!("{ip:?} is not an IP address"))?),
        None => None,
    };
    combine(at, host_ip, parse_published(port.published)?, target, protocol)
}

/// One port for each of a range; both ranges must be of one length, unless all host ports are for one port inside.
fn combine(
    at: &Place,
    host_ip: Option<IpAddr>,
    published: Option<RangeInclusive<u16>>,
    target: RangeInclusive<u16>,
    protocol: Protocol,
) -> Result<Vec<Port>, Reason> {
    let port = |published, target| Port { at: at.clone(), host_ip, published, target, protocol };
    let Some(published) = published else { return Ok(target.map(|target| port(None, target)).collect()) };
    if target.len() == 1 {
        // For a scaled service: the resolver gives each container one of them, knowing them by their common place.
        return Ok(published.map(|published| port(Some(published), *target.start())).collect());
    }
    if published.len() != target.len() {
        let (host, container) = (published.len(), target.len());
        return Err(format!("{host} host ports don't match {container} container ports").into());
    }
    Ok(published.zip(target).map(|(published, target)| port(Some(published), target)).collect())
}

fn split_protocol(text: &str) -> Result<(&str, Protocol), Reason> {
    match text.split_once('/') {
        None => Ok((text, Protocol::Tcp)),
        Some((ports, protocol)) => Ok((ports, parse_protocol(protocol)?)),
    }
}

fn parse_protocol(text: &str) -> Result<Protocol, Reason> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(format!("{text:?} is not a protocol; there are tcp, udp and sctp").into()),
    }
}

/// Host ports. Nothing and 0 leave the choice to the engine.
fn parse_published(text: &str) -> Result<Option<RangeInclusive<u16>>, Reason> {
    if text.is_empty() || text == "0" { Ok(None) } else { parse_range(text).map(Some) }
}

fn parse_range(text: &str) -> Result<RangeInclusive<u16>, Reason> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_port(first)?, parse_port(last)?);
    if first > last {
        return Err(format!("the range {text} runs backwards").into());
    }
    Ok(first..=last)
}

fn parse_port(text: &str) -> Result<u16, Reason> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        let hint = "write [[ip:]host port:]container port[/protocol], such as 127.0.0.1:8080:80/tcp";
        return Err(Reason { text: format!("{text:?} is not a port number"), hint: Some(hint) });
    }
    let port = text.parse::<u16>().ok().filter(|port| *port > 0);
    port.ok_or_else(|| format!("port {text} is out of range; ports go from 1 to 65535").into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn short(text: &str) -> Result<String, String> {
        let ports = short_port(text, &Place::synthetic("test")).map_err(|reason| reason.text)?;
        let show = |port: &Port| {
            let ip = port.host_ip.map(|ip| format!("{ip} ")).unwrap_or_default();
            let published = port.published.map_or("any".to_owned(), |port| port.to_string());
            format!("{ip}{published}>{}/{:?}", port.target, port.protocol).to_lowercase()
        };
        Ok(ports.iter().map(show).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn short_forms() {
        for (text, expected) in [
            ("80", "any>80/tcp"),
            ("8080:80", "8080>80/tcp"),
            ("53:53/UDP", "53>53/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1 8080>80/tcp"),
            ("127.0.0.1::80", "127.0.0.1 any>80/tcp"),
            ("127.0.0.1:80", "127.0.0.1 any>80/tcp"),
            ("0:80", "any>80/tcp"),
            ("[::1]:8080:80", "::1 8080>80/tcp"),
            ("::1:8080:80", "::1 8080>80/tcp"),
            ("3000-3001", "any>3000/tcp, any>3001/tcp"),
            ("9000-9001:80-81", "9000>80/tcp, 9001>81/tcp"),
            ("9000-9001:80", "9000>80/tcp, 9001>80/tcp"),
        ] {
            assert_eq!(short(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn wrong_short_forms() {
        for (text, expected) in [
            ("70000:80", "port 70000 is out of range; ports go from 1 to 65535"),
            ("0", "port 0 is out of range; ports go from 1 to 65535"),
            ("80:", "\"\" is not a port number"),
            ("http", "\"http\" is not a port number"),
            ("80/ftp", "\"ftp\" is not a protocol; there are tcp, udp and sctp"),
            ("localhost:80:80", "\"localhost\" is not an IP address"),
            ("81-80", "the range 81-80 runs backwards"),
            ("1-3:1-2", "3 host ports don't match 2 container ports"),
            ("256.0.0.1:1:1", "\"256.0.0.1\" is not an IP address"),
        ] {
            assert_eq!(short(text).unwrap_err(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9:./\\[\\]-]{0,20}|.{0,20}") {
            let _ = short(&text);
        }
    }
}
