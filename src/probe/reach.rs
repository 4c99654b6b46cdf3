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
        let addresses = target.addresses.iter().map(|ip| SocketAddr::new(IpAddr::V4(*ip), port)).collect();
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
mod tests {
    use super::*;
    use crate::cluster::PortBinding;
    use std::net::Ipv4Addr;
    use tokio::time::advance;

    const ENGINE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const SILENT: Result<(), &NoContact> = Err(&NoContact::NoRoute);
    const REFUSED: Result<(), &NoContact> = Err(&NoContact::Refused);

    fn reach(mode: ReachMode, is_local: bool, operating_system: &str) -> Reach {
        let info = EngineInfo {
            version: "20.10.24".into(),
            api_version: "1.41".into(),
            address: if is_local || operating_system == "Docker Desktop" {
                "unix:///docker.sock"
            } else {
                "tcp://192.0.2.1:2375"
            }
            .into(),
            is_local,
            cpus: 2,
            operating_system: operating_system.into(),
            memory: 0,
        };
        Reach::new(mode, &info, ENGINE)
    }

    fn auto() -> Reach {
        reach(ReachMode::Auto, true, "Debian GNU/Linux 12 (bookworm)")
    }

    fn target(name: &str, host_port: Option<u16>) -> Target {
        let published = host_port.map(|port| PortBinding {
            host_ip: Some(ENGINE),
            host_port: Some(port),
            container_port: 80,
            protocol: Protocol::Tcp,
        });
        Target {
            component: ComponentName::new(name).unwrap(),
            container: ContainerId::new(format!("id of {name}")).unwrap(),
            addresses: vec![Ipv4Addr::new(10, 231, 0, 2)],
            published: published.into_iter().collect(),
            host_network: false,
            started_at: Some(Timestamp::UNIX_EPOCH),
        }
    }

    fn direct(unproven: bool) -> Route {
        Route::Direct { addresses: vec!["10.231.0.2:80".parse().unwrap()], unproven }
    }

    fn published(port: u16, doubtful: bool) -> Route {
        Route::Published { address: SocketAddr::new(ENGINE, port), doubtful }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_proves_the_direct_way_for_all() {
        let (reach, a, b) = (auto(), target("a", Some(8080)), target("b", None));
        assert_eq!(reach.report().way, None);
        assert_eq!(reach.route(&a, 80), direct(true));
        assert!(!reach.direct_went(&a, REFUSED, Instant::now()));
        assert_eq!(reach.route(&b, 80), direct(false));
        assert_eq!(reach.report().way, Some(Way::Direct));
        // Once proven, silence is the component's own.
        for _ in 0..5 {
            advance(PATIENCE).await;
            assert!(!reach.direct_went(&a, SILENT, Instant::now()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn long_silence_disproves_it_if_the_container_runs() {
        let (reach, a, b) = (auto(), target("a", Some(8080)), target("b", None));
        let begun = Instant::now();
        advance(Duration::from_millis(200)).await;
        assert!(!reach.direct_went(&a, SILENT, begun));
        advance(PATIENCE - Duration::from_millis(200)).await;
        assert!(reach.direct_went(&a, SILENT, Instant::now()));
        reach.is_down(&a);
        assert!(!reach.direct_went(&a, SILENT, Instant::now()), "silence of a container that was down doesn't count");
        advance(PATIENCE).await;
        assert!(reach.direct_went(&a, SILENT, Instant::now()));
        reach.no_direct_way(&a);
        assert_eq!(reach.route(&a, 80), published(8080, false));
        assert_eq!(reach.route(&b, 80), Route::Inside);
        assert_eq!(reach.route(&a, 81), Route::Inside, "another port of it isn't published");
        assert_eq!(reach.report().way, Some(Way::Published));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_differs_has_a_way_of_its_own() {
        let (reach, a, odd) = (auto(), target("a", None), target("odd", None));
        reach.direct_went(&a, Ok(()), Instant::now());
        let begun = Instant::now();
        advance(PATIENCE).await;
        assert!(!reach.direct_went(&odd, SILENT, begun), "the way leads to others: it gets longer");
        advance(PATIENCE_IF_PROVEN).await;
        assert!(reach.direct_went(&odd, SILENT, begun));
        reach.no_direct_way(&odd);
        assert_eq!((reach.route(&a, 80), reach.route(&odd, 80)), (direct(false), Route::Inside));
        let ways: Vec<Way> = reach.report().components.into_values().collect();
        assert_eq!((reach.report().way, ways), (Some(Way::Direct), vec![Way::Direct, Way::Exec]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_run_starts_its_silence_anew() {
        let (reach, mut a) = (auto(), target("a", None));
        assert!(!reach.direct_went(&a, SILENT, Instant::now()));
        advance(PATIENCE).await;
        a.started_at = Some(Timestamp::MAX);
        assert!(!reach.direct_went(&a, SILENT, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_run_of_the_silent_one_gives_the_direct_way_another_chance() {
        let (reach, a, b) = (auto(), target("a", None), target("b", None));
        assert!(!reach.direct_went(&a, SILENT, Instant::now()));
        advance(PATIENCE).await;
        assert!(reach.direct_went(&a, SILENT, Instant::now()));
        reach.no_direct_way(&a);
        assert_eq!((reach.route(&a, 80), reach.route(&b, 80)), (Route::Inside, Route::Inside));
        // The engine was going down, and has started it again; meanwhile that isn't known.
        assert_eq!(reach.route(&Target { started_at: None, ..a.clone() }, 80), Route::NotYet);
        let again = Target { started_at: Some(Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(9)), ..a };
        assert_eq!((reach.route(&again, 80), reach.route(&b, 80)), (direct(true), direct(true)));
        // That of another says nothing of it.
        advance(PATIENCE).await;
        reach.no_direct_way(&again);
        let other = Target { started_at: again.started_at, ..b };
        assert_eq!(reach.route(&other, 80), Route::Inside);
    }

    #[tokio::test(start_paused = true)]
    async fn a_published_port_that_only_refuses_is_doubted_until_it_answers() {
        let reach = reach(ReachMode::Auto, true, "Docker Desktop");
        let a = target("a", Some(8080));
        assert_eq!(reach.route(&a, 80), published(8080, false));
        reach.published_went(&a, REFUSED, Instant::now());
        advance(PATIENCE).await;
        reach.published_went(&a, REFUSED, Instant::now());
        assert_eq!(reach.route(&a, 80), published(8080, true));
        reach.published_went(&a, Ok(()), Instant::now());
        assert_eq!(reach.route(&a, 80), published(8080, false));
        let b = target("b", Some(8081));
        reach.published_went(&b, REFUSED, Instant::now());
        advance(PATIENCE).await;
        reach.published_went(&b, REFUSED, Instant::now());
        reach.inside_is_impossible(&b);
        reach.published_went(&b, REFUSED, Instant::now());
        assert_eq!(reach.route(&b, 80), published(8081, false));
        reach.inside_works(&b);
        assert_eq!(reach.route(&b, 80), Route::Inside);
    }

    #[test]
    fn a_remote_engine_s_addresses_and_loopback_are_strangers() {
        let reach = reach(ReachMode::Auto, false, "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(reach.route(&target("a", Some(8080)), 80), Route::Inside);
        let mut a = target("b", Some(8080));
        a.published[0].host_ip = None;
        assert_eq!(reach.route(&a, 80), published(8080, false));
        assert_eq!(reach.report().way, Some(Way::Published));
    }

    #[test]
    fn the_host_s_network_is_the_engine_s_host() {
        let mut a = target("a", None);
        (a.host_network, a.addresses) = (true, Vec::new());
        let at_host = SocketAddr::new(ENGINE, 80);
        for mode in [ReachMode::Auto, ReachMode::Direct, ReachMode::Published] {
            let route = reach(mode, true, "Debian").route(&a, 80);
            assert_eq!(route, Route::Direct { addresses: vec![at_host], unproven: false });
        }
        let desktop = reach(ReachMode::Auto, true, "Docker Desktop");
        assert_eq!(desktop.route(&a, 80), Route::Published { address: at_host, doubtful: false });
    }

    #[test]
    fn a_forced_way_is_the_only_one() {
        let (with, without) = (target("with", Some(8080)), target("without", None));
        let forced = |mode: &str| reach(mode.parse().unwrap(), true, "Debian");
        assert_eq!(forced("direct").route(&with, 80), direct(false));
        assert_eq!(forced("published").route(&with, 80), published(8080, false));
        assert_eq!(forced("exec").route(&with, 80), Route::Inside);
        assert!(matches!(forced("published").route(&without, 80), Route::Nowhere(_)));
        let mut nowhere = without;
        nowhere.addresses.clear();
        assert!(matches!(forced("direct").route(&nowhere, 80), Route::Nowhere(_)));
        assert_eq!(auto().route(&nowhere, 80), Route::Inside);
        assert!("ssh".parse::<ReachMode>().is_err());
    }

    /// A probe goes out before the engine has shown the container it has just started.
    #[test]
    fn before_a_container_was_looked_at_no_way_is_ruled_out() {
        let mut fresh = target("fresh", None);
        fresh.started_at = None;
        assert_eq!(reach(ReachMode::Published, true, "Debian").route(&fresh, 80), Route::NotYet);
        assert_eq!(reach(ReachMode::Auto, true, "Docker Desktop").route(&fresh, 80), Route::NotYet);
        assert_eq!(reach(ReachMode::Exec, true, "Debian").route(&fresh, 80), Route::Inside);
        assert_eq!(auto().route(&fresh, 80), direct(true), "a fixed address is known from the beginning");
        fresh.addresses.clear();
        assert_eq!(reach(ReachMode::Direct, true, "Debian").route(&fresh, 80), Route::NotYet);
    }

    #[test]
    fn loopback_is_shared_with_a_virtual_machine_of_this_one() {
        let desktop = reach(ReachMode::Auto, false, "Docker Desktop");
        assert!(matches!(desktop.route(&target("a", Some(8080)), 80), Route::Published { .. }));
        let remote = reach(ReachMode::Auto, false, "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(remote.route(&target("a", Some(8080)), 80), Route::Inside);
    }
}
