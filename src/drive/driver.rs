//! The driver's state, and its one entry: [`Driver::step`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::explain::StallLook;
use super::finish::Ending;
use super::images::ImageState;
use super::input::{Call, Done, Effect, Feed, Input, Which};
use super::node::Node;
use super::objects::{NetworkState, VolumeState};
use super::pace::Budget;
use super::retry::Retry;
use super::supervise::Supervision;
use crate::cluster::{Cluster, PullPolicy};
use crate::engine::{EngineError, ErrorKind, Observed, Subnet};
use crate::event::{Event, EventKind, Outcome, Phase, Stamp};
use crate::names::{ComponentName, ContainerId, NetworkKey, VolumeKey};
use crate::plan::addresses::Addressing;

/// How a run is to be done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Identifier of the run.
    pub run: String,
    /// What was asked, for the record: `up`, `start`, `restart`.
    pub command: String,
    /// Wall clock at the beginning, RFC 3339.
    pub time: String,
    /// The same for reckoning: how long a container has been running that was found so. None: not reckoned.
    pub began: Option<jiff::Timestamp>,
    /// Limit for the whole run. None: 60 s without progress for images, then [`START_DEADLINE`].
    pub timeout: Option<Duration>,
    /// Start calls in flight at most.
    pub starts_in_flight: usize,
    /// Create calls in flight at most.
    pub creates_in_flight: usize,
    /// Probe attempts a second at most.
    pub probes_per_second: u32,
    /// Exec probes in flight at most.
    pub execs_in_flight: usize,
    /// Where ports without an address are published.
    pub publish_address: IpAddr,
    /// Where subnets are taken from.
    pub pool: Subnet,
    /// Time from start to ready in earlier runs: the longest go first.
    pub boot_times: BTreeMap<ComponentName, Duration>,
    /// Act on these components only; None: on all.
    pub only: Option<BTreeSet<ComponentName>>,
    /// Of the others those that don't run aren't waited for.
    pub without_others: bool,
    /// Make containers, and start none.
    pub only_make: bool,
    /// Build images that the file says how to build even if they are there.
    pub rebuild: bool,
    /// When images are pulled, whatever the file says.
    pub pull: Option<PullPolicy>,
    /// Replace all replicas of a service at once, rather than each when the one before is ready.
    pub replace_at_once: bool,
    /// Remove components that run in the cluster and that it doesn't have.
    pub remove_orphans: bool,
    /// The cluster was put together from labels: images aren't looked at, and nothing can be created.
    pub from_labels: bool,
    /// Go on after "ready", and bring back what is lost: see [`super::supervise`].
    pub supervise: bool,
    /// So often in a row a supervised component is brought back before it is given up.
    pub attempts: u32,
}

/// Time from the last image on until every component must be ready, unless `--timeout` says otherwise.
pub const START_DEADLINE: Duration = Duration::from_secs(300);
/// A pull or build that shows no progress for so long has failed.
pub const IMAGE_PATIENCE: Duration = Duration::from_secs(60);
/// An engine that can't be reached for so long ends the run.
pub const ENGINE_PATIENCE: Duration = Duration::from_secs(30);
/// An event stream that lasted so long was a good one: if it breaks, the next is asked for without delay.
const STREAM_LASTS: Duration = Duration::from_secs(5);
/// Everything is looked at anew so often, in case an event was lost.
pub const SLOW_TICK: Duration = Duration::from_secs(5);
/// After so long without any change of phase, who waits for whom is said; then after twice as long, and so on.
pub const STALL_AFTER: Duration = Duration::from_secs(10);

impl Default for Options {
    fn default() -> Self {
        Self {
            run: "run".into(),
            command: "up".into(),
            time: String::new(),
            began: None,
            timeout: None,
            starts_in_flight: 8,
            creates_in_flight: 16,
            probes_per_second: 200,
            execs_in_flight: 2,
            publish_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            pool: Subnet { base: Ipv4Addr::new(10, 231, 0, 0), prefix: 16 },
            boot_times: BTreeMap::new(),
            only: None,
            without_others: false,
            only_make: false,
            rebuild: false,
            pull: None,
            replace_at_once: false,
            remove_orphans: false,
            from_labels: false,
            supervise: false,
            attempts: super::recover::ATTEMPTS,
        }
    }
}

/// What is known of the run, and what follows from it.
#[derive(Debug)]
pub struct Driver {
    pub(super) cluster: Arc<Cluster>,
    pub(super) options: Options,
    pub(super) now: Duration,
    pub(super) nodes: BTreeMap<ComponentName, Node>,
    pub(super) images: BTreeMap<String, ImageState>,
    /// Failed attempts at an image.
    pub(super) image_retries: BTreeMap<String, Retry>,
    pub(super) networks: BTreeMap<NetworkKey, NetworkState>,
    pub(super) volumes: BTreeMap<VolumeKey, VolumeState>,
    pub(super) addressing: Option<Addressing>,
    pub(super) observed: Option<Observed>,
    /// When the present list was asked for; None: none is in flight.
    pub(super) observing: Option<ObserveInFlight>,
    pub(super) observe_again: bool,
    /// Not before this time is the next list asked for (after one that failed).
    pub(super) observe_after: Duration,
    /// Lists in a row that failed, and since when.
    pub(super) list_failures: Option<(Duration, u32)>,
    pub(super) last_observed: Duration,
    /// When the list in `observed` was asked for.
    pub(super) observed_asked: Duration,
    /// When the present event stream began.
    pub(super) subscribed: Option<Duration>,
    /// Event streams in a row that didn't last.
    pub(super) watch_failures: u32,
    /// When the engine last answered anything, and how many calls it has left without an answer since.
    pub(super) last_answer: Duration,
    pub(super) unanswered: u32,
    /// Addresses that turned out to be in use; addresses are handed out from a list asked for at this time or later.
    pub(super) refused_addresses: BTreeSet<Ipv4Addr>,
    pub(super) addressing_after: Duration,
    pub(super) budget: Budget,
    /// Exec probes in flight: of the present run or of one that ended.
    pub(super) execs: BTreeSet<(ComponentName, u64, Which)>,
    pub(super) surplus: BTreeMap<ContainerId, Surplus>,
    /// Ids of networks of a name that another has, being removed.
    pub(super) twins: BTreeSet<String>,
    /// When the list that confirms the verdict was asked for, and how long it took.
    pub(super) confirmed: Option<(Duration, Duration)>,
    pub(super) last_change: Duration,
    pub(super) stalls_said: u32,
    /// What is being read for the next word on a stall.
    pub(super) stall_look: Option<StallLook>,
    pub(super) images_ready_at: Option<Duration>,
    /// There in a supervised run.
    pub(super) supervision: Option<Supervision>,
    pub(super) ending: Option<Ending>,
    pub(super) is_over: bool,
    pub(super) wake: Option<Duration>,
    pub(super) out: Vec<Effect>,
}

/// A replica too many, on its way out.
#[derive(Debug, Default)]
pub(super) struct Surplus {
    /// The call is in flight.
    pub(super) busy: bool,
    pub(super) retry: Retry,
}

/// A list call in flight.
#[derive(Debug)]
pub(super) struct ObserveInFlight {
    /// When it was issued.
    pub(super) at: Duration,
    /// Epoch of every component when it was issued.
    pub(super) epochs: BTreeMap<ComponentName, u64>,
    /// Everything was settled when it was issued: it may confirm the verdict.
    pub(super) confirms: bool,
}

impl Driver {
    /// A driver that will bring `cluster` up.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, options: Options) -> Self {
        let nodes = cluster.components.iter().map(|(name, c)| (name.clone(), Node::new(c.clone()))).collect();
        let budget = Budget::new(options.probes_per_second, options.execs_in_flight);
        let supervision = options.supervise.then(Supervision::default);
        Self {
            cluster,
            options,
            supervision,
            now: Duration::ZERO,
            nodes,
            images: BTreeMap::new(),
            image_retries: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            addressing: None,
            observed: None,
            observing: None,
            observe_again: false,
            observe_after: Duration::ZERO,
            list_failures: None,
            last_observed: Duration::ZERO,
            observed_asked: Duration::ZERO,
            subscribed: None,
            watch_failures: 0,
            last_answer: Duration::ZERO,
            unanswered: 0,
            refused_addresses: BTreeSet::new(),
            addressing_after: Duration::ZERO,
            budget,
            execs: BTreeSet::new(),
            surplus: BTreeMap::new(),
            twins: BTreeSet::new(),
            confirmed: None,
            last_change: Duration::ZERO,
            stalls_said: 0,
            stall_look: None,
            images_ready_at: None,
            ending: None,
            is_over: false,
            wake: None,
            out: Vec::new(),
        }
    }

    /// Takes in what happened at `now` (since the run began) and says what to do. No clock, no I/O, no await.
    pub fn step(&mut self, now: Duration, input: Input) -> Vec<Effect> {
        if self.is_over {
            return Vec::new();
        }
        self.now = self.now.max(now);
        self.wake = None;
        self.take(input);
        if self.ending.is_none() {
            self.advance();
            self.give_back();
        }
        self.conclude();
        if let Some(at) = self.wake
            && !self.is_over
        {
            self.out.push(Effect::Wake(at));
        }
        std::mem::take(&mut self.out)
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Begin => self.begin(),
            Input::Tick => {}
            Input::Feed(feed) => self.take_feed(feed),
            Input::Done(done) => self.take_done(done),
            Input::Progress { image, progress } => self.take_progress(image, progress),
            Input::Answered { component, run, which, answer } => self.take_answer(&component, run, which, answer),
            Input::Order(order) => self.take_order(order),
            Input::Interrupt if self.is_supervised() => self.release("interrupted".into()),
            Input::Interrupt => self.end(Outcome::Interrupted),
        }
    }

    fn begin(&mut self) {
        let started = EventKind::RunStarted {
            run: self.options.run.clone(),
            cluster: self.cluster.name.clone(),
            command: self.options.command.clone(),
            time: self.options.time.clone(),
            components: self.nodes.keys().filter(|name| self.is_selected(name)).cloned().collect(),
        };
        self.emit(started);
        self.out.push(Effect::Watch { after: Duration::ZERO });
        self.find_images();
    }

    fn take_feed(&mut self, feed: Feed) {
        match feed {
            Feed::Subscribed => {
                self.subscribed = Some(self.now);
                self.engine_answered();
                self.observe_again = true;
            }
            Feed::Changed { id, .. } => {
                let node = self.nodes.values_mut().find(|node| node.container(&id).is_some());
                match node {
                    Some(node) => node.touch(),
                    // A container that isn't known yet: a create call's that is still in flight, or somebody's else.
                    None => self.touch_all_without_container(),
                }
            }
            Feed::Lost(error) => self.take_loss(error),
        }
    }

    /// The event stream broke. Whatever ran may have gone down with the engine; the list that follows the next
    /// subscription shows it.
    fn take_loss(&mut self, error: Option<EngineError>) {
        let lasted = self.subscribed.take().is_some_and(|since| self.now >= since + STREAM_LASTS);
        for node in self.nodes.values_mut() {
            node.epoch += 1;
            // One that isn't known to run may have been started by somebody else.
            node.outage |= !node.containers.is_empty() || node.busy;
        }
        if lasted {
            self.watch_failures = 0;
        }
        let pause = Duration::from_millis(50 << self.watch_failures.min(5));
        self.watch_failures += 1;
        self.out.push(Effect::Watch { after: pause });
        if let Some(error) = error {
            self.note_trouble(&error);
        }
    }

    fn touch_all_without_container(&mut self) {
        let unknown = self.nodes.values().any(|node| node.containers.is_empty() && !node.busy);
        if unknown && self.observed.is_some() {
            self.observe_again = true;
        }
    }

    fn take_done(&mut self, done: Done) {
        // Of a log or a hook only the text is told, not whether the engine answered: a stall asks for logs, and would
        // put off for ever that the engine is gone.
        let is_answer = !matches!(done, Done::LogTail(..) | Done::Hooked(..));
        let was_lost = |error: &EngineError| matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Timeout(_));
        if is_answer && !done.error().is_some_and(was_lost) {
            self.engine_answered();
        }
        match done {
            Done::Observed(result) => self.take_observed(result),
            Done::Inspected(name, id, result) => self.take_inspected(&name, &id, result),
            Done::Image(reference, result) => self.take_image(&reference, result),
            Done::NetworkCreated(key, result) => self.take_network(&key, result),
            Done::VolumeCreated(key, result) => self.take_volume(&key, result),
            Done::Created(name, result) => self.take_created(&name, result),
            Done::Started(name, id, result) => self.take_started(&name, &id, result),
            Done::Hooked(name, run, result) => self.take_hooked(&name, run, result),
            Done::Connected(name, id, result) => self.take_connected(&name, &id, result),
            Done::Changed(name, result) => self.take_changed(&name, result),
            Done::SurplusRemoved(id, result) => self.take_surplus_removed(&id, result),
            Done::TwinRemoved(id, result) => self.take_twin_removed(&id, result),
            Done::LogTail(name, lines) => self.take_log_tail(&name, lines),
        }
    }

    pub(super) fn emit(&mut self, kind: EventKind) {
        self.out.push(Effect::Emit(Event::new(Stamp(self.now), kind)));
    }

    pub(super) fn call(&mut self, call: Call) {
        self.out.push(Effect::Call(call));
    }

    /// Asks for a tick at `at`, unless an earlier one is asked for already.
    pub(super) fn wake_at(&mut self, at: Duration) {
        self.wake = Some(self.wake.map_or(at, |other| other.min(at)));
    }

    pub(super) fn is_selected(&self, name: &ComponentName) -> bool {
        self.options.only.as_ref().is_none_or(|only| only.contains(name))
    }

    /// Whether it matters how it is: it is to be acted on, or one that is waits for it.
    pub(super) fn is_watched(&self, name: &ComponentName) -> bool {
        self.is_selected(name) || self.selected().any(|(_, node)| node.peers().any(|peer| peer == name))
    }

    pub(super) fn selected(&self) -> impl Iterator<Item = (&ComponentName, &Node)> {
        self.nodes.iter().filter(|(name, _)| self.is_selected(name))
    }

    /// Puts a component into a phase, and says so if it is another.
    pub(super) fn enter(&mut self, name: &ComponentName, phase: Phase, reason: Option<String>) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        if node.phase == phase {
            return;
        }
        node.phase = phase;
        node.phase_since = self.now;
        self.last_change = self.now;
        self.stalls_said = 0;
        self.confirmed = None;
        if self.is_selected(name) {
            self.emit(EventKind::PhaseChanged { component: name.clone(), phase, reason });
        }
    }

    /// The components whose containers this run started, for the one who cleans up after a failure.
    #[must_use]
    pub fn started_here(&self) -> BTreeSet<ComponentName> {
        self.nodes.iter().filter(|(_, node)| node.started_here).map(|(name, _)| name.clone()).collect()
    }

    /// Those of them that still run, as far as known, or are about to run again: what is left to stop.
    #[must_use]
    pub fn running_here(&self) -> BTreeSet<ComponentName> {
        let is_up = |node: &Node| node.is_running || matches!(node.phase, Phase::Starting | Phase::Restarting);
        let started = self.nodes.iter().filter(|(_, node)| node.started_here);
        started.filter(|(_, node)| is_up(node)).map(|(name, _)| name.clone()).collect()
    }

    /// Each component's phase.
    #[must_use]
    pub fn phases(&self) -> BTreeMap<ComponentName, Phase> {
        self.nodes.iter().map(|(name, node)| (name.clone(), node.phase)).collect()
    }
}

impl Node {
    /// Notes that the container may have changed.
    pub(super) const fn touch(&mut self) {
        self.epoch += 1;
        self.dirty = true;
    }
}
