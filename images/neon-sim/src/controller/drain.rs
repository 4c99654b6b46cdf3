//! Drains and fills: a node's attached shards go to their secondaries before it is restarted, and come back after.

use std::sync::Arc;

use super::model::{Availability, Node, NodeScheduling};
use super::state::Controller;
use crate::http::ApiError;
use crate::ids::{NodeId, TenantShardId};

impl Controller {
    /// Answers at once; the node is PauseForRestart when it is done.
    pub async fn start_drain(self: &Arc<Self>, id: NodeId) -> Result<(), ApiError> {
        self.check_background(id)?;
        let others = self.model().nodes.values().any(|node| node.id() != id && node.takes_shards());
        if !others {
            return Err(ApiError::Precondition("No other schedulable nodes to drain to".into()));
        }
        self.set_scheduling(id, NodeScheduling::Draining).await?;
        let controller = Arc::clone(self);
        tokio::spawn(async move {
            for shard in controller.attached_to(id) {
                if !controller.goes_on(id, NodeScheduling::Draining) {
                    break;
                }
                if let Some(destination) = controller.drain_to(shard, id) {
                    controller.move_if_warm(shard, destination).await;
                }
            }
            controller.end_background(id, NodeScheduling::Draining, NodeScheduling::PauseForRestart).await;
        });
        Ok(())
    }

    /// Answers at once; the node is Active when it is done.
    pub async fn start_fill(self: &Arc<Self>, id: NodeId) -> Result<(), ApiError> {
        self.check_background(id)?;
        self.set_scheduling(id, NodeScheduling::Filling).await?;
        let controller = Arc::clone(self);
        tokio::spawn(async move {
            for shard in controller.to_fill_with(id) {
                if !controller.goes_on(id, NodeScheduling::Filling) {
                    break;
                }
                controller.move_if_warm(shard, id).await;
            }
            controller.end_background(id, NodeScheduling::Filling, NodeScheduling::Active).await;
        });
        Ok(())
    }

    /// Only ends what runs: shards that have moved stay.
    pub async fn cancel_background(&self, id: NodeId, running: NodeScheduling) -> Result<(), ApiError> {
        let node = self.node(id).ok_or_else(|| ApiError::NotFound(format!("Node {id} not registered")))?;
        if node.scheduling != running {
            return Err(ApiError::Precondition(format!("Node {id} has no {running:?} operation in progress")));
        }
        self.set_scheduling(id, NodeScheduling::Active).await
    }

    fn check_background(&self, id: NodeId) -> Result<(), ApiError> {
        let node = self.node(id).ok_or_else(|| ApiError::NotFound(format!("Node {id} not registered")))?;
        let running = self.model().nodes.values().find_map(|node| Some((node.id(), running(node)?)));
        if let Some((id, what)) = running {
            let why = format!("Background operation already ongoing for node: {what} {id}");
            return Err(ApiError::Precondition(why));
        }
        if node.availability == Availability::Offline {
            return Err(ApiError::Unavailable(format!("Node {id} is offline")));
        }
        if node.scheduling != NodeScheduling::Active {
            let why = format!("Node {id} cannot be worked on due to {:?} scheduling policy", node.scheduling);
            return Err(ApiError::Precondition(why));
        }
        Ok(())
    }

    fn attached_to(&self, id: NodeId) -> Vec<TenantShardId> {
        let model = self.model();
        model.shards.values().filter(|shard| shard.intent.attached == Some(id)).map(|shard| shard.id).collect()
    }

    /// The first secondary that takes shards.
    fn drain_to(&self, shard: TenantShardId, from: NodeId) -> Option<NodeId> {
        let model = self.model();
        let shard = model.shards.get(&shard).filter(|shard| shard.intent.attached == Some(from))?;
        shard.intent.secondary.iter().copied().find(|node| model.nodes.get(node).is_some_and(Node::takes_shards))
    }

    /// Shards that have a secondary here, and prefer this zone.
    fn to_fill_with(&self, id: NodeId) -> Vec<TenantShardId> {
        let model = self.model();
        let Some(node) = model.nodes.get(&id) else { return Vec::new() };
        let at_home = |zone: &Option<String>| zone.as_ref() == Some(&node.announced.availability_zone_id);
        let here = model.shards.values().filter(|shard| shard.intent.secondary.contains(&id));
        here.filter(|shard| at_home(&shard.preferred_az)).map(|shard| shard.id).collect()
    }

    /// A secondary without the data isn't moved to: its computes would wait for it.
    async fn move_if_warm(self: &Arc<Self>, shard: TenantShardId, destination: NodeId) {
        match self.is_warm(shard, destination).await {
            Ok(true) => {
                self.with_shard(shard, |shard| shard.intent.move_to(destination));
                self.reconcile_all([shard]).await;
            }
            Ok(false) => tracing::info!("{shard} stays: node {destination} hasn't its data"),
            Err(error) => tracing::warn!("{shard} stays: node {destination}: {error}"),
        }
    }

    /// Not when it was cancelled, nor when the node was restarted meanwhile.
    fn goes_on(&self, id: NodeId, running: NodeScheduling) -> bool {
        self.node(id).is_some_and(|node| node.scheduling == running)
    }

    /// If it still goes on.
    async fn end_background(&self, id: NodeId, running: NodeScheduling, then: NodeScheduling) {
        if !self.goes_on(id, running) {
            return;
        }
        if let Err(error) = self.set_scheduling(id, then).await {
            tracing::warn!("node {id} isn't {then:?}: {error}");
        }
    }
}

fn running(node: &Node) -> Option<&'static str> {
    match node.scheduling {
        NodeScheduling::Draining => Some("drain"),
        NodeScheduling::Filling => Some("fill"),
        NodeScheduling::Deleting => Some("delete"),
        _ => None,
    }
}
