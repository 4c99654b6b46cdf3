//! Configs, secrets and environment: what a service gets from elsewhere.

use indexmap::IndexMap;

use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::env_file;
use super::super::node::{Kind, Node};
use super::super::place::Spanned;
use super::super::raw::{FileOrigin, FileSource};
use super::super::raw_parts::FileRef;
use super::fields::{Fields, Reader};

impl Reader {
    /// `configs` or `secrets` of a service.
    pub(super) fn file_refs(&mut self, node: &Node, path: &str) -> Vec<FileRef> {
        self.items(node, path, |reader, item, path| {
            let Kind::Map(_) = &item.kind else {
                let source = reader.spanned(item, path)?;
                return Some(FileRef { source, target: None, uid: None, gid: None, mode: None });
            };
            let mut fields = Fields::of(reader, item, path)?;
            let source = fields.read(reader, "source", Self::spanned);
            let target = fields.read(reader, "target", Self::spanned);
            let uid = fields.read(reader, "uid", Self::id);
            let gid = fields.read(reader, "gid", Self::id);
            let mode = fields.read(reader, "mode", Self::mode);
            if fields.take("source").is_none() {
                reader.out.error(&item.at, format!("{path} has no source"));
            }
            fields.finish(reader, &[]);
            Some(FileRef { source: source?, target, uid, gid, mode })
        })
    }

    /// A numeric user or group.
    pub(super) fn id(&mut self, node: &Node, path: &str) -> Option<u32> {
        self.integer(node, path, 0, u32::MAX)
    }

    /// A top-level config or secret. `kind` is "config" or "secret".
    pub(super) fn file_source(&mut self, node: &Node, path: &str, kind: &str, key: &str) -> Option<FileSource> {
        let mut fields = Fields::of(self, node, path)?;
        let before = self.out.len();
        let mut origins = Vec::new();
        origins.extend(fields.read(self, "file", Self::spanned).map(FileOrigin::File));
        origins.extend(
            fields
                .read(self, "content", |reader, node, path| {
                    Some(Spanned::new(reader.scalar_or_empty(node, path)?, node.at.clone()))
                })
                .map(FileOrigin::Content),
        );
        origins.extend(fields.read(self, "environment", Self::spanned).map(FileOrigin::Environment));
        let name = fields.read(self, "name", Self::filled);
        if fields.read(self, "external", Self::boolean) == Some(true) {
            origins.push(FileOrigin::External(name.unwrap_or_else(|| key.to_owned())));
        }
        fields.finish(self, &["driver", "driver_opts", "labels", "template_driver"]);
        if origins.len() > 1 || (origins.is_empty() && self.out.len() == before) {
            let message = format!("the {kind} {key:?} needs exactly one of file, content, environment and external");
            self.out.error(&node.at, message);
            return None;
        }
        Some(FileSource { at: node.at.clone(), origin: origins.pop()? })
    }

    /// `environment` over the contents of `env_file`. Keys without a value take that of the environment.
    pub(super) fn environment(
        &mut self,
        env_file: Option<&Node>,
        environment: Option<&Node>,
        path: &str,
    ) -> IndexMap<String, Spanned<Option<String>>> {
        let mut result = IndexMap::new();
        if let Some(node) = env_file {
            let path = format!("{path}.env_file");
            match &node.kind {
                Kind::List(list) => {
                    for (index, item) in list.iter().enumerate() {
                        self.env_file(item, &format!("{path}[{index}]"), &mut result);
                    }
                }
                _ => self.env_file(node, &path, &mut result),
            }
        }
        if let Some(node) = environment {
            for (key, mut value) in self.pairs(node, &format!("{path}.environment")) {
                if value.value.is_none() {
                    value.value = self.variables.get(&key).cloned();
                }
                result.insert(key, value);
            }
        }
        result
    }

    fn env_file(&mut self, node: &Node, path: &str, result: &mut env_file::Entries) {
        let mut raw = false;
        let (file, required) = match &node.kind {
            Kind::Map(_) => {
                let Some(mut fields) = Fields::of(self, node, path) else { return };
                let file = fields.read(self, "path", Self::spanned);
                let required = fields.read(self, "required", Self::boolean).unwrap_or(true);
                if fields.take("path").is_none() {
                    self.out.error(&node.at, format!("{path} has no path"));
                }
                raw = fields.read(self, "format", Self::env_format).unwrap_or_default();
                fields.finish(self, &[]);
                (file, required)
            }
            _ => (self.spanned(node, path), true),
        };
        let Some(file) = file else { return };
        let Some(text) = self.read_file(&file, "env file", required) else { return };
        if raw {
            result.extend(env_file::parse_raw(&file.value, &text));
            return;
        }
        let mut problems = Diagnostics::new();
        // It may refer to what earlier files say.
        let mut known = self.variables.clone();
        for (key, value) in &*result {
            known.entry(key.clone()).or_insert_with(|| value.value.clone().unwrap_or_default());
        }
        let entries = env_file::parse(&file.value, &text, &known, &mut problems);
        self.out.append(problems);
        // A name without a value that the environment doesn't have either says nothing.
        result.extend(entries.into_iter().filter(|(_, value)| value.value.is_some()));
    }

    /// Whether an env file's lines are taken as they are.
    fn env_format(&mut self, node: &Node, path: &str) -> Option<bool> {
        let format = self.string(node, path)?;
        if format != "raw" {
            self.out
                .push(Diagnostic::error(&node.at, format!("{path}: {format:?} is not a format")).hint("there is raw"));
        }
        Some(format == "raw")
    }

    /// An option of the engine's. Of a seccomp profile it takes the text, of which the file has the path.
    pub(super) fn security_opt(&mut self, node: &Node, path: &str) -> Option<String> {
        let text = self.string(node, path)?;
        let profile = text.split_once(['=', ':']).filter(|(key, _)| *key == "seccomp").map(|(_, profile)| profile);
        let Some(profile) = profile.filter(|profile| !matches!(*profile, "unconfined" | "builtin")) else {
            return Some(text);
        };
        let file = Spanned::new(profile.to_owned(), node.at.clone());
        let required = !self.describes_only;
        let Some(profile) = self.read_file(&file, "seccomp profile", required) else { return Some(text) };
        match serde_json::from_str::<serde_json::Value>(&profile) {
            Ok(profile) => Some(format!("seccomp={profile}")),
            Err(error) => {
                self.out.error(&node.at, format!("the seccomp profile {} is no JSON: {error}", file.value));
                None
            }
        }
    }

    fn read_file(&mut self, file: &Spanned<String>, what: &str, required: bool) -> Option<String> {
        let place = self.working_dir.join(&file.value);
        self.reads.push(place.clone());
        match read_text(&place) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => None,
            Err(error) => {
                let diagnostic =
                    Diagnostic::error(&file.at, format!("the {what} {:?} can't be read: {error}", file.value));
                let relative = format!("relative paths are looked up in {}", self.working_dir.display());
                self.out.push(if file.value.starts_with('/') { diagnostic } else { diagnostic.hint(relative) });
                None
            }
        }
    }

    /// `labels` over the contents of `label_file`.
    pub(super) fn all_labels(
        &mut self,
        label_file: Option<&Node>,
        labels: Option<&Node>,
        path: &str,
    ) -> IndexMap<String, String> {
        let mut all = IndexMap::new();
        let files = label_file.map(|node| match &node.kind {
            Kind::List(_) => self.items(node, &format!("{path}.label_file"), Self::spanned),
            _ => self.spanned(node, &format!("{path}.label_file")).into_iter().collect(),
        });
        for file in files.unwrap_or_default() {
            let Some(text) = self.read_file(&file, "label file", true) else { continue };
            let mut problems = Diagnostics::new();
            let entries = env_file::parse(&file.value, &text, &self.variables, &mut problems);
            self.out.append(problems);
            all.extend(entries.into_iter().map(|(key, value)| (key, value.value.unwrap_or_default())));
        }
        if let Some(node) = labels {
            all.extend(self.labels(node, &format!("{path}.labels")));
        }
        all
    }

    /// Text that may be empty, numbers and booleans as written.
    fn scalar_or_empty(&mut self, node: &Node, path: &str) -> Option<String> {
        self.scalar(node, path).map(str::to_owned)
    }
}

/// Reads a text file of a sane size.
pub(in crate::compose) fn read_text(path: &std::path::Path) -> std::io::Result<String> {
    read_limited(std::fs::File::open(path)?)
}

/// Reads text of a sane size.
pub(in crate::compose) fn read_limited(reader: impl std::io::Read) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind, Read};
    let mut text = String::new();
    reader.take(env_file::MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > env_file::MAX_BYTES {
        return Err(Error::new(ErrorKind::FileTooLarge, "it is larger than 4 MiB"));
    }
    Ok(text)
}
