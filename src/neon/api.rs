//! The control plane's own API, as both ends see it: what the command line asks, what it is answered.
//!
//! Every call but `GET /status` and `GET /ready` carries `Authorization: Bearer TOKEN`. An answer that isn't success is
//! `{"msg": "…"}`. `docs/neon.md` lists the calls.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{BranchName, EndpointName, Lsn, TenantId, TimelineId};
use super::state::Mode;
use super::wire::{TenantDescription, TimelineInfo};

/// Where computes and the storage controller come to: within the cluster, without tokens.
pub const INSIDE_PORT: u16 = 9095;
/// Where the command line comes to.
pub const API_PORT: u16 = 9096;
/// The component.
pub const COMPONENT: &str = "control-plane";

/// Of `GET /v1/state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// What the bootstrap waits for; null: it is done.
    pub waits_for: Option<String>,
    /// Where nothing else is said.
    pub default_tenant: Option<TenantId>,
    /// All of them.
    pub endpoints: Vec<EndpointView>,
    /// What somebody should look at.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Its name.
    pub name: EndpointName,
    /// Whose data.
    pub tenant: TenantId,
    /// Which branch.
    pub branch: BranchName,
    /// Which timeline that is; null if the branch was deleted.
    pub timeline: Option<TimelineId>,
    /// Postgres' major version.
    pub pg_version: u32,
    /// How it serves it.
    pub mode: Mode,
    /// It was told to stop.
    pub stopped: bool,
    /// It comes from the file.
    pub declared: bool,
    /// What its compute said last: `running`, `failed: …`, or why it can't be reached.
    pub said: Option<String>,
}

/// Body of `POST /v1/endpoints`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointCreate {
    /// Its name.
    pub name: EndpointName,
    /// Null: the default one.
    pub tenant: Option<TenantId>,
    /// A branch's name, or a timeline's id that has one.
    pub branch: String,
    /// How it serves it.
    #[serde(default)]
    pub mode: Mode,
    /// A second primary is meant.
    #[serde(default)]
    pub allow_multiple: bool,
}

/// Of `POST /v1/endpoints/NAME/stop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Up to where everything is safe; null if nothing was written, or it wasn't running.
    pub lsn: Option<String>,
    /// It wasn't running.
    pub was_gone: bool,
}

/// Of `POST /v1/endpoints/NAME/promote`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// Its compute is the primary now; else it is once it has been started again.
    pub in_place: bool,
}

/// Body of `POST /v1/endpoints/NAME/jwt`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenWanted {
    /// `compute_ctl:admin`: for every endpoint; null: for this one.
    #[serde(default)]
    pub scope: Option<String>,
}

/// Of `POST /v1/endpoints/NAME/jwt` and `POST /v1/jwt`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// It holds for a day.
    pub token: String,
}

/// Body of `POST /v1/jwt`: for the storage programs, where they want tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageTokenWanted {
    /// One of [`super::tokens::FOR_PEOPLE`].
    pub scope: String,
    /// With the scope `tenant`; null: the default one.
    #[serde(default)]
    pub tenant: Option<TenantId>,
}

/// Of `GET /v1/login`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginView {
    /// The role.
    pub role: String,
    /// Its password.
    pub password: String,
    /// The database.
    pub database: String,
}

/// Body of `POST /v1/tenants`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantCreate {
    /// Null: a new one.
    pub tenant_id: Option<TenantId>,
    /// Of the branch main; null: a new one.
    pub timeline_id: Option<TimelineId>,
    /// Null: the cluster's.
    pub pg_version: Option<u32>,
    /// 0: not at all.
    #[serde(default)]
    pub shard_count: u8,
    /// In pages.
    pub stripe_size: Option<u32>,
    /// As the storage controller takes it, such as `{"Attached": 1}`.
    pub placement: Option<Value>,
    /// Settings of the tenant.
    #[serde(default)]
    pub config: serde_json::Map<String, Value>,
    /// Makes it the default one.
    #[serde(default)]
    pub set_default: bool,
}

/// A tenant, and the branch that was made with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantMade {
    /// Which.
    pub tenant_id: TenantId,
    /// Of the branch main.
    pub timeline_id: TimelineId,
}

/// Body of `POST /v1/tenants/ID/import`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantImport {
    /// Makes it the default one.
    #[serde(default)]
    pub set_default: bool,
}

/// Of `POST /v1/tenants/ID/import`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantImported {
    /// Which.
    pub tenant_id: TenantId,
    /// All that it has.
    pub branches: Vec<BranchMade>,
}

/// A branch in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchMade {
    /// Its name.
    pub branch: BranchName,
    /// Which timeline that is.
    pub timeline: TimelineId,
}

/// Body of `POST /v1/tenants/ID/imports`: a base backup is to become a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineImport {
    /// Its branch's name.
    pub branch: BranchName,
    /// Null: a new one, or that of an import which was cut off.
    #[serde(default)]
    pub timeline_id: Option<TimelineId>,
    /// Where the backup begins.
    pub base_lsn: Lsn,
    /// Where its WAL ends; null: there is none.
    #[serde(default)]
    pub end_lsn: Option<Lsn>,
}

/// Of `POST /v1/tenants/ID/imports`: what is still to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPlan {
    /// Which timeline it becomes.
    pub timeline_id: TimelineId,
    /// The backup.
    pub base: bool,
    /// Its WAL.
    pub wal: bool,
}

/// Body of `PUT /v1/tenants/ID/timelines/BRANCH/safekeepers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafekeepersWanted {
    /// Their numbers.
    pub safekeepers: Vec<u64>,
}

/// In `GET /v1/tenants`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TenantView {
    /// As the storage controller says.
    pub description: TenantDescription,
    /// Whether it is the default one.
    pub is_default: bool,
}

/// In `GET /v1/tenants/ID/timelines`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineView {
    /// Its branch's name, if it has one.
    pub branch: Option<BranchName>,
    /// As the pageserver says.
    pub info: TimelineInfo,
}

/// Body of `POST /v1/tenants/ID/timelines`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineCreate {
    /// Its branch's name.
    pub branch: BranchName,
    /// Null: a new one.
    pub timeline_id: Option<TimelineId>,
    /// A branch or a timeline; null: a fresh database.
    pub ancestor: Option<String>,
    /// As the ancestor was there; null: as it is.
    pub at: Option<Lsn>,
    /// Of a fresh database; null: the cluster's.
    pub pg_version: Option<u32>,
}
