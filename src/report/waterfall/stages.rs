//! What a component's time was spent on.

use serde::Serialize;

use super::timeline::{Timeline, Track};
use crate::event::{Phase, Stamp};
use crate::names::ComponentName;

/// What time was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Stopping it, by `restart`.
    Stop,
    /// Pulling or building its image.
    Image,
    /// Looking at the engine, making networks and volumes, waiting for its turn to be created.
    Prepare,
    /// Creating its container.
    Create,
    /// Held back by a gate.
    Gate,
    /// Stopping and removing the container that it replaces.
    Replace,
    /// Created, and waiting for its turn among the starts in flight.
    Queue,
    /// The engine's start call.
    Start,
    /// Its process runs and doesn't answer yet.
    Boot,
    /// A job ran until it was done.
    Run,
    /// It answers, and its readiness probe doesn't pass yet.
    Probe,
    /// Between an exit and the next start.
    Restart,
    /// It was ready, and not for good.
    Ready,
    /// Its probe failed after it had passed.
    Unhealthy,
    /// It didn't run any more.
    Down,
    /// Ready, until the whole cluster was confirmed.
    Confirm,
}

impl Stage {
    /// The word for people and machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Image => "image",
            Self::Prepare => "prepare",
            Self::Create => "create",
            Self::Gate => "gate",
            Self::Replace => "replace",
            Self::Queue => "queue",
            Self::Start => "start",
            Self::Boot => "boot",
            Self::Run => "run",
            Self::Probe => "probe",
            Self::Restart => "restart",
            Self::Ready => "ready",
            Self::Unhealthy => "unhealthy",
            Self::Down => "down",
            Self::Confirm => "confirm",
        }
    }
}

/// Time spent on something, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// On what.
    pub stage: Stage,
    /// How long.
    pub time: Stamp,
}

/// What a component's time between two moments was spent on, in the order in which each stage was first entered.
pub(super) fn spent(timeline: &Timeline, name: &ComponentName, from: Stamp, until: Stamp) -> Vec<Spent> {
    let Some(track) = timeline.tracks.get(name) else { return Vec::new() };
    let mut sums: Vec<Spent> = Vec::new();
    for (stage, begin, end) in pieces(timeline, name, track) {
        let time = Stamp(end.min(until).0.saturating_sub(begin.max(from).0));
        if time == Stamp::default() {
            continue;
        }
        match sums.iter_mut().find(|known| known.stage == stage) {
            Some(known) => known.time.0 += time.0,
            None => sums.push(Spent { stage, time }),
        }
    }
    sums
}

/// The component's whole time, piece by piece.
fn pieces(timeline: &Timeline, name: &ComponentName, track: &Track) -> Vec<(Stage, Stamp, Stamp)> {
    let mut pieces = Vec::new();
    let stopped_first = track.steps.first().is_some_and(|step| step.phase == Phase::Stopped);
    let spans = track.spans(timeline.end);
    for (index, (phase, begin, end)) in spans.iter().copied().enumerate() {
        let next = spans.get(index + 1).map(|(phase, ..)| *phase);
        match phase {
            Phase::Pending if index == 0 && stopped_first => pieces.push((Stage::Stop, begin, end)),
            Phase::Pending => {
                let image = track.image.unwrap_or_default().clamp(begin, end);
                pieces.extend([(Stage::Image, begin, image), (Stage::Prepare, image, end)]);
            }
            Phase::Created => {
                let open = gate_open(timeline, name, begin).clamp(begin, end);
                let replaces = track.action.as_deref() == Some("replace");
                let then = if replaces { Stage::Replace } else { Stage::Queue };
                pieces.extend([(Stage::Gate, begin, open), (then, open, end)]);
            }
            Phase::Started | Phase::Live if next == Some(Phase::Completed) => pieces.push((Stage::Run, begin, end)),
            Phase::Stopped if track.next(Phase::Starting, end).is_some() => pieces.push((Stage::Prepare, begin, end)),
            phase => pieces.push((stage_of(phase), begin, end)),
        }
    }
    pieces
}

/// When the last gate that held the component back from this moment on was opened; the moment itself if none did.
fn gate_open(timeline: &Timeline, name: &ComponentName, created: Stamp) -> Stamp {
    let gates = timeline.releases(name).into_iter().filter(|release| release.is_gate && release.since >= created);
    gates.map(|release| release.at).max().unwrap_or(created)
}

const fn stage_of(phase: Phase) -> Stage {
    match phase {
        Phase::Pending => Stage::Prepare,
        Phase::Creating => Stage::Create,
        Phase::Created => Stage::Queue,
        Phase::Starting => Stage::Start,
        Phase::Started => Stage::Boot,
        Phase::Live => Stage::Probe,
        Phase::Ready => Stage::Ready,
        Phase::Restarting => Stage::Restart,
        Phase::Unhealthy => Stage::Unhealthy,
        Phase::Completed | Phase::Failed | Phase::Stopped => Stage::Down,
    }
}
