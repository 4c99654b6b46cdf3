//! A random cluster, how its components behave, and what goes wrong.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::coverage::Coverage;
use super::dice::Dice;
use super::more;
use crate::cluster::{Cluster, Component, GateCondition, Probe, ProbeAction, RestartPolicy, StartMode};
use crate::drive::driver::Options;
use crate::drive::tests::harness::*;
use crate::engine::fake::{Behaviour, FakeEngine, Faults, Latency, Meddling};
use crate::names::ComponentName;

/// Which scenarios a number stands for: seeds that found something are kept with the edition that they found it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seed {
    pub(super) number: u64,
    /// The first had no company: see [`Company`], nor anything else that `more.rs` draws; the third has more of it.
    pub(super) edition: u8,
}

/// The present edition.
pub(super) const EDITION: u8 = 4;

/// What is played.
pub(super) struct Scenario {
    pub(super) seed: Seed,
    pub(super) cluster: Cluster,
    pub(super) engine: FakeEngine,
    pub(super) options: Options,
    /// A run may fail while faults last: components crash by themselves, somebody stops them, or the engine says that
    /// things are gone which aren't.
    pub(super) may_fail: bool,
    /// Calls may take effect long after they were given up.
    pub(super) late_effects: bool,
    /// Faults end here.
    pub(super) until: Duration,
    /// Some component can't become ready, ever.
    pub(super) doomed: BTreeSet<String>,
    /// Convoke is killed after these times, one after another.
    pub(super) cuts: Vec<Duration>,
    /// Then it is killed after so many inputs, one run after another.
    pub(super) deaths: Vec<u64>,
    /// After these times, one after another, somebody else removes a container.
    pub(super) vandalism: Vec<Duration>,
    /// What somebody else does, each so long after the last.
    pub(super) meddling: Vec<(Duration, ComponentName, Meddling)>,
    /// Another convoke at the same time.
    pub(super) company: Option<(Duration, Company)>,
    /// Between two runs the configuration of these changes.
    pub(super) changes: Vec<String>,
    /// Between two runs these are taken out of the file.
    pub(super) replicas: Vec<ComponentName>,
    /// Those that were taken out, and are left alone.
    pub(super) orphans: BTreeSet<ComponentName>,
    /// Ready and unready by turns.
    pub(super) flapping: BTreeSet<ComponentName>,
    /// They are well again when faults end.
    pub(super) recovering: Vec<(ComponentName, Behaviour)>,
    /// What isn't of this cluster.
    pub(super) strangers: Vec<String>,
    /// Inputs of the present run since faults ended.
    pub(super) calm_steps: Cell<u64>,
    pub(super) coverage: RefCell<Coverage>,
}

/// Another convoke at the same cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Up,
    Down,
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.edition {
            EDITION => write!(f, "{}", self.number),
            edition => write!(f, "{}@{edition}", self.number),
        }
    }
}

impl fmt::Display for Scenario {
    /// Which it is, and what goes wrong in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let components: Vec<String> = self.cluster.components.keys().map(ToString::to_string).collect();
        write!(f, "seed {} ({}; faults until {:?}", self.seed, components.join(" "), self.until)?;
        write!(f, "; killed at {:?} and after {:?} inputs", self.cuts, self.deaths)?;
        write!(f, "; meddling {:?}; company {:?}; doomed {:?})", self.meddling, self.company, self.doomed)
    }
}

impl Scenario {
    /// The scenario and a run's story, for a failed assertion.
    pub(super) fn tell(&self, ran: &Ran) -> String {
        format!("{self}\n{}", ran.story())
    }

    pub(super) fn is_job(&self, name: &ComponentName) -> bool {
        self.cluster.components.get(name).is_some_and(|component| component.completes)
    }

    /// Whether convoke is killed somewhere in it.
    pub(super) fn has_died(&self) -> bool {
        !self.cuts.is_empty() || !self.deaths.is_empty()
    }
}

pub(super) fn draw(seed: Seed) -> Scenario {
    let mut dice = Dice::new(seed.number);
    let count = dice.from(1, 8);
    let mut components: Vec<Component> = Vec::new();
    let mut behaviours: Vec<Behaviour> = Vec::new();
    let mut doomed = BTreeSet::new();
    for n in 0..count {
        let (component, behaviour, is_doomed) = draw_component(&mut dice, n);
        if is_doomed {
            doomed.insert(component.name.to_string());
        }
        components.push(component);
        behaviours.push(behaviour);
    }
    draw_gates(&mut dice, &mut components);
    draw_cycle(&mut dice, &mut components, &mut behaviours);
    let until = Duration::from_millis(dice.from(0, 25_000));
    let faults = draw_faults(&mut dice);
    let may_fail = faults.crash.is_some();
    let late_effects = faults.timeout > 0.0 && !until.is_zero();
    let mut engine = engine(seed.number).with_pullable("far", dice.ms(4000)).with_foreign("theirs", None, &[]);
    if dice.percent(30) {
        engine = engine.latency(Latency { serial_start: Some(ms(150)), ..Latency::default() });
    }
    // One that can't be ready need not take the full five minutes to be called late.
    let timeout = (!doomed.is_empty()).then(|| secs(60));
    let options = Options { timeout, ..draw_options(&mut dice, &components) };
    let cuts = if dice.percent(40) { (0..dice.from(1, 4)).map(|_| dice.ms(3000)).collect() } else { vec![] };
    let vandalism = if dice.percent(20) { (0..dice.from(1, 3)).map(|_| dice.ms(4000)).collect() } else { vec![] };
    let changes = components.iter().map(|c| c.name.to_string()).filter(|_| dice.percent(8)).collect();
    let together = dice.percent(15);
    let mut scene = Scenario {
        seed,
        cluster: cluster(components.clone()),
        engine,
        options,
        may_fail,
        late_effects,
        until,
        doomed,
        cuts,
        deaths: vec![],
        vandalism,
        meddling: vec![],
        company: None,
        changes,
        replicas: vec![],
        orphans: BTreeSet::new(),
        flapping: BTreeSet::new(),
        recovering: vec![],
        strangers: vec![],
        calm_steps: Cell::new(0),
        coverage: RefCell::default(),
    };
    let mut behaviours: BTreeMap<ComponentName, Behaviour> =
        components.iter().map(|component| component.name.clone()).zip(behaviours).collect();
    let mut faults = faults.until(until);
    if seed.edition > 1 {
        more::draw(&mut Dice::new(seed.number ^ 0x5EED_0002), &mut scene, &mut behaviours, &mut faults);
    }
    if seed.edition > 2 {
        more::draw_third(&mut Dice::new(seed.number ^ 0x5EED_0003), &mut scene, &mut behaviours);
    }
    if seed.edition > 3 {
        more::draw_fourth(&mut Dice::new(seed.number ^ 0x5EED_0004), &mut scene);
    }
    for (name, behaviour) in behaviours {
        scene.engine = scene.engine.behave(name.as_str(), behaviour);
    }
    scene.engine = scene.engine.faults(faults);
    if together {
        scene.cluster.start = StartMode::Together;
        scene.cluster.components.values_mut().for_each(|component| component.restarts_early_exit = true);
    }
    scene.strangers = scene.engine.strangers("test");
    scene
}

fn draw_faults(dice: &mut Dice) -> Faults {
    match dice.from(0, 6) {
        0 => Faults::none(),
        1 => Faults::some(),
        2 => Faults::many(),
        3 => Faults { crash: None, ..Faults::many() },
        4 => Faults { crash: None, engine_restart: None, ..Faults::many() },
        5 => Faults { call_failure: 0.1, lost_reply: 0.3, event_loss: 0.3, ..Faults::none() },
        _ => Faults { engine_restart: Some(secs(8)), ..Faults::some() },
    }
}

fn draw_options(dice: &mut Dice, components: &[Component]) -> Options {
    Options {
        starts_in_flight: usize::try_from(dice.from(1, 8)).unwrap(),
        creates_in_flight: usize::try_from(dice.from(1, 16)).unwrap(),
        execs_in_flight: usize::try_from(dice.from(1, 3)).unwrap(),
        boot_times: components.iter().filter(|_| dice.percent(50)).map(|c| (c.name.clone(), ms(500))).collect(),
        ..Options::default()
    }
}

fn draw_component(dice: &mut Dice, n: u64) -> (Component, Behaviour, bool) {
    let name = format!("c{n}");
    if dice.percent(15) {
        let mut job = plain(&name);
        job.completes = true;
        let doomed = dice.percent(8);
        return (job, Behaviour::exits(dice.ms(2000), i64::from(doomed)), doomed);
    }
    let live = dice.ms(1000);
    let ready = live + dice.ms(3000);
    let mut behaviour = Behaviour::ready_after(ready).live_after(live).exec_takes(ms(1) + dice.ms(300));
    let mut component = draw_probe(dice, &name, &mut behaviour, ready);
    component.spec.restart = match dice.from(0, 9) {
        0 | 1 => RestartPolicy::Always,
        2 => RestartPolicy::UnlessStopped,
        3 => RestartPolicy::OnFailure { max_retries: 0 },
        _ => RestartPolicy::No,
    };
    if dice.percent(10) {
        component.image = "far".into();
    }
    if dice.percent(12) && component.spec.restart != RestartPolicy::No {
        behaviour = behaviour.crashes_first(dice.from(1, 3), dice.ms(1500), 1);
    }
    // Without a probe, running is all that is asked.
    let is_probed = component.probes.ready.is_some() || component.probes.health.is_some();
    let is_doomed = is_probed && dice.percent(4);
    if is_doomed {
        let never = Behaviour { ready_after: None, live_after: Duration::MAX / 4, log: vec![], ..behaviour.clone() };
        behaviour = match dice.from(0, 2) {
            0 => never,
            1 => behaviour.missing_command(),
            _ => never.exiting(dice.ms(3000), 3),
        };
    }
    (component, behaviour, is_doomed)
}

fn draw_probe(dice: &mut Dice, name: &str, behaviour: &mut Behaviour, ready: Duration) -> Component {
    let with = |action| {
        let mut component = plain(name);
        component.probes.ready = Some(Probe { action, timeout: secs(1) });
        component
    };
    let mut component = match dice.from(0, 11) {
        0..=4 => http(name),
        5 => with(ProbeAction::Tcp { port: 80 }),
        6 | 7 => with(ProbeAction::Exec { command: vec!["check".into()] }),
        8 | 9 => checked(name),
        10 => {
            *behaviour = behaviour.clone().prints(ready, "up and running");
            with(ProbeAction::Log { contains: "running".into() })
        }
        _ => plain(name),
    };
    if dice.percent(20) {
        let action = ProbeAction::Http { port: 80, path: "/live".into(), headers: vec![] };
        component.probes.live = Some(Probe { action, timeout: secs(1) });
    }
    component
}

fn draw_gates(dice: &mut Dice, components: &mut [Component]) {
    for at in 1..components.len() {
        for on in 0..at {
            if !dice.percent(12) {
                continue;
            }
            let condition = if components[on].completes {
                GateCondition::Completed
            } else {
                dice.pick(&[GateCondition::Started, GateCondition::Ready])
            };
            let on = components[on].name.clone();
            components[at].gates.push(crate::cluster::Gate { on, condition, required: true });
        }
    }
}

/// Two or three neighbours that nothing gates need each other.
fn draw_cycle(dice: &mut Dice, components: &mut [Component], behaviours: &mut [Behaviour]) {
    let free: Vec<usize> = (0..components.len())
        .filter(|at| components[*at].gates.is_empty() && !components[*at].completes)
        .take(3)
        .collect();
    if free.len() < 2 || dice.percent(60) {
        return;
    }
    for (i, at) in free.iter().enumerate() {
        let peer = components[free[(i + 1) % free.len()]].name.clone();
        components[*at].needs.insert(peer.clone());
        components[*at].restarts_early_exit = true;
        let behaviour = behaviours[*at].clone();
        // The first of them only is live without its peer: else nobody ever is.
        let live_needs = i > 0 && dice.percent(40);
        let behaviour =
            if live_needs { behaviour.live_needs([peer.as_str()]) } else { behaviour.needs([peer.as_str()]) };
        behaviours[*at] = if dice.percent(30) { behaviour.gives_up(secs(4) + dice.ms(3000), 9) } else { behaviour };
    }
}
