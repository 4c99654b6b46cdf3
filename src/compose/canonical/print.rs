//! A tree as YAML text and as JSON.

use serde_json::{Number, Value};

use crate::compose::node::{Kind, Map, Node, Resolved, parse_int};

/// The tree as YAML, block style, two spaces a level.
pub(super) fn yaml(node: &Node) -> String {
    let mut out = String::new();
    match &node.kind {
        Kind::Map(map) if !map.is_empty() => map_lines(map, 0, &mut out),
        Kind::List(items) if !items.is_empty() => list_lines(items, 0, &mut out),
        _ => {
            inline(node, 0, &mut out);
            out.push('\n');
        }
    }
    out
}

fn map_lines(map: &Map, indent: usize, out: &mut String) {
    for (index, (key, entry)) in map.iter().enumerate() {
        if index > 0 {
            push_indent(indent, out);
        }
        quoted_if_needed(key, out);
        out.push(':');
        value(&entry.value, indent + 2, out);
    }
}

fn list_lines(items: &[Node], indent: usize, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            push_indent(indent, out);
        }
        out.push_str("- ");
        match &item.kind {
            Kind::Map(map) if !map.is_empty() => map_lines(map, indent + 2, out),
            Kind::List(items) if !items.is_empty() => list_lines(items, indent + 2, out),
            _ => {
                inline(item, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

/// The value after a key and its colon.
fn value(node: &Node, indent: usize, out: &mut String) {
    match &node.kind {
        Kind::Map(map) if !map.is_empty() => {
            out.push('\n');
            push_indent(indent, out);
            map_lines(map, indent, out);
        }
        Kind::List(items) if !items.is_empty() => {
            out.push('\n');
            push_indent(indent, out);
            list_lines(items, indent, out);
        }
        _ => {
            out.push(' ');
            inline(node, indent, out);
            out.push('\n');
        }
    }
}

/// What has no lines of its own: a scalar, an empty list, an empty mapping.
fn inline(node: &Node, indent: usize, out: &mut String) {
    match &node.kind {
        Kind::Map(_) => out.push_str("{}"),
        Kind::List(_) => out.push_str("[]"),
        Kind::Scalar(scalar) if scalar.resolve() == Resolved::Null => out.push_str("null"),
        Kind::Scalar(scalar) if scalar.resolve() != Resolved::Text => out.push_str(&scalar.text),
        Kind::Scalar(scalar) if fits_a_block(&scalar.text) => block(&scalar.text, indent, out),
        Kind::Scalar(scalar) => quoted_if_needed(&scalar.text, out),
    }
}

fn push_indent(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Whether a text of several lines can be a literal block.
fn fits_a_block(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        && !text.starts_with([' ', '\n'])
        && text.chars().all(|c| c == '\n' || is_printable(c))
}

fn block(text: &str, indent: usize, out: &mut String) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            push_indent(indent, out);
            out.push_str(line);
        }
    }
    // The last line end is the caller's.
    out.extend(std::iter::repeat_n('\n', (text.len() - body.len()).saturating_sub(1)));
}

fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}')
}

/// The text as a plain scalar if every YAML reader takes that for a string, or else in double quotes.
fn quoted_if_needed(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        quoted(text, out);
    }
}

fn is_plain(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || " _/.,+=@%^()~$;<>-:*!?&|'\"[]{}#".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || "_/.$+".contains(c));
    starts_well
        && text.chars().all(inside)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && Resolved::of(text) == Resolved::Text
        && !is_old_boolean(text)
        && !is_nearly_a_number(text)
}

/// YAML 1.1 took these for booleans, and some readers still do.
fn is_old_boolean(text: &str) -> bool {
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Dates, times and numbers of other notations.
fn is_nearly_a_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))
        && text.chars().all(|c| c.is_ascii_hexdigit() || "xXoO.,:_+-TZ ".contains(c))
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
}

/// The tree as JSON.
pub(super) fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Map(map) => map.iter().map(|(key, entry)| (key.clone(), json(&entry.value))).collect(),
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Scalar(scalar) => match scalar.resolve() {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => Value::Bool(value),
            Resolved::Int => parse_int(&scalar.text).map_or_else(|| scalar.text.clone().into(), Value::from),
            Resolved::Float => {
                let number = scalar.text.parse().ok().and_then(Number::from_f64);
                number.map_or_else(|| scalar.text.clone().into(), Value::Number)
            }
            Resolved::Text => scalar.text.clone().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compose::Diagnostics;
    use crate::compose::node::Entry;
    use crate::compose::place::{Place, SourceText};
    use crate::compose::yaml as parser;

    fn node(kind: Kind) -> Node {
        Node::new(Place::synthetic("test"), kind)
    }

    fn scalar() -> impl Strategy<Value = Node> {
        let text = prop_oneof![
            "[ -~]{0,12}",
            "(.|\n){0,12}",
            "[0-9:.xeE+-]{0,8}",
            "(yes|no|null|~|true|\\|-|\\||>|'|\"|#|a: b| a|a |\n\n|a\n)"
        ];
        let plain = prop_oneof![
            Just("1".to_owned()),
            Just("-2.5".to_owned()),
            Just("true".to_owned()),
            Just("null".to_owned())
        ];
        prop_oneof![
            text.prop_map(|text| Node::text(Place::synthetic("test"), text)),
            plain.prop_map(|text| Node::plain(Place::synthetic("test"), text)),
        ]
    }

    fn tree() -> impl Strategy<Value = Node> {
        scalar().prop_recursive(4, 30, 4, |inner| {
            let entry = |value| Entry { key: Place::synthetic("test"), value };
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| node(Kind::List(items))),
                prop::collection::hash_map("[ -~]{0,6}|.{0,4}", inner, 0..4).prop_map(move |map| {
                    node(Kind::Map(map.into_iter().map(|(key, value)| (key, entry(value))).collect()))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_says_the_same_when_it_is_read(tree in tree()) {
            let text = yaml(&tree);
            let mut out = Diagnostics::new();
            let again = parser::parse(&SourceText::new("test", text.as_str()), &mut out);
            prop_assert!(out.is_empty(), "{out}\n{text}");
            prop_assert!(again.unwrap().says_the_same(&tree), "{text}");
        }
    }
}
