//! A timeline gets other safekeepers: both sets together first, then the new one alone.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::db::StoredTimeline;
use super::hook::{HookError, NotifySafekeepers, SafekeeperName};
use super::model::Safekeeper;
use super::peers::with_retries;
use super::state::Controller;
use crate::client::CallError;
use crate::http::ApiError;
use crate::ids::{NodeId, TenantId, TimelineId};
use crate::wire::safekeeper::{MembershipConfig, PullTimelineRequest, SafekeeperMember};

const CALL_LIMIT: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;

/// Body of `POST …/timeline/:id/safekeeper_migrate`.
#[derive(Debug, Deserialize)]
pub struct SafekeeperMigrate {
    new_sk_set: Vec<NodeId>,
}

impl Controller {
    /// The steps in the order of the real program. When one fails, the timeline stays on its way, and the call can be
    /// repeated.
    pub async fn migrate_safekeepers(
        self: &Arc<Self>,
        tenant: TenantId,
        timeline: TimelineId,
        request: SafekeeperMigrate,
    ) -> Result<(), ApiError> {
        let _lock = self.lock_tenant(tenant).await;
        let known = self.db.timeline(tenant, timeline).await?;
        let mut known = known.ok_or_else(|| ApiError::NotFound("Timeline not found".into()))?;
        let new = self.named_safekeepers(&request.new_sk_set)?;
        let old = self.named_safekeepers(&known.sk_set)?;
        if known.new_sk_set.as_ref().is_some_and(|on_its_way| *on_its_way != request.new_sk_set) {
            return Err(ApiError::Conflict("another migration of this timeline isn't finished".into()));
        }
        if known.sk_set == request.new_sk_set {
            return Ok(());
        }
        if known.new_sk_set.is_none() {
            self.set_membership(&known, &old, &conf(&known, &old, None)).await?;
            self.tell_safekeepers(&known, &old).await?;
            known.generation += 1;
            known.new_sk_set = Some(request.new_sk_set.clone());
            self.db.set_safekeepers(&known).await?;
        }
        let joint = conf(&known, &old, Some(&new));
        let added: Vec<_> = new.iter().filter(|one| !known.sk_set.contains(&one.record.id)).cloned().collect();
        let union: Vec<_> = old.iter().chain(&added).cloned().collect();
        self.tell_safekeepers(&known, &union).await?;
        self.set_membership(&known, &old, &joint).await?;
        self.pull(&known, &old, &added, &joint).await?;
        self.set_membership(&known, &new, &joint).await?;
        known.generation += 1;
        known.sk_set = request.new_sk_set;
        known.new_sk_set = None;
        self.db.set_safekeepers(&known).await?;
        let last = conf(&known, &new, None);
        self.set_membership(&known, &new, &last).await?;
        let removed: Vec<_> = old.into_iter().filter(|one| !known.sk_set.contains(&one.record.id)).collect();
        self.on_each(&known, &removed, "exclude", &last).await?;
        self.tell_safekeepers(&known, &new).await
    }

    fn named_safekeepers(&self, ids: &[NodeId]) -> Result<Vec<Safekeeper>, ApiError> {
        if ids.is_empty() {
            return Err(ApiError::BadRequest("new safekeeper set is empty".into()));
        }
        let model = self.model();
        let named = ids.iter().map(|id| {
            let known = model.safekeepers.get(id).cloned();
            known.ok_or_else(|| ApiError::BadRequest(format!("Safekeeper {id} is not known")))
        });
        named.collect()
    }

    async fn set_membership(
        self: &Arc<Self>,
        timeline: &StoredTimeline,
        members: &[Safekeeper],
        conf: &MembershipConfig,
    ) -> Result<(), ApiError> {
        self.on_each(timeline, members, "membership", conf).await
    }

    /// The same PUT for all of them at once; every one has to take it.
    async fn on_each<B: Serialize + Clone + Send + Sync + 'static>(
        self: &Arc<Self>,
        timeline: &StoredTimeline,
        members: &[Safekeeper],
        call: &str,
        body: &B,
    ) -> Result<(), ApiError> {
        let path = format!("/v1/tenant/{}/timeline/{}/{call}", timeline.tenant_id, timeline.timeline_id);
        let mut calls = JoinSet::new();
        for safekeeper in members {
            let (controller, safekeeper) = (Arc::clone(self), safekeeper.clone());
            let (body, path) = (body.clone(), path.clone());
            calls.spawn(async move {
                let put = || controller.ask_safekeeper(&safekeeper, Method::PUT, &path, Some(&body), CALL_LIMIT);
                let result = with_retries(RETRIES, put).await;
                result.map(drop).map_err(|error| failed(&safekeeper, &error))
            });
        }
        calls.join_all().await.into_iter().collect()
    }

    /// New members take the timeline from the old ones.
    async fn pull(
        &self,
        timeline: &StoredTimeline,
        from: &[Safekeeper],
        to: &[Safekeeper],
        joint: &MembershipConfig,
    ) -> Result<(), ApiError> {
        let body = PullTimelineRequest {
            tenant_id: timeline.tenant_id,
            timeline_id: timeline.timeline_id,
            http_hosts: from.iter().map(Safekeeper::base_url).collect(),
            mconf: Some(joint.clone()),
        };
        for safekeeper in to {
            let reply =
                self.ask_safekeeper(safekeeper, Method::POST, "/v1/pull_timeline", Some(&body), CALL_LIMIT).await;
            reply.map_err(|error| failed(safekeeper, &error))?;
        }
        Ok(())
    }

    async fn tell_safekeepers(&self, timeline: &StoredTimeline, members: &[Safekeeper]) -> Result<(), ApiError> {
        let named = members.iter().map(|at| SafekeeperName { id: at.record.id, hostname: at.record.host.clone() });
        let message = NotifySafekeepers {
            tenant_id: timeline.tenant_id,
            timeline_id: timeline.timeline_id,
            generation: timeline.generation,
            safekeepers: named.collect(),
        };
        self.hook.safekeepers(&message).await.map_err(|error| {
            if matches!(error, HookError::Missing) {
                self.give_up(&error.to_string());
            }
            ApiError::Internal(format!("notify-safekeepers: {error}"))
        })
    }
}

fn failed(safekeeper: &Safekeeper, error: &CallError) -> ApiError {
    ApiError::Internal(format!("safekeeper {}: {error}", safekeeper.record.id))
}

fn conf(timeline: &StoredTimeline, members: &[Safekeeper], new: Option<&[Safekeeper]>) -> MembershipConfig {
    let all = |list: &[Safekeeper]| list.iter().map(member).collect();
    MembershipConfig { generation: timeline.generation, members: all(members), new_members: new.map(all) }
}

/// A safekeeper as the others are told it.
pub fn member(at: &Safekeeper) -> SafekeeperMember {
    SafekeeperMember { id: at.record.id, host: at.record.host.clone(), pg_port: at.record.port }
}
