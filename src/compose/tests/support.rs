//! `docs/compose-support.md` has one row for every key of the specification, and says of it what the code does.

use std::fmt::Write;

use super::super::canonical::shapes::{self, Field, Shape};
use super::*;

/// A value of a shape, as YAML.
fn sample(shape: Shape) -> String {
    match shape {
        Shape::Any | Shape::Text => "a".to_owned(),
        Shape::Bool | Shape::Flag => "true".to_owned(),
        Shape::Int | Shape::Number => "1".to_owned(),
        Shape::Duration => "1s".to_owned(),
        Shape::Size => "1m".to_owned(),
        Shape::Mode | Shape::Bits => "0440".to_owned(),
        Shape::List(item) => format!("[{}]", sample(*item)),
        Shape::Map(value) | Shape::Names(value) => format!("{{ k: {} }}", sample(*value)),
        Shape::Pairs | Shape::Labels => "{ k: v }".to_owned(),
        Shape::Fields(_) | Shape::Short(..) => "{}".to_owned(),
        Shape::Long(_, shape) => sample(*shape),
    }
}

/// The keys inside a value, and how a mapping of them is written as the value.
fn inside(shape: Shape) -> Option<(&'static [Field], &'static str, &'static str)> {
    match shape {
        Shape::Fields(fields) | Shape::Short(_, fields) => Some((fields, "{", "}")),
        Shape::List(item) => inside(*item).map(|(fields, ..)| (fields, "[{", "}]")),
        Shape::Map(value) | Shape::Names(value) => inside(*value).map(|(fields, ..)| (fields, "{ k: {", "} }")),
        Shape::Long(_, shape) => inside(*shape),
        _ => None,
    }
}

/// Adds what the code does with each of the keys. `before` and `after` are the text around a mapping that has the key.
fn add(rows: &mut BTreeMap<String, &'static str>, path: &str, fields: &[Field], before: &str, after: &str) {
    for (key, shape) in fields {
        let said = said(&format!("{before} {key}: {} {after}", sample(*shape)));
        assert!(!said.contains(&format!("unknown key {key:?}")), "{path}.{key} isn't read:\n{said}");
        let answer = if said.contains(&format!("{key} isn't supported yet")) {
            "refused"
        } else if said.contains(&format!("{key} is ignored")) {
            "ignored"
        } else {
            "honoured"
        };
        let path = format!("{path}.{key}");
        if let Some((fields, open, close)) = inside(*shape).filter(|_| answer == "honoured") {
            add(rows, &path, fields, &format!("{before} {key}: {open}"), &format!("{close} {after}"));
        }
        rows.insert(path, answer);
    }
}

/// What the code does with every key.
fn answers() -> BTreeMap<String, &'static str> {
    let mut rows = BTreeMap::new();
    let service = "services: { a: { image: i } }\n";
    add(&mut rows, "services", shapes::SERVICE, "services: { a: {", "} }");
    for (section, fields) in [
        ("networks", shapes::NETWORK),
        ("volumes", shapes::VOLUME),
        ("configs", shapes::SOURCE),
        ("secrets", shapes::SOURCE),
    ] {
        add(&mut rows, section, fields, &format!("{service}{section}: {{ k: {{"), "} }");
    }
    rows
}

#[test]
fn the_page_says_of_every_key_what_the_code_does() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compose-support.md");
    let page = std::fs::read_to_string(path).unwrap();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = page
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("."))
        .map(cells)
        .filter(|row| row[1].contains('.'))
        .collect();
    let mut written = BTreeMap::new();
    for row in &rows {
        let key = row[1].trim_matches('`').to_owned();
        assert!(written.insert(key, row[2].as_str()).is_none(), "{} is there twice", row[1]);
    }
    let answers = answers();
    let mut wrong = String::new();
    for (key, answer) in &answers {
        if written.get(key) != Some(answer) {
            writeln!(wrong, "| `{key}` | {answer} | |").unwrap();
        }
    }
    let stale: Vec<&String> = written.keys().filter(|key| !answers.contains_key(*key)).collect();
    assert!(wrong.is_empty() && stale.is_empty(), "rows that should be there:\n{wrong}rows that shouldn't: {stale:?}");
}
