//! What a compute is doing, and how it gets from one state to the next.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ed25519_compact::PublicKey;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::options::Options;
use super::spec::{Config, CtlConfig, Mode, Running, Spec};
use super::{ask, session};
use crate::client::Client;
use crate::jwt;
use crate::pg::{accept_all, holds_timeline, takes};

/// The word in /status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Empty,
    ConfigurationPending,
    Init,
    Running,
    Configuration,
    Failed,
    TerminationPendingFast,
    TerminationPendingImmediate,
    Terminated,
    RefreshConfigurationPending,
    RefreshConfiguration,
}

/// How a compute ends when it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Fast,
    Immediate,
}

#[derive(Debug, Clone)]
struct State {
    status: Status,
    error: Option<String>,
    running: Option<Arc<Running>>,
}

const SYNC_TRIES: u32 = 5;
const BASEBACKUP_TRIES: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// For a connection to a safekeeper.
const LIMIT: Duration = Duration::from_secs(1);
/// A refresh that changes nothing ends after this.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);

/// A compute.
pub struct Compute {
    pub options: Options,
    pub client: Client,
    started: Timestamp,
    state: watch::Sender<State>,
    keys: Mutex<Vec<PublicKey>>,
}

impl Compute {
    pub fn new(options: Options, client: Client) -> Self {
        let state = State { status: Status::Empty, error: None, running: None };
        Self { options, client, started: Timestamp::now(), state: watch::Sender::new(state), keys: Mutex::default() }
    }

    pub fn status(&self) -> Status {
        self.state.borrow().status
    }

    /// What Postgres runs with; None while it doesn't.
    pub fn running(&self) -> Option<Arc<Running>> {
        let state = self.state.borrow();
        let serves = !matches!(state.status, Status::Init | Status::Terminated);
        state.running.clone().filter(|_| serves)
    }

    /// The object of /status.
    pub fn describe(&self) -> Value {
        let state = self.state.borrow();
        json!({
            "start_time": self.started, "status": state.status, "error": state.error, "last_active": null,
            "tenant": state.running.as_ref().map(|running| running.tenant),
            "timeline": state.running.as_ref().map(|running| running.timeline),
        })
    }

    pub fn trust(&self, config: &CtlConfig) {
        let keys = config.jwks.keys.iter().filter_map(|key| jwt::key_of_jwk(&key.x)).collect();
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    pub fn keys(&self) -> Vec<PublicKey> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, status: Status) {
        tracing::info!("state {status:?}");
        self.state.send_modify(|state| state.status = status);
    }

    fn fail(&self, why: &str) {
        tracing::error!("failed: {why}");
        self.state.send_modify(|state| {
            state.status = Status::Failed;
            state.error = Some(why.to_owned());
        });
    }

    /// From one of these states to another, and nobody in between.
    fn step(&self, from: &[Status], to: Status) -> bool {
        let moved = self.state.send_if_modified(|state| {
            let may = from.contains(&state.status);
            if may {
                state.status = to;
            }
            may
        });
        if moved {
            tracing::info!("state {to:?}");
        }
        moved
    }

    /// Waits until it has one of these states.
    pub async fn until(&self, wanted: &[Status]) -> Status {
        let mut states = self.state.subscribe();
        match states.wait_for(|state| wanted.contains(&state.status)).await {
            Ok(state) => state.status,
            Err(_) => Status::Failed,
        }
    }

    /// The first start of Postgres: safekeepers, basebackup, listening.
    pub async fn start(self: &Arc<Self>, spec: &Spec) -> Result<(), String> {
        self.set(Status::Init);
        let result = self.try_start(spec).await;
        if let Err(why) = &result {
            self.fail(why);
        }
        result
    }

    async fn try_start(self: &Arc<Self>, spec: &Spec) -> Result<(), String> {
        let running = Running::of(spec)?;
        let port = self.options.port()?;
        if running.port() != Some(port) {
            return Err(format!("the port of postgresql_conf must be {port}, as in --connstr"));
        }
        if running.mode == Mode::Primary {
            sync_safekeepers(&running.safekeepers, running.storage_token.as_deref()).await?;
        }
        basebackup(&running).await?;
        write_conf(&self.options.pgdata, &running)?;
        let address = running.settings.get("listen_addresses").map_or("localhost", String::as_str);
        let address = if address == "*" { "0.0.0.0" } else { address };
        let listener = TcpListener::bind((address, port)).await;
        let listener = listener.map_err(|error| format!("could not bind {address}:{port}: {error}"))?;
        let compute = Arc::clone(self);
        tokio::spawn(accept_all(listener, move |stream: TcpStream| session::serve(Arc::clone(&compute), stream)));
        self.state.send_modify(|state| state.running = Some(Arc::new(running)));
        self.set(Status::Running);
        Ok(())
    }

    /// `POST /configure`: the answer comes when Postgres runs with it. `Err(None)`: not in this state.
    pub async fn configure(self: &Arc<Self>, config: &Config) -> Result<(), Option<String>> {
        let Some(spec) = &config.spec else { return Err(Some("spec is missing".to_owned())) };
        let was_empty = self.status() == Status::Empty;
        if !self.step(&[Status::Empty, Status::Running], Status::ConfigurationPending) {
            return Err(None);
        }
        self.trust(&config.compute_ctl_config);
        if was_empty {
            return self.start(spec).await.map_err(Some);
        }
        self.set(Status::Configuration);
        self.apply(spec).map_err(|why| {
            self.fail(&why);
            Some(why)
        })
    }

    /// While Postgres runs: new settings. Port and the like stay as they are.
    fn apply(&self, spec: &Spec) -> Result<(), String> {
        let mut running = Running::of(spec)?;
        if let Some(before) = self.state.borrow().running.clone() {
            for name in ["port", "listen_addresses", "shared_preload_libraries"] {
                if let Some(value) = before.settings.get(name) {
                    running.settings.insert(name.to_owned(), value.clone());
                }
            }
        }
        write_conf(&self.options.pgdata, &running)?;
        self.state.send_modify(|state| {
            state.running = Some(Arc::new(running));
            state.status = Status::Running;
            state.error = None;
        });
        tracing::info!("state Running, with a new configuration");
        Ok(())
    }

    /// `POST /promote`: a replica is a primary from now on. `Err(None)`: not in this state.
    pub async fn promote(&self, spec: &Spec) -> Result<(), Option<String>> {
        if self.running().is_none_or(|running| running.mode != Mode::Replica) {
            return Err(Some("only a replica can be promoted".to_owned()));
        }
        let wanted = Running::of(spec).map_err(Some)?;
        if !self.step(&[Status::Running], Status::Configuration) {
            return Err(None);
        }
        let done = match sync_safekeepers(&wanted.safekeepers, wanted.storage_token.as_deref()).await {
            Ok(()) => self.apply(spec),
            Err(why) => Err(why),
        };
        done.map_err(|why| {
            self.fail(&why);
            Some(why)
        })
    }

    /// `POST /terminate`; false: not in this state.
    pub fn terminate(&self, ending: Ending) -> bool {
        let to = match ending {
            Ending::Fast => Status::TerminationPendingFast,
            Ending::Immediate => Status::TerminationPendingImmediate,
        };
        self.step(&[Status::Running, Status::Empty], to)
    }

    pub fn terminated(&self) {
        self.set(Status::Terminated);
    }

    /// `POST /refresh_configuration`: reads the specification once more, and takes it if pageservers have moved.
    pub fn refresh(self: &Arc<Self>) -> bool {
        if !self.step(&[Status::Running], Status::RefreshConfigurationPending) {
            return false;
        }
        let compute = Arc::clone(self);
        tokio::spawn(async move {
            compute.set(Status::RefreshConfiguration);
            let found = ask::config(&compute.options, &compute.client).await;
            let spec = found.ok().and_then(|config| config.spec);
            let moved = spec
                .as_ref()
                .and_then(|spec| Running::of(spec).ok())
                .is_some_and(|new| compute.running().is_none_or(|running| running.pageservers != new.pageservers));
            match spec {
                Some(spec) if moved => {
                    if let Err(why) = compute.apply(&spec) {
                        compute.fail(&why);
                    }
                }
                _ => {
                    sleep(REFRESH_PAUSE).await;
                    compute.set(Status::Running);
                }
            }
        });
        true
    }
}

/// With a token it has to be taken; without one, a connection is enough.
async fn reach(safekeeper: &str, token: Option<&str>) -> Result<(), String> {
    if token.is_some() {
        return takes(safekeeper, token).await;
    }
    match timeout(LIMIT, TcpStream::connect(safekeeper)).await {
        Ok(connected) => connected.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {LIMIT:?}")),
    }
}

/// A majority of the safekeepers has to be there.
async fn sync_safekeepers(safekeepers: &[String], token: Option<&str>) -> Result<(), String> {
    let mut missing = Vec::new();
    for attempt in 0..SYNC_TRIES {
        missing.clear();
        for safekeeper in safekeepers {
            if let Err(why) = reach(safekeeper, token).await {
                missing.push(format!("{safekeeper} ({why})"));
            }
        }
        if missing.len() * 2 < safekeepers.len() {
            return Ok(());
        }
        tracing::warn!("sync-safekeepers, try {}: no connection to {}", attempt + 1, missing.join(", "));
        sleep(FIRST_PAUSE).await;
    }
    Err(format!("failed to sync safekeepers: no connection to {}", missing.join(", ")))
}

/// From the pageserver of the first shard.
async fn basebackup(running: &Running) -> Result<(), String> {
    let first = running.pageservers.first().ok_or("no pageserver")?;
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        match holds_timeline(first, running.storage_token.as_deref(), running.tenant, running.timeline).await {
            Ok(()) => break,
            Err(why) if attempt == BASEBACKUP_TRIES => return Err(format!("failed to get basebackup: {why}")),
            Err(why) => tracing::warn!("basebackup, try {attempt}: {why}"),
        }
        sleep(pause).await;
        pause = pause.mul_f32(1.5);
    }
    Ok(())
}

fn write_conf(pgdata: &Path, running: &Running) -> Result<(), String> {
    let quoted = |value: &String| value.replace('\'', "''");
    let text: String = running.settings.iter().map(|(name, value)| format!("{name}='{}'\n", quoted(value))).collect();
    let file = pgdata.join("postgresql.conf");
    std::fs::write(&file, text).map_err(|error| format!("can't write {}: {error}", file.display()))
}
