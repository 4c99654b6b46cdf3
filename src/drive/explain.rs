//! Who waits for whom, and why: for the progress display, a stalled start, and a failure report.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use petgraph::graphmap::DiGraphMap;

use super::driver::{Driver, STALL_AFTER};
use super::exits::list;
use super::images::ImageState;
use super::input::Call;
use super::node::{Node, Readiness, Wait};
use crate::event::{EventKind, Phase};
use crate::names::ComponentName;
use crate::plan::gates;
use crate::probe::Verdict;
use crate::units::human;

/// Logs that are read for a stall, at most: of very many, a few tell as much.
const MOST_LOGS: usize = 8;
/// So long they are waited for.
const LOOK_LIMIT: Duration = Duration::from_millis(800);
/// So much of a log line is shown.
const LINE_LIMIT: usize = 200;

/// Logs that are being read because nothing moves.
#[derive(Debug)]
pub(super) struct StallLook {
    awaiting: BTreeSet<ComponentName>,
    said: BTreeMap<ComponentName, String>,
    until: Duration,
}

impl StallLook {
    /// The last lines of one of them.
    pub(super) fn take(&mut self, name: &ComponentName, lines: &[String]) {
        self.awaiting.remove(name);
        if let Some(line) = lines.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty()) {
            self.said.insert(name.clone(), line.chars().take(LINE_LIMIT).collect());
        }
    }
}

impl Driver {
    /// Says what each component waits for, where that changed, and who waits for whom when nothing moves.
    pub(super) fn explain_waits(&mut self) {
        if self.observed.is_none() || self.ending.is_some() {
            return;
        }
        for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
            let waiting = self.waiting(&name);
            let Some(node) = self.nodes.get_mut(&name) else { continue };
            if node.said_waiting == waiting {
                continue;
            }
            node.said_waiting.clone_from(&waiting);
            if let (Some(Wait { why, on, gate }), true) = (waiting, self.is_selected(&name)) {
                self.emit(EventKind::Waiting { component: name, why, on, gate });
            }
        }
        self.say_stall();
    }

    fn say_stall(&mut self) {
        if self.all_settled() || self.rests() {
            self.stall_look = None;
            return;
        }
        let due = self.last_change + STALL_AFTER * 2u32.pow(self.stalls_said.min(10));
        if self.now < due {
            self.stall_look = None;
            return self.wake_at(due);
        }
        let look = self.stall_look.take().unwrap_or_else(|| self.look_into_stall());
        if !look.awaiting.is_empty() && self.now < look.until {
            self.wake_at(look.until);
            self.stall_look = Some(look);
            return;
        }
        self.stalls_said += 1;
        let lines = self.stall_lines(&look.said);
        self.emit(EventKind::Stalled { lines });
        let next = self.last_change + STALL_AFTER * 2u32.pow(self.stalls_said.min(10));
        self.wake_at(next);
    }

    /// What those say last that run and aren't ready often names the cause.
    fn look_into_stall(&mut self) -> StallLook {
        let stalled = self.selected().filter(|(_, node)| node.is_running && !node.phase.is_settled());
        let asked: Vec<_> = stalled
            .filter_map(|(name, node)| {
                node.containers.first().map(|c| (name.clone(), c.id.clone(), c.state.started_at))
            })
            .take(MOST_LOGS)
            .collect();
        for (name, id, began) in &asked {
            self.call(Call::LogTail(name.clone(), id.clone(), *began, LOOK_LIMIT));
        }
        let awaiting = asked.into_iter().map(|(name, ..)| name).collect();
        StallLook { awaiting, said: BTreeMap::new(), until: self.now + LOOK_LIMIT }
    }

    /// What one component waits for, and for which peers; None when it waits for nothing.
    pub(super) fn waiting(&self, name: &ComponentName) -> Option<Wait> {
        let node = self.nodes.get(name)?;
        let is_over = node.phase.is_settled() || node.failure.is_some();
        if is_over || !self.is_selected(name) || self.is_held(name) || self.only_makes(node) {
            return None;
        }
        if let Some(early) = &node.early_exit {
            let peers = early.peers.iter().cloned().collect();
            return Some(Wait::new(format!("starts again when {} is ready", list(early.peers.iter())), peers));
        }
        if node.phase == Phase::Restarting && node.care.attempts > 0 {
            let why = format!("is brought back, attempt {} of {}", node.care.attempts, self.options.attempts);
            return Some(Wait::new(why, self.unready_needs(node)));
        }
        if node.phase == Phase::Restarting {
            return Some(Wait::new(node.ends_so_far(), self.unready_needs(node)));
        }
        if node.is_running && node.hooks_due {
            return Some(Wait::new("its post_start hooks run".to_owned(), Vec::new()));
        }
        if node.is_running {
            let mut why = self.why_not_ready(node);
            if node.was_restarted() {
                why = format!("{why}; {}", node.ends_so_far());
            }
            return Some(Wait::new(why, self.unready_needs(node)));
        }
        if node.containers.is_empty() {
            return self.why_not_made(node).map(|why| Wait::new(why, Vec::new()));
        }
        if let Some(wait) = self.waits_for_turn(name) {
            return Some(wait);
        }
        if let Some(gate) = self.closed_gate(name) {
            let why = format!("{}{}", gates::describe(gate), self.phase_of_outsider(&gate.on));
            return Some(Wait { why, on: vec![gate.on.clone()], gate: Some(gates::awaited(gate)) });
        }
        if let Some(owner) = self.absent_owner(node) {
            let why = format!("starts when {owner} runs, whose namespace it shares");
            return Some(Wait { why, on: vec![owner.clone()], gate: Some(Phase::Started) });
        }
        None
    }

    /// How a peer is that isn't part of this run: nothing else tells of it.
    fn phase_of_outsider(&self, name: &ComponentName) -> String {
        match self.nodes.get(name).filter(|_| !self.is_selected(name)) {
            Some(peer) if self.stays_down(peer) => format!(" ({name} is stopped, and isn't part of this run)"),
            Some(peer) => format!(" ({name} is {})", peer.phase),
            None => String::new(),
        }
    }

    /// Why a component that waits for nothing isn't ready yet: it is the engine's turn.
    pub(super) fn whose_turn(&self, node: &Node) -> String {
        let since = human(self.now.saturating_sub(node.phase_since));
        match (node.phase, &self.observing) {
            (Phase::Creating, _) => format!("the engine has been making its container for {since}"),
            (Phase::Starting, _) => format!("the engine has been starting it for {since}"),
            (_, Some(asked)) => {
                format!("the engine was asked what is there {} ago", human(self.now.saturating_sub(asked.at)))
            }
            (_, None) => "waits for its turn".to_owned(),
        }
    }

    fn why_not_made(&self, node: &Node) -> Option<String> {
        let behind = self.cluster.images_behind(&node.component);
        let states = || behind.iter().filter_map(|image| Some((*image, self.images.get(*image)?)));
        let obtaining = states().find_map(|(image, state)| match state {
            ImageState::Obtaining { last, .. } => Some((image, last)),
            _ => None,
        });
        if let Some((image, last)) = obtaining {
            let step = last.as_ref().map(|progress| format!(": {}", progress.text)).unwrap_or_default();
            let verb = if self.cluster.build_of(image).is_some() { "builds" } else { "pulls" };
            return Some(format!("{verb} image {image}{step}"));
        }
        let missing =
            node.component.images().find(|image| self.images.contains_key(*image) && !self.is_there(image))?;
        Some(format!("looks for image {missing}"))
    }

    fn why_not_ready(&self, node: &Node) -> String {
        if node.phase == Phase::Unhealthy && node.ready.last.is_none() {
            return "the engine calls it unhealthy or paused".into();
        }
        let (probe, track) = match (node.readiness(), &node.component.probes.live) {
            (_, Some(live)) if node.live.passed.is_none() => (live.action.describe(), &node.live),
            (Readiness::Probe(probe) | Readiness::Health(probe), _) => (probe.action.describe(), &node.ready),
            (Readiness::Runs, _) if node.component.completes => return "runs, and is done when it exits 0".into(),
            (Readiness::Runs, _) => return "runs, ready in a moment if it stays so".into(),
        };
        match &track.last {
            None => probe,
            Some(answer) if answer.verdict == Verdict::Impossible => format!("{probe} can't be run: {}", answer.text),
            Some(answer) => format!("{probe}: {}", answer.text),
        }
    }

    fn unready_needs(&self, node: &Node) -> Vec<ComponentName> {
        let unready = |peer: &&ComponentName| {
            **peer != node.component.name && self.nodes.get(*peer).is_some_and(|p| !p.phase.is_settled())
        };
        let peers: BTreeSet<&ComponentName> = node.peers().collect();
        peers.into_iter().filter(unready).cloned().collect()
    }

    /// One line for every component that isn't ready, another with what it said last if that is known, and one for
    /// every cycle among them.
    #[must_use]
    pub fn stall_lines(&self, said: &BTreeMap<ComponentName, String>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut edges: BTreeMap<&ComponentName, Vec<ComponentName>> = BTreeMap::new();
        for (name, node) in self.selected().filter(|(_, node)| !node.phase.is_settled() && node.failure.is_none()) {
            let wait = self.waiting(name).unwrap_or_else(|| Wait::new(self.whose_turn(node), Vec::new()));
            let Wait { why, on, .. } = wait;
            let after = if on.is_empty() { String::new() } else { format!(" (waits for {})", list(on.iter())) };
            lines.push(format!("{name} is {}: {why}{after}", node.phase));
            lines.extend(said.get(name).map(|line| format!("{name} said last: {line}")));
            edges.insert(name, on);
        }
        lines.extend(cycles(&edges).into_iter().map(|members| {
            let path: Vec<String> = round(&edges, &members[0]).into_iter().map(ToString::to_string).collect();
            format!("{} wait for each other: {}", list(members.iter()), path.join(" -> "))
        }));
        lines
    }
}

impl Node {
    /// Whether it ended and was started again since this run of convoke began, or was found so.
    fn was_restarted(&self) -> bool {
        let here = self.policy_restarts > self.earlier_restarts || self.outage_restarts + self.early_restarts > 0;
        here || self.is_looping()
    }

    /// Whether it was started again more than once by its policy, and isn't ready yet.
    pub(super) fn is_looping(&self) -> bool {
        let found_so = !self.short_lived.is_zero() && self.policy_restarts > 1;
        found_so || self.policy_restarts > self.earlier_restarts.max(1)
    }

    /// How it ended last, and how often it was started again.
    fn ends_so_far(&self) -> String {
        let times = match self.policy_restarts + u64::from(self.outage_restarts + self.early_restarts) {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        match self.last_exit {
            Some(code) => format!("exited {code}, restarted {times} so far"),
            None => format!("restarted {times} so far"),
        }
    }
}

/// The shortest way round from a member of a cycle back to it.
fn round<'n>(
    edges: &'n BTreeMap<&ComponentName, Vec<ComponentName>>,
    first: &'n ComponentName,
) -> Vec<&'n ComponentName> {
    let mut seen = BTreeSet::new();
    let mut ways = VecDeque::from([vec![first]]);
    while let Some(way) = ways.pop_front() {
        for next in way.last().and_then(|last| edges.get(*last)).into_iter().flatten() {
            let longer: Vec<_> = way.iter().copied().chain([next]).collect();
            if next == first {
                return longer;
            }
            if seen.insert(next) {
                ways.push_back(longer);
            }
        }
    }
    vec![first]
}

/// Groups that wait for each other.
fn cycles(edges: &BTreeMap<&ComponentName, Vec<ComponentName>>) -> Vec<Vec<ComponentName>> {
    let names: Vec<&ComponentName> = edges.keys().copied().collect();
    let index: BTreeMap<&ComponentName, u32> = (0..).zip(&names).map(|(i, name)| (*name, i)).collect();
    let mut graph: DiGraphMap<u32, ()> = DiGraphMap::new();
    for (name, on) in edges {
        for peer in on {
            if let (Some(from), Some(to)) = (index.get(*name), index.get(peer)) {
                graph.add_edge(*from, *to, ());
            }
        }
    }
    let mut found: Vec<Vec<ComponentName>> = petgraph::algo::tarjan_scc(&graph)
        .into_iter()
        .filter(|group| group.len() > 1)
        .map(|group| {
            let mut members: Vec<ComponentName> =
                group.into_iter().filter_map(|i| names.get(i as usize)).map(|name| (*name).clone()).collect();
            members.sort();
            members
        })
        .collect();
    found.sort();
    found
}
