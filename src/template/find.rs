//! Where templates are: in the program, and in folders of the user's.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::manifest;
use super::parameter::Parameter;
use crate::compose::suggest::closest;
use crate::compose::{Diagnostic, Diagnostics, SourceText};
use crate::names::ClusterName;

const MANIFEST: &str = "template.yaml";
const TEXT: &str = "compose.yaml.j2";
/// Largest file in bytes.
const LIMIT: u64 = 4 << 20;

/// The templates that are part of the program: name, manifest, text.
const BUILT_IN: [(&str, &str, &str); 3] = [
    (
        "etcd",
        include_str!("../../compose-templates/etcd/template.yaml"),
        include_str!("../../compose-templates/etcd/compose.yaml.j2"),
    ),
    (
        "neon",
        include_str!("../../compose-templates/neon/template.yaml"),
        include_str!("../../compose-templates/neon/compose.yaml.j2"),
    ),
    (
        "postgres",
        include_str!("../../compose-templates/postgres/template.yaml"),
        include_str!("../../compose-templates/postgres/compose.yaml.j2"),
    ),
];

/// A template: Compose text with parameters.
#[derive(Debug, Clone, Serialize)]
pub struct Template {
    /// Its name: that of its folder, and of the cluster it makes unless another is given.
    pub name: ClusterName,
    /// What it starts, in one line.
    pub summary: String,
    /// What may be set, in the order of the manifest.
    pub parameters: Vec<Parameter>,
    /// Where it comes from.
    pub origin: Origin,
    /// The text before rendering.
    #[serde(skip)]
    pub(super) text: Arc<SourceText>,
}

/// Where a template comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is part of the program.
    BuiltIn,
    /// A folder of the user's.
    Directory(PathBuf),
}

/// All templates, sorted by name: those in `directories`, of which an earlier one wins over a later one, and those in
/// the program. Templates that can't be read are left out and among the problems. A directory that isn't there has
/// none.
#[must_use]
pub fn list(directories: &[PathBuf]) -> (Vec<Template>, Diagnostics) {
    let mut problems = Diagnostics::new();
    let mut found = Vec::new();
    for name in names(directories) {
        match find(name.as_str(), directories) {
            Ok(template) => found.push(template),
            Err(more) => problems.append(more),
        }
    }
    (found, problems)
}

/// The template of this name: from the first of `directories` that has it, else from the program.
///
/// # Errors
/// When there is none (names the closest), or when its files can't be read or have mistakes.
pub fn find(name: &str, directories: &[PathBuf]) -> Result<Template, Diagnostics> {
    let Ok(valid) = ClusterName::new(name) else { return Err(unknown(name, directories)) };
    for directory in directories {
        let folder = directory.join(name);
        if folder.join(MANIFEST).exists() {
            let texts = read(&folder.join(MANIFEST)).and_then(|manifest| Ok((manifest, read(&folder.join(TEXT))?)))?;
            return template(valid, texts, Origin::Directory(folder));
        }
    }
    let Some((_, manifest, text)) = BUILT_IN.into_iter().find(|(built_in, ..)| *built_in == name) else {
        return Err(unknown(name, directories));
    };
    let source = |file: &str, text: &str| SourceText::new(format!("{name}/{file}"), text);
    template(valid, (source(MANIFEST, manifest), source(TEXT, text)), Origin::BuiltIn)
}

fn template(
    name: ClusterName,
    texts: (Arc<SourceText>, Arc<SourceText>),
    origin: Origin,
) -> Result<Template, Diagnostics> {
    let manifest = manifest::parse(&texts.0)?;
    let (summary, parameters) = (manifest.summary, manifest.parameters);
    Ok(Template { name, summary, parameters, origin, text: texts.1 })
}

/// The user's own folder of templates: `convoke/templates` in their configuration folder. None without a home.
#[must_use]
pub fn user_directory(env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(config.join("convoke/templates"))
}

/// The files that a template of this name has, or would have, in a folder of templates.
#[must_use]
pub fn files_of(directory: &Path, name: &str) -> [PathBuf; 2] {
    [MANIFEST, TEXT].map(|file| directory.join(name).join(file))
}

/// The names of all templates, sorted.
fn names(directories: &[PathBuf]) -> Vec<ClusterName> {
    let folders = directories.iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().flatten();
    let theirs = folders
        .filter(|folder| folder.path().join(MANIFEST).exists())
        .filter_map(|folder| ClusterName::new(folder.file_name().into_string().ok()?).ok());
    let ours = BUILT_IN.iter().filter_map(|(name, ..)| ClusterName::new(*name).ok());
    let mut names: Vec<_> = theirs.chain(ours).collect();
    names.sort();
    names.dedup();
    names
}

fn unknown(name: &str, directories: &[PathBuf]) -> Diagnostics {
    let names = names(directories);
    let hint = match closest(name, names.iter().map(ClusterName::as_str)) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => {
            let names: Vec<_> = names.iter().map(ClusterName::as_str).collect();
            format!("there are {}; --template-dir DIR adds those in a folder", names.join(", "))
        }
    };
    only(Diagnostic::error_without_place(format!("there is no template {name:?}")).hint(hint))
}

fn read(path: &Path) -> Result<Arc<SourceText>, Diagnostics> {
    let name = path.display().to_string();
    let failed = |why: String| only(Diagnostic::error_without_place(format!("{name} can't be read: {why}")));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(LIMIT + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LIMIT {
        return Err(failed("it is larger than 4 MiB".to_owned()));
    }
    Ok(SourceText::new(name, text))
}

/// A single problem.
pub(super) fn only(diagnostic: Diagnostic) -> Diagnostics {
    let mut problems = Diagnostics::new();
    problems.push(diagnostic);
    problems
}
