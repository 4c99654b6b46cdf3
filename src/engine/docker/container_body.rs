//! A container as the create call wants it. Pure.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, NetworkingConfig, PortBinding as EnginePort, PortMap,
    ResourcesUlimits, RestartPolicy as EngineRestart, RestartPolicyNameEnum,
};

use super::attach;
use super::connect::ApiVersion;
use super::{mounts, settings_body};
use crate::cluster::{ContainerSpec, HealthCheck, RestartPolicy};
use crate::engine::{CreateContainer, labels};

/// The whole body.
///
/// # Errors
/// When a mount can't be told to the engine.
pub(super) fn body(request: &CreateContainer, api: ApiVersion) -> Result<ContainerCreateBody, String> {
    let spec = &request.spec;
    let (first, _) = attach::split(&request.networks, api);
    let endpoints: HashMap<_, _> =
        first.iter().map(|one| (one.network_name.clone(), attach::endpoint_of(one, request, api))).collect();
    let settings = &spec.settings;
    request.networks.iter().try_for_each(|one| attach::check(one, api))?;
    if settings.mac_address.is_some() {
        api.require(ApiVersion::MANY_NETWORKS, "mac_address needs")?;
    }
    if !settings.annotations.is_empty() {
        api.require(ApiVersion::ANNOTATIONS, "annotations need")?;
    }
    Ok(ContainerCreateBody {
        hostname: spec.hostname.clone(),
        domainname: settings.domainname.clone(),
        user: spec.user.clone(),
        exposed_ports: Some(exposed(spec)),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        // Its input ends when that of whoever runs it does.
        stdin_once: request.one_off.is_some().then_some(spec.stdin_open),
        env: Some(environment(spec)),
        cmd: spec.command.clone(),
        healthcheck: health(request, api),
        image: Some(request.image.clone()),
        working_dir: spec.working_dir.clone(),
        entrypoint: spec.entrypoint.clone().map(cleared),
        labels: Some(all_labels(request)),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace_period.map(seconds_up),
        host_config: Some(host_config(request, api)?),
        networking_config: (!endpoints.is_empty()).then_some(NetworkingConfig { endpoints_config: Some(endpoints) }),
        ..Default::default()
    })
}

/// Whole seconds, rounded up: a stop must not be shorter than asked for.
pub(super) fn seconds_up(time: Duration) -> i64 {
    let more = u64::from(time.subsec_nanos() > 0);
    i64::try_from(time.as_secs().saturating_add(more)).unwrap_or(i64::MAX)
}

fn host_config(request: &CreateContainer, api: ApiVersion) -> Result<HostConfig, String> {
    let spec = &request.spec;
    let mounts = mounts::of_container(request, api)?;
    let mut sysctls = attach::sysctls(&request.networks, api);
    sysctls.extend(spec.sysctls.clone());
    // The name, not the id: a container attached by id doesn't start any more once its network was made anew.
    let network_mode = request.networks.first().map(|first| first.network_name.clone());
    let mut host = HostConfig {
        memory: spec.mem_limit.and_then(signed),
        init: spec.init.then_some(true),
        ulimits: Some(ulimits(spec)),
        binds: Some(mounts.binds),
        network_mode: spec.network_mode.clone().or(network_mode),
        port_bindings: Some(port_bindings(request)),
        restart_policy: Some(restart_policy(spec.restart)),
        mounts: Some(mounts.mounts),
        cap_add: Some(spec.cap_add.clone()),
        cap_drop: Some(spec.cap_drop.clone()),
        extra_hosts: Some(extra_hosts(request)),
        privileged: Some(spec.privileged),
        readonly_rootfs: Some(spec.read_only),
        security_opt: Some(spec.security_opt.clone()),
        tmpfs: Some(mounts.tmpfs),
        shm_size: spec.shm_size.and_then(signed),
        sysctls: Some(sysctls),
        auto_remove: request.one_off.as_ref().map(|one_off| one_off.remove),
        ..Default::default()
    };
    settings_body::apply(&spec.settings, &mut host);
    Ok(host)
}

fn signed(value: u64) -> Option<i64> {
    i64::try_from(value).ok()
}

/// A name without `=` takes a variable of the image away.
fn environment(spec: &ContainerSpec) -> Vec<String> {
    let line = |(name, value): (&String, &Option<String>)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    };
    spec.environment.iter().map(line).collect()
}

/// An empty list would mean "as the image has it"; a list of one empty text is the engine's way to say "none".
fn cleared(entrypoint: Vec<String>) -> Vec<String> {
    if entrypoint.is_empty() { vec![String::new()] } else { entrypoint }
}

fn exposed(spec: &ContainerSpec) -> Vec<String> {
    let published = spec.ports.iter().map(|port| (port.container_port, port.protocol));
    let mut all: Vec<String> =
        spec.expose.iter().copied().chain(published).map(|(port, kind)| format!("{port}/{}", kind.as_str())).collect();
    all.sort();
    all.dedup();
    all
}

fn port_bindings(request: &CreateContainer) -> PortMap {
    let mut map = PortMap::new();
    for port in &request.spec.ports {
        let binding = EnginePort {
            host_ip: Some(port.host_ip.unwrap_or(request.publish_address).to_string()),
            host_port: Some(port.host_port.map(|port| port.to_string()).unwrap_or_default()),
        };
        let key = format!("{}/{}", port.container_port, port.protocol.as_str());
        map.entry(key).or_default().get_or_insert_default().push(binding);
    }
    map
}

/// The file's own lines come first, and a peer's entry never contradicts them: a hosts file's first line wins.
fn extra_hosts(request: &CreateContainer) -> Vec<String> {
    let own = &request.spec.extra_hosts;
    let shares_another = request.spec.network_mode.as_deref().is_some_and(|mode| mode.starts_with("container:"));
    let peers = request.hosts.iter().filter(|(name, _)| own.iter().all(|(other, _)| other != name));
    let peers = peers.filter(|_| !shares_another).map(|(name, address)| format!("{name}:{address}"));
    own.iter().map(|(name, address)| format!("{name}:{address}")).chain(peers).collect()
}

fn ulimits(spec: &ContainerSpec) -> Vec<ResourcesUlimits> {
    let limit = |(name, limit): (&String, &crate::cluster::Ulimit)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    };
    spec.ulimits.iter().map(limit).collect()
}

fn restart_policy(policy: RestartPolicy) -> EngineRestart {
    let (name, count) = match policy {
        RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
        RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartPolicy::OnFailure { max_retries } => (RestartPolicyNameEnum::ON_FAILURE, Some(i64::from(max_retries))),
        RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
    };
    EngineRestart { name: Some(name), maximum_retry_count: count }
}

fn health(request: &CreateContainer, api: ApiVersion) -> Option<HealthConfig> {
    if request.health_disabled {
        return Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() });
    }
    let check = request.health.as_ref()?;
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    Some(HealthConfig {
        test: Some(health_test(check)),
        interval: Some(nanos(check.interval)),
        timeout: Some(nanos(check.timeout)),
        retries: Some(i64::from(check.retries)),
        start_period: Some(nanos(check.start_period)),
        start_interval: check.start_interval.filter(|_| api >= ApiVersion::MANY_NETWORKS).map(nanos),
    })
}

/// A shell's line is given to the engine as such: it takes the image's own shell where there is one.
fn health_test(check: &HealthCheck) -> Vec<String> {
    match check.command.as_slice() {
        [_, _, line] if check.shell => vec!["CMD-SHELL".to_owned(), line.clone()],
        words => [&["CMD".to_owned()], words].concat(),
    }
}

fn all_labels(request: &CreateContainer) -> HashMap<String, String> {
    let mut all: HashMap<String, String> = request.labels.clone().into_iter().collect();
    let carried = mounts::carried(request);
    if !carried.is_empty() {
        all.insert(labels::CARRIED_VOLUMES.to_owned(), carried.join(","));
    }
    all
}

#[cfg(test)]
#[path = "container_body_tests.rs"]
pub(super) mod tests;
