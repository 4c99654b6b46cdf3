//! Values of one kind: strings, numbers, durations, sizes, lists and mappings of strings.

use std::str::FromStr;
use std::time::Duration;

use indexmap::IndexMap;

use super::super::diagnostic::Diagnostic;
use super::super::node::{Entry, Kind, Node, Resolved, parse_int};
use super::super::place::{Place, Spanned};
use super::super::shell_words;
use super::fields::Reader;
use crate::units::{ByteSize, parse_duration};

impl Reader {
    /// The text of any scalar but null, numbers and booleans as written.
    pub(super) fn scalar<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.resolve() != Resolved::Null => Some(&scalar.text),
            _ => {
                self.wrong_type(node, path, "a string or a number");
                None
            }
        }
    }

    pub(super) fn string(&mut self, node: &Node, path: &str) -> Option<String> {
        self.text(node, path).map(str::to_owned)
    }

    /// A string as it stands in the tree.
    fn text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.resolve() == Resolved::Text => Some(&scalar.text),
            Kind::Scalar(scalar) if scalar.resolve() != Resolved::Null => {
                let message = format!("{path} must be a string, but it is {}", node.describe());
                self.out
                    .push(Diagnostic::error(&node.at, message).hint(format!("put it in quotes: {:?}", scalar.text)));
                None
            }
            _ => {
                self.wrong_type(node, path, "a string");
                None
            }
        }
    }

    /// A string that mustn't be empty, as for names and paths.
    pub(super) fn filled(&mut self, node: &Node, path: &str) -> Option<String> {
        self.filled_text(node, path).map(str::to_owned)
    }

    fn filled_text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        let text = self.text(node, path)?;
        if text.is_empty() {
            self.out.error(&node.at, format!("{path} is empty"));
            return None;
        }
        Some(text)
    }

    /// A string of which an empty one, such as a variable that isn't set, says nothing.
    pub(super) fn optional(&mut self, node: &Node, path: &str) -> Option<String> {
        self.string(node, path).filter(|text| !text.is_empty())
    }

    pub(super) fn spanned(&mut self, node: &Node, path: &str) -> Option<Spanned<String>> {
        Some(Spanned::new(self.filled(node, path)?, node.at.clone()))
    }

    pub(super) fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        if let Kind::Scalar(scalar) = &node.kind {
            match scalar.text.to_ascii_lowercase().as_str() {
                "true" => return Some(true),
                "false" => return Some(false),
                old @ ("yes" | "on" | "y" | "no" | "off" | "n") => {
                    // A boolean of YAML 1.1, which Compose's old files may have.
                    let meant = matches!(old, "yes" | "on" | "y");
                    let message = format!("{path} should be a boolean, but it is the word {:?}", scalar.text);
                    self.out.push(Diagnostic::warning(&node.at, message).hint(format!("write {meant}")));
                    return Some(meant);
                }
                _ => {}
            }
        }
        self.wrong_type(node, path, "a boolean");
        None
    }

    /// A whole number from `low` to `high`; a string holding one will do.
    pub(super) fn integer<T>(&mut self, node: &Node, path: &str, low: T, high: T) -> Option<T>
    where
        T: TryFrom<i64> + Into<i64> + PartialOrd + Copy,
    {
        let number = match &node.kind {
            Kind::Scalar(scalar) => parse_int(scalar.text.trim()),
            _ => None,
        };
        let Some(number) = number else {
            self.wrong_type(node, path, "a whole number");
            return None;
        };
        let fits = T::try_from(number).ok().filter(|value| *value >= low && *value <= high);
        if fits.is_none() {
            let (low, high): (i64, i64) = (low.into(), high.into());
            self.out.error(&node.at, format!("{path} must be from {low} to {high}, but it is {number}"));
        }
        fits
    }

    /// A port number.
    pub(super) fn port(&mut self, node: &Node, path: &str) -> Option<u16> {
        self.integer(node, path, 1, u16::MAX)
    }

    pub(super) fn duration(&mut self, node: &Node, path: &str) -> Option<Duration> {
        let text = self.scalar(node, path)?;
        let parsed = parse_duration(text);
        parsed.map_err(|error| self.out.error(&node.at, format!("{path}: {error}"))).ok()
    }

    pub(super) fn size(&mut self, node: &Node, path: &str) -> Option<ByteSize> {
        let text = self.scalar(node, path)?;
        let parsed = ByteSize::parse(text);
        parsed.map_err(|error| self.out.error(&node.at, format!("{path}: {error}"))).ok()
    }

    /// Text that has a type of its own, such as an address.
    pub(super) fn parsed<T: FromStr>(&mut self, node: &Node, path: &str, wanted: &str) -> Option<Spanned<T>> {
        let text = self.string(node, path)?;
        match text.parse() {
            Ok(value) => Some(Spanned::new(value, node.at.clone())),
            Err(_) => {
                self.out.error(&node.at, format!("{path} must be {wanted}, but it is {text:?}"));
                None
            }
        }
    }

    /// A name with rules of its own, as a key or a value.
    pub(super) fn name<T: FromStr>(&mut self, text: &str, at: &Place) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        text.parse().map_err(|error| self.out.error(at, format!("{error}"))).ok()
    }

    /// Permission bits. A string and a number with a leading zero are octal, as in Compose.
    pub(super) fn mode(&mut self, node: &Node, path: &str) -> Option<u32> {
        let text = self.scalar(node, path)?;
        let plain = matches!(&node.kind, Kind::Scalar(scalar) if scalar.plain);
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777 && !digits.starts_with('+'));
        if plain && !text.starts_with('0') {
            let decimal = text.parse::<u32>().ok().filter(|mode| *mode <= 0o7777);
            if let (Some(mode), Some(_)) = (decimal, octal) {
                let message = format!("{path} is decimal: {mode} means 0{mode:o}");
                self.out.push(Diagnostic::warning(&node.at, message).hint(format!("write 0{text} if that was meant")));
            }
            if decimal.is_some() {
                return decimal;
            }
        } else if octal.is_some() {
            return octal;
        }
        self.out.error(&node.at, format!("{path} must be permission bits such as 0440, but it is {text:?}"));
        None
    }

    /// A list of strings.
    pub(super) fn strings(&mut self, node: &Node, path: &str) -> Vec<String> {
        self.items(node, path, Self::string)
    }

    /// A string, or a list of strings.
    pub(super) fn string_or_list(&mut self, node: &Node, path: &str) -> Vec<String> {
        match &node.kind {
            Kind::Scalar(_) => self.string(node, path).into_iter().collect(),
            _ => self.strings(node, path),
        }
    }

    /// The list form of what may also be a mapping of names.
    pub(super) fn names<T: FromStr>(&mut self, node: &Node, path: &str) -> Vec<Spanned<T>>
    where
        T::Err: std::fmt::Display,
    {
        if let Kind::Scalar(_) = &node.kind {
            self.wrong_type(node, path, "a list or a mapping");
            return Vec::new();
        }
        let Some(list) = self.list(node, path) else { return Vec::new() };
        let name = |(index, item): (usize, &Node)| {
            let text = match &item.kind {
                Kind::Scalar(scalar) if !scalar.text.is_empty() && scalar.resolve() == Resolved::Text => &scalar.text,
                // Only for a problem it is worth spelling the path out: a file may have tens of thousands of names.
                _ => self.filled_text(item, &format!("{path}[{index}]"))?,
            };
            Some(Spanned::new(self.name(text, &item.at)?, item.at.clone()))
        };
        list.iter().enumerate().filter_map(name).collect()
    }

    /// A list of which each item is read by `read`; those with problems are left out.
    pub(super) fn items<T>(
        &mut self,
        node: &Node,
        path: &str,
        mut read: impl FnMut(&mut Self, &Node, &str) -> Option<T>,
    ) -> Vec<T> {
        let Some(list) = self.list(node, path) else { return Vec::new() };
        list.iter().enumerate().filter_map(|(index, item)| read(self, item, &format!("{path}[{index}]"))).collect()
    }

    /// A command: a list, or a line that is split as a shell would.
    pub(super) fn command(&mut self, node: &Node, path: &str) -> Option<Spanned<Vec<String>>> {
        if let Kind::List(_) = &node.kind {
            return Some(Spanned::new(self.strings(node, path), node.at.clone()));
        }
        let Kind::Scalar(_) = &node.kind else {
            self.wrong_type(node, path, "a string or a list");
            return None;
        };
        let line = self.string(node, path)?;
        match shell_words::split(&line) {
            Ok(words) => Some(Spanned::new(words, node.at.clone())),
            Err(why) => {
                self.out.error(&node.at, format!("{path} can't be split into words: {why}"));
                None
            }
        }
    }

    /// A mapping, or a list of `key=value`. A key without a value has None; of two of one name the last wins.
    pub(super) fn pairs(&mut self, node: &Node, path: &str) -> IndexMap<String, Spanned<Option<String>>> {
        let mut pairs = IndexMap::new();
        match &node.kind {
            Kind::Map(map) => {
                for (key, Entry { value, .. }) in map {
                    let text = if value.is_null() {
                        None
                    } else {
                        let Some(text) = self.scalar(value, &format!("{path}.{key}")) else { continue };
                        Some(text.to_owned())
                    };
                    pairs.insert(key.clone(), Spanned::new(text, value.at.clone()));
                }
            }
            Kind::List(list) => {
                for (index, item) in list.iter().enumerate() {
                    let Some(text) = self.string(item, &format!("{path}[{index}]")) else { continue };
                    let (key, value) = match text.split_once('=') {
                        Some((key, value)) => (key, Some(value.to_owned())),
                        None => (text.as_str(), None),
                    };
                    if key.is_empty() {
                        self.out.error(&item.at, format!("{path}[{index}] has no name before the ="));
                        continue;
                    }
                    pairs.insert(key.to_owned(), Spanned::new(value, item.at.clone()));
                }
            }
            Kind::Scalar(_) => self.wrong_type(node, path, "a mapping or a list of key=value"),
        }
        pairs
    }

    /// Like [`pairs`](Self::pairs), an empty value standing for a missing one: for labels and options.
    pub(super) fn labels(&mut self, node: &Node, path: &str) -> IndexMap<String, String> {
        let pairs = self.pairs(node, path);
        pairs.into_iter().map(|(key, value)| (key, value.value.unwrap_or_default())).collect()
    }
}
