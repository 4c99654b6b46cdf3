//! Configs and secrets: bind mounts where the engine sees our files, files put in before the start where it doesn't.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::build::Context;
use super::paths::{inside, is_below};
use super::text::unknown;
use crate::cluster::{FileContent, HostFile, Mount, MountKind};
use crate::compose::{Diagnostic, Diagnostics, FileOrigin, FileRef, FileSource, Place, Service};
use crate::names::ServiceName;

/// What a service's configs and secrets come to.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Read-only bind mounts.
    pub(super) mounts: Vec<Mount>,
    /// Files that are put in before the start.
    pub(super) files: Vec<HostFile>,
    /// Contents of secrets, to be masked wherever they would be shown.
    pub(super) secrets: Vec<String>,
}

/// Which of the two something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Config,
    Secret,
}

/// Larger files aren't searched for in what is printed.
const LONGEST_MASKED: u64 = 1 << 20;

/// The service's configs and secrets. `mounts` are its other mounts, which must not hide them.
pub(super) fn resolve(
    context: &Context<'_>,
    name: &ServiceName,
    service: &Service,
    mounts: &[Mount],
    problems: &mut Diagnostics,
) -> Files {
    let mut files = Files::default();
    let configs = service.configs.iter().map(|wanted| (Kind::Config, wanted, &context.project.configs));
    let secrets = service.secrets.iter().map(|wanted| (Kind::Secret, wanted, &context.project.secrets));
    for (kind, wanted, defined) in configs.chain(secrets) {
        let Some(source) = find(kind, wanted, defined, problems) else { continue };
        let target = kind.target(wanted);
        if !names_a_file(&target) {
            let message = format!("{} \"{}\" can't be put at {target:?}", kind.word(), wanted.source.value);
            problems.push(Diagnostic::error(place(wanted), message).hint("write the file's path, without . and .."));
            continue;
        }
        if is_taken(&target, mounts, &files) {
            let message = format!("\"{name}\" has two things at {target}");
            problems.push(Diagnostic::error(place(wanted), message).hint("give one of them another target"));
            continue;
        }
        let before = files.files.len();
        add(context, (kind, wanted, source), target, &mut files, problems);
        if let Some(file) = files.files.get(before) {
            check_reachable(kind, wanted, file, service, problems);
        }
    }
    files
}

fn find<'a>(
    kind: Kind,
    wanted: &FileRef,
    defined: &'a IndexMap<String, FileSource>,
    problems: &mut Diagnostics,
) -> Option<&'a FileSource> {
    let key = &wanted.source.value;
    let found = defined.get(key);
    if found.is_none() {
        let hint = unknown(key, defined.keys().map(String::as_str), kind.section());
        problems
            .push(Diagnostic::error(&wanted.source.at, format!("{} \"{key}\" is not defined", kind.word())).hint(hint));
    }
    found
}

/// Where the content of a config or secret is.
enum Content {
    Text(String),
    File(PathBuf),
}

/// Looks for the content; problems are noted, but not for those who only want to read the project.
fn content(
    context: &Context<'_>,
    (kind, wanted, source): (Kind, &FileRef, &FileSource),
    problems: &mut Diagnostics,
) -> Option<Content> {
    let key = &wanted.source.value;
    let problem = match &source.origin {
        FileOrigin::Content(content) => return Some(Content::Text(content.value.clone())),
        FileOrigin::Environment(variable) => match context.variables.get(&variable.value) {
            Some(content) => return Some(Content::Text(content.clone())),
            None => {
                let message =
                    format!("{} \"{key}\" is in the variable {}, which is not set", kind.word(), variable.value);
                Diagnostic::error(&variable.at, message).hint("set it in the environment or in the env file")
            }
        },
        FileOrigin::File(written) => {
            let path = context.paths.absolute(&written.value);
            if path.exists() {
                return Some(Content::File(path));
            }
            let message = format!("the file {} of {} \"{key}\" does not exist", path.display(), kind.word());
            Diagnostic::error(&written.at, message).hint("make it, or correct the path")
        }
        FileOrigin::External(_) => {
            Diagnostic::error(&source.at, format!("{} \"{key}\" is external, which needs a Swarm", kind.word()))
                .hint("give its content with file, content or environment")
        }
    };
    if !context.options.describes_only {
        problems.push(problem);
    }
    None
}

/// A secret for a build: its content, and what of it to mask.
pub(super) fn secret(
    context: &Context<'_>,
    wanted: &FileRef,
    problems: &mut Diagnostics,
) -> Option<(FileContent, Vec<String>)> {
    let source = find(Kind::Secret, wanted, &context.project.secrets, problems)?;
    let mut files = Files::default();
    let content = match content(context, (Kind::Secret, wanted, source), problems)? {
        Content::Text(text) => {
            files.mask(&text);
            FileContent::Inline { bytes: text.into_bytes() }
        }
        Content::File(path) => {
            files.mask_file(&path);
            FileContent::Path { path }
        }
    };
    Some((content, files.secrets))
}

fn add(
    context: &Context<'_>,
    (kind, wanted, source): (Kind, &FileRef, &FileSource),
    target: String,
    files: &mut Files,
    problems: &mut Diagnostics,
) {
    match content(context, (kind, wanted, source), problems) {
        Some(Content::Text(text)) => files.put(kind, wanted, target, &text),
        Some(Content::File(path)) => add_file(context, (kind, wanted, path), target, files, problems),
        None => {}
    }
}

fn add_file(
    context: &Context<'_>,
    (kind, wanted, path): (Kind, &FileRef, PathBuf),
    target: String,
    files: &mut Files,
    problems: &mut Diagnostics,
) {
    if kind == Kind::Secret {
        files.mask_file(&path);
    }
    if !context.options.engine_is_local {
        files.push_file(wanted, target, FileContent::Path { path });
        return;
    }
    if wanted.uid.is_some() || wanted.gid.is_some() || wanted.mode.is_some() {
        let message = format!("uid, gid and mode of {} \"{}\" are ignored", kind.word(), wanted.source.value);
        let hint = "a file is mounted as it is on disk: change it there";
        problems.push(Diagnostic::warning(&wanted.source.at, message).hint(hint));
    }
    files.mounts.push(Mount::new(target, MountKind::Bind { source: path, create: false }, true));
}

/// A file can't be put under a read-only root, and one under a tmpfs is gone once that is mounted.
fn check_reachable(kind: Kind, wanted: &FileRef, file: &HostFile, service: &Service, problems: &mut Diagnostics) {
    let what = format!("{} \"{}\" can't be put at {}", kind.word(), wanted.source.value, file.target);
    if let Some(read_only) = service.read_only.as_ref().filter(|read_only| read_only.value) {
        let message = format!("{what}: the root is read_only ({})", read_only.at);
        problems.push(Diagnostic::error(&wanted.source.at, message).hint("use file: for it, or drop read_only"));
    }
    let tmpfs = |mount: &&crate::compose::Mount| {
        matches!(mount.kind, crate::compose::MountKind::Tmpfs { .. }) && is_below(&file.target, &mount.target)
    };
    if let Some(mount) = service.mounts.iter().find(tmpfs) {
        let message = format!("{what}: the tmpfs at {} ({}) would hide it", mount.target, mount.at);
        problems
            .push(Diagnostic::error(&wanted.source.at, message).hint("give it another target, or use file: for it"));
    }
}

fn is_taken(target: &str, mounts: &[Mount], files: &Files) -> bool {
    mounts.iter().chain(&files.mounts).any(|mount| mount.target == target)
        || files.files.iter().any(|file| file.target == target)
}

/// A path that leads up might end anywhere: at a mount of another's, or where the engine refuses to put a file.
fn names_a_file(target: &str) -> bool {
    target.trim_start_matches('/').split('/').all(|part| !["", ".", ".."].contains(&part))
}

fn place(wanted: &FileRef) -> &Place {
    wanted.target.as_ref().map_or(&wanted.source.at, |target| &target.at)
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Secret => "secret",
        }
    }

    const fn section(self) -> &'static str {
        match self {
            Self::Config => "configs",
            Self::Secret => "secrets",
        }
    }

    fn target(self, wanted: &FileRef) -> String {
        let written = wanted.target.as_ref().map_or(&wanted.source.value, |target| &target.value);
        match (written.starts_with('/'), self) {
            (true, _) => inside(written).to_owned(),
            (false, Self::Config) => format!("/{}", inside(written)),
            (false, Self::Secret) => format!("/run/secrets/{}", inside(written)),
        }
    }
}

impl Files {
    fn put(&mut self, kind: Kind, wanted: &FileRef, target: String, content: &str) {
        if kind == Kind::Secret {
            self.mask(content);
        }
        self.push_file(wanted, target, FileContent::Inline { bytes: content.as_bytes().to_vec() });
    }

    fn push_file(&mut self, wanted: &FileRef, target: String, content: FileContent) {
        let (uid, gid) = (wanted.uid.unwrap_or(0), wanted.gid.unwrap_or(0));
        self.files.push(HostFile { target, content, uid, gid, mode: wanted.mode.unwrap_or(0o444) });
    }

    fn mask_file(&mut self, path: &Path) {
        let short = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= LONGEST_MASKED);
        if short && let Ok(content) = std::fs::read_to_string(path) {
            self.mask(&content);
        }
    }

    /// Notes the content as something to hide. The lines of a long one are the masker's business.
    fn mask(&mut self, content: &str) {
        let value = content.trim();
        if !value.is_empty() && !self.secrets.iter().any(|known| known == value) {
            self.secrets.push(value.to_owned());
        }
    }
}
