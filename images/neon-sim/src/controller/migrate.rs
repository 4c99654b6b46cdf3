//! Live migration: the destination is attached beside the origin, computes are told, then the origin lets go.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::hook::HookError;
use super::model::{Availability, Node};
use super::peers::CALL_LIMIT;
use super::reconcile::ReconcileError;
use super::state::Controller;
use crate::client::CallError;
use crate::ids::TenantShardId;
use crate::wire::location::{LocationConfig, LocationMode};
use crate::wire::timeline::TimelineInfo;

/// The longest pause between two tries to tell computes.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How many tries there are, before the migration is left for later.
const TRIES: u32 = 10;

impl Controller {
    /// Another node which has the shard attached and answers, while it should be elsewhere.
    pub fn origin_of_live_migration(&self, id: TenantShardId) -> Option<Node> {
        let model = self.model();
        let shard = model.shards.get(&id)?;
        let is_origin = |seen: &LocationConfig| {
            matches!(seen.mode, LocationMode::AttachedSingle | LocationMode::AttachedMulti)
                && seen.generation == shard.generation
        };
        let seen = shard.observed.iter().filter(|(node, _)| Some(**node) != shard.intent.attached);
        let origin = seen.filter(|(_, seen)| seen.as_ref().is_some_and(is_origin)).map(|(node, _)| *node).next()?;
        model.nodes.get(&origin).filter(|node| node.availability == Availability::Active).cloned()
    }

    /// The steps in the order of the real program. Leaves the destination AttachedSingle and the origin Secondary.
    pub async fn migrate(&self, id: TenantShardId, origin: &Node, destination: &Node) -> Result<(), ReconcileError> {
        tracing::info!("{id} migrates from node {} to node {}", origin.id(), destination.id());
        let bare = |mode| self.shard(id).map(|shard| shard.bare_location(mode)).ok_or(ReconcileError::Gone);
        self.put_location(id, origin, bare(LocationMode::AttachedStale)?, "?flush_ms=10000", CALL_LIMIT).await?;
        let positions = self.positions(id, origin).await?;
        if self.has_secondary(id, destination) {
            self.download(id, destination).await?;
        }
        self.next_generation(id, destination.id()).await?;
        self.put_location(id, destination, bare(LocationMode::AttachedMulti)?, "", CALL_LIMIT).await?;
        self.wait_for_positions(id, destination, positions).await?;
        self.cut_over(id, origin, destination).await?;
        self.put_location(id, origin, bare(LocationMode::Secondary)?, "", CALL_LIMIT).await?;
        self.put_location(id, destination, bare(LocationMode::AttachedSingle)?, "", CALL_LIMIT).await?;
        // Now as any attached shard, with what secondaries need.
        let settled = self.shard(id).ok_or(ReconcileError::Gone)?.location(LocationMode::AttachedSingle);
        self.put_location(id, destination, settled, "?lazy=true", CALL_LIMIT).await
    }

    fn has_secondary(&self, id: TenantShardId, node: &Node) -> bool {
        let seen = self.shard(id).and_then(|shard| shard.observed.get(&node.id()).cloned().flatten());
        seen.is_some_and(|seen| seen.mode == LocationMode::Secondary)
    }

    /// Up to where each timeline has come on the origin.
    async fn positions(&self, id: TenantShardId, node: &Node) -> Result<Map<String, Value>, ReconcileError> {
        let path = format!("/v1/tenant/{id}/timeline");
        let timelines: Vec<TimelineInfo> =
            self.get_from_node(node, &path, CALL_LIMIT).await.map_err(|source| at(node, source))?;
        Ok(timelines.iter().map(|one| (one.timeline_id.to_string(), json!(one.last_record_lsn))).collect())
    }

    async fn download(&self, id: TenantShardId, node: &Node) -> Result<(), ReconcileError> {
        let path = format!("/v1/tenant/{id}/secondary/download?wait_ms=20000");
        let reply = self.ask_node::<()>(node, Method::POST, &path, None, CALL_LIMIT).await;
        reply.and_then(|reply| reply.ok().map(drop)).map_err(|source| at(node, source))
    }

    /// Waits until the destination has come as far. A 404 isn't a failure: it has been attached this moment.
    async fn wait_for_positions(
        &self,
        id: TenantShardId,
        node: &Node,
        mut body: Map<String, Value>,
    ) -> Result<(), ReconcileError> {
        if body.is_empty() {
            return Ok(());
        }
        body.insert("timeout".to_owned(), json!({ "secs": 10, "nanos": 0 }));
        let path = format!("/v1/tenant/{id}/wait_lsn");
        let reply = self.ask_node(node, Method::POST, &path, Some(&body), CALL_LIMIT).await;
        let reply = reply.map_err(|source| at(node, source))?;
        if reply.status == StatusCode::NOT_FOUND {
            self.positions(id, node).await?;
            return Ok(());
        }
        reply.ok().map(drop).map_err(|source| at(node, source))
    }

    /// Computes have to know before the origin goes; until they do, it is tried again after 0, 2, 4, 8 … s, as long as
    /// the origin still has the shard.
    async fn cut_over(&self, id: TenantShardId, origin: &Node, destination: &Node) -> Result<(), ReconcileError> {
        let mut pause = Duration::ZERO;
        for attempt in 1.. {
            let shard = self.shard(id).ok_or(ReconcileError::Gone)?;
            let error = match self.hook.attached(&shard, destination.id()).await {
                Ok(()) => break,
                Err(error) if error.is_fatal() || attempt == TRIES => return Err(self.abandon(id, error)),
                Err(error) => error,
            };
            tracing::warn!("computes of {id} don't know yet: {error}; next try in {pause:?}");
            self.with_shard(id, |shard| shard.pending_notification = true);
            sleep(pause).await;
            pause = (pause * 2).clamp(Duration::from_secs(2), LONGEST_PAUSE);
            let path = format!("/v1/location_config/{id}");
            self.get_from_node::<LocationConfig>(origin, &path, CALL_LIMIT)
                .await
                .map_err(|source| at(origin, source))?;
        }
        Ok(())
    }

    fn abandon(&self, id: TenantShardId, error: HookError) -> ReconcileError {
        self.with_shard(id, |shard| shard.pending_notification = true);
        error.into()
    }
}

fn at(node: &Node, source: CallError) -> ReconcileError {
    ReconcileError::Node { node: node.title(), source }
}
