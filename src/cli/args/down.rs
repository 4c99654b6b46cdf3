//! Commands that take a cluster down, and clean up.

use std::time::Duration;

use clap::Args;

use super::shared::{Components, Files, duration};

/// `convoke down`
#[derive(Debug, Clone, Args)]
pub struct Down {
    /// The cluster.
    #[command(flatten)]
    pub files: Files,
    /// Remove named volumes too: their data is lost
    #[arg(short, long)]
    pub volumes: bool,
    /// Time between a component's stop signal and SIGKILL, instead of the file's or 10 s
    #[arg(short, long, value_name = "SECONDS", value_parser = duration, conflicts_with = "grace")]
    pub time: Option<Duration>,
    /// Not more time than this between a component's stop signal and SIGKILL
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub grace: Option<Duration>,
    /// Dependents before what they depend on, cycles together; else all at once
    #[arg(long)]
    pub ordered: bool,
    /// Fail at once if another run works on the cluster
    #[arg(long)]
    pub no_wait_lock: bool,
}

/// `convoke stop`
#[derive(Debug, Clone, Args)]
pub struct Stop {
    /// Which.
    #[command(flatten)]
    pub which: Components,
    /// Time between a component's stop signal and SIGKILL, instead of the file's or 10 s
    #[arg(short, long, value_name = "SECONDS", value_parser = duration)]
    pub time: Option<Duration>,
    /// Dependents before what they depend on, cycles together; else all at once
    #[arg(long)]
    pub ordered: bool,
}

/// `convoke gc`
#[derive(Debug, Clone, Args)]
pub struct Gc {
    /// Remove it without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Volumes too, of clusters that have nothing else: their data is lost
    #[arg(long)]
    pub volumes: bool,
    /// Leave alone what is younger: a run that isn't seen from here may be working on it
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2m")]
    pub older_than: Duration,
}

/// `convoke watch-owner`, which `up --ephemeral` starts
#[derive(Debug, Clone, Args)]
pub struct WatchOwner {
    /// The process, in the words of the label
    #[arg(long)]
    pub owner: String,
}
