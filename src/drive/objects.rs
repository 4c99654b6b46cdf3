//! What has to be there before a container can be made, besides its image: networks, volumes, addresses.

use std::collections::BTreeSet;
use std::time::Duration;

use super::driver::Driver;
use super::input::Call;
use super::node::Node;
use super::retry::{ATTEMPTS, Retry};
use crate::cluster::{Mount, Network};
use crate::engine::{
    CreateNetwork, EngineError, ErrorKind, Observed, ObservedContainer, ObservedNetwork, Status, Subnet,
};
use crate::event::{EventKind, Outcome};
use crate::names::{NetworkKey, VolumeKey};
use crate::plan::addresses::{self, NetworkAddressing};
use crate::plan::request;

/// What became of a network whose subnet the engine picked. Such a one allows no fixed addresses: it is made once more,
/// with the same subnet given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Pick {
    /// The engine didn't pick.
    #[default]
    None,
    /// It did; what, the next list tells.
    Made,
    /// The network goes, and is made anew with this subnet.
    Again(Subnet),
    /// Somebody else has got the subnet: it stays at names by DNS.
    GivenUp,
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
    pub(super) pick: Pick,
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

impl Driver {
    /// Takes networks and volumes from a list.
    pub(super) fn take_objects(&mut self, observed: &Observed, asked: Duration) {
        let mut twins = Vec::new();
        for (key, network) in &self.cluster.networks {
            let state = self.networks.entry(key.clone()).or_default();
            if state.creating.is_some() || state.created_at.is_some_and(|at| at > asked) {
                // The list is older than what is known.
                continue;
            }
            if state.in_doubt.is_some_and(|since| asked >= since) {
                state.in_doubt = None;
            }
            let (found, others) = find_network(network, observed);
            twins.extend(others.map(|twin| twin.id.clone()));
            if state.pick == Pick::Made
                && let Some((picked, subnet)) = found.and_then(|found| Some((found, found.subnet?)))
            {
                state.pick = Pick::Again(subnet);
                twins.push(picked.id.clone());
            }
            let found = found.filter(|found| !twins.contains(&found.id) && !self.twins.contains(&found.id));
            if state.network.as_ref().map(|n| &n.id) != found.map(|n| &n.id) {
                self.addressing = None;
            }
            state.network = found.cloned();
        }
        for id in twins {
            if self.twins.insert(id.clone()) {
                self.call(Call::RemoveTwin(id));
            }
        }
        for (key, volume) in &self.cluster.volumes {
            let ours = observed.volumes.iter().any(|v| v.name == volume.engine_name);
            let others = observed.other_volumes.contains(&volume.engine_name);
            let state = self.volumes.entry(key.clone()).or_default();
            // One of somebody else's was refused, unless it is external or came up meanwhile.
            state.is_there = ours || others;
        }
    }

    /// One that can't be removed after all is found by the next list.
    pub(super) fn take_twin_removed(&mut self, id: &str, result: Result<(), EngineError>) {
        self.twins.remove(id);
        if let Err(error) = result {
            self.note_trouble(&error);
        }
    }

    /// Makes networks and volumes that some component's creation or start needs.
    pub(super) fn advance_objects(&mut self) {
        if self.observed.is_none() || self.options.from_labels {
            return;
        }
        let needs = |node: &Node| self.needs_container(node) || (!node.is_running && self.lacks_network(node));
        let is_needed = self.selected().any(|(name, node)| !self.is_held(name) && needs(node));
        if !is_needed {
            return;
        }
        let (networks, volumes) = self.objects_needed();
        for key in &networks {
            self.advance_network(key);
        }
        for key in &volumes {
            self.advance_volume(key);
        }
        self.hand_out_addresses();
    }

    /// The networks and volumes of the components that are acted on.
    fn objects_needed(&self) -> (BTreeSet<NetworkKey>, BTreeSet<VolumeKey>) {
        let specs = || self.selected().map(|(_, node)| &node.component.spec);
        let networks = specs().flat_map(|spec| spec.networks.keys()).filter(|key| self.networks.contains_key(*key));
        let volumes = specs().flat_map(|spec| &spec.mounts).filter_map(Mount::volume);
        (networks.cloned().collect(), volumes.cloned().collect())
    }

    fn advance_network(&mut self, key: &NetworkKey) {
        let Some(network) = self.cluster.networks.get(key).cloned() else { return };
        let Some(state) = self.networks.get(key) else { return };
        let retry_at = state.retry.at;
        let is_going = matches!(state.pick, Pick::Again(_)) && !self.twins.is_empty();
        if state.network.is_some() || state.creating.is_some() || is_going {
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
        self.call(Call::CreateNetwork(key.clone(), Box::new(request)));
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
            ipam: network.ipam.clone(),
        };
        if let Some(choice) = request.subnet.and_then(|s| NetworkAddressing::divide(s, request.gateway)) {
            // The file's subnet is shared out the same way: dynamic addresses keep to their part.
            request.gateway = Some(choice.gateway);
            let own = network.ipam.ip_range.as_deref().and_then(|text| text.parse().ok());
            request.ip_range = own.or(Some(choice.ip_range));
        }
        let state = self.networks.get(key);
        if let Some(Pick::Again(subnet)) = state.map(|state| state.pick) {
            let choice = NetworkAddressing::divide(subnet, None);
            request.subnet = Some(subnet);
            request.gateway = choice.map(|choice| choice.gateway);
            request.ip_range = choice.map(|choice| choice.ip_range);
            return request;
        }
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
                    if state.pick == Pick::None {
                        state.pick = Pick::Made;
                    }
                    self.observe_again = true;
                }
                self.emit(EventKind::NetworkCreated { network: name, subnet: subnet.map(|s| s.to_string()) });
            }
            Err(error) if error.kind == ErrorKind::PoolOverlaps => {
                match subnet {
                    Some(_) if matches!(state.pick, Pick::Again(_)) => state.pick = Pick::GivenUp,
                    Some(subnet) if network.subnet.is_none() => state.refused.push(subnet),
                    _ => return self.fail_run(error.to_string(), subnet_hint(&network, &error), Outcome::Failed),
                }
                state.engine_picks = state.pick == Pick::GivenUp || state.refused.len() >= 32;
                self.observe_again = true;
            }
            // Of two who make it at once, one is told so by newer engines: the list shows it, ours or not.
            Err(error) if error.kind == ErrorKind::NameTaken && state.retry.attempts < ATTEMPTS => {
                _ = state.retry.again(now, &error);
                state.in_doubt = Some(now);
                self.observe_again = true;
            }
            Err(error) if state.retry.again(now, &error) => {
                state.in_doubt = Some(now);
                self.note_trouble(&error);
                self.observe_again = true;
            }
            Err(error) => self.fail_run(error.to_string(), subnet_hint(&network, &error), Outcome::Failed),
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

    /// Once every network that is needed is there: addresses and hosts entries, for all components at once.
    pub(super) fn hand_out_addresses(&mut self) {
        if self.addressing.is_some() || self.observed_asked < self.addressing_after {
            return;
        }
        let there = self.networks_there();
        if self.objects_needed().0.iter().any(|key| !there.contains_key(key)) {
            return;
        }
        let Some(observed) = &self.observed else { return };
        self.addressing = Some(addresses::assign_without(&self.cluster, &there, observed, &self.refused_addresses));
    }

    /// Networks as the engine has them.
    pub(super) fn networks_there(&self) -> std::collections::BTreeMap<NetworkKey, ObservedNetwork> {
        self.networks.iter().filter_map(|(key, s)| s.network.clone().map(|n| (key.clone(), n))).collect()
    }
}

/// The network that a key stands for, and those of its name that are to go.
///
/// 20.10 makes several networks of one name, for two runs at once or for a run that was killed while its call was under
/// way, and then starts no container on either. Every run has to come to the same choice, whoever made them: the one
/// that most containers run on, or at least are on, or the oldest. Those at rest on one that goes are made anew.
fn find_network<'a>(
    wanted: &Network,
    observed: &'a Observed,
) -> (Option<&'a ObservedNetwork>, impl Iterator<Item = &'a ObservedNetwork>) {
    let members = |network: &ObservedNetwork| {
        let on = |c: &&ObservedContainer| c.networks.values().any(|at| at.network_id == network.id);
        let rests = |c: &&ObservedContainer| matches!(c.state.status, Status::Created | Status::Exited);
        let all = observed.everything().filter(on);
        (all.clone().filter(|c| !rests(c)).count(), all.count())
    };
    let pool = if wanted.external { &observed.other_networks } else { &observed.networks };
    let of_name: Vec<&ObservedNetwork> = pool.iter().filter(|network| network.name == wanted.engine_name).collect();
    let found = of_name.iter().rev().copied().max_by_key(|network| members(network));
    let is_ours = !wanted.external;
    let is_twin = move |network: &&ObservedNetwork| {
        is_ours && found.is_some_and(|found| found.id != network.id) && members(network).0 == 0
    };
    (found, of_name.into_iter().filter(is_twin))
}

fn subnet_hint(network: &Network, error: &EngineError) -> Option<String> {
    if !matches!(error.kind, ErrorKind::PoolOverlaps | ErrorKind::PoolExhausted) {
        return None;
    }
    match &network.subnet {
        Some(subnet) => Some(format!("{subnet} is in use: give network {} another subnet", network.key)),
        None => Some("unused networks are removed by `docker network prune`".into()),
    }
}
