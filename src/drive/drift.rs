//! What isn't as the file says and isn't convoke's to change: said once, for as long as it lasts.

use std::collections::BTreeSet;

use super::blame::name_taken;
use super::driver::Driver;
use crate::cluster::Network;
use crate::engine::{Observed, ObservedNetwork};
use crate::event::EventKind;
use crate::names::ComponentName;
use crate::plan::diff;

/// Something that isn't as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Drift {
    component: Option<ComponentName>,
    what: String,
    hint: Option<String>,
}

impl Driver {
    /// Compares a list with the file, and says what is new.
    pub(super) fn look_for_drift(&mut self, observed: &Observed) {
        if !self.is_supervised() {
            return;
        }
        let mut found = self.taken_names(observed);
        found.extend(self.uninvited(observed));
        found.extend(self.changed_networks(observed));
        found.extend(self.foreign_volumes(observed).into_iter().map(|failure| Drift {
            component: None,
            what: failure.what,
            hint: failure.hint,
        }));
        found.extend(self.orphans(observed));
        let Some(state) = &mut self.supervision else { return };
        let now: BTreeSet<String> = found.iter().map(|drift| drift.what.clone()).collect();
        let before = std::mem::replace(&mut state.drift, now);
        for Drift { component, what, hint } in found {
            if !before.contains(&what) {
                self.emit(EventKind::DriftFound { component, what, hint });
            }
        }
    }

    /// Components that can't be made, since a container that isn't ours has their name.
    fn taken_names(&mut self, observed: &Observed) -> Vec<Drift> {
        let mut found = Vec::new();
        for (name, node) in &mut self.nodes {
            let foreign =
                observed.foreign_containers.iter().find(|foreign| foreign.name == node.component.container_name);
            node.care.blocked = foreign.is_some();
            if let Some(foreign) = foreign {
                let (what, hint) = name_taken(foreign);
                found.push(Drift { component: Some(name.clone()), what, hint: Some(hint) });
            }
        }
        found
    }

    /// Containers of others on our networks.
    fn uninvited(&self, observed: &Observed) -> Vec<Drift> {
        let mut found = Vec::new();
        let own = self.cluster.networks.values().filter(|network| !network.external);
        for network in own.filter_map(|network| observed.networks.iter().find(|at| at.name == network.engine_name)) {
            for foreign in observed.foreign_containers.iter().filter(|at| at.networks.contains(&network.id)) {
                let what = format!("{} is on the network {}, and not of this cluster", foreign.name, network.name);
                let hint = format!(
                    "if it isn't wanted there: `docker network disconnect {} {}`; `convoke down` can't remove the network \
                     while it is",
                    network.name, foreign.name
                );
                found.push(Drift { component: None, what, hint: Some(hint) });
            }
        }
        found
    }

    fn changed_networks(&self, observed: &Observed) -> Vec<Drift> {
        let own = self.cluster.networks.values().filter(|network| !network.external && !self.options.from_labels);
        let found = own.filter_map(|wanted| {
            let there = observed.networks.iter().find(|at| at.name == wanted.engine_name)?;
            let what = difference(wanted, there)?;
            let hint = "it stays so while it is in use: `convoke down`, then `convoke up`, makes it anew".to_owned();
            Some(Drift { component: None, what, hint: Some(hint) })
        });
        found.collect()
    }

    fn orphans(&self, observed: &Observed) -> Vec<Drift> {
        if self.options.from_labels || self.options.remove_orphans {
            return Vec::new();
        }
        let (_, surplus) = diff::assign_containers(&self.cluster, observed);
        let orphans = surplus.into_iter().filter(|container| !diff::belongs_to_file(&self.cluster, container));
        let drift = |container: crate::engine::ObservedContainer| Drift {
            what: format!("{} runs in this cluster, and the file doesn't have it", container.component),
            component: Some(container.component),
            hint: Some("`convoke up --remove-orphans` removes it".to_owned()),
        };
        orphans.map(drift).collect()
    }
}

/// What of a network that is there isn't as the file has it.
fn difference(wanted: &Network, there: &ObservedNetwork) -> Option<String> {
    let driver = wanted.driver.as_deref().unwrap_or("bridge");
    if there.driver != driver {
        return Some(format!("the network {} has the driver {}, and the file says {driver}", there.name, there.driver));
    }
    let subnet = wanted.subnet.as_deref()?;
    let is_same = there.subnet.is_some_and(|own| subnet.parse() == Ok(own));
    let own = there.subnet.map_or_else(|| "none".to_owned(), |own| own.to_string());
    (!is_same).then(|| format!("the network {} has the subnet {own}, and the file says {subnet}", there.name))
}
