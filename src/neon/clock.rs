//! How far the clocks of others are from this program's, as far as their answers tell (`Date:`). Tokens hold until a
//! moment, and a bucket refuses requests that are signed at another time than its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// Less than this is nobody's trouble.
const TOLERATED: SignedDuration = SignedDuration::from_secs(30);

/// By whose it is.
#[derive(Debug, Default)]
pub struct Clocks(Mutex<BTreeMap<String, SignedDuration>>);

impl Clocks {
    /// An answer had this date; it was asked for then.
    pub fn note(&self, whose: &str, date: &[u8], asked: Timestamp) {
        let Some(ahead) = std::str::from_utf8(date).ok().and_then(|date| ahead(date, asked, Timestamp::now())) else {
            return;
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(whose.to_owned(), ahead);
    }

    /// What is to be said of them.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let clocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.iter().filter_map(|(whose, ahead)| warning(whose, *ahead)).collect()
    }
}

/// By how much the other clock is ahead, at least: dates are in whole seconds, and made somewhere between the question
/// and the answer.
fn ahead(date: &str, asked: Timestamp, answered: Timestamp) -> Option<SignedDuration> {
    let date = DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(beyond(date, asked, answered))
}

fn beyond(date: Timestamp, asked: Timestamp, answered: Timestamp) -> SignedDuration {
    let earliest = date.duration_since(answered);
    let latest = date.duration_since(asked) + SignedDuration::from_secs(1);
    if earliest.is_positive() {
        earliest
    } else if latest.is_negative() {
        latest
    } else {
        SignedDuration::ZERO
    }
}

/// What is to be said of a clock that is ahead by this; None: nothing.
#[must_use]
pub fn warning(whose: &str, ahead: SignedDuration) -> Option<String> {
    (ahead.abs() > TOLERATED).then(|| {
        let how = if ahead.is_negative() { "behind" } else { "ahead of" };
        format!(
            "the clock of {whose} is {:#} {how} this one's: tokens end at another time than is meant, and a bucket may \
             refuse what it is sent (RequestTimeTooSkewed). Set the clocks by NTP; a virtual machine that slept may need a restart",
            SignedDuration::from_secs(ahead.abs().as_secs()),
        )
    })
}

/// The same for a time that was read between two moments, such as an engine's `SystemTime`.
#[must_use]
pub fn warning_of(whose: &str, time: Timestamp, asked: Timestamp, answered: Timestamp) -> Option<String> {
    warning(whose, beyond(time, asked, answered))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_difference_is_what_the_way_there_and_back_does_not_explain() {
        let (asked, answered) = (at("2026-01-01T12:00:00.5Z"), at("2026-01-01T12:00:10Z"));
        let rows = [
            ("Thu, 01 Jan 2026 12:00:00 GMT", 0),
            ("Thu, 01 Jan 2026 12:00:10 GMT", 0),
            ("Thu, 01 Jan 2026 12:01:10 GMT", 60),
            ("Thu, 01 Jan 2026 11:00:00 GMT", -3599),
        ];
        for (date, seconds) in rows {
            assert_eq!(ahead(date, asked, answered).unwrap().as_secs(), seconds, "{date}");
        }
        assert_eq!(ahead("yesterday", asked, answered), None);
    }

    #[test]
    fn half_a_minute_is_tolerated() {
        let of = |seconds| warning("pageserver-1", SignedDuration::from_secs(seconds));
        assert_eq!((of(0), of(30), of(-30)), (None, None, None));
        assert!(of(31).unwrap().starts_with("the clock of pageserver-1 is 31s ahead of this one's: "));
        assert!(of(-7200).unwrap().starts_with("the clock of pageserver-1 is 2h behind this one's: "));
    }

    #[test]
    fn the_last_answer_counts() {
        let clocks = Clocks::default();
        let now = Timestamp::now();
        clocks.note("x", b"Thu, 01 Jan 2026 12:00:00 GMT", now);
        assert_eq!(clocks.warnings().len(), 1);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap();
        clocks.note("x", date.as_bytes(), now);
        clocks.note("y", b"\xff", now);
        assert_eq!(clocks.warnings(), Vec::<String>::new());
    }
}
