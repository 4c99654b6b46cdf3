//! Deletion of nodes: what one has goes elsewhere, then it is forgotten. Its number leaves a tombstone, and can't be used
//! again until that is taken away.

use std::sync::Arc;

use super::model::NodeScheduling;
use super::schedule;
use super::state::Controller;
use crate::http::ApiError;
use crate::ids::{NodeId, TenantShardId};

impl Controller {
    /// Answers at once; the node is gone when it is done. With `force`, shards that have no other place are left without.
    pub async fn start_delete(self: &Arc<Self>, id: NodeId, force: bool) -> Result<(), ApiError> {
        let node = self.node(id).ok_or_else(|| ApiError::NotFound(format!("Node {id} not registered")))?;
        if node.scheduling == NodeScheduling::Deleting {
            let why = format!("Background operation already ongoing for node: delete {id}");
            return Err(ApiError::Precondition(why));
        }
        let others = self.model().nodes.values().any(|node| node.id() != id && node.takes_shards());
        if !others && !force {
            return Err(ApiError::Precondition("No other schedulable nodes to move shards".into()));
        }
        self.set_scheduling(id, NodeScheduling::Deleting).await?;
        let controller = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = controller.delete_node(id, node.scheduling).await {
                tracing::error!("node {id} isn't deleted: {error}");
            }
        });
        Ok(())
    }

    async fn delete_node(self: &Arc<Self>, id: NodeId, before: NodeScheduling) -> Result<(), ApiError> {
        for shard in self.on_node(id) {
            if !self.is_deleting(id) {
                return Ok(());
            }
            self.leave(shard, id);
            self.reconcile_all([shard]).await;
        }
        let _turn = self.node_turn.lock().await;
        if !self.is_deleting(id) {
            tracing::info!("the deletion of node {id} was cancelled; it was {before:?}");
            return Ok(());
        }
        self.db.bury_node(id).await?;
        let mut model = self.model();
        model.nodes.remove(&id);
        for shard in model.shards.values_mut() {
            shard.observed.remove(&id);
        }
        tracing::info!("node {id} is deleted");
        Ok(())
    }

    fn is_deleting(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| node.scheduling == NodeScheduling::Deleting)
    }

    fn on_node(&self, id: NodeId) -> Vec<TenantShardId> {
        let model = self.model();
        model.shards.values().filter(|shard| shard.intent.includes(id)).map(|shard| shard.id).collect()
    }

    /// Attached elsewhere, and no secondary here. One without another place is nowhere then.
    fn leave(&self, shard: TenantShardId, id: NodeId) {
        let mut model = self.model();
        schedule::move_away(&mut model, shard, id);
        if let Some(known) = model.shards.get_mut(&shard) {
            known.intent.secondary.retain(|node| *node != id);
            known.intent.attached = known.intent.attached.filter(|node| *node != id);
        }
        if let Err(error) = schedule::schedule(&mut model, shard) {
            tracing::warn!("{shard} has no full set of places without node {id}: {error}");
        }
    }

    /// Numbers of deleted nodes.
    pub async fn tombstones(&self) -> Result<Vec<NodeId>, ApiError> {
        Ok(self.db.tombstones().await?)
    }

    /// The number may be used again.
    pub async fn remove_tombstone(&self, id: NodeId) -> Result<(), ApiError> {
        Ok(self.db.remove_tombstone(id).await?)
    }
}
