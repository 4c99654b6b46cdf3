//! The storage controller, as a client sees it: which call may be made when, and for how long it is waited for.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::clock::Clocks;
use super::http::{CallError, Peer};
use super::ids::{Lsn, TenantId, TimelineId};
use super::settings::SafekeeperSettings;
use super::wire::{Located, Node, Safekeeper, SafekeeperUpsert, TenantDescription, TimelineInfo, TimelineLocated};

/// For calls that it answers from memory, whatever its state.
const QUICK: Duration = Duration::from_secs(5);
/// For calls that wait for the end of its own start (30 s), or for a reconcile (30 s).
const PATIENT: Duration = Duration::from_secs(35);
/// A first timeline takes initdb on a pageserver and a quorum of safekeepers.
const CREATE: Duration = Duration::from_secs(90);

/// A storage controller.
#[derive(Debug, Clone)]
pub struct Controller(Peer);

/// What a new timeline is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nothing: a fresh database.
    Fresh {
        /// Of this major version.
        pg_version: u32,
    },
    /// Another timeline.
    Ancestor {
        /// Which.
        timeline: TimelineId,
        /// As it was there; None: as it is.
        at: Option<Lsn>,
    },
}

impl Controller {
    /// The one at this `host:port`. `token`: where it wants one; `clocks`: where its time is noted.
    #[must_use]
    pub fn new(address: &str, token: Option<String>, clocks: Arc<Clocks>) -> Self {
        Self(Peer { token, clocks: Some(clocks), ..Peer::new("the storage controller", address) })
    }

    /// All calls that have no method here: the answer as it is.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(hyper::StatusCode, bytes::Bytes), CallError> {
        self.0.call(method, path, body, CREATE).await
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str, limit: Duration) -> Result<T, CallError> {
        self.0.ask(Method::GET, path, None::<&()>, limit).await
    }

    /// The pageservers, registered ones only. Answered in every state.
    ///
    /// # Errors
    /// As every call.
    pub async fn nodes(&self) -> Result<Vec<Node>, CallError> {
        self.get("/control/v1/node", QUICK).await
    }

    /// The safekeepers. Answered in every state.
    ///
    /// # Errors
    /// As every call.
    pub async fn safekeepers(&self) -> Result<Vec<Safekeeper>, CallError> {
        self.get("/control/v1/safekeeper", QUICK).await
    }

    /// Makes a safekeeper known, or says the same once more.
    ///
    /// # Errors
    /// As every call.
    pub async fn register(&self, safekeeper: &SafekeeperSettings) -> Result<(), CallError> {
        let body = SafekeeperUpsert {
            id: safekeeper.id,
            region_id: "local".into(),
            version: 1,
            host: safekeeper.host.clone(),
            port: safekeeper.port,
            http_port: safekeeper.http_port,
            https_port: None,
            availability_zone_id: safekeeper.zone.clone(),
        };
        let path = format!("/control/v1/safekeeper/{}", safekeeper.id);
        self.0.ask::<()>(Method::POST, &path, Some(&body), QUICK).await
    }

    /// Lets timelines be put on a safekeeper.
    ///
    /// # Errors
    /// As every call.
    pub async fn activate(&self, safekeeper: u64) -> Result<(), CallError> {
        let path = format!("/control/v1/safekeeper/{safekeeper}/scheduling_policy");
        self.0.ask::<()>(Method::POST, &path, Some(&json!({ "scheduling_policy": "Active" })), QUICK).await
    }

    /// All tenants.
    ///
    /// # Errors
    /// As every call.
    pub async fn tenants(&self) -> Result<Vec<TenantDescription>, CallError> {
        self.get("/control/v1/tenant", PATIENT).await
    }

    /// A tenant; None if it isn't known.
    ///
    /// # Errors
    /// As every call.
    pub async fn tenant(&self, id: TenantId) -> Result<Option<TenantDescription>, CallError> {
        found(self.get(&format!("/control/v1/tenant/{id}"), PATIENT).await)
    }

    /// Makes a tenant. `more` are further fields of the body: shards, placement, settings. The same call again is fine.
    ///
    /// # Errors
    /// As every call; 409 while no pageserver can take it.
    pub async fn create_tenant(&self, id: TenantId, more: &Value) -> Result<(), CallError> {
        let mut body = json!({ "new_tenant_id": id });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        self.0.ask::<Value>(Method::POST, "/v1/tenant", Some(&body), PATIENT).await.map(drop)
    }

    /// Makes a timeline. The same call again is fine.
    ///
    /// # Errors
    /// As every call.
    pub async fn create_timeline(
        &self,
        tenant: TenantId,
        timeline: TimelineId,
        origin: Origin,
    ) -> Result<TimelineInfo, CallError> {
        let body = match origin {
            Origin::Fresh { pg_version } => json!({ "new_timeline_id": timeline, "pg_version": pg_version }),
            // Checked before: with a position that can't be read the controller makes a fresh timeline, silently.
            Origin::Ancestor { timeline: ancestor, at } => {
                json!({ "new_timeline_id": timeline, "ancestor_timeline_id": ancestor, "ancestor_start_lsn": at })
            }
        };
        self.0.ask(Method::POST, &format!("/v1/tenant/{tenant}/timeline"), Some(&body), CREATE).await
    }

    /// Takes up a tenant that is in remote storage; false if there is nothing of it.
    ///
    /// # Errors
    /// As every call.
    pub async fn import_tenant(&self, id: TenantId) -> Result<bool, CallError> {
        let path = format!("/debug/v1/tenant/{id}/import");
        Ok(found(self.0.ask::<Value>(Method::POST, &path, None::<&()>, PATIENT).await)?.is_some())
    }

    /// Tells it which safekeepers have a timeline.
    ///
    /// # Errors
    /// As every call.
    pub async fn import_timeline(
        &self,
        tenant: TenantId,
        timeline: TimelineId,
        start_lsn: Lsn,
        safekeepers: &[u64],
    ) -> Result<(), CallError> {
        let body = json!({
            "tenant_id": tenant, "timeline_id": timeline, "start_lsn": start_lsn, "sk_set": safekeepers,
            "force_upsert": false,
        });
        let path = format!("/debug/v1/tenant/{tenant}/timeline/{timeline}/import");
        self.0.ask::<Value>(Method::POST, &path, Some(&body), PATIENT).await.map(drop)
    }

    /// Gives a timeline other safekeepers. The same call again is fine, and goes on where one was cut off.
    ///
    /// # Errors
    /// As every call.
    pub async fn migrate_safekeepers(
        &self,
        tenant: TenantId,
        timeline: TimelineId,
        safekeepers: &[u64],
    ) -> Result<(), CallError> {
        let path = format!("/v1/tenant/{tenant}/timeline/{timeline}/safekeeper_migrate");
        let body = json!({ "new_sk_set": safekeepers });
        self.0.ask::<Value>(Method::POST, &path, Some(&body), CREATE).await.map(drop)
    }

    /// A tenant's timelines, from the pageserver of its first shard.
    ///
    /// # Errors
    /// As every call.
    pub async fn timelines(&self, tenant: TenantId) -> Result<Vec<TimelineInfo>, CallError> {
        self.get(&format!("/v1/tenant/{tenant}/timeline"), PATIENT).await
    }

    /// Where a tenant's shards are meant to be; None if it isn't known.
    ///
    /// # Errors
    /// As every call.
    pub async fn locate(&self, tenant: TenantId) -> Result<Option<Located>, CallError> {
        found(self.get(&format!("/debug/v1/tenant/{tenant}/locate"), PATIENT).await)
    }

    /// A timeline's safekeepers; None if it wasn't made with any.
    ///
    /// # Errors
    /// As every call.
    pub async fn locate_timeline(
        &self,
        tenant: TenantId,
        timeline: TimelineId,
    ) -> Result<Option<TimelineLocated>, CallError> {
        found(self.get(&format!("/debug/v1/tenant/{tenant}/timeline/{timeline}/locate"), PATIENT).await)
    }
}

fn found<T>(result: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
