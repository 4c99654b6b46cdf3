//! Compose's durations (`1m30s`) and byte sizes (`512m`), parsed and printed.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a text isn't a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}; write it like {example}")]
pub struct UnitError {
    /// The text as given.
    pub text: String,
    /// "duration" or "size in bytes".
    pub kind: &'static str,
    /// Examples of valid text.
    pub example: &'static str,
}

/// Parses a duration in Compose's notation: `1d1h5m30s20ms`, fractions allowed, units `us`, `ms`, `s`, `m`, `h`, `d`, `w`.
/// A bare `0` is zero.
///
/// # Errors
/// On any other text, negative values included.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let error = || UnitError { text: text.to_owned(), kind: "duration", example: "30s, 1m30s or 500ms" };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(error());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
        let number: f64 = rest[..end].parse().map_err(|_| error())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let seconds = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 24.0 * 3600.0,
            "w" => 7.0 * 24.0 * 3600.0,
            _ => return Err(error()),
        };
        rest = &rest[end..];
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| error())?;
        total = total.checked_add(part).ok_or_else(error)?;
    }
    Ok(total)
}

/// A size in bytes, written `64m`, `1g`, `2048`, `1.5gb`; the factor between units is 1024, as in Compose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Parses Compose's notation.
    ///
    /// # Errors
    /// On an unknown unit, a negative number, or one that doesn't fit.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError { text: text.to_owned(), kind: "size in bytes", example: "64m, 1g or 2048" };
        let lower = text.trim().to_ascii_lowercase();
        let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
        let number: f64 = lower[..end].parse().map_err(|_| error())?;
        let power = match lower[end..].trim().trim_end_matches('b').trim_end_matches('i') {
            "" => 0,
            "k" => 1,
            "m" => 2,
            "g" => 3,
            "t" => 4,
            "p" => 5,
            _ => return Err(error()),
        };
        let bytes = number * 1024f64.powi(power);
        if !bytes.is_finite() || bytes >= i64::MAX as f64 {
            return Err(error());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above: finite, positive, fits"
        )]
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
        let mut value = self.0 as f64;
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024.0 {
                return if unit == "B" { write!(f, "{value} B") } else { write!(f, "{value:.1} {unit}") };
            }
            value /= 1024.0;
        }
        write!(f, "{value:.1} TiB")
    }
}

/// Prints a duration for people: `4 ms`, `1.25 s`, `2 min 5 s`.
#[must_use]
pub fn human(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{:.2} s", duration.as_secs_f64()),
        10_000..60_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ if duration.as_secs() < 3600 => format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60),
        _ => format!("{} h {} min", duration.as_secs() / 3600, duration.as_secs() % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(parse_duration("500ms").unwrap(), Duration::from_millis(500));
        for wrong in ["", "5", "s", "1x", "-1s", "1..5s", "1e3s", "99999999999999999999h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(ByteSize::parse("64m").unwrap(), ByteSize(64 << 20));
        assert_eq!(ByteSize::parse("1.5GB").unwrap(), ByteSize(3 << 29));
        assert_eq!(ByteSize::parse("2048").unwrap(), ByteSize(2048));
        assert!(ByteSize::parse("5 apples").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,12}") {
            let _ = parse_duration(&text);
            let _ = ByteSize::parse(&text);
        }

        #[test]
        fn whole_milliseconds_survive(ms in 0u64..10_000_000) {
            prop_assert_eq!(parse_duration(&format!("{ms}ms")).unwrap(), Duration::from_millis(ms));
        }
    }
}
