//! One service: what all its components have in common.

use super::build::Context;
use super::files::{self, Files};
use super::{mounts, network, ports, probes};
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
    check_build(context, service, problems);
    let mut spec = plain(service);
    spec.networks = network::attachments(context.project, service, problems);
    spec.mounts = mounts::resolve(context, name, service, problems);
    let Files { mounts, files, secrets } = files::resolve(context, name, service, &spec.mounts, problems);
    spec.mounts.extend(mounts);
    Common {
        image: image(context, name, service),
        build: service.build.as_ref().map(|build| self::build(context, build)),
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
fn image(context: &Context<'_>, name: &ServiceName, service: &Service) -> String {
    let built = || format!("{}-{name}", context.project.name).to_lowercase();
    service.image.as_ref().map_or_else(built, |image| image.value.clone())
}

fn build(context: &Context<'_>, build: &compose::Build) -> Build {
    Build {
        context: context.paths.absolute(&build.context.value),
        dockerfile: build.dockerfile.as_ref().map_or_else(|| "Dockerfile".to_owned(), |file| file.value.clone()),
        dockerfile_inline: build.dockerfile_inline.as_ref().map(|text| text.value.clone()),
        args: build.args.clone().into_iter().collect(),
        target: build.target.clone(),
        options: build.options.clone(),
    }
}

/// What an image is built from must be there. With `image:` as well it may be pulled or there already, as where a file is
/// used without the sources: then it is a warning.
fn check_build(context: &Context<'_>, service: &Service, problems: &mut Diagnostics) {
    let Some(build) = &service.build else { return };
    if build.context.value.contains("://") || build.context.value.starts_with("git@") {
        // Refused where it is read.
        return;
    }
    let folder = context.paths.absolute(&build.context.value);
    let dockerfile = build.dockerfile.as_ref().map_or("Dockerfile", |file| &file.value);
    let (at, message) = if !folder.is_dir() {
        let is = if folder.exists() { "isn't a directory" } else { "doesn't exist" };
        (&build.context.at, format!("the build context {} {is}", folder.display()))
    } else if build.dockerfile_inline.is_none() && !folder.join(dockerfile).is_file() {
        let at = build.dockerfile.as_ref().map_or(&build.context.at, |file| &file.at);
        (at, format!("there is no {dockerfile} in the build context {}", folder.display()))
    } else {
        return;
    };
    problems.push(match &service.image {
        Some(image) => {
            let hint = format!("the image {} has to be there already", image.value);
            Diagnostic::warning(at, message).hint(hint)
        }
        None => {
            // Who only wants to read the project needs no sources.
            let of = if context.options.describes_only { Diagnostic::warning } else { Diagnostic::error };
            of(at, message).hint("`context` is the directory, `dockerfile` is relative to it")
        }
    });
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
