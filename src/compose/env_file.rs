//! Files of `KEY=value` lines (`.env`, `env_file`), in the dialect that Compose reads.
//!
//! `export` is allowed, `:` may stand for `=`, a value may be in quotes and then go over several lines; `'…'` is
//! literal, elsewhere variables are replaced; ` #` begins a comment after an unquoted value. Such files hold passwords:
//! the places of their entries have no text, so that no report quotes a line.

use std::sync::Arc;

use indexmap::IndexMap;

use super::diagnostic::Diagnostics;
use super::interpolate::{Variables, interpolate};
use super::place::{Place, SourceText, Spanned};

/// Largest file in bytes.
pub(super) const MAX_BYTES: u64 = 4 << 20;

/// The variables of a file in its order, the last of several of one name winning.
pub(super) type Entries = IndexMap<String, Spanned<Option<String>>>;

/// Reads the text of the file called `name`. A key without a value takes that of `variables`, or is None.
pub(super) fn parse(name: &str, text: &str, variables: &Variables, out: &mut Diagnostics) -> Entries {
    let source = SourceText::new(name, "");
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { source, variables, out, rest: text, line: 1, entries: Entries::new() };
    while !reader.rest.is_empty() {
        reader.entry();
    }
    reader.entries
}

/// Reads a file whose values are taken as they are: no quotes, no variables, no comments after them.
pub(super) fn parse_raw(name: &str, text: &str) -> Entries {
    let source = SourceText::new(name, "");
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().zip(1..);
    let entry = |(line, number): (&str, u32)| {
        let (key, value) = line.split_once('=')?;
        let is_key = !key.trim().is_empty() && !key.trim_start().starts_with('#');
        let at = Place::new(&source, number, 1, 1);
        is_key.then(|| (key.trim().to_owned(), Spanned::new(Some(value.to_owned()), at)))
    };
    lines.filter_map(entry).collect()
}

struct Reader<'a> {
    source: Arc<SourceText>,
    variables: &'a Variables,
    out: &'a mut Diagnostics,
    rest: &'a str,
    line: u32,
    entries: Entries,
}

impl<'a> Reader<'a> {
    /// Takes text up to the end of the line, the line's end included.
    fn take_line(&mut self) -> &'a str {
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += 1;
        line.strip_suffix('\r').unwrap_or(line)
    }

    fn entry(&mut self) {
        let at = Place::new(&self.source, self.line, 1, 1);
        let first_line = self.rest.split('\n').next().unwrap_or_default();
        let trimmed = first_line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            self.take_line();
            return;
        }
        let start = first_line.trim_start();
        let start = start.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(start);
        let start = start.trim_start();
        let end = start
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']')))
            .unwrap_or(start.len());
        let (key, after) = start.split_at(end);
        let after = after.trim_start();
        if key.is_empty() || !(after.is_empty() || after.starts_with(['=', ':', '#'])) {
            self.out.error(&at, "this line isn't KEY=value");
            self.take_line();
            return;
        }
        let value = if after.starts_with(['=', ':']) {
            // `after` is a part of the first line, so this is where the value begins in the whole text.
            let offset = first_line.len() - after.len() + 1;
            self.rest = &self.rest[offset..];
            self.value(&at)
        } else {
            self.take_line();
            Some(self.variables.get(key).cloned())
        };
        if let Some(value) = value {
            self.entries.shift_remove(key);
            self.entries.insert(key.to_owned(), Spanned::new(value, at));
        }
    }

    /// Reads the value and the rest of its line. None after an error that was reported.
    fn value(&mut self, at: &Place) -> Option<Option<String>> {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        if let Some(quote @ ('"' | '\'')) = self.rest.chars().next() {
            return self.quoted(quote, at);
        }
        let line = self.take_line();
        let comment = line.char_indices().find(|(index, c)| {
            *c == '#' && line[..*index].chars().next_back().is_some_and(|before| matches!(before, ' ' | '\t'))
        });
        let value = comment.map_or(line, |(index, _)| &line[..index]).trim_end();
        self.replace(value, at)
    }

    fn quoted(&mut self, quote: char, at: &Place) -> Option<Option<String>> {
        let body = &self.rest[1..];
        let Some(end) = closing_quote(body, quote) else {
            self.out.error(at, format!("the quote {quote} is not closed"));
            self.rest = "";
            return None;
        };
        let inside = &body[..end];
        self.rest = &body[end + 1..];
        self.line += u32::try_from(inside.matches('\n').count()).unwrap_or(u32::MAX);
        let after = self.take_line().trim();
        if !(after.is_empty() || after.starts_with('#')) {
            self.out.error(at, "unexpected text after the closing quote");
            return None;
        }
        if quote == '\'' { Some(Some(inside.replace("\\'", "'"))) } else { self.replace(&unescape(inside), at) }
    }

    fn replace(&mut self, value: &str, at: &Place) -> Option<Option<String>> {
        let lookup = |name: &str| {
            let here = || self.entries.get(name).and_then(|entry| entry.value.clone());
            self.variables.get(name).cloned().or_else(here)
        };
        match interpolate(value, &lookup) {
            Ok(result) => {
                for name in &result.unset {
                    self.out.warning(at, format!("variable {name:?} is not set; an empty string is used"));
                }
                Some(Some(result.text))
            }
            Err(error) => {
                // Such a file may hold passwords: none of its text is quoted.
                self.out.error(at, error.shown(true));
                None
            }
        }
    }
}

/// Where the quote is closed; a backslash before one keeps it open.
fn closing_quote(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(index, c)| {
        let closes = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(index)
    })
}

/// Replaces the escapes of a double-quoted value. An escaped dollar becomes `$$`, which interpolation turns into `$`.
fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, c == '\\') {
            (_, false) => result.push(c),
            _ => match characters.next() {
                Some('n') => result.push('\n'),
                Some('r') => result.push('\r'),
                Some('t') => result.push('\t'),
                Some('a') => result.push('\x07'),
                Some('b') => result.push('\x08'),
                Some('f') => result.push('\x0c'),
                Some('v') => result.push('\x0b'),
                Some('$') => result.push_str("$$"),
                Some(escaped @ ('"' | '\\')) => result.push(escaped),
                Some(other) => result.extend(['\\', other]),
                None => result.push('\\'),
            },
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Vec<(String, Option<String>)>, String) {
        let variables = Variables::from([("HOME".to_owned(), "/root".to_owned())]);
        let mut out = Diagnostics::new();
        let entries = parse(".env", text, &variables, &mut out);
        (entries.into_iter().map(|(key, value)| (key, value.value)).collect(), out.to_string())
    }

    #[test]
    fn nothing_of_a_value_is_quoted() {
        let (_, problems) = read("PASSWORD=ab${}hunter2");
        assert!(problems.contains("dollar") && !problems.contains("hunter2"), "{problems}");
    }

    #[test]
    fn lines() {
        for (text, expected) in [
            ("A=b", Some("b")),
            ("export A = b  ", Some("b")),
            ("A: b", Some("b")),
            ("A=", Some("")),
            ("A=b # comment", Some("b")),
            ("A=b#c", Some("b#c")),
            ("A= # no comment", Some("# no comment")),
            ("A=#b", Some("#b")),
            ("A='it\\'s'", Some("it's")),
            ("A=$(date) $1", Some("$(date) $1")),
            ("A='b # $HOME'", Some("b # $HOME")),
            ("A=\"x\\n\\\"$HOME\\\" \\$HOME\" # c", Some("x\n\"/root\" $HOME")),
            ("A=\"two\nlines\"\nB=1", Some("two\nlines")),
            ("A=${HOME}/x\r\n", Some("/root/x")),
            ("A=a=b", Some("a=b")),
            ("\u{feff}A=b", Some("b")),
            ("A=1\nA=2", Some("2")),
            ("A", None),
        ] {
            let (entries, problems) = read(text);
            assert_eq!(entries[0], ("A".to_owned(), expected.map(str::to_owned)), "{text:?}");
            assert_eq!(problems, "", "{text:?}");
        }
        assert_eq!(read("HOME\nB=${HOME}2\nC=$B").0.len(), 3);
        assert_eq!(read("B=1\nC=$B").0[1].1.as_deref(), Some("1"));
        assert!(read("# only\n\n  # comments\n").0.is_empty());
    }

    #[test]
    fn raw_lines_are_taken_as_they_are() {
        let entries = parse_raw("a.env", "A='x' # $HOME\n# B=1\n\nC=a=b\nD");
        let entries: Vec<_> = entries.into_iter().map(|(key, value)| (key, value.value.unwrap())).collect();
        assert_eq!(entries, [("A".to_owned(), "'x' # $HOME".to_owned()), ("C".to_owned(), "a=b".to_owned())]);
    }

    #[test]
    fn wrong_lines_are_reported_and_the_rest_is_read() {
        let (entries, problems) = read("fine=1\n=x\nwhat is this\nB=\"x\" y\nC=$NO\nD=\"open\nE=1");
        assert_eq!(entries.len(), 2);
        insta::assert_snapshot!(problems, @r#"
        error: this line isn't KEY=value
         --> .env:2:1

        error: this line isn't KEY=value
         --> .env:3:1

        error: unexpected text after the closing quote
         --> .env:4:1

        warning: variable "NO" is not set; an empty string is used
         --> .env:5:1

        error: the quote " is not closed
         --> .env:6:1
        "#);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([A-C]|[=:#'\"\\\\$ \n\r{}]|.){0,40}") {
            read(&text);
        }
    }
}
