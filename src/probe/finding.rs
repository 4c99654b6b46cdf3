//! What an attempt found, before it is timed, and how its text is cut to one short line.

use std::time::Duration;

use hyper::StatusCode;

use super::{Answer, Verdict};

/// Texts longer than this many characters are cut: they go into one line of a terminal.
const LONGEST: usize = 160;

/// An answer without its duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) text: String,
}

impl Finding {
    pub(super) fn new(verdict: Verdict, text: impl Into<String>) -> Self {
        Self { verdict, text: text.into() }
    }

    pub(super) fn pass(text: impl Into<String>) -> Self {
        Self::new(Verdict::Pass, text)
    }

    pub(super) fn refuses(text: impl Into<String>) -> Self {
        Self::new(Verdict::Refuses, text)
    }

    pub(super) fn unreachable(text: impl Into<String>) -> Self {
        Self::new(Verdict::Unreachable, text)
    }

    pub(super) fn impossible(text: impl Into<String>) -> Self {
        Self::new(Verdict::Impossible, text)
    }

    pub(super) fn trouble(text: impl Into<String>) -> Self {
        Self::new(Verdict::EngineTrouble, text)
    }

    pub(super) fn timed(self, took: Duration) -> Answer {
        Answer { verdict: self.verdict, text: self.text, took }
    }
}

/// What an HTTP status says: from 200 to 399 is yes. A no is explained by `line`, or else by the status's own name.
pub(super) fn status(code: u16, line: Option<&str>) -> Finding {
    if (200..=399).contains(&code) {
        return Finding::pass(code.to_string());
    }
    let name = || StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
    match line.and_then(first_line).or_else(|| name().map(str::to_owned)) {
        Some(line) => Finding::refuses(format!("{code}: {line}")),
        None => Finding::refuses(code.to_string()),
    }
}

/// The first line with something on it, cut to length; None if there is none.
pub(super) fn first_line(text: &str) -> Option<String> {
    text.lines().map(one_line).find(|line| !line.is_empty())
}

/// The last line with something on it, cut to length; None if there is none.
pub(super) fn last_line(text: &str) -> Option<String> {
    text.lines().rev().map(one_line).find(|line| !line.is_empty())
}

/// Without what could move a terminal's cursor, and cut to length.
fn one_line(line: &str) -> String {
    let clean: String = line.chars().filter(|c| !c.is_control()).collect();
    let clean = clean.trim();
    match clean.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean.to_owned(),
    }
}

/// A time limit as people write it: `1 s`, `1.5 s`, `250 ms`.
pub(super) fn limit_text(limit: Duration) -> String {
    if limit < Duration::from_secs(1) {
        format!("{} ms", limit.as_millis())
    } else {
        format!("{} s", limit.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_cleaned() {
        assert_eq!(first_line("\n  \r\n one\r\ntwo\n").as_deref(), Some("one"));
        assert_eq!(last_line("one\n two \x1b[1A\n\n").as_deref(), Some("two [1A"));
        assert_eq!(first_line(" \n"), None);
        assert_eq!(first_line(&"ä".repeat(500)).unwrap().chars().count(), LONGEST + 1);
    }

    #[test]
    fn limits_read_well() {
        let texts = [1000, 1500, 30_000, 250].map(|ms| limit_text(Duration::from_millis(ms)));
        assert_eq!(texts, ["1 s", "1.5 s", "30 s", "250 ms"]);
    }
}
