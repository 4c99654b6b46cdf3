//! Nodes, safekeepers and the leader.

use jiff::Timestamp;

use super::{Db, DbError, from_int, from_text, to_i64, to_text};
use crate::controller::model::{NodeScheduling, SafekeeperRecord, SafekeeperScheduling};
use crate::ids::NodeId;
use crate::wire::upcall::NodeRegister;

impl Db {
    pub async fn nodes(&self) -> Result<Vec<(NodeRegister, NodeScheduling)>, DbError> {
        let rows = self.query("SELECT announced, scheduling_policy FROM nodes ORDER BY node_id", &[]).await?;
        rows.iter().map(|row| Ok((from_text(row.try_get(0)?)?, from_text(row.try_get(1)?)?))).collect()
    }

    pub async fn add_node(&self, node: &NodeRegister, scheduling: NodeScheduling) -> Result<(), DbError> {
        let sql = "INSERT INTO nodes (node_id, announced, scheduling_policy) VALUES ($1, $2, $3)
            ON CONFLICT (node_id) DO UPDATE SET announced = excluded.announced";
        self.query(sql, &[&to_i64(node.node_id.0)?, &to_text(node)?, &to_text(&scheduling)?]).await.map(drop)
    }

    pub async fn set_node_scheduling(&self, node: NodeId, scheduling: NodeScheduling) -> Result<(), DbError> {
        let sql = "UPDATE nodes SET scheduling_policy = $2 WHERE node_id = $1";
        self.query(sql, &[&to_i64(node.0)?, &to_text(&scheduling)?]).await.map(drop)
    }

    /// Forgets a node, and remembers that its number was used.
    pub async fn bury_node(&self, node: NodeId) -> Result<(), DbError> {
        let id = to_i64(node.0)?;
        self.together(&[
            ("INSERT INTO node_tombstones (node_id) VALUES ($1) ON CONFLICT DO NOTHING", &[&id]),
            ("DELETE FROM nodes WHERE node_id = $1", &[&id]),
        ])
        .await
    }

    pub async fn tombstones(&self) -> Result<Vec<NodeId>, DbError> {
        let rows = self.query("SELECT node_id FROM node_tombstones ORDER BY node_id", &[]).await?;
        rows.iter().map(|row| from_int(row.try_get::<_, i64>(0)?).map(NodeId)).collect()
    }

    pub async fn remove_tombstone(&self, node: NodeId) -> Result<(), DbError> {
        self.query("DELETE FROM node_tombstones WHERE node_id = $1", &[&to_i64(node.0)?]).await.map(drop)
    }

    pub async fn safekeepers(&self) -> Result<Vec<(SafekeeperRecord, SafekeeperScheduling)>, DbError> {
        let rows = self.query("SELECT record, scheduling_policy FROM safekeepers ORDER BY id", &[]).await?;
        rows.iter().map(|row| Ok((from_text(row.try_get(0)?)?, from_text(row.try_get(1)?)?))).collect()
    }

    /// The policy is for new ones only: an upsert doesn't change it.
    pub async fn upsert_safekeeper(
        &self,
        record: &SafekeeperRecord,
        scheduling: SafekeeperScheduling,
    ) -> Result<(), DbError> {
        let sql = "INSERT INTO safekeepers (id, record, scheduling_policy) VALUES ($1, $2, $3)
            ON CONFLICT (id) DO UPDATE SET record = excluded.record";
        self.query(sql, &[&to_i64(record.id.0)?, &to_text(record)?, &to_text(&scheduling)?]).await.map(drop)
    }

    pub async fn set_safekeeper_scheduling(&self, id: NodeId, to: SafekeeperScheduling) -> Result<(), DbError> {
        let sql = "UPDATE safekeepers SET scheduling_policy = $2 WHERE id = $1";
        self.query(sql, &[&to_i64(id.0)?, &to_text(&to)?]).await.map(drop)
    }

    /// Writes down who leads from now on.
    pub async fn become_leader(&self, address: &str) -> Result<(), DbError> {
        let now = Timestamp::now().to_string();
        self.together(&[
            ("DELETE FROM controllers", &[]),
            ("INSERT INTO controllers (address, started_at) VALUES ($1, $2)", &[&address, &now]),
        ])
        .await
    }

    /// Its address, and since when.
    pub async fn leader(&self) -> Result<Option<(String, String)>, DbError> {
        let rows = self.query("SELECT address, started_at FROM controllers", &[]).await?;
        rows.first().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }
}
