//! Neon's ids, and the names that stand for them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text isn't an id or a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {rule}")]
pub struct BadId {
    what: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(u128);

        impl $name {
            /// A new one.
            ///
            /// # Errors
            /// When the system has no randomness to give.
            pub fn random() -> Result<Self, getrandom::Error> {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes)?;
                Ok(Self(u128::from_be_bytes(bytes)))
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let value = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
                let rule = "32 hexadecimal digits";
                value.map(Self).ok_or_else(|| BadId { what: $what, text: text.to_owned(), rule })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format!("{:032x}", self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

id_type!(
    /// A tenant.
    TenantId,
    "a tenant id"
);
id_type!(
    /// A timeline, which is what a branch's name stands for.
    TimelineId,
    "a timeline id"
);

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(BadId { what: $what, text: text.to_owned(), rule: $rule })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

text_type!(
    /// An endpoint: part of a component's name, and so of a host's.
    EndpointName,
    "an endpoint's name",
    "1 to 40 lower-case letters, digits and dashes, beginning with a letter or digit; and not storage, which is a component",
    |text| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=40).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with('-') && text != "storage"
    }
);
text_type!(
    /// A branch. It can't look like an id, so that either may be given.
    BranchName,
    "a branch's name",
    "1 to 100 letters, digits and . _ - /, beginning with a letter or digit, and not 32 hexadecimal digits",
    |text| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        (1..=100).contains(&text.len())
            && text.chars().all(allowed)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.parse::<TimelineId>().is_err()
    }
);

/// A position in the write-ahead log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lsn(pub u64);

impl FromStr for Lsn {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let half = |part: &str| {
            let digits = (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            digits.then(|| u32::from_str_radix(part, 16).ok()).flatten()
        };
        let both = text.split_once('/').and_then(|(high, low)| Some((half(high)?, half(low)?)));
        let rule = "two hexadecimal numbers as in 0/16B5A50";
        let (high, low) = both.ok_or_else(|| BadId { what: "an LSN", text: text.to_owned(), rule })?;
        Ok(Self(u64::from(high) << 32 | u64::from(low)))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff))
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Lsn {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<Lsn> for String {
    fn from(lsn: Lsn) -> Self {
        lsn.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_an_id_is_refused_with_the_rule() {
        for text in ["", "xyz", "+aaa0000000000000000000000000001", "aaaa00000000000000000000000000011"] {
            assert!(text.parse::<TenantId>().is_err(), "{text}");
        }
        for text in ["", "Main", "-x", "a_b", "a.b", "storage"] {
            assert!(text.parse::<EndpointName>().is_err(), "{text}");
        }
        for text in ["", "-x", "a b", "aaaa0000000000000000000000000001", "a'b"] {
            assert!(text.parse::<BranchName>().is_err(), "{text}");
        }
        for text in ["zz", "0", "/", "0/100000000", "+1/0", "0/1/2"] {
            let error = text.parse::<Lsn>().unwrap_err();
            assert_eq!(error.to_string(), format!("{text:?} is not an LSN: two hexadecimal numbers as in 0/16B5A50"));
        }
    }

    proptest! {
        #[test]
        fn ids_and_positions_are_written_as_they_are_read(id: u128, lsn: u64) {
            let text = format!("{id:032x}");
            prop_assert_eq!(text.parse::<TimelineId>().unwrap().to_string(), text);
            prop_assert_eq!(Lsn(lsn).to_string().parse::<Lsn>().unwrap(), Lsn(lsn));
        }

        #[test]
        fn no_text_makes_them_panic(text: String) {
            _ = text.parse::<TenantId>();
            _ = text.parse::<Lsn>();
            _ = text.parse::<BranchName>();
        }
    }
}
