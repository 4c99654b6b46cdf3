//! What may be set, and to what.

use std::fmt;

use serde::Serialize;

use crate::units::parse_duration;

/// A parameter of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// Its name, as in `--set name=value`.
    pub name: String,
    /// What values it takes.
    #[serde(flatten)]
    pub kind: Kind,
    /// Its value unless it is set. None: it must be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// For people: what it is for.
    pub help: String,
}

/// What values a parameter takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// Any text.
    String,
    /// A whole number.
    Int {
        /// Smallest.
        #[serde(skip_serializing_if = "Option::is_none")]
        min: Option<i64>,
        /// Largest.
        #[serde(skip_serializing_if = "Option::is_none")]
        max: Option<i64>,
    },
    /// `true` or `false`.
    Bool,
    /// One of a few words.
    Enum {
        /// The words.
        values: Vec<String>,
    },
    /// A port number, from 1 to 65535.
    Port,
    /// A duration in Compose's notation.
    Duration,
    /// Text that is never shown, unless it is the default, which everybody can read in the template.
    Secret,
}

impl Kind {
    /// The words that a manifest may give as `type`.
    pub(super) const NAMES: [&'static str; 7] = ["string", "int", "bool", "enum", "port", "duration", "secret"];

    /// Reads a value given as text.
    ///
    /// # Errors
    /// On text that it doesn't take: says what it wants, to follow "must be".
    pub fn read(&self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::String | Self::Secret => Some(Value::Text(text.to_owned())),
            Self::Int { min, max } => text
                .parse()
                .ok()
                .filter(|n| min.is_none_or(|min| min <= *n) && max.is_none_or(|max| *n <= max))
                .map(Value::Int),
            Self::Bool => text.parse().ok().map(Value::Bool),
            Self::Enum { values } => values.iter().any(|v| v == text).then(|| Value::Text(text.to_owned())),
            Self::Port => text.parse::<u16>().ok().filter(|port| *port > 0).map(|port| Value::Int(port.into())),
            Self::Duration => parse_duration(text).ok().map(|_| Value::Text(text.to_owned())),
        };
        value.ok_or_else(|| self.wanted())
    }

    /// What it takes, for people: `a whole number from 1 to 9`.
    #[must_use]
    pub fn wanted(&self) -> String {
        match self {
            Self::String | Self::Secret => "text".to_owned(),
            Self::Int { min: Some(min), max: Some(max) } => format!("a whole number from {min} to {max}"),
            Self::Int { min: Some(min), max: None } => format!("a whole number, at least {min}"),
            Self::Int { min: None, max: Some(max) } => format!("a whole number, at most {max}"),
            Self::Int { min: None, max: None } => "a whole number".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Enum { values } => format!("one of {}", values.join(", ")),
            Self::Port => "a port number from 1 to 65535".to_owned(),
            Self::Duration => "a duration such as 30s, 1m30s or 500ms".to_owned(),
        }
    }
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Text, one of the words of an enum, or a duration as written.
    Text(String),
    /// A number.
    Int(i64),
    /// True or false.
    Bool(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.pad(text),
            Self::Int(n) => n.fmt(f),
            Self::Bool(b) => b.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_takes_its_own_and_refuses_the_rest() {
        let members = Kind::Int { min: Some(1), max: Some(9) };
        let level = Kind::Enum { values: vec!["low".into(), "high".into()] };
        assert_eq!(members.read("3"), Ok(Value::Int(3)));
        assert_eq!(level.read("low"), Ok(Value::Text("low".into())));
        assert_eq!(Kind::Bool.read("true"), Ok(Value::Bool(true)));
        assert_eq!(Kind::Port.read("5432"), Ok(Value::Int(5432)));
        assert_eq!(Kind::Duration.read("1m30s"), Ok(Value::Text("1m30s".into())));
        let refused = [(&members, "0"), (&members, "10"), (&members, "three"), (&level, "Low"), (&Kind::Bool, "yes")];
        for (kind, text) in
            refused.into_iter().chain([(&Kind::Port, "0"), (&Kind::Port, "65536"), (&Kind::Duration, "5")])
        {
            assert_eq!(kind.read(text), Err(kind.wanted()), "{text}");
        }
        assert_eq!(members.wanted(), "a whole number from 1 to 9");
    }
}
