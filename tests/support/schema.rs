//! Checks JSON against `docs/events.schema.json`, stricter than a validator would: a key that the schema doesn't have is
//! a mistake here, and so is a word of the schema that this doesn't know.

use std::collections::BTreeSet;

use serde_json::Value;

const SCHEMA: &str = include_str!("../../docs/events.schema.json");

/// The schema of events.
pub(crate) struct Schema(Value);

impl Schema {
    pub(crate) fn of_events() -> Self {
        Self(serde_json::from_str(SCHEMA).unwrap())
    }

    /// What is wrong with an event.
    pub(crate) fn check(&self, event: &Value) -> Result<(), String> {
        self.closed(&self.0, event)
    }

    /// The value fits, and every key of it is in the schema.
    fn closed(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let known = self.fit(schema, value)?;
        let unknown = value.as_object().and_then(|object| object.keys().find(|key| !known.contains(*key)));
        unknown.map_or(Ok(()), |key| Err(format!("{key:?} isn't in the schema: {value}")))
    }

    /// The value fits; returns the keys that the schema has for it.
    fn fit(&self, schema: &Value, value: &Value) -> Result<BTreeSet<String>, String> {
        let mut known = BTreeSet::new();
        for (word, rule) in schema.as_object().unwrap() {
            let fits = match word.as_str() {
                "$schema" | "$id" | "title" | "description" | "$defs" | "format" => true,
                "type" => types(rule).any(|wanted| wanted == type_of(value)),
                "const" => rule == value,
                "enum" => rule.as_array().unwrap().contains(value),
                "minimum" => value.as_i64() >= rule.as_i64(),
                "maximum" => value.as_i64() <= rule.as_i64(),
                "required" => types(rule).all(|key| value.get(key).is_some()),
                "items" => {
                    value.as_array().into_iter().flatten().try_for_each(|item| self.closed(rule, item))?;
                    true
                }
                "properties" => {
                    for (key, rule) in rule.as_object().unwrap() {
                        value.get(key).map_or(Ok(()), |part| self.closed(rule, part))?;
                        known.insert(key.clone());
                    }
                    true
                }
                "$ref" => {
                    let pointer = rule.as_str().unwrap().trim_start_matches('#');
                    known.extend(self.fit(self.0.pointer(pointer).unwrap(), value)?);
                    true
                }
                "oneOf" => {
                    let results: Vec<_> = rule.as_array().unwrap().iter().map(|one| self.fit(one, value)).collect();
                    let fitting: Vec<_> = results.iter().flatten().collect();
                    known.extend(fitting.iter().copied().flatten().cloned());
                    fitting.len() == 1
                }
                other => panic!("the schema says {other:?}, which isn't known here"),
            };
            if !fits {
                return Err(format!("{word} {rule} doesn't hold for {value}"));
            }
        }
        Ok(known)
    }
}

/// One text or several.
fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let one = rule.as_str().into_iter();
    one.chain(rule.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
