//! Mounts of a new container.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use bollard::models::{
    Mount as EngineMount, MountBindOptions, MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig,
};

use super::connect::ApiVersion;
use crate::cluster::{Mount, MountKind};
use crate::engine::{CreateContainer, CreateVolume};

/// Mounts in the engine's three forms.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Mounts {
    /// Volumes, and binds whose source must be there.
    pub(super) mounts: Vec<EngineMount>,
    /// `source:target[:ro]`: the only form that makes a missing source on older engines.
    pub(super) binds: Vec<String>,
    /// Options by target.
    pub(super) tmpfs: HashMap<String, String>,
}

/// All mounts: those of the file, and the anonymous volumes of a replaced container.
pub(super) fn of_container(request: &CreateContainer, api: ApiVersion) -> Result<Mounts, String> {
    let mut all = Mounts::default();
    for mount in &request.spec.mounts {
        add(&mut all, mount, request, api)?;
    }
    let taken: BTreeSet<&str> = request.spec.mounts.iter().map(|mount| mount.target.as_str()).collect();
    // Anonymous volumes of the image come by themselves; where one is carried over, it is named instead.
    let of_the_image = request.carried_volumes.iter().filter(|(target, _)| !taken.contains(target.as_str()));
    all.mounts.extend(of_the_image.map(|(target, name)| volume(target, Some(name), false, false)));
    Ok(all)
}

fn add(all: &mut Mounts, mount: &Mount, request: &CreateContainer, api: ApiVersion) -> Result<(), String> {
    let Mount { target, kind, read_only } = mount;
    match kind {
        MountKind::Volume { key, nocopy } => {
            let named = request
                .volumes
                .get(key.as_str())
                .ok_or_else(|| format!("the volume {key} of {target} has no name in the engine"))?;
            let mut mount = volume(target, Some(&named.name), *nocopy, *read_only);
            if !named.labels.is_empty() {
                mount.volume_options = Some(made_again(named, *nocopy));
            }
            all.mounts.push(mount);
        }
        MountKind::Anonymous => {
            all.mounts.push(volume(target, request.carried_volumes.get(target), false, *read_only));
        }
        MountKind::Bind { source, create } => {
            let source = utf8(source)?;
            if *create && api < ApiVersion::MAKES_MOUNT_SOURCES && !source.contains(':') && !target.contains(':') {
                let mode = if *read_only { ":ro" } else { "" };
                all.binds.push(format!("{source}:{target}{mode}"));
            } else {
                all.mounts.push(bind(source, target, *create, *read_only));
            }
        }
        MountKind::Tmpfs { size, mode, options } => {
            let size = size.map(|bytes| format!("size={bytes}"));
            let mode = mode.map(|bits| format!("mode={bits:o}"));
            let read_only = read_only.then(|| "ro".to_owned());
            let parts: Vec<String> = [options.clone(), size, mode, read_only].into_iter().flatten().collect();
            all.tmpfs.insert(target.clone(), parts.join(","));
        }
    }
    Ok(())
}

fn volume(target: &str, name: Option<&String>, nocopy: bool, read_only: bool) -> EngineMount {
    EngineMount {
        target: Some(target.to_owned()),
        source: name.cloned(),
        typ: Some(MountType::VOLUME),
        read_only: Some(read_only),
        volume_options: nocopy.then(|| MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
        ..Default::default()
    }
}

/// How the engine makes a volume that was removed since it was made; of one that is there it says nothing.
fn made_again(volume: &CreateVolume, nocopy: bool) -> MountVolumeOptions {
    let map = |of: &BTreeMap<String, String>| of.clone().into_iter().collect::<HashMap<_, _>>();
    let has_driver = volume.driver.is_some() || !volume.driver_opts.is_empty();
    MountVolumeOptions {
        no_copy: nocopy.then_some(true),
        labels: Some(map(&volume.labels)),
        driver_config: has_driver.then(|| MountVolumeOptionsDriverConfig {
            name: volume.driver.clone(),
            options: Some(map(&volume.driver_opts)),
        }),
        ..Default::default()
    }
}

fn bind(source: &str, target: &str, create: bool, read_only: bool) -> EngineMount {
    EngineMount {
        target: Some(target.to_owned()),
        source: Some(source.to_owned()),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        bind_options: create.then(|| MountBindOptions { create_mountpoint: Some(true), ..Default::default() }),
        ..Default::default()
    }
}

fn utf8(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("the path {} isn't valid UTF-8", path.display()))
}

/// The volumes that a container takes over, for the label which says that they go with it.
pub(super) fn carried(request: &CreateContainer) -> Vec<&str> {
    let mounted_otherwise = |target: &str| {
        request.spec.mounts.iter().any(|mount| mount.target == target && mount.kind != MountKind::Anonymous)
    };
    let names: BTreeMap<&String, &String> =
        request.carried_volumes.iter().filter(|(target, _)| !mounted_otherwise(target)).collect();
    names.into_values().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::super::container_body::tests::request;
    use super::*;
    use crate::names::VolumeKey;

    fn mount(target: &str, kind: MountKind) -> Mount {
        Mount { target: target.into(), kind, read_only: false }
    }

    fn data(labels: &[(&str, &str)]) -> CreateVolume {
        CreateVolume {
            name: "shop_data".into(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            driver: None,
            driver_opts: BTreeMap::new(),
        }
    }

    fn bind_of(create: bool) -> Mount {
        mount("/b", MountKind::Bind { source: "/host/b".into(), create })
    }

    #[test]
    fn a_missing_source_is_made_only_where_asked() {
        let mut request = request();
        request.spec.mounts = vec![bind_of(true)];
        let old = of_container(&request, ApiVersion::OLDEST).unwrap();
        assert_eq!((old.binds, old.mounts.len()), (vec!["/host/b:/b".to_owned()], 0));
        let new = of_container(&request, ApiVersion::new(1, 44)).unwrap();
        assert_eq!(new.mounts[0].bind_options.as_ref().unwrap().create_mountpoint, Some(true));
        request.spec.mounts = vec![bind_of(false)];
        let strict = of_container(&request, ApiVersion::OLDEST).unwrap();
        assert_eq!((strict.binds.len(), strict.mounts[0].bind_options.as_ref()), (0, None));
    }

    #[test]
    fn tmpfs_options() {
        let mut request = request();
        let kind = MountKind::Tmpfs { size: Some(1024), mode: Some(0o1777), options: Some("noexec".into()) };
        request.spec.mounts = vec![mount("/t", kind)];
        let all = of_container(&request, ApiVersion::OLDEST).unwrap();
        assert_eq!(all.tmpfs["/t"], "noexec,size=1024,mode=1777");
    }

    #[test]
    fn anonymous_volumes_are_carried_over() {
        let mut request = request();
        let key = VolumeKey::new("data").unwrap();
        request.volumes.insert("data".into(), data(&[("ours", "yes")]));
        request.spec.mounts = vec![
            mount("/anon", MountKind::Anonymous),
            mount("/fresh", MountKind::Anonymous),
            mount("/data", MountKind::Volume { key, nocopy: true }),
        ];
        request.carried_volumes = [("/anon", "v1"), ("/image", "v2"), ("/data", "v3")]
            .map(|(target, name)| (target.to_owned(), name.to_owned()))
            .into();
        let all = of_container(&request, ApiVersion::OLDEST).unwrap();
        let pairs: Vec<_> =
            all.mounts.iter().map(|m| (m.target.as_deref().unwrap(), m.source.as_deref().unwrap_or(""))).collect();
        assert_eq!(pairs, [("/anon", "v1"), ("/fresh", ""), ("/data", "shop_data"), ("/image", "v2")]);
        assert_eq!(carried(&request), ["v1", "v2"]);
        let options = all.mounts[2].volume_options.as_ref().unwrap();
        assert_eq!(options.no_copy, Some(true));
        assert_eq!(options.labels.as_ref().unwrap()["ours"], "yes", "it is made again with our labels");
    }

    #[test]
    fn an_external_volume_gets_no_labels() {
        let mut request = request();
        request.volumes.insert("data".into(), data(&[]));
        let key = VolumeKey::new("data").unwrap();
        request.spec.mounts = vec![mount("/data", MountKind::Volume { key, nocopy: false })];
        assert_eq!(of_container(&request, ApiVersion::OLDEST).unwrap().mounts[0].volume_options, None);
    }

    #[test]
    fn a_volume_without_a_name_is_refused() {
        let mut request = request();
        let key = VolumeKey::new("data").unwrap();
        request.spec.mounts = vec![mount("/data", MountKind::Volume { key, nocopy: false })];
        assert!(of_container(&request, ApiVersion::OLDEST).unwrap_err().contains("data"));
    }
}
