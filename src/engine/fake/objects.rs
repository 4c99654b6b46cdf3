//! What calls do to volumes, images and containers at rest.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::container::{Attachment, Container};
use super::world::{FakeVolume, Image, Trouble, World};
use crate::cluster::{Mount, MountKind};
use crate::engine::{
    CreateContainer, CreateVolume, ErrorKind, Foreign, ImageInfo, Observed, ObservedVolume, Status, labels,
};
use crate::names::{ClusterName, ContainerId};

/// The image that a reference stands for when a test doesn't say more.
pub(super) fn plain_image(reference: &str) -> ImageInfo {
    let digest = Sha256::digest(reference.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    ImageInfo { id: format!("sha256:{hex}"), ..ImageInfo::default() }
}

impl World {
    /// `image`, by reference or id.
    pub(super) fn find_image(&self, reference: &str) -> Option<ImageInfo> {
        let present = |image: &Image| match image {
            Image::Present(info) => Some(info.clone()),
            Image::Pullable(..) => None,
        };
        let by_name = self.images.get(reference).and_then(present);
        by_name.or_else(|| self.images.values().filter_map(present).find(|info| info.id == reference))
    }

    /// How long a pull takes.
    pub(super) fn pull_time(&self, reference: &str) -> Result<Duration, Trouble> {
        match self.images.get(reference) {
            Some(Image::Present(_)) => Ok(Duration::from_millis(20)),
            Some(Image::Pullable(takes, _)) => Ok(*takes),
            None => Err((ErrorKind::ImageMissing, format!("pull access denied for {reference}, it does not exist"))),
        }
    }

    /// The end of a pull.
    pub(super) fn image_arrives(&mut self, reference: &str) {
        if let Some(image) = self.images.get_mut(reference)
            && let Image::Pullable(_, info) = image
        {
            *image = Image::Present(info.clone());
        }
    }

    /// The end of a build.
    pub(super) fn image_is_built(&mut self, tag: &str) -> Result<(), Trouble> {
        if let Some(text) = self.builds_that_fail.get(tag) {
            return Err((ErrorKind::Rejected, text.clone()));
        }
        self.images.insert(tag.to_owned(), Image::Present(plain_image(tag)));
        Ok(())
    }

    /// `all_clusters`.
    pub(super) fn all_clusters(&self) -> Vec<ClusterName> {
        let containers = self.containers.values().map(|container| &container.labels);
        let networks = self.networks.values().map(|network| &network.labels);
        let all = containers.chain(networks).chain(self.volumes.values().map(|volume| &volume.labels));
        let names = all.filter_map(|labels| ClusterName::new(labels.get(labels::CLUSTER)?.clone()).ok());
        names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// `create_volume`.
    pub(super) fn make_volume(&mut self, request: &CreateVolume) {
        let volume = FakeVolume { labels: request.labels.clone(), anonymous: false };
        self.volumes.entry(request.name.clone()).or_insert(volume);
    }

    /// `remove_volume`; one that is gone is success.
    pub(super) fn drop_volume(&mut self, name: &str) -> Result<(), Trouble> {
        let Some(volume) = self.volumes.get(name).cloned() else { return Ok(()) };
        if !volume.anonymous {
            self.check_ours("removed volume", name, &volume.labels);
        }
        let uses = |container: &&Container| {
            container.volumes.iter().chain(container.anonymous.values()).any(|volume| volume == name)
        };
        if let Some(user) = self.containers.values().find(uses) {
            return Err((ErrorKind::InUse, format!("remove {name}: volume is in use - [{}]", user.id)));
        }
        self.volumes.remove(name);
        Ok(())
    }

    /// `create_container`.
    pub(super) fn make_container(&mut self, request: &CreateContainer) -> Result<ContainerId, Trouble> {
        let image = self
            .find_image(&request.image)
            .ok_or_else(|| (ErrorKind::ImageMissing, format!("No such image: {}", request.image)))?;
        let mut mounted = request.spec.mounts.iter().filter_map(Mount::image);
        if let Some(missing) = mounted.find(|mounted| self.find_image(mounted).is_none()) {
            return Err((ErrorKind::ImageMissing, format!("No such image: {missing}")));
        }
        self.check_name(&request.name)?;
        // Only the networks after the first are looked up now; a missing first one is found at the start.
        if let Some(gone) = request.networks.iter().skip(1).find(|at| !self.networks.contains_key(&at.network_id)) {
            return Err((ErrorKind::NotFound, format!("network {} not found", gone.network_name)));
        }
        let shared = request.spec.network_mode.as_deref().and_then(|mode| mode.strip_prefix("container:"));
        let shares_network = shared.map(|name| self.sharer(name)).transpose()?;
        let id = ContainerId::new(self.ids_rng.id()).map_err(|error| (ErrorKind::Internal, error.to_string()))?;
        let (volumes, anonymous) = self.mount(request, &image);
        let mut container = self.blank(id.clone(), &request.name, &request.image);
        container.image_id = image.id;
        container.shares_network = shares_network;
        container.labels = request.labels.clone();
        container.policy = request.spec.restart;
        container.health_check = if request.health_disabled { None } else { request.health.clone().or(image.health) };
        container.volumes = volumes;
        container.anonymous = anonymous;
        container.endpoints = request
            .networks
            .iter()
            .map(|at| Attachment {
                network_id: at.network_id.clone(),
                network_name: at.network_name.clone(),
                fixed: at.address,
                address: None,
                aliases: at.aliases.clone(),
            })
            .collect();
        container.request = Some(Box::new(request.clone()));
        self.containers.insert(id.clone(), container);
        self.note_created(&request.name, &id);
        self.emit(&id, "create");
        Ok(id)
    }

    /// The engine notes the container's id, not its name.
    fn sharer(&self, name: &str) -> Result<ContainerId, Trouble> {
        let found = self.containers.values().find(|container| container.name == name || container.id.as_str() == name);
        let missing = || (ErrorKind::NotFound, format!("No such container: {name}"));
        found.map(|container| container.id.clone()).ok_or_else(missing)
    }

    fn check_name(&self, name: &str) -> Result<(), Trouble> {
        match self.containers.values().find(|container| container.name == name) {
            Some(other) => Err((
                ErrorKind::NameTaken,
                format!("Conflict. The container name \"/{name}\" is already in use by container \"{}\"", other.id),
            )),
            None => Ok(()),
        }
    }

    /// A container that was just made, of nothing yet.
    pub(super) fn blank(&self, id: ContainerId, name: &str, image: &str) -> Container {
        Container {
            id,
            name: name.to_owned(),
            image: image.to_owned(),
            image_id: String::new(),
            labels: BTreeMap::new(),
            request: None,
            policy: crate::cluster::RestartPolicy::No,
            health_check: None,
            created_at: self.now,
            status: Status::Created,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            started_at: None,
            finished_at: None,
            restart_count: 0,
            stopped_by_call: false,
            stopping: false,
            backoff: Duration::ZERO,
            run: 0,
            live: false,
            ready: false,
            was_ready: false,
            execs: 0,
            health: None,
            endpoints: Vec::new(),
            bound: Vec::new(),
            volumes: Vec::new(),
            anonymous: BTreeMap::new(),
            log: Vec::new(),
            shares_network: None,
        }
    }

    /// Volumes of a new container: the named ones, and by mount point its own. As in the real engine, a named volume
    /// that isn't there is made without a word.
    fn mount(&mut self, request: &CreateContainer, image: &ImageInfo) -> (Vec<String>, BTreeMap<String, String>) {
        let mut named = Vec::new();
        let mut own = BTreeMap::new();
        let mut targets: Vec<&str> = Vec::new();
        let mut wanted: Vec<&str> = Vec::new();
        for mount in &request.spec.mounts {
            targets.push(&mount.target);
            match &mount.kind {
                MountKind::Volume { key, .. } => {
                    let Some(volume) = request.volumes.get(key.as_str()) else { continue };
                    self.make_volume(volume);
                    named.push(volume.name.clone());
                }
                MountKind::Anonymous => wanted.push(&mount.target),
                MountKind::Bind { .. } | MountKind::Tmpfs { .. } | MountKind::Image { .. } => {}
            }
        }
        let of_image = image.volumes.iter().map(String::as_str);
        wanted.extend(of_image.filter(|target| !targets.contains(target)));
        for target in wanted {
            let name = request.carried_volumes.get(target).cloned().unwrap_or_else(|| self.ids_rng.id());
            self.volumes.entry(name.clone()).or_insert(FakeVolume { labels: BTreeMap::new(), anonymous: true });
            own.insert(target.to_owned(), name);
        }
        (named, own)
    }

    /// `rename`.
    pub(super) fn rename_container(&mut self, id: &ContainerId, name: &str) -> Result<(), Trouble> {
        let labels = self.container(id)?.labels.clone();
        if self.container(id)?.name == name {
            return Ok(());
        }
        self.check_ours("renamed", name, &labels);
        self.check_name(name)?;
        self.container(id)?.name = name.to_owned();
        self.emit(id, "rename");
        Ok(())
    }

    /// `observe`.
    pub(super) fn observe(&self, cluster: &ClusterName) -> Observed {
        let is_ours = |labels: &BTreeMap<String, String>| {
            labels.get(labels::CLUSTER).is_some_and(|name| name == cluster.as_str())
        };
        let is_own = |at: &&Container| {
            is_ours(&at.labels) && labels::is_own_name(at.labels.get(labels::CONTAINER).map(String::as_str), &at.name)
        };
        let (ours, others): (Vec<_>, Vec<_>) = self.containers.values().partition(is_own);
        let (networks, other_networks) =
            self.observed_networks().into_iter().partition(|network| is_ours(&network.labels));
        let (volumes, other_volumes): (Vec<_>, Vec<_>) =
            self.volumes.iter().partition(|(_, volume)| is_ours(&volume.labels));
        let mut observed = Observed {
            containers: ours.into_iter().filter_map(Container::observed).collect(),
            networks,
            other_networks,
            volumes: volumes
                .into_iter()
                .map(|(name, volume)| ObservedVolume { name: name.clone(), labels: volume.labels.clone() })
                .collect(),
            other_volumes: other_volumes.into_iter().map(|(name, _)| name.clone()).collect(),
            foreign_containers: others.into_iter().map(foreign).collect(),
            subnets_in_use: self.subnets_in_use(),
            one_offs: Vec::new(),
        };
        observed.part_one_offs();
        observed.name_components();
        observed.find_lost_networks();
        observed
    }
}

fn foreign(container: &Container) -> Foreign {
    Foreign {
        name: container.name.clone(),
        cluster: container.labels.get(labels::CLUSTER).cloned(),
        project: container.labels.get(labels::COMPOSE_PROJECT).cloned(),
        host_ports: container.bound.iter().filter_map(|port| port.host_port).collect(),
        networks: container.endpoints.iter().map(|at| at.network_id.clone()).collect(),
    }
}
