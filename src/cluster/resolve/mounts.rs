//! Mounts, with the volumes that they name.

use std::collections::{BTreeMap, BTreeSet};

use super::build::Context;
use super::paths::{inside, is_of_client};
use super::text::near_miss;
use crate::cluster::{Mount, MountKind, MountOptions, Volume, VolumeOwner};
use crate::compose::{self, Diagnostic, Diagnostics, Place, Project, Service, Spanned};
use crate::names::{ClusterName, ServiceName, VolumeKey};

/// The service's mounts, `configs` and `secrets` aside.
pub(super) fn resolve(
    context: &Context<'_>,
    name: &ServiceName,
    service: &Service,
    problems: &mut Diagnostics,
) -> Vec<Mount> {
    let mut mounts = Vec::new();
    let mut targets: BTreeMap<&str, &Place> = BTreeMap::new();
    for mount in &service.mounts {
        let target = inside(&mount.target);
        if let Some(other) = targets.insert(target, &mount.at) {
            let message = format!("\"{name}\" has two mounts at {target} (also at {other})");
            problems.push(Diagnostic::error(&mount.at, message).hint("remove one of them"));
            continue;
        }
        if let Some(kind) = kind(context, mount, problems) {
            let nocopy = matches!(mount.kind, compose::MountKind::Volume { source: None, nocopy: true });
            let options = MountOptions { nocopy, ..mount.options.clone() };
            mounts.push(Mount { target: target.to_owned(), kind, read_only: mount.read_only, options });
        }
    }
    mounts
}

fn kind(context: &Context<'_>, mount: &compose::Mount, problems: &mut Diagnostics) -> Option<MountKind> {
    match &mount.kind {
        compose::MountKind::Volume { source: None, .. } => Some(MountKind::Anonymous),
        compose::MountKind::Volume { source: Some(key), nocopy } => {
            check_volume(context.project, key, problems);
            Some(MountKind::Volume { key: key.value.clone(), nocopy: *nocopy })
        }
        compose::MountKind::Bind { source, create } => bind(context, source, *create, problems),
        compose::MountKind::Tmpfs { size, mode, options } => {
            Some(MountKind::Tmpfs { size: size.map(|size| size.0), mode: *mode, options: options.clone() })
        }
        compose::MountKind::Image { source } => Some(MountKind::Image { reference: source.value.clone() }),
    }
}

fn check_volume(project: &Project, key: &Spanned<VolumeKey>, problems: &mut Diagnostics) {
    if !project.volumes.contains_key(&key.value) {
        let known = project.volumes.keys().map(VolumeKey::as_str);
        let hint = near_miss(key.value.as_str(), known).unwrap_or_else(|| {
            format!(
                "define it under the file's top-level \"volumes\", or write \"./{}\" if a folder is meant",
                key.value
            )
        });
        problems.push(Diagnostic::error(&key.at, format!("volume \"{}\" is not defined", key.value)).hint(hint));
    }
}

fn bind(
    context: &Context<'_>,
    source: &Spanned<String>,
    create: bool,
    problems: &mut Diagnostics,
) -> Option<MountKind> {
    let path = context.paths.absolute(&source.value);
    if !context.options.engine_is_local {
        if is_of_client(&source.value) {
            let message = format!("{} is looked for on the engine's machine, not on this one", path.display());
            problems.push(Diagnostic::warning(&source.at, message).hint("use a config, a secret or a volume instead"));
        }
    } else if !create && !context.options.describes_only && !path.exists() {
        let message = format!("{} does not exist, so it can't be mounted", path.display());
        problems.push(Diagnostic::error(&source.at, message).hint("make it, or say bind: { create_host_path: true }"));
        return None;
    }
    Some(MountKind::Bind { source: path, create })
}

/// The owners asked for, each for a volume that the service mounts.
pub(super) fn owners(name: &ServiceName, service: &Service, problems: &mut Diagnostics) -> Vec<VolumeOwner> {
    let volumes: Vec<&str> = service
        .mounts
        .iter()
        .filter(|mount| matches!(mount.kind, compose::MountKind::Volume { .. }))
        .map(|mount| inside(&mount.target))
        .collect();
    let mut owners = Vec::new();
    let mut seen = BTreeSet::new();
    for rule in &service.convoke.owner {
        let target = inside(&rule.target);
        if !volumes.contains(&target) {
            let mounted = service.mounts.iter().any(|mount| inside(&mount.target) == target);
            let (message, hint) = if mounted {
                (format!("{target} of \"{name}\" is not a volume, so it can't get an owner"), owner_hint(&[]))
            } else {
                (format!("\"{name}\" mounts no volume at {target}"), owner_hint(&volumes))
            };
            problems.push(Diagnostic::error(&rule.at, message).hint(hint));
        } else if !seen.insert(target) {
            problems.push(Diagnostic::error(&rule.at, format!("{target} of \"{name}\" gets two owners")));
        } else if let Some(read_only) = service.read_only.as_ref().filter(|read_only| read_only.value) {
            let message = format!("{target} can't get an owner: \"{name}\" is read_only ({})", read_only.at);
            problems.push(Diagnostic::error(&rule.at, message).hint("the engine puts nothing into a read-only root"));
        } else {
            owners.push(VolumeOwner { target: target.to_owned(), uid: rule.uid, gid: rule.gid, mode: rule.mode });
        }
    }
    owners
}

fn owner_hint(volumes: &[&str]) -> String {
    match volumes {
        [] => "only volumes can: named ones, or anonymous ones that the file lists".to_owned(),
        volumes => format!("its volumes are at {}", volumes.join(", ")),
    }
}

/// The volumes that some component mounts.
pub(super) fn volumes<'a>(project: &Project, mounts: impl Iterator<Item = &'a Mount>) -> BTreeMap<VolumeKey, Volume> {
    let keys: BTreeSet<&VolumeKey> = mounts
        .filter_map(|mount| match &mount.kind {
            MountKind::Volume { key, .. } => Some(key),
            _ => None,
        })
        .collect();
    keys.into_iter()
        .filter_map(|key| Some((key.clone(), volume(&project.name, key, project.volumes.get(key)?))))
        .collect()
}

fn volume(cluster: &ClusterName, key: &VolumeKey, volume: &compose::Volume) -> Volume {
    let usual = if volume.external { key.to_string() } else { format!("{cluster}_{key}") };
    Volume {
        key: key.clone(),
        engine_name: volume.name.clone().unwrap_or(usual),
        external: volume.external,
        driver: volume.driver.clone(),
        driver_opts: volume.driver_opts.clone().into_iter().collect(),
        labels: volume.labels.clone().into_iter().collect(),
    }
}
