//! By example: small Compose texts through `compose::load` and the resolver.

mod builds;
mod files;
mod networks;
mod ports;
mod references;
mod services;
mod waits;

use std::path::Path;

use super::{ResolveOptions, resolve};
use crate::cluster::{Cluster, Component};
use crate::compose::{self, Diagnostics, LoadOptions, Loaded, Source};

/// Loads a text as the file `compose.yaml` of a folder.
fn load(folder: &Path, text: &str) -> Loaded {
    let source =
        Source { name: "compose.yaml".to_owned(), text: text.to_owned(), path: Some(folder.join("compose.yaml")) };
    let env = [("HOME", "/home/me"), ("TOKEN", "s3cr3t")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = LoadOptions { env: std::collections::BTreeMap::from(env).into(), ..LoadOptions::default() };
    compose::load(&[source], &options).unwrap_or_else(|problems| panic!("{problems}"))
}

fn local() -> ResolveOptions {
    ResolveOptions { engine_is_local: true, ..ResolveOptions::default() }
}

fn try_with(text: &str, options: &ResolveOptions) -> Result<(Cluster, Diagnostics), Diagnostics> {
    resolve(&load(Path::new("/demo"), text), options)
}

/// The cluster of a text without problems, on a local engine.
fn good(text: &str) -> Cluster {
    let (cluster, warnings) = try_with(text, &local()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(warnings.is_empty(), "{warnings}");
    cluster
}

/// What is wrong with a text, as shown.
fn problems(text: &str) -> String {
    match try_with(text, &local()) {
        Ok(_) => panic!("no problem found"),
        Err(problems) => problems.to_string(),
    }
}

/// The messages alone.
fn messages(text: &str) -> Vec<String> {
    match try_with(text, &local()) {
        Ok((_, warnings)) => warnings.iter().map(|warning| warning.message.clone()).collect(),
        Err(problems) => problems.iter().map(|problem| problem.message.clone()).collect(),
    }
}

fn one<'a>(cluster: &'a Cluster, name: &str) -> &'a Component {
    &cluster.components[name]
}

fn names(cluster: &Cluster) -> Vec<&str> {
    cluster.components.keys().map(|name| name.as_str()).collect()
}
