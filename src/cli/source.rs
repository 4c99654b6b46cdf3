//! From `-f`, a template's name or the working directory to a loaded project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::args::Source as SourceArgs;
use super::error::CliError;
use super::session::Session;
use crate::cluster::{Cluster, ResolveOptions, resolve};
use crate::compose::{self, Canonical, Environment, LoadOptions, Loaded, Reference, Source};
use crate::engine::docker::Surroundings;
use crate::names::{ClusterName, ServiceName};
use crate::template;

/// A cluster that was loaded and resolved.
pub(super) struct Described {
    /// What should run.
    pub(super) cluster: Cluster,
    /// The template that it comes from.
    pub(super) template: Option<String>,
    /// The services named; none: all.
    pub(super) services: Vec<ServiceName>,
    /// All files that it depends on, there or not; none if it can't be read twice.
    pub(super) reads: Vec<PathBuf>,
}

/// Loads and resolves what the arguments name; prints warnings.
pub(super) fn describe(
    session: &Session,
    args: &SourceArgs,
    scale: &[(String, String)],
    engine_is_local: bool,
) -> Result<Described, CliError> {
    let Input { sources, options, secrets, template } = input(session, args)?;
    let loaded = compose::load(&sources, &options)?;
    let services = services_named(session, &loaded, &options.services)?;
    let mut reads = loaded.reads.clone();
    reads.extend(loaded.files.iter().flat_map(|file| beside(file)));
    if let Some(name) = &template {
        reads.extend(session.template_dirs().iter().flat_map(|dir| template::files_of(dir, name)));
    }
    if session.all_files(&args.file).iter().any(|file| file.as_os_str() == "-") {
        reads.clear();
    }
    let scale = parse_scale(scale)?;
    let no_buildx = Surroundings::of_process().buildx().err();
    let options = ResolveOptions { engine_is_local, scale, secrets, no_buildx, ..ResolveOptions::default() };
    let (cluster, warnings) = resolve(&loaded, &options)?;
    for warning in loaded.warnings.iter().chain(warnings.iter()) {
        session.printer.problem(warning);
    }
    Ok(Described { cluster, template, services, reads })
}

/// The project as it is, and the cluster that it would be with one more file merged over it, in which `service` has one
/// container. Prints warnings of the first only: those of the second are the same.
pub(super) fn with_one_off(
    session: &Session,
    args: &SourceArgs,
    service: &str,
    over: Source,
    engine_is_local: bool,
) -> Result<(Described, Cluster), CliError> {
    let Input { mut sources, options, secrets, template } = input(session, args)?;
    let loaded = compose::load(&sources, &options)?;
    let services = services_named(session, &loaded, &options.services)?;
    let no_buildx = Surroundings::of_process().buildx().err();
    let resolving = ResolveOptions { engine_is_local, secrets, no_buildx, ..ResolveOptions::default() };
    let (cluster, warnings) = resolve(&loaded, &resolving)?;
    sources.push(over);
    let changed = compose::load(&sources, &options)?;
    let resolving = ResolveOptions { scale: parse_scale(&[(service.to_owned(), "1".to_owned())])?, ..resolving };
    let (changed, _) = resolve(&changed, &resolving)?;
    for warning in loaded.warnings.iter().chain(warnings.iter()) {
        session.printer.problem(warning);
    }
    Ok((Described { cluster, template, services, reads: Vec::new() }, changed))
}

/// A file, and where one that overrides it would be.
fn beside(file: &Path) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new("."));
    compose::candidates(folder).into_iter().chain([file.to_owned()]).collect()
}

/// Whether there is a file to be found from the working directory.
pub(super) fn is_found(session: &Session) -> Result<bool, CliError> {
    Ok(found_files(session, &surroundings(session, &[])?).is_ok())
}

/// A project as its files say, for those who only want to read it.
pub(super) struct Project {
    /// What was loaded.
    pub(super) loaded: Loaded,
    /// What would run.
    pub(super) cluster: Cluster,
    /// Values of a template's secret parameters.
    pub(super) secrets: Vec<String>,
}

/// Loads and resolves what the arguments name, without looking for what a start needs; prints warnings.
pub(super) fn project(session: &Session, args: &SourceArgs) -> Result<Project, CliError> {
    let Input { sources, mut options, secrets, .. } = input(session, args)?;
    options.describes_only = true;
    let mut loaded = compose::load(&sources, &options)?;
    let services = services_named(session, &loaded, &options.services)?;
    if !services.is_empty() {
        loaded.project.keep(&services);
    }
    let options = ResolveOptions {
        engine_is_local: true,
        describes_only: true,
        secrets: secrets.clone(),
        ..ResolveOptions::default()
    };
    let (cluster, warnings) = resolve(&loaded, &options)?;
    for warning in loaded.warnings.iter().chain(warnings.iter()) {
        session.printer.problem(warning);
    }
    Ok(Project { loaded, cluster, secrets })
}

/// What the arguments name with its variables left in, those variables, and secret parameters.
pub(super) fn raw(
    session: &Session,
    args: &SourceArgs,
    resolves_paths: bool,
) -> Result<(Canonical, Vec<Reference>, Vec<String>), CliError> {
    let Input { sources, options, secrets, .. } = input(session, args)?;
    let (canonical, references) = compose::load_raw(&sources, &options, resolves_paths)?;
    Ok((canonical, references, secrets))
}

/// What a project is loaded from.
struct Input {
    sources: Vec<Source>,
    /// With the services that are named.
    options: LoadOptions,
    /// Values of a template's secret parameters.
    secrets: Vec<String>,
    /// The template's name.
    template: Option<String>,
}

fn load(session: &Session, args: &SourceArgs) -> Result<(Loaded, Vec<String>), CliError> {
    let Input { sources, options, secrets, .. } = input(session, args)?;
    Ok((compose::load(&sources, &options)?, secrets))
}

fn input(session: &Session, args: &SourceArgs) -> Result<Input, CliError> {
    let files = session.all_files(&args.file);
    let global = &session.global;
    let env = surroundings(session, &files)?;
    let (template, services) = meaning(session, &files, &env, args);
    let mut options = LoadOptions {
        env,
        project_name: global.project.clone().filter(|name| !name.is_empty()),
        working_dir: global.project_directory.clone(),
        profiles: global.profiles.clone(),
        services: services.to_vec(),
        ..LoadOptions::default()
    };
    if let Some(name) = template {
        let template = template::find(name, &session.template_dirs())?;
        let rendered = template.render(&args.set)?;
        let source = Source { name: format!("{name} (rendered)"), text: rendered.text, path: None };
        options.project_name.get_or_insert_with(|| name.clone());
        options.working_dir = options.working_dir.or_else(|| std::env::current_dir().ok());
        let template = Some(name.clone());
        return Ok(Input { sources: vec![source], options, secrets: rendered.secrets, template });
    }
    if !args.set.is_empty() {
        return Err(CliError::input("--set goes with a template")
            .hint("variables of a Compose file come from the environment or .env"));
    }
    let files = if files.is_empty() { found_files(session, &options.env)? } else { files };
    let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
    if files.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(CliError::input("standard input can be read only once").hint("give -f - once"));
    }
    let read = |path: &PathBuf| if is_stdin(path) { Source::read_stdin() } else { Source::read(path) };
    let sources = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(Input { sources, options, secrets: Vec::new(), template: None })
}

/// What names on the command line mean: services of the files that are given or found, or else a template and services
/// of it. A file that is given has services only; one that is found gives way to a template, unless it has a service of
/// that name.
fn meaning<'a>(
    session: &Session,
    files: &[PathBuf],
    env: &Environment,
    args: &'a SourceArgs,
) -> (Option<&'a String>, &'a [String]) {
    let names = args.names.as_slice();
    if let Some(template) = &args.template {
        return (Some(template), names);
    }
    let Some((first, rest)) = names.split_first() else { return (None, names) };
    if !files.is_empty() {
        return (None, names);
    }
    let is_template = template::find(first, &session.template_dirs()).is_ok();
    match found_files(session, env) {
        Err(_) => (Some(first), rest),
        Ok(_) if !is_template => (None, names),
        Ok(found) if has_service(&found, env, first) => (None, names),
        Ok(_) => (Some(first), rest),
    }
}

/// Whether the files have a service of this name. Not if they can't be read: what is wrong is said when they are asked for.
fn has_service(files: &[PathBuf], env: &Environment, name: &str) -> bool {
    let sources = files.iter().map(|file| Source::read(file)).collect::<Result<Vec<_>, _>>();
    let options = LoadOptions { env: env.clone(), describes_only: true, ..LoadOptions::default() };
    let loaded = sources.and_then(|sources| compose::load(&sources, &options));
    loaded.is_ok_and(|loaded| loaded.project.all_services().any(|own| own.as_str() == name))
}

/// The services that are named, which must be there.
fn services_named(session: &Session, loaded: &Loaded, names: &[String]) -> Result<Vec<ServiceName>, CliError> {
    let find = |name: &String| loaded.project.services.keys().find(|own| own.as_str() == name).cloned();
    names.iter().map(|name| find(name).ok_or_else(|| no_service(session, loaded, name))).collect()
}

/// The name may be meant for a template.
fn no_service(session: &Session, loaded: &Loaded, name: &str) -> CliError {
    let services: Vec<&str> = loaded.project.all_services().map(ServiceName::as_str).collect();
    let (templates, _) = template::list(&session.template_dirs());
    let templates: Vec<&str> = templates.iter().map(|template| template.name.as_str()).collect();
    let hint = if templates.contains(&name) {
        format!("{name} is a template: leave -f out")
    } else if let Some(closest) = compose::suggest::closest(name, services.iter().chain(&templates).copied()) {
        format!("did you mean {closest:?}?")
    } else {
        format!("the services are {}, the templates {}", services.join(", "), templates.join(", "))
    };
    CliError::input(format!("there is no service {name:?}")).hint(hint)
}

/// The contents of all secrets of a cluster that was started from these files, as far as they can be read now.
pub(super) fn secrets_of(session: &Session, files: &[PathBuf]) -> Vec<String> {
    let args = SourceArgs { file: files.to_vec(), ..SourceArgs::default() };
    let session = Session { files: Vec::new(), ..session.clone() };
    let loaded = if files.is_empty() { None } else { load(&session, &args).ok() };
    // Whether the engine is local makes no difference to what is secret.
    let options = ResolveOptions { engine_is_local: true, ..ResolveOptions::default() };
    let resolved = loaded.and_then(|(loaded, _)| resolve(&loaded, &options).ok());
    let components = resolved.into_iter().flat_map(|(cluster, _)| cluster.components.into_values());
    components.flat_map(|component| component.secrets).collect()
}

/// The environment. A variable that isn't Unicode can't stand in a Compose file: it is left out.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))).collect()
}

fn working_directory() -> Result<PathBuf, CliError> {
    std::env::current_dir().map_err(|error| CliError::input(format!("the working directory can't be read: {error}")))
}

/// What files may refer to. As for docker compose, the `.env` beside the first of them counts; the one here only where
/// they are looked for from here.
fn surroundings(session: &Session, files: &[PathBuf]) -> Result<Environment, CliError> {
    let here = working_directory()?;
    let env = Environment::new(environment(), &here, &session.global.env_files);
    Ok(match &session.global.project_directory {
        Some(directory) => env.with_dot_env(&here.join(directory)),
        None if files.is_empty() => env.with_dot_env(&here),
        None => env,
    })
}

/// The files of `COMPOSE_FILE`, or the one here or in a folder above; in the project's directory, if that is given.
fn found_files(session: &Session, env: &Environment) -> Result<Vec<PathBuf>, CliError> {
    let named = compose::named_files(env);
    if !named.is_empty() {
        return Ok(named);
    }
    let here = working_directory()?;
    let from = session.global.project_directory.as_ref().map_or_else(|| here.clone(), |directory| here.join(directory));
    let found = compose::find_file(&from).ok_or_else(|| {
        CliError::input("there is no compose.yaml here or in a folder above")
            .hint("-f FILE, or the name of a template: convoke templates lists them")
    })?;
    // Messages name them as short as one would type them.
    Ok(found.into_iter().map(|file| file.strip_prefix(&here).map(PathBuf::from).unwrap_or(file)).collect())
}

/// The cluster's name by the files given, or by those in the working directory; None where there are none.
pub(super) fn name_from_files(session: &Session, files: &[PathBuf]) -> Result<Option<ClusterName>, CliError> {
    if files.is_empty() && !is_found(session)? {
        return Ok(None);
    }
    let args = SourceArgs { file: files.to_vec(), ..SourceArgs::default() };
    let session = Session { files: Vec::new(), ..session.clone() };
    load(&session, &args).map(|(loaded, _)| Some(loaded.project.name))
}

fn parse_scale(pairs: &[(String, String)]) -> Result<BTreeMap<ServiceName, u32>, CliError> {
    let parse = |(service, number): &(String, String)| {
        let service =
            ServiceName::new(service.clone()).map_err(|error| CliError::input(format!("--scale: {error}")))?;
        let number = number.parse().map_err(|_| {
            CliError::input(format!("--scale {service}={number}: {number:?} is not a number of containers"))
        })?;
        Ok((service, number))
    };
    pairs.iter().map(parse).collect()
}
