//! Where an endpoint's pages and safekeepers are, and the specification that says so.

use std::sync::PoisonError;

use serde_json::{Value, json};

use super::ids::{EndpointName, TenantId, TimelineId};
use super::plane::{Plane, PlaneError};
use super::spec::{Place, Placement, Safekeepers, SpecInput, spec};
use super::state::{Endpoint, Refusal, SafekeeperSet};
use super::tokens;
use super::wire::{LocatedShard, NotifiedShard, NotifyAttach};

/// Tokens for the endpoint storage hold for a day; each specification has a new one.
const STORAGE_TOKEN: i64 = 24 * 60 * 60;

impl Plane {
    /// Where the tenant's pages are: as it was last notified, else as the controller means it to be.
    async fn placement(&self, tenant: TenantId) -> Result<Placement, PlaneError> {
        let notified = self.attached.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        if let Some(message) = notified {
            return self.notified_placement(&message).await;
        }
        let located = match self.controller.locate(tenant).await {
            // Known, and nowhere attached: about to be, after a start of everything.
            Err(error) if error.status().is_some_and(|status| status.as_u16() == 400) => {
                return Err(PlaneError::NotYet(error.to_string()));
            }
            located => located?.ok_or(Refusal::NoTenant(tenant))?,
        };
        let place = |shard: &LocatedShard| Place {
            node_id: shard.node_id,
            address: format!("{}:{}", shard.listen_pg_addr, shard.listen_pg_port),
        };
        let stripe_size = (located.shard_params.count > 0).then_some(located.shard_params.stripe_size);
        Ok(Placement { stripe_size, shards: located.shards.iter().map(place).collect() })
    }

    async fn notified_placement(&self, message: &NotifyAttach) -> Result<Placement, PlaneError> {
        let nodes = self.controller.nodes().await?;
        let mut shards = message.shards.clone();
        shards.sort_by_key(|shard| shard.shard_number);
        let place = |shard: &NotifiedShard| {
            let node = nodes.iter().find(|node| node.id == shard.node_id);
            let node = node.ok_or_else(|| {
                PlaneError::NotYet(format!("pageserver {} is not known to the storage controller", shard.node_id))
            })?;
            Ok(Place { node_id: node.id, address: format!("{}:{}", node.listen_pg_addr, node.listen_pg_port) })
        };
        let shards = shards.iter().map(place).collect::<Result<Vec<_>, PlaneError>>()?;
        Ok(Placement { stripe_size: message.stripe_size, shards })
    }

    /// The timeline's safekeepers: the newer of what was notified and what the controller says now.
    async fn safekeepers(&self, tenant: TenantId, timeline: TimelineId) -> Result<Safekeepers, PlaneError> {
        let known =
            self.memory.state().tenants.get(&tenant).and_then(|known| known.safekeepers.get(&timeline)).cloned();
        let located = self.controller.locate_timeline(tenant, timeline).await?;
        let located = located.map(|located| {
            let more = located.new_sk_set.into_iter().flatten().filter(|id| !located.sk_set.contains(id));
            let ids = located.sk_set.iter().copied().chain(more).collect();
            SafekeeperSet { generation: located.generation, ids }
        });
        let newest = known.into_iter().chain(located).max_by_key(|set| set.generation);
        let all = self.controller.safekeepers().await?;
        let Some(set) = newest else {
            // Made without them: any will do, and computes make it there by themselves.
            let addresses = all.iter().map(|known| format!("{}:{}", known.host, known.port)).collect();
            return Ok(Safekeepers { generation: None, addresses });
        };
        let address = |id: &u64| {
            let known = all.iter().find(|known| known.id == *id);
            let known = known.ok_or_else(|| PlaneError::NotYet(format!("safekeeper {id} is not registered")))?;
            Ok(format!("{}:{}", known.host, known.port))
        };
        let addresses = set.ids.iter().map(address).collect::<Result<Vec<_>, PlaneError>>()?;
        Ok(Safekeepers { generation: Some(set.generation), addresses })
    }

    /// What an endpoint should run with now.
    pub(super) async fn wanted_spec(&self, name: &EndpointName, endpoint: &Endpoint) -> Result<Value, PlaneError> {
        let state = self.memory.state();
        let branch = *state.branch(endpoint.tenant, endpoint.branch.as_str())?.1;
        let placement = self.placement(endpoint.tenant).await?;
        let safekeepers = self.safekeepers(endpoint.tenant, branch.timeline).await?;
        let endpoint_storage = self.settings.endpoint_storage.as_deref().map(|address| {
            let claims = json!({
                "tenant_id": endpoint.tenant, "timeline_id": branch.timeline, "endpoint_id": name,
                "exp": jiff::Timestamp::now().as_second() + STORAGE_TOKEN,
            });
            (address, self.keys.token(&claims))
        });
        Ok(spec(&SpecInput {
            name,
            tenant: endpoint.tenant,
            timeline: branch.timeline,
            mode: endpoint.mode,
            pg_version: branch.pg_version,
            placement: &placement,
            safekeepers: &safekeepers,
            login: &self.settings.login,
            verifier: &self.verifier,
            compute: &self.settings.compute,
            storage_token: self.settings.auth.then(|| tokens::of_tenant(&self.keys, endpoint.tenant)),
            endpoint_storage,
        }))
    }
}
