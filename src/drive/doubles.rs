//! Second networks of one name.
//!
//! 20.10 makes a second network of a name without complaint, and a create call takes effect even if the convoke that
//! made it was killed. While there are two, no container on them starts ("network … is ambiguous"): whichever nobody
//! of the cluster is on goes.

use super::driver::{Driver, Surplus};
use super::input::Call;
use crate::engine::{EngineError, Observed, ObservedContainer, ObservedNetwork};
use crate::event::EventKind;

/// A second network, on its way out.
#[derive(Debug, Default)]
pub(super) struct Double {
    name: String,
    call: Surplus,
    /// It can't be removed, since something outside the cluster uses it.
    is_left: bool,
}

impl Driver {
    /// Finds second networks in a list.
    pub(super) fn take_doubles(&mut self, observed: &Observed) {
        self.doubles.retain(|id, double| double.call.busy || observed.networks.iter().any(|n| n.id == *id));
        for (key, wanted) in &self.cluster.networks {
            let Some(state) = self.networks.get(key).filter(|state| state.creating.is_none()) else { continue };
            let Some(kept) = state.network.as_ref().filter(|_| !wanted.external) else { continue };
            let second = |network: &&ObservedNetwork| {
                network.name == wanted.engine_name
                    && network.id != kept.id
                    && !observed.containers.iter().any(|container| is_on(container, network))
            };
            for network in observed.networks.iter().filter(second) {
                self.doubles
                    .entry(network.id.clone())
                    .or_insert_with(|| Double { name: network.name.clone(), ..Double::default() });
            }
        }
    }

    /// Removes second networks.
    pub(super) fn advance_doubles(&mut self) {
        for id in self.doubles.keys().cloned().collect::<Vec<_>>() {
            let Some(double) = self.doubles.get_mut(&id).filter(|double| !double.call.busy && !double.is_left) else {
                continue;
            };
            let due = double.call.retry.at;
            if self.now < due {
                self.wake_at(due);
                continue;
            }
            double.call.busy = true;
            self.call(Call::RemoveNetwork(id));
        }
    }

    pub(super) fn take_network_removed(&mut self, id: &str, result: Result<(), EngineError>) {
        let now = self.now;
        let Some(double) = self.doubles.get_mut(id) else { return };
        double.call.busy = false;
        match result {
            Ok(()) => {
                let network = std::mem::take(&mut double.name);
                self.doubles.remove(id);
                self.emit(EventKind::NetworkRemoved { network });
            }
            Err(error) if double.call.retry.again(now, &error) => self.note_trouble(&error),
            Err(error) => {
                double.is_left = true;
                self.emit(EventKind::Warning { message: format!("there are two networks of one name: {error}") });
            }
        }
    }

    /// Whether some second network will still be removed.
    pub(super) fn has_doubles(&self) -> bool {
        self.doubles.values().any(|double| !double.is_left)
    }
}

/// Whether a container is on a network, or will be once it is started: until then only its address says so.
pub(super) fn is_on(container: &ObservedContainer, network: &ObservedNetwork) -> bool {
    container.networks.values().any(|at| {
        let meant = || at.fixed_address.zip(network.subnet).is_some_and(|(address, subnet)| subnet.contains(address));
        at.network_id == network.id || (at.network_id.is_empty() && meant())
    })
}
