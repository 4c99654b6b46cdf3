//! The compute hook: tells whoever runs computes where their tenants are, and which safekeepers their timelines have.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::Serialize;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::sleep;

use super::model::Shard;
use super::options::Options;
use super::peers::pause_after;
use crate::client::{CallError, Client};
use crate::fault::Faults;
use crate::ids::{NodeId, TenantId, TimelineId};

/// For one try.
const LIMIT: Duration = Duration::from_secs(10);
const TRIES: u32 = 10;
/// After an answer 429.
const SLOW_DOWN: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 32;

/// Why computes don't know yet.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Neither a URL nor local notifications: the real program panics.
    #[error("no compute hook: neither --control-plane-url nor --use-local-compute-notifications was given")]
    Missing,
    #[error("control plane requested we retry later: it is busy (423)")]
    Busy,
    #[error("control plane refused: {0}")]
    Fatal(StatusCode),
    #[error("unexpected answer of the control plane: {0}")]
    Unexpected(StatusCode),
    #[error("control plane unavailable: {0}")]
    Unavailable(String),
}

impl HookError {
    /// Ignored for a tenant that the hook can't know yet.
    pub fn is_unknown_tenant(&self) -> bool {
        matches!(self, Self::Unexpected(StatusCode::NOT_FOUND))
    }

    /// No use in trying once more within a live migration.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal(_) | Self::Missing)
    }
}

/// Body of `PUT notify-attach`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct NotifyAttach {
    tenant_id: TenantId,
    preferred_az: Option<String>,
    /// Null for tenants without shards.
    stripe_size: Option<u32>,
    shards: Vec<AttachedShard>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct AttachedShard {
    node_id: NodeId,
    shard_number: u8,
}

/// Body of `PUT notify-safekeepers`.
#[derive(Debug, Clone, Serialize)]
pub struct NotifySafekeepers {
    pub tenant_id: TenantId,
    pub timeline_id: TimelineId,
    pub generation: u32,
    pub safekeepers: Vec<SafekeeperName>,
}

/// A safekeeper as computes and callers are told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SafekeeperName {
    pub id: NodeId,
    pub hostname: String,
}

enum Target {
    Url {
        url: String,
        client: Client,
    },
    /// neon_local's endpoints, of which there are none here: always done.
    Local,
    Nobody,
}

/// Where a tenant's shards are, as far as it was told.
#[derive(Debug, Default)]
struct Places {
    count: u8,
    stripe_size: u32,
    preferred_az: Option<String>,
    shards: BTreeMap<u8, NodeId>,
}

impl Places {
    fn learn(&mut self, shard: &Shard, node: NodeId) {
        if self.count != shard.id.shard_count {
            self.shards.clear();
        }
        self.count = shard.id.shard_count;
        self.stripe_size = shard.stripe_size;
        self.preferred_az.clone_from(&shard.preferred_az);
        self.shards.insert(shard.id.shard_number, node);
    }

    /// Nothing until all shards have a place.
    fn message(&self, tenant_id: TenantId) -> Option<NotifyAttach> {
        (self.shards.len() == usize::from(self.count.max(1))).then(|| NotifyAttach {
            tenant_id,
            preferred_az: self.preferred_az.clone(),
            stripe_size: (self.count > 0).then_some(self.stripe_size),
            shards: self
                .shards
                .iter()
                .map(|(number, node)| AttachedShard { node_id: *node, shard_number: *number })
                .collect(),
        })
    }
}

/// One tenant's places, and the last message that was accepted: it isn't sent again.
#[derive(Default)]
struct Tenant {
    places: Mutex<Places>,
    accepted: AsyncMutex<Option<NotifyAttach>>,
}

/// The hook and what it knows.
pub struct Hook {
    target: Target,
    slots: Semaphore,
    tenants: Mutex<HashMap<TenantId, Arc<Tenant>>>,
}

impl Hook {
    pub fn new(options: &Options, faults: &Arc<Faults>) -> Self {
        let target = match &options.control_plane_url {
            Some(url) => Target::Url {
                url: url.trim_end_matches('/').to_owned(),
                client: Client::new(options.control_plane_jwt_token.as_deref(), faults),
            },
            None if options.use_local_compute_notifications => Target::Local,
            None => Target::Nobody,
        };
        Self { target, slots: Semaphore::new(AT_ONCE), tenants: Mutex::default() }
    }

    /// A shard is on `node` from now on. Returns when computes know it, or were told it before.
    pub async fn attached(&self, shard: &Shard, node: NodeId) -> Result<(), HookError> {
        let tenant = self.tenant(shard.id.tenant_id);
        let places = || tenant.places.lock().unwrap_or_else(PoisonError::into_inner);
        places().learn(shard, node);
        let mut accepted = tenant.accepted.lock().await;
        // Read after the wait: a message sent meanwhile may have said it.
        let Some(message) = places().message(shard.id.tenant_id) else { return Ok(()) };
        if accepted.as_ref() != Some(&message) {
            self.send("notify-attach", &message).await?;
            *accepted = Some(message);
        }
        Ok(())
    }

    /// A timeline has these safekeepers from now on.
    pub async fn safekeepers(&self, message: &NotifySafekeepers) -> Result<(), HookError> {
        self.send("notify-safekeepers", message).await
    }

    /// A deleted tenant's id may be used again.
    pub fn forget(&self, tenant: TenantId) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
    }

    fn tenant(&self, id: TenantId) -> Arc<Tenant> {
        Arc::clone(self.tenants.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default())
    }

    async fn send<B: Serialize + Sync>(&self, what: &str, body: &B) -> Result<(), HookError> {
        let (url, client) = match &self.target {
            Target::Nobody => return Err(HookError::Missing),
            Target::Local => {
                tracing::warn!("{what}: no endpoints of neon_local here, so nothing to do");
                return Ok(());
            }
            Target::Url { url, client } => (format!("{url}/{what}"), client),
        };
        let Ok(_slot) = self.slots.acquire().await else { return Err(HookError::Unavailable("closed".into())) };
        let mut tries = 0;
        loop {
            let result = client.call(Method::PUT, &url, Some(body), Some(LIMIT)).await.map(|reply| reply.status);
            tries += 1;
            match judge(&result) {
                Verdict::Done => return Ok(()),
                Verdict::Failed(error) => return Err(error),
                Verdict::Again(why) if tries < TRIES => tracing::warn!("{what}, try {tries}: {why}"),
                Verdict::Again(why) => return Err(HookError::Unavailable(why)),
            }
            let slow = matches!(result, Ok(StatusCode::TOO_MANY_REQUESTS));
            sleep(if slow { SLOW_DOWN } else { pause_after(tries - 1) }).await;
        }
    }
}

enum Verdict {
    Done,
    Again(String),
    Failed(HookError),
}

/// What an answer of the hook means.
fn judge(result: &Result<StatusCode, CallError>) -> Verdict {
    let status = match result {
        Ok(status) => *status,
        Err(error) => return Verdict::Again(error.to_string()),
    };
    match status.as_u16() {
        200..300 => {
            if status != StatusCode::OK {
                tracing::warn!("the hook answered {status}, not 200");
            }
            Verdict::Done
        }
        429 | 502 | 503 | 504 => Verdict::Again(status.to_string()),
        423 => Verdict::Failed(HookError::Busy),
        400 | 401 | 403 => Verdict::Failed(HookError::Fatal(status)),
        _ => Verdict::Failed(HookError::Unexpected(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::model::{PlacementPolicy, TenantConfig};
    use crate::ids::TenantShardId;

    fn shard(number: u8, count: u8) -> Shard {
        let id = TenantShardId { tenant_id: TenantId(0xa1), shard_number: number, shard_count: count };
        Shard::new(id, 2048, PlacementPolicy::Attached(0), TenantConfig::new())
    }

    #[test]
    fn a_sharded_tenant_is_told_when_all_its_shards_have_a_place() {
        let mut places = Places::default();
        places.learn(&shard(1, 2), NodeId(7));
        assert_eq!(places.message(TenantId(0xa1)), None);
        places.learn(&shard(0, 2), NodeId(8));
        let message = serde_json::to_value(places.message(TenantId(0xa1))).unwrap();
        let expected = serde_json::json!({
            "tenant_id": "000000000000000000000000000000a1", "preferred_az": null, "stripe_size": 2048,
            "shards": [{"node_id": 8, "shard_number": 0}, {"node_id": 7, "shard_number": 1}],
        });
        assert_eq!(message, expected);
    }

    #[test]
    fn an_unsharded_tenant_has_no_stripe_size_and_a_split_begins_anew() {
        let mut places = Places::default();
        places.learn(&shard(0, 0), NodeId(1));
        assert_eq!(places.message(TenantId(1)).unwrap().stripe_size, None);
        places.learn(&shard(0, 2), NodeId(1));
        assert_eq!(places.message(TenantId(1)), None);
    }

    #[test]
    fn answers_are_judged_by_their_code() {
        let verdict = |code| match judge(&Ok(StatusCode::from_u16(code).unwrap())) {
            Verdict::Done => "done",
            Verdict::Again(_) => "again",
            Verdict::Failed(HookError::Busy) => "busy",
            Verdict::Failed(error) if error.is_fatal() => "fatal",
            Verdict::Failed(_) => "unexpected",
        };
        let words = [200, 204, 429, 502, 503, 504, 423, 400, 401, 403, 404, 409, 412, 500].map(verdict);
        let expected = ["done", "done", "again", "again", "again", "again", "busy", "fatal", "fatal", "fatal"];
        assert_eq!(words[..10], expected);
        assert_eq!(words[10..], ["unexpected"; 4]);
    }
}
