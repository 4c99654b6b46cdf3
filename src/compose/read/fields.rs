//! Taking a mapping apart by known keys, and complaining about the rest.

use std::path::PathBuf;

use super::super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::super::interpolate::Variables;
use super::super::node::{Entry, Kind, Map, Node};
use super::super::place::Place;
use super::super::suggest::closest;

/// What reading needs besides the tree, and where it puts problems.
pub(in crate::compose) struct Reader {
    /// Environment and `.env`: for keys without a value.
    pub(in crate::compose) variables: Variables,
    /// Directory that relative paths refer to: for `env_file`.
    pub(in crate::compose) working_dir: PathBuf,
    /// Files that were read besides, there or not.
    pub(in crate::compose) reads: Vec<PathBuf>,
    pub(in crate::compose) out: Diagnostics,
    /// Nothing will be started: what isn't supported is only a warning.
    pub(in crate::compose) describes_only: bool,
}

impl Reader {
    /// Notes that something of Compose isn't supported; only a warning where nothing will be started.
    pub(super) fn unsupported(&mut self, diagnostic: Diagnostic) {
        let severity = if self.describes_only { Severity::Warning } else { Severity::Error };
        self.out.push(Diagnostic { severity, ..diagnostic });
    }

    /// Notes that a value has the wrong type. `path` names the value, `wanted` follows "must be".
    pub(super) fn wrong_type(&mut self, node: &Node, path: &str, wanted: &str) {
        self.out.error(&node.at, format!("{path} must be {wanted}, but it is {}", node.describe()));
    }

    /// The entries of a mapping; notes a problem when it is something else.
    pub(super) fn map<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n Map> {
        if let Kind::Map(map) = &node.kind {
            return Some(map);
        }
        self.wrong_type(node, path, "a mapping");
        None
    }

    /// The items of a list; notes a problem when it is something else.
    pub(super) fn list<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Node]> {
        if let Kind::List(list) = &node.kind {
            return Some(list);
        }
        self.wrong_type(node, path, "a list");
        None
    }
}

/// A mapping of which known keys are taken one after the other.
pub(super) struct Fields<'n> {
    map: &'n Map,
    /// How the mapping is called in messages: `services.web.build`.
    pub(super) path: String,
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// None, and a problem noted, if `node` isn't a mapping.
    pub(super) fn of(reader: &mut Reader, node: &'n Node, path: impl Into<String>) -> Option<Self> {
        let path = path.into();
        let map = reader.map(node, &path)?;
        Some(Self { map, path, known: Vec::new() })
    }

    /// The value of a key, unless it is missing or null.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value).filter(|value| !value.is_null())
    }

    /// The key's entry, even if its value is null.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.known.push(key);
        self.map.get(key)
    }

    /// The name of a key in messages.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Takes a key and reads it with `read`, which gets the key's path.
    pub(super) fn read<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        read: impl FnOnce(&mut Reader, &'n Node, &str) -> Option<T>,
    ) -> Option<T> {
        let node = self.take(key)?;
        read(reader, node, &self.path_of(key))
    }

    /// Takes a key and reads it with `read`, which returns something empty for problems and missing keys.
    pub(super) fn read_or_default<T: Default>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        read: impl FnOnce(&mut Reader, &'n Node, &str) -> T,
    ) -> T {
        let Some(node) = self.take(key) else { return T::default() };
        read(reader, node, &self.path_of(key))
    }

    /// Complains about every key that wasn't taken, except `x-…`. Keys in `unsupported` are known to Compose. Says
    /// whether there was an unknown one.
    pub(super) fn finish(self, reader: &mut Reader, unsupported: &[&'static str]) -> bool {
        let mut any_unknown = false;
        for (key, entry) in self.map {
            if self.known.contains(&key.as_str()) {
                continue;
            }
            if key.starts_with("x-") {
                self.check_extension(reader, key, &entry.key);
            } else if unsupported.contains(&key.as_str()) {
                let message = format!("{} isn't supported yet", self.path_of(key));
                let hint = "remove it, or rename it to begin with x-";
                reader.unsupported(Diagnostic::error(&entry.key, message).hint(hint));
            } else {
                self.unknown(reader, key, &entry.key, unsupported);
                any_unknown = true;
            }
        }
        any_unknown
    }

    fn unknown(&self, reader: &mut Reader, key: &str, at: &Place, unsupported: &[&'static str]) {
        let place = if self.path.is_empty() { "at the top level".to_owned() } else { format!("in {}", self.path) };
        let mut diagnostic = Diagnostic::error(at, format!("unknown key {key:?} {place}"));
        if let Some(meant) = closest(key, self.known.iter().chain(unsupported).copied()) {
            diagnostic = diagnostic.hint(format!("did you mean {meant:?}?"));
        }
        reader.out.push(diagnostic);
    }

    /// An extension is anybody's; but one that nearly is ours was probably meant to be.
    fn check_extension(&self, reader: &mut Reader, key: &str, at: &Place) {
        let ours = "x-convoke";
        if self.known.contains(&ours) && closest(key, [ours]).is_some() {
            let message = format!("the extension key {key:?} is ignored");
            reader.out.push(Diagnostic::warning(at, message).hint(format!("did you mean {ours:?}?")));
        }
    }
}
