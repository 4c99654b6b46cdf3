//! Times as the programs write them.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// UTC, always with three digits of milliseconds: `2026-11-23T01:15:59.490Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(Timestamp);

impl Stamp {
    pub fn now() -> Self {
        Self(Timestamp::now())
    }

    /// Now and some more.
    pub fn in_the_future(time: SignedDuration) -> Self {
        Self(Timestamp::now().saturating_add(time).unwrap_or(Timestamp::MAX))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl FromStr for Stamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_three_digits() {
        for (text, written) in [
            ("2026-11-23T01:15:59.494Z", "2026-11-23T01:15:59.494Z"),
            ("2026-11-23T01:15:59.67Z", "2026-11-23T01:15:59.670Z"),
            ("2026-11-23T01:15:59Z", "2026-11-23T01:15:59.000Z"),
        ] {
            assert_eq!(text.parse::<Stamp>().unwrap().to_string(), written);
        }
    }
}
