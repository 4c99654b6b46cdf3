//! When the next probe may start. Pure: moments are durations since the run began, and the caller brings them.
//!
//! [`Pace`] spaces the attempts on one component, [`Budget`] bounds all of them together. Neither starts anything: the
//! driver asks the pace when the next attempt is due, the budget whether it may start now, and tells both what became
//! of it.

use std::time::Duration;

/// Pause after the first attempt that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The pause grows up to this, and no further.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// An exec costs the engine CPU that starts need too, so its pause is at least this.
const EXEC_PAUSE: Duration = Duration::from_millis(200);
/// Cost of one start in the budget's currency: one per nanosecond and start a second.
const COST: u128 = 1_000_000_000;

/// Spaces the attempts on one probed component.
///
/// The first attempt is due at once. Then the pause after an answer is 10 ms and grows by half each time up to 250 ms;
/// for an exec it is as long as the last attempt took and at least 200 ms, so that checks use half of a core at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    exec: bool,
    due: Duration,
    pause: Duration,
    in_flight: bool,
}

impl Pace {
    /// A pace whose first attempt is due at the beginning of time; `exec` says that attempts run inside the container.
    #[must_use]
    pub const fn new(exec: bool) -> Self {
        Self { exec, due: Duration::ZERO, pause: FIRST_PAUSE, in_flight: false }
    }

    /// The earliest moment for the next attempt; [`Duration::MAX`] while one is under way.
    #[must_use]
    pub const fn due(&self) -> Duration {
        if self.in_flight { Duration::MAX } else { self.due }
    }

    /// An attempt started at `now`.
    pub const fn started(&mut self, now: Duration) {
        self.in_flight = true;
        self.due = now;
    }

    /// The attempt under way was answered at `now` after `took`. An answer that belongs to an attempt from before a
    /// [`reset`](Self::reset) must not come here: the caller tells attempts apart.
    pub fn answered(&mut self, now: Duration, took: Duration) {
        let pause = if self.exec { took.max(EXEC_PAUSE) } else { self.pause };
        self.pause = (self.pause * 3 / 2).min(LONGEST_PAUSE);
        self.due = self.due.max(now).saturating_add(pause);
        self.in_flight = false;
    }

    /// The component started anew at `now`: the next attempt is due at once, and pauses are short again.
    pub const fn reset(&mut self, now: Duration) {
        *self = Self { exec: self.exec, due: now, pause: FIRST_PAUSE, in_flight: false };
    }
}

/// Bounds the probes of a whole run: so many starts in any second, and so many execs at a time.
///
/// A token bucket. It holds a fifth of a second's worth, so a burst goes through at once and the rest is spread evenly;
/// what comes in a second is that much less, which makes the bound hold for every window of one second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    capacity: u128,
    per_second: u128,
    credit: u128,
    at: Duration,
    execs: usize,
    most_execs: usize,
}

impl Budget {
    /// At most `per_second` starts in any second and `execs` at a time; both count as 1 when 0.
    #[must_use]
    pub fn new(per_second: u32, execs: usize) -> Self {
        let burst = (per_second / 5).max(1);
        let capacity = u128::from(burst) * COST;
        let per_second = u128::from(per_second.max(1) - burst + 1);
        Self { capacity, per_second, credit: capacity, at: Duration::ZERO, execs: 0, most_execs: execs.max(1) }
    }

    /// Takes the right to start one attempt at `now`. For an exec, [`exec_ended`](Self::exec_ended) must follow once
    /// it ended.
    ///
    /// # Errors
    /// When nothing may start now: `Some` moment to try again, or None if the end of an exec has to come first.
    pub fn try_take(&mut self, now: Duration, exec: bool) -> Result<(), Option<Duration>> {
        self.refill(now);
        if exec && self.execs >= self.most_execs {
            return Err(None);
        }
        if self.credit < COST {
            let wait = (COST - self.credit).div_ceil(self.per_second);
            return Err(Some(self.at.saturating_add(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))));
        }
        self.credit -= COST;
        self.execs += usize::from(exec);
        Ok(())
    }

    /// An exec that was granted ended.
    pub const fn exec_ended(&mut self) {
        self.execs = self.execs.saturating_sub(1);
    }

    /// Adds what came since the last call; a `now` from before that changes nothing.
    fn refill(&mut self, now: Duration) {
        let gained = now.saturating_sub(self.at).as_nanos().saturating_mul(self.per_second);
        self.credit = self.credit.saturating_add(gained).min(self.capacity);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn pauses_grow_by_half_up_to_a_quarter_second() {
        let mut pace = Pace::new(false);
        assert_eq!(pace.due(), Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            pace.started(now);
            assert_eq!(pace.due(), Duration::MAX);
            pace.answered(now + ms(1), ms(1));
            pauses.push((pace.due() - now - ms(1)).as_millis());
            now = pace.due();
        }
        assert_eq!(pauses, [10, 15, 22, 33, 50, 75, 113, 170, 250, 250, 250, 250]);
        pace.reset(now);
        assert_eq!(pace.due(), now);
        pace.started(now);
        pace.answered(now, ms(0));
        assert_eq!(pace.due() - now, ms(10));
    }

    #[test]
    fn an_exec_pauses_as_long_as_it_took() {
        let mut pace = Pace::new(true);
        for (took, pause) in [(5, 200), (200, 200), (900, 900), (30_000, 30_000)] {
            let now = pace.due() + ms(took);
            pace.started(pace.due());
            pace.answered(now, ms(took));
            assert_eq!(pace.due() - now, ms(pause));
        }
    }

    #[test]
    fn execs_are_bounded_by_number_and_take_nothing_when_refused() {
        let mut budget = Budget::new(200, 2);
        assert_eq!(budget.try_take(ms(0), true), Ok(()));
        assert_eq!(budget.try_take(ms(0), true), Ok(()));
        let before = budget.clone();
        assert_eq!(budget.try_take(ms(0), true), Err(None));
        assert_eq!(budget, before);
        assert_eq!(budget.try_take(ms(0), false), Ok(()));
        budget.exec_ended();
        assert_eq!(budget.try_take(ms(0), true), Ok(()));
    }

    #[test]
    fn a_burst_passes_and_the_rest_is_spread() {
        let mut budget = Budget::new(200, 1);
        let burst = (0..).take_while(|_| budget.try_take(ms(0), false).is_ok()).count();
        assert_eq!(burst, 40);
        let again = budget.try_take(ms(0), false).unwrap_err().unwrap();
        assert!(again > ms(6) && again < ms(7), "{again:?}");
        assert_eq!(budget.try_take(again, false), Ok(()));
    }

    /// Starts as many as the budget allows, at times given as gaps, following its advice on when to try again if told.
    fn starts(budget: &mut Budget, gaps: &[u64], follow: bool) -> Vec<Duration> {
        let (mut now, mut starts) = (Duration::ZERO, Vec::new());
        for gap in gaps {
            now += Duration::from_micros(*gap);
            match budget.try_take(now, false) {
                Ok(()) => starts.push(now),
                Err(Some(at)) if follow => {
                    now = at;
                    starts.extend(budget.try_take(now, false).is_ok().then_some(now));
                }
                Err(_) => {}
            }
        }
        starts
    }

    proptest! {
        #[test]
        fn no_second_sees_more_starts_than_the_budget(
            rate in 1u32..260,
            gaps in prop::collection::vec(prop_oneof![9 => 0u64..3_000, 1 => 0u64..2_000_000], 0..900),
            follow: bool,
        ) {
            let starts = starts(&mut Budget::new(rate, 1), &gaps, follow);
            for (first, start) in starts.iter().enumerate() {
                let within = starts[first..].iter().take_while(|t| **t - *start < Duration::from_secs(1)).count();
                prop_assert!(within <= rate as usize, "{within} starts within a second of {start:?}");
            }
        }

        #[test]
        fn the_moment_to_try_again_is_later_and_then_it_works(rate in 1u32..500, times in prop::collection::vec(0u64..5_000, 1..400)) {
            let mut budget = Budget::new(rate, 1);
            let mut latest = Duration::ZERO;
            for time in times {
                latest = latest.max(ms(time));
                if let Err(Some(at)) = budget.try_take(ms(time), false) {
                    prop_assert!(at > latest);
                    prop_assert!(budget.clone().try_take(at - Duration::from_nanos(1), false).is_err());
                    prop_assert_eq!(budget.clone().try_take(at, false), Ok(()));
                }
            }
        }

        #[test]
        fn due_never_goes_back(exec: bool, steps in prop::collection::vec((0u64..400, 0u64..2_000, prop::bool::weighted(0.1)), 0..80)) {
            let mut pace = Pace::new(exec);
            let mut now = Duration::ZERO;
            for (late, took, reset) in steps {
                let due = pace.due();
                now = now.max(due) + ms(late);
                pace.started(now);
                now += ms(took);
                if reset { pace.reset(now) } else { pace.answered(now, ms(took)) }
                prop_assert!(pace.due() >= due && pace.due() >= now);
                let pause = pace.due() - now;
                let expected = if exec { ms(took.max(200))..=ms(took.max(200)) } else { ms(10)..=ms(250) };
                prop_assert!(reset || expected.contains(&pause), "{:?}", pause);
            }
        }
    }
}
