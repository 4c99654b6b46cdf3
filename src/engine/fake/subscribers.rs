//! Who listens to events, and what gets through to them.

use std::collections::VecDeque;
use std::time::Duration;

use super::journal::Change;
use super::world::World;
use crate::engine::{EngineEvent, EngineEventKind};
use crate::names::ContainerId;

/// One open event stream.
#[derive(Debug)]
pub(super) struct Subscriber {
    cluster: String,
    /// Arrived, not yet read.
    pub(super) arrived: VecDeque<EngineEvent>,
    /// The last arrival so far: events keep their order unless a fault says otherwise.
    last: Duration,
    /// The connection is gone.
    pub(super) broken: bool,
}

impl World {
    /// Opens a stream of a cluster's events.
    pub(super) fn subscribe(&mut self, cluster: &str) -> u64 {
        let number = self.next_subscriber;
        self.next_subscriber += 1;
        let first = EngineEvent { kind: EngineEventKind::Subscribed };
        let subscriber =
            Subscriber { cluster: cluster.to_owned(), arrived: VecDeque::from([first]), last: self.now, broken: false };
        self.subscribers.insert(number, subscriber);
        self.plan_stream_break(number);
        self.dirty = true;
        number
    }

    /// Breaks a stream: its reader gets what arrived and then an error.
    pub(super) fn break_stream(&mut self, number: u64) {
        if let Some(subscriber) = self.subscribers.get_mut(&number) {
            subscriber.broken = true;
            self.dirty = true;
        }
    }

    /// Breaks every stream.
    pub(super) fn break_streams(&mut self) {
        for number in self.subscribers.keys().copied().collect::<Vec<_>>() {
            self.break_stream(number);
        }
    }

    /// Records a change of a container and tells those who listen.
    pub(super) fn emit(&mut self, id: &ContainerId, action: &'static str) {
        self.record(id, action, None);
    }

    /// The same for an end, with its exit code.
    pub(super) fn emit_end(&mut self, id: &ContainerId, code: i64) {
        self.record(id, "die", Some(code));
    }

    fn record(&mut self, id: &ContainerId, action: &'static str, code: Option<i64>) {
        self.dirty = true;
        let Some(container) = self.containers.get(id) else { return };
        let component = container.component();
        let cluster = container.cluster().map(str::to_owned);
        self.changes.push(Change { at: self.now, container: id.clone(), component: component.clone(), action, code });
        let kind = EngineEventKind::Container { id: id.clone(), component, action: action.to_owned() };
        let event = EngineEvent { kind };
        let listeners: Vec<u64> = self
            .subscribers
            .iter()
            .filter(|(_, subscriber)| Some(&subscriber.cluster) == cluster.as_ref())
            .map(|(number, _)| *number)
            .collect();
        for number in listeners {
            self.send(number, &event);
        }
    }

    fn send(&mut self, number: u64, event: &EngineEvent) {
        let fate = self.fate_of_event();
        let lag = self.events_rng.between(self.latency.event);
        let now = self.now;
        let Some(subscriber) = self.subscribers.get_mut(&number) else { return };
        let mut at = now + lag + fate.delay;
        if fate.in_order {
            at = at.max(subscriber.last);
            subscriber.last = at;
        }
        for _ in 0..fate.copies {
            let event = event.clone();
            self.after(at - now, move |world| {
                if let Some(subscriber) = world.subscribers.get_mut(&number).filter(|s| !s.broken) {
                    subscriber.arrived.push_back(event);
                }
            });
        }
    }
}
