//! A control plane at work: what it knows, and what a compute that asks is given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::clock::Clocks;
use super::compute::Compute;
use super::controller::Controller;
use super::http::CallError;
use super::ids::{EndpointName, TenantId};
use super::keys::{self, Keys};
use super::memory::Memory;
use super::room;
use super::settings::Settings;
use super::state::Refusal;
use super::wire::NotifyAttach;

/// The storage controller's own limit for a notification is 10 s: the answer comes before.
pub const HOOK_LIMIT: Duration = Duration::from_secs(8);
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

/// What is known of a compute, by name; lost with the program, and then asked anew.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Held by whoever talks to it.
    pub(super) turn: Arc<AsyncMutex<()>>,
    /// The specification that it asked for or was told last.
    pub(super) last: Option<Value>,
    /// When it asked.
    pub(super) asked: Option<Instant>,
    /// What it said last.
    pub(super) said: Option<String>,
}

/// A control plane.
#[derive(Debug)]
pub struct Plane {
    /// What it was told at its start.
    pub settings: Settings,
    /// What it remembers.
    pub memory: Memory,
    /// What time others say it is.
    pub clocks: Arc<Clocks>,
    /// What it signs with.
    pub keys: Keys,
    /// The storage controller.
    pub controller: Controller,
    pub(super) verifier: String,
    /// Where it keeps everything.
    data: PathBuf,
    live: Mutex<BTreeMap<EndpointName, Live>>,
    /// Where tenants were last said to be.
    pub(super) attached: Mutex<BTreeMap<TenantId, NotifyAttach>>,
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
        let clocks = Arc::<Clocks>::default();
        // Always the same text for the same password, so that a compute isn't told something new at each start.
        let salt = keys::secret_word(&data.join("password_salt"))?;
        Ok(Self {
            verifier: keys::scram(&settings.login.password, &salt.as_bytes()[..16]),
            controller: Controller::new(&settings.storage_controller, token, Arc::clone(&clocks)),
            clocks,
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

    /// What somebody should look at: the disk, and clocks.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        room::warning(&self.data).into_iter().chain(self.clocks.warnings()).collect()
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
        Compute::of(name, self.keys.compute_admin()).noting(&self.clocks)
    }

    /// Held by whoever talks to a compute.
    pub(super) fn turn(&self, name: &EndpointName) -> Arc<AsyncMutex<()>> {
        self.with_live(name, |live| Arc::clone(&live.turn))
    }

    /// A compute has taken this.
    pub(super) fn runs_with(&self, name: &EndpointName, spec: Value) {
        self.with_live(name, |live| live.last = Some(spec));
    }

    pub(super) fn with_live<T>(&self, name: &EndpointName, act: impl FnOnce(&mut Live) -> T) -> T {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        act(live.entry(name.clone()).or_default())
    }

    /// The tenant is here from now on.
    pub fn note_attached(&self, message: &NotifyAttach) {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner).insert(message.tenant_id, message.clone());
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
}
