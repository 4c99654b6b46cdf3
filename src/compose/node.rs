//! A YAML document as a tree in which every part knows its place.
//!
//! Scalars keep their text as written; what it means (a number, true, null) is asked when the type that is wanted is
//! known. So `"1.10"` and `1.10` are the same environment value, and an image may not be `true`.

use indexmap::IndexMap;

use super::place::Place;

/// A part of a document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) kind: Kind,
    /// What its tag says about merging. Gone once all files are merged.
    pub(crate) mark: Mark,
}

/// How a value is laid over an earlier one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mark {
    /// By the usual rules.
    #[default]
    None,
    /// `!reset`: what was there is removed.
    Reset,
    /// `!override`: what was there is replaced as a whole.
    Override,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

/// The entries of a mapping in the order of the file.
pub(crate) type Map = IndexMap<String, Entry>;

/// A mapping's value with the place of its key.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Place,
    pub(crate) value: Node,
}

#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Neither quoted nor a block nor the result of an interpolation: may be a number, a boolean or null by its text.
    pub(crate) plain: bool,
}

/// What a plain scalar is by YAML 1.2's core schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolved {
    Null,
    Bool(bool),
    Int,
    Float,
    Text,
}

impl Node {
    pub(crate) const fn new(at: Place, kind: Kind) -> Self {
        Self { at, kind, mark: Mark::None }
    }

    /// A string, whatever it looks like.
    pub(crate) fn text(at: Place, text: impl Into<String>) -> Self {
        Self::new(at, Kind::Scalar(Scalar { text: text.into(), plain: false }))
    }

    /// What a plain scalar of this text is: a number, a boolean.
    pub(crate) fn plain(at: Place, text: impl Into<String>) -> Self {
        Self::new(at, Kind::Scalar(Scalar { text: text.into(), plain: true }))
    }

    pub(crate) fn null(at: Place) -> Self {
        Self::plain(at, "")
    }

    /// The text of a scalar that isn't null.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.resolve() != Resolved::Null => Some(&scalar.text),
            _ => None,
        }
    }

    pub(crate) const fn as_map(&self) -> Option<&Map> {
        match &self.kind {
            Kind::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The value of a key to change it, if this is a mapping that has it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.kind {
            Kind::Map(map) => map.get_mut(key).map(|entry| &mut entry.value),
            _ => None,
        }
    }

    /// Whether both say the same, wherever they stand.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Scalar(a), Kind::Scalar(b)) => a.text == b.text && a.resolve() == b.resolve(),
            (Kind::List(a), Kind::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.says_the_same(b)),
            (Kind::Map(a), Kind::Map(b)) => {
                let same = |(key, entry): (&String, &Entry)| {
                    b.get(key).is_some_and(|other| entry.value.says_the_same(&other.value))
                };
                a.len() == b.len() && a.iter().all(same)
            }
            _ => false,
        }
    }

    /// How many values it is made of, itself included.
    pub(crate) fn values(&self) -> usize {
        match &self.kind {
            Kind::Scalar(_) => 1,
            Kind::List(list) => 1 + list.iter().map(Self::values).sum::<usize>(),
            Kind::Map(map) => 1 + map.values().map(|entry| entry.value.values()).sum::<usize>(),
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(map) => map.get(key).map(|entry| &entry.value),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.resolve() == Resolved::Null)
    }

    /// What it is, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Scalar(scalar) => match scalar.resolve() {
                Resolved::Null => "empty",
                Resolved::Bool(_) => "a boolean",
                Resolved::Int | Resolved::Float => "a number",
                Resolved::Text => "a string",
            },
        }
    }
}

impl Scalar {
    pub(crate) fn resolve(&self) -> Resolved {
        if self.plain { Resolved::of(&self.text) } else { Resolved::Text }
    }
}

impl Resolved {
    /// What a scalar without quotes means.
    pub(crate) fn of(plain: &str) -> Self {
        match plain {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            text if parse_int(text).is_some() => Self::Int,
            text if is_float(text) => Self::Float,
            _ => Self::Text,
        }
    }
}

/// Parses an integer: decimal, `0x`, `0o`, `0b`, and with a leading zero octal, as Compose's YAML library does.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'o', ..] => (8, &digits[2..]),
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', _, ..] if digits.bytes().all(|b| matches!(b, b'0'..=b'7')) => (8, &digits[1..]),
        _ => (10, digits),
    };
    // from_str_radix would take a second sign.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
        || (unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'))
            && unsigned.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_resolved_by_the_core_schema() {
        let resolve = |text: &str| Scalar { text: text.into(), plain: true }.resolve();
        for text in ["yes", "no", "on", "off", "y", "1m", "1_000", "0x", "--1", "1.2.3", "e5", ".", "1-1"] {
            assert_eq!(resolve(text), Resolved::Text, "{text}");
        }
        for text in ["0", "-7", "0440", "0o17", "0xfF", "+1", "08"] {
            assert_eq!(resolve(text), Resolved::Int, "{text}");
        }
        for text in ["1.5", "1e3", ".5", "-.inf"] {
            assert_eq!(resolve(text), Resolved::Float, "{text}");
        }
        assert_eq!(resolve("~"), Resolved::Null);
        assert_eq!(resolve("True"), Resolved::Bool(true));
        assert_eq!(Scalar { text: "null".into(), plain: false }.resolve(), Resolved::Text);
    }

    #[test]
    fn a_leading_zero_is_octal() {
        assert_eq!(parse_int("0440"), Some(0o440));
        assert_eq!(parse_int("0o440"), Some(0o440));
        assert_eq!(parse_int("440"), Some(440));
        assert_eq!(parse_int("99999999999999999999"), None);
    }
}
