//! From Compose files to a project: reads, replaces variables, merges, checks.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::env_file;
use super::interpolate::{Variables, interpolate_tree};
use super::merge::merge;
use super::node::{Kind, Node};
use super::place::SourceText;
use super::raw::Project;
use super::read::{Reader, name_of, read_project, read_text};
use super::yaml;
use crate::names::ClusterName;

/// A Compose file's text and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As shown in diagnostics.
    pub name: String,
    /// The text.
    pub text: String,
    /// Absolute path; None for a rendered template.
    pub path: Option<PathBuf>,
}

impl Source {
    /// Reads a file. Its name is the path as given.
    ///
    /// # Errors
    /// When it can't be read or is larger than 4 MiB; the message names it.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        let failed = |error: std::io::Error| problem(format!("{} can't be read: {error}", path.display()));
        let text = read_text(path).map_err(failed)?;
        let absolute = std::path::absolute(path).map_err(failed)?;
        Ok(Self { name: path.display().to_string(), text, path: Some(absolute) })
    }
}

/// What loading depends on besides the files.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// The environment. Wins over `.env`.
    pub env: BTreeMap<String, String>,
    /// The project's name, if given by `--project`. Wins over all others.
    pub project_name: Option<String>,
    /// The directory that relative paths refer to and `.env` is in. None: that of the first file.
    pub working_dir: Option<PathBuf>,
}

/// What was loaded.
#[derive(Clone)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What may not be as somebody thinks. No errors.
    pub warnings: Diagnostics,
    /// Absolute directory that relative paths of the project refer to.
    pub working_dir: PathBuf,
    /// Absolute paths of the files in their order; empty for a rendered template.
    pub files: Vec<PathBuf>,
    /// The environment with `.env`: for configs and secrets that come from it.
    pub variables: BTreeMap<String, String>,
}

impl fmt::Debug for Loaded {
    /// Without the variables, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut form = f.debug_struct("Loaded");
        form.field("project", &self.project).field("warnings", &self.warnings);
        form.field("working_dir", &self.working_dir).field("files", &self.files).finish_non_exhaustive()
    }
}

/// Loads a project from one file, or from several of which later ones are laid over earlier ones.
///
/// References between parts (networks, volumes, dependencies) aren't checked here.
///
/// # Errors
/// All problems of the files, warnings included, sorted by place.
pub fn load(sources: &[Source], options: &LoadOptions) -> Result<Loaded, Diagnostics> {
    let mut out = Diagnostics::new();
    let working_dir = working_dir(sources, options)?;
    let mut variables = variables(&working_dir, options, &mut out);
    let mut trees = Vec::new();
    for source in sources {
        let text = SourceText::new(&source.name, &source.text);
        trees.extend(parse(&text, &mut out));
    }
    if trees.len() < sources.len() || trees.is_empty() {
        // What is missing would only make for wrong complaints about the rest.
        out.sort();
        return Err(out);
    }
    let name = project_name(&trees, &variables, &working_dir, options, &mut out);
    if let Some(name) = &name {
        variables.insert("COMPOSE_PROJECT_NAME".to_owned(), name.to_string());
    }
    let tree = combine(trees, &variables, &mut out);
    let causes = out.len();
    let mut reader = Reader { variables, working_dir, out };
    // The project's name doesn't matter if it is wrong: then there is an error.
    let name = name.or_else(|| ClusterName::new("unnamed").ok());
    let project = name.zip(tree).map(|(name, tree)| read_project(&mut reader, &tree, name));
    let Reader { variables, working_dir, mut out } = reader;
    out.drop_consequences(causes);
    let files = sources.iter().filter_map(|source| source.path.clone()).collect();
    let (project, warnings) = out.unless_errors(project)?;
    match project {
        Some(project) => Ok(Loaded { project, warnings, working_dir, files, variables }),
        None => Err(problem("there is no Compose file")),
    }
}

fn problem(message: impl Into<String>) -> Diagnostics {
    let mut out = Diagnostics::new();
    out.push(Diagnostic::error_without_place(message));
    out
}

fn working_dir(sources: &[Source], options: &LoadOptions) -> Result<PathBuf, Diagnostics> {
    let of_file = || sources.first().and_then(|source| Some(source.path.as_ref()?.parent()?.to_owned()));
    let directory = options.working_dir.clone().or_else(of_file).unwrap_or_else(|| PathBuf::from("."));
    std::path::absolute(&directory).map_err(|error| problem(format!("{}: {error}", directory.display())))
}

/// The environment over the entries of `.env`.
fn variables(working_dir: &Path, options: &LoadOptions, out: &mut Diagnostics) -> Variables {
    let mut variables = Variables::new();
    match read_text(&working_dir.join(".env")) {
        Ok(text) => {
            for (key, value) in env_file::parse(".env", &text, &options.env, out) {
                variables.extend(value.value.map(|value| (key, value)));
            }
        }
        // A directory called .env holds Python's environment.
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::IsADirectory) => {}
        Err(error) => out.push(Diagnostic::error_without_place(format!(".env can't be read: {error}"))),
    }
    variables.extend(options.env.iter().map(|(key, value)| (key.clone(), value.clone())));
    variables
}

/// Parses one file. None, with an error noted, if it isn't a mapping.
fn parse(source: &Arc<SourceText>, out: &mut Diagnostics) -> Option<Node> {
    let before = out.len();
    let tree = yaml::parse(source, out);
    match tree {
        Some(tree) if matches!(tree.kind, Kind::Map(_)) => {
            hide_secrets(&tree);
            return Some(tree);
        }
        Some(tree) if !tree.is_null() => {
            out.error(&tree.at, format!("a Compose file must be a mapping, but this is {}", tree.describe()));
        }
        _ if out.len() == before => {
            out.error(&super::place::Place::whole_file(source), "the file is empty");
        }
        _ => {}
    }
    None
}

/// Keeps diagnostics from quoting lines that hold the content of a secret.
fn hide_secrets(tree: &Node) {
    let content_of = |secret: &Node| secret.get("content").map(|content| content.at.clone());
    if let Some(Kind::Map(secrets)) = tree.get("secrets").map(|secrets| &secrets.kind) {
        secrets.values().filter_map(|entry| content_of(&entry.value)).for_each(|place| place.hide_line());
    }
}

/// The given name, or that of the environment, of the last file that has one, or of the directory.
fn project_name(
    trees: &[Node],
    variables: &Variables,
    working_dir: &Path,
    options: &LoadOptions,
    out: &mut Diagnostics,
) -> Option<ClusterName> {
    let given = options.project_name.as_ref().or_else(|| variables.get("COMPOSE_PROJECT_NAME"));
    if let Some(name) = given.filter(|name| !name.is_empty()) {
        let name = ClusterName::new(name.as_str());
        return name.map_err(|error| out.push(Diagnostic::error_without_place(error.to_string()))).ok();
    }
    if let Some(node) = trees.iter().rev().find_map(name_of) {
        let mut node = node.clone();
        // Warnings about its variables come when the whole tree is done.
        interpolate_tree(&mut node, variables, &mut Diagnostics::new());
        let Kind::Scalar(scalar) = &node.kind else {
            out.error(&node.at, format!("name must be a string, but it is {}", node.describe()));
            return None;
        };
        return ClusterName::new(scalar.text.as_str()).map_err(|error| out.error(&node.at, error.to_string())).ok();
    }
    let directory = working_dir.file_name().unwrap_or_default().to_string_lossy();
    let named = ClusterName::normalized(&directory);
    let hint = "give one with --project or with name: at the top of the file";
    let failed =
        || Diagnostic::error_without_place(format!("the directory {directory:?} gives no cluster name")).hint(hint);
    named.map_err(|_| out.push(failed())).ok()
}

fn combine(trees: Vec<Node>, variables: &Variables, out: &mut Diagnostics) -> Option<Node> {
    let trees = trees.into_iter().map(|mut tree| {
        interpolate_tree(&mut tree, variables, out);
        tree
    });
    trees.reduce(|mut base, over| {
        merge(&mut base, over);
        base
    })
}
