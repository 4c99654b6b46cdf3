//! Which way leads to a container's ports: its own address, a published port, or a command inside it.
//!
//! Found out by trying, once per run. An address that accepts or refuses proves the direct way; one that stays silent
//! for a while although the container runs disproves it. A component that differs from the rest, such as one on
//! a macvlan network, gets a way of its own. Nothing is asked here: the prober tells what it saw.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::tcp::NoContact;
use super::{Target, published_host};
use crate::cluster::Protocol;
use crate::engine::EngineInfo;
use crate::names::{ComponentName, ContainerId};

/// Silence for this long, of a container that runs, means that the way doesn't lead there. A busy machine loses the
/// first ARP request now and then, and the kernel asks again only after a second.
pub(super) const PATIENCE: Duration = Duration::from_millis(1500);
/// The same where the way led to other containers: then it is most likely the component that is slow.
const PATIENCE_IF_PROVEN: Duration = Duration::from_secs(10);

/// Which ways may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReachMode {
    /// Whatever works.
    #[default]
    Auto,
    /// Container addresses only.
    Direct,
    /// Published ports only.
    Published,
    /// Commands inside the container only.
    Exec,
}

impl FromStr for ReachMode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "direct" => Ok(Self::Direct),
            "published" => Ok(Self::Published),
            "exec" => Ok(Self::Exec),
            _ => Err(format!("{text:?} is no way to reach containers; there are auto, direct, published and exec")),
        }
    }
}

/// A way to a container's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Its address.
    Direct,
    /// A published port at the engine's host.
    Published,
    /// A command inside it.
    Exec,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "container addresses",
            Self::Published => "published ports",
            Self::Exec => "commands inside",
        })
    }
}

/// How containers were reached so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReachReport {
    /// What was allowed.
    pub mode: ReachMode,
    /// The choice of this run; None: nothing was tried yet.
    pub way: Option<Way>,
    /// The way last used for each component that was asked by port.
    pub components: BTreeMap<ComponentName, Way>,
}

/// The way to take for one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// To one of these; `unproven` asks for no more than [`PATIENCE`] with it.
    Direct { addresses: Vec<SocketAddr>, unproven: bool },
    /// To this one, where a proxy may accept for a program that isn't there. If it is `doubtful` that the port can be
    /// reached from here, asking from inside should be tried too.
    Published { address: SocketAddr, doubtful: bool },
    /// By a command.
    Inside,
    /// None, for this reason.
    Nowhere(String),
    /// The container was started a moment ago, and the engine hasn't shown what leads to it.
    NotYet,
}

/// What is known about ways.
#[derive(Debug)]
pub(super) struct Reach {
    mode: ReachMode,
    engine_host: IpAddr,
    /// Ports published on 127.0.0.1 are ours to reach.
    shares_loopback: bool,
    /// Whether container addresses can be tried at all.
    has_addresses: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether container addresses work; None: not known yet.
    direct: Option<bool>,
    /// Whose silence showed that they don't.
    disproved_by: Option<ContainerId>,
    containers: HashMap<ContainerId, Seen>,
}

/// What is known about one container.
#[derive(Debug)]
struct Seen {
    component: ComponentName,
    run: Option<Timestamp>,
    /// The way last taken.
    last: Way,
    /// A way that it has for itself.
    own: Option<Way>,
    /// Its address, or its published port, was seen to work.
    proven: bool,
    silent_since: Option<Instant>,
    doubt: Doubt,
}

/// Whether the container was looked at since it runs: before that, its ports and dynamic addresses aren't known.
const fn is_known(target: &Target) -> bool {
    target.started_at.is_some()
}

/// Whether a published port that nobody answers at is to be doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    NotYet,
    Yes,
    /// There is no other way.
    Useless,
}

impl Reach {
    pub(super) fn new(mode: ReachMode, info: &EngineInfo, engine_host: IpAddr) -> Self {
        // Where addresses of containers mean nothing, a stranger may have them and answer.
        let has_addresses = info.is_local && info.operating_system != "Docker Desktop";
        Self { mode, engine_host, shares_loopback: info.shares_loopback(), has_addresses, state: Mutex::default() }
    }

    pub(super) fn report(&self) -> ReachReport {
        let state = self.state();
        let way = match (self.mode, state.direct) {
            (ReachMode::Direct, _) => Some(Way::Direct),
            (ReachMode::Published, _) => Some(Way::Published),
            (ReachMode::Exec, _) => Some(Way::Exec),
            (ReachMode::Auto, _) if !self.has_addresses => Some(Way::Published),
            (ReachMode::Auto, direct) => direct.map(|works| if works { Way::Direct } else { Way::Published }),
        };
        let components = state.containers.values().map(|seen| (seen.component.clone(), seen.last)).collect();
        ReachReport { mode: self.mode, way, components }
    }

    /// The way for the next attempt at a port.
    pub(super) fn route(&self, target: &Target, port: u16) -> Route {
        let mut state = self.state();
        state.seen(target);
        let direct_works = state.direct;
        let seen = state.seen(target);
        let route = match self.mode {
            ReachMode::Exec => Route::Inside,
            ReachMode::Direct => self.addresses(target, port, false),
            ReachMode::Published if target.host_network => self.addresses(target, port, false),
            ReachMode::Published => self.published(target, port, false),
            ReachMode::Auto if seen.own == Some(Way::Exec) => Route::Inside,
            ReachMode::Auto => {
                let direct = self.has_addresses && seen.own.is_none() && direct_works != Some(false);
                self.open_route(target, port, direct, direct_works.is_none(), seen.doubt == Doubt::Yes)
            }
        };
        match route {
            Route::Direct { .. } => seen.last = Way::Direct,
            Route::Published { .. } => seen.last = Way::Published,
            Route::Inside => seen.last = Way::Exec,
            Route::Nowhere(_) if !is_known(target) => return Route::NotYet,
            Route::Nowhere(_) | Route::NotYet => {}
        }
        route
    }

    /// The best of all ways: by address if `direct`, then by published port, then inside.
    fn open_route(&self, target: &Target, port: u16, direct: bool, unproven: bool, doubtful: bool) -> Route {
        if direct && let route @ Route::Direct { .. } = self.addresses(target, port, unproven) {
            return route;
        }
        if target.host_network {
            return Route::Published { address: SocketAddr::new(self.engine_host, port), doubtful };
        }
        match self.published(target, port, doubtful) {
            Route::Nowhere(_) if !is_known(target) => Route::NotYet,
            Route::Nowhere(_) => Route::Inside,
            route => route,
        }
    }

    fn addresses(&self, target: &Target, port: u16, unproven: bool) -> Route {
        if target.host_network {
            let addresses = vec![SocketAddr::new(self.engine_host, port)];
            return Route::Direct { addresses, unproven: false };
        }
        if target.addresses.is_empty() {
            return Route::Nowhere("it has no address of its own to connect to".to_owned());
        }
        let addresses = target.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        Route::Direct { addresses, unproven }
    }

    fn published(&self, target: &Target, port: u16, doubtful: bool) -> Route {
        let bound = target.published.iter().filter(|b| b.container_port == port && b.protocol == Protocol::Tcp);
        // Another machine's loopback isn't ours.
        let mut usable = bound.filter(|b| self.shares_loopback || !b.host_ip.is_some_and(|ip| ip.is_loopback()));
        match usable.find_map(|b| Some((published_host(b, self.engine_host), b.host_port?))) {
            Some((ip, host_port)) => Route::Published { address: SocketAddr::new(ip, host_port), doubtful },
            None => Route::Nowhere(format!("port {port} isn't published where convoke could connect to it")),
        }
    }

    /// Tells how a direct attempt went that began at `begun`. True asks whether the container really runs since
    /// before that: if so, [`no_direct_way`](Self::no_direct_way), else [`is_down`](Self::is_down) is to be called.
    pub(super) fn direct_went(&self, target: &Target, contact: Result<(), &NoContact>, begun: Instant) -> bool {
        if self.mode != ReachMode::Auto || target.host_network {
            return false;
        }
        let mut state = self.state();
        match contact {
            Ok(()) | Err(NoContact::Refused) => {
                state.direct = Some(true);
                state.seen(target).proven = true;
                false
            }
            Err(NoContact::Ours(_)) => false,
            Err(NoContact::NoRoute | NoContact::Silent(_)) => {
                let patience = if state.direct == Some(true) { PATIENCE_IF_PROVEN } else { PATIENCE };
                let seen = state.seen(target);
                !seen.proven && seen.silent_for(begun) >= patience
            }
        }
    }

    /// The container runs, and its address leads nowhere.
    pub(super) fn no_direct_way(&self, target: &Target) {
        let mut state = self.state();
        if state.direct.is_none() {
            state.direct = Some(false);
            state.disproved_by = Some(target.container.clone());
        }
        let seen = state.seen(target);
        seen.own = Some(Way::Published);
        seen.silent_since = None;
    }

    /// Asking inside isn't possible either. True if its address is tried again, since that way leads to others.
    pub(super) fn no_way_inside(&self, target: &Target) -> bool {
        let mut state = self.state();
        let back = self.mode == ReachMode::Auto && state.direct == Some(true) && !target.addresses.is_empty();
        if back {
            let seen = state.seen(target);
            (seen.own, seen.silent_since) = (None, None);
        }
        back
    }

    /// The container doesn't run: its silence proves nothing.
    pub(super) fn is_down(&self, target: &Target) {
        self.state().seen(target).silent_since = None;
    }

    /// Tells how an attempt at a published port went that began at `begun`. Where a proxy accepts for every container
    /// that runs, a refusal means that the engine's host isn't the one we think, as in a container with the engine's
    /// socket.
    pub(super) fn published_went(&self, target: &Target, contact: Result<(), &NoContact>, begun: Instant) {
        let mut state = self.state();
        let seen = state.seen(target);
        match contact {
            Ok(()) => seen.proven_published(),
            Err(NoContact::Ours(_)) => {}
            Err(_) if seen.doubt == Doubt::NotYet && !seen.proven && seen.silent_for(begun) >= PATIENCE => {
                seen.doubt = Doubt::Yes;
            }
            Err(_) => {}
        }
    }

    /// A doubtful published port: asking from inside passed.
    pub(super) fn inside_works(&self, target: &Target) {
        self.state().seen(target).own = Some(Way::Exec);
    }

    /// A doubtful published port: asking from inside isn't possible.
    pub(super) fn inside_is_impossible(&self, target: &Target) {
        self.state().seen(target).doubt = Doubt::Useless;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn seen(&mut self, target: &Target) -> &mut Seen {
        let seen = self.containers.entry(target.container.clone()).or_insert_with(|| Seen {
            component: target.component.clone(),
            run: target.started_at,
            last: Way::Direct,
            own: None,
            proven: false,
            silent_since: None,
            doubt: Doubt::NotYet,
        });
        if seen.run != target.started_at {
            seen.silent_since = None;
        }
        // What the silence of an earlier run showed was perhaps that the engine was going down with it.
        if seen.run.is_some() && target.started_at.is_some() && seen.run != target.started_at {
            seen.own = seen.own.filter(|way| *way != Way::Published);
            if self.disproved_by.as_ref() == Some(&target.container) {
                (self.direct, self.disproved_by) = (None, None);
            }
        }
        seen.run = target.started_at.or(seen.run);
        seen
    }
}

impl Seen {
    fn silent_for(&mut self, begun: Instant) -> Duration {
        self.silent_since.get_or_insert(begun).elapsed()
    }

    fn proven_published(&mut self) {
        self.proven = true;
        self.silent_since = None;
        self.doubt = Doubt::NotYet;
    }
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
