//! Where something stands in a file, and values that remember it.
//!
//! A place holds its file's text (shared), so that whoever finds a problem later can show the line without having to
//! carry the sources around.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// A file's name and text.
#[derive(Debug)]
pub struct SourceText {
    name: String,
    text: String,
    /// Lines, from 1, that are never shown because a secret is in them.
    hidden: Mutex<BTreeSet<u32>>,
}

impl SourceText {
    /// A text and the name under which people know it, usually a path relative to the working directory.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), hidden: Mutex::default() })
    }

    /// The name under which people know it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A place in a source text. Its serialised form is `{file, line, column}`.
#[derive(Clone)]
pub struct Place {
    source: Arc<SourceText>,
    line: u32,
    column: u32,
    length: u32,
}

impl Place {
    /// A place at `line` and `column`, both counted from 1 (0 for the file as a whole), which covers `length`
    /// characters.
    #[must_use]
    pub fn new(source: &Arc<SourceText>, line: u32, column: u32, length: u32) -> Self {
        Self { source: Arc::clone(source), line, column, length }
    }

    /// The file as a whole.
    #[must_use]
    pub fn whole_file(source: &Arc<SourceText>) -> Self {
        Self::new(source, 0, 0, 0)
    }

    /// A place in no real file, for projects made in code and in tests; `name` says where it comes from.
    #[must_use]
    pub fn synthetic(name: &str) -> Self {
        Self::whole_file(&SourceText::new(name, ""))
    }

    /// The file's name.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// Line from 1; 0 for the file as a whole.
    #[must_use]
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// Column in characters, from 1; 0 for the file as a whole.
    #[must_use]
    pub const fn column(&self) -> u32 {
        self.column
    }

    /// How many characters it covers, at least 1.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.length.max(1)
    }

    /// Makes its line one that is never shown, because a secret is in it.
    pub fn hide_line(&self) {
        self.source.hidden.lock().unwrap_or_else(PoisonError::into_inner).insert(self.line);
    }

    /// Whether a secret is in its line.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.source.hidden.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.line)
    }

    /// The text of its line, unless it has none or that is hidden.
    #[must_use]
    pub fn source_line(&self) -> Option<&str> {
        if self.is_hidden() {
            return None;
        }
        let index = usize::try_from(self.line.checked_sub(1)?).ok()?;
        self.source.text.lines().nth(index)
    }

    fn key(&self) -> (&str, u32, u32) {
        (&self.source.name, self.line, self.column)
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.source.name),
            line => write!(f, "{}:{line}:{}", self.source.name, self.column),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Place", 3)?;
        fields.serialize_field("file", self.file())?;
        fields.serialize_field("line", &self.line)?;
        fields.serialize_field("column", &self.column)?;
        fields.end()
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Place,
}

impl<T> Spanned<T> {
    /// Ties a value to its place.
    pub const fn new(value: T, at: Place) -> Self {
        Self { value, at }
    }

    /// Changes the value and keeps the place.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: f(self.value), at: self.at }
    }
}
