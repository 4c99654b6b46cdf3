//! The canonical form of a project, as `docker compose config` prints it: long forms, absolute paths, no variables,
//! nothing that isn't used.
//!
//! It is made from the merged tree, not from the typed model, so that it has what convoke doesn't act on, too. Keys are
//! in the order of the tables in [`shapes`].

mod form;
mod parts;
mod print;
pub(super) mod shapes;

use std::collections::BTreeSet;

use indexmap::IndexMap;

use self::form::{formed, sorted};
use self::shapes::{Field, Shape};
use super::node::{Entry, Kind, Map, Node};
use super::paths::Paths;
use super::place::Place;
use super::raw::Project;
use crate::mask::MASK;

/// A project in its canonical form.
#[derive(Clone)]
pub struct Canonical {
    tree: Node,
}

/// What the canonical form is made from.
pub(super) struct Ingredients<'a> {
    /// The merged tree.
    pub(super) tree: &'a Node,
    /// The project's name.
    pub(super) name: &'a str,
    /// None leaves paths as they are.
    pub(super) paths: Option<&'a Paths>,
    /// What was read from the tree; None where variables aren't replaced.
    pub(super) project: Option<&'a Project>,
    /// Whether a service is a part of the project.
    pub(super) is_on: &'a dyn Fn(&str, &Node) -> bool,
}

impl Canonical {
    /// As YAML text.
    #[must_use]
    pub fn yaml(&self) -> String {
        print::yaml(&self.tree)
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        print::json(&self.tree)
    }

    /// The keys of a section: services, networks, volumes, configs, secrets.
    pub fn keys(&self, section: &str) -> impl Iterator<Item = &str> {
        self.tree.get(section).and_then(Node::as_map).into_iter().flat_map(|map| map.keys().map(String::as_str))
    }

    pub(super) fn of(from: &Ingredients<'_>) -> Self {
        let mut tree = from.tree.clone();
        default_contexts(&mut tree);
        if let Some(paths) = from.paths {
            paths.resolve_tree(&mut tree);
        }
        let at = tree.at.clone();
        let mut out = Map::new();
        let mut put = |key: &str, value: Node| {
            out.insert(key.to_owned(), Entry { key: at.clone(), value });
        };
        put("name", Node::text(at.clone(), from.name));
        let services = services(&tree, from);
        let used = Used::by(&services);
        put("services", map_of(&at, services));
        for (section, fields, wanted) in [
            ("networks", shapes::NETWORK, &used.networks),
            ("volumes", shapes::VOLUME, &used.volumes),
            ("secrets", shapes::SOURCE, &used.secrets),
            ("configs", shapes::SOURCE, &used.configs),
        ] {
            let mut parts = resources(tree.get(section), fields, wanted, from.name, &at);
            if section == "secrets" {
                parts.values_mut().for_each(hide_content);
            }
            if !parts.is_empty() {
                put(section, map_of(&at, parts));
            }
        }
        if let Some(models) = tree.get("models").filter(|models| !models.is_null()) {
            put("models", sorted(models));
        }
        let extensions = tree.as_map().into_iter().flatten().filter(|(key, _)| key.starts_with("x-"));
        let extensions: std::collections::BTreeMap<_, _> = extensions.collect();
        for (key, entry) in extensions {
            put(key, sorted(&entry.value));
        }
        let mut tree = Node::new(at.clone(), Kind::Map(out));
        if from.project.is_some() {
            escape(&mut tree);
        }
        Self { tree }
    }
}

fn map_of(at: &Place, parts: IndexMap<String, Node>) -> Node {
    let mut map: Map = parts.into_iter().map(|(key, value)| (key, Entry { key: value.at.clone(), value })).collect();
    map.sort_unstable_keys();
    Node::new(at.clone(), Kind::Map(map))
}

/// What is printed may be kept: the content of a secret isn't in it.
fn hide_content(secret: &mut Node) {
    if let Some(Kind::Scalar(content)) = secret.get_mut("content").map(|content| &mut content.kind) {
        content.text = MASK.to_owned();
        content.plain = false;
    }
}

/// A dollar sign is written twice, so that the text can be read again.
fn escape(node: &mut Node) {
    match &mut node.kind {
        Kind::Scalar(scalar) if scalar.text.contains('$') => scalar.text = scalar.text.replace('$', "$$"),
        Kind::Scalar(_) => {}
        Kind::List(items) => items.iter_mut().for_each(escape),
        Kind::Map(map) => map.values_mut().for_each(|entry| escape(&mut entry.value)),
    }
}

/// The context of a build is the project's directory where none is given.
fn default_contexts(tree: &mut Node) {
    let Some(Kind::Map(services)) = tree.get_mut("services").map(|services| &mut services.kind) else { return };
    for service in services.values_mut() {
        let Some(build) = service.value.get_mut("build") else { continue };
        let at = build.at.clone();
        if let Kind::Map(map) = &mut build.kind {
            let context = || Entry { key: at.clone(), value: Node::text(at.clone(), ".") };
            map.entry("context".to_owned()).or_insert_with(context);
        }
    }
}

fn services(tree: &Node, from: &Ingredients<'_>) -> IndexMap<String, Node> {
    let all = tree.get("services").and_then(Node::as_map).into_iter().flatten();
    let own = all.filter(|(name, entry)| !name.starts_with("x-") && (from.is_on)(name, &entry.value));
    own.filter_map(|(name, entry)| Some((name.clone(), service(name, &entry.value, from)?))).collect()
}

fn service(name: &str, written: &Node, from: &Ingredients<'_>) -> Option<Node> {
    let mut node = formed(written, Shape::Fields(shapes::SERVICE))?;
    let at = node.at.clone();
    let typed = from.project.and_then(|project| project.services.get(name));
    let Kind::Map(map) = &mut node.kind else { return Some(node) };
    if let Some(typed) = typed {
        // What env files say, and what the environment gives to keys without a value.
        map.shift_remove("env_file");
        let environment = typed.environment.iter().map(|(key, value)| (key.clone(), value.value.clone()));
        replace(map, &at, "environment", environment);
        if let Some(build) = &typed.build
            && let Some(Kind::Map(written)) = map.get_mut("build").map(|entry| &mut entry.value.kind)
        {
            let args = build.args.iter().filter(|(_, value)| value.is_some());
            replace(written, &at, "args", args.map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    add_implied(map, &at);
    in_order(map);
    Some(node)
}

/// Replaces a mapping of texts; an empty one is taken out.
fn replace(map: &mut Map, at: &Place, key: &str, pairs: impl Iterator<Item = (String, Option<String>)>) {
    let value = |value: Option<String>| match value {
        Some(text) => Node::text(at.clone(), text),
        None => Node::null(at.clone()),
    };
    let pairs: IndexMap<String, Node> = pairs.map(|(key, text)| (key, value(text))).collect();
    if pairs.is_empty() {
        map.shift_remove(key);
    } else {
        map.insert(key.to_owned(), Entry { key: at.clone(), value: map_of(at, pairs) });
    }
}

/// What a service doesn't say, because other things that it says imply it.
fn add_implied(map: &mut Map, at: &Place) {
    let entry = |value: Node| Entry { key: at.clone(), value };
    let is_missing = |map: &Map, key: &str| map.get(key).is_none_or(|entry| entry.value.is_null());
    if is_missing(map, "networks") && is_missing(map, "network_mode") {
        let default = Map::from([("default".to_owned(), entry(Node::null(at.clone())))]);
        map.insert("networks".to_owned(), entry(Node::new(at.clone(), Kind::Map(default))));
    }
    if let Some(scale) = map.get("scale").map(|entry| entry.value.clone())
        && let Some(Kind::Map(deploy)) = map.get_mut("deploy").map(|entry| &mut entry.value.kind)
    {
        deploy.insert("replicas".to_owned(), entry(scale));
        in_order_of(deploy, &["mode", "replicas"]);
    }
    let mut implied: Vec<(String, bool)> = Vec::new();
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let mode = map.get(key).and_then(|entry| entry.value.as_text());
        implied.extend(mode.and_then(|mode| mode.strip_prefix("service:")).map(|other| (other.to_owned(), true)));
    }
    implied.extend(texts(map, "links").map(|link| (link.split(':').next().unwrap_or(link).to_owned(), true)));
    let volumes_from = texts(map, "volumes_from").filter(|other| !other.starts_with("container:"));
    implied.extend(volumes_from.map(|other| (other.split(':').next().unwrap_or(other).to_owned(), false)));
    if implied.is_empty() {
        return;
    }
    let dependencies =
        map.entry("depends_on".to_owned()).or_insert_with(|| entry(Node::new(at.clone(), Kind::Map(Map::new()))));
    let Kind::Map(dependencies) = &mut dependencies.value.kind else { return };
    for (other, restart) in implied {
        let plain = |text: &str| entry(Node::plain(at.clone(), text));
        let mut dependency = Map::from([("condition".to_owned(), entry(Node::text(at.clone(), "service_started")))]);
        if restart {
            dependency.insert("restart".to_owned(), plain("true"));
        }
        dependency.insert("required".to_owned(), plain("true"));
        dependencies.entry(other).or_insert_with(|| entry(Node::new(at.clone(), Kind::Map(dependency))));
    }
    dependencies.sort_unstable_keys();
}

/// The texts of a list of the mapping.
fn texts<'a>(map: &'a Map, key: &str) -> impl Iterator<Item = &'a str> {
    let items = match map.get(key).map(|entry| &entry.value.kind) {
        Some(Kind::List(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter().filter_map(Node::as_text)
}

/// Puts what was added where it belongs.
fn in_order(map: &mut Map) {
    let keys: Vec<&str> = shapes::SERVICE.iter().map(|(key, _)| *key).collect();
    in_order_of(map, &keys);
}

fn in_order_of(map: &mut Map, keys: &[&str]) {
    let rank = |key: &String| keys.iter().position(|known| known == key).unwrap_or(keys.len());
    map.sort_by(|a, _, b, _| rank(a).cmp(&rank(b)));
}

/// Which networks, volumes, configs and secrets some service uses.
#[derive(Default)]
struct Used {
    networks: BTreeSet<String>,
    volumes: BTreeSet<String>,
    configs: BTreeSet<String>,
    secrets: BTreeSet<String>,
}

impl Used {
    fn by(services: &IndexMap<String, Node>) -> Self {
        let mut used = Self::default();
        for service in services.values() {
            let networks = service.get("networks").and_then(Node::as_map).into_iter().flat_map(Map::keys);
            used.networks.extend(networks.cloned());
            let items = |key: &str| match service.get(key).map(|node| &node.kind) {
                Some(Kind::List(items)) => items.clone(),
                _ => Vec::new(),
            };
            let field = |item: &Node, key: &str| item.get(key).and_then(Node::as_text).map(str::to_owned);
            let volumes = items("volumes");
            let named = volumes.iter().filter(|mount| field(mount, "type").as_deref() == Some("volume"));
            used.volumes.extend(named.filter_map(|mount| field(mount, "source")));
            used.configs.extend(items("configs").iter().filter_map(|item| field(item, "source")));
            used.secrets.extend(items("secrets").iter().filter_map(|item| field(item, "source")));
            let of_build = service.get("build").and_then(|build| build.get("secrets"));
            if let Some(Kind::List(items)) = of_build.map(|secrets| &secrets.kind) {
                used.secrets.extend(items.iter().filter_map(|item| field(item, "source")));
            }
        }
        used
    }
}

/// The networks, volumes, configs or secrets that are used, each with its name in the engine.
fn resources(
    written: Option<&Node>,
    fields: &'static [Field],
    used: &BTreeSet<String>,
    project: &str,
    at: &Place,
) -> IndexMap<String, Node> {
    let written = written.and_then(Node::as_map);
    let part = |key: &String| {
        let node = written.and_then(|map| map.get(key)).map(|entry| &entry.value);
        if node.is_none() && key != "default" {
            return None;
        }
        let formed = node.and_then(|node| formed(&parts::external(node), Shape::Fields(fields)));
        let mut part = formed.unwrap_or_else(|| Node::new(at.clone(), Kind::Map(Map::new())));
        let Kind::Map(map) = &mut part.kind else { return Some((key.clone(), part)) };
        let is_external = map.get("external").is_some_and(|entry| entry.value.as_text() != Some("false"));
        let name = if is_external { key.clone() } else { format!("{project}_{key}") };
        if !map.contains_key("name") {
            map.shift_insert(0, "name".to_owned(), Entry { key: at.clone(), value: Node::text(at.clone(), name) });
        }
        Some((key.clone(), part))
    };
    used.iter().filter_map(part).collect()
}
