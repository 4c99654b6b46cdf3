//! The world's state and its clock. How containers live is in `lifecycle.rs`, what calls do in `create.rs`,
//! `objects.rs` and `calls.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use super::behaviour::{Behaviour, Program};
use super::calls::Subject;
use super::container::Container;
use super::execs::Exec;
use super::faults::Faults;
use super::journal::{Call, Change, Op, Outcome};
use super::latency::Latency;
use super::network::FakeNetwork;
use super::rng::Rng;
use super::subscribers::Subscriber;
use crate::engine::{EngineInfo, ErrorKind, ImageInfo, Subnet, labels};
use crate::names::ContainerId;

/// Something that happens at a moment.
type Action = Box<dyn FnOnce(&mut World) + Send>;

/// Why a call failed: its class and the engine's text.
pub(super) type Trouble = (ErrorKind, String);

/// Where an image is.
#[derive(Debug, Clone)]
pub(super) enum Image {
    /// The engine has it.
    Present(ImageInfo),
    /// A pull gets it within this time.
    Pullable(Duration, ImageInfo),
}

/// A volume of the engine.
#[derive(Debug, Clone, Default)]
pub(super) struct FakeVolume {
    pub(super) labels: BTreeMap<String, String>,
    /// Made for a container, without a name.
    pub(super) anonymous: bool,
}

/// Everything there is.
pub(super) struct World {
    pub(super) now: Duration,
    origin: Option<Instant>,
    timers: BTreeMap<(Duration, u64), Action>,
    next_timer: u64,
    /// Something changed that a waiter may look for.
    pub(super) dirty: bool,
    pub(super) info: EngineInfo,
    pub(super) latency: Latency,
    pub(super) faults: Faults,
    pub(super) calls_rng: Rng,
    pub(super) events_rng: Rng,
    pub(super) chaos_rng: Rng,
    pub(super) ids_rng: Rng,
    pub(super) drops_rng: Rng,
    pub(super) behaviours: BTreeMap<String, Behaviour>,
    pub(super) programs: BTreeMap<String, Program>,
    pub(super) images: BTreeMap<String, Image>,
    pub(super) builds_that_fail: BTreeMap<String, String>,
    pub(super) build_takes: Duration,
    pub(super) containers: BTreeMap<ContainerId, Container>,
    pub(super) networks: BTreeMap<String, FakeNetwork>,
    pub(super) unique_network_names: bool,
    pub(super) volumes: BTreeMap<String, FakeVolume>,
    pub(super) routes: Vec<Subnet>,
    pub(super) busy_ports: BTreeSet<u16>,
    /// How often a component was started, by cluster and component.
    pub(super) starts: BTreeMap<(String, String), u64>,
    pub(super) runs: u64,
    pub(super) execs: Vec<Exec>,
    /// When the engine is done with the starts it has: they go one after another if `latency.serial_start` is set.
    pub(super) starts_done: Duration,
    pub(super) subscribers: BTreeMap<u64, Subscriber>,
    pub(super) next_subscriber: u64,
    /// Connections of an earlier epoch are broken.
    pub(super) epoch: u64,
    pub(super) up: bool,
    /// Calls made until then get no answer.
    pub(super) silent_until: Duration,
    pub(super) calls: Vec<Call>,
    /// Those of them that were dropped and never reach the engine.
    pub(super) lost: BTreeSet<usize>,
    pub(super) changes: Vec<Change>,
    pub(super) violations: Vec<String>,
}

impl World {
    /// An empty world.
    pub(super) fn new(seed: u64) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            origin: None,
            timers: BTreeMap::new(),
            next_timer: 0,
            dirty: false,
            info: super::latency::engine_info(),
            latency: Latency::default(),
            faults: Faults::none(),
            calls_rng: Rng::new(seed, 1),
            events_rng: Rng::new(seed, 2),
            chaos_rng: Rng::new(seed, 3),
            ids_rng: Rng::new(seed, 4),
            drops_rng: Rng::new(seed, 5),
            behaviours: BTreeMap::new(),
            programs: BTreeMap::new(),
            images: BTreeMap::new(),
            builds_that_fail: BTreeMap::new(),
            build_takes: Duration::from_millis(500),
            containers: BTreeMap::new(),
            networks: BTreeMap::new(),
            unique_network_names: false,
            volumes: BTreeMap::new(),
            routes: Vec::new(),
            busy_ports: BTreeSet::new(),
            starts: BTreeMap::new(),
            runs: 0,
            execs: Vec::new(),
            starts_done: Duration::ZERO,
            subscribers: BTreeMap::new(),
            next_subscriber: 0,
            epoch: 0,
            up: true,
            silent_until: Duration::ZERO,
            calls: Vec::new(),
            lost: BTreeSet::new(),
            changes: Vec::new(),
            violations: Vec::new(),
        };
        world.add_default_networks();
        world
    }

    /// Lets everything happen that is due by `clock`. The first call is the world's beginning.
    pub(super) fn catch_up(&mut self, clock: Instant) {
        let origin = *self.origin.get_or_insert(clock);
        let to = clock.saturating_duration_since(origin);
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > to {
                break;
            }
            let ((at, _), action) = entry.remove_entry();
            self.now = self.now.max(at);
            self.dirty = true;
            action(self);
        }
        self.now = self.now.max(to);
    }

    /// When the next thing happens by itself.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let (at, _) = self.timers.keys().next()?;
        Some(self.origin? + *at)
    }

    /// Lets `action` happen after `delay`.
    pub(super) fn after(&mut self, delay: Duration, action: impl FnOnce(&mut Self) + Send + 'static) {
        let key = (self.now.saturating_add(delay), self.next_timer);
        self.next_timer += 1;
        self.timers.insert(key, Box::new(action));
        // Waiters sleep until what was the next moment when they looked.
        self.dirty = true;
    }

    /// Says that something changed, and whether it did since the last time.
    pub(super) fn take_dirty(&mut self) -> bool {
        mem::take(&mut self.dirty)
    }

    /// A container that a call is about.
    pub(super) fn container(&mut self, id: &ContainerId) -> Result<&mut Container, Trouble> {
        self.containers.get_mut(id).ok_or_else(|| (ErrorKind::NotFound, format!("No such container: {}", id.short())))
    }

    /// The same, if it is still in the run that a timer was made for.
    pub(super) fn in_run(&mut self, id: &ContainerId, run: u64) -> Option<&mut Container> {
        self.containers.get_mut(id).filter(|container| container.run == run && container.runs())
    }

    /// The behaviour for a container: its component's, else its image's, else the default.
    pub(super) fn behaviour_of(&self, container: &Container) -> Behaviour {
        let component = container.labels.get(labels::COMPONENT);
        let by_name = component.and_then(|name| self.behaviours.get(name));
        if let Some(behaviour) = by_name.or_else(|| self.behaviours.get(&container.image)) {
            return behaviour.clone();
        }
        let (Some(program), Some(request)) = (self.programs.get(&container.image), &container.request) else {
            return Behaviour::default();
        };
        let words = [&request.spec.entrypoint, &request.spec.command];
        let words: Vec<String> = words.into_iter().flatten().flatten().cloned().collect();
        (program.run)(&words)
    }

    /// Opens an entry of the journal.
    pub(super) fn open_call(&mut self, subject: &Subject<'_>) -> usize {
        let container = subject.container.and_then(|id| self.containers.get(id));
        self.calls.push(Call {
            op: subject.op,
            at: self.now,
            ended: None,
            effect: None,
            component: subject.component.cloned().or_else(|| container.and_then(Container::component)),
            container: subject.container.cloned(),
            name: container.map_or_else(|| subject.name.to_owned(), |container| container.name.clone()),
            outcome: Outcome::Open,
        });
        self.calls.len() - 1
    }

    /// Tells the journal which container a create made, whether its caller learns of it or not.
    pub(super) fn note_created(&mut self, name: &str, id: &ContainerId) {
        let made = |call: &&mut Call| call.op == Op::Create && call.name == name && call.container.is_none();
        if let Some(call) = self.calls.iter_mut().rev().find(made) {
            call.container = Some(id.clone());
        }
    }

    /// Closes an entry of the journal; later closings don't count.
    pub(super) fn close_call(&mut self, entry: usize, outcome: Outcome) {
        let now = self.now;
        if let Some(call) = self.calls.get_mut(entry).filter(|call| call.ended.is_none()) {
            call.ended = Some(now);
            call.outcome = outcome;
        }
    }

    /// The caller of a call is gone, which the engine may or may not have heard of by then.
    pub(super) fn drop_call(&mut self, entry: usize) {
        let is_open = self.calls.get(entry).is_some_and(|call| call.ended.is_none());
        if is_open {
            self.close_call(entry, Outcome::Dropped);
            if self.draw_lost_request() {
                self.lost.insert(entry);
            }
        }
    }

    /// Records that a call is about to change an object; one without our label is a broken promise.
    pub(super) fn check_ours(&mut self, what: &str, name: &str, labels: &BTreeMap<String, String>) {
        if !labels.contains_key(labels::CLUSTER) {
            self.violations.push(format!("{:?}: {what} {name}, which isn't convoke's", self.now));
        }
    }
}
