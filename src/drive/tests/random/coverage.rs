//! Which inputs the driver took in which phases, and which changes of phase came of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::drive::driver::Driver;
use crate::drive::input::{Done, Feed, Input};
use crate::drive::machine::TRANSITIONS;
use crate::drive::tests::harness::Ran;
use crate::event::Phase;
use crate::names::ComponentName;
use crate::probe::Verdict;

/// The phases that a driver's component can be in.
pub(super) const PHASES: [Phase; 11] = [
    Phase::Pending,
    Phase::Creating,
    Phase::Created,
    Phase::Starting,
    Phase::Started,
    Phase::Live,
    Phase::Ready,
    Phase::Completed,
    Phase::Unhealthy,
    Phase::Failed,
    Phase::Restarting,
];

const NOT_PENDING: &[Phase] = PHASES.split_at(1).1;

/// Every kind of input, with the phases in which none can come, and why.
pub(super) const KINDS: &[(&str, &[Phase], &str)] = &[
    ("begin", NOT_PENDING, "a driver begins with nothing known"),
    ("tick", &[], ""),
    ("subscribed", &[], ""),
    ("stream lost", &[], ""),
    ("event", &[], ""),
    ("event of one unknown", &[], ""),
    ("interrupt", &[], ""),
    ("list", &[], ""),
    ("list failed", &[], ""),
    ("inspected", &[], ""),
    ("inspected: gone", &[], ""),
    ("inspection failed", &[], ""),
    ("image", &[], ""),
    ("image missing", &[], ""),
    ("image failed", &[], ""),
    ("progress", &[], ""),
    ("network made", &[], ""),
    ("network failed", &[], ""),
    ("volume made", &[], ""),
    ("volume failed", &[], ""),
    ("created", &[], ""),
    ("create failed", &[], ""),
    ("start done", &[], ""),
    ("start failed", &[], ""),
    ("changed", &[], ""),
    ("change failed", &[], ""),
    ("surplus removed", &[], ""),
    ("surplus failed", &[], ""),
    ("twin removed", &[], ""),
    ("log", &[], ""),
    ("live: pass", &[], ""),
    ("live: refuses", &[], ""),
    ("live: unreachable", &[], ""),
    ("ready: pass", &[], ""),
    ("ready: refuses", &[], ""),
    ("ready: unreachable", &[], ""),
    ("ready: impossible", &[], ""),
    ("engine trouble", &[], ""),
];

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    pairs: BTreeMap<(&'static str, Phase), u64>,
    changes: BTreeMap<(Phase, Phase), u64>,
}

impl Coverage {
    /// Counts an input in the phase of the component that it is about, or of each if it is about none.
    pub(super) fn input(&mut self, driver: &Driver, input: &Input) {
        let (kind, about) = kind_of(driver, input);
        match about.and_then(|name| driver.nodes.get(name)) {
            Some(node) => self.count(kind, node.phase),
            None => {
                let phases: BTreeSet<Phase> = driver.nodes.values().map(|node| node.phase).collect();
                phases.into_iter().for_each(|phase| self.count(kind, phase));
            }
        }
    }

    fn count(&mut self, kind: &'static str, phase: Phase) {
        *self.pairs.entry((kind, phase)).or_default() += 1;
    }

    /// Counts a run's changes of phase.
    pub(super) fn transitions(&mut self, ran: &Ran) {
        for (_, from, to) in ran.transitions() {
            *self.changes.entry((from, to)).or_default() += 1;
        }
    }

    /// Adds what another part of the seeds showed.
    pub(super) fn add(&mut self, other: Self) {
        other.pairs.into_iter().for_each(|(pair, n)| *self.pairs.entry(pair).or_default() += n);
        other.changes.into_iter().for_each(|(change, n)| *self.changes.entry(change).or_default() += n);
    }

    /// Pairs that were never seen and could have been, and those that were seen and can't be.
    pub(super) fn gaps(&self) -> (Vec<String>, Vec<String>) {
        let (mut missing, mut surprising) = (Vec::new(), Vec::new());
        for (kind, never, _) in KINDS {
            for phase in PHASES {
                match (self.pairs.contains_key(&(*kind, phase)), never.contains(&phase)) {
                    (false, false) => missing.push(format!("{kind} in phase {phase}")),
                    (true, true) => surprising.push(format!("{kind} in phase {phase}")),
                    _ => {}
                }
            }
        }
        let changes = TRANSITIONS.iter().flat_map(|(from, next)| next.iter().map(|to| (*from, *to)));
        let unseen = changes.filter(|change| !self.changes.contains_key(change));
        missing.extend(unseen.map(|(from, to)| format!("from {from} to {to}")));
        (missing, surprising)
    }

    /// A line for each kind of input, a column for each phase; `-` where it can't be.
    pub(super) fn table(&self) -> String {
        let mut text = format!("{:<22}", "input");
        PHASES.iter().for_each(|phase| _ = write!(text, "{:>11}", phase.as_str()));
        for (kind, never, _) in KINDS {
            _ = write!(text, "\n{kind:<22}");
            for phase in PHASES {
                let shown = match self.pairs.get(&(*kind, phase)) {
                    Some(count) => count.to_string(),
                    None if never.contains(&phase) => "-".into(),
                    None => "0".into(),
                };
                _ = write!(text, "{shown:>11}");
            }
        }
        text += "\n\nchanges of phase: ";
        let changes = self.changes.iter().map(|((from, to), count)| format!("{from} -> {to}: {count}"));
        text += &changes.collect::<Vec<_>>().join(", ");
        text += "\n\nwhere there can be none:";
        for (kind, never, why) in KINDS.iter().filter(|(_, never, _)| !never.is_empty()) {
            let phases: Vec<&str> = never.iter().map(|phase| phase.as_str()).collect();
            _ = write!(text, "\n  {kind}, in phase {}: {why}", phases.join(", "));
        }
        text
    }
}

fn kind_of<'i>(driver: &'i Driver, input: &'i Input) -> (&'static str, Option<&'i ComponentName>) {
    use crate::drive::input::Which;
    match input {
        Input::Begin => ("begin", None),
        Input::Tick => ("tick", None),
        Input::Feed(Feed::Subscribed) => ("subscribed", None),
        Input::Feed(Feed::Lost(_)) => ("stream lost", None),
        Input::Feed(Feed::Changed { id, .. }) => {
            match driver.nodes.iter().find(|(_, node)| node.container(id).is_some()) {
                Some((name, _)) => ("event", Some(name)),
                None => ("event of one unknown", None),
            }
        }
        Input::Interrupt => ("interrupt", None),
        // Supervised runs only, which play seeds of their own.
        Input::Order(_) => ("order", None),
        Input::Progress { .. } => ("progress", None),
        Input::Done(done) => kind_of_end(done),
        Input::Answered { component, which, answer, .. } => {
            let kind = match (which, answer.verdict) {
                (_, Verdict::EngineTrouble) => "engine trouble",
                (Which::Live, Verdict::Pass) => "live: pass",
                (Which::Live, Verdict::Refuses) => "live: refuses",
                (Which::Live, _) => "live: unreachable",
                (Which::Ready, Verdict::Pass) => "ready: pass",
                (Which::Ready, Verdict::Refuses) => "ready: refuses",
                (Which::Ready, Verdict::Unreachable) => "ready: unreachable",
                (Which::Ready, Verdict::Impossible) => "ready: impossible",
            };
            (kind, Some(component))
        }
    }
}

fn kind_of_end(done: &Done) -> (&'static str, Option<&ComponentName>) {
    let or = |ok, failed| if done.error().is_some() { failed } else { ok };
    match done {
        Done::Observed(_) => (or("list", "list failed"), None),
        Done::Inspected(name, _, Ok(None)) => ("inspected: gone", Some(name)),
        Done::Inspected(name, ..) => (or("inspected", "inspection failed"), Some(name)),
        Done::Image(_, Ok(None)) => ("image missing", None),
        Done::Image(..) => (or("image", "image failed"), None),
        Done::NetworkCreated(..) => (or("network made", "network failed"), None),
        Done::VolumeCreated(..) => (or("volume made", "volume failed"), None),
        Done::Created(name, _) => (or("created", "create failed"), Some(name)),
        Done::Started(name, ..) => (or("start done", "start failed"), Some(name)),
        Done::Hooked(name, ..) => ("hooks ended", Some(name)),
        Done::Changed(name, _) | Done::Connected(name, ..) => (or("changed", "change failed"), Some(name)),
        Done::SurplusRemoved(..) => (or("surplus removed", "surplus failed"), None),
        Done::TwinRemoved(..) => ("twin removed", None),
        Done::LogTail(name, _) => ("log", Some(name)),
    }
}
