//! Replaces variables in values by Compose's rules: `$A ${A} ${A:-d} ${A-d} ${A:+r} ${A+r} ${A:?m} ${A?m} $$`, nested.
//! A dollar sign before anything else is a dollar sign, as in `awk '{print $1}'`.

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::node::{Kind, Node};

/// Variables that files may refer to.
pub(super) type Variables = BTreeMap<String, String>;

/// Deepest nesting of `${A:-${B:-…}}`.
const MAX_NESTING: usize = 20;
/// Longest text that variables may make of one value, in bytes.
const MAX_RESULT: usize = 1 << 20;

/// A text with its variables replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interpolated {
    pub(super) text: String,
    /// Variables that were neither set nor had a default; empty text stands for them.
    pub(super) unset: Vec<String>,
}

/// Why variables can't be replaced.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InterpolateError {
    #[error("{0:?} is not a valid variable reference")]
    Invalid(String),
    #[error("variable {name:?} is required: {message}")]
    Required { name: String, message: String },
    #[error("variables are nested too deeply")]
    Nesting,
    #[error("variables make the value larger than 1 MiB")]
    Size,
}

impl InterpolateError {
    /// The message; where the text is `secret`, without any of it.
    pub(super) fn shown(&self, secret: bool) -> String {
        match self {
            Self::Invalid(_) if secret => "a dollar sign in it is not a valid variable reference".to_owned(),
            other => other.to_string(),
        }
    }
}

/// Replaces the variables in `text`.
pub(super) fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Interpolated, InterpolateError> {
    let mut result = Interpolated { text: String::new(), unset: Vec::new() };
    expand(text, lookup, &mut result, 0)?;
    Ok(result)
}

/// Whether there is anything in it to replace. Byte by byte: most texts are shorter than a search takes to begin.
pub(super) fn has_dollar(text: &str) -> bool {
    text.bytes().any(|byte| byte == b'$')
}

/// Replaces the variables in all values below `node`; keys stay as they are. Problems go to `out`.
pub(super) fn interpolate_tree(node: &mut Node, variables: &Variables, out: &mut Diagnostics) {
    match &mut node.kind {
        Kind::List(list) => list.iter_mut().for_each(|node| interpolate_tree(node, variables, out)),
        Kind::Map(map) => map.values_mut().for_each(|entry| interpolate_tree(&mut entry.value, variables, out)),
        Kind::Scalar(scalar) if has_dollar(&scalar.text) => {
            match interpolate(&scalar.text, &|name| variables.get(name).cloned()) {
                Ok(result) => {
                    for name in &result.unset {
                        out.warning(&node.at, format!("variable {name:?} is not set; an empty string is used"));
                    }
                    scalar.text = result.text;
                    scalar.plain = false;
                }
                Err(error @ InterpolateError::Invalid(_)) => out.push(
                    Diagnostic::error(&node.at, error.shown(node.at.is_hidden()))
                        .hint("write ${NAME}, ${NAME:-default} or ${NAME:?message}; a plain dollar sign is $$"),
                ),
                Err(error) => out.error(&node.at, error.to_string()),
            }
        }
        Kind::Scalar(_) => {}
    }
}

fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    result: &mut Interpolated,
    depth: usize,
) -> Result<(), InterpolateError> {
    if depth > MAX_NESTING {
        return Err(InterpolateError::Nesting);
    }
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        result.text.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.text.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing_brace(after).ok_or_else(|| invalid(after))?;
            braced(&after[..end], lookup, result, depth)?;
            rest = &after[end + 1..];
        } else {
            let (name, after) = split_name(rest);
            if name.is_empty() {
                result.text.push('$');
            } else {
                put(name, lookup(name), result);
                rest = after;
            }
        }
        if result.text.len() > MAX_RESULT {
            return Err(InterpolateError::Size);
        }
    }
    result.text.push_str(rest);
    Ok(())
}

/// Handles what stands between `${` and its `}`.
fn braced(
    inside: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    result: &mut Interpolated,
    depth: usize,
) -> Result<(), InterpolateError> {
    let (name, operation) = split_name(inside);
    if name.is_empty() {
        return Err(invalid(&format!("{inside}}}")));
    }
    let value = lookup(name);
    if operation.is_empty() {
        put(name, value, result);
        return Ok(());
    }
    // With a colon, an empty value counts as none.
    let (present, operation) = match operation.strip_prefix(':') {
        Some(rest) => (value.filter(|value| !value.is_empty()), rest),
        None => (value, operation),
    };
    let mut operators = operation.chars();
    let operator = operators.next();
    let word = operators.as_str();
    match (operator, present) {
        (Some('-' | '?'), Some(value)) => result.text.push_str(&value),
        (Some('-'), None) | (Some('+'), Some(_)) => expand(word, lookup, result, depth + 1)?,
        (Some('+'), None) => {}
        (Some('?'), None) => {
            let mut message = Interpolated { text: String::new(), unset: Vec::new() };
            expand(word, lookup, &mut message, depth + 1)?;
            let message = if message.text.is_empty() { "it is not set".to_owned() } else { message.text };
            return Err(InterpolateError::Required { name: name.to_owned(), message });
        }
        _ => return Err(invalid(&format!("{inside}}}"))),
    }
    Ok(())
}

fn put(name: &str, value: Option<String>, result: &mut Interpolated) {
    match value {
        Some(value) => result.text.push_str(&value),
        None if result.unset.iter().any(|unset| unset == name) => {}
        None => result.unset.push(name.to_owned()),
    }
}

/// Where the brace is closed that was opened before `text`; braces of nested references are skipped.
pub(super) fn closing_brace(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut open, mut index) = (1, 0);
    while index < bytes.len() {
        match bytes[index] {
            b'$' if bytes.get(index + 1) == Some(&b'$') => index += 1,
            b'$' if bytes.get(index + 1) == Some(&b'{') => {
                open += 1;
                index += 1;
            }
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
        index += 1;
    }
    None
}

/// The name that the text begins with, and the rest.
pub(super) fn split_name(text: &str) -> (&str, &str) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c: char| !is_name(c)).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { ("", text) } else { text.split_at(end) }
}

/// `rest` follows the opening brace.
fn invalid(rest: &str) -> InterpolateError {
    let mut shown: String = rest.chars().take(20).collect();
    if shown.len() < rest.len() {
        shown.push('…');
    }
    InterpolateError::Invalid(format!("${{{shown}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            "_X1" => Some("x".to_owned()),
            "DOLLAR" => Some("$A".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn values_by_compose_rules() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$A ${A} $A-b $_X1.", "a a a-b x."),
            ("$$A $${A} $$$A", "$A ${A} $a"),
            ("${A:-d}${A-d}${A:?m}${A?m}", "aaaa"),
            ("${NO:-d}${NO-d}", "dd"),
            ("${EMPTY:-d}|${EMPTY-d}|${EMPTY?m}", "d||"),
            ("${A:+r}${A+r}${EMPTY+r}|${EMPTY:+r}${NO+r}${NO:+r}", "rrr|"),
            ("${NO:-${A}}", "a"),
            ("${NO:-${NOPE:-x${A}y}z}", "xayz"),
            ("${NO-}", ""),
            ("${NO:-a}b}", "ab}"),
            ("${NO:-http://h:1/?x=$A}", "http://h:1/?x=a"),
            ("${NO:-$${A}", "${A"),
            ("${A:-$(invalid}", "a"),
            ("${DOLLAR}", "$A"),
            ("ä${A}ö", "äaö"),
            ("a$", "a$"),
            ("print $1, $(date) $-$A", "print $1, $(date) $-a"),
        ] {
            let result = interpolate(text, &lookup).unwrap();
            assert_eq!((result.text.as_str(), result.unset.len()), (expected, 0), "{text}");
        }
    }

    #[test]
    fn unset_variables_are_named_once() {
        let result = interpolate("<$NO ${NO} ${NOPE}>", &lookup).unwrap();
        assert_eq!(result, Interpolated { text: "<  >".into(), unset: vec!["NO".into(), "NOPE".into()] });
    }

    #[test]
    fn invalid_references_are_refused() {
        for (text, message) in [
            ("${", "\"${\" is not a valid variable reference"),
            ("${}", "\"${}\" is not a valid variable reference"),
            ("${A", "\"${A\" is not a valid variable reference"),
            ("${A!}", "\"${A!}\" is not a valid variable reference"),
            ("${A:x}", "\"${A:x}\" is not a valid variable reference"),
            ("${NO:?}", "variable \"NO\" is required: it is not set"),
            ("${EMPTY:?set me to ${A}}", "variable \"EMPTY\" is required: set me to a"),
            ("${NO?}", "variable \"NO\" is required: it is not set"),
        ] {
            assert_eq!(interpolate(text, &lookup).unwrap_err().to_string(), message, "{text}");
        }
        let deep = "${N:-".repeat(100) + &"}".repeat(100);
        assert_eq!(interpolate(&deep, &lookup), Err(InterpolateError::Nesting));
    }

    proptest! {
        #[test]
        fn any_text_is_replaced_or_refused(text in "[${}:?+A-]{0,20}|.{0,30}") {
            let _ = interpolate(&text, &lookup);
        }

        #[test]
        fn text_without_a_dollar_stays(text in "[^$]{0,30}") {
            prop_assert_eq!(interpolate(&text, &lookup).unwrap().text, text);
        }
    }
}
