//! Brings one shard to where it should be: attach, tell computes, then secondaries, then detach elsewhere.

use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, StatusCode};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::db::DbError;
use super::hook::HookError;
use super::model::{Availability, Node, Shard, ShardScheduling};
use super::peers::{CALL_LIMIT, with_retries};
use super::state::Controller;
use crate::client::CallError;
use crate::ids::{Generation, NodeId, TenantShardId};
use crate::wire::location::{LocationConfig, LocationMode};

/// How long calls of the API wait for the reconciles they cause.
pub const API_WAIT: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;

/// Why a shard isn't where it should be.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("node {node}: {source}")]
    Node { node: String, source: CallError },
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error("the shard was removed meanwhile")]
    Gone,
}

impl Controller {
    /// Queues a reconcile behind those of the same shard that run already.
    pub fn reconcile(self: &Arc<Self>, id: TenantShardId) -> JoinHandle<()> {
        self.with_shard(id, |shard| shard.reconciling += 1);
        let controller = Arc::clone(self);
        tokio::spawn(async move {
            let result = controller.reconcile_in_turn(id).await;
            controller.with_shard(id, |shard| {
                shard.reconciling = shard.reconciling.saturating_sub(1);
                shard.last_error = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
            });
            match result {
                Err(ReconcileError::Hook(error @ HookError::Missing)) => controller.give_up(&error.to_string()),
                Err(error) => tracing::warn!("reconcile of {id}: {error}"),
                Ok(()) => (),
            }
        })
    }

    /// Begins a reconcile of every shard that isn't where it should be, or whose computes haven't been told; how many.
    pub fn reconcile_behind(self: &Arc<Self>) -> usize {
        let behind: Vec<_> = {
            let model = self.model();
            let is_behind =
                |shard: &&Shard| shard.reconciling == 0 && (shard.pending_notification || !shard.last_error.is_empty());
            model.shards.values().filter(is_behind).map(|shard| shard.id).collect()
        };
        behind.iter().for_each(|id| drop(self.reconcile(*id)));
        behind.len()
    }

    /// Reconciles several at once and waits as long as calls of the API do. False when time was up.
    pub async fn reconcile_all(self: &Arc<Self>, ids: impl IntoIterator<Item = TenantShardId>) -> bool {
        let mut all: JoinSet<()> = JoinSet::new();
        for id in ids {
            let one = self.reconcile(id);
            all.spawn(async move {
                // The task was ended with the runtime.
                let _ = one.await;
            });
        }
        // The reconciles themselves go on after the time is up: only the waiting ends.
        timeout(API_WAIT, async { while all.join_next().await.is_some() {} }).await.is_ok()
    }

    async fn reconcile_in_turn(&self, id: TenantShardId) -> Result<(), ReconcileError> {
        let Some(turn) = self.with_shard(id, |shard| Arc::clone(&shard.turn)) else { return Ok(()) };
        let _turn = turn.lock().await;
        let Some(shard) = self.shard(id) else { return Ok(()) };
        if shard.splitting || matches!(shard.scheduling, ShardScheduling::Pause | ShardScheduling::Stop) {
            return Ok(());
        }
        self.learn_unknown(&shard).await?;
        if let Some(destination) = self.intended(&shard) {
            match self.origin_of_live_migration(id) {
                Some(origin) => self.migrate(id, &origin, &destination).await?,
                None => self.attach(id, &destination).await?,
            }
            let settled = self.tell_computes(id, destination.id()).await;
            self.place_secondaries(id).await?;
            self.detach_elsewhere(id).await?;
            return settled;
        }
        self.place_secondaries(id).await?;
        self.detach_elsewhere(id).await
    }

    /// The node it should be attached to, if that one answers.
    fn intended(&self, shard: &Shard) -> Option<Node> {
        let node = self.node(shard.intent.attached?)?;
        (node.availability == Availability::Active).then_some(node)
    }

    /// Asks nodes where the last call failed half-way, or which were away.
    async fn learn_unknown(&self, shard: &Shard) -> Result<(), ReconcileError> {
        for (id, _) in shard.observed.iter().filter(|(_, seen)| seen.is_none()) {
            let Some(node) = self.node(*id).filter(|node| node.availability == Availability::Active) else { continue };
            let path = format!("/v1/location_config/{}", shard.id);
            let seen = self.get_from_node::<LocationConfig>(&node, &path, CALL_LIMIT).await;
            self.with_shard(shard.id, |shard| match seen {
                Ok(location) => {
                    shard.observed.insert(node.id(), Some(location));
                    Ok(())
                }
                Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                    shard.observed.remove(&node.id());
                    Ok(())
                }
                Err(source) => Err(ReconcileError::Node { node: node.title(), source }),
            })
            .ok_or(ReconcileError::Gone)??;
        }
        Ok(())
    }

    /// Attached with its present generation, or with the next one if the node doesn't have that.
    async fn attach(&self, id: TenantShardId, node: &Node) -> Result<(), ReconcileError> {
        let shard = self.shard(id).ok_or(ReconcileError::Gone)?;
        let seen = shard.observed.get(&node.id()).and_then(Option::as_ref);
        let has_it = seen.is_some_and(|seen| seen.mode.is_attached() && seen.generation == shard.generation);
        if !has_it || shard.generation.is_none() {
            self.next_generation(id, node.id()).await?;
        }
        let shard = self.shard(id).ok_or(ReconcileError::Gone)?;
        let wanted = shard.location(LocationMode::AttachedSingle);
        if shard.observed.get(&node.id()) == Some(&Some(wanted.clone())) {
            return Ok(());
        }
        self.put_location(id, node, wanted, "?lazy=true", CALL_LIMIT).await
    }

    /// Counts up in the database first: a generation must never be given twice.
    pub async fn next_generation(&self, id: TenantShardId, node: NodeId) -> Result<Generation, ReconcileError> {
        let generation = self.db.next_generation(id, node).await?.ok_or(ReconcileError::Gone)?;
        self.with_shard(id, |shard| shard.generation = Some(generation)).ok_or(ReconcileError::Gone)?;
        Ok(generation)
    }

    async fn tell_computes(&self, id: TenantShardId, node: NodeId) -> Result<(), ReconcileError> {
        let shard = self.shard(id).ok_or(ReconcileError::Gone)?;
        let told = self.hook.attached(&shard, node).await;
        let first = shard.generation.is_some_and(|generation| generation.0 <= 1);
        let pending = told.as_ref().is_err_and(|error| !(first && error.is_unknown_tenant()));
        self.with_shard(id, |shard| shard.pending_notification = pending);
        if pending { Ok(told?) } else { Ok(()) }
    }

    /// Nodes that are away get it when they are back.
    async fn place_secondaries(&self, id: TenantShardId) -> Result<(), ReconcileError> {
        let shard = self.shard(id).ok_or(ReconcileError::Gone)?;
        let wanted = shard.location(LocationMode::Secondary);
        for node in &shard.intent.secondary {
            let Some(node) = self.node(*node).filter(|node| node.availability == Availability::Active) else {
                continue;
            };
            if shard.observed.get(&node.id()) != Some(&Some(wanted.clone())) {
                self.put_location(id, &node, wanted.clone(), "", CALL_LIMIT).await?;
            }
        }
        Ok(())
    }

    async fn detach_elsewhere(&self, id: TenantShardId) -> Result<(), ReconcileError> {
        let shard = self.shard(id).ok_or(ReconcileError::Gone)?;
        let wanted = shard.location(LocationMode::Detached);
        for node in shard.observed.keys().filter(|node| !shard.intent.includes(**node)) {
            let Some(node) = self.node(*node).filter(|node| node.availability == Availability::Active) else {
                continue;
            };
            self.put_location(id, &node, wanted.clone(), "", CALL_LIMIT).await?;
        }
        if shard.intent.attached.is_none() && shard.observed.values().flatten().any(|seen| seen.mode.is_attached()) {
            self.db.detach(id).await?;
        }
        Ok(())
    }

    /// One PUT of a location; what is known of the node changes with it.
    pub async fn put_location(
        &self,
        id: TenantShardId,
        node: &Node,
        wanted: LocationConfig,
        query: &str,
        limit: Duration,
    ) -> Result<(), ReconcileError> {
        let path = format!("/v1/tenant/{id}/location_config{query}");
        self.with_shard(id, |shard| shard.observed.insert(node.id(), None)).ok_or(ReconcileError::Gone)?;
        let put = || async { self.ask_node(node, Method::PUT, &path, Some(&wanted), limit).await?.ok().map(drop) };
        let done = with_retries(RETRIES, put).await;
        done.map_err(|source| ReconcileError::Node { node: node.title(), source })?;
        self.with_shard(id, |shard| match wanted.mode {
            LocationMode::Detached => shard.observed.remove(&node.id()),
            _ => shard.observed.insert(node.id(), Some(wanted)),
        })
        .ok_or(ReconcileError::Gone)?;
        Ok(())
    }
}
