//! What an image is built from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::component::FileContent;
use crate::compose::BuildOptions;

/// How to build an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Absolute directory that is sent to the engine.
    pub context: PathBuf,
    /// Address of a repository or archive that the builder gets the context from, instead of `context`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// Path of the Dockerfile, relative to the context.
    pub dockerfile: String,
    /// Dockerfile text given in the file itself, instead of `dockerfile`.
    pub dockerfile_inline: Option<String>,
    /// Build arguments; None takes the value from convoke's environment.
    pub args: BTreeMap<String, Option<String>>,
    /// Stage to build.
    pub target: Option<String>,
    /// Secrets that its commands may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<BuildSecret>,
    /// Platform that the container asks for, of those that the image is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_on: Option<String>,
    /// What else the engine is told.
    #[serde(default, skip_serializing_if = "BuildOptions::is_default")]
    pub options: BuildOptions,
}

impl Build {
    /// The keys that are set and that an engine's classic builder doesn't understand.
    #[must_use]
    pub fn beyond_classic(&self) -> Vec<&'static str> {
        let secrets = (!self.secrets.is_empty()).then_some("secrets");
        let context = self.remote.as_ref().map(|_| "context");
        self.options.beyond_classic().into_iter().chain(secrets).chain(context).collect()
    }

    /// Where it is built from, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.remote.clone().unwrap_or_else(|| self.context.display().to_string())
    }
}

/// A secret that the commands of a build may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSecret {
    /// The name that the Dockerfile has for it.
    pub id: String,
    /// What is in it.
    pub content: FileContent,
}
