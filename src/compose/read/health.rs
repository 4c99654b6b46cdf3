//! `healthcheck` and `depends_on`.

use indexmap::IndexMap;

use super::super::diagnostic::Diagnostic;
use super::super::node::{Kind, Node};
use super::super::raw_parts::{Condition, Dependency, Healthcheck, Test};
use super::fields::{Fields, Reader};
use crate::names::ServiceName;
use crate::units::parse_duration;

impl Reader {
    pub(super) fn healthcheck(&mut self, node: &Node, path: &str) -> Option<Healthcheck> {
        let mut fields = Fields::of(self, node, path)?;
        let test = fields.read(self, "test", Self::health_test);
        let disable = fields.read(self, "disable", Self::boolean).unwrap_or_default();
        let check = Healthcheck {
            at: node.at.clone(),
            disabled: disable || test == Some(None),
            test: test.flatten().filter(|_| !disable),
            interval: fields.read(self, "interval", Self::duration_or_zero),
            timeout: fields.read(self, "timeout", Self::duration_or_zero),
            // Nothing is what the engine takes for nothing said.
            retries: fields
                .read(self, "retries", |reader, node, path| reader.integer(node, path, 0, 1_000_000))
                .filter(|retries| *retries > 0),
            start_period: fields.read(self, "start_period", Self::duration),
            start_interval: fields.read(self, "start_interval", Self::duration_or_zero),
        };
        fields.finish(self, &[]);
        Some(check)
    }

    /// A duration of at least a millisecond, the least that the engine takes.
    pub(super) fn positive_duration(&mut self, node: &Node, path: &str) -> Option<std::time::Duration> {
        let duration = self.duration(node, path)?;
        if duration.as_millis() == 0 {
            self.out.error(&node.at, format!("{path} must be at least 1ms"));
            return None;
        }
        Some(duration)
    }

    /// The same, of which zero says nothing.
    fn duration_or_zero(&mut self, node: &Node, path: &str) -> Option<std::time::Duration> {
        let is_zero = node.as_text().and_then(|text| parse_duration(text).ok()).is_some_and(|zero| zero.is_zero());
        if is_zero { None } else { self.positive_duration(node, path) }
    }

    /// `Some(None)` for the test `NONE`; None for an empty list, which leaves it to the image.
    fn health_test(&mut self, node: &Node, path: &str) -> Option<Option<Test>> {
        if let Kind::Scalar(_) = &node.kind {
            return self.filled(node, path).map(|line| Some(Test::Shell(line)));
        }
        let before = self.out.len();
        let words = self.strings(node, path);
        if self.out.len() > before {
            return None;
        }
        if words.is_empty() {
            return None;
        }
        let problem = match words.split_first().map(|(kind, rest)| (kind.as_str(), rest)) {
            Some(("NONE", [])) => return Some(None),
            Some(("CMD", rest)) if !rest.is_empty() => return Some(Some(Test::Command(rest.to_vec()))),
            Some(("CMD-SHELL", [line])) => return Some(Some(Test::Shell(line.clone()))),
            Some(("CMD-SHELL", _)) => format!("{path} with CMD-SHELL takes one line"),
            Some(("CMD", _)) => format!("{path} has no command after CMD"),
            Some(("NONE", _)) => format!("{path} takes nothing after NONE"),
            _ => format!("{path} must begin with CMD, CMD-SHELL or NONE"),
        };
        let hint = "write a string for a shell line, or [\"CMD\", \"program\", \"argument\"]";
        self.out.push(Diagnostic::error(&node.at, problem).hint(hint));
        None
    }

    /// `depends_on`: a list of services, or a mapping with conditions.
    pub(super) fn depends_on(&mut self, node: &Node, path: &str) -> IndexMap<ServiceName, Dependency> {
        let plain = |at| Dependency { at, condition: Condition::Started, required: true, restart: false };
        let mut dependencies = IndexMap::new();
        if let Kind::Map(map) = &node.kind {
            for (key, entry) in map {
                let path = format!("{path}.{key}");
                let Some(name) = self.name(key, &entry.key) else { continue };
                let mut dependency = plain(entry.key.clone());
                if !entry.value.is_null() {
                    self.dependency(&entry.value, &path, &mut dependency);
                }
                dependencies.insert(name, dependency);
            }
            return dependencies;
        }
        dependencies.extend(self.names(node, path).into_iter().map(|name| (name.value, plain(name.at))));
        dependencies
    }

    fn dependency(&mut self, node: &Node, path: &str, dependency: &mut Dependency) {
        let Some(mut fields) = Fields::of(self, node, path) else { return };
        let condition = fields.read(self, "condition", |reader, node, path| {
            let text = reader.string(node, path)?;
            match text.as_str() {
                "service_started" => Some(Condition::Started),
                "service_healthy" => Some(Condition::Healthy),
                "service_completed_successfully" => Some(Condition::Completed),
                _ => {
                    let message = format!("{path}: {text:?} is not a condition");
                    let hint = "there are service_started, service_healthy and service_completed_successfully";
                    reader.out.push(Diagnostic::error(&node.at, message).hint(hint));
                    None
                }
            }
        });
        dependency.condition = condition.unwrap_or_default();
        dependency.required = fields.read(self, "required", Self::boolean).unwrap_or(true);
        dependency.restart = fields.read(self, "restart", Self::boolean).unwrap_or_default();
        fields.finish(self, &[]);
    }
}
