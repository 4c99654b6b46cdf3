//! The top level of a file: services, networks, volumes, configs and secrets.

use indexmap::IndexMap;

use super::super::diagnostic::Diagnostic;
use super::super::node::{Entry, Kind, Node};
use super::super::raw::{FileSource, Project, Volume};
use super::fields::{Fields, Reader};
use crate::names::ClusterName;

/// The value of the top-level `name`, variables not replaced.
pub(in crate::compose) fn name_of(tree: &Node) -> Option<&Node> {
    tree.get("name").filter(|value| !value.is_null())
}

/// Reads the merged tree. Problems are in the reader's `out`; with errors among them the project is incomplete.
pub(in crate::compose) fn read_project(reader: &mut Reader, tree: &Node, name: ClusterName) -> Project {
    let mut project = Project {
        name,
        start: Default::default(),
        services: IndexMap::new(),
        switched_off: IndexMap::new(),
        networks: IndexMap::new(),
        volumes: IndexMap::new(),
        configs: IndexMap::new(),
        secrets: IndexMap::new(),
    };
    let Some(mut fields) = Fields::of(reader, tree, "") else { return project };
    fields.entry("name");
    if let Some(version) = fields.entry("version") {
        reader.out.warning(&version.key, "the key \"version\" is obsolete and ignored");
    }
    project.start = fields.read(reader, "x-convoke", Reader::project_convoke).unwrap_or_default();
    match fields.take("services") {
        // There is nothing to start, but something to read: all may be switched off by their profiles.
        None if reader.describes_only => {}
        None => {
            let diagnostic = Diagnostic::error(&tree.at, "there are no services");
            reader.out.push(diagnostic.hint("add services: with one key for each service"));
        }
        Some(node) => read_services(reader, node, &mut project),
    }
    project.networks = read_all(reader, &mut fields, "networks", |reader, key, entry| {
        Some((reader.name(key, &entry.key)?, reader.network(key, entry)?))
    });
    project.volumes = read_all(reader, &mut fields, "volumes", |reader, key, entry| {
        Some((reader.name(key, &entry.key)?, reader.volume(key, entry)?))
    });
    project.configs = read_all(reader, &mut fields, "configs", |reader, key, entry| {
        Some((key.to_owned(), reader.named_source("config", key, entry)?))
    });
    project.secrets = read_all(reader, &mut fields, "secrets", |reader, key, entry| {
        Some((key.to_owned(), reader.named_source("secret", key, entry)?))
    });
    fields.finish(reader, &["models"]);
    project
}

fn read_services(reader: &mut Reader, node: &Node, project: &mut Project) {
    let Some(map) = reader.map(node, "services") else { return };
    for (key, entry) in map {
        if key.starts_with("x-") {
            continue;
        }
        let name = reader.name(key, &entry.key);
        let service = reader.service(key, &entry.key, &entry.value);
        if let (Some(name), Some(service)) = (name, service) {
            project.services.insert(name, service);
        }
    }
    if map.is_empty() && !reader.describes_only {
        reader.out.error(&node.at, "there are no services");
    }
}

fn read_all<K: std::hash::Hash + Eq, V>(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    section: &'static str,
    mut read: impl FnMut(&mut Reader, &str, &Entry) -> Option<(K, V)>,
) -> IndexMap<K, V> {
    let Some(node) = fields.take(section) else { return IndexMap::new() };
    let Some(map) = reader.map(node, section) else { return IndexMap::new() };
    let entries = map.iter().filter(|(key, _)| !key.starts_with("x-"));
    entries.filter_map(|(key, entry)| read(reader, key, entry)).collect()
}

impl Reader {
    fn volume(&mut self, key: &str, entry: &Entry) -> Option<Volume> {
        let mut volume = Volume {
            at: entry.key.clone(),
            name: None,
            external: false,
            driver: None,
            driver_opts: IndexMap::new(),
            labels: IndexMap::new(),
        };
        if entry.value.is_null() {
            return Some(volume);
        }
        let mut fields = Fields::of(self, &entry.value, format!("volumes.{key}"))?;
        volume.name = fields.read(self, "name", Self::filled);
        (volume.external, volume.name) = self.external(&mut fields, volume.name);
        volume.driver = fields.read(self, "driver", Self::filled);
        volume.driver_opts = fields.read_or_default(self, "driver_opts", Self::labels);
        volume.labels = fields.read_or_default(self, "labels", Self::labels);
        fields.finish(self, &[]);
        if volume.external {
            self.check_external(entry, &format!("volumes.{key}"));
        }
        Some(volume)
    }

    fn named_source(&mut self, kind: &str, key: &str, entry: &Entry) -> Option<FileSource> {
        let source = self.file_source(&entry.value, &format!("{kind}s.{key}"), kind, key)?;
        Some(FileSource { at: entry.key.clone(), ..source })
    }

    /// `external`: a boolean, or the old form `{name: …}`.
    pub(super) fn external(&mut self, fields: &mut Fields<'_>, name: Option<String>) -> (bool, Option<String>) {
        let Some(node) = fields.take("external") else { return (false, name) };
        let path = fields.path_of("external");
        if let Kind::Map(_) = &node.kind {
            let Some(mut old) = Fields::of(self, node, path) else { return (true, name) };
            let old_name = old.read(self, "name", Self::filled);
            old.finish(self, &[]);
            return (true, name.or(old_name));
        }
        (self.boolean(node, &path).unwrap_or_default(), name)
    }

    /// What is made by somebody else can't be described here. For a network, as in docker compose, that is only a warning:
    /// files for production are laid over such ones.
    pub(super) fn check_external(&mut self, entry: &Entry, path: &str) {
        let Kind::Map(map) = &entry.value.kind else { return };
        for (key, other) in map {
            if !matches!(key.as_str(), "external" | "name") && !key.starts_with("x-") && !other.value.is_null() {
                let diagnostic = if path.starts_with("networks.") {
                    Diagnostic::warning(&other.key, format!("{path} is external, so its {key} is ignored"))
                } else {
                    Diagnostic::error(&other.key, format!("{path} is external and can't have {key}"))
                };
                self.out.push(diagnostic.hint("only name goes with external: true"));
            }
        }
    }
}
