//! What became of the calls about components: made, started, stopped, removed; or failed, and then what.

use std::collections::BTreeMap;

use super::driver::Driver;
use super::input::Call;
use super::retry::{ATTEMPTS, pause};
use crate::engine::{Endpoint, EngineError, ErrorKind, ObservedContainer, labels};
use crate::event::{EventKind, Outcome, Phase};
use crate::names::{ComponentName, ContainerId};

impl Driver {
    pub(super) fn take_created(&mut self, name: &ComponentName, result: Result<ContainerId, EngineError>) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.busy = false;
        node.epoch += 1;
        match result {
            Ok(id) => {
                node.failures_in_row = 0;
                node.tries_in_row = 0;
                // A list may have shown it first, and that somebody else has started it, or removes it. But what it showed
                // of one that wasn't complete yet is over.
                let is_known = node.container(&id).is_some_and(|at| !at.name.ends_with(labels::UNFINISHED));
                // What it looks like is known well enough to start it; the list and the inspection after say the rest.
                let run = self.options.run.clone();
                let image_id =
                    self.nodes.get(name).and_then(|node| self.image_id_of(node)).unwrap_or_default().to_owned();
                let networks = self.endpoints_of(name);
                if let Some(node) = self.nodes.get_mut(name).filter(|_| !is_known) {
                    let replaced = node.containers.iter().find(|c| c.name == node.component.container_name);
                    let container_name = match replaced {
                        Some(old) => labels::replacement_name(old.id.short(), &node.component.container_name),
                        None => node.component.container_name.clone(),
                    };
                    let fresh = fresh_container(&node.component, id, container_name, image_id, &run, networks);
                    node.containers.retain(|container| container.id != fresh.id);
                    node.containers.insert(0, fresh);
                    node.baseline = None;
                }
                self.leave_creating(name, if is_known { Phase::Pending } else { Phase::Created });
            }
            Err(error) => {
                node.retry_at = now + pause(node.tries_in_row + 1);
                // It may have taken effect.
                node.awaits_list = true;
                self.observe_again = true;
                if matches!(error.kind, ErrorKind::NotFound | ErrorKind::ImageMissing) {
                    self.doubt_objects(name, &error);
                }
                self.leave_creating(name, Phase::Pending);
                self.call_failed(name, &error);
            }
        }
    }

    /// Where a container of the component is right after its creation, by the names of the networks.
    fn endpoints_of(&self, name: &ComponentName) -> BTreeMap<String, Endpoint> {
        let Some(node) = self.nodes.get(name) else { return BTreeMap::new() };
        let addresses = self.addressing.as_ref().and_then(|addressing| addressing.addresses.get(name));
        let endpoint = |key| {
            let network = self.networks.get(key)?.network.as_ref()?;
            let fixed_address = addresses.and_then(|all| all.get(key)).copied();
            Some((
                network.name.clone(),
                Endpoint { network_id: network.id.clone(), fixed_address, ..Endpoint::default() },
            ))
        };
        node.component.spec.networks.keys().filter_map(endpoint).collect()
    }

    /// What a create call tells at its end is news only as long as nothing newer was seen.
    fn leave_creating(&mut self, name: &ComponentName, phase: Phase) {
        if self.nodes.get(name).is_some_and(|node| node.phase == Phase::Creating) {
            self.enter(name, phase, None);
        }
    }

    /// Something that the creation needs is gone since it was looked at: look again.
    fn doubt_objects(&mut self, name: &ComponentName, error: &EngineError) {
        let Some(node) = self.nodes.get(name).filter(|_| error.kind == ErrorKind::ImageMissing) else { return };
        for image in node.component.images().map(ToOwned::to_owned).collect::<Vec<_>>() {
            if self.images.get(&image).is_some_and(|state| state.info().is_some()) {
                self.find_again(image);
            }
        }
    }

    pub(super) fn take_started(&mut self, name: &ComponentName, id: &ContainerId, result: Result<(), EngineError>) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.busy = false;
        node.touch();
        match result {
            Ok(()) => {
                node.failures_in_row = 0;
                node.tries_in_row = 0;
                // A start by a call begins the engine's count anew.
                node.policy_restarts = 0;
                if !node.is_running && node.phase == Phase::Starting {
                    // It may have ended already; the inspection says so.
                    node.begin_run(now, None);
                    self.enter(name, Phase::Started, None);
                }
                self.run_hooks(name, id);
            }
            Err(error) if error.kind == ErrorKind::AddressTaken => self.readdress(name, id, &error),
            Err(error) => {
                node.retry_at = now + pause(node.tries_in_row + 1);
                // It may have run, and gone down with the engine that broke the connection.
                node.outage |= error.kind == ErrorKind::Unreachable;
                // Perhaps over a second network of its network's name, or one that is gone: a list shows it.
                self.observe_again |= matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound);
                node.hooks_due = false;
                if node.phase == Phase::Starting {
                    self.enter(name, Phase::Created, None);
                }
                self.call_failed(name, &error);
            }
        }
    }

    /// Its address is in use by a container that isn't known, or is of a network that is gone: it is made anew with
    /// another.
    fn readdress(&mut self, name: &ComponentName, id: &ContainerId, error: &EngineError) {
        let attempts = self.nodes.get(name).map_or(0, |node| node.failures_in_row);
        if attempts >= ATTEMPTS {
            return self.call_failed(name, error);
        }
        self.emit(EventKind::Warning { message: format!("{name}: its address can't be used; it is made anew") });
        self.addressing = None;
        self.addressing_after = self.now;
        self.observe_again = true;
        if let Some(node) = self.nodes.get_mut(name) {
            let fixed =
                node.container(id).into_iter().flat_map(|c| c.networks.values().filter_map(|at| at.fixed_address));
            self.refused_addresses.extend(fixed);
            node.failures_in_row += 1;
            node.busy = true;
        }
        self.enter(name, Phase::Pending, None);
        self.call(Call::Remove(name.clone(), id.clone(), true));
    }

    pub(super) fn take_changed(&mut self, name: &ComponentName, result: Result<(), EngineError>) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.busy = false;
        node.epoch += 1;
        node.awaits_list = true;
        self.observe_again = true;
        match result {
            // Nothing is decided about it before the list is there.
            Ok(()) => node.tries_in_row = 0,
            Err(error) => {
                node.retry_at = now + pause(node.tries_in_row + 1);
                node.care.stopping = false;
                self.call_failed(name, &error);
            }
        }
    }

    pub(super) fn take_connected(&mut self, name: &ComponentName, id: &ContainerId, result: Result<(), EngineError>) {
        match result {
            // Somebody else got its address meanwhile: only a new container can have another.
            Err(error) if error.kind == ErrorKind::AddressTaken && !self.options.from_labels => {
                self.readdress(name, id, &error);
            }
            other => self.take_changed(name, other),
        }
    }

    /// A call about a component failed: again later, or it has failed for good.
    fn call_failed(&mut self, name: &ComponentName, error: &EngineError) {
        self.note_trouble(error);
        let Some(node) = self.nodes.get_mut(name) else { return };
        let retries = matches!(
            error.kind,
            ErrorKind::NotFound | ErrorKind::NameTaken | ErrorKind::AddressTaken | ErrorKind::ImageMissing
        );
        node.tries_in_row += 1;
        if !matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Timeout(_)) {
            node.failures_in_row += 1;
        }
        if (error.kind.is_transient() || retries) && node.failures_in_row < ATTEMPTS {
            return;
        }
        let (what, hint) = self.blame(name, error);
        self.fail_component(name, what, hint);
    }

    pub(super) fn take_surplus_removed(&mut self, id: &ContainerId, result: Result<(), EngineError>) {
        let now = self.now;
        let Some(state) = self.surplus.get_mut(id) else { return };
        state.busy = false;
        match result {
            Ok(()) => {
                self.surplus.remove(id);
            }
            Err(error) if state.retry.again(now, &error) => self.note_trouble(&error),
            Err(error) => self.fail_run(error.to_string(), None, Outcome::Failed),
        }
    }
}

/// A container as it must look right after its creation.
fn fresh_container(
    component: &crate::cluster::Component,
    id: ContainerId,
    name: String,
    image_id: String,
    run: &str,
    networks: BTreeMap<String, Endpoint>,
) -> ObservedContainer {
    let labels = [
        (labels::CONFIG_HASH.to_owned(), component.config_hash.clone()),
        (labels::COMPOSE_SERVICE.to_owned(), component.service.to_string()),
        (labels::COMPOSE_NUMBER.to_owned(), component.number.to_string()),
        (labels::RUN.to_owned(), run.to_owned()),
    ];
    ObservedContainer {
        image_id,
        labels: labels.into_iter().collect(),
        networks,
        ..ObservedContainer::made(id, name, component.name.clone())
    }
}
