//! What images are made from, and which ones a component needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::component::{Cluster, Component, FileContent};
use super::mount::Mount;
use crate::compose::BuildOptions;
use crate::names::ServiceName;

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
    /// Images of other services that must be there first.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub bases: BTreeSet<String>,
    /// What else the engine is told.
    #[serde(default, skip_serializing_if = "BuildOptions::is_default")]
    pub options: BuildOptions,
}

impl Build {
    /// From the file `Dockerfile` of this directory, with nothing more said of it.
    #[must_use]
    pub fn new(context: impl Into<PathBuf>) -> Self {
        Self {
            context: context.into(),
            remote: None,
            dockerfile: "Dockerfile".to_owned(),
            dockerfile_inline: None,
            args: BTreeMap::new(),
            target: None,
            secrets: Vec::new(),
            runs_on: None,
            bases: BTreeSet::new(),
            options: BuildOptions::default(),
        }
    }

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

/// An image that others are built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The service that it is the image of.
    pub service: ServiceName,
    /// How it is built; None if it is pulled.
    pub build: Option<Build>,
    /// Contents of secrets, which must never be shown.
    #[serde(skip)]
    pub secrets: Vec<String>,
}

impl Component {
    /// The images that the engine must have before its container can be made: its own, and those that are mounted.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.image.as_str()).chain(self.spec.mounts.iter().filter_map(Mount::image))
    }
}

impl Cluster {
    /// The images that a component is made from, and those that these are built from, however indirectly.
    #[must_use]
    pub fn images_behind<'a>(&'a self, component: &'a Component) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = component.images().collect();
        while let Some(image) = open.pop() {
            if found.insert(image)
                && let Some((_, build)) = self.build_of(image)
            {
                open.extend(build.bases.iter().map(String::as_str));
            }
        }
        found
    }

    /// Whether an image is among those [behind](Self::images_behind) a component.
    #[must_use]
    pub fn is_behind(&self, image: &str, component: &Component) -> bool {
        let is_own = component.images().any(|own| own == image);
        is_own || (self.bases.contains_key(image) && self.images_behind(component).contains(image))
    }

    /// How an image is built, if it is, and the service that says so.
    #[must_use]
    pub fn build_of(&self, image: &str) -> Option<(&ServiceName, &Build)> {
        let own = self.components.values().filter(|component| component.image == image);
        let own = own.map(|component| (&component.service, component.build.as_ref()));
        let base = self.bases.get(image).map(|base| (&base.service, base.build.as_ref()));
        own.chain(base).find_map(|(service, build)| Some((service, build?)))
    }

    /// Contents of secrets, which must never be shown.
    pub fn secrets(&self) -> impl Iterator<Item = &String> {
        let of_components = self.components.values().flat_map(|component| &component.secrets);
        of_components.chain(self.bases.values().flat_map(|base| &base.secrets))
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
