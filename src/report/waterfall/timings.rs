//! The timings of a run for programs: what `report --format json` prints. `docs/report.md` describes the form.

use serde::Serialize;

use super::super::record::Record;
use super::path::{Leg, critical_path};
use super::stages::{Spent, spent};
use super::starts::{Starts, starts};
use super::timeline::{Step, Timeline, Track};
use crate::event::{EventKind, Outcome, Phase, Stamp};
use crate::names::{ClusterName, ComponentName};

/// The timings of a run. Times are microseconds, moments since the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timings {
    /// Identifier of the run.
    pub run: String,
    /// The cluster; None where the record lacks its beginning, as for the next two.
    pub cluster: Option<ClusterName>,
    /// What was asked: `up`, `start`, `restart`, `stop`, `down`.
    pub command: Option<String>,
    /// Wall clock at the beginning, RFC 3339.
    pub time: Option<String>,
    /// How it ended; None: it goes on, or was killed.
    pub outcome: Option<Outcome>,
    /// How long it took, or until when it was recorded.
    pub took: Stamp,
    /// Every component.
    pub components: Vec<ComponentTimings>,
    /// Which component was ready last, and why; in the order of time.
    pub critical_path: Vec<Leg>,
    /// The order of start calls and readiness; None where nothing was started.
    pub starts: Option<Starts>,
}

/// The timings of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentTimings {
    /// The component.
    pub component: ComponentName,
    /// What was planned for it.
    pub action: Option<String>,
    /// Where it was last.
    pub phase: Phase,
    /// How often it exited and was started again.
    pub restarts: usize,
    /// The phases that it entered.
    pub phases: Vec<Step>,
    /// What its time was spent on until it was ready for good.
    pub stages: Vec<Spent>,
}

impl Timings {
    /// The timings of a recorded run.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let mut timeline = Timeline::default();
        record.events.iter().for_each(|event| timeline.event(event));
        let begin = record.events.iter().find_map(|event| match &event.kind {
            EventKind::RunStarted { cluster, command, time, .. } => Some((cluster, command, time)),
            _ => None,
        });
        Self {
            run: record.run.clone(),
            cluster: begin.map(|(cluster, ..)| cluster.clone()),
            command: begin.map(|(_, command, _)| command.clone()),
            time: begin.map(|(.., time)| time.clone()),
            outcome: timeline.outcome,
            took: timeline.end,
            components: timeline.tracks.iter().map(|(name, track)| component(&timeline, name, track)).collect(),
            critical_path: critical_path(&timeline),
            starts: starts(&timeline),
        }
    }
}

fn component(timeline: &Timeline, name: &ComponentName, track: &Track) -> ComponentTimings {
    let until = track.settled().unwrap_or(timeline.end);
    ComponentTimings {
        component: name.clone(),
        action: track.action.clone(),
        phase: track.phase(),
        restarts: track.restarts(),
        phases: track.steps.clone(),
        stages: spent(timeline, name, Stamp::default(), until),
    }
}
