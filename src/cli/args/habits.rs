//! Arguments of the commands that users of docker compose expect.

use std::path::PathBuf;

use clap::Args;

use super::shared::{Components, Files, PullWhen, Source, Waiting, duration};

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
    /// When images are pulled, instead of the file's pull_policy; without either, always
    #[arg(long, value_enum, value_name = "WHEN")]
    pub policy: Option<PullWhen>,
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
    /// Build argument, instead of the file's; without a value, as it is here
    #[arg(long = "build-arg", value_name = "KEY[=VALUE]")]
    pub args: Vec<String>,
    /// Agent or key for the build, instead of the file's: default, or ID=PATH
    #[arg(long, value_name = "ID[=PATH]")]
    pub ssh: Vec<String>,
    /// Use no layers of earlier builds
    #[arg(long)]
    pub no_cache: bool,
    /// Ask for newer base images
    #[arg(long)]
    pub pull: bool,
}

/// `convoke run`
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// Compose file that the service is in
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Remove the container when it ends
    #[arg(long = "rm")]
    pub remove: bool,
    /// Print the container's name, and don't wait for its end
    #[arg(short, long)]
    pub detach: bool,
    /// Environment variable; without a value, as it is here
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub env: Vec<String>,
    /// File of environment variables; -e wins over it
    #[arg(long, value_name = "FILE")]
    pub env_from_file: Vec<PathBuf>,
    /// Mount, in the short form of the file; paths with a dot are from here
    #[arg(short, long = "volume", value_name = "SOURCE:TARGET")]
    pub volumes: Vec<String>,
    /// Publish a port, in the short form of the file; -p does it too where the value looks like one
    #[arg(long, value_name = "HOST:PORT")]
    pub publish: Vec<String>,
    /// Publish the service's own ports
    #[arg(short = 'P', long)]
    pub service_ports: bool,
    /// Name of the container
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Don't start what the service depends on
    #[arg(long)]
    pub no_deps: bool,
    /// Entry point instead of the service's, which takes its command away too
    #[arg(long, value_name = "COMMAND")]
    pub entrypoint: Option<String>,
    /// Working directory inside
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// User, as NAME or UID:GID
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Label of the container
    #[arg(short, long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Capability to add
    #[arg(long = "cap-add", value_name = "CAPABILITY")]
    pub cap_add: Vec<String>,
    /// Capability to drop
    #[arg(long = "cap-drop", value_name = "CAPABILITY")]
    pub cap_drop: Vec<String>,
    /// Let peers find it under the service's name and aliases
    #[arg(long)]
    pub use_aliases: bool,
    /// Build images even if they are there
    #[arg(long)]
    pub build: bool,
    /// When images are pulled, instead of the file's pull_policy
    #[arg(long, value_enum, value_name = "WHEN")]
    pub pull: Option<PullWhen>,
    /// Remove components that run in the cluster and that the file doesn't have
    #[arg(long)]
    pub remove_orphans: bool,
    /// Accepted for habit's sake: few lines say how a pull goes
    #[arg(long, hide = true)]
    pub quiet_pull: bool,
    /// No terminal, even if there is one
    #[arg(short = 'T', long = "no-tty", visible_alias = "no-TTY")]
    pub no_tty: bool,
    /// Whether it reads what is typed here
    #[arg(
        short,
        long,
        default_value = "true",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        value_name = "BOOL",
        action = clap::ArgAction::Set
    )]
    pub interactive: bool,
    /// Accepted for habit's sake: there is a terminal where this command has one
    #[arg(short, long, hide = true)]
    pub tty: bool,
    /// How long.
    #[command(flatten)]
    pub waiting: Waiting,
    /// The service
    pub service: String,
    /// Program and arguments, instead of the service's command
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `convoke cp`
#[derive(Debug, Clone, Args)]
pub struct Copy {
    /// Compose file that names the cluster
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// The container with this number of a service that has several; without it the first, or into all of them
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
    /// Into containers of `convoke run` too
    #[arg(long)]
    pub all: bool,
    /// Keep owners: else those of copied files are root inside, and you here
    #[arg(short, long)]
    pub archive: bool,
    /// Copy what a link leads to, not the link
    #[arg(short = 'L', long)]
    pub follow_link: bool,
    /// SERVICE:PATH or a path here; PATH/. for what is in a folder; - for an archive from standard input
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// A path here or SERVICE:PATH; - for an archive to standard output
    #[arg(value_name = "DESTINATION")]
    pub destination: String,
}
