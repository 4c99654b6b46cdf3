//! `template.yaml`: what a template is and which parameters it has.
//!
//! ```yaml
//! summary: A three-member etcd
//! parameters:
//!   members: { type: int, default: 3, min: 1, max: 9, help: Number of members }
//! ```

use std::sync::Arc;

use super::parameter::{Kind, Parameter, Value};
use crate::compose::node::{self, Map, Node, Scalar};
use crate::compose::suggest::closest;
use crate::compose::{Diagnostic, Diagnostics, Place, SourceText, yaml};

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) summary: String,
    pub(super) parameters: Vec<Parameter>,
}

/// Reads a manifest.
///
/// # Errors
/// All its problems, with their places.
pub(super) fn parse(source: &Arc<SourceText>) -> Result<Manifest, Diagnostics> {
    let mut out = Diagnostics::new();
    let manifest = match yaml::parse(source, &mut out) {
        Some(node) => read(&node, &mut out),
        None => {
            if out.is_empty() {
                out.error(&Place::whole_file(source), "the manifest is empty");
            }
            None
        }
    };
    match manifest {
        Some(manifest) => out.unless_errors(manifest).map(|(manifest, _)| manifest),
        None => Err(out),
    }
}

fn read(node: &Node, out: &mut Diagnostics) -> Option<Manifest> {
    let fields = map(node, "a manifest", out)?;
    check_keys(fields, &["summary", "parameters"], out);
    let summary = text_of(fields, "summary", out);
    if summary.is_none() {
        out.push(
            Diagnostic::error(&node.at, "the manifest has no summary").hint("add summary: what the template starts"),
        );
    }
    let mut parameters = Vec::new();
    if let Some(entry) = fields.get("parameters").filter(|entry| !entry.value.is_null()) {
        for (name, entry) in map(&entry.value, "parameters", out)? {
            check_name(name, &entry.key, out);
            parameters.extend(parameter(name, &entry.value, out));
        }
    }
    Some(Manifest { summary: summary?, parameters })
}

/// A parameter is a variable in the template, so its name must be one.
fn check_name(name: &str, at: &Place, out: &mut Diagnostics) {
    let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !valid {
        let rule = "must start with a lower-case letter and hold only lower-case letters, digits and '_'";
        out.error(at, format!("parameter name {name:?} {rule}"));
    }
}

fn parameter(name: &str, node: &Node, out: &mut Diagnostics) -> Option<Parameter> {
    let fields = map(node, "a parameter", out)?;
    check_keys(fields, &["type", "default", "min", "max", "values", "help"], out);
    let kind = kind(fields, node, out)?;
    let help = text_of(fields, "help", out).unwrap_or_default();
    let default = default(fields, &kind, out);
    Some(Parameter { name: name.to_owned(), kind, default, help })
}

fn kind(fields: &Map, node: &Node, out: &mut Diagnostics) -> Option<Kind> {
    let Some(word) = text_of(fields, "type", out) else {
        let hint = format!("add type: one of {}", Kind::NAMES.join(", "));
        out.push(Diagnostic::error(&node.at, "the parameter has no type").hint(hint));
        return None;
    };
    Some(match word.as_str() {
        "string" => Kind::String,
        "int" => Kind::Int { min: int_of(fields, "min", out), max: int_of(fields, "max", out) },
        "bool" => Kind::Bool,
        "enum" => Kind::Enum { values: values(fields, node, out)? },
        "port" => Kind::Port,
        "duration" => Kind::Duration,
        "secret" => Kind::Secret,
        _ => {
            let at = &fields.get("type")?.value.at;
            let names = Kind::NAMES.join(", ");
            out.push(Diagnostic::error(at, format!("unknown type {word:?}")).hint(format!("use one of {names}")));
            return None;
        }
    })
}

fn values(fields: &Map, node: &Node, out: &mut Diagnostics) -> Option<Vec<String>> {
    let Some(entry) = fields.get("values") else {
        out.push(Diagnostic::error(&node.at, "the enum has no values").hint("add values: [a, b]"));
        return None;
    };
    let node::Kind::List(items) = &entry.value.kind else {
        out.error(&entry.value.at, format!("values must be a list, but it is {}", entry.value.describe()));
        return None;
    };
    items.iter().map(|item| scalar(item, "a value", out).map(|scalar| scalar.text.clone())).collect()
}

fn default(fields: &Map, kind: &Kind, out: &mut Diagnostics) -> Option<Value> {
    let entry = fields.get("default")?;
    if entry.value.is_null() {
        out.push(
            Diagnostic::error(&entry.value.at, "the default is empty")
                .hint("write default: \"\" for empty text; leave the line out if the parameter must be set"),
        );
        return None;
    }
    let scalar = scalar(&entry.value, "default", out)?;
    match kind.read(&scalar.text) {
        Ok(value) => Some(value),
        Err(wanted) => {
            out.error(&entry.value.at, format!("default must be {wanted}, but it is {:?}", scalar.text));
            None
        }
    }
}

fn check_keys(fields: &Map, known: &[&str], out: &mut Diagnostics) {
    for (key, entry) in fields {
        if known.contains(&key.as_str()) {
            continue;
        }
        let mut diagnostic = Diagnostic::error(&entry.key, format!("unknown key {key:?}"));
        if let Some(meant) = closest(key, known.iter().copied()) {
            diagnostic = diagnostic.hint(format!("did you mean {meant:?}?"));
        }
        out.push(diagnostic);
    }
}

fn map<'n>(node: &'n Node, what: &str, out: &mut Diagnostics) -> Option<&'n Map> {
    if let node::Kind::Map(map) = &node.kind {
        return Some(map);
    }
    out.error(&node.at, format!("{what} must be a mapping, but it is {}", node.describe()));
    None
}

fn scalar<'n>(node: &'n Node, what: &str, out: &mut Diagnostics) -> Option<&'n Scalar> {
    if let node::Kind::Scalar(scalar) = &node.kind {
        return Some(scalar);
    }
    out.error(&node.at, format!("{what} must be a single value, but it is {}", node.describe()));
    None
}

fn text_of(fields: &Map, key: &str, out: &mut Diagnostics) -> Option<String> {
    let value = &fields.get(key)?.value;
    scalar(value, key, out).map(|scalar| scalar.text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn int_of(fields: &Map, key: &str, out: &mut Diagnostics) -> Option<i64> {
    let value = &fields.get(key)?.value;
    let number = scalar(value, key, out)?.text.parse().ok();
    if number.is_none() {
        out.error(&value.at, format!("{key} must be a whole number"));
    }
    number
}
