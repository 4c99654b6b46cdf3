//! The resolver's main line: options, what all parts look at, and putting components together.

use std::collections::BTreeMap;

use super::depends::{self, Waits};
use super::roster::{Member, Roster};
use super::service::Common;
use super::{bases, mounts, network, ports, service};
use crate::cluster::hash::{Digests, sha256_hex};
use crate::cluster::{Cluster, Component, Gate, StartMode};
use crate::compose::{Diagnostic, Diagnostics, Loaded, Paths, Project, Service, Start};
use crate::mask::Masker;
use crate::names::{ComponentName, ServiceName};

/// What the file alone doesn't say.
#[derive(Debug, Clone, Default)]
pub struct ResolveOptions {
    /// The engine sees the client's files: it runs on this machine.
    pub engine_is_local: bool,
    /// Numbers of containers that override the file's.
    pub scale: BTreeMap<ServiceName, u32>,
    /// Nothing will be started: what a start needs, such as files, isn't looked for.
    pub describes_only: bool,
    /// Secrets that stand in the text of the file: values of a template's parameters.
    pub secrets: Vec<String>,
    /// Why images are built by the engine's classic builder, if they are.
    pub no_buildx: Option<String>,
}

/// What all parts of the resolver look at.
pub(super) struct Context<'a> {
    pub(super) project: &'a Project,
    pub(super) paths: Paths,
    /// For configs and secrets with `environment`.
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) options: &'a ResolveOptions,
}

impl Context<'_> {
    /// A service of this name, one that is switched off too.
    pub(super) fn find(&self, name: &str) -> Option<(&ServiceName, &Service)> {
        let Project { services, switched_off, .. } = self.project;
        services.get_key_value(name).or_else(|| switched_off.get_key_value(name))
    }
}

/// Resolves a loaded project to the cluster that should run, with warnings.
///
/// # Errors
/// All problems at once, warnings included, if one of them is an error.
pub fn resolve(loaded: &Loaded, options: &ResolveOptions) -> Result<(Cluster, Diagnostics), Diagnostics> {
    let project = &loaded.project;
    let home = loaded.variables.get("HOME").filter(|home| !home.is_empty()).map(Into::into);
    let paths = Paths { working_dir: loaded.working_dir.clone(), home };
    let context = Context { project, paths, variables: &loaded.variables, options };
    let mut problems = Diagnostics::new();
    let roster = Roster::new(project, &options.scale, &mut problems);
    let components = components(&context, &roster, &mut problems);
    ports::check(&context, &roster, &mut problems);
    network::check_addresses(project, |name| roster.of(name.as_str()).len(), &mut problems);
    let cluster = Cluster {
        name: project.name.clone(),
        working_dir: loaded.working_dir.clone(),
        config_files: loaded.files.clone(),
        start: match project.start {
            Start::Gated => StartMode::Gated,
            Start::Together => StartMode::Together,
        },
        networks: network::used(project, components.values().flat_map(|component| component.spec.networks.keys())),
        volumes: mounts::volumes(project, components.values().flat_map(|component| &component.spec.mounts)),
        bases: bases::resolve(&context, &mut problems),
        ephemeral: None,
        components,
        switched_off: project.switched_off.keys().cloned().collect(),
    };
    check_labels(&cluster, &mut problems);
    problems.unless_errors(cluster)
}

/// A secret shorter than this stands in many a label by chance.
const SHORTEST_SECRET: usize = 4;

/// A label is read by everybody who lists containers, networks and volumes.
fn check_labels(cluster: &Cluster, problems: &mut Diagnostics) {
    let masker = Masker::new(cluster.secrets().filter(|secret| secret.len() >= SHORTEST_SECRET));
    let of_components = cluster.components.values().map(|component| (component.name.as_str(), &component.spec.labels));
    let of_networks = cluster.networks.values().map(|network| (network.key.as_str(), &network.labels));
    let of_volumes = cluster.volumes.values().map(|volume| (volume.key.as_str(), &volume.labels));
    for (owner, labels) in of_components.chain(of_networks).chain(of_volumes) {
        for (key, _) in labels.iter().filter(|(key, value)| masker.finds(key) || masker.finds(value)) {
            let message = format!("the label {} of \"{owner}\" would show a secret", masker.mask(key));
            let hint = "take the secret out of the label, or choose one that is no common word";
            problems.push(Diagnostic::error_without_place(message).hint(hint));
        }
    }
}

fn components(
    context: &Context<'_>,
    roster: &Roster,
    problems: &mut Diagnostics,
) -> BTreeMap<ComponentName, Component> {
    let mut waits = depends::resolve(context.project, roster, problems);
    let mut components = BTreeMap::new();
    for (name, service) in &context.project.services {
        let common = service::resolve(context, name, service, problems);
        let waits = waits.remove(name).unwrap_or_default();
        check_completes(name, service, &waits, problems);
        let members = roster.of(name.as_str());
        for (index, member) in members.iter().enumerate() {
            let mut component = component(name, service, member, &common, &waits);
            component.secrets.extend(context.options.secrets.iter().cloned());
            component.spec.ports = ports::of_replica(service, index, members.len());
            component.spec.settings.links = links(service, roster);
            component.spec.network_mode = service.network_mode.as_ref().and_then(|mode| namespace(&mode.value, roster));
            let settings = &mut component.spec.settings;
            settings.pid = settings.pid.take().and_then(|mode| namespace(&mode, roster));
            settings.ipc = settings.ipc.take().and_then(|mode| namespace(&mode, roster));
            settings.volumes_from = volumes_from(service, roster);
            Digests { hash: component.config_hash, parts: component.config_parts } = Digests::of(&component);
            components.insert(member.name.clone(), component);
        }
    }
    follow_shared(&mut components);
    components
}

/// The containers that links name, by their name in the engine.
fn links(service: &Service, roster: &Roster) -> Vec<String> {
    let mut links = Vec::new();
    for link in &service.links {
        let (other, alias) = link.value.split_once(':').unwrap_or((&link.value, &link.value));
        links.extend(roster.of(other).iter().map(|member| format!("{}:{alias}", member.container_name)));
    }
    links.extend(service.external_links.iter().map(|link| match link.split_once(':') {
        Some(_) => link.clone(),
        None => format!("{link}:{link}"),
    }));
    links
}

/// The network, or another namespace, of another service is that of its first container.
fn namespace(mode: &str, roster: &Roster) -> Option<String> {
    let Some(other) = mode.strip_prefix("service:") else { return Some(mode.to_owned()) };
    // One that isn't there has been reported, as a dependency.
    Some(format!("container:{}", roster.of(other).first()?.container_name))
}

/// The containers whose volumes are mounted, by their name in the engine.
fn volumes_from(service: &Service, roster: &Roster) -> Vec<String> {
    let container = |from: &str| match from.strip_prefix("container:") {
        Some(foreign) => Some(foreign.to_owned()),
        None => {
            let (other, mode) = from.split_once(':').map_or((from, String::new()), |(s, mode)| (s, format!(":{mode}")));
            Some(format!("{}{mode}", roster.of(other).first()?.container_name))
        }
    };
    service.volumes_from.iter().filter_map(|from| container(&from.value)).collect()
}

/// A container that shares something of another's has to be replaced with it: that one's hash becomes a part of its own.
fn follow_shared(components: &mut BTreeMap<ComponentName, Component>) {
    let owners = |component: &Component| {
        let names: Vec<&str> = component.spec.owners().collect();
        components.values().filter(|other| names.contains(&other.container_name.as_str())).collect::<Vec<_>>()
    };
    let followed = |component: &Component| {
        let mut hash = component.config_hash.clone();
        let mut seen: Vec<&str> = Vec::new();
        let mut next = owners(component);
        while let Some(shared) = (!next.is_empty()).then(|| next.remove(0)) {
            // A circle, which could never start, ends here too.
            if seen.contains(&shared.name.as_str()) {
                continue;
            }
            seen.push(shared.name.as_str());
            hash = sha256_hex(format!("{hash} {}", shared.config_hash));
            next.extend(owners(shared));
        }
        hash
    };
    let hashes: Vec<String> = components.values().map(followed).collect();
    for (component, hash) in components.values_mut().zip(hashes) {
        if hash != component.config_hash {
            component.config_parts += &format!(",the container that it shares with:{}", &hash[..5]);
            component.config_hash = hash;
        }
    }
}

fn component(name: &ServiceName, service: &Service, member: &Member, common: &Common, waits: &Waits) -> Component {
    let others = |gate: &&Gate| gate.on != member.name;
    let mut needs = waits.needs.clone();
    needs.remove(&member.name);
    Component {
        name: member.name.clone(),
        service: name.clone(),
        number: member.number,
        container_name: member.container_name.clone(),
        image: common.image.clone(),
        build: common.build.clone(),
        spec: common.spec.clone(),
        files: common.files.clone(),
        owners: common.owners.clone(),
        probes: common.probes.clone(),
        needs,
        gates: waits.gates.iter().filter(others).cloned().collect(),
        restarts_early_exit: waits.restarts_early_exit,
        completes: waits.awaited || service.convoke.completes == Some(true),
        depends_on_label: waits.label.clone(),
        boot_hint: service.convoke.boot,
        one_off: None,
        recreate: Default::default(),
        pull: service.pull_policy,
        hooks: service.hooks.clone(),
        connect: service.convoke.connect.clone(),
        config_hash: String::new(),
        config_parts: String::new(),
        secrets: common.secrets.clone(),
    }
}

fn check_completes(name: &ServiceName, service: &Service, waits: &Waits, problems: &mut Diagnostics) {
    if waits.awaited && service.convoke.completes == Some(false) {
        let message = format!("\"{name}\" says completes: false, but another service waits for it to complete");
        problems.push(Diagnostic::error(&service.at, message).hint("remove completes, or the other's condition"));
    }
}
