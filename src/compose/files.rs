//! One Compose file with all that it takes in: what its services extend, what it includes.
//!
//! Nothing is read but what a file names, nothing over the network, and no more than [`MAX_FILES`] files.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::environment::Environment;
use super::interpolate::interpolate_tree;
use super::load::Source;
use super::merge::merge;
use super::node::{Kind, Node};
use super::place::{Place, SourceText};
use super::references::{Reference, gather};
use super::yaml;

/// Files that one project is made of at most.
const MAX_FILES: usize = 500;

/// Reads files and what they take in.
pub(super) struct Files {
    pub(super) out: Diagnostics,
    /// References to variables, by name.
    pub(super) references: IndexMap<String, Reference>,
    /// Leave variables as they are.
    pub(super) raw: bool,
    /// Files that were read because another one names them.
    pub(super) reads: Vec<PathBuf>,
    read: usize,
    /// Values of all files and of what services extend, so far.
    values: usize,
}

/// What a file's text depends on besides itself.
pub(super) struct Scope<'a> {
    /// What its relative paths refer to.
    pub(super) directory: &'a Path,
    pub(super) environment: &'a Environment,
    /// The files that led to it by `include`, itself excluded.
    pub(super) included_by: &'a [PathBuf],
}

impl Files {
    pub(super) fn new(raw: bool) -> Self {
        Self { out: Diagnostics::new(), references: IndexMap::new(), raw, reads: Vec::new(), read: 0, values: 0 }
    }

    /// Parses one file, of which later documents are laid over earlier ones. None, with an error noted, if it isn't a
    /// mapping.
    pub(super) fn parse(&mut self, source: &Source) -> Option<Node> {
        let text = SourceText::new(&source.name, &source.text);
        let before = self.out.len();
        let mut whole: Option<Node> = None;
        for tree in yaml::parse_all(&text, &mut self.out).into_iter().filter(|tree| !tree.is_null()) {
            if !matches!(tree.kind, Kind::Map(_)) {
                self.out.error(&tree.at, format!("a Compose file must be a mapping, but this is {}", tree.describe()));
                return None;
            }
            hide_secrets(&tree);
            if !self.admit(tree.values(), &tree.at) {
                return None;
            }
            match &mut whole {
                None => whole = Some(tree),
                Some(whole) => merge(whole, tree),
            }
        }
        if whole.is_none() && self.out.len() == before {
            self.out.error(&Place::whole_file(&text), "the file is empty");
        }
        whole
    }

    /// Replaces variables in a tree.
    pub(super) fn interpolate(&mut self, tree: &mut Node, environment: &Environment) {
        gather(tree, &mut self.references);
        if !self.raw {
            interpolate_tree(tree, environment.variables(), &mut self.out);
        }
    }

    /// The trees of several files, variables replaced and all taken in, later ones laid over earlier ones.
    pub(super) fn combine(&mut self, parsed: Vec<(Node, Option<PathBuf>)>, scope: &Scope<'_>) -> Option<Node> {
        let mut combined: Option<Node> = None;
        for (mut tree, path) in parsed {
            self.interpolate(&mut tree, scope.environment);
            self.extend_services(&mut tree, scope);
            self.include(&mut tree, path.as_deref(), scope);
            match &mut combined {
                None => combined = Some(tree),
                Some(base) => merge(base, tree),
            }
        }
        combined
    }

    /// Counts values; false, with an error noted the first time, when there are too many in all.
    pub(super) fn admit(&mut self, values: usize, at: &Place) -> bool {
        let before = self.values;
        self.values = before.saturating_add(values);
        if self.values <= yaml::MAX_NODES {
            return true;
        }
        if before <= yaml::MAX_NODES {
            let message = format!("with this the project has more than {} values", yaml::MAX_NODES);
            self.out.error(at, message);
        }
        false
    }

    /// Reads a file that another one names at `at`. `what` is the key that names it.
    pub(super) fn open(&mut self, written: &str, directory: &Path, at: &Place, what: &str) -> Option<Source> {
        if written.contains("://") || written.starts_with("git@") || written.starts_with("oci:") {
            let message = format!("{what}: {written:?} isn't a file of this machine");
            self.out.push(Diagnostic::error(at, message).hint("nothing is read over the network: fetch it first"));
            return None;
        }
        self.read += 1;
        if self.read > MAX_FILES {
            self.out.error(at, format!("{what} makes this project one of more than {MAX_FILES} files"));
            return None;
        }
        let path = directory.join(written);
        self.reads.push(path.clone());
        let read = super::read::read_text(&path);
        let text = match read {
            Ok(text) => text,
            Err(error) => {
                let diagnostic = Diagnostic::error(at, format!("{what}: {written:?} can't be read: {error}"));
                let looked = format!("relative paths are looked up in {}", directory.display());
                self.out.push(if written.starts_with('/') { diagnostic } else { diagnostic.hint(looked) });
                return None;
            }
        };
        Some(Source { name: name_beside(at.file(), written), text, path: Some(path) })
    }
}

/// How a file is called that another one names: as one would reach it from where that one's name is relative to.
fn name_beside(namer: &str, written: &str) -> String {
    match Path::new(namer).parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.join(written).display().to_string(),
        _ => written.to_owned(),
    }
}

/// The same for every way to write the path of one file.
pub(super) fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Keeps diagnostics from quoting lines that hold the content of a secret.
fn hide_secrets(tree: &Node) {
    let content_of = |secret: &Node| secret.get("content").map(|content| content.at.clone());
    if let Some(secrets) = tree.get("secrets").and_then(Node::as_map) {
        secrets.values().filter_map(|entry| content_of(&entry.value)).for_each(|place| place.hide_line());
    }
}
