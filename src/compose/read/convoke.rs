//! `x-convoke`: convoke's own keys. Here, other than in Compose's mappings, every unknown key is an error.

use super::super::diagnostic::Diagnostic;
use super::super::node::{Kind, Node};
use super::super::place::Place;
use super::super::raw::{ServiceConvoke, Start};
use super::super::raw_parts::{OwnerRule, ProbeAction, ProbeRule};
use super::fields::{Fields, Reader};

impl Reader {
    /// The top-level block.
    pub(super) fn project_convoke(&mut self, node: &Node, path: &str) -> Option<Start> {
        let mut fields = Fields::of(self, node, path)?;
        let start = fields.read(self, "start", |reader, node, path| {
            let text = reader.string(node, path)?;
            match text.as_str() {
                "gated" => Some(Start::Gated),
                "together" => Some(Start::Together),
                _ => {
                    reader.out.error(&node.at, format!("{path} must be \"together\" or \"gated\", but it is {text:?}"));
                    None
                }
            }
        });
        fields.finish(self, &[]);
        start
    }

    /// A service's block.
    pub(super) fn service_convoke(&mut self, node: &Node, path: &str) -> ServiceConvoke {
        let Some(mut fields) = Fields::of(self, node, path) else { return ServiceConvoke::default() };
        let convoke = ServiceConvoke {
            live: fields.read(self, "live", Self::probe),
            ready: fields.read(self, "ready", Self::probe),
            needs: fields.read_or_default(self, "needs", |reader, node, path| reader.items(node, path, Self::spanned)),
            owner: fields.read_or_default(self, "owner", Self::owners),
            completes: fields.read(self, "completes", Self::boolean),
            boot: fields.read(self, "boot", Self::duration),
            connect: fields.read(self, "connect", Self::filled),
        };
        fields.finish(self, &[]);
        convoke
    }

    fn probe(&mut self, node: &Node, path: &str) -> Option<ProbeRule> {
        let mut fields = Fields::of(self, node, path)?;
        let before = self.out.len();
        let actions = [
            fields.read(self, "http", Self::http_probe),
            fields.read(self, "tcp", |reader, node, path| {
                reader.probe_field(node, path, "port", Self::port).map(|port| ProbeAction::Tcp { port })
            }),
            fields.read(self, "exec", |reader, node, path| {
                let command = reader.probe_field(node, path, "command", Self::command)?;
                if command.value.is_empty() {
                    reader.out.error(&command.at, format!("{path}.command is empty"));
                    return None;
                }
                Some(ProbeAction::Exec { command: command.value })
            }),
            fields.read(self, "log", |reader, node, path| {
                reader.probe_field(node, path, "contains", Self::filled).map(|contains| ProbeAction::Log { contains })
            }),
            fields
                .entry("engine_health")
                .and_then(|entry| self.engine_health(&entry.value, &format!("{path}.engine_health"))),
        ];
        let timeout = fields.read(self, "timeout", Self::positive_duration);
        fields.finish(self, &[]);
        let mut actions = actions.into_iter().flatten();
        match (actions.next(), actions.next()) {
            (Some(action), None) => Some(ProbeRule { at: node.at.clone(), action, timeout }),
            // A part that couldn't be read has been reported.
            (None, _) if self.out.len() > before => None,
            _ => {
                let message = format!("{path} needs exactly one of http, tcp, exec, log and engine_health");
                self.out.error(&node.at, message);
                None
            }
        }
    }

    fn http_probe(&mut self, node: &Node, path: &str) -> Option<ProbeAction> {
        let mut fields = Fields::of(self, node, path)?;
        let port = fields.read(self, "port", Self::port);
        let target = fields.read(self, "path", Self::spanned);
        let headers = fields.read_or_default(self, "headers", Self::labels);
        if fields.take("port").is_none() {
            self.out.error(&node.at, format!("{path} has no port"));
        }
        fields.finish(self, &[]);
        let target = match target {
            None => "/".to_owned(),
            Some(target) if target.value.starts_with('/') && !target.value.contains(char::is_whitespace) => {
                target.value
            }
            Some(target) => {
                let message = format!("{path}.path must begin with / and have no spaces, but it is {:?}", target.value);
                self.out.error(&target.at, message);
                return None;
            }
        };
        Some(ProbeAction::Http { port: port?, path: target, headers: headers.into_iter().collect() })
    }

    /// A probe with one required key.
    fn probe_field<T>(
        &mut self,
        node: &Node,
        path: &str,
        key: &'static str,
        read: impl FnOnce(&mut Self, &Node, &str) -> Option<T>,
    ) -> Option<T> {
        let mut fields = Fields::of(self, node, path)?;
        if fields.take(key).is_none() {
            self.out.error(&node.at, format!("{path} has no {key}"));
        }
        let value = fields.take(key).and_then(|node| read(self, node, &format!("{path}.{key}")));
        fields.finish(self, &[]);
        value
    }

    /// `engine_health`, `engine_health: true` and `engine_health: {}` all mean it.
    fn engine_health(&mut self, node: &Node, path: &str) -> Option<ProbeAction> {
        let given = match &node.kind {
            Kind::Map(map) => map.is_empty(),
            _ => node.is_null() || self.boolean(node, path)?,
        };
        if !given {
            self.out.error(&node.at, format!("{path} takes nothing but true"));
        }
        given.then_some(ProbeAction::EngineHealth)
    }

    /// `owner`: a mapping of `target: uid:gid[:mode]`, or a list of `target=uid:gid[:mode]`.
    fn owners(&mut self, node: &Node, path: &str) -> Vec<OwnerRule> {
        let pairs = self.pairs(node, path);
        pairs
            .into_iter()
            .filter_map(|(target, value)| {
                let path = format!("{path}.{target}");
                let parsed = parse_owner(&value.value.unwrap_or_default());
                let problem = match parsed {
                    _ if !target.starts_with('/') => format!("{path}: {target:?} is not an absolute path"),
                    Some((uid, gid, mode)) => return Some(OwnerRule { at: value.at, target, uid, gid, mode }),
                    None => format!("{path} must be uid:gid or uid:gid:mode"),
                };
                self.owner_problem(&value.at, problem);
                None
            })
            .collect()
    }

    fn owner_problem(&mut self, at: &Place, problem: String) {
        let hint = "write /path/of/the/volume: \"1000:1000:0750\"";
        self.out.push(Diagnostic::error(at, problem).hint(hint));
    }
}

/// Owner, group and permission bits of `uid:gid[:mode]`.
fn parse_owner(text: &str) -> Option<(u32, u32, Option<u32>)> {
    let parts: Vec<&str> = text.split(':').collect();
    let (uid, gid, mode) = match parts.as_slice() {
        [uid, gid] => (uid, gid, None),
        [uid, gid, mode] => (uid, gid, Some(u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777)?)),
        _ => return None,
    };
    Some((uid.parse().ok()?, gid.parse().ok()?, mode))
}
