//! startup_reconcile: asks every known pageserver what it has before calls about tenants are let through.
//!
//! The time it takes is what makes the order of starts matter: a pageserver that refuses costs 5 s of tries and 2.3 s of
//! heartbeats, one that accepts and hangs all of the scan's 15 s and 6.3 s of heartbeats.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::model::{Intent, Node, Shard};
use super::peers::with_retries;
use super::schedule;
use super::state::Controller;
use crate::client::CallError;
use crate::ids::{NodeId, TenantShardId};
use crate::wire::location::{LocationConfig, LocationList, LocationMode};

/// Half of the real program's budget of 30 s: for the scan of all nodes.
const SCAN_LIMIT: Duration = Duration::from_secs(15);
const CALL_LIMIT: Duration = Duration::from_secs(5);
const RETRIES: u32 = 5;

type Locations = Vec<(TenantShardId, Option<LocationConfig>)>;

impl Controller {
    /// Runs once, in the background of a controller that serves already.
    pub async fn startup_reconcile(self: Arc<Self>) {
        let begin = Instant::now();
        let nodes: Vec<Node> = self.model().nodes.values().cloned().collect();
        let known = nodes.len();
        let seen = self.scan(nodes, begin + SCAN_LIMIT).await;
        tracing::info!("startup scan: {} of {known} pageservers answered", seen.len());
        if known > 0 {
            self.heartbeats().await;
        }
        let strangers = self.take_in(&seen);
        let shards = self.schedule_all();
        self.set_started();
        tracing::info!("startup reconcile is over after {:.2} s", begin.elapsed().as_secs_f64());
        self.tell_stable(&shards);
        for (node, id) in strangers {
            tracing::warn!("node {node} has {id}, which isn't in the database");
            self.detach_stranger(node, id).await;
        }
        for id in shards {
            self.reconcile(id);
        }
    }

    async fn scan(self: &Arc<Self>, nodes: Vec<Node>, deadline: Instant) -> BTreeMap<NodeId, Locations> {
        let mut scans = JoinSet::new();
        for node in nodes {
            let controller = Arc::clone(self);
            scans.spawn(async move {
                let scan = with_retries(RETRIES, || controller.locations(&node, CALL_LIMIT));
                match timeout_at(deadline, scan).await {
                    Ok(Ok(list)) => return Some((node.id(), list)),
                    Ok(Err(error)) => tracing::warn!("scan of node {}: {error}", node.title()),
                    Err(_) => tracing::warn!("scan of node {}: no answer in time", node.title()),
                }
                None
            });
        }
        scans.join_all().await.into_iter().flatten().collect()
    }

    /// What a pageserver has.
    pub async fn locations(&self, node: &Node, limit: Duration) -> Result<Locations, CallError> {
        let list: LocationList = self.get_from_node(node, "/v1/location_config", limit).await?;
        Ok(list.tenant_shards)
    }

    /// Enters what was seen; answers the shards that nobody knows.
    fn take_in(&self, seen: &BTreeMap<NodeId, Locations>) -> Vec<(NodeId, TenantShardId)> {
        let mut strangers = Vec::new();
        let mut model = self.model();
        for (node, locations) in seen {
            for (id, location) in locations {
                match model.shards.get_mut(id) {
                    Some(shard) => drop(shard.observed.insert(*node, location.clone())),
                    None => strangers.push((*node, *id)),
                }
            }
        }
        // Nobody can say what the silent ones have; they are asked when they are back.
        for shard in model.shards.values_mut() {
            for node in shard.intent.attached.iter().filter(|node| !seen.contains_key(node)) {
                shard.observed.insert(*node, None);
            }
            shard.intent = intent_from(shard);
        }
        strangers
    }

    /// Completes all intents, for tenants too that never found a place; those that can't be placed are left.
    fn schedule_all(&self) -> Vec<TenantShardId> {
        let mut model = self.model();
        let ids: Vec<_> = model.shards.keys().copied().collect();
        for id in &ids {
            if let Err(error) = schedule::schedule(&mut model, *id) {
                tracing::warn!("{id} isn't placed: {error}");
            }
        }
        ids
    }

    /// Every start tells computes about all that is attached, changed or not.
    fn tell_stable(self: &Arc<Self>, shards: &[TenantShardId]) {
        for shard in shards.iter().filter_map(|id| self.shard(*id)).filter(Shard::is_stably_attached) {
            let controller = Arc::clone(self);
            tokio::spawn(async move {
                let Some(node) = shard.intent.attached else { return };
                match controller.hook.attached(&shard, node).await {
                    Ok(()) => (),
                    Err(error @ super::hook::HookError::Missing) => controller.give_up(&error.to_string()),
                    Err(error) => {
                        tracing::warn!("computes of {}: {error}", shard.id);
                        controller.with_shard(shard.id, |shard| shard.pending_notification = true);
                    }
                }
            });
        }
    }

    async fn detach_stranger(&self, node: NodeId, id: TenantShardId) {
        let Some(node) = self.node(node) else { return };
        // Stripe size and settings don't matter for what is removed.
        let shard = Shard::new(id, 0, super::model::PlacementPolicy::Detached, Default::default());
        let path = format!("/v1/tenant/{id}/location_config");
        let wanted = shard.location(LocationMode::Detached);
        let reply = self.ask_node(&node, hyper::Method::PUT, &path, Some(&wanted), CALL_LIMIT).await;
        if let Err(error) = reply.and_then(|reply| reply.ok().map(drop)) {
            tracing::warn!("can't detach {id} from node {}: {error}", node.title());
        }
    }
}

/// Where a shard was seen: attached with the highest generation, and its secondaries. Where it was given to, if it
/// wasn't seen attached.
fn intent_from(shard: &Shard) -> Intent {
    let seen = || shard.observed.iter().filter_map(|(node, seen)| Some((*node, seen.as_ref()?)));
    let attached = seen()
        .filter(|(_, seen)| seen.mode.is_attached())
        .max_by_key(|(_, seen)| seen.generation)
        .map(|(node, _)| node);
    let attached = attached.or(shard.intent.attached);
    let secondary = seen().filter(|(node, seen)| seen.mode == LocationMode::Secondary && Some(*node) != attached);
    Intent { attached, secondary: secondary.map(|(node, _)| node).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::model::{PlacementPolicy, TenantConfig};
    use crate::ids::{Generation, TenantId};

    #[test]
    fn the_highest_generation_is_believed() {
        let id = TenantShardId::unsharded(TenantId(1));
        let mut shard = Shard::new(id, 2048, PlacementPolicy::Attached(1), TenantConfig::new());
        shard.intent = Intent::attached_to(Some(NodeId(1)));
        let mut see = |node, mode, generation| {
            shard.generation = Some(Generation(generation));
            shard.observed.insert(NodeId(node), Some(shard.location(mode)));
        };
        see(1, LocationMode::AttachedSingle, 3);
        see(2, LocationMode::AttachedSingle, 4);
        see(3, LocationMode::Secondary, 4);
        assert_eq!(intent_from(&shard), Intent { attached: Some(NodeId(2)), secondary: vec![NodeId(3)] });
        shard.observed.clear();
        assert_eq!(
            intent_from(&shard),
            Intent::attached_to(Some(NodeId(1))),
            "seen nowhere, it stays where it was given to"
        );
    }
}
