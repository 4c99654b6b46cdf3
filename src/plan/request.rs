//! What the engine is asked to create: labels, attachments, addresses.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::addresses::Addressing;
use crate::cluster::{
    Cluster, Component, GateCondition, HealthCheck, Hook, Network, NetworkAttachment, StartMode, Stored, Volume,
};
use crate::engine::request::joined_paths;
use crate::engine::{Attach, CreateContainer, CreateVolume, ImageInfo, ObservedContainer, ObservedNetwork, labels};
use crate::mask::Masker;
use crate::names::NetworkKey;

/// What all containers of a run have in common.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Identifier of the run.
    pub run: &'a str,
    /// Where ports without an address are published.
    pub publish_address: IpAddr,
    /// The networks as they are.
    pub networks: &'a BTreeMap<NetworkKey, ObservedNetwork>,
    /// Addresses and hosts entries.
    pub addressing: &'a Addressing,
}

/// The labels that make an object ours, and visible to `docker compose`.
#[must_use]
pub fn base_labels(cluster: &Cluster, run: &str) -> BTreeMap<String, String> {
    let version = env!("CARGO_PKG_VERSION");
    [
        (labels::CLUSTER, cluster.name.as_str()),
        (labels::VERSION, version),
        (labels::RUN, run),
        (labels::COMPOSE_PROJECT, cluster.name.as_str()),
        (labels::COMPOSE_VERSION, version),
    ]
    .into_iter()
    .chain(cluster.ephemeral.as_deref().map(|owner| (labels::EPHEMERAL, owner)))
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// The labels of an image that is built: Compose's only, except the service's, which the caller adds. Every container
/// made from an image inherits its labels, so one of ours would make strangers' containers ours, and `down` remove them.
#[must_use]
pub fn image_labels(cluster: &Cluster) -> BTreeMap<String, String> {
    [(labels::COMPOSE_PROJECT, cluster.name.as_str()), (labels::COMPOSE_VERSION, env!("CARGO_PKG_VERSION"))]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The labels of a network.
#[must_use]
pub fn network_labels(cluster: &Cluster, run: &str, network: &Network) -> BTreeMap<String, String> {
    let mut all = network.labels.clone();
    all.extend(base_labels(cluster, run));
    all.insert(labels::COMPOSE_NETWORK.into(), network.key.to_string());
    all
}

/// A volume to make.
#[must_use]
pub fn volume(cluster: &Cluster, run: &str, volume: &Volume) -> CreateVolume {
    let mut all = volume.labels.clone();
    all.extend(base_labels(cluster, run));
    all.insert(labels::COMPOSE_VOLUME.into(), volume.key.to_string());
    CreateVolume {
        name: volume.engine_name.clone(),
        labels: all,
        driver: volume.driver.clone(),
        driver_opts: volume.driver_opts.clone(),
    }
}

/// The cluster's volumes by key; of external ones just the name.
fn volumes(context: &Context<'_>) -> BTreeMap<String, CreateVolume> {
    let name_only = |name: &String| CreateVolume {
        name: name.clone(),
        labels: BTreeMap::new(),
        driver: None,
        driver_opts: BTreeMap::new(),
    };
    let request = |one: &Volume| match one.external {
        true => name_only(&one.engine_name),
        false => volume(context.cluster, context.run, one),
    };
    context.cluster.volumes.iter().map(|(key, one)| (key.to_string(), request(one))).collect()
}

/// A container to make. `name` differs from the component's own while it replaces another; `replaces` is that other.
#[must_use]
pub fn container(
    context: &Context<'_>,
    component: &Component,
    image: &ImageInfo,
    name: String,
    replaces: Option<&ObservedContainer>,
) -> CreateContainer {
    let hosts = context.addressing.hosts.get(&component.name).cloned().unwrap_or_default();
    CreateContainer {
        component: component.name.clone(),
        name,
        image: component.image.clone(),
        spec: component.spec.clone(),
        health: health_of_file(component, image.health.as_ref()),
        health_disabled: component.probes.health_disabled,
        labels: container_labels(context, component, image),
        networks: attachments(context, component),
        volumes: volumes(context),
        hosts,
        publish_address: context.publish_address,
        carried_volumes: replaces.map(|old| old.anonymous_volumes.clone()).unwrap_or_default(),
        files: component.files.clone(),
        owners: component.owners.clone(),
        one_off: component.one_off.clone(),
    }
}

/// What the label keeps: the gates that hold in this cluster and the health check in force, so that who reads it needs
/// neither the start mode nor the image. Whoever lists containers can read it, so no secret stands in it.
fn stored(cluster: &Cluster, component: &Component, image: &ImageInfo) -> Stored {
    let mut stored = Stored::of(component);
    stored.probes.health = health_in_force(component, image.health.as_ref()).map(Cow::into_owned);
    let masker = Masker::new(&component.secrets);
    stored.probes = stored.probes.without(&masker);
    let is_open = |hook: &Hook| !serde_json::to_string(hook).is_ok_and(|text| masker.finds(&text));
    stored.hooks.post_start.retain(is_open);
    stored.hooks.pre_stop.retain(is_open);
    if cluster.start == StartMode::Together {
        let (gates, waits) = stored.gates.into_iter().partition(|gate| gate.condition == GateCondition::Completed);
        stored.gates = gates;
        stored.needs.extend(waits.into_iter().map(|gate: crate::cluster::Gate| gate.on));
    }
    stored
}

fn container_labels(context: &Context<'_>, component: &Component, image: &ImageInfo) -> BTreeMap<String, String> {
    let cluster = context.cluster;
    let mut all = component.spec.labels.clone();
    all.extend(base_labels(cluster, context.run));
    let stored = serde_json::to_string(&stored(context.cluster, component, image))
        .expect("probes serialise to JSON: all keys are strings");
    for (key, value) in [
        (labels::CONTAINER, component.container_name.clone()),
        (labels::COMPONENT, component.name.to_string()),
        (labels::CONFIG_HASH, component.config_hash.clone()),
        (labels::CONFIG_PARTS, component.config_parts.clone()),
        (labels::IMAGE_REFERENCE, component.image.clone()),
        (labels::PROBES, stored),
        (labels::COMPOSE_SERVICE, component.service.to_string()),
        (labels::COMPOSE_CONFIG_HASH, component.config_hash.clone()),
        (labels::COMPOSE_IMAGE, image.id.clone()),
        (labels::COMPOSE_DEPENDS_ON, component.depends_on_label.clone()),
        (labels::COMPOSE_WORKING_DIR, cluster.working_dir.display().to_string()),
        (labels::COMPOSE_CONFIG_FILES, joined_paths(&cluster.config_files)),
    ] {
        all.insert(key.to_owned(), value);
    }
    // As docker compose has it: one-off containers aren't numbered.
    let (which, value, is_one_off) = match &component.one_off {
        Some(one_off) => (labels::COMPOSE_SLUG, one_off.slug.clone(), "True"),
        None => (labels::COMPOSE_NUMBER, component.number.to_string(), "False"),
    };
    all.insert(which.to_owned(), value);
    all.insert(labels::COMPOSE_ONEOFF.to_owned(), is_one_off.to_owned());
    all
}

/// Where the component belongs.
pub(super) fn attachments(context: &Context<'_>, component: &Component) -> Vec<Attach> {
    let addresses = context.addressing.addresses.get(&component.name);
    let attach = |(key, at): (&NetworkKey, &NetworkAttachment)| {
        let address = addresses.and_then(|all| all.get(key)).copied();
        Some(attachment(context.cluster, component, key, at, context.networks.get(key)?, address))
    };
    // The first is the one that the engine takes for the container's own.
    let mut networks: Vec<(&NetworkKey, &NetworkAttachment)> = component.spec.networks.iter().collect();
    networks.sort_by_key(|(_, at)| std::cmp::Reverse(at.settings.priority.unwrap_or(0)));
    networks.into_iter().filter_map(attach).collect()
}

/// A component's place on one network, under all names that it has there.
#[must_use]
pub fn attachment(
    cluster: &Cluster,
    component: &Component,
    key: &NetworkKey,
    attachment: &NetworkAttachment,
    network: &ObservedNetwork,
    address: Option<Ipv4Addr>,
) -> Attach {
    let mut aliases: Vec<String> =
        component.is_under_its_service().then(|| component.service.to_string()).into_iter().collect();
    for alias in [component.name.to_string(), component.container_name.clone()].iter().chain(&attachment.aliases) {
        if !aliases.contains(alias) {
            aliases.push(alias.clone());
        }
    }
    Attach {
        settings: attachment.settings.clone(),
        key: key.clone(),
        network_id: network.id.clone(),
        network_name: network.name.clone(),
        address,
        aliases,
        fail_fast: cluster.networks.get(key).is_some_and(Network::is_addressed),
    }
}

/// The health check in force: the file's, or else the image's, unless switched off.
#[must_use]
pub fn health_in_force<'a>(
    component: &'a Component,
    of_image: Option<&'a HealthCheck>,
) -> Option<Cow<'a, HealthCheck>> {
    let probes = &component.probes;
    match (&probes.health, &probes.health_times, of_image) {
        _ if probes.health_disabled => None,
        (Some(own), ..) => Some(Cow::Borrowed(own)),
        (None, Some(times), Some(of_image)) => Some(Cow::Owned(times.of(of_image))),
        (None, _, of_image) => of_image.map(Cow::Borrowed),
    }
}

/// What the engine is told of it: nothing of a check that is the image's as it is.
fn health_of_file(component: &Component, of_image: Option<&HealthCheck>) -> Option<HealthCheck> {
    let says = component.probes.health.is_some() || component.probes.health_times.is_some();
    health_in_force(component, of_image).filter(|_| says).map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{HealthTimes, sample};

    #[test]
    fn an_image_has_no_label_that_would_make_its_containers_ours() {
        let built = image_labels(&sample::cluster([]));
        assert!(built.keys().all(|key| !key.starts_with("convoke.")), "{built:?}");
        assert_eq!(built[labels::COMPOSE_PROJECT], "test");
    }

    /// Untouched, the image's own stays the engine's to read.
    #[test]
    fn the_engine_is_told_the_image_s_check_only_with_other_times() {
        let mut component = sample::component("web", &["default"]);
        let seconds = std::time::Duration::from_secs;
        let of_image = HealthCheck {
            command: vec!["check".into()],
            shell: false,
            interval: seconds(30),
            timeout: seconds(2),
            retries: 7,
            start_period: seconds(0),
            start_interval: None,
        };
        assert_eq!(health_of_file(&component, Some(&of_image)), None);
        let times = HealthTimes { interval: Some(seconds(5)), ..HealthTimes::default() };
        component.probes.health_times = Some(times);
        let told = HealthCheck { interval: seconds(5), ..of_image.clone() };
        assert_eq!(health_of_file(&component, Some(&of_image)), Some(told));
        assert_eq!(health_of_file(&component, None), None);
    }
}
