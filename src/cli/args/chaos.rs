//! `convoke chaos`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::shared::{Components, Files, duration};

/// `convoke chaos`
#[derive(Debug, Clone, Args)]
pub struct Chaos {
    /// What to do; none: list.
    #[command(subcommand)]
    pub verb: Option<ChaosVerb>,
}

/// What `convoke chaos` does.
#[derive(Debug, Clone, Subcommand)]
pub enum ChaosVerb {
    /// Kill it by the engine: its restart policy doesn't answer
    Kill(Break),
    /// Let its process die as if by itself: its restart policy answers
    Crash(Break),
    /// Stop it by the engine: its stop signal, then SIGKILL after its grace period
    Stop(Break),
    /// Freeze it: it answers nothing, and isn't gone
    Pause(Break),
    /// Stop it and start it at once
    Restart(Components),
    /// Take it off its networks: nobody reaches it, it reaches nobody
    Partition(Break),
    /// Undo what was broken: connect it where it was, let it go on, start it
    Heal(Components),
    /// Show what is broken
    List(Files),
}

/// What is broken, and for how long.
#[derive(Debug, Clone, Args)]
pub struct Break {
    /// The cluster.
    #[command(flatten)]
    pub files: Files,
    /// Heal it after this time, or on Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with = "until_interrupted")]
    pub duration: Option<Duration>,
    /// Heal it on Ctrl-C
    #[arg(long)]
    pub until_interrupted: bool,
    /// Components or services
    #[arg(value_name = "COMPONENT", required = true)]
    pub components: Vec<String>,
}
