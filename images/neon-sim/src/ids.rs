//! Ids, positions in the log and generations, written and read exactly as Neon's programs do it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text isn't an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// Not 32 characters (shard ids: 32 or 37).
    #[error("Invalid string length")]
    Length,
    /// Something else than hexadecimal digits where they belong.
    #[error("Invalid character")]
    Character,
    /// Not `X/Y` in hexadecimal digits.
    #[error("invalid LSN")]
    Lsn,
}

/// Serde as the text of `Display` and `FromStr`.
macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // Parsed while the text is read: so the place of an error is that of the text.
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(stringify!($name))
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

/// 16 bytes, written as 32 hexadecimal digits.
macro_rules! id_of_16_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                if text.len() != 32 {
                    return Err(BadId::Length);
                }
                hex_digits(text)?;
                u128::from_str_radix(text, 16).map(Self).map_err(|_| BadId::Character)
            }
        }

        as_text!($name);
    };
}

id_of_16_bytes! {
    /// A tenant: what a user would call a project.
    TenantId
}
id_of_16_bytes! {
    /// A timeline: a branch of a tenant.
    TimelineId
}

/// `from_str_radix` would also take a sign.
fn hex_digits(text: &str) -> Result<(), BadId> {
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) { Ok(()) } else { Err(BadId::Character) }
}

/// One shard of a tenant; count 0 is a tenant that isn't sharded, written as its plain id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantShardId {
    pub tenant_id: TenantId,
    pub shard_number: u8,
    pub shard_count: u8,
}

impl TenantShardId {
    /// The only shard of a tenant without shards.
    pub fn unsharded(tenant_id: TenantId) -> Self {
        Self { tenant_id, shard_number: 0, shard_count: 0 }
    }

    /// The first shard: the one that is asked about timelines.
    pub fn is_zero(&self) -> bool {
        self.shard_number == 0
    }

    pub fn is_unsharded(&self) -> bool {
        self.shard_count == 0
    }
}

impl fmt::Display for TenantShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tenant_id)?;
        if self.is_unsharded() {
            return Ok(());
        }
        write!(f, "-{:02x}{:02x}", self.shard_number, self.shard_count)
    }
}

impl FromStr for TenantShardId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        if text.len() == 32 {
            return text.parse().map(Self::unsharded);
        }
        if text.len() != 37 || !text.is_ascii() {
            return Err(BadId::Length);
        }
        let (tenant, shard) = text.split_at(32);
        let shard = shard.strip_prefix('-').ok_or(BadId::Character)?;
        hex_digits(shard)?;
        let byte = |range| u8::from_str_radix(&shard[range], 16).map_err(|_| BadId::Character);
        Ok(Self { tenant_id: tenant.parse()?, shard_number: byte(0..2)?, shard_count: byte(2..4)? })
    }
}

as_text!(TenantShardId);

/// A pageserver or a safekeeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NodeId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// How often a shard has been attached anywhere; the storage controller alone counts it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in the write-ahead log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    pub const INVALID: Self = Self(0);
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl FromStr for Lsn {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let half = |part: &str| {
            hex_digits(part).map_err(|_| BadId::Lsn)?;
            u32::from_str_radix(part, 16).map_err(|_| BadId::Lsn)
        };
        let (high, low) = text.split_once('/').ok_or(BadId::Lsn)?;
        Ok(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

as_text!(Lsn);

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "aaaa0000000000000000000000000001";

    #[test]
    fn ids_are_written_as_they_are_read() {
        assert_eq!(TENANT.parse::<TenantId>().unwrap().to_string(), TENANT);
        for shard in [TENANT.to_owned(), format!("{TENANT}-0002"), format!("{TENANT}-0a10")] {
            assert_eq!(shard.parse::<TenantShardId>().unwrap().to_string(), shard);
        }
        for lsn in ["0/0", "0/14D8AB0", "F/0", "1/FFFFFFFF"] {
            assert_eq!(lsn.parse::<Lsn>().unwrap().to_string(), lsn);
        }
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        assert_eq!("xyz".parse::<TenantId>(), Err(BadId::Length));
        assert_eq!("+aaa0000000000000000000000000001".parse::<TenantId>(), Err(BadId::Character));
        assert_eq!(format!("{TENANT}-0102-0102").parse::<TenantShardId>(), Err(BadId::Length));
        assert_eq!(format!("{TENANT}-+102").parse::<TenantShardId>(), Err(BadId::Character));
        for lsn in ["zz", "0", "/", "+1/0", "0/100000000"] {
            assert_eq!(lsn.parse::<Lsn>(), Err(BadId::Lsn), "{lsn}");
        }
    }

    #[test]
    fn on_the_wire_ids_are_texts_and_numbers() {
        let shard: TenantShardId = serde_json::from_str(&format!("\"{TENANT}-0002\"")).unwrap();
        assert_eq!(
            serde_json::to_string(&(shard, NodeId(1), Generation(2), Lsn(0x10))).unwrap(),
            format!("[\"{TENANT}-0002\",1,2,\"0/10\"]")
        );
    }
}
