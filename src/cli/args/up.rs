//! Commands that bring a cluster up.

use std::time::Duration;

use clap::Args;

use super::shared::{Components, PullWhen, Source, Waiting, duration, key_value};

/// How a cluster is made from its description.
#[derive(Debug, Clone, Args)]
pub struct Making {
    /// Number of containers of a service, such as web=3
    #[arg(long, value_name = "SERVICE=N", value_parser = key_value)]
    pub scale: Vec<(String, String)>,
    /// Build images even if they are there
    #[arg(long)]
    pub build: bool,
    /// When images are pulled, instead of the file's pull_policy
    #[arg(long, value_enum, value_name = "WHEN")]
    pub pull: Option<PullWhen>,
    /// Remove components that run in the cluster and that the file doesn't have
    #[arg(long)]
    pub remove_orphans: bool,
    /// Address that ports are published on where the file gives none
    #[arg(long, value_name = "IP")]
    pub publish_address: Option<std::net::IpAddr>,
    /// Where networks get their subnets from
    #[arg(long, value_name = "CIDR", env = "CONVOKE_POOL")]
    pub pool: Option<String>,
}

/// `convoke up`
#[derive(Debug, Clone, Args)]
pub struct Up {
    /// Where the cluster's description comes from.
    #[command(flatten)]
    pub source: Source,
    /// How long.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Remove the cluster, its volumes too, when the process that started convoke is gone, however it ends
    #[arg(long, conflicts_with = "supervise")]
    pub ephemeral: bool,
    /// The process that an ephemeral cluster lives as long as, instead of convoke's parent
    #[arg(long, value_name = "PID", requires = "ephemeral")]
    pub owner_pid: Option<u32>,
    /// How it is made.
    #[command(flatten)]
    pub making: Making,
    /// Of the services named only these, not what they depend on
    #[arg(long)]
    pub no_deps: bool,
    /// Make the containers, and start none
    #[arg(long, conflicts_with_all = ["ephemeral", "supervise"])]
    pub no_start: bool,
    /// Replace all replicas of a service at once, not each when the one before is ready
    #[arg(long)]
    pub at_once: bool,
    /// Replace the containers even if nothing changed: of the services named, or else all
    #[arg(long, conflicts_with_all = ["no_recreate", "supervise"])]
    pub force_recreate: bool,
    /// Keep the containers that are there, whatever changed
    #[arg(long, conflicts_with = "supervise")]
    pub no_recreate: bool,
    /// Build no image: those that the file says how to build have to be there
    #[arg(long, conflicts_with_all = ["build", "supervise"])]
    pub no_build: bool,
    /// Show what would be done, and why; do nothing
    #[arg(long, alias = "dry-run", conflicts_with = "ephemeral")]
    pub plan: bool,
    /// Go on when all is ready, and keep it so: see `convoke supervise`
    #[arg(long, conflicts_with_all = ["ephemeral", "plan", "at_once"])]
    pub supervise: bool,
    /// Start calls in flight at most
    #[arg(long, value_name = "N", default_value = "8", hide = true)]
    pub parallel: usize,
    /// Accepted for habit's sake: `up` always returns when the cluster is ready
    #[arg(short, long, hide = true)]
    pub detach: bool,
    /// Accepted for habit's sake: `up` always waits
    #[arg(long, hide = true)]
    pub wait: bool,
    /// Accepted for habit's sake: few lines say how a pull goes
    #[arg(long, hide = true)]
    pub quiet_pull: bool,
    /// Accepted for habit's sake: nothing is asked
    #[arg(short = 'y', long, hide = true)]
    pub yes: bool,
}

/// `convoke supervise`
#[derive(Debug, Clone, Args)]
pub struct Supervise {
    /// Where the cluster's description comes from; without it, what the cluster was last started from.
    #[command(flatten)]
    pub source: Source,
    /// How it is made.
    #[command(flatten)]
    pub making: Making,
    /// Restart a component that isn't ready within this time; without it: 5 min
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub ready_within: Option<Duration>,
    /// Give a component up after it was brought back so often in a row
    #[arg(long, value_name = "N", default_value = "10")]
    pub attempts: u32,
}

/// `convoke start`, `convoke restart`
#[derive(Debug, Clone, Args)]
pub struct Restart {
    /// Which.
    #[command(flatten)]
    pub which: Components,
    /// How long.
    #[command(flatten)]
    pub waiting: Waiting,
}
