//! Virtual time: how long since the world began, and the wall clock that stands for it.

use std::time::Duration;

use jiff::Timestamp;

/// The wall clock at the beginning of every world, so that two runs of one seed show the same timestamps.
const BEGINNING: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The wall clock at a moment of the world.
pub(super) fn timestamp(since_beginning: Duration) -> Timestamp {
    BEGINNING + since_beginning
}

/// The moment of the world for a wall clock; the beginning if it lies before.
pub(super) fn moment(timestamp: Timestamp) -> Duration {
    Duration::try_from(timestamp.duration_since(BEGINNING)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_timestamps_are_inverse() {
        let at = Duration::from_micros(1_234_567);
        assert_eq!(moment(timestamp(at)), at);
        assert_eq!(moment(Timestamp::UNIX_EPOCH), Duration::ZERO);
    }
}
