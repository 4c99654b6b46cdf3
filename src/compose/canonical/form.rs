//! A value in its shape. What can't be brought into it (because a variable isn't replaced yet) stays as it is.

use super::shapes::{Field, Shape};
use crate::compose::node::{Entry, Kind, Map, Node, Resolved, parse_int};
use crate::compose::place::Place;
use crate::units::{ByteSize, parse_duration};

/// The value in its canonical form. None: there is nothing to say.
pub(super) fn formed(node: &Node, shape: Shape) -> Option<Node> {
    if let Shape::Long(long, shape) = shape {
        return formed(&long(node), *shape);
    }
    if node.is_null() {
        return None;
    }
    let at = node.at.clone();
    match shape {
        Shape::Any => Some(sorted(node)),
        Shape::Text => Some(node.as_text().map_or_else(|| sorted(node), |text| Node::text(at, text))),
        Shape::Bool => Some(scalar(node, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some("true".to_owned()),
            "false" | "no" | "off" | "n" => Some("false".to_owned()),
            _ => None,
        })),
        Shape::Flag => formed(node, Shape::Bool).filter(|flag| flag.as_text() != Some("false")),
        Shape::Int => Some(scalar(node, |text| parse_int(text.trim()).map(|number| number.to_string()))),
        Shape::Number => Some(scalar(node, number)),
        Shape::Duration => Some(textual(node, |text| parse_duration(text).ok().map(go_duration))),
        Shape::Size => Some(textual(node, size)),
        Shape::Mode => Some(mode(node, |at, bits| Node::text(at, format!("0{bits:o}")))),
        Shape::Bits => Some(mode(node, |at, bits| Node::plain(at, bits.to_string()))),
        Shape::List(item) => list(node, *item),
        Shape::Map(value) => map(node, |entry| formed(&entry.value, *value)),
        Shape::Pairs => {
            map(&listed(node, true), |entry| formed(&entry.value, Shape::Text).or_else(|| Some(entry.value.clone())))
        }
        Shape::Labels => map(&listed(node, true), |entry| {
            formed(&entry.value, Shape::Text).or_else(|| Some(Node::text(entry.value.at.clone(), "")))
        }),
        Shape::Names(value) => map(&listed(node, false), |entry| {
            formed(&entry.value, *value)
                .filter(|value| !is_empty(value))
                .or_else(|| Some(Node::null(entry.value.at.clone())))
        }),
        Shape::Fields(known) => fields(node, known),
        Shape::Short(key, known) => match node.as_text() {
            Some(_) => {
                let entry = Entry { key: at.clone(), value: node.clone() };
                fields(&Node::new(at, Kind::Map(Map::from([(key.to_owned(), entry)]))), known)
            }
            None => fields(node, known),
        },
        Shape::Long(..) => unreachable!("handled first"),
    }
}

/// A scalar of another type than text, if `read` understands it.
fn scalar(node: &Node, read: impl FnOnce(&str) -> Option<String>) -> Node {
    match node.as_text().and_then(read) {
        Some(text) => Node::plain(node.at.clone(), text),
        None => sorted(node),
    }
}

/// Text in another notation, if `read` understands it.
fn textual(node: &Node, read: impl FnOnce(&str) -> Option<String>) -> Node {
    let text = node.as_text().map(|text| read(text).unwrap_or_else(|| text.to_owned()));
    text.map_or_else(|| sorted(node), |text| Node::text(node.at.clone(), text))
}

fn number(text: &str) -> Option<String> {
    if let Some(whole) = parse_int(text.trim()) {
        return Some(whole.to_string());
    }
    let number: f64 = text.trim().parse().ok()?;
    number.is_finite().then(|| number.to_string())
}

/// -1 is "no limit".
fn size(text: &str) -> Option<String> {
    if text == "-1" { Some("-1".to_owned()) } else { ByteSize::parse(text).ok().map(|size| size.0.to_string()) }
}

/// Permission bits: a string and a number with a leading zero are octal.
fn mode(node: &Node, written_as: impl FnOnce(Place, u32) -> Node) -> Node {
    let Kind::Scalar(written) = &node.kind else { return sorted(node) };
    let octal = |text: &str| u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok();
    let is_decimal = written.plain && !written.text.starts_with('0');
    let bits = if is_decimal { written.text.parse().ok() } else { octal(&written.text) };
    match bits {
        Some(bits) => written_as(node.at.clone(), bits),
        None => node.clone(),
    }
}

/// A duration in Go's notation: `1h2m3.5s`, `1m0s`, `500ms`.
fn go_duration(duration: std::time::Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let decimal = |value: u128, unit: u128| {
        let text = format!("{}.{:0width$}", value / unit, value % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanos {
        0..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 1_000_000)),
        _ => {
            let (hours, minutes) = (nanos / 3_600_000_000_000, nanos / 60_000_000_000 % 60);
            let seconds = format!("{}s", decimal(nanos % 60_000_000_000, 1_000_000_000));
            match (hours, minutes) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

fn list(node: &Node, item: Shape) -> Option<Node> {
    let items = match &node.kind {
        Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let formed: Vec<Node> = items.iter().filter_map(|one| formed(one, item)).collect();
    Some(Node::new(node.at.clone(), Kind::List(formed)))
}

/// A list of names, or of `key=value`, as a mapping.
fn listed(node: &Node, pairs: bool) -> Node {
    let Kind::List(items) = &node.kind else { return node.clone() };
    let mut map = Map::new();
    for item in items {
        let Some(text) = item.as_text() else { return node.clone() };
        let (key, value) = match text.split_once('=').filter(|_| pairs) {
            Some((key, value)) => (key, Node::text(item.at.clone(), value)),
            None => (text, Node::null(item.at.clone())),
        };
        map.insert(key.to_owned(), Entry { key: item.at.clone(), value });
    }
    Node::new(node.at.clone(), Kind::Map(map))
}

/// A mapping with its keys in order.
fn map(node: &Node, value: impl Fn(&Entry) -> Option<Node>) -> Option<Node> {
    let Kind::Map(entries) = &node.kind else { return Some(node.clone()) };
    let formed = entries
        .iter()
        .filter_map(|(key, entry)| Some((key.clone(), Entry { key: entry.key.clone(), value: value(entry)? })));
    let mut formed: Map = formed.collect();
    formed.sort_unstable_keys();
    (!formed.is_empty()).then(|| Node::new(node.at.clone(), Kind::Map(formed)))
}

/// Known keys in the order of the table, then extensions in alphabetical order. Empty lists and mappings are left out.
fn fields(node: &Node, known: &[Field]) -> Option<Node> {
    let Kind::Map(entries) = &node.kind else { return Some(node.clone()) };
    let mut formed_map = Map::new();
    for (key, shape) in known {
        let Some(entry) = entries.get(*key) else { continue };
        if let Some(value) = formed(&entry.value, *shape).filter(|value| !is_empty(value) || keeps_empty(key)) {
            formed_map.insert((*key).to_owned(), Entry { key: entry.key.clone(), value });
        }
    }
    let mut extensions: Vec<(&String, &Entry)> = entries.iter().filter(|(key, _)| key.starts_with("x-")).collect();
    extensions.sort_by_key(|(key, _)| *key);
    for (key, entry) in extensions {
        formed_map.insert(key.clone(), Entry { key: entry.key.clone(), value: sorted(&entry.value) });
    }
    Some(Node::new(node.at.clone(), Kind::Map(formed_map)))
}

fn is_empty(node: &Node) -> bool {
    match &node.kind {
        Kind::List(items) => items.is_empty(),
        Kind::Map(map) => map.is_empty(),
        Kind::Scalar(scalar) => scalar.resolve() == Resolved::Text && scalar.text.is_empty(),
    }
}

/// An empty command or entrypoint takes away the image's; other empty values say nothing.
fn keeps_empty(key: &str) -> bool {
    matches!(key, "command" | "entrypoint" | "content")
}

/// The value with the keys of all its mappings in order.
pub(super) fn sorted(node: &Node) -> Node {
    let kind = match &node.kind {
        Kind::Scalar(scalar) => Kind::Scalar(scalar.clone()),
        Kind::List(items) => Kind::List(items.iter().map(sorted).collect()),
        Kind::Map(entries) => {
            let mut map: Map = entries
                .iter()
                .map(|(key, entry)| (key.clone(), Entry { key: entry.key.clone(), value: sorted(&entry.value) }))
                .collect();
            map.sort_unstable_keys();
            Kind::Map(map)
        }
    };
    Node::new(node.at.clone(), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As docker compose 2.40 has it: octal text for files, a number for a tmpfs.
    #[test]
    fn permission_bits() {
        let of = |node: Node, shape| {
            let formed = formed(&node, shape).unwrap();
            let Kind::Scalar(scalar) = formed.kind else { panic!("a scalar") };
            (scalar.text, scalar.plain)
        };
        let plain = |text| Node::plain(Place::synthetic("test"), text);
        let text = |text| Node::text(Place::synthetic("test"), text);
        for (node, file, tmpfs) in [
            (plain("0440"), "0440", "288"),
            (plain("288"), "0440", "288"),
            (text("440"), "0440", "288"),
            (plain("4"), "04", "4"),
        ] {
            assert_eq!(of(node.clone(), Shape::Mode), (file.to_owned(), false));
            assert_eq!(of(node, Shape::Bits), (tmpfs.to_owned(), true));
        }
    }

    #[test]
    fn durations_as_go_writes_them() {
        for (written, expected) in [
            ("0", "0s"),
            ("90s", "1m30s"),
            ("1m", "1m0s"),
            ("1500ms", "1.5s"),
            ("1h", "1h0m0s"),
            ("250us", "250µs"),
            ("2ms", "2ms"),
            ("1.5h", "1h30m0s"),
        ] {
            assert_eq!(go_duration(parse_duration(written).unwrap()), expected, "{written}");
        }
    }
}
