//! Timelines on safekeepers, and what those still have to be told.

use tokio_postgres::Row;

use super::{Db, DbError, from_int, parse, to_i64};
use crate::ids::{Lsn, NodeId, TenantId, TimelineId};

/// Which safekeepers a timeline has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTimeline {
    pub tenant_id: TenantId,
    pub timeline_id: TimelineId,
    pub start_lsn: Lsn,
    pub generation: u32,
    pub sk_set: Vec<NodeId>,
    pub new_sk_set: Option<Vec<NodeId>>,
}

/// Something a safekeeper couldn't be told yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingOp {
    pub safekeeper: NodeId,
    pub tenant_id: TenantId,
    /// None: the whole tenant.
    pub timeline_id: Option<TimelineId>,
    /// A body to POST creates the timeline; none deletes.
    pub create: Option<String>,
}

impl Db {
    /// Takes the timeline down unless it is known; answers what is known then.
    pub async fn add_timeline(&self, new: &StoredTimeline) -> Result<StoredTimeline, DbError> {
        let sql = "INSERT INTO timelines (tenant_id, timeline_id, start_lsn, generation, sk_set)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let (tenant, timeline) = (new.tenant_id.to_string(), new.timeline_id.to_string());
        let set = ids(&new.sk_set)?;
        let lsn = new.start_lsn.to_string();
        self.query(sql, &[&tenant, &timeline, &lsn, &i64::from(new.generation), &set]).await?;
        let known = self.timeline(new.tenant_id, new.timeline_id).await?;
        known.ok_or_else(|| DbError::Content(format!("timeline {timeline} vanished while it was created")))
    }

    pub async fn timeline(&self, tenant: TenantId, timeline: TimelineId) -> Result<Option<StoredTimeline>, DbError> {
        let sql = "SELECT tenant_id, timeline_id, start_lsn, generation, sk_set, new_sk_set FROM timelines
            WHERE tenant_id = $1 AND timeline_id = $2";
        let rows = self.query(sql, &[&tenant.to_string(), &timeline.to_string()]).await?;
        rows.first().map(read_timeline).transpose()
    }

    /// Everything of a tenant.
    pub async fn timelines(&self, tenant: TenantId) -> Result<Vec<StoredTimeline>, DbError> {
        let sql = "SELECT tenant_id, timeline_id, start_lsn, generation, sk_set, new_sk_set FROM timelines
            WHERE tenant_id = $1 ORDER BY timeline_id";
        let rows = self.query(sql, &[&tenant.to_string()]).await?;
        rows.iter().map(read_timeline).collect()
    }

    /// Its present and its next safekeepers.
    pub async fn set_safekeepers(&self, timeline: &StoredTimeline) -> Result<(), DbError> {
        let sql = "UPDATE timelines SET generation = $3, sk_set = $4, new_sk_set = $5
            WHERE tenant_id = $1 AND timeline_id = $2";
        let (tenant, id) = (timeline.tenant_id.to_string(), timeline.timeline_id.to_string());
        let new = timeline.new_sk_set.as_deref().map(ids).transpose()?;
        self.query(sql, &[&tenant, &id, &i64::from(timeline.generation), &ids(&timeline.sk_set)?, &new]).await.map(drop)
    }

    pub async fn delete_timeline(&self, tenant: TenantId, timeline: TimelineId) -> Result<(), DbError> {
        let sql = "DELETE FROM timelines WHERE tenant_id = $1 AND timeline_id = $2";
        self.query(sql, &[&tenant.to_string(), &timeline.to_string()]).await.map(drop)
    }

    pub async fn delete_timelines(&self, tenant: TenantId) -> Result<(), DbError> {
        self.query("DELETE FROM timelines WHERE tenant_id = $1", &[&tenant.to_string()]).await.map(drop)
    }

    /// A newer operation on the same timeline takes the place of the older one.
    pub async fn add_pending_op(&self, op: &PendingOp) -> Result<(), DbError> {
        let sql = "INSERT INTO safekeeper_pending_ops (sk_id, tenant_id, timeline_id, op, body)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (sk_id, tenant_id, timeline_id) DO UPDATE SET op = excluded.op, body = excluded.body";
        let safekeeper = to_i64(op.safekeeper.0)?;
        self.query(sql, &[&safekeeper, &op.tenant_id.to_string(), &op.timeline(), &op.kind(), &op.body()])
            .await
            .map(drop)
    }

    pub async fn pending_ops(&self) -> Result<Vec<PendingOp>, DbError> {
        let sql = "SELECT sk_id, tenant_id, timeline_id, op, body FROM safekeeper_pending_ops";
        self.query(sql, &[]).await?.iter().map(read_op).collect()
    }

    /// This one, and not a newer one that has taken its place meanwhile.
    pub async fn remove_pending_op(&self, op: &PendingOp) -> Result<(), DbError> {
        let sql = "DELETE FROM safekeeper_pending_ops
            WHERE sk_id = $1 AND tenant_id = $2 AND timeline_id = $3 AND op = $4 AND body = $5";
        let safekeeper = to_i64(op.safekeeper.0)?;
        self.query(sql, &[&safekeeper, &op.tenant_id.to_string(), &op.timeline(), &op.kind(), &op.body()])
            .await
            .map(drop)
    }

    /// For a tenant that is deleted: told after its deletion, a timeline would come back.
    pub async fn remove_pending_creates(&self, tenant: TenantId) -> Result<(), DbError> {
        let sql = "DELETE FROM safekeeper_pending_ops WHERE tenant_id = $1 AND op = 'create'";
        self.query(sql, &[&tenant.to_string()]).await.map(drop)
    }
}

impl PendingOp {
    fn timeline(&self) -> String {
        self.timeline_id.map(|id| id.to_string()).unwrap_or_default()
    }

    fn kind(&self) -> &'static str {
        if self.create.is_some() { "create" } else { "delete" }
    }

    fn body(&self) -> &str {
        self.create.as_deref().unwrap_or_default()
    }
}

fn ids(nodes: &[NodeId]) -> Result<Vec<i64>, DbError> {
    nodes.iter().map(|node| to_i64(node.0)).collect()
}

fn nodes(ids: Vec<i64>) -> Result<Vec<NodeId>, DbError> {
    ids.into_iter().map(|id| from_int(id).map(NodeId)).collect()
}

fn read_timeline(row: &Row) -> Result<StoredTimeline, DbError> {
    Ok(StoredTimeline {
        tenant_id: parse(row.try_get(0)?)?,
        timeline_id: parse(row.try_get(1)?)?,
        start_lsn: parse(row.try_get(2)?)?,
        generation: from_int(row.try_get::<_, i64>(3)?)?,
        sk_set: nodes(row.try_get(4)?)?,
        new_sk_set: row.try_get::<_, Option<Vec<i64>>>(5)?.map(nodes).transpose()?,
    })
}

fn read_op(row: &Row) -> Result<PendingOp, DbError> {
    let timeline: &str = row.try_get(2)?;
    let op: &str = row.try_get(3)?;
    let body: String = row.try_get(4)?;
    Ok(PendingOp {
        safekeeper: NodeId(from_int(row.try_get::<_, i64>(0)?)?),
        tenant_id: parse(row.try_get(1)?)?,
        timeline_id: (!timeline.is_empty()).then(|| parse(timeline)).transpose()?,
        create: (op == "create").then_some(body),
    })
}
