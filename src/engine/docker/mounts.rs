//! Mounts of a new container.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use bollard::models::{
    Mount as EngineMount, MountBindOptions, MountImageOptions, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig,
};

use super::connect::ApiVersion;
use crate::cluster::{Mount, MountKind, MountOptions, Recursive};
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
    let Mount { target, kind, read_only, options } = mount;
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
            with_volume_options(&mut mount, options, api)?;
            all.mounts.push(mount);
        }
        MountKind::Anonymous => {
            let mut mount = volume(target, request.carried_volumes.get(target), options.nocopy, *read_only);
            with_volume_options(&mut mount, options, api)?;
            all.mounts.push(mount);
        }
        MountKind::Bind { source, create } => add_bind(all, mount, (utf8(source)?, *create), api)?,
        MountKind::Tmpfs { size, mode, options } => {
            let size = size.map(|bytes| format!("size={bytes}"));
            let mode = mode.map(|bits| format!("mode={bits:o}"));
            let read_only = read_only.then(|| "ro".to_owned());
            let parts: Vec<String> = [options.clone(), size, mode, read_only].into_iter().flatten().collect();
            all.tmpfs.insert(target.clone(), parts.join(","));
        }
        MountKind::Image { reference } => {
            needs(api, ApiVersion::IMAGE_MOUNTS, "an image as a mount", target)?;
            all.mounts.push(EngineMount {
                target: Some(target.clone()),
                source: Some(reference.clone()),
                typ: Some(MountType::IMAGE),
                image_options: options.subpath.clone().map(|path| MountImageOptions { subpath: Some(path) }),
                ..Default::default()
            });
        }
    }
    Ok(())
}

fn needs(api: ApiVersion, least: ApiVersion, what: &str, target: &str) -> Result<(), String> {
    api.require(least, &format!("{what} at {target} needs"))
}

fn with_volume_options(mount: &mut EngineMount, options: &MountOptions, api: ApiVersion) -> Result<(), String> {
    let target = mount.target.clone().unwrap_or_default();
    if options.subpath.is_some() {
        needs(api, ApiVersion::VOLUME_SUBPATHS, "the subpath of the volume", &target)?;
    }
    if options.subpath.is_some() || !options.labels.is_empty() {
        let own = mount.volume_options.get_or_insert_default();
        own.subpath.clone_from(&options.subpath);
        // Ours win over the file's.
        let mut labels: HashMap<String, String> = options.labels.clone().into_iter().collect();
        labels.extend(own.labels.take().unwrap_or_default());
        own.labels = Some(labels);
    }
    Ok(())
}

/// A path of the host. The engine relabels it, and older ones make it, only in the short form.
fn add_bind(all: &mut Mounts, mount: &Mount, (source, create): (&str, bool), api: ApiVersion) -> Result<(), String> {
    let Mount { target, read_only, options, .. } = mount;
    let has_colon = source.contains(':') || target.contains(':');
    // Such an engine would leave `recursive` out in the short form, so that the path must be there.
    let is_old = api < ApiVersion::MAKES_MOUNT_SOURCES;
    let is_made = create && is_old && options.recursive.is_none();
    if let Some(label) = options.selinux.as_ref().filter(|_| has_colon || options.recursive.is_some()) {
        let why = if has_colon { "a path with a colon" } else { "`recursive`" };
        return Err(format!("the engine doesn't take selinux: {label} together with {why}, at {target}"));
    }
    if options.selinux.is_some() || (is_made && !has_colon) {
        let words = [read_only.then_some("ro"), options.selinux.as_deref(), options.propagation.as_deref()];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        let words = if words.is_empty() { String::new() } else { format!(":{}", words.join(",")) };
        all.binds.push(format!("{source}:{target}{words}"));
        return Ok(());
    }
    let mut bind = bind(source, target, create && !(is_old && options.recursive.is_some()), *read_only);
    if options.propagation.is_some() || options.recursive.is_some() {
        let own = bind.bind_options.get_or_insert_default();
        own.propagation = options.propagation.as_deref().and_then(|word| word.parse().ok());
        match options.recursive {
            Some(Recursive::Disabled) => own.non_recursive = Some(true),
            Some(Recursive::Writable) => {
                needs(api, ApiVersion::RECURSIVE_MOUNTS, "recursive: writable", target)?;
                own.read_only_non_recursive = Some(true);
            }
            Some(Recursive::Readonly) => {
                needs(api, ApiVersion::RECURSIVE_MOUNTS, "recursive: readonly", target)?;
                own.read_only_force_recursive = Some(true);
            }
            None => {}
        }
    }
    all.mounts.push(bind);
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
        Mount::new(target, kind, false)
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

    fn with(mut mount: Mount, options: MountOptions) -> Mount {
        mount.options = options;
        mount
    }

    #[test]
    fn how_a_path_of_the_host_is_mounted() {
        let mut request = request();
        let all = |options: MountOptions, api: (u32, u32)| {
            request.spec.mounts = vec![with(Mount { read_only: true, ..bind_of(true) }, options)];
            of_container(&request, ApiVersion::new(api.0, api.1))
        };
        let mut all = all;
        let label = || MountOptions { selinux: Some("Z".into()), ..Default::default() };
        let shared = || MountOptions { propagation: Some("rshared".into()), ..Default::default() };
        let recursive = |how| MountOptions { recursive: Some(how), ..Default::default() };
        assert_eq!(all(label(), (1, 41)).unwrap().binds, ["/host/b:/b:ro,Z"]);
        assert_eq!(all(label(), (1, 48)).unwrap().binds, ["/host/b:/b:ro,Z"], "a mount proper has no word for it");
        assert_eq!(all(shared(), (1, 41)).unwrap().binds, ["/host/b:/b:ro,rshared"]);
        let options = |mounts: Mounts| mounts.mounts[0].bind_options.clone().unwrap();
        let new = options(all(shared(), (1, 42)).unwrap());
        assert_eq!(new.propagation.unwrap().to_string(), "rshared");
        assert_eq!(options(all(recursive(Recursive::Disabled), (1, 41)).unwrap()).non_recursive, Some(true));
        let writable = || recursive(Recursive::Writable);
        assert_eq!(options(all(writable(), (1, 44)).unwrap()).read_only_non_recursive, Some(true));
        let forced = options(all(recursive(Recursive::Readonly), (1, 44)).unwrap());
        assert_eq!(forced.read_only_force_recursive, Some(true));
        let error = all(writable(), (1, 43)).unwrap_err();
        assert_eq!(error, "recursive: writable at /b needs an engine of API 1.44 or newer, and this one has 1.43");
        let both = MountOptions { recursive: Some(Recursive::Disabled), ..label() };
        assert!(all(both, (1, 48)).unwrap_err().contains("selinux: Z together with `recursive`, at /b"));
    }

    #[test]
    fn parts_and_labels_of_volumes() {
        let mut request = request();
        let part = || MountOptions { subpath: Some("a/b".into()), ..Default::default() };
        let labels = [("ours", "no"), ("file", "yes")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let labelled = MountOptions { labels, ..Default::default() };
        request.volumes.insert("data".into(), data(&[("ours", "yes")]));
        let key = VolumeKey::new("data").unwrap();
        let named = || mount("/data", MountKind::Volume { key: key.clone(), nocopy: false });
        let image = mount("/i", MountKind::Image { reference: "app:1".into() });
        request.spec.mounts = vec![
            with(named(), MountOptions { subpath: Some("a/b".into()), ..labelled.clone() }),
            with(mount("/anon", MountKind::Anonymous), labelled),
            with(image.clone(), part()),
        ];
        let all = of_container(&request, ApiVersion::new(1, 48)).unwrap().mounts;
        let of = |index: usize| all[index].volume_options.clone().unwrap();
        assert_eq!(of(0).subpath.as_deref(), Some("a/b"));
        assert_eq!(of(0).labels.unwrap()["ours"], "yes");
        assert_eq!(of(1).labels.unwrap()["file"], "yes");
        assert_eq!((all[2].typ, all[2].source.as_deref()), (Some(MountType::IMAGE), Some("app:1")));
        assert_eq!(all[2].image_options.as_ref().unwrap().subpath.as_deref(), Some("a/b"));
        let mut refused = |mount: Mount| {
            request.spec.mounts = vec![mount];
            of_container(&request, ApiVersion::new(1, 44)).unwrap_err()
        };
        let version = "needs an engine of API 1.45 or newer, and this one has 1.44";
        assert_eq!(refused(with(named(), part())), format!("the subpath of the volume at /data {version}"));
        assert!(refused(image).starts_with("an image as a mount at /i needs an engine of API 1.48"));
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
            Mount {
                options: MountOptions { nocopy: true, ..Default::default() },
                ..mount("/fresh", MountKind::Anonymous)
            },
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
        assert_eq!(all.mounts[1].volume_options.as_ref().unwrap().no_copy, Some(true));
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
