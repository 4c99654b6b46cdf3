//! A small seeded generator (splitmix64): enough for schedules, and the same on every machine for one seed.

use std::time::Duration;

/// The generator.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    /// One for a seed; `stream` gives independent generators of the same seed.
    pub(super) const fn new(seed: u64, stream: u64) -> Self {
        Self(seed ^ stream.wrapping_mul(0xA076_1D64_78BD_642F))
    }

    /// The next 64 bits.
    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// A fraction in `0.0..1.0`.
    pub(super) fn fraction(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let bits = (self.next() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }

    /// True with this probability. Draws even for 0, so that changing a rate doesn't shift what follows.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// Whole milliseconds between the two, both included: tokio's clock has that grain.
    pub(super) fn between(&mut self, (least, most): (Duration, Duration)) -> Duration {
        let span = most.saturating_sub(least).as_millis();
        let extra = self.below(u64::try_from(span).unwrap_or(u64::MAX - 1) + 1);
        least + Duration::from_millis(extra)
    }

    /// A waiting time with this mean, exponentially distributed, at most 20 means.
    pub(super) fn waiting_time(&mut self, mean: Duration) -> Duration {
        let factor = -(1.0 - self.fraction()).ln();
        mean.mul_f64(factor.clamp(0.0, 20.0))
    }

    /// 64 hexadecimal digits, as the engine's ids have.
    pub(super) fn id(&mut self) -> String {
        (0..4).map(|_| format!("{:016x}", self.next())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_streams_differ() {
        let draw = |seed, stream| Rng::new(seed, stream).id();
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn bounds_hold() {
        let mut rng = Rng::new(3, 0);
        let range = (Duration::from_millis(2), Duration::from_millis(5));
        for _ in 0..1000 {
            assert!((range.0..=range.1).contains(&rng.between(range)));
            assert!(!rng.chance(0.0) && rng.chance(1.0));
            assert!(rng.waiting_time(range.0) <= range.0 * 20);
        }
    }
}
