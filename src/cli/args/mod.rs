//! What can be typed.

mod chaos;
mod down;
mod habits;
mod shared;
mod show;
mod up;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::chaos::{Break, Chaos, ChaosVerb};
pub use self::down::{Down, Gc, Stop, WatchOwner};
pub use self::habits::{Build, Copy, Events, Images, Kill, List, Pull, Remove, Run, Volumes, Wait};
pub use self::shared::{Components, Files, OnFailure, PullWhen, Source, Waiting, names_component};
pub use self::show::{Config, Exec, Logs, Port, Ps, Render, Report};
pub use self::up::{Making, Restart, Supervise, Up};

use crate::probe::ReachMode;
use crate::report::Format;

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
    /// Show the components of a cluster (-q: the ids of their containers)
    Ps(Ps),
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
    /// Run a command in a container of its own of a service; its exit code is passed on
    Run(Box<Run>),
    /// Copy files out of a component, or into it
    Cp(Copy),
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
