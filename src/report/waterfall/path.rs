//! The critical path: which component was ready last, what held it up, and what held that up in turn.

use serde::Serialize;

use super::stages::{Spent, Stage, spent};
use super::timeline::{Release, Timeline, Track};
use crate::event::{Outcome, Phase, Stamp};
use crate::names::ComponentName;

/// A part of the critical path: one component's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leg {
    /// The component.
    pub component: ComponentName,
    /// The peer that it could go on after; None: nobody held it up, and its part begins with the run.
    pub after: Option<After>,
    /// When its part begins.
    pub from: Stamp,
    /// When it ends: the next one could go on, or the run was over.
    pub until: Stamp,
    /// What the time in between was spent on.
    pub stages: Vec<Spent>,
}

/// What let a component go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct After {
    /// The peer.
    pub component: ComponentName,
    /// The phase that it reached.
    pub phase: Phase,
}

/// The critical path of a run, in the order of time. It leads to the component that was ready last or, if the run
/// failed, to the one that failed first. Empty where nothing was started, and where nothing tells whose fault it was.
#[must_use]
pub fn critical_path(timeline: &Timeline) -> Vec<Leg> {
    let Some((mut name, mut until)) = destination(timeline) else { return Vec::new() };
    let mut legs: Vec<Leg> = Vec::new();
    loop {
        let seen = |release: &Release| legs.iter().any(|leg| leg.component == release.by);
        let release = held_up_by(timeline, &name, until).filter(|release| release.by != name && !seen(release));
        let from = release.as_ref().map_or_else(Stamp::default, |release| release.at);
        let stages = spent(timeline, &name, from, until);
        let after = release.as_ref().map(|at| After { component: at.by.clone(), phase: at.phase });
        legs.push(Leg { component: name, after, from, until, stages });
        match release {
            Some(release) => (name, until) = (release.by, release.at),
            None => break,
        }
    }
    legs.reverse();
    if let (Some(Outcome::Ready), Some(last)) = (timeline.outcome, legs.last_mut()) {
        let time = Stamp(timeline.end.0.saturating_sub(last.until.0));
        last.stages.push(Spent { stage: Stage::Confirm, time });
        last.until = timeline.end;
    }
    legs
}

/// Where the path leads to, and when it got there.
fn destination(timeline: &Timeline) -> Option<(ComponentName, Stamp)> {
    let started = timeline.started();
    let moments = |of: fn(&Track) -> Option<Stamp>| {
        let moment = move |name: &ComponentName| Some((name.clone(), of(timeline.tracks.get(name)?)?));
        started.iter().filter_map(move |(name, _)| moment(name))
    };
    match timeline.outcome? {
        Outcome::Ready => moments(Track::settled).max_by_key(|(_, at)| *at),
        Outcome::Failed => moments(|track| track.first(Phase::Failed)).min_by_key(|(_, at)| *at),
        _ => None,
    }
}

/// The peer that a component waited for last before this moment.
fn held_up_by(timeline: &Timeline, name: &ComponentName, until: Stamp) -> Option<Release> {
    let track = timeline.tracks.get(name)?;
    let counts = |release: &Release| {
        let is_known = timeline.tracks.contains_key(&release.by);
        is_known && release.at <= until && (release.is_gate || mattered(track, release, until))
    };
    timeline.releases(name).into_iter().rev().find(counts)
}

/// Whether a peer's readiness that nothing was gated by held the component up: it was started again after it, or had
/// come as far as it gets alone. One that still had the greater part of its own way to go would have needed the time
/// anyway.
fn mattered(track: &Track, release: &Release, until: Stamp) -> bool {
    if track.phase_at(release.since) == Phase::Restarting && track.next(Phase::Starting, release.at).is_some() {
        return true;
    }
    let Some(started) = track.last(Phase::Started, until) else { return false };
    let live = track.last(Phase::Live, until).filter(|live| *live >= started && *live < until);
    let waits_since = live.unwrap_or(started);
    let (before, after) = (release.at.0.checked_sub(waits_since.0), until.0.saturating_sub(release.at.0));
    before.is_some_and(|before| after <= before)
}
