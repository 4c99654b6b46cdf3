//! What has to be there before a container can be made: images, networks, volumes.

use std::time::Duration;

use super::driver::{Driver, IMAGE_PATIENCE};
use super::input::Call;
use crate::cluster::{Component, Network};
use crate::engine::{CreateNetwork, EngineError, ErrorKind, ImageInfo, Observed, ObservedNetwork, Progress, Subnet};
use crate::event::{EventKind, Outcome};
use crate::names::{NetworkKey, VolumeKey};
use crate::plan::addresses::{self, NetworkAddressing};
use crate::plan::request;

/// How far an image is.
#[derive(Debug, Clone)]
pub(super) enum ImageState {
    /// Being looked for.
    Finding,
    /// Not there; nobody needed it so far.
    Missing,
    /// Being pulled or built; last progress at.
    Obtaining { progress_at: Duration, said_at: Option<Duration>, last: Option<Progress> },
    /// There.
    Ready(ImageInfo),
    /// The call failed and may be tried again at.
    RetryAt { at: Duration, obtain: bool },
}

impl ImageState {
    pub(super) const fn info(&self) -> Option<&ImageInfo> {
        match self {
            Self::Ready(info) => Some(info),
            _ => None,
        }
    }
}

/// How far a network is.
#[derive(Debug, Clone, Default)]
pub(super) struct NetworkState {
    /// As the engine has it.
    pub(super) network: Option<ObservedNetwork>,
    /// A call is in flight, with the subnet asked for.
    pub(super) creating: Option<Option<Subnet>>,
    /// Subnets that turned out to be taken.
    pub(super) refused: Vec<Subnet>,
    /// No subnet of ours fits: let the engine pick.
    pub(super) engine_picks: bool,
    /// A create call failed then and may have taken effect: only a list from later on says whether.
    pub(super) in_doubt: Option<Duration>,
    /// When this run made it.
    pub(super) created_at: Option<Duration>,
    pub(super) retry: Retry,
}

/// How far a volume is.
#[derive(Debug, Clone, Default)]
pub(super) struct VolumeState {
    pub(super) is_there: bool,
    pub(super) creating: bool,
    pub(super) retry: Retry,
}

/// When to try a failed call again.
#[derive(Debug, Clone, Default)]
pub(super) struct Retry {
    pub(super) at: Duration,
    /// Attempts that the engine failed.
    pub(super) attempts: u32,
    /// All that failed: what pauses grow with.
    pub(super) tries: u32,
}

/// Calls that failed inside the engine so often in a row are given up. Those that never reached it are not counted:
/// that has a limit of its own.
pub(super) const ATTEMPTS: u32 = 8;

impl Retry {
    /// Plans the next attempt; false when there have been enough.
    pub(super) fn again(&mut self, now: Duration, error: &EngineError) -> bool {
        if !matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Timeout(_)) {
            self.attempts += 1;
        }
        self.tries += 1;
        self.at = now + pause(self.tries);
        error.kind.is_transient() && self.attempts < ATTEMPTS
    }
}

/// The pause before the n-th attempt: 0.1 s, doubled up to 3.2 s.
pub(super) fn pause(attempts: u32) -> Duration {
    Duration::from_millis(100 << attempts.saturating_sub(1).min(5))
}

impl Driver {
    /// Asks for every image, each once.
    pub(super) fn find_images(&mut self) {
        if self.options.from_labels {
            return;
        }
        let references: Vec<String> = self.selected().map(|(_, node)| node.component.image.clone()).collect();
        for reference in references {
            if self.images.insert(reference.clone(), ImageState::Finding).is_none() {
                self.call(Call::FindImage(reference));
            }
        }
    }

    pub(super) fn take_image(&mut self, reference: &str, result: Result<Option<ImageInfo>, EngineError>) {
        let (now, rebuild) = (self.now, self.options.rebuild);
        let Some(state) = self.images.get(reference) else { return };
        let obtaining = matches!(state, ImageState::Obtaining { .. });
        let builds = self.build_of(reference).is_some();
        let next = match result {
            Ok(Some(_)) if rebuild && builds && !obtaining => ImageState::Missing,
            Ok(Some(info)) => {
                let how = if !obtaining {
                    "present"
                } else if builds {
                    "built"
                } else {
                    "pulled"
                };
                self.emit(EventKind::ImageReady { image: reference.into(), how: how.into() });
                self.learn_health(reference, &info);
                ImageState::Ready(info)
            }
            Ok(None) => ImageState::Missing,
            Err(error) => {
                let retry = self.image_retries.entry(reference.to_owned()).or_default();
                let (again, at) = (retry.again(now, &error), retry.at);
                if !again {
                    return self.image_failed(reference, &error);
                }
                self.note_trouble(&error);
                ImageState::RetryAt { at, obtain: obtaining }
            }
        };
        self.images.insert(reference.to_owned(), next);
    }

    fn image_failed(&mut self, reference: &str, error: &EngineError) {
        let hint = match (&error.kind, self.build_of(reference)) {
            (_, Some((service, _))) => format!("the build of service {service} failed: see the lines above"),
            (ErrorKind::ImageMissing | ErrorKind::NotFound, None) => {
                "check the image's name and tag; for a private registry: `docker login`".to_owned()
            }
            _ => "is the registry reachable? an image can also be loaded with `docker load`".to_owned(),
        };
        let user = self.selected().find(|(_, n)| n.component.image == reference).map(|(name, _)| name.clone());
        self.fail_component_or_run(user, format!("image {reference} can't be had: {}", error.message), Some(hint));
    }

    fn learn_health(&mut self, reference: &str, info: &ImageInfo) {
        for node in self.nodes.values_mut().filter(|node| node.component.image == reference) {
            node.image_health.clone_from(&info.health);
        }
    }

    fn build_of(&self, reference: &str) -> Option<(String, crate::cluster::Build)> {
        let of = |c: &Component| c.build.clone().map(|build| (c.service.to_string(), build));
        self.nodes.values().filter(|n| n.component.image == reference).find_map(|node| of(&node.component))
    }

    /// Moves images on: looks again after a failure, pulls or builds what a component needs.
    pub(super) fn advance_images(&mut self) {
        for reference in self.images.keys().cloned().collect::<Vec<_>>() {
            let next = match self.images.get(&reference) {
                Some(ImageState::RetryAt { at, obtain, .. }) if self.now >= *at => Some(*obtain),
                Some(ImageState::RetryAt { at, .. }) => {
                    let at = *at;
                    self.wake_at(at);
                    None
                }
                Some(ImageState::Missing) if self.image_is_needed(&reference) => Some(true),
                Some(ImageState::Obtaining { progress_at, .. }) => {
                    let limit = *progress_at + IMAGE_PATIENCE;
                    self.check_image_patience(&reference, limit);
                    None
                }
                _ => None,
            };
            match next {
                Some(true) => self.obtain(reference),
                Some(false) => self.find_again(reference),
                None => {}
            }
        }
        let all_there = self.images.values().all(|state| matches!(state, ImageState::Ready(_) | ImageState::Missing));
        if all_there && self.images_ready_at.is_none() && self.observed.is_some() {
            self.images_ready_at = Some(self.now);
        } else if !all_there {
            self.images_ready_at = None;
        }
    }

    pub(super) fn find_again(&mut self, reference: String) {
        self.images.insert(reference.clone(), ImageState::Finding);
        self.call(Call::FindImage(reference));
    }

    fn obtain(&mut self, reference: String) {
        let state = ImageState::Obtaining { progress_at: self.now, said_at: None, last: None };
        self.images.insert(reference.clone(), state);
        let (service, build) = self.build_of(&reference).map_or((String::new(), None), |(s, b)| (s, Some(b)));
        self.call(Call::ObtainImage { image: reference, build, service });
    }

    fn check_image_patience(&mut self, reference: &str, limit: Duration) {
        if self.options.timeout.is_some() {
            return;
        }
        if self.now >= limit {
            let what = format!("image {reference}: no progress for {} s", IMAGE_PATIENCE.as_secs());
            let hint = Some("is the registry reachable? `--timeout` sets another limit".into());
            self.fail_run(what, hint, Outcome::DeadlinePassed);
        } else {
            self.wake_at(limit);
        }
    }

    pub(super) fn take_progress(&mut self, image: String, progress: Progress) {
        let now = self.now;
        let Some(ImageState::Obtaining { progress_at, said_at, last }) = self.images.get_mut(&image) else { return };
        if last.as_ref() == Some(&progress) {
            return;
        }
        *progress_at = now;
        *last = Some(progress.clone());
        if said_at.is_some_and(|at| now < at + Duration::from_secs(1)) {
            return;
        }
        *said_at = Some(now);
        let Progress { text, current, total } = progress;
        self.emit(EventKind::ImageProgress { image, text, current, total });
    }

    fn image_is_needed(&self, reference: &str) -> bool {
        self.observed.is_some()
            && self.selected().any(|(_, node)| {
                let c = &node.component;
                c.image == reference && (self.needs_container(node) || (self.options.rebuild && c.build.is_some()))
            })
    }

    /// Takes networks and volumes from a list.
    pub(super) fn take_objects(&mut self, observed: &Observed, asked: Duration) {
        for (key, network) in &self.cluster.networks {
            let state = self.networks.entry(key.clone()).or_default();
            if state.creating.is_some() || state.created_at.is_some_and(|at| at > asked) {
                // The list is older than what is known.
                continue;
            }
            if state.in_doubt.is_some_and(|since| asked >= since) {
                state.in_doubt = None;
            }
            let found = find_network(network, state.network.as_ref(), observed);
            if state.network.as_ref().map(|n| &n.id) != found.map(|n| &n.id) {
                self.addressing = None;
            }
            state.network = found.cloned();
        }
        for (key, volume) in &self.cluster.volumes {
            let ours = observed.volumes.iter().any(|v| v.name == volume.engine_name);
            let others = observed.other_volumes.contains(&volume.engine_name);
            let state = self.volumes.entry(key.clone()).or_default();
            state.is_there = ours || others;
        }
    }

    /// Makes networks and volumes that some component's creation needs.
    pub(super) fn advance_objects(&mut self) {
        if self.observed.is_none() || self.options.from_labels {
            return;
        }
        let creating = self.selected().any(|(_, node)| self.needs_container(node));
        if !creating {
            return;
        }
        for key in self.cluster.networks.keys().cloned().collect::<Vec<_>>() {
            self.advance_network(&key);
        }
        for key in self.cluster.volumes.keys().cloned().collect::<Vec<_>>() {
            self.advance_volume(&key);
        }
        self.hand_out_addresses();
    }

    fn advance_network(&mut self, key: &NetworkKey) {
        let Some(network) = self.cluster.networks.get(key).cloned() else { return };
        let Some(state) = self.networks.get(key) else { return };
        let retry_at = state.retry.at;
        if state.network.is_some() || state.creating.is_some() {
            return;
        }
        if state.in_doubt.is_some() {
            self.observe_again = true;
            return;
        }
        if network.external {
            let what = format!("network {} is external, and the engine doesn't have it", network.engine_name);
            let hint = Some(format!("make it with `docker network create {}`", network.engine_name));
            return self.fail_run(what, hint, Outcome::Failed);
        }
        if self.refuse_foreign_network(&network) {
            return;
        }
        if self.now < retry_at {
            return self.wake_at(retry_at);
        }
        let request = self.network_request(key, &network);
        if let Some(state) = self.networks.get_mut(key) {
            state.creating = Some(request.subnet);
        }
        self.call(Call::CreateNetwork(key.clone(), request));
    }

    fn refuse_foreign_network(&mut self, network: &Network) -> bool {
        let taken =
            self.observed.as_ref().is_some_and(|o| o.other_networks.iter().any(|n| n.name == network.engine_name));
        if taken {
            let name = &network.engine_name;
            let what = format!("a network named {name} is there already, and convoke didn't make it");
            let hint = format!("remove it with `docker network rm {name}`, or choose another name with -p");
            self.fail_run(what, Some(hint), Outcome::Failed);
        }
        taken
    }

    fn network_request(&self, key: &NetworkKey, network: &Network) -> CreateNetwork {
        let mut request = CreateNetwork {
            name: network.engine_name.clone(),
            labels: request::network_labels(&self.cluster, &self.options.run, network),
            driver: network.driver.clone(),
            driver_opts: network.driver_opts.clone(),
            internal: network.internal,
            attachable: network.attachable,
            subnet: network.subnet.as_deref().and_then(|text| text.parse().ok()),
            gateway: network.gateway.as_deref().and_then(|text| text.parse().ok()),
            ip_range: None,
        };
        if let Some(choice) = request.subnet.and_then(|s| NetworkAddressing::divide(s, request.gateway)) {
            // The file's subnet is shared out the same way: dynamic addresses keep to their part.
            request.gateway = Some(choice.gateway);
            request.ip_range = Some(choice.ip_range);
        }
        let state = self.networks.get(key);
        if request.subnet.is_some() || !network.is_addressed() || state.is_some_and(|s| s.engine_picks) {
            return request;
        }
        let mut in_use = self.observed.as_ref().map(|o| o.subnets_in_use.clone()).unwrap_or_default();
        in_use.extend(state.iter().flat_map(|s| s.refused.iter().copied()));
        in_use.extend(self.networks.values().filter_map(|s| s.creating.flatten()));
        let members = self.nodes.values().filter(|n| n.component.spec.networks.contains_key(key)).count();
        let candidates = addresses::subnet_candidates(&in_use, self.options.pool, &self.cluster.name, key, members);
        if let Some(choice) = candidates.into_iter().next() {
            request.subnet = Some(choice.subnet);
            request.gateway = Some(choice.gateway);
            request.ip_range = Some(choice.ip_range);
        }
        request
    }

    pub(super) fn take_network(&mut self, key: &NetworkKey, result: Result<String, EngineError>) {
        let now = self.now;
        let Some(network) = self.cluster.networks.get(key).cloned() else { return };
        let Some(state) = self.networks.get_mut(key) else { return };
        let subnet = state.creating.take().flatten();
        match result {
            Ok(id) => {
                state.retry = Retry::default();
                state.created_at = Some(now);
                let name = network.engine_name.clone();
                let known = subnet.is_some() || !network.is_addressed();
                if known {
                    let gateway = subnet.and_then(|s| s.address(1));
                    let configured = subnet.is_some();
                    let driver = network.driver.clone().unwrap_or_else(|| "bridge".into());
                    let labels = request::network_labels(&self.cluster, &self.options.run, &network);
                    state.network = Some(ObservedNetwork {
                        id,
                        name: name.clone(),
                        labels,
                        driver,
                        subnet,
                        subnet_configured: configured,
                        gateway,
                        created_at: None,
                    });
                } else {
                    // The engine picked: what, only a list tells.
                    state.in_doubt = Some(now);
                    self.observe_again = true;
                }
                self.emit(EventKind::NetworkCreated { network: name, subnet: subnet.map(|s| s.to_string()) });
            }
            Err(error) if error.kind == ErrorKind::PoolOverlaps => {
                match subnet {
                    Some(subnet) if network.subnet.is_none() => state.refused.push(subnet),
                    _ => return self.fail_run(error.to_string(), subnet_hint(&network), Outcome::Failed),
                }
                state.engine_picks = state.refused.len() >= 32;
                self.observe_again = true;
            }
            Err(error) if state.retry.again(now, &error) => {
                state.in_doubt = Some(now);
                self.note_trouble(&error);
                self.observe_again = true;
            }
            Err(error) => self.fail_run(error.to_string(), subnet_hint(&network), Outcome::Failed),
        }
    }

    fn advance_volume(&mut self, key: &VolumeKey) {
        let Some(volume) = self.cluster.volumes.get(key).cloned() else { return };
        let Some(state) = self.volumes.get_mut(key) else { return };
        if state.is_there || state.creating {
            return;
        }
        if volume.external {
            let what = format!("volume {} is external, and the engine doesn't have it", volume.engine_name);
            let hint = Some(format!("make it with `docker volume create {}`", volume.engine_name));
            return self.fail_run(what, hint, Outcome::Failed);
        }
        if self.now < state.retry.at {
            let at = state.retry.at;
            return self.wake_at(at);
        }
        state.creating = true;
        let request = request::volume(&self.cluster, &self.options.run, &volume);
        self.call(Call::CreateVolume(key.clone(), request));
    }

    pub(super) fn take_volume(&mut self, key: &VolumeKey, result: Result<(), EngineError>) {
        let now = self.now;
        let Some(volume) = self.cluster.volumes.get(key).map(|v| v.engine_name.clone()) else { return };
        let Some(state) = self.volumes.get_mut(key) else { return };
        state.creating = false;
        match result {
            Ok(()) => {
                state.is_there = true;
                state.retry = Retry::default();
                self.emit(EventKind::VolumeCreated { volume });
            }
            Err(error) if state.retry.again(now, &error) => self.note_trouble(&error),
            Err(error) => self.fail_run(error.to_string(), None, Outcome::Failed),
        }
    }

    /// Once every network is there: addresses and hosts entries, for all components at once.
    fn hand_out_addresses(&mut self) {
        if self.addressing.is_some() || self.observed_asked < self.addressing_after {
            return;
        }
        let mut there = std::collections::BTreeMap::new();
        for key in self.cluster.networks.keys() {
            let Some(network) = self.networks.get(key).and_then(|state| state.network.clone()) else { return };
            there.insert(key.clone(), network);
        }
        let Some(observed) = &self.observed else { return };
        self.addressing = Some(addresses::assign_without(&self.cluster, &there, observed, &self.refused_addresses));
    }

    /// Networks as the engine has them.
    pub(super) fn networks_there(&self) -> std::collections::BTreeMap<NetworkKey, ObservedNetwork> {
        self.networks.iter().filter_map(|(key, s)| s.network.clone().map(|n| (key.clone(), n))).collect()
    }
}

/// The network that a key stands for. An engine may have several of one name, since a create call can take effect
/// after it was given up: it is the one in use already, or that most containers are on, or the oldest.
fn find_network<'a>(
    wanted: &Network,
    known: Option<&ObservedNetwork>,
    observed: &'a Observed,
) -> Option<&'a ObservedNetwork> {
    let pool = if wanted.external { &observed.other_networks[..] } else { &[] };
    let of_name = || pool.iter().chain(&observed.networks).filter(|network| network.name == wanted.engine_name);
    let members = |network: &ObservedNetwork| {
        let on = |c: &&crate::engine::ObservedContainer| c.networks.values().any(|at| at.network_id == network.id);
        observed.containers.iter().filter(on).count()
    };
    let same = of_name().find(|network| known.is_some_and(|known| known.id == network.id));
    same.or_else(|| of_name().rev().max_by_key(|network| members(network)))
}

fn subnet_hint(network: &Network) -> Option<String> {
    match &network.subnet {
        Some(subnet) => Some(format!("{subnet} is in use: give network {} another subnet", network.key)),
        None => Some("unused networks are removed by `docker network prune`".into()),
    }
}
