//! What can be typed after `convoke neon`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::tenant_args::{TenantCommand, TimelineCommand};
use crate::neon::ids::{EndpointName, Lsn, TenantId};

/// `convoke neon`
#[derive(Debug, Clone, Args)]
pub struct Neon {
    /// What to do.
    #[command(subcommand)]
    pub command: NeonCommand,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum NeonCommand {
    /// One screen: pageservers, shards, safekeepers, endpoints
    Status,
    /// Open psql on an endpoint; in a container if this machine has no psql
    Psql(Psql),
    /// Endpoints: Postgres on a branch
    Endpoint {
        /// What to do.
        #[command(subcommand)]
        command: EndpointCommand,
    },
    /// Tenants: separate sets of branches
    Tenant {
        /// What to do.
        #[command(subcommand)]
        command: TenantCommand,
    },
    /// Timelines, which is what branches are
    Timeline {
        /// What to do.
        #[command(subcommand)]
        command: TimelineCommand,
    },
    /// Pageservers, as the storage controller sees them
    Node {
        /// What to do.
        #[command(subcommand)]
        command: NodeCommand,
    },
    /// Parts of a tenant
    Shard {
        /// What to do.
        #[command(subcommand)]
        command: ShardCommand,
    },
    /// Safekeepers, as the storage controller sees them
    Safekeeper {
        /// What to do.
        #[command(subcommand)]
        command: SafekeeperCommand,
    },
    /// Print a token for the APIs of the storage, where it wants tokens (parameter auth)
    Jwt {
        /// What it is for
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(crate::neon::tokens::FOR_PEOPLE))]
        scope: String,
        /// Whose, with the scope tenant.
        #[command(flatten)]
        of: OfTenant,
    },
    /// Run the control plane: what its container does
    #[command(hide = true)]
    ControlPlane(ControlPlane),
    /// Make the image of the control plane from convoke itself, and load it into the engine
    #[command(hide = true)]
    Image {
        /// The program; without it, convoke-linux-ARCHITECTURE beside this one, else this one
        binary: Option<PathBuf>,
    },
}

/// `convoke neon psql`
#[derive(Debug, Clone, Args)]
pub struct Psql {
    /// The endpoint
    #[arg(default_value = "main")]
    pub endpoint: EndpointName,
    /// Arguments for psql, such as -c 'select 1'
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub arguments: Vec<String>,
}

/// Which tenant.
#[derive(Debug, Clone, Copy, Args)]
pub struct OfTenant {
    /// The tenant; without it the default one
    #[arg(long = "tenant-id", value_name = "ID")]
    pub tenant: Option<TenantId>,
}

/// `convoke neon endpoint`
#[derive(Debug, Clone, Subcommand)]
pub enum EndpointCommand {
    /// Show all endpoints
    List,
    /// Make an endpoint, start it, and wait until it takes queries
    Create(EndpointCreate),
    /// Start an endpoint that was stopped
    Start(EndpointOf),
    /// Stop an endpoint cleanly
    Stop(EndpointOf),
    /// Tell a running endpoint where its pageservers and safekeepers are now
    Reconfigure(EndpointOf),
    /// Tell a running endpoint to ask for its specification once more
    Refresh(EndpointOf),
    /// Make a hot standby the primary of its branch
    Promote(EndpointPromote),
    /// Stop an endpoint and remove it; its data stays in the branch
    Destroy(EndpointOf),
    /// Print a token for the API of an endpoint's compute_ctl
    Jwt(EndpointJwt),
    /// Open psql on it
    Psql(Psql),
}

/// An endpoint.
#[derive(Debug, Clone, Args)]
pub struct EndpointOf {
    /// The endpoint
    pub endpoint: EndpointName,
}

/// `convoke neon endpoint promote`
#[derive(Debug, Clone, Args)]
pub struct EndpointPromote {
    /// The hot standby
    pub endpoint: EndpointName,
    /// Stop the primary that the branch has first; else one that runs is a reason to refuse
    #[arg(long)]
    pub stop_primary: bool,
}

/// `convoke neon endpoint jwt`
#[derive(Debug, Clone, Args)]
pub struct EndpointJwt {
    /// The endpoint
    pub endpoint: EndpointName,
    /// For any endpoint instead of this one alone
    #[arg(long, short, value_name = "SCOPE", value_parser = ["compute_ctl:admin"])]
    pub scope: Option<String>,
}

/// `convoke neon endpoint create`
#[derive(Debug, Clone, Args)]
pub struct EndpointCreate {
    /// Its name
    pub endpoint: EndpointName,
    /// Whose data.
    #[command(flatten)]
    pub of: OfTenant,
    /// The branch, by name or by its timeline's id; without it the one with the endpoint's name
    #[arg(long = "branch-name", visible_alias = "branch", value_name = "BRANCH")]
    pub branch: Option<String>,
    /// Read only, as the branch was at this position
    #[arg(long, value_name = "LSN", conflicts_with = "hot_standby")]
    pub lsn: Option<Lsn>,
    /// Read only, following the primary
    #[arg(long)]
    pub hot_standby: bool,
    /// Even if the branch has a primary already: one of them will be fenced off
    #[arg(long)]
    pub allow_multiple: bool,
}

/// `convoke neon node`
#[derive(Debug, Clone, Subcommand)]
pub enum NodeCommand {
    /// Show all pageservers
    List,
    /// Move what a pageserver has to others, and wait for that
    Drain {
        /// Its number
        node: u64,
    },
    /// Bring a pageserver its share back, and wait for that
    Fill {
        /// Its number
        node: u64,
    },
    /// Say whether a pageserver may be given shards
    Policy {
        /// Its number
        node: u64,
        /// Active: it may; the others: it may not, and Pause also after its next start
        #[arg(value_parser = ["Active", "Pause", "PauseForRestart"])]
        policy: String,
    },
    /// Move everything off a pageserver and forget it; its number can't be used again
    Delete {
        /// Its number
        node: u64,
        /// Though shards of it would be left with no other place
        #[arg(long)]
        force: bool,
    },
}

/// `convoke neon shard`
#[derive(Debug, Clone, Subcommand)]
pub enum ShardCommand {
    /// Divide a tenant into more shards
    Split {
        /// How many it has afterwards
        #[arg(long = "shard-count", value_name = "N")]
        count: u8,
        /// In pages; only for a tenant without shards
        #[arg(long = "stripe-size", value_name = "PAGES")]
        stripe_size: Option<u32>,
        /// Whose.
        #[command(flatten)]
        of: OfTenant,
    },
    /// Move a shard to another pageserver
    Migrate {
        /// The shard, such as TENANT or TENANT-0002; without it the default tenant's only one
        #[arg(long = "tenant-shard-id", value_name = "ID")]
        shard: Option<String>,
        /// The pageserver's number
        #[arg(long)]
        node: u64,
        /// Warm the new place up first, and come back at once
        #[arg(long)]
        prewarm: bool,
    },
}

/// `convoke neon safekeeper`
#[derive(Debug, Clone, Subcommand)]
pub enum SafekeeperCommand {
    /// Show all safekeepers
    List,
    /// Say whether new timelines are put on a safekeeper
    Policy {
        /// Its number
        safekeeper: u64,
        /// Active: they are
        #[arg(value_parser = ["Active", "Pause", "Decomissioned"])]
        policy: String,
    },
}

/// `convoke neon control-plane`
#[derive(Debug, Clone, Args)]
pub struct ControlPlane {
    /// Settings, as the template writes them
    #[arg(long, default_value = "/etc/convoke/neon.json")]
    pub config: PathBuf,
    /// Where it keeps everything
    #[arg(long, default_value = "/data")]
    pub data: PathBuf,
    /// Where it puts the public key for others
    #[arg(long)]
    pub public_key: Option<PathBuf>,
    /// Where it puts the tokens of others, in a folder for each kind
    #[arg(long)]
    pub tokens: Option<PathBuf>,
    /// Prints the token for its API and ends
    #[arg(long)]
    pub print_token: bool,
}
