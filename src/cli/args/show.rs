//! Commands that show something, and `exec`.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::shared::{Components, Files, Source, key_value, moment};

/// `convoke config`
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Which.
    #[command(flatten)]
    pub source: Source,
    /// Show the cluster that `up` would start instead: components, addresses, probes, gates
    #[arg(long, group = "what")]
    pub resolved: bool,
    /// Print the names of the services
    #[arg(long, group = "what")]
    pub services: bool,
    /// Print the images
    #[arg(long, group = "what")]
    pub images: bool,
    /// Print the networks
    #[arg(long, group = "what")]
    pub networks: bool,
    /// Print the named volumes
    #[arg(long, group = "what")]
    pub volumes: bool,
    /// Print the profiles
    #[arg(long = "profiles", group = "what")]
    pub list_profiles: bool,
    /// Print the configuration hash of services, commas between; "*" for all
    #[arg(long, value_name = "SERVICES", group = "what")]
    pub hash: Option<String>,
    /// Print the variables that the files refer to, with defaults
    #[arg(long, group = "what")]
    pub variables: bool,
    /// Leave references to variables as they are
    #[arg(long, conflicts_with = "what")]
    pub no_interpolate: bool,
    /// Leave relative paths as they are
    #[arg(long)]
    pub no_path_resolution: bool,
    /// Write to a file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `convoke render`
#[derive(Debug, Clone, Args)]
pub struct Render {
    /// The template
    pub template: String,
    /// Parameter of the template
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
}

/// `convoke logs`
#[derive(Debug, Clone, Args)]
pub struct Logs {
    /// Go on with new lines
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// So many of the last lines of each component, or all
    #[arg(short = 'n', long, value_name = "LINES", value_parser = lines)]
    pub tail: Option<Lines>,
    /// Begin with the time of each line
    #[arg(short = 't', long)]
    pub timestamps: bool,
    /// Only lines from then on: a time such as 2026-01-31T12:00:00Z, or so long ago, such as 10m
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Only lines up to then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// Don't begin with the component's name
    #[arg(long)]
    pub no_log_prefix: bool,
    /// No colours, even on a terminal
    #[arg(long)]
    pub no_color: bool,
    /// Of services that have several containers only the one with this number
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
    /// Components or services; none: all
    #[arg(value_name = "COMPONENT")]
    pub components: Vec<String>,
    /// Compose file that names the cluster
    #[arg(long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,
}

/// How many lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines(pub Option<usize>);

fn lines(text: &str) -> Result<Lines, String> {
    match text {
        "all" => Ok(Lines(None)),
        _ => text.parse().map(|lines| Lines(Some(lines))).map_err(|_| "it should be a number, or all".to_owned()),
    }
}

/// `convoke ps`; quiet, it prints ids only
#[derive(Debug, Clone, Args)]
pub struct Ps {
    /// Which.
    #[command(flatten)]
    pub which: Components,
    /// Print the names of services only
    #[arg(long)]
    pub services: bool,
    /// Only containers that the engine calls so: created, running, paused, restarting, removing, exited, dead
    #[arg(long, value_name = "STATUS", value_parser = STATUSES)]
    pub status: Vec<String>,
    /// The same, as status=STATUS
    #[arg(long, value_name = "KEY=VALUE", value_parser = status_filter)]
    pub filter: Vec<String>,
    /// Accepted for habit's sake: those that are stopped are always shown
    #[arg(short, long, hide = true)]
    pub all: bool,
    /// Accepted for habit's sake: nothing is cut off
    #[arg(long, hide = true)]
    pub no_trunc: bool,
    /// Accepted for habit's sake: those that the file doesn't have are always shown
    #[arg(long, hide = true)]
    pub orphans: bool,
}

/// The engine's words for a container's state.
const STATUSES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

fn status_filter(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("status", status)) if STATUSES.contains(&status) => Ok(status.to_owned()),
        Some(("status", status)) => Err(format!("{status:?} is none of {}", STATUSES.join(", "))),
        _ => Err(format!("{text:?} should be status=STATUS")),
    }
}

/// `convoke exec`
#[derive(Debug, Clone, Args)]
pub struct Exec {
    /// Compose file that names the cluster
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// No terminal, even if there is one
    #[arg(short = 'T', long = "no-tty", visible_alias = "no-TTY")]
    pub no_tty: bool,
    /// Don't wait for its end, and show nothing of it
    #[arg(short, long)]
    pub detach: bool,
    /// Environment variable; without a value, as it is here
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub env: Vec<String>,
    /// The container with this number of a service that has several; without it the first that runs
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
    /// All privileges
    #[arg(long)]
    pub privileged: bool,
    /// User, as NAME or UID:GID
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Working directory inside
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Accepted for habit's sake: it reads what is typed here
    #[arg(short, long, hide = true)]
    pub interactive: bool,
    /// Accepted for habit's sake: there is a terminal where this command has one
    #[arg(short, long, hide = true)]
    pub tty: bool,
    /// The component
    pub component: String,
    /// Program and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `convoke port`
#[derive(Debug, Clone, Args)]
pub struct Port {
    /// The cluster.
    #[command(flatten)]
    pub files: Files,
    /// The component
    pub component: String,
    /// Port inside; none: all of them
    pub port: Option<u16>,
}

/// `convoke report`
#[derive(Debug, Clone, Args)]
pub struct Report {
    /// The cluster.
    #[command(flatten)]
    pub files: Files,
    /// List the recorded runs, newest first
    #[arg(long, conflicts_with = "run")]
    pub list: bool,
    /// Identifier of the run, or how it begins; none: the latest
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}
