//! `convoke config`: the project in Compose's canonical form, or with `--resolved` the cluster that `up` would start.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::args::{Config, OutputFormat};
use super::error::CliError;
use super::session::Session;
use super::source::{self, Project};
use super::watchers::masker;
use crate::cluster::{Cluster, Component};
use crate::compose::Reference;
use crate::mask::Masker;
use crate::plan::gates;

pub(super) async fn run(session: &Session, args: Config) -> Result<u8, CliError> {
    if args.resolved {
        return resolved(session, args).await;
    }
    if args.variables || args.no_interpolate {
        return raw(session, &args);
    }
    let project = source::project(session, &args.source)?;
    if session.global.quiet && args.output.is_none() && args.hash.is_none() {
        // The question was whether there are problems. Taking a large project apart takes a twentieth of the time, and the
        // program ends here.
        std::mem::forget(project);
        return Ok(0);
    }
    let canonical = project.loaded.canonical(!args.no_path_resolution);
    let text = if args.services {
        lines(canonical.keys("services"))
    } else if args.networks {
        lines(canonical.keys("networks"))
    } else if args.volumes {
        lines(canonical.keys("volumes"))
    } else if args.list_profiles {
        lines(project.loaded.project.profiles().into_iter())
    } else if args.images {
        images(&project)
    } else if let Some(services) = &args.hash {
        hashes(&project, services)?
    } else if session.global.is_json() {
        pretty(&canonical.json())?
    } else {
        canonical.yaml()
    };
    // Parameters of a template may be secrets; those of `secrets:` aren't in the canonical form.
    print(session, args.output.as_deref(), &Masker::new(&project.secrets).mask(text.trim_end()))
}

/// What needs no variables: their list, or the form with references left in.
fn raw(session: &Session, args: &Config) -> Result<u8, CliError> {
    let (canonical, references, secrets) = source::raw(session, &args.source, !args.no_path_resolution)?;
    let is_json = session.global.is_json();
    let text = match (args.variables, is_json) {
        (true, true) => pretty(&references)?,
        (true, false) => variables(&references),
        (false, true) => pretty(&canonical.json())?,
        (false, false) => canonical.yaml(),
    };
    print(session, args.output.as_deref(), &Masker::new(&secrets).mask(text.trim_end()))
}

/// The cluster as `up` would start it.
async fn resolved(session: &Session, args: Config) -> Result<u8, CliError> {
    // Whether the engine is local decides how files get in; without one, a local one is assumed.
    let is_local = match session.connect().await {
        Ok(engine) => engine.known_info().is_local,
        Err(_) => true,
    };
    let cluster = source::describe(session, &args.source, &[], is_local)?.cluster;
    let text = match session.global.format {
        Some(OutputFormat::Yaml) => {
            return Err(CliError::input("--resolved has no YAML form").hint("--format json, or none for people"));
        }
        _ if session.global.is_json() => pretty(&cluster)?,
        _ => render(&cluster),
    };
    print(session, args.output.as_deref(), &masker(&cluster).mask(text.trim_end()))
}

fn pretty(value: &impl serde::Serialize) -> Result<String, CliError> {
    serde_json::to_string_pretty(value).map_err(|error| CliError::failed(error.to_string()))
}

fn print(session: &Session, output: Option<&Path>, text: &str) -> Result<u8, CliError> {
    match output {
        Some(path) => std::fs::write(path, format!("{text}\n"))
            .map_err(|error| CliError::failed(format!("{} can't be written: {error}", path.display())))?,
        None if session.global.quiet => {}
        None if text.is_empty() => {}
        None => session.printer.result(text),
    }
    Ok(0)
}

fn lines<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join("\n")
}

/// The image of every service, each once.
fn images(project: &Project) -> String {
    let mut images: Vec<&str> = project.cluster.components.values().map(|one| one.image.as_str()).collect();
    images.sort_unstable();
    images.dedup();
    images.join("\n")
}

/// `service hash` for the services named, separated by commas; `*` for all.
fn hashes(project: &Project, services: &str) -> Result<String, CliError> {
    let wanted: Vec<&str> = services.split(',').map(str::trim).collect();
    let mut hashes = std::collections::BTreeMap::new();
    for component in project.cluster.components.values() {
        hashes.entry(component.service.as_str()).or_insert(component.config_hash.as_str());
    }
    if let Some(unknown) = wanted.iter().find(|name| **name != "*" && !hashes.contains_key(**name)) {
        let known: Vec<&str> = hashes.keys().copied().collect();
        let error = CliError::input(format!("--hash: there is no service {unknown:?}"));
        return Err(error.hint(format!("one of {}, or \"*\" for all", known.join(", "))));
    }
    let is_wanted = |name: &str| wanted.iter().any(|one| *one == "*" || *one == name);
    let lines = hashes.iter().filter(|(name, _)| is_wanted(name)).map(|(name, hash)| format!("{name} {hash}"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

fn variables(references: &[Reference]) -> String {
    let heads = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"].map(str::to_owned);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let row = |one: &Reference| {
        let required = if one.required { "yes" } else { "no" };
        [one.name.clone(), required.to_owned(), text(&one.default), text(&one.alternate)]
    };
    let rows: Vec<[String; 4]> = std::iter::once(heads).chain(references.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[String; 4]| {
        let [name, required, default, alternate] = row;
        let line = format!("{name:0$}  {required:1$}  {default:2$}  {alternate}", widths[0], widths[1], widths[2]);
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The cluster for people: a paragraph a component.
fn render(cluster: &Cluster) -> String {
    let mut out = String::new();
    let number = cluster.components.len();
    let noun = if number == 1 { "component" } else { "components" };
    // Writing to a String can't fail.
    _ = writeln!(out, "cluster {}: {number} {noun}\n", cluster.name);
    for component in cluster.components.values() {
        for (index, (key, value)) in facts(cluster, component).into_iter().enumerate() {
            let name = if index == 0 { component.name.as_str() } else { "" };
            _ = writeln!(out, "{name:20} {key:10} {value}");
        }
        out.push('\n');
    }
    out
}

fn facts(cluster: &Cluster, component: &Component) -> Vec<(&'static str, String)> {
    let mut facts = vec![("image", component.image.clone())];
    if let Some(build) = &component.build {
        facts.push(("build", build.place()));
    }
    for key in component.spec.networks.keys() {
        let addressed = cluster.networks.get(key).is_some_and(crate::cluster::Network::is_addressed);
        let way = if addressed { "fixed address, names in the hosts file" } else { "names by DNS only" };
        facts.push(("network", format!("{key}: {way}")));
    }
    facts.extend(component.spec.network_mode.iter().map(|mode| ("network", format!("{mode}: names by DNS only"))));
    for port in &component.spec.ports {
        let host = match (port.host_ip, port.host_port) {
            (_, None) => "a free port".to_owned(),
            (None, Some(port)) => port.to_string(),
            (Some(ip), Some(port)) => SocketAddr::new(ip, port).to_string(),
        };
        let protocol = port.protocol.as_str();
        facts.push(("port", format!("{host} -> {}/{protocol}", port.container_port)));
    }
    let probes = &component.probes;
    facts.extend(probes.live.iter().map(|probe| ("live", probe.action.describe())));
    let health = probes.health.as_ref().map(|health| health.as_probe().action.describe());
    let ready = probes.ready.as_ref().map(|probe| probe.action.describe()).or(health);
    facts.push(("ready", ready.unwrap_or_else(|| "the image's health check, or running for 1 s".into())));
    facts.extend(component.gates.iter().map(|gate| ("gate", gates::describe(gate))));
    if !component.needs.is_empty() {
        let needs: Vec<&str> = component.needs.iter().map(crate::names::ComponentName::as_str).collect();
        facts.push(("needs", format!("{} (holds nothing back)", needs.join(", "))));
    }
    facts
}
