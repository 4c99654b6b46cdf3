//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::habits::{Build, Events, Images, Kill, List, Pull, Remove, Volumes, Wait};
use crate::names::ComponentName;
use crate::probe::ReachMode;
use crate::report::Format;
use crate::units::parse_duration;

const EXIT_CODES: &str = "\
Exit codes:
  0    ready (or done)
  1    a component failed
  2    bad input
  3    the deadline passed
  4    the engine can't be reached
  5    locked by another run
  130  interrupted";

/// Starts every container of a cluster at once, and says the moment all of it is ready, or exactly why it is not.
#[derive(Debug, Parser)]
#[command(name = "convoke", version, about, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// Compose file, - for standard input; several are merged, later ones win
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Name of the cluster (Compose's project name)
    #[arg(
        short = 'p',
        long = "project",
        visible_alias = "project-name",
        value_name = "NAME",
        global = true,
        env = "COMPOSE_PROJECT_NAME"
    )]
    pub project: Option<String>,
    /// Folder that relative paths refer to; without it, that of the first Compose file
    #[arg(long, value_name = "DIR", global = true)]
    pub project_directory: Option<PathBuf>,
    /// File with variables that Compose files refer to, instead of .env; of several the later ones win
    #[arg(long = "env-file", value_name = "FILE", global = true)]
    pub env_files: Vec<PathBuf>,
    /// Profile to switch on, "*" for all; without it those of COMPOSE_PROFILES
    #[arg(long = "profile", value_name = "NAME", global = true)]
    pub profiles: Vec<String>,
    /// The engine, such as unix:///var/run/docker.sock or tcp://host:2375
    #[arg(short = 'H', long = "host", value_name = "URL", global = true)]
    pub host: Option<String>,
    /// How output looks: live lines, one line a change, or JSON lines
    #[arg(long, value_enum, global = true, value_name = "FORMAT")]
    pub format: Option<OutputFormat>,
    /// Show results and problems only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Folder with more templates; may be given several times
    #[arg(long = "template-dir", value_name = "DIR", global = true)]
    pub template_dirs: Vec<PathBuf>,
    /// How containers are reached by probes: auto, direct, published, exec
    #[arg(long, value_name = "WAY", global = true, default_value = "auto", env = "CONVOKE_REACH")]
    pub reach: ReachMode,
}

/// How output looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Live lines, one a component
    Tty,
    /// One line a change
    Plain,
    /// JSON
    Json,
    /// YAML, of `config` only
    Yaml,
}

impl Global {
    /// The format for reporters.
    #[must_use]
    pub const fn report_format(&self) -> Format {
        match self.format {
            None | Some(OutputFormat::Yaml) => Format::Auto,
            Some(OutputFormat::Tty) => Format::Tty,
            Some(OutputFormat::Plain) => Format::Plain,
            Some(OutputFormat::Json) => Format::Json,
        }
    }

    /// Whether results are to be JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == Some(OutputFormat::Json)
    }
}

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

/// How long, and what then.
#[derive(Debug, Clone, Args)]
pub struct Waiting {
    /// Limit for the whole start, such as 90s or 5m; without it: 60 s without progress for images, then 5 min
    #[arg(long, value_name = "DURATION", value_parser = duration)]
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

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring a cluster up and wait until all of it is ready
    Up(Up),
    /// Make the containers of a cluster, and start none
    Create(Box<Up>),
    /// Set how many containers services have: SERVICE=N
    Scale(Box<Up>),
    /// Pull the images of services
    Pull(Pull),
    /// Build the images of services
    Build(Build),
    /// Stop and remove a cluster: containers and networks
    Down(Down),
    /// Stop components, keep their containers
    Stop(Stop),
    /// Bring a cluster up and keep it so: what is lost comes back, changes of the files are applied
    Supervise(Supervise),
    /// Start components that are stopped, and wait until they are ready
    Start(Restart),
    /// Stop components and start them again
    Restart(Restart),
    /// Kill components, or send them a signal
    Kill(Kill),
    /// Freeze components: their processes stand still
    Pause(Components),
    /// Let frozen components go on
    Unpause(Components),
    /// Remove the containers of components that are stopped
    Rm(Remove),
    /// Show the components of a cluster
    Ps(Files),
    /// Show the processes of components
    Top(Components),
    /// Show the images of components
    Images(Images),
    /// Show the named volumes of a cluster
    Volumes(Volumes),
    /// Show the clusters that run
    Ls(List),
    /// Wait until components have ended; the first exit code that isn't 0 is passed on
    Wait(Wait),
    /// Show what happens to containers as it happens
    Events(Events),
    /// Show what components wrote
    Logs(Logs),
    /// Run a command in a component; its exit code is passed on
    Exec(Exec),
    /// Show where a component's port is published
    Port(Port),
    /// Show a Compose file or template in its canonical form: merged, variables replaced, paths absolute
    #[command(visible_alias = "convert")]
    Config(Config),
    /// List the templates
    Templates,
    /// Print a template as plain Compose text
    Render(Render),
    /// Show where the time of an earlier run went: bars, the critical path, the order of starts
    Report(Report),
    /// Break components on purpose, list what is broken, heal it
    Chaos(Chaos),
    /// Show what dead runs left behind, and remove it
    Gc(Gc),
    /// Wait for the end of a process, then remove its ephemeral cluster
    #[command(hide = true)]
    WatchOwner(WatchOwner),
    /// Neon: branches, endpoints, tenants, pageservers of a cluster of the template neon
    Neon(super::neon::Neon),
    /// Check what convoke needs: the engine, the way to containers, the state directory
    Doctor,
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write it and those of the commands into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: Option<PathBuf>,
    },
}

/// How a cluster is made from its description.
#[derive(Debug, Clone, Args)]
pub struct Making {
    /// Number of containers of a service, such as web=3
    #[arg(long, value_name = "SERVICE=N", value_parser = key_value)]
    pub scale: Vec<(String, String)>,
    /// Build images even if they are there
    #[arg(long)]
    pub build: bool,
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
    /// Show what would be done, and why; do nothing
    #[arg(long, conflicts_with = "ephemeral")]
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

/// `convoke render`
#[derive(Debug, Clone, Args)]
pub struct Render {
    /// The template
    pub template: String,
    /// Parameter of the template
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
}

pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} should be KEY=VALUE")),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    // A bare number means seconds here, as in `docker compose`.
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => parse_duration(text).map_err(|error| error.to_string()),
    }
}

/// Whether `name` means this component: itself, or its service.
#[must_use]
pub fn names_component(name: &str, component: &ComponentName, service: &str) -> bool {
    component.as_str() == name || service == name
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn logs_follows_with_f_and_up_reads_a_file_with_f() {
        let cli = Cli::try_parse_from(["convoke", "logs", "-f", "db"]).unwrap();
        assert!(matches!(cli.command, Command::Logs(Logs { follow: true, .. })));
        let cli = Cli::try_parse_from(["convoke", "-f", "a.yaml", "up", "-f", "b.yaml"]).unwrap();
        assert_eq!(cli.file, [PathBuf::from("a.yaml")]);
    }

    #[test]
    fn exec_leaves_the_command_s_own_flags_alone() {
        let cli = Cli::try_parse_from(["convoke", "exec", "db", "psql", "-c", "select 1"]).unwrap();
        let Command::Exec(exec) = cli.command else { panic!("not exec") };
        assert_eq!(exec.command, ["psql", "-c", "select 1"]);
    }
}
