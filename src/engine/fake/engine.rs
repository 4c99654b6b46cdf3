//! The handle on a world: setting it up, driving it, reading what happened.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::behaviour::{Behaviour, Program};
use super::clock::timestamp;
use super::container::{Attachment, Container};
use super::faults::Faults;
use super::journal::{Call, Change};
use super::latency::Latency;
use super::objects::plain_image;
use super::world::{Image, World};
use crate::cluster::{PortBinding, Protocol};
use crate::engine::{EngineInfo, ImageInfo, ObservedContainer, Status, Subnet, labels};
use crate::names::ContainerId;

/// An engine that exists in memory only. Clones share one world.
///
/// Time is tokio's, so that a test under a paused clock takes no time. The world begins with the first call; it goes on
/// whenever somebody looks at it, and what happened in between happened at its own moment.
#[derive(Clone)]
pub struct FakeEngine {
    shared: Arc<Shared>,
}

struct Shared {
    world: Mutex<World>,
    changed: Notify,
}

impl std::fmt::Debug for FakeEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeEngine")
    }
}

/// What a connection to a container meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nobody has the address.
    NoRoute,
    /// Nobody listens.
    Refused,
    /// The connection is accepted and nothing follows.
    Hangs,
    /// It answers, and isn't ready.
    Live,
    /// It answers, and is ready.
    Ready,
}

// === Setting up ===

impl FakeEngine {
    /// An engine without images or containers. Everything random comes from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { shared: Arc::new(Shared { world: Mutex::new(World::new(seed)), changed: Notify::new() }) }
    }

    /// The engine has this image.
    #[must_use]
    pub fn with_image(self, reference: &str) -> Self {
        self.with_image_info(reference, plain_image(reference))
    }

    /// The engine has this image, with its own health check, volumes and ports.
    #[must_use]
    pub fn with_image_info(self, reference: &str, info: ImageInfo) -> Self {
        self.set(|world| world.images.insert(reference.to_owned(), Image::Present(info)))
    }

    /// A registry has this image; pulling it takes this long.
    #[must_use]
    pub fn with_pullable(self, reference: &str, takes: Duration) -> Self {
        let info = plain_image(reference);
        self.set(|world| world.images.insert(reference.to_owned(), Image::Pullable(takes, info)))
    }

    /// The engine has this image, whose program reads its behaviour from its arguments.
    #[must_use]
    pub fn with_program(self, reference: &str, program: Program) -> Self {
        self.with_image(reference).set(|world| world.programs.insert(reference.to_owned(), program))
    }

    /// Building this tag fails with this text. Builds of other tags succeed.
    #[must_use]
    pub fn with_failing_build(self, tag: &str, text: &str) -> Self {
        self.set(|world| world.builds_that_fail.insert(tag.to_owned(), text.to_owned()))
    }

    /// How the component (or every container of the image) of this name behaves.
    #[must_use]
    pub fn behave(self, component_or_image: &str, behaviour: Behaviour) -> Self {
        self.set(|world| world.behaviours.insert(component_or_image.to_owned(), behaviour))
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(self, faults: Faults) -> Self {
        self.set(|world| {
            world.faults = faults;
            world.plan_engine_restart();
        })
    }

    /// How long calls take.
    #[must_use]
    pub fn latency(self, latency: Latency) -> Self {
        self.set(|world| world.latency = latency)
    }

    /// What the engine says of itself.
    #[must_use]
    pub fn with_info(self, info: EngineInfo) -> Self {
        self.set(|world| world.info = info)
    }

    /// Two networks can't share a name, as in newer engines.
    #[must_use]
    pub fn unique_network_names(self) -> Self {
        self.set(|world| world.unique_network_names = true)
    }

    /// A process of the host listens on this port.
    #[must_use]
    pub fn with_busy_port(self, port: u16) -> Self {
        self.set(|world| world.busy_ports.insert(port))
    }

    /// The host has a route to this subnet.
    #[must_use]
    pub fn with_route(self, subnet: Subnet) -> Self {
        self.set(|world| world.routes.push(subnet))
    }

    /// Somebody else's running container, with its Compose project and the host ports that it publishes.
    #[must_use]
    pub fn with_foreign(self, name: &str, project: Option<&str>, host_ports: &[u16]) -> Self {
        self.set(|world| world.add_foreign(name, project, host_ports))
    }

    /// Somebody else's volume.
    #[must_use]
    pub fn with_foreign_volume(self, name: &str) -> Self {
        self.set(|world| world.volumes.entry(name.to_owned()).or_default().anonymous = false)
    }

    pub(super) fn set<T>(self, change: impl FnOnce(&mut World) -> T) -> Self {
        let _ = change(&mut self.shared.world.lock().unwrap_or_else(PoisonError::into_inner));
        self
    }
}

// === Driving ===

impl FakeEngine {
    /// Changes a behaviour while the world runs; what the present run has planned already stays.
    pub fn set_behaviour(&self, component_or_image: &str, behaviour: Behaviour) {
        self.with(|world| {
            world.behaviours.insert(component_or_image.to_owned(), behaviour);
            world.progress();
        });
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.with(|world| world.faults = faults);
    }

    /// The component's process ends with this code, in every cluster that has it. False: none was running.
    pub fn crash(&self, component: &str, code: i64) -> bool {
        self.end(component, code, false)
    }

    /// The kernel ends the component's process for lack of memory. False: none was running.
    pub fn run_out_of_memory(&self, component: &str) -> bool {
        self.end(component, 137, true)
    }

    fn end(&self, component: &str, code: i64, oom: bool) -> bool {
        self.with(|world| {
            let hit = world.running(component);
            for (id, run) in &hit {
                world.end_run(id, *run, code, oom);
            }
            !hit.is_empty()
        })
    }

    /// Makes a running component ready or unready, until it changes by its own script.
    pub fn set_ready(&self, component: &str, ready: bool) {
        self.with(|world| {
            for (id, run) in world.running(component) {
                if let Some(container) = world.in_run(&id, run) {
                    container.ready = ready;
                    container.was_ready = true;
                    container.live |= ready;
                    world.dirty = true;
                }
            }
        });
    }

    /// The component prints a line.
    pub fn print(&self, component: &str, text: &str) {
        self.with(|world| {
            for (id, run) in world.running(component) {
                world.print(&id, run, crate::engine::LogSource::Out, text);
            }
        });
    }

    /// A network goes on counting a container that is gone, as 20.10 does after many removals at once.
    pub fn leave_behind(&self, network: &str, container: &str) {
        self.with(|world| world.leave_behind(network, container));
    }

    /// A network's endpoints are counted wrong, as 20.10 does at times when many containers start at once.
    pub fn miscount(&self, network: &str) {
        self.with(|world| world.miscount(network));
    }

    /// Breaks every event stream.
    pub fn break_events(&self) {
        self.with(World::break_streams);
    }

    /// The engine restarts: connections break, calls fail for this long, containers end with 137 and come back only
    /// if their policy says so.
    pub fn restart(&self, downtime: Duration) {
        self.with(|world| world.restart_engine(downtime));
    }

    /// Calls made within this time from now get no answer.
    pub fn fall_silent(&self, duration: Duration) {
        self.with(|world| world.silent_until = world.now.saturating_add(duration));
    }
}

// === Reading ===

impl FakeEngine {
    /// Every call so far, in the order they were made.
    #[must_use]
    pub fn journal(&self) -> Vec<Call> {
        self.with(|world| world.calls.clone())
    }

    /// Calls so far that would change something.
    #[must_use]
    pub fn changing_calls(&self) -> Vec<Call> {
        self.with(|world| world.calls.iter().filter(|call| call.op.changes()).cloned().collect())
    }

    /// Every change of a container so far, whether an event told it or not.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.with(|world| world.changes.clone())
    }

    /// Promises that were broken: something foreign was changed, or two containers ran for one component.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.with(|world| world.violations.clone())
    }

    /// Every container with a component label, as it is now, without a call.
    #[must_use]
    pub fn containers(&self) -> Vec<ObservedContainer> {
        self.with(|world| world.containers.values().filter_map(Container::observed).collect())
    }

    /// Names of all networks but the engine's own three, and of all volumes: for leak checks.
    #[must_use]
    pub fn networks_and_volumes(&self) -> (Vec<String>, Vec<String>) {
        self.with(|world| {
            let own = ["bridge", "host", "none"];
            let names = world.networks.values().map(|network| network.name.clone());
            let mut networks: Vec<String> = names.filter(|name| !own.contains(&name.as_str())).collect();
            networks.sort_unstable();
            (networks, world.volumes.keys().cloned().collect())
        })
    }

    /// Whether every running component with this name is ready by its own script; false if none runs.
    #[must_use]
    pub fn is_ready(&self, component: &str) -> bool {
        self.with(|world| {
            let running = world.running(component);
            !running.is_empty() && running.iter().all(|(id, run)| world.in_run(id, *run).is_some_and(|at| at.ready))
        })
    }

    /// What a connection to a container meets. It is reached at an address that it has now, or some `other_way` (a
    /// published port, the host's network); `path` is what an HTTP request asks for.
    #[must_use]
    pub fn reach(&self, id: &ContainerId, addresses: &[IpAddr], other_way: bool, path: &str) -> Reach {
        self.with(|world| {
            let Some(container) = world.containers.get(id).filter(|at| at.runs() || at.status == Status::Paused) else {
                return Reach::NoRoute;
            };
            let has = |at: &Attachment| at.address.is_some_and(|address| addresses.contains(&address.into()));
            if !other_way && !container.endpoints.iter().any(has) {
                return Reach::NoRoute;
            }
            if container.status == Status::Paused {
                return Reach::Hangs;
            }
            let behaviour = world.behaviour_of(container);
            let asks_live = behaviour.live_paths.iter().any(|live| path.starts_with(live.as_str()));
            match (container.live, behaviour.hangs_probes) {
                (false, _) => Reach::Refused,
                (true, true) => Reach::Hangs,
                (true, false) if container.ready || asks_live => Reach::Ready,
                (true, false) => Reach::Live,
            }
        })
    }

    /// What the engine says of itself, without a call.
    #[must_use]
    pub fn known_info(&self) -> EngineInfo {
        self.with(|world| world.info.clone())
    }

    /// The time since the world began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.with(|world| world.now)
    }

    /// The engine's wall clock.
    #[must_use]
    pub fn wall_clock(&self) -> Timestamp {
        timestamp(self.now())
    }
}

// === The world behind the handle ===

impl FakeEngine {
    /// Looks at the world as it is now, and wakes those who wait if something changed.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.shared.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.catch_up(Instant::now());
        let seen = look(&mut world);
        let dirty = world.take_dirty();
        drop(world);
        if dirty {
            self.shared.changed.notify_waiters();
        }
        seen
    }

    /// Waits until `check` gives something. It must not change the world unless it does.
    pub(super) async fn until<T>(&self, mut check: impl FnMut(&mut World) -> Option<T> + Send) -> T {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            let (seen, next) = self.with(|world| (check(world), world.next_wake()));
            if let Some(seen) = seen {
                return seen;
            }
            match next {
                // Biased: the default order is random, and a seed must give one run.
                Some(at) => tokio::select! { biased; () = changed => {}, () = sleep_until(at) => {} },
                None => changed.await,
            }
        }
    }
}

impl World {
    /// Running containers of a component, with their runs.
    pub(super) fn running(&self, component: &str) -> Vec<(ContainerId, u64)> {
        let is = |labels: &BTreeMap<String, String>| labels.get(labels::COMPONENT).is_some_and(|at| at == component);
        let running = self.containers.values().filter(|container| container.runs() && is(&container.labels));
        running.map(|container| (container.id.clone(), container.run)).collect()
    }

    fn add_foreign(&mut self, name: &str, project: Option<&str>, host_ports: &[u16]) {
        let Ok(id) = ContainerId::new(self.ids_rng.id()) else { return };
        let mut container = self.blank(id.clone(), name, "foreign");
        if let Some(project) = project {
            container.labels.insert(labels::COMPOSE_PROJECT.to_owned(), project.to_owned());
        }
        container.status = Status::Running;
        container.started_at = Some(self.now);
        container.bound = host_ports
            .iter()
            .map(|port| PortBinding {
                host_ip: Some(std::net::Ipv4Addr::UNSPECIFIED.into()),
                host_port: Some(*port),
                container_port: *port,
                protocol: Protocol::Tcp,
            })
            .collect();
        self.containers.insert(id, container);
    }
}
