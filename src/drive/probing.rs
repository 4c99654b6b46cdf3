//! When each component is asked, and what its answers mean.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::driver::Driver;
use super::input::{Effect, Which};
use super::node::{Node, Readiness, Track};
use super::pace::Pace;
use crate::cluster::{Probe, ProbeAction};
use crate::engine::Status;
use crate::event::{EventKind, Phase};
use crate::names::ComponentName;
use crate::probe::{Answer, Target, Verdict};

/// A component without any probe is ready when it has run for so long without a restart.
pub(super) const RUNS_FOR: Duration = Duration::from_secs(1);
/// A run that lasts so long is a good one: the engine's own restart policy begins anew after it, too.
pub(super) const GOOD_RUN: Duration = Duration::from_secs(10);
/// A health check of the engine's that runs at least this often needs no help while others are still to be started.
const OFTEN: Duration = Duration::from_secs(2);
/// A supervised component that is ready is asked this often over the network.
pub(super) const ASKED_EVERY: Duration = Duration::from_secs(3);
/// An exec costs more; where there is a health check too, its interval counts.
pub(super) const EXEC_EVERY: Duration = Duration::from_secs(30);
/// A supervised component that is ready is unhealthy when its probe has failed for so long: one that fails once may have
/// met a busy moment.
const BLINK: Duration = Duration::from_secs(1);
/// A missing probe program may be installed by the entrypoint: so long it is waited for, unless the health check says.
const IMPOSSIBLE_PATIENCE: Duration = Duration::from_secs(30);

impl Driver {
    /// Asks every component that is due, within the budget.
    pub(super) fn advance_probes(&mut self) {
        // The longest overdue first: with a spent budget the last names would otherwise never get their turn.
        let mut names: Vec<_> = self.nodes.iter().map(|(name, node)| (node.next_ask(), name.clone())).collect();
        names.sort();
        let relies_on_engine = if self.starts_are_pending() { self.left_to_engine() } else { BTreeSet::new() };
        for (_, name) in names {
            let Some(node) = self.nodes.get(&name) else { continue };
            if !node.is_running || node.failure.is_some() || !self.is_watched(&name) {
                continue;
            }
            self.pass_by_running(&name);
            self.ask_again_in_time(&name);
            self.check_impossible(&name);
            self.ask_if_due(&name, Which::Live);
            if !relies_on_engine.contains(&name) {
                self.ask_if_due(&name, Which::Ready);
            }
        }
    }

    /// Whether a component is still to be started that no gate holds back.
    fn starts_are_pending(&self) -> bool {
        self.selected().any(|(name, node)| {
            node.phase < Phase::Started
                && node.failure.is_none()
                && node.early_exit.is_none()
                && self.gates_are_open(name)
        })
    }

    /// Those whose health check the engine itself runs often, and for which no gate waits: a check of our own would take
    /// CPU from the starts, and its answer can't end the run before the last of them anyway.
    fn left_to_engine(&self) -> BTreeSet<ComponentName> {
        let waiting = self.nodes.values().filter(|node| node.phase < Phase::Started);
        let mut awaited: BTreeSet<_> = waiting.flat_map(|node| &node.component.gates).map(|gate| &gate.on).collect();
        awaited.extend(self.nodes.values().filter_map(|node| node.early_exit.as_ref()).flat_map(|early| &early.peers));
        let often = |node: &Node| {
            let health = crate::plan::request::health_in_force(&node.component, node.image_health.as_ref());
            matches!(node.readiness(), Readiness::Health(_)) && health.is_some_and(|health| health.interval <= OFTEN)
        };
        let left = self.nodes.iter().filter(|(name, node)| often(node) && !awaited.contains(name));
        left.map(|(name, _)| name.clone()).collect()
    }

    fn pass_by_running(&mut self, name: &ComponentName) {
        let Some(node) = self.nodes.get(name) else { return };
        if node.readiness() != Readiness::Runs || node.phase.is_settled() || node.started_at.is_none() {
            return;
        }
        if node.engine_says() != Some(Status::Running) || node.component.completes {
            // A job is done when it has ended well, not while it runs.
            return;
        }
        if node.dirty || node.inspecting.is_some() {
            // Something happened to it: what is being looked at may be its end.
            return;
        }
        // One that was restarted has to last until the engine, too, calls it a good run.
        let restarted = node.policy_restarts > node.earlier_restarts;
        let due = node.running_since + if restarted { GOOD_RUN } else { RUNS_FOR.max(node.distrust()) };
        if self.now < due {
            self.wake_at(due);
        } else if node.wanted(Which::Live).is_none() || node.live.passed.is_some() {
            self.pass_ready(name);
        }
    }

    fn ask_if_due(&mut self, name: &ComponentName, which: Which) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        let Some(probe) = node.wanted(which) else { return };
        let Some(target) = node.target(&probe) else { return };
        let exec = matches!(probe.action, ProbeAction::Exec { .. });
        let running_since = node.running_since;
        let track = node.track(which);
        if track.asking {
            return;
        }
        let pace = track.pace.get_or_insert_with(|| {
            let mut pace = Pace::new(exec);
            pace.reset(running_since);
            pace
        });
        let due = pace.due();
        if now < due {
            return self.wake_at(due);
        }
        match self.budget.try_take(now, exec) {
            Ok(()) => self.ask(name, which, probe, target, exec),
            Err(Some(at)) => self.wake_at(at),
            Err(None) => {}
        }
    }

    fn ask(&mut self, name: &ComponentName, which: Which, probe: Probe, mut target: Target, exec: bool) {
        let now = self.now;
        if let Some(given) = self.addressing.as_ref().and_then(|a| a.addresses.get(name)) {
            let others = std::mem::take(&mut target.addresses);
            target.addresses = given.values().copied().map(IpAddr::V4).collect();
            target.addresses.extend(others);
            target.addresses.dedup();
        }
        let Some(node) = self.nodes.get_mut(name) else { return };
        let run = node.run;
        let track = node.track(which);
        track.asking = true;
        if let Some(pace) = &mut track.pace {
            pace.started(now);
        }
        if exec {
            self.execs.insert((name.clone(), run, which));
        }
        self.out.push(Effect::Ask { run, which, probe, target });
    }

    pub(super) fn take_answer(&mut self, name: &ComponentName, run: u64, which: Which, answer: Answer) {
        let now = self.now;
        if self.execs.remove(&(name.clone(), run, which)) {
            self.budget.exec_ended();
        }
        let Some(node) = self.nodes.get_mut(name) else { return };
        if node.run != run || !node.is_running {
            return;
        }
        let track = node.track(which);
        track.asking = false;
        if let Some(pace) = &mut track.pace {
            pace.answered(now, answer.took);
        }
        let verdict = answer.verdict;
        let text = answer.text.clone();
        // A probe that the end of the container cut short says less than the answer before it.
        if verdict != Verdict::EngineTrouble || track.last.is_none() {
            track.last = Some(answer);
        }
        track.connected |= matches!(verdict, Verdict::Pass | Verdict::Refuses);
        let is_news = verdict == Verdict::Impossible && track.impossible_since.is_none();
        match verdict {
            Verdict::Impossible => _ = track.impossible_since.get_or_insert(now),
            Verdict::EngineTrouble => node.touch(),
            _ => track.impossible_since = None,
        }
        if is_news && !node.said_impossible {
            node.said_impossible = true;
            self.emit(EventKind::Warning { message: format!("{name}: its probe can't be run: {text}") });
        }
        match (which, verdict) {
            (Which::Live, Verdict::Pass) => self.pass_live(name),
            (Which::Ready, Verdict::Pass) => self.pass_ready(name),
            (Which::Ready, Verdict::Refuses | Verdict::Unreachable | Verdict::Impossible) => {
                self.refuse_ready(name, verdict, text);
            }
            _ => {}
        }
    }

    fn pass_live(&mut self, name: &ComponentName) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.live.passed = Some(now);
        if node.phase < Phase::Live {
            self.enter(name, Phase::Live, None);
        }
        if self.nodes.get(name).is_some_and(|node| node.ready.passed.is_some()) {
            self.enter(name, Phase::Ready, None);
        }
    }

    /// Its readiness is proven; it is ready once it is live too.
    pub(super) fn pass_ready(&mut self, name: &ComponentName) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        if now < node.running_since + node.distrust() || node.hooks_due {
            // It is asked again, and believed later.
            return;
        }
        node.ready.passed = Some(now);
        node.ready.recheck = false;
        node.care.failing_since = None;
        let live = node.wanted(Which::Live).is_none();
        if node.phase < Phase::Live {
            if !live {
                return;
            }
            self.enter(name, Phase::Live, None);
        }
        self.enter(name, Phase::Ready, None);
    }

    fn refuse_ready(&mut self, name: &ComponentName, verdict: Verdict, text: String) {
        let (now, is_supervised) = (self.now, self.is_supervised());
        let Some(node) = self.nodes.get_mut(name) else { return };
        if node.phase == Phase::Ready {
            let since = *node.care.failing_since.get_or_insert(now);
            if is_supervised && now < since + BLINK {
                // It is asked again in a moment.
                return;
            }
            return self.unpass_ready(name, text);
        }
        // A connection that was accepted shows it live, unless it has a probe of its own for that.
        let speaks = matches!(&node.readiness(), Readiness::Probe(p) if matches!(p.action, ProbeAction::Http { .. }));
        let shows_live = verdict == Verdict::Refuses && speaks && node.component.probes.live.is_none();
        if shows_live && node.phase < Phase::Live {
            self.enter(name, Phase::Live, None);
        }
    }

    /// It was ready and isn't any more.
    pub(super) fn unpass_ready(&mut self, name: &ComponentName, reason: String) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.ready.passed = None;
        node.care.failing_since = None;
        if let Some(pace) = &mut node.ready.pace {
            pace.reset(now);
        }
        self.enter(name, Phase::Unhealthy, Some(reason));
    }

    /// A probe whose program has been missing for long enough has failed.
    fn check_impossible(&mut self, name: &ComponentName) {
        let Some(node) = self.nodes.get(name) else { return };
        let health = crate::plan::request::health_in_force(&node.component, node.image_health.as_ref());
        let patience = match (&node.component.probes.ready, health) {
            (None, Some(health)) => health.patience(),
            _ => IMPOSSIBLE_PATIENCE,
        };
        let Some(since) = node.live.impossible_since.or(node.ready.impossible_since) else { return };
        let due = since.max(node.running_since) + patience;
        if self.now < due {
            return self.wake_at(due);
        }
        let what = "its probe can't be run in its container".to_owned();
        let hint = "the probe's program isn't in the image: probe by http or tcp, or choose another program".to_owned();
        self.fail_component(name, what, Some(hint));
    }

    /// A supervised component that is ready is asked again now and then.
    fn ask_again_in_time(&mut self, name: &ComponentName) {
        let (now, is_supervised) = (self.now, self.is_supervised());
        let Some(node) = self.nodes.get_mut(name) else { return };
        if !is_supervised || node.phase != Phase::Ready || node.ready.recheck {
            return;
        }
        let (Some(every), Some(passed)) = (node.asked_every(), node.ready.passed) else { return };
        let due = passed + every;
        if now < due {
            return self.wake_at(due);
        }
        node.ready.recheck = true;
        if let Some(pace) = &mut node.ready.pace {
            pace.reset(now);
        }
    }

    /// Has every http and tcp probe that passed more than `age` ago asked again; true if none had to be.
    pub(super) fn refresh_probes(&mut self, age: Duration) -> bool {
        let now = self.now;
        let only = self.options.only.clone();
        let mut all_fresh = true;
        for (name, node) in &mut self.nodes {
            let selected = only.as_ref().is_none_or(|only| only.contains(name));
            if !selected || !node.is_running || !node.asks_the_network() {
                continue;
            }
            if node.ready.passed.is_none_or(|at| at + age < now) {
                all_fresh = false;
                if !node.ready.recheck {
                    node.ready.recheck = true;
                    if let Some(pace) = &mut node.ready.pace {
                        pace.reset(now);
                    }
                }
            }
        }
        all_fresh
    }
}

impl Node {
    /// How long a run has to last before a probe that passes says that it is ready. One that was ready before and
    /// ended soon after has to outlive that run first, twice over: in a crash loop, every run would be ready for a moment.
    fn distrust(&self) -> Duration {
        (self.short_lived * 2).min(GOOD_RUN)
    }

    /// When one of its probes is due next; the beginning of its run if none was asked yet.
    fn next_ask(&self) -> Duration {
        let due = |track: &Track| track.pace.as_ref().map_or(self.running_since, Pace::due);
        due(&self.live).min(due(&self.ready))
    }

    pub(super) const fn track(&mut self, which: Which) -> &mut Track {
        match which {
            Which::Live => &mut self.live,
            Which::Ready => &mut self.ready,
        }
    }

    /// The probe that has to be asked now, if any.
    fn wanted(&self, which: Which) -> Option<Probe> {
        match which {
            Which::Live => self.component.probes.live.clone().filter(|_| self.live.passed.is_none()),
            Which::Ready => match self.readiness() {
                Readiness::Probe(probe) if probe.action == ProbeAction::EngineHealth => None,
                Readiness::Probe(probe) | Readiness::Health(probe) => {
                    Some(probe).filter(|_| self.ready.passed.is_none() || self.ready.recheck)
                }
                Readiness::Runs => None,
            },
        }
    }

    /// How often it is asked once it is ready, in a supervised run. A health check is left to the engine, which runs it
    /// anyway; what stands in a log stays there.
    fn asked_every(&self) -> Option<Duration> {
        let Readiness::Probe(probe) = self.readiness() else { return None };
        let health = crate::plan::request::health_in_force(&self.component, self.image_health.as_ref());
        match probe.action {
            ProbeAction::Http { .. } | ProbeAction::Tcp { .. } => Some(ASKED_EVERY),
            ProbeAction::Exec { .. } => Some(health.map_or(EXEC_EVERY, |health| health.interval)),
            ProbeAction::Log { .. } | ProbeAction::EngineHealth => None,
        }
    }

    /// Whether its readiness is asked over the network, so that asking again costs next to nothing.
    fn asks_the_network(&self) -> bool {
        matches!(self.readiness(), Readiness::Probe(p) if matches!(p.action, ProbeAction::Http { .. } | ProbeAction::Tcp { .. }))
    }

    /// Whom to ask; None while too little is known of the container.
    fn target(&self, probe: &Probe) -> Option<Target> {
        let container =
            self.containers.iter().find(|c| c.state.status == Status::Running).or(self.containers.first())?;
        let inspected = self.started_at.is_some();
        let network_probe = matches!(probe.action, ProbeAction::Http { .. } | ProbeAction::Tcp { .. });
        let has_fixed_address = !self.component.spec.networks.is_empty() && network_probe;
        // An exec needs nothing but the container; a log probe needs the start time; the network needs addresses.
        if !inspected && !has_fixed_address && !matches!(probe.action, ProbeAction::Exec { .. }) {
            return None;
        }
        let addresses = container.networks.values().filter_map(|e| e.contact().or(e.fixed_address.map(IpAddr::V4)));
        let addresses = addresses.collect();
        Some(Target {
            component: self.component.name.clone(),
            container: container.id.clone(),
            addresses,
            published: container.ports.clone(),
            host_network: container.host_network,
            started_at: self.started_at,
        })
    }
}
