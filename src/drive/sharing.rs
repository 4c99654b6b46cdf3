//! Components on another one's network: made after it, and anew with it. The engine notes that one's container by its
//! id, so that a new container in its place isn't it any more.

use super::driver::Driver;
use super::node::Node;
use crate::engine::ObservedContainer;
use crate::event::Phase;
use crate::names::ComponentName;
use crate::plan::diff::Standing;

impl Driver {
    /// Which of its containers stays and which have to go.
    pub(super) fn standing<'n>(&self, node: &'n Node) -> Standing<'n> {
        let owner = self.network_owner(node).and_then(|owner| self.lasting(owner));
        Standing::judge_beside(&node.component, self.image_id_of(node), &node.containers, owner)
    }

    /// Whether what it has to be made on is there: the container that stays of the component whose network it shares. One
    /// that this run has nothing to do with is left to the engine to find.
    pub(super) fn may_be_made(&self, node: &Node) -> bool {
        let owner = self.network_owner(node);
        owner.is_none_or(|owner| !self.is_selected(&owner.component.name) || self.lasting(owner).is_some())
    }

    fn network_owner(&self, node: &Node) -> Option<&Node> {
        let name = node.component.spec.network_mode.as_deref()?.strip_prefix("container:")?;
        self.nodes.values().find(|other| other.component.container_name == name)
    }

    /// The component's container, if it is the one that stays.
    fn lasting<'n>(&self, node: &'n Node) -> Option<&'n ObservedContainer> {
        let standing = Standing::judge(&node.component, self.image_id_of(node), &node.containers);
        let current = standing.current.filter(|current| current.name == node.component.container_name);
        current.filter(|_| !node.busy && standing.outdated.is_empty())
    }

    /// What was believed of one whose network has gone is found out anew.
    pub(super) fn look_at_sharers(&mut self) {
        let is_stale = |node: &Node| {
            let shares = node.component.spec.network_mode.is_some() && node.phase > Phase::Creating;
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
