//! Components that share something of another one's container, its network, processes, shared memory or volumes: made
//! after it, and anew with it, and started only while it runs. The engine notes the owner of a network by its id, so that
//! a new container in its place isn't it any more.

use super::driver::Driver;
use super::node::Node;
use crate::engine::ObservedContainer;
use crate::event::Phase;
use crate::names::ComponentName;
use crate::plan::diff::Standing;

impl Driver {
    /// Which of its containers stays and which have to go.
    pub(super) fn standing<'n>(&self, node: &'n Node) -> Standing<'n> {
        let owners: Vec<&ObservedContainer> = self.owners(node).filter_map(|owner| self.lasting(owner)).collect();
        Standing::judge_beside(&node.component, self.image_id_of(node), &node.containers, &owners)
    }

    /// Whether what it has to be made on is there: the containers that stay of the components that it shares with. Those
    /// that this run has nothing to do with are left to the engine to find.
    pub(super) fn may_be_made(&self, node: &Node) -> bool {
        self.owners(node).all(|owner| !self.is_selected(&owner.component.name) || self.lasting(owner).is_some())
    }

    /// The first component that it can't start before, since that one's namespace is its own too, and which doesn't run
    /// yet. One that won't run is left to the engine to complain of.
    pub(super) fn absent_owner(&self, node: &Node) -> Option<&ComponentName> {
        let owners = self.named(node.component.spec.namespace_owners().map(ToOwned::to_owned).collect());
        let mut owners = owners.filter(|owner| self.is_selected(&owner.component.name));
        owners.find(|owner| !owner.is_running && !owner.phase.is_settled()).map(|owner| &owner.component.name)
    }

    fn owners(&self, node: &Node) -> impl Iterator<Item = &Node> {
        self.named(node.component.spec.owners().map(ToOwned::to_owned).collect())
    }

    fn named(&self, containers: Vec<String>) -> impl Iterator<Item = &Node> {
        let all = (!containers.is_empty()).then(|| self.nodes.values()).into_iter().flatten();
        all.filter(move |other| containers.contains(&other.component.container_name))
    }

    /// The component's container, if it is the one that stays.
    fn lasting<'n>(&self, node: &'n Node) -> Option<&'n ObservedContainer> {
        let standing = Standing::judge(&node.component, self.image_id_of(node), &node.containers);
        let current = standing.current.filter(|current| current.name == node.component.container_name);
        current.filter(|_| !node.busy && standing.outdated.is_empty())
    }

    /// What was believed of one whose owner has gone is found out anew.
    pub(super) fn look_at_sharers(&mut self) {
        let is_stale = |node: &Node| {
            let shares = node.component.spec.owners().next().is_some() && node.phase > Phase::Creating;
            shares && !node.busy && node.failure.is_none()
        };
        let stale = self.nodes.iter().filter(|(_, node)| is_stale(node) && self.standing(node).current.is_none());
        for name in stale.map(|(name, _)| name.clone()).collect::<Vec<ComponentName>>() {
            if let Some(containers) = self.nodes.get(&name).map(|node| node.containers.clone()) {
                self.reflect(&name, containers);
            }
        }
    }
}
