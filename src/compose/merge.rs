//! Lays a second file over a first one by Compose's rules.
//!
//! Mappings are merged key by key, single values replaced, lists appended to; `command`, `entrypoint` and the test of
//! a health check are replaced as a whole; what may be a list or a mapping is a mapping first (`extra_hosts` a list).
//! An empty value takes nothing away, but for a command, and a variable or label of that name.
//! `!reset` takes away what was there, `!override` replaces it as a whole. Works on the tree, before types: a value of
//! the wrong kind is reported when the result is read.

use super::node::{Entry, Kind, Map, Mark, Node};
use super::read::{port_identity, short_target};

/// Lays the file `over` on `base`.
pub(super) fn merge(base: &mut Node, over: Node) {
    merge_at(base, over, &mut Vec::new());
}

/// Lays a service on the one that it extends.
pub(super) fn merge_service(base: &mut Node, over: Node) {
    merge_at(base, over, &mut vec!["services".to_owned(), String::new()]);
}

/// Removes what `!reset` stands at, and every mark: nothing comes over the tree any more.
pub(super) fn settle(node: &mut Node) {
    node.mark = Mark::None;
    match &mut node.kind {
        Kind::Map(map) => {
            map.retain(|_, entry| entry.value.mark != Mark::Reset);
            map.values_mut().for_each(|entry| settle(&mut entry.value));
        }
        Kind::List(list) => {
            list.retain(|item| item.mark != Mark::Reset);
            list.iter_mut().for_each(settle);
        }
        Kind::Scalar(_) => {}
    }
}

/// How values at a place are merged.
enum Rule {
    /// Mappings key by key, lists appended, all else replaced.
    Usual,
    /// The later value as a whole.
    Replace,
    /// `key=value` lists are mappings. A later key without a value stands.
    Pairs,
    /// A single text is a list of one.
    Texts,
    /// The same, of files with options.
    EnvFiles,
    /// Mappings are lists of `name=address`, since a name may come several times.
    Hosts,
    /// Lists of names are mappings with empty values.
    Names,
    /// Lists of services are mappings that say what is meant without saying it.
    Dependencies,
    /// A string is a mapping with this one key.
    Short(&'static str),
    /// Replaced as a whole if the two have another value at this key.
    Unless(&'static str),
    /// Lists in which an item replaces an earlier one of the same identity.
    Unique(fn(&Node) -> Option<String>),
    /// The later list, of which each item is laid over an earlier one of the same identity.
    Matching(fn(&Node) -> Option<String>),
    /// Where it comes from is replaced: two origins together would be an error.
    Origin,
}

/// Where a config or secret comes from.
const ORIGINS: [&str; 4] = ["file", "content", "environment", "external"];

fn rule(whole: &[String]) -> Rule {
    let path: Vec<&str> = whole.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["services", _, rest @ ..] => service_rule(rest),
        ["networks" | "volumes", _, "labels" | "driver_opts"] => Rule::Pairs,
        ["networks", _, "ipam", "config"] => Rule::Matching(subnet_identity),
        ["configs" | "secrets", _] => Rule::Origin,
        _ => Rule::Usual,
    }
}

fn service_rule(path: &[&str]) -> Rule {
    match path {
        ["command" | "entrypoint" | "provider" | "credential_spec"] => Rule::Replace,
        ["healthcheck", "test"] | ["ulimits", _] | ["x-convoke", "live" | "ready"] => Rule::Replace,
        ["environment" | "labels" | "sysctls" | "annotations" | "storage_opt"] => Rule::Pairs,
        ["build", "args" | "labels" | "additional_contexts"] | ["deploy", "labels"] => Rule::Pairs,
        ["x-convoke", "owner"] => Rule::Pairs,
        ["depends_on"] => Rule::Dependencies,
        ["networks" | "models"] => Rule::Names,
        ["tmpfs" | "dns" | "dns_opt" | "dns_search" | "label_file"] => Rule::Texts,
        ["env_file"] => Rule::EnvFiles,
        ["extra_hosts"] | ["build", "extra_hosts"] => Rule::Hosts,
        ["build"] => Rule::Short("context"),
        ["extends"] => Rule::Short("service"),
        ["logging"] => Rule::Unless("driver"),
        ["volumes"] => Rule::Unique(mount_identity),
        ["devices"] => Rule::Unique(device_identity),
        ["ports"] => Rule::Unique(port_identity),
        ["configs"] => Rule::Unique(config_identity),
        ["secrets"] => Rule::Unique(secret_identity),
        ["expose" | "cap_add" | "cap_drop" | "security_opt" | "group_add" | "profiles" | "device_cgroup_rules"]
        | ["links" | "external_links" | "volumes_from"]
        | ["networks", _, "aliases" | "link_local_ips"]
        | ["build", "platforms" | "tags" | "ssh"]
        | ["x-convoke", "needs"] => Rule::Unique(text_identity),
        _ => Rule::Usual,
    }
}

fn merge_at(base: &mut Node, mut over: Node, path: &mut Vec<String>) {
    let rule = rule(path);
    if over.mark != Mark::None || base.mark == Mark::Reset {
        *base = over;
        return;
    }
    if over.is_null() && !base.is_null() && !may_be_emptied(path) {
        return;
    }
    match rule {
        Rule::Replace => {
            *base = over;
            return;
        }
        Rule::Unless(key) if differ(base.get(key), over.get(key)) => {
            *base = over;
            return;
        }
        Rule::Pairs => [&mut *base, &mut over].into_iter().for_each(|node| list_to_map(node, true)),
        Rule::Names => [&mut *base, &mut over].into_iter().for_each(|node| list_to_map(node, false)),
        Rule::Dependencies => [&mut *base, &mut over].into_iter().for_each(list_to_dependencies),
        Rule::Origin => forget_origin(base, &over),
        Rule::Texts | Rule::EnvFiles => [&mut *base, &mut over].into_iter().for_each(text_to_list),
        Rule::Hosts => [&mut *base, &mut over].into_iter().for_each(map_to_list),
        Rule::Short(key) => [&mut *base, &mut over].into_iter().for_each(|node| text_to_map(node, key)),
        Rule::Usual | Rule::Unique(_) | Rule::Matching(_) | Rule::Unless(_) => {}
    }
    let at = over.at;
    match (&mut base.kind, over.kind) {
        (Kind::Map(base), Kind::Map(over)) => merge_maps(base, over, path),
        (Kind::List(base), Kind::List(over)) => match rule {
            Rule::Unique(identity) => append_unique(base, over, identity),
            Rule::Matching(identity) => lay_over_matching(base, over, identity, path),
            Rule::Texts | Rule::Hosts => append_unique(base, over, text_identity),
            Rule::EnvFiles => append_unique(base, over, env_file_identity),
            _ => base.extend(over),
        },
        (_, kind) => {
            base.at = at;
            base.kind = kind;
        }
    }
}

fn merge_maps(base: &mut Map, over: Map, path: &mut Vec<String>) {
    for (key, entry) in over {
        match base.get_mut(&key) {
            None => {
                base.insert(key, entry);
            }
            Some(first) => {
                path.push(key);
                merge_at(&mut first.value, entry.value, path);
                path.pop();
            }
        }
    }
}

fn append_unique(base: &mut Vec<Node>, over: Vec<Node>, identity: fn(&Node) -> Option<String>) {
    for item in over {
        let id = identity(&item);
        match base.iter_mut().find(|first| id.is_some() && identity(first) == id) {
            Some(first) => *first = item,
            None => base.push(item),
        }
    }
}

fn lay_over_matching(
    base: &mut Vec<Node>,
    over: Vec<Node>,
    identity: fn(&Node) -> Option<String>,
    path: &mut Vec<String>,
) {
    let mut earlier = std::mem::take(base);
    for item in over {
        let id = identity(&item);
        let same = earlier.iter().position(|first| id.is_some() && identity(first) == id);
        base.push(match same.map(|index| earlier.remove(index)) {
            None => item,
            Some(mut first) => {
                merge_at(&mut first, item, path);
                first
            }
        });
    }
}

/// Takes away where a config or secret comes from, if the later one says it.
fn forget_origin(base: &mut Node, over: &Node) {
    let is_said = ORIGINS.iter().any(|origin| over.get(origin).is_some_and(|value| !value.is_null()));
    if let Kind::Map(base) = &mut base.kind
        && is_said
    {
        base.retain(|key, _| !ORIGINS.contains(&key.as_str()));
    }
}

/// Turns a list of services into a mapping of what each item means.
fn list_to_dependencies(node: &mut Node) {
    if !matches!(node.kind, Kind::List(_)) {
        return;
    }
    list_to_map(node, false);
    let Kind::Map(map) = &mut node.kind else { return };
    for entry in map.values_mut() {
        let said = [("condition", "service_started"), ("required", "true")];
        let said = said.map(|(key, value)| {
            let value = Node::plain(entry.key.clone(), value);
            (key.to_owned(), Entry { key: entry.key.clone(), value })
        });
        entry.value.kind = Kind::Map(Map::from(said));
    }
}

/// Turns a list of texts into a mapping. Left alone if any item isn't a text: reading it reports that.
fn list_to_map(node: &mut Node, pairs: bool) {
    let Kind::List(list) = &node.kind else { return };
    let mut map = Map::new();
    for item in list {
        let Kind::Scalar(scalar) = &item.kind else { return };
        let (key, value) = match scalar.text.split_once('=') {
            Some((key, value)) if pairs => (key, Node::text(item.at.clone(), value)),
            _ => (scalar.text.as_str(), Node::null(item.at.clone())),
        };
        map.insert(key.to_owned(), Entry { key: item.at.clone(), value });
    }
    node.kind = Kind::Map(map);
}

fn text_to_list(node: &mut Node) {
    if !matches!(node.kind, Kind::List(_)) && !node.is_null() {
        let only = node.clone();
        node.kind = Kind::List(vec![only]);
    }
}

/// Turns a mapping of texts, or of lists of texts, into a list of `key=text`. Left alone if anything in it is no text.
fn map_to_list(node: &mut Node) {
    let Kind::Map(map) = &node.kind else { return };
    let mut list = Vec::new();
    for (key, entry) in map {
        let values = match &entry.value.kind {
            Kind::List(values) => values.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        for value in values {
            let Kind::Scalar(scalar) = &value.kind else { return };
            list.push(Node::text(value.at.clone(), format!("{key}={}", scalar.text)));
        }
    }
    node.kind = Kind::List(list);
}

fn text_to_map(node: &mut Node, key: &str) {
    if let Kind::Scalar(_) = &node.kind
        && !node.is_null()
    {
        let entry = Entry { key: node.at.clone(), value: node.clone() };
        node.kind = Kind::Map(Map::from([(key.to_owned(), entry)]));
    }
}

/// Whether an empty value says something: that there is no command, or a variable or label without a value.
fn may_be_emptied(path: &[String]) -> bool {
    let is_pair = |whole: &[String]| matches!(rule(whole), Rule::Pairs);
    let whole: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(whole.as_slice(), ["services", _, "command" | "entrypoint"] | ["services", _, "healthcheck", "test"])
        || path.split_last().is_some_and(|(_, above)| is_pair(above))
}

/// Whether both are there and are different.
fn differ(a: Option<&Node>, b: Option<&Node>) -> bool {
    a.zip(b).is_some_and(|(a, b)| !a.says_the_same(b))
}

fn text_identity(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Scalar(scalar) => Some(scalar.text.clone()),
        _ => None,
    }
}

fn field_identity(node: &Node, field: &str) -> Option<String> {
    match &node.kind {
        Kind::Map(map) => text_identity(&map.get(field)?.value),
        _ => None,
    }
}

fn mount_identity(node: &Node) -> Option<String> {
    let short = || text_identity(node).map(|text| short_target(&text).to_owned());
    let target = field_identity(node, "target").or_else(short)?;
    // One path is written with a slash at its end or without.
    Some(match target.trim_end_matches('/') {
        "" => target,
        path => path.to_owned(),
    })
}

/// Configs and secrets of one path inside replace each other.
fn config_identity(node: &Node) -> Option<String> {
    file_identity(node, "")
}

fn secret_identity(node: &Node) -> Option<String> {
    file_identity(node, "/run/secrets")
}

fn file_identity(node: &Node, folder: &str) -> Option<String> {
    let path = field_identity(node, "target").or_else(|| field_identity(node, "source"));
    let path = path.or_else(|| text_identity(node))?;
    Some(if path.starts_with('/') { path } else { format!("{folder}/{path}") })
}

fn env_file_identity(node: &Node) -> Option<String> {
    field_identity(node, "path").or_else(|| text_identity(node))
}

fn subnet_identity(node: &Node) -> Option<String> {
    field_identity(node, "subnet")
}

/// Devices of one path inside replace each other.
fn device_identity(node: &Node) -> Option<String> {
    let short = || text_identity(node).map(|text| short_target(&text).to_owned());
    field_identity(node, "target").or_else(|| field_identity(node, "source")).or_else(short)
}
