//! What can be typed after `convoke neon tenant` and `convoke neon timeline`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::OfTenant;
use crate::neon::ids::{BranchName, Lsn, TenantId, TimelineId};

/// `convoke neon tenant`
#[derive(Debug, Clone, Subcommand)]
pub enum TenantCommand {
    /// Show all tenants
    List,
    /// Make a tenant with a branch main
    Create(TenantCreate),
    /// Change settings of a tenant; without any, show those that it has
    Config {
        /// A setting; may be given several times. An empty value takes it back
        #[arg(short = 'c', value_name = "KEY:VALUE")]
        config: Vec<String>,
        /// Whose.
        #[command(flatten)]
        of: OfTenant,
    },
    /// Take up a tenant that is in the remote storage and isn't known
    Import {
        /// The tenant
        #[arg(long = "tenant-id", value_name = "ID")]
        tenant: TenantId,
        /// Make it the default one
        #[arg(long)]
        set_default: bool,
    },
    /// Delete a tenant and all its data
    Delete {
        /// The tenant
        tenant: TenantId,
    },
    /// Make a tenant the one that is meant where none is named
    SetDefault {
        /// The tenant
        tenant: TenantId,
    },
}

/// `convoke neon tenant create`
#[derive(Debug, Clone, Args)]
pub struct TenantCreate {
    /// Its id; without it a new one
    #[arg(long = "tenant-id", value_name = "ID")]
    pub tenant: Option<TenantId>,
    /// The id of its branch main; without it a new one
    #[arg(long = "timeline-id", value_name = "ID")]
    pub timeline: Option<TimelineId>,
    /// A setting of the tenant; may be given several times
    #[arg(short = 'c', value_name = "KEY:VALUE")]
    pub config: Vec<String>,
    /// Postgres' major version
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u32).range(14..=17))]
    pub pg_version: Option<u32>,
    /// Make it the default one
    #[arg(long)]
    pub set_default: bool,
    /// Into how many shards it is divided
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub shard_count: u8,
    /// How many pages go to one shard before the next
    #[arg(long, value_name = "PAGES")]
    pub shard_stripe_size: Option<u32>,
    /// How many places it wants, such as '{"Attached":1}'
    #[arg(long, value_name = "JSON")]
    pub placement_policy: Option<String>,
}

/// `convoke neon timeline`
#[derive(Debug, Clone, Subcommand)]
pub enum TimelineCommand {
    /// Show the branches of a tenant as a tree
    List(OfTenant),
    /// Make a branch with a fresh database
    Create {
        /// Its name
        #[arg(long = "branch-name", value_name = "NAME")]
        branch: BranchName,
        /// Its timeline's id; without it a new one
        #[arg(long = "timeline-id", value_name = "ID")]
        timeline: Option<TimelineId>,
        /// Postgres' major version
        #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u32).range(14..=17))]
        pg_version: Option<u32>,
        /// Whose.
        #[command(flatten)]
        of: OfTenant,
    },
    /// Make a branch of another one
    Branch {
        /// Its name
        #[arg(long = "branch-name", value_name = "NAME")]
        branch: BranchName,
        /// Its timeline's id; without it a new one
        #[arg(long = "timeline-id", value_name = "ID")]
        timeline: Option<TimelineId>,
        /// The other one, by name or by its timeline's id
        #[arg(long = "ancestor-branch-name", value_name = "BRANCH", default_value = "main")]
        ancestor: String,
        /// As it was there; without it as it is
        #[arg(long = "ancestor-start-lsn", value_name = "LSN")]
        at: Option<Lsn>,
        /// Whose.
        #[command(flatten)]
        of: OfTenant,
    },
    /// Make a branch of a base backup of any Postgres (pg_basebackup --format=tar)
    Import(TimelineImport),
    /// Give a branch other safekeepers
    Safekeepers {
        /// The branch, by name or by its timeline's id
        branch: String,
        /// Their numbers, separated by commas
        #[arg(long = "to", value_name = "NUMBERS", value_delimiter = ',', required = true)]
        safekeepers: Vec<u64>,
        /// Whose.
        #[command(flatten)]
        of: OfTenant,
    },
    /// Put a branch aside: its data stays in remote storage alone
    Archive {
        /// The branch, by name or by its timeline's id
        branch: String,
        /// Bring it back
        #[arg(long)]
        undo: bool,
        /// Whose.
        #[command(flatten)]
        of: OfTenant,
    },
    /// Delete a branch and its data
    Delete {
        /// The branch, by name or by its timeline's id
        branch: String,
        /// Whose.
        #[command(flatten)]
        of: OfTenant,
    },
}

/// `convoke neon timeline import`
#[derive(Debug, Clone, Args)]
pub struct TimelineImport {
    /// Its name
    #[arg(long = "branch-name", value_name = "NAME")]
    pub branch: BranchName,
    /// Its timeline's id; without it a new one
    #[arg(long = "timeline-id", value_name = "ID")]
    pub timeline: Option<TimelineId>,
    /// The backup: an uncompressed tar archive
    #[arg(long = "base-tarfile", value_name = "FILE")]
    pub base: PathBuf,
    /// Where it begins; without it what its backup_label says
    #[arg(long, value_name = "LSN")]
    pub base_lsn: Option<Lsn>,
    /// The WAL that was written while it was made: pg_wal.tar
    #[arg(long = "wal-tarfile", value_name = "FILE")]
    pub wal: Option<PathBuf>,
    /// Where the WAL ends; without it what backup_manifest beside the backup says
    #[arg(long, value_name = "LSN", requires = "wal")]
    pub end_lsn: Option<Lsn>,
    /// Postgres' major version, which has to be the backup's
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u32).range(14..=17))]
    pub pg_version: Option<u32>,
    /// Whose.
    #[command(flatten)]
    pub of: OfTenant,
}
