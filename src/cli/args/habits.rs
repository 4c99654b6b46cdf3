//! Arguments of the commands that users of docker compose expect.

use std::path::PathBuf;

use clap::Args;

use super::shared::{Components, Files, Source, duration, key_value};

/// `convoke kill`
#[derive(Debug, Clone, Args)]
pub struct Kill {
    /// Which.
    #[command(flatten)]
    pub which: Components,
    /// The signal
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    pub signal: String,
}

/// `convoke rm`
#[derive(Debug, Clone, Args)]
pub struct Remove {
    /// Components or services; none: all
    #[arg(value_name = "COMPONENT")]
    pub components: Vec<String>,
    /// Compose file that names the cluster
    #[arg(long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Remove without asking
    #[arg(short, long)]
    pub force: bool,
    /// Stop those that run, and remove them too
    #[arg(short, long)]
    pub stop: bool,
    /// Accepted for habit's sake: anonymous volumes always go with their containers
    #[arg(short, long, hide = true)]
    pub volumes: bool,
}

/// `convoke ls`
#[derive(Debug, Clone, Args)]
pub struct List {
    /// Clusters of which nothing runs, too
    #[arg(short, long)]
    pub all: bool,
}

/// `convoke images`
#[derive(Debug, Clone, Args)]
pub struct Images {
    /// Which.
    #[command(flatten)]
    pub which: Components,
}

/// `convoke volumes`
#[derive(Debug, Clone, Args)]
pub struct Volumes {
    /// The cluster.
    #[command(flatten)]
    pub files: Files,
}

/// `convoke wait`
#[derive(Debug, Clone, Args)]
pub struct Wait {
    /// The cluster.
    #[command(flatten)]
    pub files: Files,
    /// Take the cluster down afterwards
    #[arg(long)]
    pub down_project: bool,
    /// Not longer than this
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<std::time::Duration>,
    /// Components or services
    #[arg(value_name = "COMPONENT", required = true)]
    pub components: Vec<String>,
}

/// `convoke events`
#[derive(Debug, Clone, Args)]
pub struct Events {
    /// Which.
    #[command(flatten)]
    pub which: Components,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `convoke pull`
#[derive(Debug, Clone, Args)]
pub struct Pull {
    /// Which.
    #[command(flatten)]
    pub source: Source,
    /// What the services depend on, too
    #[arg(long)]
    pub include_deps: bool,
    /// Go on with the others when one can't be had, and don't fail
    #[arg(long)]
    pub ignore_pull_failures: bool,
    /// Accepted for habit's sake: what is built is never pulled
    #[arg(long, hide = true)]
    pub ignore_buildable: bool,
}

/// `convoke build`
#[derive(Debug, Clone, Args)]
pub struct Build {
    /// Which.
    #[command(flatten)]
    pub source: Source,
    /// What the services depend on, too
    #[arg(long)]
    pub with_dependencies: bool,
    /// Build argument, instead of the file's
    #[arg(long = "build-arg", value_name = "KEY=VALUE", value_parser = key_value)]
    pub args: Vec<(String, String)>,
    /// Use no layers of earlier builds
    #[arg(long)]
    pub no_cache: bool,
    /// Ask for newer base images
    #[arg(long)]
    pub pull: bool,
}
