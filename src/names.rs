//! Names that are parsed once and then can't be confused with one another.
//!
//! Each is a thin wrapper around a string which was checked at the edge; inside the program the type says which kind
//! of name it is. They are shared when cloned: a large cluster's plan holds each name thousands of times.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text isn't a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name:?} {rule}")]
pub struct NameError {
    /// What it should have been, such as "cluster name".
    pub kind: &'static str,
    /// The text as given.
    pub name: String,
    /// The rule that it breaks, phrased to follow the name.
    pub rule: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `name` and wraps it.
            ///
            /// # Errors
            /// When the text breaks the rule for this kind of name.
            pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
                let name = name.as_ref();
                let valid: fn(&str) -> bool = $valid;
                if !valid(name) {
                    return Err(NameError { kind: $kind, name: name.to_owned(), rule: $rule });
                }
                Ok(Self(name.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// The name of a cluster: Compose's project name.
    ClusterName,
    "cluster name",
    "must start with a lower-case letter or digit and hold only lower-case letters, digits, '-' and '_'",
    |s| s.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && s.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
);

name_type!(
    /// The name of a service: a key under `services` in a Compose file.
    ServiceName,
    "service name",
    "must start with a letter or digit and hold only letters, digits, '.', '_' and '-'",
    is_key
);

name_type!(
    /// The name of a component: one container of a service. It is `service-n`, or just `service` when there is one.
    ComponentName,
    "component name",
    "must start with a letter or digit and hold only letters, digits, '.', '_' and '-'",
    is_key
);

name_type!(
    /// The key of a network in a Compose file; the engine's name for it is another matter.
    NetworkKey,
    "network name",
    "must start with a letter or digit and hold only letters, digits, '.', '_' and '-'",
    is_key
);

name_type!(
    /// The key of a volume in a Compose file; the engine's name for it is another matter.
    VolumeKey,
    "volume name",
    "must start with a letter or digit and hold only letters, digits, '.', '_' and '-'",
    is_key
);

name_type!(
    /// The engine's identifier of a container.
    ContainerId,
    "container id",
    "must not be empty",
    |s| !s.is_empty()
);

fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

impl ClusterName {
    /// Makes a cluster name out of any text, such as a directory's name, the way Compose does: lower-cased, other
    /// characters dropped, leading `_` and `-` trimmed.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn normalized(text: &str) -> Result<Self, NameError> {
        let kept: String = text
            .to_lowercase()
            .chars()
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-' || *c == '_')
            .collect();
        Self::new(kept.trim_start_matches(['-', '_']))
    }
}

impl ContainerId {
    /// The first twelve characters, as the engine's own tools show it.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_name_becomes_a_cluster_name() {
        assert_eq!(ClusterName::normalized("_My Project.1").unwrap().as_str(), "myproject1");
        assert!(ClusterName::normalized("---").is_err());
    }

    #[test]
    fn the_error_names_the_rule() {
        let error = ServiceName::new("a b").unwrap_err().to_string();
        assert!(error.starts_with("service name \"a b\" must start"), "{error}");
    }
}
