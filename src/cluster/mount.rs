//! What is mounted into a container.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::compose::MountOptions;
use crate::names::VolumeKey;

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path inside.
    pub target: String,
    /// What is mounted.
    pub kind: MountKind,
    /// Not writable.
    pub read_only: bool,
    /// What else the engine is told.
    #[serde(default, skip_serializing_if = "MountOptions::is_default")]
    pub options: MountOptions,
}

impl Mount {
    /// A mount with nothing more said of it.
    #[must_use]
    pub fn new(target: impl Into<String>, kind: MountKind, read_only: bool) -> Self {
        Self { target: target.into(), kind, read_only, options: MountOptions::default() }
    }
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A named volume.
    Volume {
        /// Its key.
        key: VolumeKey,
        /// Don't copy the image's content into an empty volume.
        nocopy: bool,
    },
    /// A volume of its own, removed with the container.
    Anonymous,
    /// A path of the engine's host.
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
        /// Make the path if it isn't there (as a directory).
        create: bool,
    },
    /// Memory.
    Tmpfs {
        /// Size limit in bytes.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
        /// Other options of the short form, such as `noexec` or `uid=1000`.
        options: Option<String>,
    },
    /// The files of an image, which the engine must have.
    Image {
        /// Its reference.
        reference: String,
    },
}
