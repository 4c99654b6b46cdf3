//! A cluster put together from what its containers' labels say, for commands that run without the file.
//!
//! What labels don't keep isn't known: environment, mounts, the restart policy, image references. Such a cluster can be
//! started, asked and stopped; nothing can be created from it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::{addresses, request};
use crate::cluster::{
    Cluster, Component, ContainerSpec, Network, NetworkAttachment, Probe, ProbeAction, StartMode, Stored, Volume,
};
use crate::engine::{Attach, Observed, ObservedContainer, ObservedNetwork, ObservedVolume, Status, labels};
use crate::names::{ClusterName, ComponentName, NetworkKey, VolumeKey};

/// The engine's own health check is read, not run: the limit is that of an inspection.
const INSPECTION_LIMIT: Duration = Duration::from_secs(5);

/// Rebuilds the cluster `name` from the labels of its containers, networks and volumes.
///
/// A component with two containers (a replacement that was cut off) is what its running container says, else the one
/// that has the right name, else the newest; one that isn't complete has no say beside another. A label that can't be
/// read counts as absent.
#[must_use]
pub fn from_labels(name: &ClusterName, observed: &Observed) -> Cluster {
    let networks: BTreeMap<NetworkKey, Network> = observed.networks.iter().filter_map(network).collect();
    let mut best: BTreeMap<&ComponentName, &ObservedContainer> = BTreeMap::new();
    for container in &observed.containers {
        best.entry(&container.component)
            .and_modify(|other| {
                if rank(container) < rank(other) {
                    *other = container;
                }
            })
            .or_insert(container);
    }
    let components = best.into_iter().map(|(name, at)| (name.clone(), component(name, at, &networks))).collect();
    let newest = observed.containers.iter().max_by_key(|container| container.created_at);
    let label = |key: &str| newest.and_then(|container| container.label(key)).unwrap_or_default();
    Cluster {
        name: name.clone(),
        working_dir: PathBuf::from(label(labels::COMPOSE_WORKING_DIR)),
        config_files: label(labels::COMPOSE_CONFIG_FILES)
            .split(',')
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .collect(),
        // The stored gates are those that hold: see `request::container`.
        start: StartMode::Gated,
        components,
        networks,
        volumes: observed.volumes.iter().filter_map(volume).collect(),
        bases: BTreeMap::new(),
        ephemeral: None,
        switched_off: std::collections::BTreeSet::new(),
    }
}

/// The container that speaks for a component.
#[must_use]
pub fn spokesman<'o>(observed: &'o Observed, component: &ComponentName) -> Option<&'o ObservedContainer> {
    observed.containers.iter().filter(|container| container.component == *component).min_by_key(|at| rank(at))
}

/// Where each component belongs by its labels and, for its addresses, by its peers' hosts entries. Networks that the
/// cluster doesn't make itself aren't known.
#[must_use]
pub fn homes(cluster: &Cluster, observed: &Observed) -> BTreeMap<ComponentName, Vec<Attach>> {
    let of_key = |key: &NetworkKey, network: &Network| {
        let found = observed.networks.iter().find(|at| at.name == network.engine_name)?;
        Some((key.clone(), found.clone()))
    };
    let networks = cluster.networks.iter().filter_map(|(key, network)| of_key(key, network)).collect();
    let addressing = addresses::assign(cluster, &networks, observed);
    let context = request::Context {
        cluster,
        run: "",
        publish_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        networks: &networks,
        addressing: &addressing,
    };
    let home = |component: &Component| (component.name.clone(), request::attachments(&context, component));
    cluster.components.values().map(home).collect()
}

/// Which container of a component speaks for it: the lowest.
fn rank(container: &ObservedContainer) -> impl Ord + use<> {
    let running = matches!(container.state.status, Status::Running | Status::Paused | Status::Restarting);
    // Without a hash it isn't complete: a run was killed while it made it.
    let is_complete = container.label(labels::CONFIG_HASH).is_some();
    (!is_complete, !running, own_name(container) != container.name, Reverse(container.created_at))
}

/// The component's own container name: that of a replacement in progress differs.
fn own_name(container: &ObservedContainer) -> &str {
    container.label(labels::CONTAINER).unwrap_or_else(|| labels::own_name(&container.name))
}

fn component(
    name: &ComponentName,
    container: &ObservedContainer,
    networks: &BTreeMap<NetworkKey, Network>,
) -> Component {
    let stored: Stored =
        container.label(labels::PROBES).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut probes = stored.probes;
    if probes.ready.is_none() && probes.health.is_none() && !probes.health_disabled && container.state.health.is_some()
    {
        // The image has a health check, and what it runs isn't known here: the engine's verdict is.
        probes.ready = Some(Probe { action: ProbeAction::EngineHealth, timeout: INSPECTION_LIMIT });
    }
    let text = |key: &str| container.label(key).unwrap_or_default();
    let attached = container.networks.keys().filter_map(|engine_name| {
        let key = networks.values().find(|network| network.engine_name == *engine_name)?.key.clone();
        Some((key, NetworkAttachment::default()))
    });
    // One that it was taken off is known from its label only.
    let belongs = stored.networks.into_iter().filter(|(key, _)| networks.contains_key(key));
    Component {
        name: name.clone(),
        service: text(labels::COMPOSE_SERVICE).parse().unwrap_or_else(|_| service_of(name)),
        number: text(labels::COMPOSE_NUMBER).parse().unwrap_or(1),
        container_name: own_name(container).to_owned(),
        image: container.image_id.clone(),
        build: None,
        spec: ContainerSpec {
            networks: attached.chain(belongs).collect(),
            network_mode: container.host_network.then(|| "host".to_owned()),
            ports: container.ports.clone(),
            stop_grace_period: stored.stop_grace,
            ..ContainerSpec::default()
        },
        files: Vec::new(),
        owners: Vec::new(),
        probes,
        needs: stored.needs,
        gates: stored.gates,
        restarts_early_exit: stored.restarts_early_exit,
        completes: stored.completes,
        depends_on_label: text(labels::COMPOSE_DEPENDS_ON).to_owned(),
        boot_hint: None,
        one_off: None,
        recreate: Default::default(),
        pull: None,
        hooks: stored.hooks,
        connect: None,
        config_hash: text(labels::CONFIG_HASH).to_owned(),
        config_parts: text(labels::CONFIG_PARTS).to_owned(),
        secrets: Vec::new(),
    }
}

/// The rule for both kinds of name is the same, so a component's name is a service's name too.
fn service_of(name: &ComponentName) -> crate::names::ServiceName {
    name.as_str().parse().expect("component names and service names have one rule")
}

fn network(observed: &ObservedNetwork) -> Option<(NetworkKey, Network)> {
    let key: NetworkKey = observed.labels.get(labels::COMPOSE_NETWORK)?.parse().ok()?;
    let network = Network {
        key: key.clone(),
        engine_name: observed.name.clone(),
        external: false,
        driver: Some(observed.driver.clone()),
        driver_opts: BTreeMap::new(),
        internal: false,
        attachable: false,
        labels: BTreeMap::new(),
        subnet: observed.subnet.filter(|_| observed.subnet_configured).map(|subnet| subnet.to_string()),
        gateway: observed.gateway.map(|gateway| gateway.to_string()),
        ipam: crate::cluster::Ipam::default(),
    };
    Some((key, network))
}

fn volume(observed: &ObservedVolume) -> Option<(VolumeKey, Volume)> {
    let key: VolumeKey = observed.labels.get(labels::COMPOSE_VOLUME)?.parse().ok()?;
    let volume = Volume {
        key: key.clone(),
        engine_name: observed.name.clone(),
        external: false,
        driver: None,
        driver_opts: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    Some((key, volume))
}
