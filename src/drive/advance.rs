//! Deciding, from what is known, the next call about each component.

use std::time::Duration;

use super::driver::Driver;
use super::hooks;
use super::input::Call;
use super::node::Node;
use super::recover::Fault;
use crate::engine::{ObservedContainer, Status, labels};
use crate::event::Phase;
use crate::names::{ComponentName, ContainerId};
use crate::plan::gates::{self, PeerProgress};
use crate::plan::{partial, request};

/// A component that boots longer than another by so much is started before it, even if its container isn't made yet.
const WORTH_WAITING_FOR: Duration = Duration::from_millis(300);

/// Starts in flight while one of them is of a component that boots longer than the next by so much: the engine shares
/// its cores among all starts in flight, and this one decides when the last is ready.
const BESIDE_A_LONG_ONE: usize = 2;

/// What a component needs next.
enum Next {
    Nothing,
    Make,
    /// Its outdated container must go.
    Retire(Box<ObservedContainer>),
    Rename(ContainerId),
    Start(ContainerId),
    /// It isn't on one of its networks.
    Connect(ContainerId),
    Unpause(ContainerId),
    /// It runs and does no good: it is stopped, and started again.
    Restart(Box<ObservedContainer>),
}

impl Driver {
    /// After every input: everything that can be moved on is.
    pub(super) fn advance(&mut self) {
        self.look_at_sharers();
        self.look();
        self.advance_care();
        self.advance_images();
        if self.observed.is_some() && self.may_act() {
            self.advance_objects();
            self.advance_surplus();
            self.advance_components();
        }
        if self.observed.is_some() {
            self.check_early_exits();
            self.advance_probes();
        }
        self.check_verdict();
        self.check_deadlines();
        self.explain_waits();
    }

    fn advance_components(&mut self) {
        let mut to_make = Vec::new();
        let mut to_start = Vec::new();
        for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
            match self.next(&name) {
                Next::Nothing => {}
                Next::Make => to_make.push(name),
                Next::Retire(container) => self.retire(&name, &container),
                Next::Rename(id) => self.rename(&name, id),
                Next::Start(id) => to_start.push((name, id)),
                Next::Connect(id) => self.reconnect(&name, id),
                Next::Unpause(id) => self.unpause(&name, id),
                Next::Restart(container) => self.restart_faulty(&name, &container),
            }
        }
        to_make.sort_by_key(|name| std::cmp::Reverse(self.expected_boot(name)));
        for name in &to_make {
            self.make(name);
        }
        to_start.retain(|(name, _)| self.gates_are_open(name));
        to_start.sort_by_key(|(name, _)| std::cmp::Reverse(self.expected_boot(name)));
        let longest_unmade = self.longest_unmade();
        for (name, id) in to_start {
            if self.expected_boot(&name) + WORTH_WAITING_FOR > longest_unmade {
                self.start(&name, id);
            }
        }
    }

    /// Whether there is anything to do that changes the cluster, and that can be done now.
    pub(super) fn wants_to_act(&mut self) -> bool {
        let now = self.now;
        let is_due = |state: &super::driver::Surplus| !state.busy && state.retry.at <= now;
        if self.surplus.values().any(is_due) {
            return true;
        }
        let names: Vec<ComponentName> = self.nodes.keys().cloned().collect();
        names.iter().any(|name| match self.next(name) {
            Next::Nothing => false,
            Next::Make => self.options.from_labels || self.has_image(name),
            Next::Start(_) => self.gates_are_open(name),
            Next::Retire(_) | Next::Rename(_) | Next::Connect(_) | Next::Unpause(_) | Next::Restart(_) => true,
        })
    }

    fn has_image(&self, name: &ComponentName) -> bool {
        self.nodes.get(name).is_some_and(|node| self.has_images(&node.component))
    }

    fn next(&mut self, name: &ComponentName) -> Next {
        if !self.is_selected(name) || self.is_held(name) {
            return Next::Nothing;
        }
        let Some(node) = self.nodes.get(name) else { return Next::Nothing };
        let is_news_due = node.dirty || node.inspecting.is_some();
        if node.busy || node.awaits_list || node.failure.is_some() {
            return Next::Nothing;
        }
        if self.now < node.retry_at {
            let at = node.retry_at;
            self.wake_at(at);
            return Next::Nothing;
        }
        let standing = self.standing(node);
        match (standing.current, standing.outdated.into_iter().next()) {
            (_, Some(_)) if self.rolls_after(name).is_some() => Next::Nothing,
            (None, _) if node.care.blocked => Next::Nothing,
            (None, _) => match leftover(node) {
                Some(left) => Next::Retire(Box::new(left.clone())),
                None if !self.may_be_made(node) => Next::Nothing,
                None => Next::Make,
            },
            (Some(_), Some((old, _))) => Next::Retire(Box::new(old.clone())),
            (Some(current), None) if current.name != node.component.container_name => Next::Rename(current.id.clone()),
            // Never by what may be old: a job that ran meanwhile would run twice.
            (Some(_), None) if self.only_makes(node) => Next::Nothing,
            (Some(current), None) if !is_news_due && node.wants_start(current) => self.next_to_start(node, current),
            (Some(current), None) if !is_news_due => self.repair(name, node, current),
            _ => Next::Nothing,
        }
    }

    /// Nobody starts without its networks.
    fn next_to_start(&self, node: &Node, current: &ObservedContainer) -> Next {
        let id = current.id.clone();
        if !self.lacks_network(node) || (self.options.from_labels && self.network_without(node, current).is_none()) {
            return Next::Start(id);
        }
        // One that is gone is made first.
        if self.network_without(node, current).is_some() { Next::Connect(id) } else { Next::Nothing }
    }

    /// What helps one that runs: a call to put it back on its network, in any run; the rest is for supervised ones, and
    /// when their time has come.
    fn repair(&self, name: &ComponentName, node: &Node, current: &ObservedContainer) -> Next {
        match node.care.fault {
            Some(Fault::Paused) => Next::Unpause(current.id.clone()),
            Some(Fault::Unhealthy | Fault::Late) => Next::Restart(Box::new(current.clone())),
            Some(Fault::CutOff) => Next::Connect(current.id.clone()),
            None if !self.is_supervised() && self.missing_network(name).is_some() => Next::Connect(current.id.clone()),
            None => Next::Nothing,
        }
    }

    /// Whether a container must be made for it.
    pub(super) fn needs_container(&self, node: &Node) -> bool {
        node.failure.is_none() && self.standing(node).current.is_none()
    }

    fn longest_unmade(&self) -> Duration {
        let unmade = self.selected().filter(|(_, node)| {
            self.has_images(&node.component) && node.containers.is_empty() && node.failure.is_none()
        });
        unmade.map(|(name, _)| self.expected_boot(name)).max().unwrap_or_default()
    }

    fn expected_boot(&self, name: &ComponentName) -> Duration {
        let hint = || self.nodes.get(name).and_then(|node| node.component.boot_hint);
        self.options.boot_times.get(name).copied().or_else(hint).unwrap_or_default()
    }

    fn make(&mut self, name: &ComponentName) {
        let in_flight = self.nodes.values().filter(|node| node.busy && node.phase == Phase::Creating).count();
        if in_flight >= self.options.creates_in_flight {
            return;
        }
        if self.options.from_labels {
            let left = self.nodes.get(name).is_some_and(|node| !node.containers.is_empty());
            let why = if left { "its container isn't complete" } else { "its container is gone" };
            let what = format!("{why}, and without its file it can't be made anew");
            return self.fail_component(name, what, Some("run `convoke up` where the file is".into()));
        }
        let Some(node) = self.nodes.get(name) else { return };
        let Some(image) = self.images.get(&node.component.image).and_then(|state| state.info()) else { return };
        let Some(addressing) = &self.addressing else { return };
        if !self.has_images(&node.component) || !self.objects_are_there(node) {
            return;
        }
        let networks = self.networks_there();
        let context = request::Context {
            cluster: &self.cluster,
            run: &self.options.run,
            publish_address: self.options.publish_address,
            networks: &networks,
            addressing,
        };
        let replaced = node.containers.first();
        let canonical = node.component.container_name.clone();
        let container_name = match node.containers.iter().find(|c| c.name == canonical) {
            Some(old) => labels::replacement_name(old.id.short(), &canonical),
            None => canonical,
        };
        let create = request::container(&context, &node.component, image, container_name, replaced);
        let reason = replaced.map(|_| "a replacement".to_owned());
        self.set_busy(name);
        self.enter(name, Phase::Creating, reason);
        self.call(Call::Create(Box::new(create)));
    }

    fn objects_are_there(&self, node: &Node) -> bool {
        use crate::cluster::MountKind;
        let networks = node
            .component
            .spec
            .networks
            .keys()
            .all(|key| self.networks.get(key).is_some_and(|state| state.network.is_some()));
        let volumes = node.component.spec.mounts.iter().all(|mount| match &mount.kind {
            MountKind::Volume { key, .. } => self.volumes.get(key).is_some_and(|state| state.is_there),
            _ => true,
        });
        networks && volumes
    }

    fn retire(&mut self, name: &ComponentName, old: &ObservedContainer) {
        let is_up = matches!(old.state.status, Status::Running | Status::Paused | Status::Restarting);
        let Some(node) = self.nodes.get(name) else { return };
        let grace = node.component.spec.stop_grace_period.unwrap_or(Duration::from_secs(10));
        self.set_busy(name);
        if is_up {
            self.call(Call::Stop(name.clone(), old.id.clone(), grace, hooks::pre_stop_of(old)));
        } else {
            self.call(Call::Remove(name.clone(), old.id.clone(), true));
        }
    }

    fn rename(&mut self, name: &ComponentName, id: ContainerId) {
        let Some(node) = self.nodes.get(name) else { return };
        let canonical = node.component.container_name.clone();
        self.set_busy(name);
        self.call(Call::Rename(name.clone(), id, canonical));
    }

    fn unpause(&mut self, name: &ComponentName, id: ContainerId) {
        self.set_busy(name);
        self.call(Call::Unpause(name.clone(), id));
    }

    fn start(&mut self, name: &ComponentName, id: ContainerId) {
        let starting = self.nodes.iter().filter(|(_, node)| node.busy && node.phase == Phase::Starting);
        let boots_longer = |other| self.expected_boot(other) > self.expected_boot(name) + WORTH_WAITING_FOR;
        let gives_way = starting.clone().any(|(other, _)| boots_longer(other));
        let most = if gives_way { BESIDE_A_LONG_ONE } else { usize::MAX };
        if starting.count() >= most.min(self.options.starts_in_flight) {
            return;
        }
        if let Some(node) = self.nodes.get_mut(name) {
            node.baseline = node.container(&id).and_then(|container| container.state.started_at);
            node.started_here = true;
            node.hooks_due = !node.component.hooks.post_start.is_empty();
        }
        self.set_busy(name);
        self.enter(name, Phase::Starting, None);
        self.call(Call::Start(name.clone(), id));
    }

    fn set_busy(&mut self, name: &ComponentName) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.busy = true;
        }
    }

    /// Whether every gate of the component is open.
    pub(super) fn gates_are_open(&self, name: &ComponentName) -> bool {
        let node = self.nodes.get(name);
        self.closed_gate(name).is_none() && node.is_none_or(|node| self.absent_owner(node).is_none())
    }

    /// The first gate that holds the component back.
    pub(super) fn closed_gate(&self, name: &ComponentName) -> Option<&crate::cluster::Gate> {
        let node = self.nodes.get(name)?;
        node.component.gates.iter().find(|gate| {
            let Some(peer) = self.nodes.get(&gate.on) else { return false };
            let progress = PeerProgress { phase: peer.phase, has_started: peer.has_run || peer.is_running };
            let is_left_out = (!gate.required || self.options.without_others) && self.stays_down(peer);
            !is_left_out && !gates::is_open(gate, self.cluster.start, progress)
        })
    }

    /// Whether it doesn't run, and this run has nothing to do with it.
    pub(super) fn stays_down(&self, node: &Node) -> bool {
        !self.is_selected(&node.component.name) && !node.containers.iter().any(partial::is_up)
    }

    fn advance_surplus(&mut self) {
        for id in self.surplus.keys().cloned().collect::<Vec<_>>() {
            let Some(state) = self.surplus.get_mut(&id) else { continue };
            let due = state.retry.at;
            if state.busy {
                continue;
            }
            if self.now < due {
                self.wake_at(due);
                continue;
            }
            state.busy = true;
            self.call(Call::RemoveSurplus(id));
        }
    }
}

/// A replacement that never took its place and is outdated by now, if none of the containers is right: it has the name
/// that the next replacement gets.
fn leftover(node: &Node) -> Option<&ObservedContainer> {
    let is_up = |c: &ObservedContainer| matches!(c.state.status, Status::Running | Status::Paused | Status::Restarting);
    node.containers.iter().find(|c| !is_up(c) && c.name != node.component.container_name)
}

impl Node {
    /// Whether a container that isn't outdated should be started.
    fn wants_start(&self, container: &ObservedContainer) -> bool {
        if self.is_running || self.early_exit.is_some() || self.phase.is_settled() {
            return false;
        }
        match container.state.status {
            Status::Created => true,
            Status::Exited => container.state.started_at == self.baseline || container.state.started_at.is_none(),
            _ => false,
        }
    }
}
