//! The critical path: which component was ready last, what held it up, and what held that up in turn.

use std::collections::BTreeSet;
use std::time::Duration;

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
    /// Peers that were ready at about the same moment, and that it and they needed each other for: neither came first.
    pub together_with: Vec<ComponentName>,
    /// When its part begins.
    pub from: Stamp,
    /// When it ends: the next one could go on, or the run was over.
    pub until: Stamp,
    /// What the time in between was spent on.
    pub stages: Vec<Spent>,
}

/// Members of a cycle that are ready within such a time are ready together: it is the longest pause between probes, so
/// their order says nothing.
const TOGETHER: Duration = Duration::from_millis(250);

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
        let together_with = companions(timeline, &name, until);
        let release = held_up_by(timeline, &name, until, &together_with);
        let release = release.filter(|release| release.by != name && !seen(release));
        let from = release.as_ref().map_or_else(Stamp::default, |release| release.at);
        let stages = spent(timeline, &name, from, until);
        let after = release.as_ref().map(|at| After { component: at.by.clone(), phase: at.phase });
        legs.push(Leg { component: name, after, together_with, from, until, stages });
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

/// Peers that a component was ready together with: each needed the other, and they were ready at about this moment.
fn companions(timeline: &Timeline, name: &ComponentName, until: Stamp) -> Vec<ComponentName> {
    let is_close = |release: &Release| until.0.checked_sub(release.at.0).is_some_and(|gap| gap <= TOGETHER);
    let releases = timeline.releases(name).into_iter().filter(|release| !release.is_gate && is_close(release));
    let mut peers: Vec<ComponentName> =
        releases.map(|release| release.by).filter(|peer| peer != name && waits_for(timeline, peer, name)).collect();
    peers.sort();
    peers.dedup();
    peers
}

/// Whether a component was said to wait, without a gate, for another one or for one that waits for it in turn.
fn waits_for(timeline: &Timeline, name: &ComponentName, other: &ComponentName) -> bool {
    let mut seen = BTreeSet::new();
    let mut todo = vec![name];
    while let Some(next) = todo.pop() {
        let waits = timeline.tracks.get(next).into_iter().flat_map(|track| &track.waits);
        for peer in waits.filter(|wait| wait.gate.is_none()).flat_map(|wait| &wait.on) {
            if peer == other {
                return true;
            }
            if seen.insert(peer) {
                todo.push(peer);
            }
        }
    }
    false
}

/// The peer that a component waited for last before this moment.
fn held_up_by(
    timeline: &Timeline,
    name: &ComponentName,
    until: Stamp,
    companions: &[ComponentName],
) -> Option<Release> {
    let track = timeline.tracks.get(name)?;
    let counts = |release: &Release| {
        let is_eligible = timeline.tracks.contains_key(&release.by) && !companions.contains(&release.by);
        is_eligible && release.at <= until && (release.is_gate || mattered(track, release, until))
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
