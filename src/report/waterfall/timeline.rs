//! The course of a run: what its events say about when each component was where, and what it waited for.

use indexmap::IndexMap;
use serde::Serialize;

use crate::event::{Event, EventKind, Outcome, Phase, Stamp};
use crate::names::ComponentName;

/// The course of a run.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// Components that the run is about, in the order of its first event.
    pub tracks: IndexMap<ComponentName, Track>,
    /// How it ended; None: it goes on, or was killed.
    pub outcome: Option<Outcome>,
    /// The newest stamp.
    pub end: Stamp,
}

/// The course of one component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track {
    /// What was planned for it: `keep`, `create`, `start`, `replace`.
    pub action: Option<String>,
    /// When its image was there, if it had to be pulled or built.
    pub image: Option<Stamp>,
    /// The phases that it entered, in order. Before the first it was pending.
    pub steps: Vec<Step>,
    /// What it was said to wait for, in order. Each holds until the next.
    pub waits: Vec<Wait>,
}

/// A component entered a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The phase.
    pub phase: Phase,
    /// When.
    pub at: Stamp,
}

/// A component was said to wait for peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Since when.
    pub at: Stamp,
    /// For whom.
    pub on: Vec<ComponentName>,
    /// A gate held its start back until the peer was in this phase.
    pub gate: Option<Phase>,
}

/// A peer came so far that a component could go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    /// The peer.
    pub(super) by: ComponentName,
    /// The phase that it reached.
    pub(super) phase: Phase,
    /// When.
    pub(super) at: Stamp,
    /// Since when it was waited for.
    pub(super) since: Stamp,
    /// A gate was opened by it.
    pub(super) is_gate: bool,
}

impl Timeline {
    /// Takes an event in.
    pub fn event(&mut self, event: &Event) {
        let at = event.at;
        self.end = self.end.max(at);
        match &event.kind {
            EventKind::RunStarted { components, .. } => {
                self.tracks = components.iter().map(|name| (name.clone(), Track::default())).collect();
            }
            EventKind::Planned { actions } => {
                for planned in actions {
                    self.change(&planned.component, |track| track.action = Some(planned.action.clone()));
                }
            }
            EventKind::ImageReady { how, components, .. } if how != "present" => {
                for component in components {
                    self.change(component, |track| track.image = Some(at));
                }
            }
            EventKind::PhaseChanged { component, phase, .. } => {
                self.change(component, |track| track.steps.push(Step { phase: *phase, at }));
            }
            EventKind::Waiting { component, on, gate, .. } => {
                self.change(component, |track| track.waits.push(Wait { at, on: on.clone(), gate: *gate }));
            }
            EventKind::RunFinished { outcome, .. } => self.outcome = Some(*outcome),
            _ => {}
        }
    }

    /// Components that this run started, with the moment of the first start call, in the order of these calls.
    #[must_use]
    pub fn started(&self) -> Vec<(&ComponentName, Stamp)> {
        let mut started: Vec<_> =
            self.tracks.iter().filter_map(|(name, track)| Some((name, track.first(Phase::Starting)?))).collect();
        started.sort_by_key(|(_, at)| *at);
        started
    }

    /// Whenever a peer came so far that this component could go on, in the order of time.
    pub(super) fn releases(&self, name: &ComponentName) -> Vec<Release> {
        let Some(track) = self.tracks.get(name) else { return Vec::new() };
        let mut releases: Vec<Release> = Vec::new();
        for wait in &track.waits {
            for by in &wait.on {
                let Some(step) = self.end_of_wait(track, wait, by) else { continue };
                // The same wait is told again when a probe's answer changes.
                if !releases.iter().any(|known| known.by == *by && known.at == step.at) {
                    releases.push(Release {
                        by: by.clone(),
                        phase: step.phase,
                        at: step.at,
                        since: wait.at,
                        is_gate: wait.gate.is_some(),
                    });
                }
            }
        }
        releases.sort_by_key(|release| release.at);
        releases
    }

    /// The step of a peer that ended a wait for it.
    fn end_of_wait(&self, track: &Track, wait: &Wait, by: &ComponentName) -> Option<Step> {
        match (self.tracks.get(by), wait.gate) {
            (Some(peer), gate) => peer.steps.iter().find(|step| step.at >= wait.at && opens(gate, step.phase)).copied(),
            // A peer that the run isn't about has no track: the start itself shows that it came so far.
            (None, Some(phase)) => Some(Step { phase, at: track.next(Phase::Starting, wait.at)? }),
            (None, None) => None,
        }
    }

    fn change(&mut self, component: &ComponentName, change: impl FnOnce(&mut Track)) {
        // One that isn't listed has left the file, and goes: it is nobody's business here.
        if let Some(track) = self.tracks.get_mut(component) {
            change(track);
        }
    }
}

impl Track {
    /// Where it was at a moment.
    #[must_use]
    pub fn phase_at(&self, at: Stamp) -> Phase {
        self.steps.iter().rev().find(|step| step.at <= at).map_or(Phase::Pending, |step| step.phase)
    }

    /// Where it was last.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.steps.last().map_or(Phase::Pending, |step| step.phase)
    }

    /// When it first entered a phase.
    #[must_use]
    pub fn first(&self, phase: Phase) -> Option<Stamp> {
        self.steps.iter().find(|step| step.phase == phase).map(|step| step.at)
    }

    /// When it first entered a phase at or after a moment.
    #[must_use]
    pub fn next(&self, phase: Phase, after: Stamp) -> Option<Stamp> {
        self.steps.iter().find(|step| step.phase == phase && step.at >= after).map(|step| step.at)
    }

    /// When it last entered a phase, at or before a moment.
    #[must_use]
    pub fn last(&self, phase: Phase, before: Stamp) -> Option<Stamp> {
        self.steps.iter().rev().find(|step| step.phase == phase && step.at <= before).map(|step| step.at)
    }

    /// Since when it is ready or completed; None: it isn't.
    #[must_use]
    pub fn settled(&self) -> Option<Stamp> {
        self.steps.last().filter(|step| step.phase.is_settled()).map(|step| step.at)
    }

    /// Whether a container of it was there: made by this run, or found.
    #[must_use]
    pub fn was_there(&self) -> bool {
        self.steps.iter().any(|step| !matches!(step.phase, Phase::Pending | Phase::Creating | Phase::Failed))
    }

    /// Whether its process ran at some time.
    #[must_use]
    pub fn has_run(&self) -> bool {
        let ran = |phase| phase >= Phase::Started && !matches!(phase, Phase::Failed | Phase::Stopped);
        self.steps.iter().any(|step| ran(step.phase))
    }

    /// How often it exited and was to be started again.
    #[must_use]
    pub fn restarts(&self) -> usize {
        self.steps.iter().filter(|step| step.phase == Phase::Restarting).count()
    }

    /// Every phase with its begin and end, the time before the first included; the last one goes on until `end`.
    pub(super) fn spans(&self, end: Stamp) -> Vec<(Phase, Stamp, Stamp)> {
        let first = Step { phase: Phase::Pending, at: Stamp::default() };
        let steps: Vec<Step> = std::iter::once(first).chain(self.steps.iter().copied()).collect();
        let ends = steps.iter().skip(1).map(|step| step.at).chain(std::iter::once(end));
        // A record is a file, which anybody may have changed: no phase ends before it began.
        steps.iter().zip(ends).map(|(step, until)| (step.phase, step.at, until.max(step.at))).collect()
    }
}

/// Whether a peer in this phase ends a wait: of a gate, or for its readiness.
fn opens(gate: Option<Phase>, phase: Phase) -> bool {
    match gate {
        Some(Phase::Started) => phase >= Phase::Started,
        // One that nobody requires opens the gate by failing, too.
        Some(Phase::Completed) => matches!(phase, Phase::Completed | Phase::Failed),
        Some(_) => phase.is_settled() || phase == Phase::Failed,
        None => phase.is_settled(),
    }
}
