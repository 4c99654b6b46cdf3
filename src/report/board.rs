//! What the events so far add up to: where each component is, since when, and what it waits for.
//!
//! The terminal, the plain lines and the summary read it, so that they can't disagree. It follows events only and
//! has no clock: "now" is the newest stamp that it was shown.

use std::time::Duration;

use indexmap::IndexMap;

use super::waterfall::{Timeline, Track};
use crate::event::{Event, EventKind, Failure, Outcome, Phase, PublishedEndpoint, Stamp};
use crate::names::{ClusterName, ComponentName};
use crate::units::ByteSize;

/// The state of a run as far as reporters are concerned.
#[derive(Debug, Clone, Default)]
pub struct Board {
    /// The cluster; None before the run began.
    pub cluster: Option<ClusterName>,
    /// What the run is for.
    pub goal: Goal,
    /// Components in the file's order.
    pub rows: IndexMap<ComponentName, Row>,
    /// So many of them, the first, are those that the run is about.
    listed: usize,
    /// Images that are being pulled or built.
    pub images: IndexMap<String, ImageProgress>,
    /// Who waits for whom, while nothing moves.
    pub stalled: Vec<String>,
    /// The last such explanation: kept after components were stopped for it.
    pub last_stall: Vec<String>,
    /// What failed so far.
    pub failures: Vec<Failure>,
    /// How the run ended.
    pub outcome: Option<Outcome>,
    /// Published ports, once the run ended.
    pub endpoints: Vec<PublishedEndpoint>,
    /// The newest stamp seen.
    pub now: Stamp,
    /// When each component was where.
    pub timeline: Timeline,
    /// A network or a volume was made.
    made_objects: bool,
}

/// What a run wants to reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Goal {
    /// `up`, `start`, `restart`: every component is ready.
    #[default]
    Ready,
    /// `stop`: every component is stopped.
    Stopped,
    /// `down`, `rm`: every component is gone.
    Removed,
    /// `create`: every component has a container.
    Created,
}

impl Goal {
    /// The goal of a command.
    #[must_use]
    pub fn of(command: &str) -> Self {
        match command {
            "stop" => Self::Stopped,
            "down" | "rm" => Self::Removed,
            "create" => Self::Created,
            _ => Self::Ready,
        }
    }

    /// The word for having reached it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Stopped => "stopped",
            Self::Removed => "removed",
            Self::Created => "created",
        }
    }
}

/// How far an image is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageProgress {
    /// The engine's text.
    pub text: String,
    /// Bytes so far.
    pub current: Option<u64>,
    /// Bytes in all.
    pub total: Option<u64>,
    /// When it was first heard of.
    pub since: Stamp,
}

impl ImageProgress {
    /// How far it is, in one line: `34.1 MiB of 120.5 MiB  extracting`.
    #[must_use]
    pub fn describe(&self) -> String {
        match (self.current, self.total) {
            (Some(current), Some(total)) => format!("{} of {}  {}", ByteSize(current), ByteSize(total), self.text),
            (Some(current), None) => format!("{}  {}", ByteSize(current), self.text),
            (None, _) => self.text.clone(),
        }
    }
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its phase.
    pub phase: Phase,
    /// Its container was removed, and no new one was begun.
    pub removed: bool,
    /// It reached the goal and nothing went wrong with it since; being stopped (after another failed) takes nothing
    /// away.
    pub reached: bool,
    /// Since when it is in this phase.
    pub since: Stamp,
    /// When it left `pending` for the first time.
    pub began: Option<Stamp>,
    /// Why it is in this phase, where it isn't plain.
    pub reason: Option<String>,
    /// What it waits for, for people.
    pub waiting: Option<String>,
    /// Peers that it waits for.
    pub on: Vec<ComponentName>,
}

impl Row {
    const fn new(since: Stamp) -> Self {
        Self {
            phase: Phase::Pending,
            removed: false,
            reached: false,
            since,
            began: None,
            reason: None,
            waiting: None,
            on: Vec::new(),
        }
    }

    /// The word for where it is.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        if self.removed { "removed" } else { self.phase.as_str() }
    }

    /// Whether it reached what the run is for.
    #[must_use]
    pub fn is_done(&self, goal: Goal) -> bool {
        match goal {
            Goal::Ready => !self.removed && self.phase.is_settled(),
            Goal::Stopped => self.removed || matches!(self.phase, Phase::Stopped | Phase::Completed),
            Goal::Removed => self.removed,
            Goal::Created => !self.removed && self.phase >= Phase::Created,
        }
    }

    /// Whether something is wrong with it.
    #[must_use]
    pub const fn is_in_trouble(&self) -> bool {
        !self.removed && matches!(self.phase, Phase::Failed | Phase::Unhealthy | Phase::Restarting)
    }

    /// Time on its way: while pending, since the run began; after that, since it left pending; it stands still once
    /// nothing more is expected.
    #[must_use]
    pub fn elapsed(&self, goal: Goal, now: Stamp) -> Duration {
        let over = self.is_done(goal) || matches!(self.phase, Phase::Failed | Phase::Stopped);
        let end = if over { self.since } else { now };
        end.0.saturating_sub(self.began.unwrap_or_default().0)
    }

    /// Why it is where it is, or what it waits for, in one line; empty where there is nothing to say.
    #[must_use]
    pub fn note(&self) -> String {
        let said = self.waiting.as_ref().or(self.reason.as_ref()).cloned().unwrap_or_default();
        let named =
            |peer: &&str| said.split(|c: char| c.is_whitespace() || ",;:()".contains(c)).any(|word| word == *peer);
        let unnamed: Vec<&str> = self.on.iter().map(ComponentName::as_str).filter(|peer| !named(peer)).collect();
        match (said.is_empty(), unnamed.is_empty()) {
            (_, true) => said,
            (true, false) => format!("waits for {}", unnamed.join(", ")),
            (false, false) => format!("{said}; waits for {}", unnamed.join(", ")),
        }
    }

    fn enter(&mut self, at: Stamp, phase: Phase, reason: Option<String>) {
        if self.began.is_none() && phase != Phase::Pending {
            self.began = Some(at);
        }
        self.reached = phase.is_settled() || (self.reached && phase == Phase::Stopped);
        self.phase = phase;
        self.removed = false;
        self.since = at;
        self.reason = reason;
        // What was waited for is told anew for the new phase, if there is something.
        self.waiting = None;
        self.on.clear();
    }
}

impl Board {
    /// Takes an event in.
    pub fn event(&mut self, event: &Event) {
        self.now = self.now.max(event.at);
        self.timeline.event(event);
        match &event.kind {
            EventKind::RunStarted { cluster, command, components, .. } => {
                self.cluster = Some(cluster.clone());
                self.goal = Goal::of(command);
                self.listed = components.len();
                self.rows = components.iter().map(|name| (name.clone(), Row::new(event.at))).collect();
            }
            EventKind::ImageProgress { image, text, current, total } => {
                let at = event.at;
                let row = self
                    .images
                    .entry(image.clone())
                    .or_insert_with(|| ImageProgress { since: at, ..Default::default() });
                row.text.clone_from(text);
                row.current = current.or(row.current);
                row.total = total.or(row.total);
            }
            EventKind::ImageReady { image, .. } => {
                self.images.shift_remove(image);
                self.stalled.clear();
            }
            EventKind::Stalled { lines } => {
                self.stalled.clone_from(lines);
                self.last_stall.clone_from(lines);
            }
            EventKind::NetworkCreated { .. } | EventKind::VolumeCreated { .. } => self.made_objects = true,
            EventKind::Failed { failure } => self.failures.push(failure.clone()),
            EventKind::RunFinished { outcome, endpoints } => {
                self.outcome = Some(*outcome);
                self.endpoints.clone_from(endpoints);
            }
            kind => self.component_event(event.at, kind),
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Stamp) {
        self.now = self.now.max(now);
    }

    /// How many components reached the goal.
    #[must_use]
    pub fn done(&self) -> usize {
        self.rows.values().filter(|row| row.is_done(self.goal)).count()
    }

    /// Components that didn't reach the goal, in the file's order.
    pub fn open(&self) -> impl Iterator<Item = (&ComponentName, &Row)> {
        self.rows.iter().filter(|(_, row)| !row.is_done(self.goal))
    }

    /// Whether the run made anything or found something running: a refusal comes before that.
    #[must_use]
    pub fn is_anything_there(&self) -> bool {
        self.made_objects || self.timeline.tracks.values().any(Track::was_there)
    }

    /// Width of the widest component name, within reason.
    #[must_use]
    pub fn name_width(&self) -> usize {
        self.rows.keys().map(|name| name.as_str().len()).max().unwrap_or(0).clamp(4, 32)
    }

    /// The cluster's name, or a stand-in before the run began.
    #[must_use]
    pub fn title(&self) -> &str {
        self.cluster.as_ref().map_or("cluster", ClusterName::as_str)
    }

    fn removed(&mut self, at: Stamp, component: &ComponentName) {
        let Some((index, _, row)) = self.rows.get_full_mut(component) else {
            return;
        };
        if self.goal != Goal::Ready {
            row.enter(at, row.phase, None);
            row.removed = true;
        } else if index >= self.listed {
            // It isn't in the file any more: nobody waits for it.
            self.rows.shift_remove_index(index);
        } else if row.phase != Phase::Pending {
            // It is being replaced.
            row.enter(at, Phase::Pending, None);
        }
    }

    fn component_event(&mut self, at: Stamp, kind: &EventKind) {
        match kind {
            EventKind::PhaseChanged { component, phase, reason } => {
                // A component that isn't in the file (one that is being removed) has a line from here on.
                let row = self.rows.entry(component.clone()).or_insert_with(|| Row::new(at));
                row.enter(at, *phase, reason.clone());
                self.stalled.clear();
            }
            EventKind::Waiting { component, why, on, .. } => {
                if let Some(row) = self.rows.get_mut(component) {
                    row.waiting = Some(why.clone()).filter(|why| !why.is_empty());
                    row.on.clone_from(on);
                }
            }
            EventKind::Exited { component, code, oom, .. } => {
                if let Some(row) = self.rows.get_mut(component) {
                    let reason = if *oom { format!("out of memory, exited {code}") } else { format!("exited {code}") };
                    row.reason = Some(reason);
                    row.waiting = None;
                }
            }
            EventKind::ComponentRemoved { component } => {
                self.removed(at, component);
                self.stalled.clear();
            }
            // The rest says nothing about where a component is.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ComponentName {
        ComponentName::new(text).unwrap()
    }

    fn board(events: impl IntoIterator<Item = (u64, EventKind)>) -> Board {
        let mut board = Board::default();
        let start = EventKind::RunStarted {
            run: "r".into(),
            cluster: ClusterName::new("demo").unwrap(),
            command: "up".into(),
            time: String::new(),
            components: vec![name("a"), name("b")],
        };
        board.event(&Event::new(Stamp::default(), start));
        for (ms, kind) in events {
            board.event(&Event::new(Stamp(Duration::from_millis(ms)), kind));
        }
        board
    }

    fn phase(component: &str, phase: Phase) -> EventKind {
        EventKind::PhaseChanged { component: name(component), phase, reason: None }
    }

    #[test]
    fn time_runs_from_leaving_pending_and_stands_still_when_ready() {
        let mut board = board([(100, phase("a", Phase::Creating)), (400, phase("a", Phase::Ready))]);
        board.tick(Stamp(Duration::from_secs(9)));
        assert_eq!(board.rows["a"].elapsed(Goal::Ready, board.now), Duration::from_millis(300));
        assert_eq!(board.rows["b"].elapsed(Goal::Ready, board.now), Duration::from_secs(9));
    }

    #[test]
    fn a_note_names_each_peer_once() {
        let why = "starts when b is ready".to_owned();
        let board = board([
            (1, EventKind::Waiting { component: name("a"), why, on: vec![name("b")], gate: None }),
            (
                1,
                EventKind::Waiting {
                    component: name("b"),
                    why: "http :80/ answered 503".into(),
                    on: vec![name("a")],
                    gate: None,
                },
            ),
        ]);
        assert_eq!(board.rows["a"].note(), "starts when b is ready");
        assert_eq!(board.rows["b"].note(), "http :80/ answered 503; waits for a");
    }

    #[test]
    fn a_replaced_component_is_not_gone() {
        let board = board([
            (1, EventKind::ComponentRemoved { component: name("a") }),
            (1, EventKind::ComponentRemoved { component: name("orphan") }),
            (2, phase("a", Phase::Creating)),
        ]);
        assert_eq!(board.rows["a"].word(), "creating");
        assert_eq!(board.rows.len(), 2);
    }

    #[test]
    fn a_component_that_left_the_file_is_not_waited_for() {
        let board = board([
            (1, phase("orphan", Phase::Stopped)),
            (2, EventKind::ComponentRemoved { component: name("orphan") }),
        ]);
        assert_eq!(board.rows.len(), 2);
    }
}
