//! Which node a shard goes to. Pure: it reads and writes the model only.

use std::collections::BTreeMap;

use super::model::{Model, Node, PlacementPolicy, Shard, ShardScheduling};
use crate::ids::{NodeId, TenantShardId};

/// There is no place for a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("No pageservers found")]
    NoNodes,
    #[error("No pageserver found matching constraint")]
    NoneFits,
}

/// The availability zone for a new tenant: the one with the fewest attached shards, whether its nodes are up or not.
pub fn zone_for_new_tenant(model: &Model) -> Option<String> {
    let mut attached: BTreeMap<&str, usize> = BTreeMap::new();
    for node in model.nodes.values() {
        *attached.entry(&node.announced.availability_zone_id).or_default() += load(model, node.id()).0;
    }
    attached.into_iter().min_by_key(|(_, shards)| *shards).map(|(zone, _)| zone.to_owned())
}

/// Completes the intent of a shard as its policy wants. What it has already stays where it is.
pub fn schedule(model: &mut Model, id: TenantShardId) -> Result<(), ScheduleError> {
    let Some(shard) = model.shards.get(&id) else { return Ok(()) };
    let mut intent = shard.intent.clone();
    let secondaries = match shard.policy {
        PlacementPolicy::Attached(secondaries) => {
            if intent.attached.is_none() {
                let promoted = best(model, shard, |node| intent.secondary.contains(&node.id()));
                let node = promoted.map_or_else(|| pick(model, shard, &[]), Ok)?;
                intent.secondary.retain(|secondary| *secondary != node);
                intent.attached = Some(node);
            }
            secondaries
        }
        PlacementPolicy::Secondary => {
            intent.secondary.extend(intent.attached.take());
            1
        }
        PlacementPolicy::Detached => {
            intent = super::model::Intent::default();
            0
        }
    };
    while intent.secondary.len() < secondaries {
        let taken: Vec<_> = intent.secondary.iter().copied().chain(intent.attached).collect();
        intent.secondary.push(pick(model, shard, &taken)?);
    }
    if let Some(shard) = model.shards.get_mut(&id) {
        shard.intent = intent;
    }
    Ok(())
}

/// Moves what was attached to a node that is gone; answers the shards that have a new place.
pub fn fail_over(model: &mut Model, gone: NodeId) -> Vec<TenantShardId> {
    let attached: Vec<_> = model
        .shards
        .values()
        .filter(|shard| shard.intent.attached == Some(gone))
        .filter(|shard| !matches!(shard.scheduling, ShardScheduling::Pause | ShardScheduling::Stop))
        .map(|shard| shard.id)
        .collect();
    attached.into_iter().filter(|id| move_away(model, *id, gone)).collect()
}

/// The old place stays as a secondary: when the node is back it has most of the data. False if there is no other place.
pub fn move_away(model: &mut Model, id: TenantShardId, from: NodeId) -> bool {
    let Some(shard) = model.shards.get(&id) else { return false };
    let secondary = best(model, shard, |node| node.id() != from && shard.intent.secondary.contains(&node.id()));
    let destination = match secondary.map_or_else(|| pick(model, shard, &[from]), Ok) {
        Ok(destination) => destination,
        Err(error) => {
            tracing::warn!("{id} stays on node {from}: {error}");
            return false;
        }
    };
    let Some(shard) = model.shards.get_mut(&id) else { return false };
    shard.intent.move_to(destination);
    true
}

/// Any node which can be asked to work for a tenant that is nowhere.
pub fn any_node(model: &Model) -> Result<NodeId, ScheduleError> {
    let up = model.nodes.values().find(|node| node.takes_shards()).map(Node::id);
    up.ok_or(if model.nodes.is_empty() { ScheduleError::NoNodes } else { ScheduleError::NoneFits })
}

fn pick(model: &Model, shard: &Shard, not: &[NodeId]) -> Result<NodeId, ScheduleError> {
    if model.nodes.is_empty() {
        return Err(ScheduleError::NoNodes);
    }
    best(model, shard, |node| !not.contains(&node.id())).ok_or(ScheduleError::NoneFits)
}

/// Of the nodes that take shards: in the shard's zone first, then away from its siblings, then the least loaded.
fn best(model: &Model, shard: &Shard, fits: impl Fn(&Node) -> bool) -> Option<NodeId> {
    let elsewhere =
        |node: &Node| shard.preferred_az.as_ref().is_some_and(|zone| *zone != node.announced.availability_zone_id);
    let siblings = |node: NodeId| {
        model.tenant(shard.id.tenant_id).filter(|other| other.id != shard.id && other.intent.includes(node)).count()
    };
    model
        .nodes
        .values()
        .filter(|node| node.takes_shards() && fits(node))
        .min_by_key(|node| (elsewhere(node), siblings(node.id()), load(model, node.id()), node.id()))
        .map(Node::id)
}

/// Shards attached to a node, and those it has as a secondary.
fn load(model: &Model, node: NodeId) -> (usize, usize) {
    let attached = model.shards.values().filter(|shard| shard.intent.attached == Some(node)).count();
    let secondary = model.shards.values().filter(|shard| shard.intent.secondary.contains(&node)).count();
    (attached, secondary)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::controller::model::{Availability, Intent, NodeScheduling, TenantConfig};
    use crate::ids::TenantId;
    use crate::wire::upcall::NodeRegister;

    fn node(id: u64, zone: &str) -> Node {
        let announced = NodeRegister {
            node_id: NodeId(id),
            listen_pg_addr: "ps".into(),
            listen_pg_port: 6400,
            listen_grpc_addr: None,
            listen_grpc_port: None,
            listen_http_addr: "ps".into(),
            listen_http_port: 9898,
            listen_https_port: None,
            availability_zone_id: zone.into(),
            node_ip_addr: None,
        };
        let (scheduling, availability) = (NodeScheduling::Active, Availability::Active);
        Node { announced, scheduling, availability, last_seen: Instant::now() }
    }

    fn model(nodes: &[(u64, &str)]) -> Model {
        let nodes = nodes.iter().map(|(id, zone)| (NodeId(*id), node(*id, zone))).collect();
        Model { nodes, ..Model::default() }
    }

    fn add(model: &mut Model, tenant: u128, policy: PlacementPolicy) -> TenantShardId {
        let id = TenantShardId::unsharded(TenantId(tenant));
        let mut shard = Shard::new(id, 2048, policy, TenantConfig::new());
        shard.preferred_az = zone_for_new_tenant(model);
        model.shards.insert(id, shard);
        id
    }

    #[test]
    fn tenants_go_to_the_zones_in_turn() {
        let mut model = model(&[(1, "az-1"), (2, "az-2")]);
        let places = [1, 2, 3].map(|tenant| {
            let id = add(&mut model, tenant, PlacementPolicy::Attached(0));
            schedule(&mut model, id).unwrap();
            model.shards[&id].intent.clone()
        });
        assert_eq!(places, [1, 2, 1].map(|node| Intent::attached_to(Some(NodeId(node)))));
    }

    #[test]
    fn a_secondary_is_on_another_node_and_needs_one() {
        let mut both = model(&[(1, "az-1"), (2, "az-2")]);
        let id = add(&mut both, 1, PlacementPolicy::Attached(1));
        schedule(&mut both, id).unwrap();
        assert_eq!(both.shards[&id].intent, Intent { attached: Some(NodeId(1)), secondary: vec![NodeId(2)] });
        let mut alone = model(&[(1, "az-1")]);
        let id = add(&mut alone, 1, PlacementPolicy::Attached(1));
        assert_eq!(schedule(&mut alone, id), Err(ScheduleError::NoneFits));
    }

    #[test]
    fn without_nodes_and_without_active_nodes_the_errors_differ() {
        let mut none = model(&[]);
        let id = add(&mut none, 1, PlacementPolicy::Attached(0));
        assert_eq!(schedule(&mut none, id), Err(ScheduleError::NoNodes));
        let mut warming = model(&[(1, "az-1")]);
        warming.nodes.get_mut(&NodeId(1)).unwrap().availability = Availability::WarmingUp;
        let id = add(&mut warming, 1, PlacementPolicy::Attached(0));
        assert_eq!(schedule(&mut warming, id), Err(ScheduleError::NoneFits));
        assert_eq!(warming.shards[&id].preferred_az.as_deref(), Some("az-1"), "the zone is chosen all the same");
    }

    #[test]
    fn a_lost_node_stays_as_secondary() {
        let mut model = model(&[(1, "az-1"), (2, "az-2")]);
        let plain = add(&mut model, 1, PlacementPolicy::Attached(0));
        schedule(&mut model, plain).unwrap();
        model.nodes.get_mut(&NodeId(1)).unwrap().availability = Availability::Offline;
        assert_eq!(fail_over(&mut model, NodeId(1)), [plain]);
        assert_eq!(model.shards[&plain].intent, Intent { attached: Some(NodeId(2)), secondary: vec![NodeId(1)] });
        model.nodes.get_mut(&NodeId(2)).unwrap().availability = Availability::Offline;
        assert_eq!(fail_over(&mut model, NodeId(2)), [], "with no node left everything stays");
        assert_eq!(model.shards[&plain].intent.attached, Some(NodeId(2)));
    }
}
