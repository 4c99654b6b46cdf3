//! What a run said about who waited for whom, read from its events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use convoke::event::{Event, EventKind, Phase};

use crate::support::Ran;

/// A run's events.
pub(super) struct Story(Vec<Event>);

/// Why a component wasn't ready, since when that was said, and for which peers it waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) since: Duration,
    pub(super) why: String,
    pub(super) on: Vec<String>,
}

impl Story {
    pub(super) fn of(ran: &Ran) -> Self {
        Self(ran.events())
    }

    /// When a component entered a phase for the first time.
    #[track_caller]
    pub(super) fn first(&self, component: &str, phase: Phase) -> Duration {
        self.when(component, phase).next().unwrap_or_else(|| panic!("{component} was never {phase}:\n{self:#?}"))
    }

    /// When a component entered a phase for the last time.
    #[track_caller]
    pub(super) fn last(&self, component: &str, phase: Phase) -> Duration {
        self.when(component, phase).last().unwrap_or_else(|| panic!("{component} was never {phase}:\n{self:#?}"))
    }

    fn when(&self, wanted: &str, wanted_phase: Phase) -> impl Iterator<Item = Duration> {
        self.0.iter().filter_map(move |event| match &event.kind {
            EventKind::PhaseChanged { component, phase, .. } => {
                (component.as_str() == wanted && *phase == wanted_phase).then_some(event.at.0)
            }
            _ => None,
        })
    }

    /// What was said of each component that wasn't ready at this moment.
    pub(super) fn said_at(&self, moment: Duration) -> BTreeMap<String, Said> {
        let mut said = BTreeMap::new();
        for event in self.0.iter().take_while(|event| event.at.0 <= moment) {
            match &event.kind {
                EventKind::Waiting { component, why, on, .. } => {
                    let on = on.iter().map(ToString::to_string).collect();
                    said.insert(component.to_string(), Said { since: event.at.0, why: why.clone(), on });
                }
                EventKind::PhaseChanged { component, phase, .. } if phase.is_settled() => {
                    said.remove(component.as_str());
                }
                _ => {}
            }
        }
        said
    }

    /// When something like this was first said of why a component wasn't ready.
    pub(super) fn said_first(&self, wanted: &str, fits: impl Fn(&str) -> bool) -> Option<Duration> {
        let is_it = |event: &&Event| match &event.kind {
            EventKind::Waiting { component, why, .. } => component.as_str() == wanted && fits(why),
            _ => false,
        };
        self.0.iter().find(is_it).map(|event| event.at.0)
    }

    /// Whether a component was ever said to wait for this peer.
    pub(super) fn waited_for(&self, wanted: &str, peer: &str) -> bool {
        self.0.iter().any(|event| match &event.kind {
            EventKind::Waiting { component, on, .. } => {
                component.as_str() == wanted && on.iter().any(|name| name.as_str() == peer)
            }
            _ => false,
        })
    }

    /// Whether it was told that a component had ended and ran again before the engine was asked.
    pub(super) fn ended_unseen(&self, wanted: &str) -> bool {
        self.0.iter().any(|event| match &event.kind {
            EventKind::PhaseChanged { component, phase: Phase::Restarting, reason: Some(reason) } => {
                component.as_str() == wanted && reason.contains("it ended")
            }
            _ => false,
        })
    }

    /// The codes with which a component exited.
    pub(super) fn exits(&self, wanted: &str) -> Vec<i64> {
        let code = |event: &Event| match &event.kind {
            EventKind::Exited { component, code, .. } if component.as_str() == wanted => Some(*code),
            _ => None,
        };
        self.0.iter().filter_map(code).collect()
    }

    /// Whether any start was held back by a gate.
    pub(super) fn has_gates(&self) -> bool {
        self.0.iter().any(|event| matches!(event.kind, EventKind::Waiting { gate: Some(_), .. }))
    }
}

impl std::fmt::Debug for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for event in &self.0 {
            writeln!(f, "{:>9.3} {:?}", event.at.0.as_secs_f64(), event.kind)?;
        }
        Ok(())
    }
}

/// The components that a component waits for, directly and through others.
pub(super) fn blamed(said: &BTreeMap<String, Said>, component: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![component.to_owned()];
    while let Some(next) = open.pop() {
        for peer in said.get(&next).map(|said| said.on.as_slice()).unwrap_or_default() {
            if reached.insert(peer.clone()) {
                open.push(peer.clone());
            }
        }
    }
    reached
}
