//! What goes wrong, with which probability, and until when.

use std::time::Duration;

use super::journal::Op;
use super::world::World;
use crate::engine::ErrorKind;

/// Rates of failure. All are drawn from the engine's seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// Probability that a call fails before it takes effect.
    pub call_failure: f64,
    /// Probability that a call takes effect and then reports a failure.
    pub lost_reply: f64,
    /// Probability that a call gets no answer: a third never takes effect, a third did, a third does so later.
    pub timeout: f64,
    /// Probability that a call which its caller drops (by dying, perhaps) and which hasn't taken effect never does.
    pub lost_request: f64,
    /// The classes of failure to draw from. `NotFound` isn't among the presets': callers may take the engine's word for
    /// it that something is gone.
    pub kinds: Vec<ErrorKind>,
    /// Probability that an event never arrives.
    pub event_loss: f64,
    /// Probability that an event arrives twice.
    pub event_double: f64,
    /// Probability that an event, and all after it, arrive up to `max_delay` late.
    pub event_delay: f64,
    /// Probability that an event arrives up to `max_delay` late, after others.
    pub event_reorder: f64,
    /// The most that an event is late.
    pub max_delay: Duration,
    /// Mean time until an event stream breaks; None: never.
    pub stream_break: Option<Duration>,
    /// Mean time between restarts of the engine; None: never.
    pub engine_restart: Option<Duration>,
    /// How long the engine is away when it restarts.
    pub downtime: Duration,
    /// Containers outlive the engine's restarts.
    pub live_restore: bool,
    /// Mean time until a running component crashes by itself; None: never.
    pub crash: Option<Duration>,
    /// Nothing fails from this moment of the world on.
    pub until: Duration,
}

impl Faults {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self {
            call_failure: 0.0,
            lost_reply: 0.0,
            timeout: 0.0,
            lost_request: 0.0,
            kinds: vec![ErrorKind::Unreachable, ErrorKind::Internal, ErrorKind::Conflict],
            event_loss: 0.0,
            event_double: 0.0,
            event_delay: 0.0,
            event_reorder: 0.0,
            max_delay: Duration::from_secs(3),
            stream_break: None,
            engine_restart: None,
            downtime: Duration::from_secs(2),
            live_restore: false,
            crash: None,
            until: Duration::MAX,
        }
    }

    /// A bad day: one call in twenty fails, one event in twenty is lost, streams break now and then.
    #[must_use]
    pub fn some() -> Self {
        Self {
            call_failure: 0.03,
            lost_reply: 0.02,
            timeout: 0.01,
            event_loss: 0.05,
            event_double: 0.05,
            event_delay: 0.05,
            event_reorder: 0.05,
            stream_break: Some(Duration::from_secs(20)),
            ..Self::none()
        }
    }

    /// Everything at once: failing calls, lost events, crashing components, a restarting engine.
    #[must_use]
    pub fn many() -> Self {
        Self {
            call_failure: 0.1,
            lost_reply: 0.1,
            timeout: 0.03,
            event_loss: 0.3,
            event_double: 0.2,
            event_delay: 0.2,
            event_reorder: 0.2,
            stream_break: Some(Duration::from_secs(5)),
            engine_restart: Some(Duration::from_secs(40)),
            crash: Some(Duration::from_secs(30)),
            ..Self::none()
        }
    }

    /// Sets the moment of the world from which on nothing fails.
    #[must_use]
    pub const fn until(mut self, moment: Duration) -> Self {
        self.until = moment;
        self
    }
}

/// What becomes of a call. Times count from when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    /// When it takes effect; None: it doesn't.
    pub(super) effect: Option<Duration>,
    /// The failure that its caller sees, and when; None: the true answer.
    pub(super) failure: Option<(Duration, ErrorKind)>,
    /// How long the true answer takes after the effect.
    pub(super) way_back: Duration,
}

/// What becomes of an event.
pub(super) struct EventFate {
    pub(super) copies: usize,
    pub(super) delay: Duration,
    pub(super) in_order: bool,
}

impl World {
    fn faults_are_on(&self) -> bool {
        self.now < self.faults.until
    }

    /// Draws what becomes of a call that takes `takes` until its effect.
    pub(super) fn fate(&mut self, op: Op, takes: Duration) -> Fate {
        let way_back = self.calls_rng.between((Duration::ZERO, Duration::from_millis(2)));
        let dice = self.calls_rng.fraction();
        let pick = self.calls_rng.next();
        let true_fate = Fate { effect: Some(takes), failure: None, way_back };
        let limit = self.latency.limit;
        if !self.up {
            let at = Duration::from_millis(1);
            return Fate { effect: None, failure: Some((at, ErrorKind::Unreachable)), way_back };
        }
        if self.now < self.silent_until {
            return Fate { effect: None, failure: Some((limit, ErrorKind::Timeout(limit))), way_back };
        }
        if !self.faults_are_on() {
            return true_fate;
        }
        let faults = &self.faults;
        let kinds = if faults.kinds.is_empty() { &[ErrorKind::Internal][..] } else { &faults.kinds[..] };
        let kind = match &kinds[usize::try_from(pick % kinds.len() as u64).unwrap_or(0)] {
            // A list has no single thing that could be missing.
            ErrorKind::NotFound if matches!(op, Op::Observe | Op::Events) => ErrorKind::Internal,
            kind => kind.clone(),
        };
        let fails = faults.call_failure;
        let loses = fails + faults.lost_reply;
        let hangs = loses + if op == Op::Events { 0.0 } else { faults.timeout };
        if dice < fails {
            Fate { effect: None, failure: Some((takes.min(Duration::from_millis(5)), kind)), way_back }
        } else if dice < loses {
            Fate { failure: Some((takes + way_back, kind)), ..true_fate }
        } else if dice < hangs {
            let late = limit + Duration::from_millis(pick % 5000);
            let effect = [None, Some(takes), Some(late)][usize::try_from(pick % 3).unwrap_or(0)];
            Fate { effect, failure: Some((limit, ErrorKind::Timeout(limit))), way_back }
        } else {
            true_fate
        }
    }

    /// Draws whether a call that was dropped before its effect is lost.
    pub(super) fn draw_lost_request(&mut self) -> bool {
        self.drops_rng.chance(self.faults.lost_request) && self.faults_are_on()
    }

    /// Draws what becomes of an event.
    pub(super) fn fate_of_event(&mut self) -> EventFate {
        let rng = &mut self.events_rng;
        let (lost, doubled) = (rng.chance(self.faults.event_loss), rng.chance(self.faults.event_double));
        let (delayed, reordered) = (rng.chance(self.faults.event_delay), rng.chance(self.faults.event_reorder));
        let delay = rng.between((Duration::ZERO, self.faults.max_delay));
        if !self.faults_are_on() {
            return EventFate { copies: 1, delay: Duration::ZERO, in_order: true };
        }
        let copies = if lost { 0 } else { 1 + usize::from(doubled) };
        let delay = if delayed || reordered { delay } else { Duration::ZERO };
        EventFate { copies, delay, in_order: !reordered }
    }

    /// Draws when a new event stream breaks.
    pub(super) fn plan_stream_break(&mut self, number: u64) {
        let Some(mean) = self.faults.stream_break else { return };
        let delay = self.chaos_rng.waiting_time(mean);
        if self.now.saturating_add(delay) < self.faults.until {
            self.after(delay, move |world| world.break_stream(number));
        }
    }

    /// Draws when a run that begins now crashes, if it does.
    pub(super) fn draw_crash(&mut self) -> Option<(Duration, i64)> {
        let mean = self.faults.crash?;
        let delay = self.chaos_rng.waiting_time(mean);
        let code = if self.chaos_rng.chance(0.5) { 1 } else { 137 };
        (self.now.saturating_add(delay) < self.faults.until).then_some((delay, code))
    }

    /// Draws when the engine restarts next.
    pub(super) fn plan_engine_restart(&mut self) {
        let Some(mean) = self.faults.engine_restart else { return };
        let delay = self.chaos_rng.waiting_time(mean);
        if self.now.saturating_add(delay) < self.faults.until {
            self.after(delay, |world| {
                let downtime = world.faults.downtime;
                world.restart_engine(downtime);
                world.plan_engine_restart();
            });
        }
    }

    /// The engine goes away for a while; running containers die with it, unless they are told to outlive it.
    pub(super) fn restart_engine(&mut self, downtime: Duration) {
        if !self.up {
            return;
        }
        self.up = false;
        self.epoch += 1;
        self.break_streams();
        let outlived = self.faults.live_restore;
        if !outlived {
            self.end_all_runs();
        }
        self.after(downtime, move |world| {
            world.up = true;
            if !outlived {
                world.resume_by_policy();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_hold_roughly_and_stop_in_time() {
        let mut world = World::new(1);
        world.faults = Faults { call_failure: 0.25, ..Faults::none() };
        let ms = Duration::from_millis;
        let failed = (0..1000).filter(|_| world.fate(Op::Start, ms(9)).failure.is_some()).count();
        assert!((200..300).contains(&failed), "{failed}");
        world.faults.until = Duration::ZERO;
        assert!((0..1000).all(|_| world.fate(Op::Start, ms(9)).failure.is_none()));
    }

    #[test]
    fn timeouts_take_effect_in_time_late_or_never() {
        let mut world = World::new(1);
        world.faults = Faults { timeout: 1.0, ..Faults::none() };
        let limit = world.latency.limit;
        let effects: Vec<_> = (0..100).map(|_| world.fate(Op::Start, Duration::from_millis(9)).effect).collect();
        assert!(effects.contains(&None));
        assert!(effects.iter().any(|at| at.is_some_and(|at| at < limit)));
        assert!(effects.iter().any(|at| at.is_some_and(|at| at >= limit)));
    }
}
