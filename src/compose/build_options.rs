//! What a build is told besides its context, Dockerfile, arguments and stage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a build may be told that every engine's own builder understands, and what it may not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildOptions {
    /// Images whose layers may be used, or other places of a cache (`type=…`).
    pub cache_from: Vec<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Network that its commands see.
    pub network: Option<String>,
    /// Use no layers of earlier builds.
    pub no_cache: bool,
    /// Ask for newer base images.
    pub pull: bool,
    /// Size of /dev/shm in bytes.
    pub shm_size: Option<u64>,
    /// Platforms of the image; none: the engine's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// More names of the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What only `BuildKit` understands. Boxed: few builds have any.
    #[serde(skip_serializing_if = "KitOptions::is_default")]
    pub kit: Box<KitOptions>,
}

/// What a build may be told that an engine's classic builder doesn't understand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KitOptions {
    /// Other contexts by name: directories (absolute once resolved), images, repositories.
    pub additional_contexts: BTreeMap<String, String>,
    /// Where layers are kept for later builds.
    pub cache_to: Vec<String>,
    /// What its commands may do besides the usual.
    pub entitlements: Vec<String>,
    /// Additional host names with their address.
    pub extra_hosts: Vec<(String, String)>,
    /// Stages that use no layers of earlier builds.
    pub no_cache_filter: Vec<String>,
    /// Its commands may ask for all privileges.
    pub privileged: bool,
    /// Attestation of how it was built.
    pub provenance: Option<String>,
    /// Attestation of what is in it.
    pub sbom: Option<String>,
    /// Agents and keys: `id` or `id=path`.
    pub ssh: Vec<String>,
    /// Resource limits of its commands, soft and hard.
    pub ulimits: BTreeMap<String, (i64, i64)>,
}

impl BuildOptions {
    /// Whether nothing is set.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The keys that are set and that an engine's classic builder doesn't understand; `secrets` aside.
    #[must_use]
    pub fn beyond_classic(&self) -> Vec<&'static str> {
        let kit = &self.kit;
        // No attestation is what the classic builder makes.
        let attests = |said: &Option<String>| said.as_deref().is_some_and(|said| said != "false");
        let keys = [
            ("additional_contexts", !kit.additional_contexts.is_empty()),
            ("cache_from", self.cache_from.iter().any(|from| from.contains('='))),
            ("cache_to", !kit.cache_to.is_empty()),
            ("entitlements", !kit.entitlements.is_empty()),
            ("extra_hosts", !kit.extra_hosts.is_empty()),
            ("no_cache_filter", !kit.no_cache_filter.is_empty()),
            ("privileged", kit.privileged),
            ("provenance", attests(&kit.provenance)),
            ("sbom", attests(&kit.sbom)),
            ("ssh", !kit.ssh.is_empty()),
            ("ulimits", !kit.ulimits.is_empty()),
        ];
        keys.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
    }
}

impl KitOptions {
    /// Whether nothing is set.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
