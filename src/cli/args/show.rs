//! Commands that show something, and `exec`.

use std::path::PathBuf;

use clap::Args;

use super::shared::{Files, Source, key_value};

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
    /// So many of the last lines of each component
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<usize>,
    /// Begin with the time of each line
    #[arg(short = 't', long)]
    pub timestamps: bool,
    /// Components or services; none: all
    #[arg(value_name = "COMPONENT")]
    pub components: Vec<String>,
    /// Compose file that names the cluster
    #[arg(long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,
}

/// `convoke exec`
#[derive(Debug, Clone, Args)]
pub struct Exec {
    /// Compose file that names the cluster
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// No terminal, even if there is one
    #[arg(short = 'T', long = "no-tty")]
    pub no_tty: bool,
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
