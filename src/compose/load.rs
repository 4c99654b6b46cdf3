//! From Compose files to a project: reads, replaces variables, merges, checks.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::canonical::{Canonical, Ingredients};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::environment::Environment;
use super::files::{Files, Scope};
use super::interpolate::interpolate_tree;
use super::merge::settle;
use super::node::{Kind, Node};
use super::paths::Paths;
use super::raw::Project;
use super::read::{Reader, name_of, read_limited, read_project, read_text};
use super::references::Reference;
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

    /// Reads standard input, which `-f -` stands for. Relative paths in it refer to the working directory.
    ///
    /// # Errors
    /// When it can't be read or is larger than 4 MiB.
    pub fn read_stdin() -> Result<Self, Diagnostics> {
        let read = read_limited(std::io::stdin().lock());
        let text = read.map_err(|error| problem(format!("standard input can't be read: {error}")))?;
        Ok(Self { name: "-".to_owned(), text, path: None })
    }
}

/// What loading depends on besides the files.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Variables that the files may refer to.
    pub env: Environment,
    /// The project's name, if given by `--project`. Wins over all others.
    pub project_name: Option<String>,
    /// The directory that relative paths refer to and `.env` is in. None: that of the first file.
    pub working_dir: Option<PathBuf>,
    /// Profiles that are switched on, `*` for all; none: those of `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// Services that are named: their profiles don't matter.
    pub services: Vec<String>,
    /// Nothing will be started: what isn't supported is only a warning.
    pub describes_only: bool,
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
    /// What else was read, or would have been had it been there: `.env`, env files, files that others name.
    pub reads: Vec<PathBuf>,
    /// The environment with `.env`: for configs and secrets that come from it.
    pub variables: BTreeMap<String, String>,
    /// Variables that the files refer to, in the order of their names.
    pub references: Vec<Reference>,
    /// All files as one.
    tree: Node,
}

impl Loaded {
    /// The canonical form. The content of secrets isn't in it.
    #[must_use]
    pub fn canonical(&self, resolves_paths: bool) -> Canonical {
        let home = self.variables.get("HOME").filter(|home| !home.is_empty()).map(Into::into);
        let paths = Paths { working_dir: self.working_dir.clone(), home };
        Canonical::of(&Ingredients {
            tree: &self.tree,
            name: self.project.name.as_str(),
            paths: resolves_paths.then_some(&paths),
            project: Some(&self.project),
            is_on: &|name, _| self.project.services.contains_key(name),
        })
    }
}

/// The canonical form of a project whose variables aren't replaced, and the variables that it refers to.
///
/// # Errors
/// When the files can't be parsed, or what they take in can't be read.
pub fn load_raw(
    sources: &[Source],
    options: &LoadOptions,
    resolves_paths: bool,
) -> Result<(Canonical, Vec<Reference>), Diagnostics> {
    let Combined { tree, name, working_dir, environment, references, out, .. } = combine(sources, options, true)?;
    let (name, _) = out.unless_errors(name)?;
    let active = environment.profiles(&options.profiles);
    let is_active = |profile: &str| active.iter().any(|one| one == "*" || one == profile);
    let is_on = |name: &str, service: &Node| {
        let profiles = match service.get("profiles").map(|profiles| &profiles.kind) {
            Some(Kind::List(items)) => items.as_slice(),
            _ => &[],
        };
        let is_named = options.services.iter().any(|one| one == name);
        profiles.is_empty() || is_named || profiles.iter().filter_map(Node::as_text).any(is_active)
    };
    let paths = Paths { working_dir, home: environment.get("HOME").map(Into::into) };
    let canonical = Canonical::of(&Ingredients {
        tree: &tree,
        name: name.as_ref().map_or("", ClusterName::as_str),
        paths: resolves_paths.then_some(&paths),
        project: None,
        is_on: &is_on,
    });
    Ok((canonical, references))
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
    let Combined { tree, name, working_dir, environment, references, mut reads, out } =
        combine(sources, options, false)?;
    let causes = out.len();
    let active = environment.profiles(&options.profiles);
    reads.extend_from_slice(environment.files());
    let describes_only = options.describes_only;
    let mut reader = Reader { variables: environment.into_variables(), working_dir, reads, out, describes_only };
    // The project's name doesn't matter if it is wrong: then there is an error.
    let name = name.or_else(|| ClusterName::new("unnamed").ok());
    let project = name.map(|name| read_project(&mut reader, &tree, name));
    let Reader { variables, working_dir, reads, mut out, .. } = reader;
    out.drop_consequences(causes);
    let files = sources.iter().filter_map(|source| source.path.clone()).collect();
    let (project, warnings) = out.unless_errors(project)?;
    let Some(mut project) = project else { return Err(problem("there is no Compose file")) };
    project.switch_off(&active, &options.services);
    Ok(Loaded { project, warnings, working_dir, files, reads, variables, references, tree })
}

/// All files as one tree.
struct Combined {
    tree: Node,
    /// None after an error.
    name: Option<ClusterName>,
    working_dir: PathBuf,
    environment: Environment,
    references: Vec<Reference>,
    /// Files that were read because another one names them.
    reads: Vec<PathBuf>,
    out: Diagnostics,
}

fn combine(sources: &[Source], options: &LoadOptions, raw: bool) -> Result<Combined, Diagnostics> {
    let working_dir = working_dir(sources, options)?;
    let mut environment = options.env.clone();
    environment.add_dot_env(&working_dir);
    let mut files = Files::new(raw);
    files.out.append(environment.take_problems());
    let mut parsed = Vec::new();
    for source in sources {
        parsed.extend(files.parse(source).map(|tree| (tree, source.path.clone())));
    }
    if parsed.len() < sources.len() || parsed.is_empty() {
        // What is missing would only make for wrong complaints about the rest.
        files.out.sort();
        return Err(files.out);
    }
    let name = project_name(&parsed, &environment, &working_dir, options, &mut files.out);
    if let Some(name) = &name {
        environment.set("COMPOSE_PROJECT_NAME", name.to_string());
    }
    let scope = Scope { directory: &working_dir, environment: &environment, included_by: &[] };
    let Some(mut tree) = files.combine(parsed, &scope) else { return Err(problem("there is no Compose file")) };
    settle(&mut tree);
    let mut references: Vec<Reference> = files.references.into_values().collect();
    references.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Combined { tree, name, working_dir, environment, references, reads: files.reads, out: files.out })
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

/// The given name, or that of the environment, of the last file that has one, or of the directory.
fn project_name(
    trees: &[(Node, Option<PathBuf>)],
    environment: &Environment,
    working_dir: &Path,
    options: &LoadOptions,
    out: &mut Diagnostics,
) -> Option<ClusterName> {
    let given = options.project_name.as_deref().filter(|name| !name.is_empty());
    if let Some(name) = given.or_else(|| environment.get("COMPOSE_PROJECT_NAME")) {
        let name = ClusterName::new(name);
        return name.map_err(|error| out.push(Diagnostic::error_without_place(error.to_string()))).ok();
    }
    if let Some(node) = trees.iter().rev().find_map(|(tree, _)| name_of(tree)) {
        let mut node = node.clone();
        // Warnings about its variables come when the whole tree is done.
        interpolate_tree(&mut node, environment.variables(), &mut Diagnostics::new());
        let Kind::Scalar(scalar) = &node.kind else {
            out.error(&node.at, format!("name must be a string, but it is {}", node.describe()));
            return None;
        };
        // As in docker compose, only one that is given to a command must be right as it stands.
        let name = ClusterName::normalized(&scalar.text).or_else(|_| ClusterName::new(&scalar.text));
        return name.map_err(|error| out.error(&node.at, error.to_string())).ok();
    }
    let directory = working_dir.file_name().unwrap_or_default().to_string_lossy();
    let named = ClusterName::normalized(&directory);
    let hint = "give one with --project or with name: at the top of the file";
    let failed =
        || Diagnostic::error_without_place(format!("the directory {directory:?} gives no cluster name")).hint(hint);
    named.map_err(|_| out.push(failed())).ok()
}
