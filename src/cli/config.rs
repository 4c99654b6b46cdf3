//! `convoke config`: the resolved cluster, as `up` would start it.

use std::fmt::Write;
use std::net::SocketAddr;

use super::args::Source;
use super::error::CliError;
use super::session::Session;
use super::source;
use super::watchers::masker;
use crate::cluster::{Cluster, Component};
use crate::plan::gates;

pub(super) async fn run(session: &Session, args: Source) -> Result<u8, CliError> {
    // Whether the engine is local decides how files get in; without one, a local one is assumed.
    let is_local = match session.connect().await {
        Ok(engine) => engine.known_info().is_local,
        Err(_) => true,
    };
    let cluster = source::describe(session, &args, &[], is_local)?.cluster;
    let text = if session.global.is_json() {
        serde_json::to_string_pretty(&cluster).map_err(|error| CliError::failed(error.to_string()))?
    } else {
        render(&cluster)
    };
    session.printer.result(masker(&cluster).mask(text.trim_end()));
    Ok(0)
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
        facts.push(("build", build.context.display().to_string()));
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
