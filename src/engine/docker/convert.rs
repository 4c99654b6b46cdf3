//! The engine's answers as our types. Pure; whatever is missing or odd in an answer becomes an empty value rather than
//! a failure, since one strange container must not hide the others.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerState as EngineState, ContainerStateStatusEnum, ContainerSummary,
    EndpointSettings, HealthConfig, HealthStatusEnum, HostConfig, ImageInspect, MountPoint, Network, PortMap,
};
use jiff::Timestamp;

use super::subnets::{self, AddressPool};
use crate::cluster::{HealthCheck, PortBinding, Protocol};
use crate::engine::{
    ContainerState, Endpoint, Foreign, Health, HealthStatus, ImageInfo, ObservedContainer, ObservedNetwork, Status,
    labels,
};
use crate::names::{ComponentName, ContainerId};

/// A container from its inspection; None if the answer lacks an id.
pub(super) fn container(inspected: ContainerInspectResponse) -> Option<ObservedContainer> {
    let id = ContainerId::new(inspected.id?).ok()?;
    let name = bare(&inspected.name.unwrap_or_default());
    let config = inspected.config.unwrap_or_default();
    let host = inspected.host_config.unwrap_or_default();
    let settings = inspected.network_settings.unwrap_or_default();
    let mut labels: BTreeMap<String, String> = config.labels.unwrap_or_default().into_iter().collect();
    if name.ends_with(labels::UNFINISHED) {
        // Convoke was killed before it was complete: without the hash no plan takes it for what the file wants.
        labels.remove(labels::CONFIG_HASH);
    }
    Some(ObservedContainer {
        component: component(&labels, &name)?,
        image_id: inspected.image.unwrap_or_default(),
        state: state(inspected.state.unwrap_or_default(), inspected.restart_count),
        networks: settings
            .networks
            .unwrap_or_default()
            .into_iter()
            .map(|(name, at)| (name, endpoint(&at, id.short())))
            .collect(),
        ports: ports(settings.ports.unwrap_or_default()),
        extra_hosts: host.extra_hosts.iter().flatten().filter_map(|line| hosts_entry(line)).collect(),
        anonymous_volumes: anonymous_volumes(inspected.mounts.unwrap_or_default(), &labels),
        created_at: time(inspected.created.as_deref()),
        host_network: host.network_mode.as_deref() == Some("host"),
        shares_network: host
            .network_mode
            .as_deref()
            .and_then(|mode| mode.strip_prefix("container:"))
            .map(ToOwned::to_owned),
        shares_more: shares_more(&host),
        lost_network: false,
        id,
        name,
        labels,
    })
}

fn shares_more(host: &HostConfig) -> bool {
    let is_another = |mode: &Option<String>| mode.as_deref().is_some_and(|mode| mode.starts_with("container:"));
    is_another(&host.pid_mode)
        || is_another(&host.ipc_mode)
        || host.volumes_from.as_ref().is_some_and(|v| !v.is_empty())
}

/// A container without a component's label is still shown, under its own name, which is always a valid one.
fn component(labels: &BTreeMap<String, String>, name: &str) -> Option<ComponentName> {
    let labelled = labels.get(labels::COMPONENT).and_then(|label| ComponentName::new(label.as_str()).ok());
    labelled.or_else(|| ComponentName::new(name).ok())
}

fn state(state: EngineState, restarts: Option<i64>) -> ContainerState {
    let health = state.health.and_then(|health| {
        let last_output = health.log.unwrap_or_default().pop().and_then(|last| last.output).unwrap_or_default();
        Some(Health { status: health_status(health.status?)?, last_output })
    });
    ContainerState {
        status: status(state.status),
        exit_code: state.exit_code.unwrap_or(0),
        oom_killed: state.oom_killed.unwrap_or(false),
        error: state.error.unwrap_or_default(),
        started_at: time(state.started_at.as_deref()),
        finished_at: time(state.finished_at.as_deref()),
        restart_count: restarts.and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
        health,
    }
}

fn status(status: Option<ContainerStateStatusEnum>) -> Status {
    use ContainerStateStatusEnum as Word;
    match status.unwrap_or(Word::EMPTY) {
        Word::EMPTY | Word::CREATED => Status::Created,
        Word::RUNNING | Word::STOPPING => Status::Running,
        Word::PAUSED => Status::Paused,
        Word::RESTARTING => Status::Restarting,
        Word::REMOVING => Status::Removing,
        Word::EXITED => Status::Exited,
        Word::DEAD => Status::Dead,
    }
}

const fn health_status(status: HealthStatusEnum) -> Option<HealthStatus> {
    match status {
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => None,
        HealthStatusEnum::STARTING => Some(HealthStatus::Starting),
        HealthStatusEnum::HEALTHY => Some(HealthStatus::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(HealthStatus::Unhealthy),
    }
}

fn endpoint(at: &EndpointSettings, short_id: &str) -> Endpoint {
    let fixed = at.ipam_config.as_ref().and_then(|config| config.ipv4_address.as_deref());
    Endpoint {
        network_id: at.network_id.clone().unwrap_or_default(),
        address: at.ip_address.as_deref().and_then(|text| text.parse().ok()),
        fixed_address: fixed.and_then(|text| text.parse().ok()),
        ipv6_address: at.global_ipv6_address.as_deref().and_then(|text| text.parse().ok()),
        // The engine adds the short id by itself.
        aliases: at.aliases.iter().flatten().filter(|alias| *alias != short_id).cloned().collect(),
    }
}

fn ports(map: PortMap) -> Vec<PortBinding> {
    let mut all: Vec<PortBinding> = map
        .into_iter()
        .filter_map(|(key, bindings)| Some((port_key(&key)?, bindings?)))
        .flat_map(|((container_port, protocol), bindings)| {
            bindings.into_iter().map(move |binding| PortBinding {
                host_ip: binding.host_ip.and_then(|text| text.parse().ok()),
                host_port: binding.host_port.and_then(|text| text.parse().ok()),
                container_port,
                protocol,
            })
        })
        .collect();
    all.sort();
    all
}

/// `80/tcp` or `80`.
fn port_key(key: &str) -> Option<(u16, Protocol)> {
    let (port, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    Some((port.parse().ok()?, protocol))
}

/// `name:address`, where the address may have colons itself; newer engines also take `name=address`.
fn hosts_entry(line: &str) -> Option<(String, String)> {
    let (name, address) = line.split_once(['=', ':'])?;
    Some((name.to_owned(), address.to_owned()))
}

/// Volumes that go with the container: those with a name that the engine made up, and those that a replacement took
/// over from such a container (which the engine sees as named).
fn anonymous_volumes(mounts: Vec<MountPoint>, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let carried = carried_volumes(labels);
    mounts
        .into_iter()
        .filter(|mount| mount.typ.as_deref() == Some("volume"))
        .filter_map(|mount| Some((mount.destination?, mount.name?)))
        .filter(|(_, name)| is_made_up(name) || carried.contains(name))
        .collect()
}

fn is_made_up(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The names in the label of carried volumes.
pub(super) fn carried_volumes(labels: &BTreeMap<String, String>) -> Vec<String> {
    let text = labels.get(labels::CARRIED_VOLUMES).map(String::as_str).unwrap_or_default();
    text.split(',').filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect()
}

/// A container's name in the list.
pub(super) fn listed_name(listed: &ContainerSummary) -> Option<String> {
    // Links of other containers are listed as further names, with another slash.
    let names = listed.names.as_ref()?;
    let own = names.iter().find(|name| !name.trim_start_matches('/').contains('/')).or_else(|| names.first());
    own.map(|name| bare(name))
}

/// A container that isn't ours, from the list.
pub(super) fn foreign(listed: &ContainerSummary) -> Option<Foreign> {
    let name = listed_name(listed)?;
    let label = |key| listed.labels.as_ref().and_then(|all: &HashMap<String, String>| all.get(key).cloned());
    let mut host_ports: Vec<u16> = listed.ports.iter().flatten().filter_map(|port| port.public_port).collect();
    host_ports.sort_unstable();
    host_ports.dedup();
    let settings = listed.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let mut networks: Vec<String> = settings
        .into_iter()
        .flatten()
        .filter_map(|(_, at)| at.network_id.clone())
        .filter(|id| !id.is_empty())
        .collect();
    networks.sort_unstable();
    Some(Foreign {
        networks,
        // What it has from an image says nothing.
        cluster: label(labels::CLUSTER).filter(|_| labels::is_own_name(label(labels::CONTAINER).as_deref(), &name)),
        name,
        project: label(labels::COMPOSE_PROJECT),
        host_ports,
    })
}

/// A network from the list.
pub(super) fn network(network: &Network, pools: &[AddressPool]) -> ObservedNetwork {
    let config = network.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
    let gateway = config.filter_map(|entry| entry.gateway.as_deref()?.parse().ok()).next();
    ObservedNetwork {
        id: network.id.clone().unwrap_or_default(),
        name: network.name.clone().unwrap_or_default(),
        labels: network.labels.clone().unwrap_or_default().into_iter().collect(),
        driver: network.driver.clone().unwrap_or_default(),
        subnet: subnets::of_network(network).next(),
        subnet_configured: subnets::is_configured(network, pools),
        gateway,
        created_at: time(network.created.as_deref()),
    }
}

/// An image from its inspection.
pub(super) fn image(inspected: ImageInspect) -> ImageInfo {
    let config = inspected.config.unwrap_or_default();
    let mut volumes = config.volumes.unwrap_or_default();
    volumes.sort();
    let mut exposed: Vec<u16> =
        config.exposed_ports.iter().flatten().filter_map(|key| Some(port_key(key)?.0)).collect();
    exposed.sort_unstable();
    exposed.dedup();
    ImageInfo {
        id: inspected.id.unwrap_or_default(),
        health: config.healthcheck.and_then(|check| health_check(&check)),
        volumes,
        exposed,
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        size: inspected.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        tagged_at: inspected.metadata.and_then(|metadata| time(metadata.last_tag_time.as_deref())),
    }
}

/// An image's HEALTHCHECK with the engine's defaults for what it leaves at zero; None for `NONE`.
fn health_check(check: &HealthConfig) -> Option<HealthCheck> {
    let (kind, words) = check.test.as_deref()?.split_first()?;
    let shell = kind == "CMD-SHELL";
    let command = match (kind.as_str(), words) {
        ("CMD-SHELL", [line, ..]) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        ("CMD", [_, ..]) => words.to_vec(),
        _ => return None,
    };
    let time = |nanos: Option<i64>| {
        nanos.and_then(|nanos| u64::try_from(nanos).ok()).filter(|nanos| *nanos > 0).map(Duration::from_nanos)
    };
    Some(HealthCheck {
        command,
        shell,
        interval: time(check.interval).unwrap_or(Duration::from_secs(30)),
        timeout: time(check.timeout).unwrap_or(Duration::from_secs(30)),
        retries: check.retries.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(3),
        start_period: time(check.start_period).unwrap_or_default(),
        start_interval: time(check.start_interval),
    })
}

/// The engine writes year 1 for "never".
pub(super) fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok().filter(|time: &Timestamp| time.as_second() > 0)
}

/// The engine puts a slash before names.
fn bare(name: &str) -> String {
    name.strip_prefix('/').unwrap_or(name).to_owned()
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
