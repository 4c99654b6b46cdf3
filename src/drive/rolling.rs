//! Replacing the replicas of a service one after the other, so that the others serve meanwhile.
//!
//! Nothing is remembered for it: whose turn it is follows from what is there, so that a run that was killed in the
//! middle is taken up where it was. A new container is made when its turn comes, so that a version which fails leaves
//! nothing of itself beside the replicas that it didn't come to; only images are there beforehand.

use super::driver::Driver;
use super::node::{Node, Wait};
use crate::engine::Status;
use crate::event::Phase;
use crate::names::ComponentName;
use crate::plan::diff::Standing;

impl Driver {
    /// The replica of its service that has to be ready first, before this one's old container may go. None if it is
    /// its turn, or if the old one doesn't run and so can't be missed.
    pub(super) fn rolls_after(&self, name: &ComponentName) -> Option<&ComponentName> {
        let node = self.nodes.get(name)?;
        if self.options.replace_at_once || !self.serves_outdated(node) {
            return None;
        }
        let others = self.selected().filter(|(other, peer)| {
            *other != name && peer.component.service == node.component.service && !peer.phase.is_settled()
        });
        let holds_up = |(_, peer): &(&ComponentName, &Node)| {
            // One that waits in turn keeps serving: only those before it in the queue count.
            peer.busy || !self.serves_outdated(peer) || peer.component.number < node.component.number
        };
        others.filter(holds_up).max_by_key(|(_, peer)| peer.component.number).map(|(other, _)| other)
    }

    /// Whether an old container of it runs that is to be replaced.
    fn serves_outdated(&self, node: &Node) -> bool {
        let standing = Standing::judge(&node.component, self.image_id_of(node), &node.containers);
        standing.outdated.iter().any(|(old, _)| matches!(old.state.status, Status::Running | Status::Restarting))
    }

    /// What a component waits for whose turn hasn't come.
    pub(super) fn waits_for_turn(&self, name: &ComponentName) -> Option<Wait> {
        let node = self.nodes.get(name).filter(|node| !node.busy)?;
        let first = self.rolls_after(&node.component.name)?;
        let why = format!("is replaced when {first} is ready again");
        Some(Wait { why, on: vec![first.clone()], gate: Some(Phase::Ready) })
    }
}
