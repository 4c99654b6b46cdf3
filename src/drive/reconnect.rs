//! A component that isn't on one of its networks is put back there, with its address and names: if it runs, the process
//! goes on; if it doesn't, it couldn't start without.

use super::driver::Driver;
use super::input::Call;
use super::node::Node;
use crate::engine::{Attach, ObservedContainer, ObservedNetwork, Status};
use crate::names::{ComponentName, ContainerId, NetworkKey};
use crate::plan::request;

impl Driver {
    /// A network that the running component should be on and isn't, as far as the engine was asked about it.
    pub(super) fn missing_network(&self, name: &ComponentName) -> Option<(&NetworkKey, &ObservedNetwork)> {
        let node = self.nodes.get(name)?;
        self.network_without(node, node.shown()?)
    }

    /// A network that the component's container should be on and isn't.
    pub(super) fn network_without<'d>(
        &'d self,
        node: &'d Node,
        container: &ObservedContainer,
    ) -> Option<(&'d NetworkKey, &'d ObservedNetwork)> {
        node.component.spec.networks.keys().find_map(|key| {
            let network = self.networks.get(key)?.network.as_ref()?;
            (!container.networks.contains_key(&network.name)).then_some((key, network))
        })
    }

    /// Whether the component's container isn't on one of its networks, which may be gone as well.
    pub(super) fn lacks_network(&self, node: &Node) -> bool {
        let Some(container) = self.standing(node).current else { return false };
        let names = node.component.spec.networks.keys().filter_map(|key| self.cluster.networks.get(key));
        names.into_iter().any(|network| !container.networks.contains_key(&network.engine_name))
    }

    /// Puts it back. Its address is the one that its peers know.
    pub(super) fn reconnect(&mut self, name: &ComponentName, id: ContainerId) {
        self.hand_out_addresses();
        let Some(attach) = self.attachment(name, &id) else { return };
        if let Some(node) = self.nodes.get_mut(name) {
            node.busy = true;
        }
        self.call(Call::Connect(name.clone(), id, Box::new(attach)));
    }

    fn attachment(&self, name: &ComponentName, id: &ContainerId) -> Option<Attach> {
        let node = self.nodes.get(name)?;
        let (key, network) = self.network_without(node, node.container(id)?)?;
        let address = self.addressing.as_ref()?.addresses.get(name).and_then(|all| all.get(key)).copied();
        let component = &node.component;
        let attachment = component.spec.networks.get(key)?;
        Some(request::attachment(&self.cluster, component, key, attachment, network, address))
    }
}

impl Node {
    /// Its container, if it runs and the engine was asked about this run of it.
    fn shown(&self) -> Option<&ObservedContainer> {
        let [container] = self.containers.as_slice() else { return None };
        let is_known = self.is_running && self.started_at.is_some() && !self.dirty && self.inspecting.is_none();
        let runs = matches!(container.state.status, Status::Running | Status::Paused);
        Some(container).filter(|_| is_known && runs && !self.awaits_list)
    }
}
