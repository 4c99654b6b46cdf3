//! Safekeepers: told to the controller by whoever starts them, and given timelines.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::db::{PendingOp, StoredTimeline};
use super::hook::SafekeeperName;
use super::model::{Safekeeper, SafekeeperRecord, SafekeeperScheduling};
use super::peers::with_retries;
use super::safekeeper_moves::member;
use super::state::Controller;
use crate::http::ApiError;
use crate::ids::{NodeId, TenantId, TimelineId};
use crate::wire::safekeeper::{MembershipConfig, SafekeeperTimelineCreate};
use crate::wire::timeline::{PgMajor, TimelineInfo};

/// For a majority of the safekeepers to have a new timeline.
const QUORUM_LIMIT: Duration = Duration::from_secs(30);
const CALL_LIMIT: Duration = Duration::from_secs(10);
const RETRIES: u32 = 3;

/// Body of `POST /control/v1/safekeeper/:id/scheduling_policy`.
#[derive(Debug, Deserialize)]
pub struct PolicyRequest {
    scheduling_policy: SafekeeperScheduling,
}

/// Part of the answer to the creation of a timeline.
#[derive(Debug, Serialize)]
pub struct TimelineSafekeepers {
    tenant_id: TenantId,
    timeline_id: TimelineId,
    generation: u32,
    safekeepers: Vec<SafekeeperName>,
}

impl StoredTimeline {
    /// Everyone who has it or shall have it.
    pub fn members(&self) -> Vec<NodeId> {
        self.sk_set.iter().chain(self.new_sk_set.iter().flatten()).copied().collect()
    }
}

impl Controller {
    pub fn describe_safekeepers(&self) -> Vec<Value> {
        self.model().safekeepers.values().map(Safekeeper::describe).collect()
    }

    pub fn describe_safekeeper(&self, id: NodeId) -> Result<Value, ApiError> {
        let model = self.model();
        let safekeeper = model.safekeepers.get(&id);
        Ok(safekeeper.ok_or_else(|| ApiError::NotFound("unknown instance id".into()))?.describe())
    }

    /// New ones begin as Activating; the policy of known ones stays.
    pub async fn upsert_safekeeper(&self, id: NodeId, record: SafekeeperRecord) -> Result<(), ApiError> {
        if record.id != id {
            return Err(ApiError::BadRequest(format!("id mismatch: url={id}, body={}", record.id)));
        }
        if id.0 == 0 || record.version < 0 {
            return Err(ApiError::BadRequest("id has to be above 0 and version not below".into()));
        }
        self.db.upsert_safekeeper(&record, SafekeeperScheduling::Activating).await?;
        let mut model = self.model();
        let new =
            || Safekeeper { record: record.clone(), scheduling: SafekeeperScheduling::Activating, timelines: None };
        model.safekeepers.entry(id).or_insert_with(new).record = record.clone();
        Ok(())
    }

    pub async fn set_safekeeper_policy(&self, id: NodeId, request: PolicyRequest) -> Result<(), ApiError> {
        if !self.model().safekeepers.contains_key(&id) {
            return Err(ApiError::Internal(format!("safekeeper {id} isn't known")));
        }
        self.db.set_safekeeper_scheduling(id, request.scheduling_policy).await?;
        if let Some(safekeeper) = self.model().safekeepers.get_mut(&id) {
            safekeeper.scheduling = request.scheduling_policy;
        }
        Ok(())
    }

    pub async fn locate_timeline(&self, tenant: TenantId, timeline: TimelineId) -> Result<Value, ApiError> {
        let known = self.db.timeline(tenant, timeline).await?;
        let known = known.ok_or_else(|| ApiError::NotFound("Timeline not found".into()))?;
        Ok(json!({ "generation": known.generation, "sk_set": known.sk_set, "new_sk_set": known.new_sk_set }))
    }

    /// Makes a timeline known on its safekeepers; a majority has to take it, the others are told later.
    pub async fn create_on_safekeepers(
        self: &Arc<Self>,
        tenant_id: TenantId,
        info: &TimelineInfo,
    ) -> Result<TimelineSafekeepers, ApiError> {
        let timeline = match self.db.timeline(tenant_id, info.timeline_id).await? {
            Some(known) => known,
            None => {
                let sk_set = choose(self.model().safekeepers.values(), self.options.timeline_safekeeper_count)?;
                let (timeline_id, start_lsn) = (info.timeline_id, info.last_record_lsn);
                let new = StoredTimeline { tenant_id, timeline_id, start_lsn, generation: 1, sk_set, new_sk_set: None };
                self.db.add_timeline(&new).await?
            }
        };
        let members = self.safekeepers_of(&timeline.sk_set);
        let body = creation(&timeline, &members, PgMajor(info.pg_version).full());
        self.create_on_majority(&body, &members).await?;
        let names = members.iter().map(|at| SafekeeperName { id: at.record.id, hostname: at.record.host.clone() });
        Ok(TimelineSafekeepers {
            tenant_id,
            timeline_id: info.timeline_id,
            generation: timeline.generation,
            safekeepers: names.collect(),
        })
    }

    fn safekeepers_of(&self, set: &[NodeId]) -> Vec<Safekeeper> {
        let model = self.model();
        set.iter().filter_map(|id| model.safekeepers.get(id).cloned()).collect()
    }

    async fn create_on_majority(
        self: &Arc<Self>,
        body: &SafekeeperTimelineCreate,
        members: &[Safekeeper],
    ) -> Result<(), ApiError> {
        let mut calls = JoinSet::new();
        for safekeeper in members.iter().cloned() {
            let (controller, body) = (Arc::clone(self), body.clone());
            calls.spawn(async move {
                let create = || {
                    controller.ask_safekeeper(&safekeeper, Method::POST, "/v1/tenant/timeline", Some(&body), CALL_LIMIT)
                };
                let result = with_retries(RETRIES, create).await;
                if let Err(error) = &result {
                    tracing::warn!("timeline {} on safekeeper {}: {error}", body.timeline_id, safekeeper.record.id);
                }
                (safekeeper.record.id, result.is_ok())
            });
        }
        let mut done = BTreeSet::new();
        let gather = async {
            while let Some(result) = calls.join_next().await {
                done.extend(result.ok().filter(|(_, created)| *created).map(|(id, _)| id));
            }
        };
        // Who hasn't answered by then counts as failed.
        let _ = timeout(QUORUM_LIMIT, gather).await;
        self.tell_later(body, members.iter().map(|at| at.record.id).filter(|id| !done.contains(id))).await?;
        let (quorum, total) = (members.len() / 2 + 1, members.len());
        if done.len() < quorum {
            let done = done.len();
            return Err(ApiError::Internal(format!(
                "not enough successful reconciliations to reach quorum size: {done} of {quorum} of total {total}"
            )));
        }
        Ok(())
    }

    async fn tell_later(
        &self,
        body: &SafekeeperTimelineCreate,
        who: impl Iterator<Item = NodeId>,
    ) -> Result<(), ApiError> {
        for safekeeper in who {
            let create = serde_json::to_string(body).map_err(|error| ApiError::Internal(error.to_string()))?;
            let (tenant_id, timeline_id) = (body.tenant_id, Some(body.timeline_id));
            let op = PendingOp { safekeeper, tenant_id, timeline_id, create: Some(create) };
            self.db.add_pending_op(&op).await?;
        }
        Ok(())
    }

    /// Takes a timeline from its safekeepers; those that don't answer are told later.
    pub async fn delete_from_safekeepers_of(
        self: &Arc<Self>,
        tenant_id: TenantId,
        timeline_id: TimelineId,
    ) -> Result<(), ApiError> {
        let Some(timeline) = self.db.timeline(tenant_id, timeline_id).await? else { return Ok(()) };
        for safekeeper in timeline.members() {
            let op = PendingOp { safekeeper, tenant_id, timeline_id: Some(timeline_id), create: None };
            self.db.add_pending_op(&op).await?;
        }
        self.db.delete_timeline(tenant_id, timeline_id).await?;
        let controller = Arc::clone(self);
        tokio::spawn(async move { controller.work_off_pending_ops().await });
        Ok(())
    }

    /// Tells safekeepers what they couldn't be told before; those that don't answer now are asked again another time.
    pub async fn work_off_pending_ops(self: &Arc<Self>) {
        let _turn = self.pending_turn.lock().await;
        let ops = match self.db.pending_ops().await {
            Ok(ops) => ops,
            Err(error) => return tracing::warn!("pending operations of safekeepers: {error}"),
        };
        let mut all = JoinSet::new();
        for op in ops {
            let controller = Arc::clone(self);
            all.spawn(async move {
                if let Err(error) = controller.work_off(&op).await {
                    tracing::warn!("safekeeper {}, tenant {}: {error}", op.safekeeper, op.tenant_id);
                }
            });
        }
        all.join_all().await;
    }

    async fn work_off(&self, op: &PendingOp) -> anyhow::Result<()> {
        let known = self.model().safekeepers.get(&op.safekeeper).cloned();
        // One that was removed needs nothing any more.
        if let Some(safekeeper) = known {
            let tenant = op.tenant_id;
            match (&op.create, op.timeline_id) {
                (Some(body), _) => {
                    let body: Value = serde_json::from_str(body)?;
                    self.ask_safekeeper(&safekeeper, Method::POST, "/v1/tenant/timeline", Some(&body), CALL_LIMIT)
                        .await?;
                }
                (None, timeline) => {
                    let path = match timeline {
                        Some(timeline) => format!("/v1/tenant/{tenant}/timeline/{timeline}"),
                        None => format!("/v1/tenant/{tenant}"),
                    };
                    self.ask_safekeeper::<()>(&safekeeper, Method::DELETE, &path, None, CALL_LIMIT).await?;
                }
            }
        }
        Ok(self.db.remove_pending_op(op).await?)
    }
}

fn creation(timeline: &StoredTimeline, members: &[Safekeeper], pg_version: u32) -> SafekeeperTimelineCreate {
    let members = members.iter().map(member).collect();
    SafekeeperTimelineCreate {
        tenant_id: timeline.tenant_id,
        timeline_id: timeline.timeline_id,
        mconf: MembershipConfig { generation: timeline.generation, members, new_members: None },
        pg_version,
        system_id: None,
        wal_seg_size: None,
        start_lsn: timeline.start_lsn,
        commit_lsn: None,
    }
}

/// Of the Active ones those with the fewest timelines, unknown counts last, each in a zone of its own.
fn choose<'a>(all: impl Iterator<Item = &'a Safekeeper>, count: usize) -> Result<Vec<NodeId>, ApiError> {
    let mut active: Vec<_> = all.filter(|one| one.scheduling == SafekeeperScheduling::Active).collect();
    active.sort_by_key(|one| (one.timelines.unwrap_or(u64::MAX), one.record.id));
    let mut zones = BTreeSet::new();
    let mut chosen = Vec::new();
    for safekeeper in &active {
        if chosen.len() < count && zones.insert(safekeeper.record.availability_zone_id.as_str()) {
            chosen.push(safekeeper.record.id);
        }
    }
    if chosen.len() == count {
        return Ok(chosen);
    }
    Err(ApiError::Internal(format!(
        "couldn't find {count} safekeepers in different AZs for new timeline (found: {}, total active: {})",
        chosen.len(),
        active.len()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safekeeper(id: u64, zone: &str, timelines: Option<u64>) -> Safekeeper {
        let record = SafekeeperRecord {
            id: NodeId(id),
            region_id: "local".into(),
            version: 1,
            host: format!("sk-{id}"),
            port: 5454,
            http_port: 7676,
            https_port: None,
            availability_zone_id: zone.into(),
        };
        Safekeeper { record, scheduling: SafekeeperScheduling::Active, timelines }
    }

    #[test]
    fn the_least_loaded_in_different_zones_are_chosen() {
        let all = [
            safekeeper(1, "a", Some(2)),
            safekeeper(2, "b", None),
            safekeeper(3, "c", Some(0)),
            safekeeper(4, "a", Some(1)),
        ];
        assert_eq!(choose(all.iter(), 3), Ok([3, 4, 2].map(NodeId).to_vec()));
    }

    #[test]
    fn too_few_zones_or_active_ones_are_counted_out() {
        let mut all = [safekeeper(1, "a", None), safekeeper(2, "a", None), safekeeper(3, "b", None)];
        let why = |all: &[Safekeeper]| choose(all.iter(), 3).unwrap_err().to_string();
        let text = "couldn't find 3 safekeepers in different AZs for new timeline";
        assert_eq!(why(&all), format!("{text} (found: 2, total active: 3)"));
        all[2].scheduling = SafekeeperScheduling::Activating;
        assert_eq!(why(&all), format!("{text} (found: 1, total active: 2)"));
    }
}
