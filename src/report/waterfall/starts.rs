//! The order of start calls and readiness: the proof that starts waited for nothing but what the file asks for.

use serde::Serialize;

use super::timeline::Timeline;
use crate::event::{Phase, Stamp};
use crate::names::ComponentName;

/// The start calls of a run: the first one of each component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Starts {
    /// How many.
    pub calls: usize,
    /// When the first was issued.
    pub first: Stamp,
    /// When the last was issued.
    pub last: Stamp,
    /// When the first of the components started was ready or completed.
    pub first_ready: Option<Stamp>,
    /// Calls that were issued after that.
    pub after_first_ready: usize,
    /// So many of those had to have their image pulled or built, and it came after that, too.
    pub after_for_image: usize,
    /// Gates that held a start back.
    pub waited: Vec<GateWait>,
}

/// A gate held a start back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateWait {
    /// The component.
    pub component: ComponentName,
    /// The peer that it waited for.
    pub on: ComponentName,
    /// The phase that the peer had to reach.
    pub phase: Phase,
    /// Since when it waited.
    pub from: Stamp,
    /// When the peer had come so far; None: it never did.
    pub until: Option<Stamp>,
}

impl Starts {
    /// Time from the first call to the last.
    #[must_use]
    pub const fn took(&self) -> std::time::Duration {
        self.last.0.saturating_sub(self.first.0)
    }
}

impl GateWait {
    /// Whether it waited for a readiness (or completion), and not just for a start.
    #[must_use]
    pub fn is_for_readiness(&self) -> bool {
        self.phase != Phase::Started
    }
}

/// The start calls of a run. None where nothing was started.
#[must_use]
pub fn starts(timeline: &Timeline) -> Option<Starts> {
    let started = timeline.started();
    let (first, last) = (started.first()?.1, started.last()?.1);
    let first_settled = |name: &ComponentName| {
        let steps = &timeline.tracks.get(name)?.steps;
        steps.iter().find(|step| step.phase.is_settled()).map(|step| step.at)
    };
    let first_ready = started.iter().filter_map(|(name, _)| first_settled(name)).min();
    let is_late = |at: Stamp| first_ready.is_some_and(|ready| at > ready);
    let image_is_late = |name: &ComponentName| timeline.tracks.get(name)?.image.filter(|at| is_late(*at));
    let late = || started.iter().filter(|(_, at)| is_late(*at));
    Some(Starts {
        calls: started.len(),
        first,
        last,
        first_ready,
        after_first_ready: late().count(),
        after_for_image: late().filter_map(|(name, _)| image_is_late(name)).count(),
        waited: gate_waits(timeline),
    })
}

fn gate_waits(timeline: &Timeline) -> Vec<GateWait> {
    let mut waited: Vec<GateWait> = Vec::new();
    for (name, track) in &timeline.tracks {
        let releases = timeline.releases(name);
        for wait in &track.waits {
            let (Some(phase), Some(on)) = (wait.gate, wait.on.first()) else { continue };
            let opened = releases.iter().find(|release| release.is_gate && release.by == *on && release.at >= wait.at);
            let until = opened.map(|release| release.at);
            if !waited.iter().any(|known| known.component == *name && known.on == *on) {
                waited.push(GateWait { component: name.clone(), on: on.clone(), phase, from: wait.at, until });
            }
        }
    }
    waited.sort_by_key(|wait| wait.from);
    waited
}
