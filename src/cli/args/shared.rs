//! What several commands have in common.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::cluster::PullPolicy;
use crate::names::ComponentName;
use crate::units::parse_duration;

/// Where a cluster's description comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct Source {
    /// Compose file, - for standard input; several are merged, later ones win
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Parameter of the template
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
    /// Services of the Compose file, or else a template and services of it; none: all
    #[arg(value_name = "TEMPLATE | SERVICE")]
    pub names: Vec<String>,
    /// A template, where that isn't a user's to say.
    #[arg(skip)]
    pub template: Option<String>,
}

/// The files that name a cluster, for commands that need nothing else from them.
#[derive(Debug, Clone, Default, Args)]
pub struct Files {
    /// Compose file that names the cluster
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,
}

/// Some components of a cluster.
#[derive(Debug, Clone, Args)]
pub struct Components {
    /// The cluster.
    #[command(flatten)]
    pub files: Files,
    /// Components or services; none: all
    #[arg(value_name = "COMPONENT")]
    pub components: Vec<String>,
}

/// How long, and what then.
#[derive(Debug, Clone, Args)]
pub struct Waiting {
    /// Limit for the whole start, such as 90s or 5m; without it: 60 s without progress for images, then 5 min
    #[arg(long, alias = "wait-timeout", value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// What to do with what this run started when it fails
    #[arg(long = "on-failure", value_enum, default_value = "stop", value_name = "WHAT")]
    pub on_failure: OnFailure,
    /// Fail at once if another run works on the cluster
    #[arg(long)]
    pub no_wait_lock: bool,
}

/// What to do with what a failed run started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    /// Stop it
    Stop,
    /// Leave it as it is
    Keep,
    /// Remove it
    Remove,
}

/// When images are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PullWhen {
    /// Each time
    Always,
    /// When the engine doesn't have it
    #[value(alias = "if_not_present")]
    Missing,
    /// Never
    Never,
}

impl From<PullWhen> for PullPolicy {
    fn from(when: PullWhen) -> Self {
        match when {
            PullWhen::Always => Self::Always,
            PullWhen::Missing => Self::Missing,
            PullWhen::Never => Self::Never,
        }
    }
}

pub(in crate::cli) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} should be KEY=VALUE")),
    }
}

pub(in crate::cli) fn duration(text: &str) -> Result<Duration, String> {
    // A bare number means seconds here, as in `docker compose`.
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => parse_duration(text).map_err(|error| error.to_string()),
    }
}

/// A moment: a time, a day, seconds since 1970, or so long ago.
pub(in crate::cli) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = parse_duration(text) {
        let ago = jiff::SignedDuration::try_from(ago).map_err(|error| error.to_string())?;
        return Timestamp::now().checked_sub(ago).map_err(|error| error.to_string());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Some(time) = text.parse::<i64>().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()) {
        return Ok(time);
    }
    // Without a zone it is that of here.
    let here =
        text.parse::<jiff::civil::DateTime>().ok().and_then(|time| time.to_zoned(jiff::tz::TimeZone::system()).ok());
    here.map(|time| time.timestamp())
        .ok_or_else(|| format!("{text:?} is neither a time such as 2026-01-31T12:00:00Z nor a duration such as 10m"))
}

/// Whether `name` means this component: itself, or its service.
#[must_use]
pub fn names_component(name: &str, component: &ComponentName, service: &str) -> bool {
    component.as_str() == name || service == name
}
