//! Values as YAML: JSON's notation, which YAML contains, and in which no text can end its own quotes.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// Writes a value so that YAML reads back the same value, and Compose's interpolation leaves it alone.
///
/// # Errors
/// For what is no data, such as a function or an undefined name.
pub(super) fn write(out: &mut String, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&value.to_string()),
        ValueKind::String => write_text(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => write_list(out, value)?,
        ValueKind::Map => write_map(out, value)?,
        other => return Err(Error::new(ErrorKind::BadSerialization, format!("{other} can't be written as YAML"))),
    }
    Ok(())
}

fn write_list(out: &mut String, value: &Value) -> Result<(), Error> {
    out.push('[');
    for (n, item) in value.try_iter()?.enumerate() {
        if n > 0 {
            out.push_str(", ");
        }
        write(out, &item)?;
    }
    out.push(']');
    Ok(())
}

fn write_map(out: &mut String, value: &Value) -> Result<(), Error> {
    out.push('{');
    for (n, key) in value.try_iter()?.enumerate() {
        if n > 0 {
            out.push_str(", ");
        }
        write_text(out, &key.to_string());
        out.push_str(": ");
        write(out, &value.get_item(&key)?)?;
    }
    out.push('}');
    Ok(())
}

/// A double-quoted scalar. `$` is doubled, since the text is interpolated as Compose's afterwards.
fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' => out.push_str("$$"),
            // Not printable by YAML's rules, or a line break in them.
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compose::{Diagnostics, SourceText, node::Kind, yaml};

    fn quoted(value: impl Into<Value>) -> String {
        let mut out = String::new();
        write(&mut out, &value.into()).unwrap();
        out
    }

    #[test]
    fn scalars_lists_and_mappings() {
        assert_eq!(quoted(3), "3");
        assert_eq!(quoted(true), "true");
        assert_eq!(quoted("true"), "\"true\"");
        assert_eq!(quoted("a: $b\n"), "\"a: $$b\\n\"");
        assert_eq!(quoted(Value::from(vec!["a", "#"])), "[\"a\", \"#\"]");
        assert_eq!(quoted(Value::from_object(std::collections::BTreeMap::from([("k", Value::from(1))]))), "{\"k\": 1}");
    }

    proptest! {
        #[test]
        fn yaml_reads_back_the_same_text(text in "\\PC{0,8}|.{0,8}|[\\x00-\\u{ffff}]{0,6}") {
            let source = SourceText::new("x", quoted(text.as_str()));
            let mut problems = Diagnostics::new();
            let node = yaml::parse(&source, &mut problems);
            prop_assert!(problems.is_empty(), "{problems}");
            let Some(Kind::Scalar(scalar)) = node.map(|node| node.kind) else { panic!("no scalar") };
            prop_assert_eq!(scalar.text, text.replace('$', "$$"));
            prop_assert!(!scalar.plain);
        }
    }
}
