//! Problems found in files: many at once, each with its place, a caret under it and what to do.

use std::fmt;

use serde::Serialize;

use super::place::Place;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file can't be used.
    Error,
    /// It can be used, but not as somebody might think.
    Warning,
}

/// A problem in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is; None when no file is to blame.
    pub place: Option<Place>,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: Some(place.clone()), message: message.into(), hint: None }
    }

    /// A warning at a place.
    pub fn warning(place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// An error that has no place in a file.
    pub fn error_without_place(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: None, message: message.into(), hint: None }
    }

    /// Whether the two say the same of one place, for two services.
    fn is_of_another_service(&self, other: &Self) -> bool {
        self.place.is_some()
            && (&self.place, self.severity, &self.hint) == (&other.place, other.severity, &other.hint)
            && without_service(&self.message).is_some_and(|rest| without_service(&other.message) == Some(rest))
    }

    fn add_others(&mut self, others: usize) {
        let services = if others == 1 { "service" } else { "services" };
        if others > 0 {
            self.message += &format!(" (and so in {others} more {services})");
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A message without the service that it is about, where it begins with that: `services.web.ports …`, `"web" depends …`.
fn without_service(message: &str) -> Option<&str> {
    if let Some(rest) = message.strip_prefix("services.") {
        return rest.find('.').map(|end| &rest[end..]);
    }
    let rest = message.strip_prefix('"')?;
    rest.find('"').map(|end| &rest[end..])
}

/// Problems of one file that are shown: nobody reads more at once.
const MOST_SHOWN: usize = 200;

/// Problems, gathered while going on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds an error at a place.
    pub fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Diagnostic::error(place, message));
    }

    /// Adds a warning at a place.
    pub fn warning(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Diagnostic::warning(place, message));
    }

    /// Adds all of another collection.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Whether there is an error among them.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether there is none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All, in the order of [`sort`](Self::sort) if that was called.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Drops what came after the first `causes` and is about the same value as an error among these: what is said
    /// about the text of a variable that couldn't be replaced only hides what is wrong.
    pub(super) fn drop_consequences(&mut self, causes: usize) {
        let later = self.0.split_off(causes.min(self.0.len()));
        let is_new = |one: &Diagnostic| {
            one.place.is_none() || !self.0.iter().any(|e| e.severity == Severity::Error && e.place == one.place)
        };
        let kept: Vec<Diagnostic> = later.into_iter().filter(is_new).collect();
        self.0.extend(kept);
    }

    /// Sorts by place (those without a place first) and drops repetitions: what is wrong in one service that others
    /// extend, or take in by an alias, is said once, with their number.
    pub fn sort(&mut self) {
        self.0.sort_by(|a, b| (&a.place, a.severity, &a.message).cmp(&(&b.place, b.severity, &b.message)));
        self.0.dedup();
        let mut others = 0;
        let mut kept: Vec<Diagnostic> = Vec::with_capacity(self.0.len());
        for next in std::mem::take(&mut self.0) {
            if kept.last().is_some_and(|last| last.is_of_another_service(&next)) {
                others += 1;
                continue;
            }
            if let Some(last) = kept.last_mut() {
                last.add_others(std::mem::take(&mut others));
            }
            kept.push(next);
        }
        if let Some(last) = kept.last_mut() {
            last.add_others(others);
        }
        self.0 = kept;
    }

    /// `value` and the warnings if there is no error among them, else all of them as the error. Sorted either way.
    ///
    /// # Errors
    /// When there is an error among them.
    pub fn unless_errors<T>(mut self, value: T) -> Result<(T, Self), Self> {
        self.sort();
        if self.has_errors() { Err(self) } else { Ok((value, self)) }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.message)?;
        let mut margin = 1;
        if let Some(place) = &self.place {
            let number = place.line().to_string();
            margin = number.len();
            write!(f, "\n{:margin$}--> {place}", "")?;
            if let Some(line) = place.source_line() {
                write!(f, "\n{:margin$} |\n{number} | {}", "", Excerpt::of(line, place))?;
            }
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n{:margin$} = help: {hint}", "")?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().take(MOST_SHOWN).enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        match self.0.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more"),
        }
    }
}

impl std::error::Error for Diagnostics {}

/// A source line and the carets under it, cut to what fits on a screen.
struct Excerpt {
    line: String,
    indent: String,
    carets: usize,
    margin: usize,
}

/// Characters of a line that are shown at most.
const EXCERPT_WIDTH: usize = 110;

impl Excerpt {
    fn of(line: &str, place: &Place) -> Self {
        let characters: Vec<char> =
            line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        let column = (place.column().max(1) as usize - 1).min(characters.len());
        // A long line is shown from a little before the place.
        let from = if column > EXCERPT_WIDTH - 20 { column - 20 } else { 0 };
        let shown: String = characters.iter().skip(from).take(EXCERPT_WIDTH).collect();
        let cut_after = characters.len() > from + EXCERPT_WIDTH;
        let line = format!("{}{shown}{}", if from > 0 { "…" } else { "" }, if cut_after { "…" } else { "" });
        let before = &characters[from..column];
        // A tab stays a tab, so that the carets are under the right character.
        let mut indent: String = before.iter().map(|c| if *c == '\t' { '\t' } else { ' ' }).collect();
        if from > 0 {
            indent.insert(0, ' ');
        }
        let room = characters.len().min(from + EXCERPT_WIDTH) - column;
        let carets = (place.length() as usize).min(room.max(1));
        Self { line, indent, carets, margin: place.line().to_string().len() }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (margin, indent) = (self.margin, &self.indent);
        write!(f, "{}\n{:margin$} | {indent}{}", self.line.trim_end(), "", "^".repeat(self.carets))
    }
}
