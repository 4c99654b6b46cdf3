//! The running controller: its model, its database, its clients, and what its tasks share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, mpsc, watch};
use tokio::time::timeout;

use super::db::Db;
use super::hook::Hook;
use super::model::{Model, Node, Shard};
use super::options::Options;
use crate::client::Client;
use crate::fault::Faults;
use crate::http::ApiError;
use crate::ids::{NodeId, TenantId, TenantShardId};

/// How long calls about tenants wait for the end of the startup reconcile.
const STARTUP_WAIT: Duration = Duration::from_secs(30);

/// What all tasks of a controller share.
pub struct Controller {
    pub options: Options,
    pub db: Db,
    pub hook: Hook,
    /// With the token for pageservers.
    pub pageservers: Client,
    /// With the token for safekeepers.
    pub safekeepers: Client,
    /// One change of the set of nodes at a time.
    pub node_turn: AsyncMutex<()>,
    /// Safekeepers are told what is pending by one task at a time.
    pub pending_turn: AsyncMutex<()>,
    model: Mutex<Model>,
    started: watch::Sender<bool>,
    fatal: mpsc::UnboundedSender<String>,
    tenant_locks: Mutex<HashMap<TenantId, Arc<RwLock<()>>>>,
}

impl Controller {
    /// Also gives the end at which the reason appears when the controller can't go on.
    pub fn new(
        options: Options,
        db: Db,
        model: Model,
        faults: &Arc<Faults>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<String>) {
        let (fatal, fatal_end) = mpsc::unbounded_channel();
        let controller = Self {
            db,
            hook: Hook::new(&options, faults),
            pageservers: Client::new(options.jwt_token.as_deref(), faults),
            safekeepers: Client::new(options.safekeeper_jwt_token.as_deref(), faults),
            options,
            node_turn: AsyncMutex::default(),
            pending_turn: AsyncMutex::default(),
            model: Mutex::new(model),
            started: watch::Sender::new(false),
            fatal,
            tenant_locks: Mutex::default(),
        };
        (Arc::new(controller), fatal_end)
    }

    /// For a short look or change; never held while waiting.
    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn node(&self, id: NodeId) -> Option<Node> {
        self.model().nodes.get(&id).cloned()
    }

    pub fn shard(&self, id: TenantShardId) -> Option<Shard> {
        self.model().shards.get(&id).cloned()
    }

    /// Changes one shard, if it is still there.
    pub fn with_shard<T>(&self, id: TenantShardId, change: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        self.model().shards.get_mut(&id).map(change)
    }

    pub fn is_started(&self) -> bool {
        *self.started.borrow()
    }

    /// From here on calls about tenants go through.
    pub fn set_started(&self) {
        self.started.send_replace(true);
    }

    /// Waits for the end of the startup reconcile as calls about tenants do: 408 after 30 s.
    pub async fn wait_started(&self) -> Result<(), ApiError> {
        let mut started = self.started.subscribe();
        match timeout(STARTUP_WAIT, started.wait_for(|started| *started)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ApiError::Timeout("Timed out waiting for startup to complete".into())),
        }
    }

    /// Ends the process with code 1, as a panic of the real one does.
    pub fn give_up(&self, why: &str) {
        // Nobody listens any more when the process is about to end anyway.
        let _ = self.fatal.send(why.to_owned());
    }

    fn tenant_lock(&self, tenant: TenantId) -> Arc<RwLock<()>> {
        let mut locks = self.tenant_locks.lock().unwrap_or_else(PoisonError::into_inner);
        // Locks that nobody holds needn't be kept.
        locks.retain(|id, lock| *id == tenant || Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(tenant).or_default())
    }

    /// For calls that may run beside each other, such as the creation of timelines.
    pub async fn share_tenant(&self, tenant: TenantId) -> OwnedRwLockReadGuard<()> {
        self.tenant_lock(tenant).read_owned().await
    }

    /// For calls that change the tenant itself.
    pub async fn lock_tenant(&self, tenant: TenantId) -> OwnedRwLockWriteGuard<()> {
        self.tenant_lock(tenant).write_owned().await
    }
}
