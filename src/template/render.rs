//! Parameters and a template's text become Compose text.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::find::{Template, only};
use super::parameter::{Kind, Value};
use super::quote;
use crate::compose::suggest::closest;
use crate::compose::{Diagnostic, Diagnostics, Place, SourceText};
use crate::names::ClusterName;

/// A rendered template.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The Compose text.
    pub text: String,
    /// The template's name: that of the cluster, unless another is given.
    pub name: ClusterName,
    /// Values of secret parameters that were set; they must never be shown.
    pub secrets: Vec<String>,
}

impl std::fmt::Debug for Rendered {
    /// Without the text, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rendered({}, {} bytes, {} secrets)", self.name, self.text.len(), self.secrets.len())
    }
}

impl Template {
    /// Renders the template with these parameters; of several values for one, the last counts.
    ///
    /// # Errors
    /// All parameters that are unknown, of the wrong type, or missing; else the place in the template's text that
    /// failed.
    pub fn render(&self, set: &[(String, String)]) -> Result<Rendered, Diagnostics> {
        let values = self.values(set)?;
        let text = self.expand(&values).map_err(|error| only(self.failure(&error)))?;
        let secrets =
            self.parameters.iter().filter(|parameter| parameter.kind == Kind::Secret).filter_map(|parameter| {
                let value = values.get(parameter.name.as_str())?;
                // The default stands in the template for everybody to read: hiding it would only garble other text.
                (parameter.default.as_ref() != Some(value)).then(|| value.to_string())
            });
        Ok(Rendered { text, name: self.name.clone(), secrets: secrets.filter(|secret| !secret.is_empty()).collect() })
    }

    /// The value of every parameter.
    fn values(&self, set: &[(String, String)]) -> Result<BTreeMap<&str, Value>, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut values = BTreeMap::new();
        for (name, _) in set.iter().filter(|(name, _)| self.parameters.iter().all(|known| known.name != *name)) {
            problems.push(self.unknown(name));
        }
        for parameter in &self.parameters {
            let name = parameter.name.as_str();
            let given = set.iter().rev().find(|(set, _)| set == name).map(|(_, text)| text);
            match given.map(|text| (text, parameter.kind.read(text))) {
                Some((_, Ok(value))) => drop(values.insert(name, value)),
                Some((text, Err(wanted))) => {
                    let message = format!("parameter {name:?} of template {} must be {wanted}", self.name);
                    problems.push(Diagnostic::error_without_place(format!("{message}, but it is {text:?}")));
                }
                None => match &parameter.default {
                    Some(value) => drop(values.insert(name, value.clone())),
                    None => problems.push(self.missing(name, &parameter.help)),
                },
            }
        }
        problems.unless_errors(values).map(|(values, _)| values)
    }

    fn unknown(&self, name: &str) -> Diagnostic {
        let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let hint = match closest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None if names.is_empty() => "it has none".to_owned(),
            None => format!("it has {}", names.join(", ")),
        };
        Diagnostic::error_without_place(format!("template {} has no parameter {name:?}", self.name)).hint(hint)
    }

    fn missing(&self, name: &str, help: &str) -> Diagnostic {
        let what = if help.is_empty() { String::new() } else { format!(" ({help})") };
        Diagnostic::error_without_place(format!("template {} needs parameter {name:?}{what}", self.name))
            .hint(format!("add --set {name}=VALUE"))
    }

    fn expand(&self, values: &BTreeMap<&str, Value>) -> Result<String, minijinja::Error> {
        let environment = environment();
        let context: BTreeMap<&str, minijinja::Value> =
            values.iter().map(|(name, value)| (*name, to_jinja(value))).collect();
        environment.template_from_named_str(self.text.name(), self.text.text())?.render(context)
    }

    /// What failed, at its place in the template's text.
    fn failure(&self, error: &minijinja::Error) -> Diagnostic {
        if let Some(Refusal(why)) = std::error::Error::source(error).and_then(|source| source.downcast_ref()) {
            return Diagnostic::error_without_place(format!("template {}: {why}", self.name));
        }
        let what =
            error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
        let message = format!("template {} can't be rendered: {what}", self.name);
        let range = error.range().filter(|range| self.text.text().get(range.clone()).is_some());
        let place = match (range, error.line()) {
            (Some(range), _) => place(&self.text, &range),
            (None, Some(line)) => Place::new(&self.text, u32::try_from(line).unwrap_or(0), 1, 1),
            (None, None) => Place::whole_file(&self.text),
        };
        let diagnostic = Diagnostic::error(&place, message);
        if error.kind() != minijinja::ErrorKind::UndefinedError {
            return diagnostic;
        }
        let names: Vec<_> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        diagnostic.hint(format!("the template's parameters are {}", names.join(", ")))
    }
}

/// Why a template's own text refused the parameters, as in `{{ fail("…") }}`: for rules that a manifest can't state.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

fn fail(why: &str) -> Result<minijinja::Value, minijinja::Error> {
    let error = minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "the parameters are refused");
    Err(error.with_source(Refusal(why.to_owned())))
}

/// The place of a range of bytes that lies within the text.
fn place(source: &Arc<SourceText>, range: &std::ops::Range<usize>) -> Place {
    let before = &source.text()[..range.start];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let length = source.text()[range.clone()].lines().next().unwrap_or_default().chars().count();
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place::new(source, number(line), number(column), number(length))
}

fn to_jinja(value: &Value) -> minijinja::Value {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Int(n) => (*n).into(),
        Value::Bool(b) => (*b).into(),
    }
}

/// A value as JSON text, for files that hold it: text like any other, which is quoted where it stands.
fn json(value: minijinja::Value) -> Result<String, minijinja::Error> {
    serde_json::to_string(&value)
        .map_err(|error| minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.to_string()))
}

/// Every `{{ … }}` is quoted, macros and blocks that were captured aside, which are text of the template itself.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Json);
    environment.set_formatter(|out, _, value| {
        if value.is_safe() {
            return Ok(out.write_str(value.as_str().unwrap_or_default())?);
        }
        let mut text = String::new();
        quote::write(&mut text, value)?;
        Ok(out.write_str(&text)?)
    });
    // The ways around the quotes, or around the doubling of `$`.
    for filter in ["safe", "tojson", "escape", "e"] {
        environment.remove_filter(filter);
    }
    environment.add_function("fail", fail);
    environment.add_function("json", json);
    environment.add_global("convoke_version", env!("CARGO_PKG_VERSION"));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(syntax());
    environment.set_debug(true);
    environment
}

/// A line that holds nothing but a `{% … %}` leaves no trace.
fn syntax() -> SyntaxConfig {
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true);
    syntax.build().expect("the delimiters are the default ones")
}
