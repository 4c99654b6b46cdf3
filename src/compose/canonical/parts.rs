//! Short forms made long. What can't be understood, because a variable isn't replaced yet, stays as it is.

use std::ops::RangeInclusive;

use crate::compose::node::{Entry, Kind, Map, Node};
use crate::compose::read::{ShortPort, port_identity};
use crate::compose::shell_words;

/// A mapping of these values; those that are None are left out.
fn mapping<const N: usize>(node: &Node, pairs: [(&str, Option<Node>); N]) -> Node {
    let entry = |value: Node| Entry { key: node.at.clone(), value };
    let map: Map = pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), entry(value?)))).collect();
    Node::new(node.at.clone(), Kind::Map(map))
}

fn text(node: &Node, text: &str) -> Option<Node> {
    Some(Node::text(node.at.clone(), text))
}

fn plain(node: &Node, text: &str) -> Option<Node> {
    Some(Node::plain(node.at.clone(), text))
}

fn list(node: &Node, items: Vec<Node>) -> Node {
    Node::new(node.at.clone(), Kind::List(items))
}

/// Adds what a mapping doesn't have.
fn with_default(mut node: Node, key: &str, value: Option<Node>) -> Node {
    let at = node.at.clone();
    if let (Kind::Map(map), Some(value)) = (&mut node.kind, value) {
        let there = map.entry(key.to_owned()).or_insert_with(|| Entry { key: at, value: value.clone() });
        if there.value.is_null() {
            there.value = value;
        }
    }
    node
}

/// A command line as words.
pub(super) fn words(node: &Node) -> Node {
    let Some(line) = node.as_text() else { return node.clone() };
    match shell_words::split(line) {
        Ok(words) => list(node, words.into_iter().map(|word| Node::text(node.at.clone(), word)).collect()),
        Err(_) => node.clone(),
    }
}

/// The test of a health check.
pub(super) fn health_test(node: &Node) -> Node {
    match node.as_text() {
        Some(line) => list(node, [text(node, "CMD-SHELL"), text(node, line)].into_iter().flatten().collect()),
        None => node.clone(),
    }
}

/// `all` or a number.
pub(super) fn count(node: &Node) -> Node {
    if node.as_text() == Some("all") { Node::plain(node.at.clone(), "-1") } else { node.clone() }
}

/// `all`, or a list of requests.
pub(super) fn gpus(node: &Node) -> Node {
    match node.as_text() {
        Some("all") => list(node, vec![mapping(node, [("count", plain(node, "-1"))])]),
        _ => node.clone(),
    }
}

/// One number for both limits is written as that number.
pub(super) fn ulimit(node: &Node) -> Node {
    node.as_text().and_then(|text| plain(node, text)).unwrap_or_else(|| node.clone())
}

/// Keys for a build: a list, or a mapping of paths.
pub(super) fn ssh(node: &Node) -> Node {
    let Kind::Map(map) = &node.kind else { return node.clone() };
    let line = |(key, entry): (&String, &Entry)| match entry.value.as_text() {
        Some(path) if !path.is_empty() => format!("{key}={path}"),
        _ => key.clone(),
    };
    list(node, map.iter().map(|pair| Node::text(node.at.clone(), line(pair))).collect())
}

/// Hosts entries as `name=address`, in order.
pub(super) fn hosts(node: &Node) -> Node {
    let bare =
        |address: &str| address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address).to_owned();
    let mut lines = Vec::new();
    match &node.kind {
        Kind::Map(map) => {
            for (name, entry) in map {
                let addresses = match &entry.value.kind {
                    Kind::List(list) => list.as_slice(),
                    _ => std::slice::from_ref(&entry.value),
                };
                lines.extend(addresses.iter().filter_map(|a| Some(format!("{name}={}", bare(a.as_text()?)))));
            }
        }
        Kind::List(items) => {
            for item in items {
                let Some(written) = item.as_text() else { return node.clone() };
                lines.push(match written.split_once(['=', ':']) {
                    Some((name, address)) => format!("{name}={}", bare(address)),
                    None => written.to_owned(),
                });
            }
        }
        Kind::Scalar(_) => return node.clone(),
    }
    lines.sort();
    list(node, lines.into_iter().map(|line| Node::text(node.at.clone(), line)).collect())
}

/// A config of a service.
pub(super) fn config(node: &Node) -> Node {
    match node.as_text() {
        Some(source) => mapping(node, [("source", text(node, source))]),
        None => node.clone(),
    }
}

/// A secret of a service, with where it is put.
pub(super) fn secret(node: &Node) -> Node {
    let long = config(node);
    let source = long.get("source").and_then(Node::as_text).map(|source| format!("/run/secrets/{source}"));
    with_default(long, "target", source.and_then(|target| text(node, &target)))
}

/// A build, with the name of its Dockerfile.
pub(super) fn build(node: &Node) -> Node {
    let long = match node.as_text() {
        Some(context) => mapping(node, [("context", text(node, context))]),
        None => node.clone(),
    };
    if long.get("dockerfile_inline").is_some_and(|inline| !inline.is_null()) {
        return long;
    }
    with_default(long, "dockerfile", text(node, "Dockerfile"))
}

/// What is waited for.
pub(super) fn dependency(node: &Node) -> Node {
    let long = if node.is_null() { mapping(node, []) } else { node.clone() };
    let long = with_default(long, "condition", text(node, "service_started"));
    with_default(long, "required", plain(node, "true"))
}

/// `path[:path inside[:permissions]]`.
pub(super) fn device(node: &Node) -> Node {
    let long = match node.as_text() {
        Some(written) => {
            let mut parts = at_colons(written).into_iter();
            let source = parts.next().and_then(|part| text(node, part));
            let target = parts.next().filter(|part| !part.is_empty()).and_then(|part| text(node, part));
            mapping(
                node,
                [("source", source), ("target", target), ("permissions", parts.next().and_then(|p| text(node, p)))],
            )
        }
        None => node.clone(),
    };
    let source = long.get("source").cloned();
    with_default(with_default(long, "target", source), "permissions", text(node, "rwm"))
}

/// The old form `external: { name: … }` becomes the present one.
pub(super) fn external(node: &Node) -> Node {
    let Some(Kind::Map(old)) = node.get("external").map(|external| &external.kind) else { return node.clone() };
    let name = old.get("name").map(|entry| entry.value.clone());
    let mut node = node.clone();
    if let Some(external) = node.get_mut("external") {
        *external = Node::plain(external.at.clone(), "true");
    }
    with_default(node, "name", name)
}

/// The old name of a policy is replaced.
pub(super) fn pull_policy(node: &Node) -> Node {
    if node.as_text() == Some("if_not_present") { Node::text(node.at.clone(), "missing") } else { node.clone() }
}

/// The parts between colons, not those inside a reference to a variable that was left in: `${DIR:-here}:/there`.
fn at_colons(written: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, character) in written.char_indices() {
        match character {
            '{' if written[..at].ends_with('$') => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => {
                parts.push(&written[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&written[from..]);
    parts
}

/// `[source:]target[:options]`.
pub(super) fn mount(node: &Node) -> Node {
    let Some(written) = node.as_text() else { return node.clone() };
    let parts = at_colons(written);
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return node.clone(),
    };
    let options: Vec<&str> = options.split(',').filter(|option| !option.is_empty()).collect();
    let has = |option: &str| options.contains(&option);
    let one_of = |known: &[&str]| options.iter().find(|option| known.contains(option)).and_then(|one| text(node, one));
    let is_bind = source.is_some_and(|source| source.starts_with(['/', '.', '~']));
    let propagation = one_of(&["rprivate", "private", "rshared", "shared", "rslave", "slave"]);
    let bind = mapping(
        node,
        [("selinux", one_of(&["z", "Z"])), ("propagation", propagation), ("create_host_path", plain(node, "true"))],
    );
    let volume = mapping(node, [("nocopy", has("nocopy").then(|| plain(node, "true")).flatten())]);
    mapping(
        node,
        [
            ("type", text(node, if is_bind { "bind" } else { "volume" })),
            ("source", source.and_then(|source| text(node, source))),
            ("target", text(node, target.trim_end_matches('/'))),
            ("read_only", has("ro").then(|| plain(node, "true")).flatten()),
            ("bind", is_bind.then_some(bind)),
            ("volume", (!is_bind).then_some(volume)),
        ],
    )
}

/// Published ports, each range that has a port inside for each of its ports spelled out. What is there twice comes once.
pub(super) fn ports(node: &Node) -> Node {
    let Kind::List(items) = &node.kind else { return node.clone() };
    let mut seen = std::collections::HashSet::new();
    let mut all = Vec::new();
    for port in items.iter().flat_map(port) {
        // What isn't understood has no identity and is kept.
        if port_identity(&port).is_none_or(|identity| seen.insert(identity)) {
            all.push(port);
        }
    }
    list(node, all)
}

fn port(node: &Node) -> Vec<Node> {
    let Some(written) = node.as_text() else {
        let long = with_default(node.clone(), "mode", text(node, "ingress"));
        return vec![with_default(long, "protocol", text(node, "tcp"))];
    };
    let ShortPort { host_ip, published, target, protocol } = ShortPort::of(written);
    let Some(targets) = range(target) else { return vec![node.clone()] };
    let one = |target: u16, published: String| {
        mapping(
            node,
            [
                ("mode", text(node, "ingress")),
                ("host_ip", host_ip.and_then(|ip| text(node, ip))),
                ("target", plain(node, &target.to_string())),
                ("published", (!published.is_empty()).then(|| text(node, &published)).flatten()),
                ("protocol", text(node, &protocol.to_ascii_lowercase())),
            ],
        )
    };
    if targets.len() == 1 || published.is_empty() {
        return targets.map(|target| one(target, published.to_owned())).collect();
    }
    let Some(published) = range(published) else { return vec![node.clone()] };
    targets.zip(published).map(|(target, published)| one(target, published.to_string())).collect()
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}
