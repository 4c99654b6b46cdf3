//! A control plane at work: what it knows, and how a compute is brought to what it should run with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, sleep};

use super::compute::Compute;
use super::controller::Controller;
use super::http::CallError;
use super::ids::{EndpointName, TenantId, TimelineId};
use super::keys::{self, Keys};
use super::memory::Memory;
use super::room;
use super::settings::Settings;
use super::spec::{Place, Placement, Safekeepers, SpecInput, spec};
use super::state::{Endpoint, Refusal, SafekeeperSet};
use super::tokens;
use super::wire::{ComputeState, NotifyAttach};

/// The storage controller's own limit for a notification is 10 s: the answer comes before.
pub const HOOK_LIMIT: Duration = Duration::from_secs(8);
/// A compute that was given its specification and doesn't answer is starting for so long; then it is gone.
const STARTING: Duration = Duration::from_secs(15);
/// A compute gets this long for a new specification, however late it is.
const LEAST: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(100);
/// Between two looks at all computes.
const ROUND: Duration = Duration::from_secs(1);
/// Tokens for the endpoint storage hold for a day; each specification has a new one.
const STORAGE_TOKEN: i64 = 24 * 60 * 60;

/// Why a specification can't be made.
#[derive(Debug, thiserror::Error)]
pub enum PlaneError {
    /// The user's to change.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] std::io::Error),
    /// Something isn't there yet.
    #[error("{0}")]
    NotYet(String),
    /// The input is wrong.
    #[error("{0}")]
    Input(String),
}

/// How a compute took what it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It runs with it.
    Done,
    /// It isn't running; it asks when it starts.
    Gone,
    /// It is starting or busy: to be told again.
    Busy(String),
}

/// What is known of a compute, by name; lost with the program, and then asked anew.
#[derive(Debug, Default)]
struct Live {
    /// Held by whoever talks to it.
    turn: Arc<AsyncMutex<()>>,
    /// The specification that it asked for or was told last.
    last: Option<Value>,
    /// When it asked.
    asked: Option<Instant>,
    /// What it said last.
    said: Option<String>,
}

/// A control plane.
#[derive(Debug)]
pub struct Plane {
    /// What it was told at its start.
    pub settings: Settings,
    /// What it remembers.
    pub memory: Memory,
    /// What it signs with.
    pub keys: Keys,
    /// The storage controller.
    pub controller: Controller,
    verifier: String,
    /// Where it keeps everything.
    data: PathBuf,
    live: Mutex<BTreeMap<EndpointName, Live>>,
    /// Where tenants were last said to be.
    attached: Mutex<BTreeMap<TenantId, NotifyAttach>>,
    /// What the bootstrap waits for; None: it is done.
    waits_for: Mutex<Option<String>>,
}

impl Plane {
    /// From its settings and the folder where it keeps everything.
    ///
    /// # Errors
    /// When a file of it can't be read or written.
    pub fn open(settings: Settings, data: &Path) -> std::io::Result<Self> {
        let keys = Keys::load_or_make(&data.join("auth_private_key.pem"))?;
        let token = settings.auth.then(|| keys.token(&json!({ "scope": "admin" })));
        // Always the same text for the same password, so that a compute isn't told something new at each start.
        let salt = keys::secret_word(&data.join("password_salt"))?;
        Ok(Self {
            verifier: keys::scram(&settings.login.password, &salt.as_bytes()[..16]),
            controller: Controller::new(&settings.storage_controller, token),
            memory: Memory::load(&data.join("state.json"))?,
            data: data.to_path_buf(),
            settings,
            keys,
            live: Mutex::default(),
            attached: Mutex::default(),
            waits_for: Mutex::new(Some("it has just started".to_owned())),
        })
    }

    /// What the bootstrap waits for; None: it is done.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        self.waits_for.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is to be said of the disk.
    #[must_use]
    pub fn room(&self) -> Option<String> {
        room::warning(&self.data)
    }

    /// Says what the bootstrap waits for.
    pub fn set_waits_for(&self, what: Option<String>) {
        let mut waits_for = self.waits_for.lock().unwrap_or_else(PoisonError::into_inner);
        if *waits_for != what {
            match &what {
                Some(what) => tracing::info!("not ready: {what}"),
                None => tracing::info!("ready"),
            }
            *waits_for = what;
        }
    }

    /// What a compute said last.
    #[must_use]
    pub fn said(&self, name: &EndpointName) -> Option<String> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).get(name)?.said.clone()
    }

    /// A client for a compute.
    #[must_use]
    pub fn compute(&self, name: &EndpointName) -> Compute {
        Compute::of(name, self.keys.compute_admin())
    }

    /// Held by whoever talks to a compute.
    pub(super) fn turn(&self, name: &EndpointName) -> Arc<AsyncMutex<()>> {
        self.with_live(name, |live| Arc::clone(&live.turn))
    }

    /// A compute has taken this.
    pub(super) fn runs_with(&self, name: &EndpointName, spec: Value) {
        self.with_live(name, |live| live.last = Some(spec));
    }

    fn with_live<T>(&self, name: &EndpointName, act: impl FnOnce(&mut Live) -> T) -> T {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        act(live.entry(name.clone()).or_default())
    }

    /// The tenant is here from now on.
    pub fn note_attached(&self, message: &NotifyAttach) {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).insert(message.tenant_id, message.clone());
    }

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
        let place = |shard: &super::wire::LocatedShard| Place {
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
        let place = |shard: &super::wire::NotifiedShard| {
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
            storage_token: self.settings.auth.then(|| tokens::of_tenant(&self.keys, endpoint.tenant)),
            endpoint_storage,
        }))
    }

    /// What a compute that asks is given. It is known to be starting from now on: a tenant that moves before it
    /// answers makes [`Self::tell`] wait for it.
    ///
    /// # Errors
    /// When the endpoint isn't there (yet), or the controller can't be asked.
    pub async fn spec_for(&self, name: &EndpointName) -> Result<Value, PlaneError> {
        let endpoint = self.memory.state().endpoint(name)?.clone();
        if endpoint.stopped || endpoint.promoting {
            // Somebody has started its container without telling. What it is given now is what it should be.
            self.memory.change(|state| {
                state.promoted(name);
                Ok::<_, PlaneError>(state.set_stopped(name, false)?)
            })?;
        }
        self.with_live(name, |live| {
            live.asked = Some(Instant::now());
            live.last = None;
        });
        let spec = self.wanted_spec(name, &endpoint).await?;
        self.with_live(name, |live| {
            live.asked = Some(Instant::now());
            live.last = Some(spec.clone());
        });
        Ok(spec)
    }

    /// Brings a compute to what it should run with, unless it does already; one at a time for each. One that is
    /// starting or busy is waited for as long as `patience` says; all of it takes [`HOOK_LIMIT`] at most.
    ///
    /// # Errors
    /// When the storage controller can't be asked.
    pub async fn tell(&self, name: &EndpointName, patience: Duration) -> Result<Told, PlaneError> {
        let begun = Instant::now();
        let deadline = begun + patience;
        let turn = self.turn(name);
        let Ok(_turn) = tokio::time::timeout_at(deadline, turn.lock()).await else {
            return Ok(Told::Busy("it is being told something else".to_owned()));
        };
        let Some(endpoint) = self.memory.state().endpoints.get(name).filter(|endpoint| !endpoint.stopped).cloned()
        else {
            return Ok(Told::Gone);
        };
        if endpoint.promoting {
            return Ok(Told::Busy("it is being promoted".to_owned()));
        }
        loop {
            let why = match self.look(name).await {
                Look::Ready => {
                    let left = HOOK_LIMIT.saturating_sub(begun.elapsed()).max(LEAST);
                    match self.configure(name, &endpoint, left).await? {
                        Told::Busy(why) => why,
                        told => return Ok(told),
                    }
                }
                Look::Gone => return Ok(Told::Gone),
                Look::Busy(why) => why,
            };
            if Instant::now() + POLL >= deadline {
                return Ok(Told::Busy(why));
            }
            sleep(POLL).await;
        }
    }

    /// What a compute is doing, in three words.
    async fn look(&self, name: &EndpointName) -> Look {
        let (status, said) = match self.compute(name).status().await {
            Ok(status) => {
                let said = match &status.error {
                    Some(error) => format!("{}: {error}", word(status.status)),
                    None => word(status.status),
                };
                (Some(status.status), said)
            }
            Err(error) => (None, error.to_string()),
        };
        let is_starting = self.with_live(name, |live| {
            live.said = Some(said.clone());
            live.asked.is_some_and(|asked| asked.elapsed() < STARTING)
        });
        judge(status, is_starting, said)
    }

    async fn configure(&self, name: &EndpointName, endpoint: &Endpoint, limit: Duration) -> Result<Told, PlaneError> {
        let wanted = self.wanted_spec(name, endpoint).await?;
        if self.with_live(name, |live| live.last.as_ref().is_some_and(|last| same_spec(last, &wanted))) {
            return Ok(Told::Done);
        }
        match self.compute(name).configure(&wanted, &self.keys.jwks(), limit).await {
            Ok(()) => {
                tracing::info!("endpoint {name} runs with {}", wanted["pageserver_connstring"]);
                self.runs_with(name, wanted);
                Ok(Told::Done)
            }
            Err(error) if error.status().is_some_and(|status| status.as_u16() == 412) || error.status().is_none() => {
                Ok(Told::Busy(error.to_string()))
            }
            // It has failed, and says why when it is asked; a restart gives it the right specification.
            Err(error) => {
                tracing::warn!("{error}");
                Ok(Told::Gone)
            }
        }
    }

    /// Endpoints that somebody should look after.
    #[must_use]
    pub fn endpoints(&self, fits: impl Fn(&Endpoint) -> bool) -> Vec<EndpointName> {
        let state = self.memory.state();
        let wanted = state.endpoints.iter().filter(|(_, endpoint)| !endpoint.stopped && fits(endpoint));
        wanted.map(|(name, _)| name.clone()).collect()
    }

    /// Tells all of these at the same time; what kept one from it, if anything.
    pub async fn tell_all(&self, names: &[EndpointName], patience: Duration) -> Vec<String> {
        let told = futures::future::join_all(names.iter().map(|name| self.tell(name, patience))).await;
        let trouble = |(name, told): (&EndpointName, Result<Told, PlaneError>)| match told {
            Ok(Told::Busy(why)) => Some(format!("endpoint {name}: {why}")),
            Err(error) => Some(format!("endpoint {name}: {error}")),
            Ok(Told::Done | Told::Gone) => None,
        };
        names.iter().zip(told).filter_map(trouble).collect()
    }

    /// Looks after all computes for ever: one that waits for a specification, or runs with an older one since this
    /// program was away, is told the right one.
    pub async fn look_after(&self) {
        loop {
            let names = self.endpoints(|_| true);
            for trouble in self.tell_all(&names, POLL * 2).await {
                tracing::debug!("{trouble}");
            }
            sleep(ROUND).await;
        }
    }
}

/// What a compute is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    /// It takes a specification.
    Ready,
    /// It isn't running: it asks when it starts.
    Gone,
    /// It will take one, or be gone, in a moment.
    Busy(String),
}

/// `status`: what it says, None: it can't be reached. One that has just asked for its specification is starting.
fn judge(status: Option<ComputeState>, is_starting: bool, said: String) -> Look {
    use ComputeState as S;
    match status {
        Some(S::Running | S::Empty) => Look::Ready,
        Some(S::Failed | S::Terminated | S::TerminationPendingFast | S::TerminationPendingImmediate) => Look::Gone,
        Some(_) => Look::Busy(said),
        None if is_starting => Look::Busy(said),
        None => Look::Gone,
    }
}

fn word(state: ComputeState) -> String {
    serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Tokens differ each time they are made: they are no reason to tell a compute anything.
fn same_spec(one: &Value, other: &Value) -> bool {
    let without = |spec: &Value| {
        let mut spec = spec.clone();
        spec["endpoint_storage_token"] = Value::Null;
        spec
    };
    without(one) == without(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_compute_says_decides_whether_it_is_told() {
        use ComputeState as S;
        let busy = || Look::Busy("x".into());
        let rows = [
            (Some(S::Running), false, Look::Ready),
            (Some(S::Empty), false, Look::Ready),
            (Some(S::Init), false, busy()),
            (Some(S::Configuration), false, busy()),
            (Some(S::ConfigurationPending), false, busy()),
            (Some(S::RefreshConfiguration), false, busy()),
            (Some(S::Unknown), false, busy()),
            (Some(S::Failed), true, Look::Gone),
            (Some(S::Terminated), true, Look::Gone),
            (Some(S::TerminationPendingFast), true, Look::Gone),
            (None, false, Look::Gone),
            // It has its specification and doesn't listen yet: a tenant that moves now would be lost on it.
            (None, true, busy()),
        ];
        for (status, is_starting, expected) in rows {
            assert_eq!(judge(status, is_starting, "x".into()), expected, "{status:?} {is_starting}");
        }
    }

    #[test]
    fn a_new_token_alone_is_nothing_new() {
        let one = json!({ "a": 1, "endpoint_storage_token": "x" });
        assert!(same_spec(&one, &json!({ "a": 1, "endpoint_storage_token": "y" })));
        assert!(!same_spec(&one, &json!({ "a": 2, "endpoint_storage_token": "x" })));
    }
}
