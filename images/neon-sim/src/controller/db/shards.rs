//! Shards and their generations.

use tokio_postgres::Row;

use super::{Db, DbError, Param, from_int, from_text, parse, to_i64, to_text};
use crate::controller::model::{PlacementPolicy, Shard, ShardScheduling, TenantConfig};
use crate::ids::{Generation, NodeId, TenantId, TenantShardId};

/// A shard out of the database.
pub struct StoredShard {
    pub shard: Shard,
    /// Who has its generation.
    pub pageserver: Option<NodeId>,
}

const COLUMNS: &str = "tenant_id, shard_number, shard_count, stripe_size, generation, generation_pageserver,
    placement_policy, scheduling_policy, preferred_az_id, config";

impl Db {
    pub async fn shards(&self) -> Result<Vec<StoredShard>, DbError> {
        let rows = self.query(&format!("SELECT {COLUMNS} FROM tenant_shards"), &[]).await?;
        rows.iter().map(read_shard).collect()
    }

    /// New shards, given to nobody yet.
    pub async fn add_shards(&self, shards: &[Shard]) -> Result<(), DbError> {
        let rows = shards.iter().map(|shard| write_shard(shard, None)).collect::<Result<Vec<_>, _>>()?;
        self.exchange(&[], &rows).await
    }

    /// The children of a split in their parents' place, with their generations, where they are.
    pub async fn replace_shards(&self, parents: &[TenantShardId], children: &[Shard]) -> Result<(), DbError> {
        let row = |child: &Shard| write_shard(child, child.intent.attached);
        let rows = children.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        self.exchange(parents, &rows).await
    }

    async fn exchange(&self, gone: &[TenantShardId], rows: &[Columns]) -> Result<(), DbError> {
        let insert = format!("INSERT INTO tenant_shards ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
        let delete = format!("DELETE FROM tenant_shards WHERE {KEY}");
        let gone: Vec<_> = gone.iter().map(|id| Key::of(*id)).collect();
        let keys: Vec<_> = gone.iter().map(Key::params).collect();
        let params: Vec<_> = rows.iter().map(Columns::params).collect();
        let mut statements: Vec<(&str, &[Param<'_>])> = keys.iter().map(|key| (delete.as_str(), &key[..])).collect();
        statements.extend(params.iter().map(|row| (insert.as_str(), &row[..])));
        self.together(&statements).await
    }

    /// One more for each shard whose generation this node has; the answer to its re-attach.
    pub async fn re_attach(&self, node: NodeId) -> Result<Vec<(TenantShardId, Generation)>, DbError> {
        let sql = "UPDATE tenant_shards SET generation = generation + 1
            WHERE generation_pageserver = $1 AND generation IS NOT NULL
            RETURNING tenant_id, shard_number, shard_count, generation";
        let rows = self.query(sql, &[&to_i64(node.0)?]).await?;
        rows.iter().map(|row| Ok((read_id(row)?, Generation(from_int(row.try_get::<_, i64>(3)?)?)))).collect()
    }

    /// The next generation of a shard, given to `node`. None when the shard is gone.
    pub async fn next_generation(&self, id: TenantShardId, node: NodeId) -> Result<Option<Generation>, DbError> {
        let sql = format!(
            "UPDATE tenant_shards SET generation = coalesce(generation, 0) + 1, generation_pageserver = $4
             WHERE {KEY} RETURNING generation"
        );
        let key = Key::of(id);
        let node = to_i64(node.0)?;
        let rows = self.query(&sql, &[&key.tenant, &key.number, &key.count, &node]).await?;
        rows.first().map(|row| Ok(Generation(from_int(row.try_get::<_, i64>(0)?)?))).transpose()
    }

    /// Nobody has its generation any more.
    pub async fn detach(&self, id: TenantShardId) -> Result<(), DbError> {
        let sql = format!("UPDATE tenant_shards SET generation_pageserver = NULL WHERE {KEY}");
        self.query(&sql, &Key::of(id).params()).await.map(drop)
    }

    pub async fn set_placement(&self, tenant: TenantId, policy: PlacementPolicy) -> Result<(), DbError> {
        let sql = "UPDATE tenant_shards SET placement_policy = $2 WHERE tenant_id = $1";
        self.query(sql, &[&tenant.to_string(), &to_text(&policy)?]).await.map(drop)
    }

    pub async fn set_scheduling(&self, tenant: TenantId, policy: ShardScheduling) -> Result<(), DbError> {
        let sql = "UPDATE tenant_shards SET scheduling_policy = $2 WHERE tenant_id = $1";
        self.query(sql, &[&tenant.to_string(), &to_text(&policy)?]).await.map(drop)
    }

    pub async fn set_config(&self, tenant: TenantId, config: &TenantConfig) -> Result<(), DbError> {
        let sql = "UPDATE tenant_shards SET config = $2 WHERE tenant_id = $1";
        self.query(sql, &[&tenant.to_string(), &to_text(config)?]).await.map(drop)
    }

    pub async fn delete_tenant(&self, tenant: TenantId) -> Result<(), DbError> {
        self.query("DELETE FROM tenant_shards WHERE tenant_id = $1", &[&tenant.to_string()]).await.map(drop)
    }
}

const KEY: &str = "tenant_id = $1 AND shard_number = $2 AND shard_count = $3";

/// A shard's id as columns.
struct Key {
    tenant: String,
    number: i32,
    count: i32,
}

impl Key {
    fn of(id: TenantShardId) -> Self {
        Self { tenant: id.tenant_id.to_string(), number: id.shard_number.into(), count: id.shard_count.into() }
    }

    fn params(&self) -> [Param<'_>; 3] {
        [&self.tenant, &self.number, &self.count]
    }
}

fn read_id(row: &Row) -> Result<TenantShardId, DbError> {
    Ok(TenantShardId {
        tenant_id: parse(row.try_get(0)?)?,
        shard_number: from_int(row.try_get::<_, i32>(1)?)?,
        shard_count: from_int(row.try_get::<_, i32>(2)?)?,
    })
}

fn read_shard(row: &Row) -> Result<StoredShard, DbError> {
    let stripe_size = from_int(row.try_get::<_, i64>(3)?)?;
    let mut shard = Shard::new(read_id(row)?, stripe_size, from_text(row.try_get(6)?)?, from_text(row.try_get(9)?)?);
    let generation: Option<i64> = row.try_get(4)?;
    shard.generation = generation.map(|number| from_int(number).map(Generation)).transpose()?;
    shard.scheduling = from_text(row.try_get(7)?)?;
    shard.preferred_az = row.try_get(8)?;
    let pageserver: Option<i64> = row.try_get(5)?;
    Ok(StoredShard { shard, pageserver: pageserver.map(|id| from_int(id).map(NodeId)).transpose()? })
}

/// A shard as columns.
struct Columns {
    key: Key,
    stripe_size: i64,
    generation: Option<i64>,
    pageserver: Option<i64>,
    placement: String,
    scheduling: String,
    preferred_az: Option<String>,
    config: String,
}

impl Columns {
    fn params(&self) -> [Param<'_>; 10] {
        let [tenant, number, count] = self.key.params();
        [
            tenant,
            number,
            count,
            &self.stripe_size,
            &self.generation,
            &self.pageserver,
            &self.placement,
            &self.scheduling,
            &self.preferred_az,
            &self.config,
        ]
    }
}

fn write_shard(shard: &Shard, pageserver: Option<NodeId>) -> Result<Columns, DbError> {
    Ok(Columns {
        key: Key::of(shard.id),
        stripe_size: shard.stripe_size.into(),
        generation: shard.generation.map(|generation| generation.0.into()),
        pageserver: pageserver.map(|node| to_i64(node.0)).transpose()?,
        placement: to_text(&shard.policy)?,
        scheduling: to_text(&shard.scheduling)?,
        preferred_az: shard.preferred_az.clone(),
        config: to_text(&shard.config)?,
    })
}
