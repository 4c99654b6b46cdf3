//! One service: what all its components have in common.

use super::build::Context;
use super::files::{self, Files};
use super::{image_build, mounts, network, ports, probes};
use crate::cluster::{Build, ContainerSpec, HostFile, Probes, RestartPolicy, Ulimit, VolumeOwner};
use crate::compose::{self, Diagnostic, Diagnostics, Restart, Service};
use crate::names::ServiceName;

/// What all components of a service have in common; ports are each one's own.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) image: String,
    pub(super) build: Option<Build>,
    pub(super) spec: ContainerSpec,
    pub(super) files: Vec<HostFile>,
    pub(super) owners: Vec<VolumeOwner>,
    pub(super) probes: Probes,
    pub(super) secrets: Vec<String>,
}

/// Resolves what all components of a service have in common.
pub(super) fn resolve(
    context: &Context<'_>,
    name: &ServiceName,
    service: &Service,
    problems: &mut Diagnostics,
) -> Common {
    check_labels(name, service, problems);
    let mut spec = plain(service);
    spec.networks = network::attachments(context.project, service, problems);
    spec.mounts = mounts::resolve(context, name, service, problems);
    let Files { mounts, files, mut secrets } = files::resolve(context, name, service, &spec.mounts, problems);
    let build = image_build::resolve(context, service, &mut secrets, problems);
    spec.mounts.extend(mounts);
    Common {
        image: image(context, name, service),
        build,
        spec,
        files,
        owners: mounts::owners(name, service, problems),
        probes: probes::resolve(service, problems),
        secrets,
    }
}

/// The parts that refer to nothing else.
fn plain(service: &Service) -> ContainerSpec {
    ContainerSpec {
        command: service.command.as_ref().map(|command| command.value.clone()),
        entrypoint: service.entrypoint.as_ref().map(|entrypoint| entrypoint.value.clone()),
        environment: service.environment.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect(),
        user: service.user.clone(),
        working_dir: service.working_dir.clone(),
        hostname: service.hostname.clone(),
        labels: service.labels.clone().into_iter().collect(),
        expose: service.expose.iter().map(|(port, protocol)| (*port, ports::protocol(*protocol))).collect(),
        network_mode: service.network_mode.as_ref().map(|mode| mode.value.clone()),
        extra_hosts: service.extra_hosts.clone(),
        init: service.init,
        ulimits: service.ulimits.iter().map(|(name, limit)| (name.clone(), ulimit(*limit))).collect(),
        shm_size: service.shm_size.map(|size| size.0),
        mem_limit: service.mem_limit.map(|size| size.0),
        restart: service.restart.map(restart).unwrap_or_default(),
        stop_signal: service.stop_signal.clone(),
        stop_grace_period: service.stop_grace_period,
        cap_add: service.cap_add.clone(),
        cap_drop: service.cap_drop.clone(),
        sysctls: service.sysctls.clone().into_iter().collect(),
        read_only: service.read_only.as_ref().is_some_and(|read_only| read_only.value),
        privileged: service.privileged,
        tty: service.tty,
        stdin_open: service.stdin_open,
        security_opt: service.security_opt.clone(),
        platform: service.platform.clone(),
        settings: service.settings.clone(),
        ..ContainerSpec::default()
    }
}

/// Image names are in lower case; services may not be.
pub(super) fn image(context: &Context<'_>, name: &ServiceName, service: &Service) -> String {
    let built = || format!("{}-{name}", context.project.name).to_lowercase();
    service.image.as_ref().map_or_else(built, |image| image.value.clone())
}

/// Labels that say what is ours can't be the file's.
fn check_labels(name: &ServiceName, service: &Service, problems: &mut Diagnostics) {
    for key in service.labels.keys() {
        if ["convoke.", "com.docker.compose."].iter().any(|prefix| key.starts_with(prefix)) {
            let message = format!("the label {key} of \"{name}\" is convoke's to set");
            problems.push(Diagnostic::error(&service.at, message).hint("rename the label"));
        }
    }
}

const fn restart(restart: Restart) -> RestartPolicy {
    match restart {
        Restart::No => RestartPolicy::No,
        Restart::Always => RestartPolicy::Always,
        Restart::OnFailure { max_retries } => RestartPolicy::OnFailure { max_retries },
        Restart::UnlessStopped => RestartPolicy::UnlessStopped,
    }
}

const fn ulimit(limit: compose::Ulimit) -> Ulimit {
    Ulimit { soft: limit.soft, hard: limit.hard }
}
