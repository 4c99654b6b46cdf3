//! Which variables files refer to, and what they say about each.

use indexmap::IndexMap;
use serde::Serialize;

use super::interpolate::{closing_brace, has_dollar, split_name};
use super::node::{Kind, Node};

/// A variable that files refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// Whether some reference insists on it (`${NAME:?message}`).
    pub required: bool,
    /// What stands for it when it isn't set (`${NAME:-default}`).
    pub default: Option<String>,
    /// What stands for it when it is set (`${NAME:+alternate}`).
    pub alternate: Option<String>,
}

/// Deepest nesting that is followed.
const MAX_NESTING: usize = 20;

/// Adds the references of all values below `node`.
pub(super) fn gather(node: &Node, found: &mut IndexMap<String, Reference>) {
    match &node.kind {
        Kind::Scalar(scalar) if has_dollar(&scalar.text) => in_text(&scalar.text, found, 0),
        Kind::Scalar(_) => {}
        Kind::List(list) => list.iter().for_each(|item| gather(item, found)),
        Kind::Map(map) => map.values().for_each(|entry| gather(&entry.value, found)),
    }
}

fn in_text(text: &str, found: &mut IndexMap<String, Reference>, depth: usize) {
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some(end) = closing_brace(after) else { return };
            in_braces(&after[..end], found, depth);
            rest = &after[end + 1..];
        } else {
            let (name, after) = split_name(rest);
            note(name, found);
            rest = after;
        }
    }
}

fn in_braces(inside: &str, found: &mut IndexMap<String, Reference>, depth: usize) {
    let (name, operation) = split_name(inside);
    let Some(reference) = note(name, found) else { return };
    let operation = operation.strip_prefix(':').unwrap_or(operation);
    let mut operators = operation.chars();
    let operator = operators.next();
    let word = operators.as_str();
    match operator {
        Some('-') => drop(reference.default.get_or_insert_with(|| word.to_owned())),
        Some('+') => drop(reference.alternate.get_or_insert_with(|| word.to_owned())),
        Some('?') => reference.required = true,
        _ => return,
    }
    if depth < MAX_NESTING {
        in_text(word, found, depth + 1);
    }
}

fn note<'a>(name: &str, found: &'a mut IndexMap<String, Reference>) -> Option<&'a mut Reference> {
    if name.is_empty() {
        return None;
    }
    let fresh = || Reference { name: name.to_owned(), ..Reference::default() };
    Some(found.entry(name.to_owned()).or_insert_with(fresh))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_every_form() {
        let mut found = IndexMap::new();
        in_text("$A ${B} ${C:-d} ${D-${E:-f}} ${F:?needed} ${G:+yes} $$H ${A:-a} ${!} ${X", &mut found, 0);
        let shown = found.values().map(|reference| {
            let value = |value: &Option<String>| value.clone().unwrap_or_default();
            let required = if reference.required { "!" } else { "" };
            format!("{}{required}/{}/{}", reference.name, value(&reference.default), value(&reference.alternate))
        });
        let expected = ["A/a/", "B//", "C/d/", "D/${E:-f}/", "E/f/", "F!//", "G//yes"];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }
}
