//! Heartbeats: who answers is Active, who hasn't for long enough is Offline, and what follows from a change.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::model::{Availability, Node, Safekeeper, SafekeeperScheduling};
use super::peers::with_retries;
use super::schedule;
use super::state::Controller;
use crate::ids::{NodeId, TenantShardId};
use crate::wire::utilization::{PageserverUtilization, SafekeeperUtilization};

const CALL_LIMIT: Duration = Duration::from_secs(1);
const RETRIES: u32 = 3;
/// For what a node has, once it answers again.
const LOCATIONS_LIMIT: Duration = Duration::from_secs(5);

impl Controller {
    /// For ever: a round each interval, later when the last one took longer.
    pub async fn beat(self: Arc<Self>) {
        let mut ticks = interval(self.options.heartbeat_interval.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.heartbeats().await;
        }
    }

    /// One round. All are asked at once; what follows from it waits for the slowest, as in the real program.
    pub async fn heartbeats(self: &Arc<Self>) {
        let (nodes, safekeepers): (Vec<Node>, Vec<Safekeeper>) = {
            let model = self.model();
            (model.nodes.values().cloned().collect(), model.safekeepers.values().cloned().collect())
        };
        let mut node_beats = JoinSet::new();
        for node in nodes {
            let controller = Arc::clone(self);
            node_beats.spawn(async move {
                let call = || controller.get_from_node::<PageserverUtilization>(&node, "/v1/utilization", CALL_LIMIT);
                (node.id(), with_retries(RETRIES, call).await.is_ok(), node.last_seen)
            });
        }
        let mut safekeeper_beats = JoinSet::new();
        for safekeeper in safekeepers {
            let controller = Arc::clone(self);
            safekeeper_beats.spawn(async move {
                let answer = with_retries(RETRIES, || controller.timelines_on(&safekeeper)).await;
                (safekeeper.record.id, answer.ok())
            });
        }
        let (nodes, safekeepers) = tokio::join!(node_beats.join_all(), safekeeper_beats.join_all());
        for (id, timelines) in safekeepers {
            self.safekeeper_answered(id, timelines).await;
        }
        for (id, answered, last_seen) in nodes {
            if answered { self.node_answered(id).await } else { self.node_silent(id, last_seen) }
        }
    }

    async fn timelines_on(&self, safekeeper: &Safekeeper) -> Result<u64, crate::client::CallError> {
        let reply = self.ask_safekeeper::<()>(safekeeper, Method::GET, "/v1/utilization", None, CALL_LIMIT).await?;
        Ok(reply.json::<SafekeeperUtilization>()?.timeline_count)
    }

    /// A new safekeeper becomes Active with its first answer.
    async fn safekeeper_answered(&self, id: NodeId, timelines: Option<u64>) {
        let activated = {
            let mut model = self.model();
            let Some(safekeeper) = model.safekeepers.get_mut(&id) else { return };
            safekeeper.timelines = timelines;
            let activated = timelines.is_some() && safekeeper.scheduling == SafekeeperScheduling::Activating;
            if activated {
                safekeeper.scheduling = SafekeeperScheduling::Active;
            }
            activated
        };
        if !activated {
            return;
        }
        if let Err(error) = self.db.set_safekeeper_scheduling(id, SafekeeperScheduling::Active).await {
            tracing::warn!("safekeeper {id} is Active, but that isn't stored: {error}");
        }
    }

    /// Before a node takes part again, it is asked what it has: the controller may have moved things meanwhile.
    async fn node_answered(self: &Arc<Self>, id: NodeId) {
        let Some(node) = self.node(id) else { return };
        if node.availability == Availability::Active {
            if let Some(node) = self.model().nodes.get_mut(&id) {
                node.last_seen = Instant::now();
            }
            return;
        }
        // During the startup reconcile the scan tells it.
        let locations = if self.is_started() { Some(self.locations(&node, LOCATIONS_LIMIT).await) } else { None };
        let locations = match locations.transpose() {
            Ok(locations) => locations,
            Err(error) => return tracing::warn!("node {} isn't Active yet: {error}", node.title()),
        };
        let concerned = {
            let mut model = self.model();
            let Some(node) = model.nodes.get_mut(&id) else { return };
            node.last_seen = Instant::now();
            node.availability = Availability::Active;
            let Some(locations) = locations else { return };
            for shard in model.shards.values_mut() {
                shard.observed.remove(&id);
            }
            for (shard, location) in locations {
                if let Some(shard) = model.shards.get_mut(&shard) {
                    shard.observed.insert(id, location);
                }
            }
            let concerned =
                model.shards.values().filter(|shard| shard.intent.includes(id) || shard.observed.contains_key(&id));
            concerned.map(|shard| shard.id).collect::<Vec<_>>()
        };
        tracing::info!("node {} is Active", node.title());
        self.reconcile_in_background(concerned);
    }

    fn node_silent(self: &Arc<Self>, id: NodeId, last_seen: Instant) {
        let moved = {
            let mut model = self.model();
            let Some(node) = model.nodes.get_mut(&id) else { return };
            let patience = match node.availability {
                Availability::Offline => return,
                Availability::Active => self.options.max_offline_interval,
                Availability::WarmingUp => self.options.max_warming_up_interval,
            };
            // It re-attached while it was asked: that round says nothing about the new process.
            if node.last_seen != last_seen || node.last_seen.elapsed() < patience {
                return;
            }
            node.availability = Availability::Offline;
            tracing::warn!("node {} is Offline: no answer for {patience:?}", node.title());
            for shard in model.shards.values_mut() {
                if let Some(seen) = shard.observed.get_mut(&id) {
                    *seen = None;
                }
            }
            schedule::fail_over(&mut model, id)
        };
        self.reconcile_in_background(moved);
    }

    fn reconcile_in_background(self: &Arc<Self>, shards: Vec<TenantShardId>) {
        for id in shards {
            self.reconcile(id);
        }
    }
}
