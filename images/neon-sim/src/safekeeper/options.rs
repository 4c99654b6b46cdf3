//! The flags of a safekeeper.

use std::path::PathBuf;

use clap::Parser;

/// Flags of the real program; those which make no difference here are taken and not used. Given twice, the last counts.
#[derive(Debug, Parser)]
#[command(name = "safekeeper", version = crate::VERSION, args_override_self = true)]
pub struct Options {
    /// Where timelines are kept
    #[arg(short = 'D', long, default_value = "./")]
    pub datadir: PathBuf,
    /// This safekeeper's number: needed at the first start, kept in safekeeper.id
    #[arg(long)]
    pub id: Option<u64>,
    /// Writes safekeeper.id and ends
    #[arg(long)]
    pub init: bool,
    /// Where computes and pageservers would come for WAL
    #[arg(short, long, default_value = "127.0.0.1:5454")]
    pub listen_pg: String,
    /// One more such port, for computes alone
    #[arg(long)]
    pub listen_pg_tenant_only: Option<String>,
    /// What others are told instead of `--listen-pg`
    #[arg(long)]
    pub advertise_pg: Option<String>,
    /// Where the management API is
    #[arg(long, default_value = "127.0.0.1:7676")]
    pub listen_http: String,
    /// The same with TLS: not here
    #[arg(long)]
    pub listen_https: Option<String>,
    /// Shown at the start only: the storage controller is told it by whoever registers this safekeeper
    #[arg(long)]
    pub availability_zone: Option<String>,
    /// Nothing is ever synced here
    #[arg(short, long)]
    pub no_sync: bool,
    /// A file with the token for other safekeepers
    #[arg(long)]
    pub auth_token_path: Option<PathBuf>,
    /// The key of tokens on the Postgres port; without it everybody is taken
    #[arg(long)]
    pub pg_auth_public_key_path: Option<PathBuf>,
    /// The same on the port for computes alone
    #[arg(long)]
    pub pg_tenant_only_auth_public_key_path: Option<PathBuf>,
    /// The same on the HTTP port
    #[arg(long)]
    pub http_auth_public_key_path: Option<PathBuf>,
    #[command(flatten)]
    pub unused: Unused,
}

/// Taken, so that command lines of the real program work, and of no effect.
#[derive(Debug, clap::Args)]
pub struct Unused {
    #[arg(long, hide = true)]
    broker_endpoint: Option<String>,
    #[arg(long, hide = true)]
    broker_keepalive_interval: Option<String>,
    #[arg(long, hide = true)]
    heartbeat_timeout: Option<String>,
    #[arg(long, hide = true)]
    peer_recovery: Option<bool>,
    #[arg(long, hide = true)]
    remote_storage: Option<String>,
    #[arg(long, hide = true)]
    max_offloader_lag: Option<u64>,
    #[arg(long, hide = true)]
    wal_backup_parallel_jobs: Option<usize>,
    #[arg(long, hide = true)]
    disable_wal_backup: bool,
    #[arg(long, hide = true)]
    partial_backup_timeout: Option<String>,
    #[arg(long, hide = true)]
    partial_backup_concurrency: Option<usize>,
    #[arg(long, hide = true)]
    enable_offload: bool,
    #[arg(long, hide = true)]
    delete_offloaded_wal: bool,
    #[arg(long, hide = true)]
    control_file_save_interval: Option<String>,
    #[arg(long, hide = true)]
    eviction_min_resident: Option<String>,
    #[arg(long, hide = true)]
    eviction_concurrency: Option<usize>,
    #[arg(long, hide = true)]
    ssl_key_file: Option<PathBuf>,
    #[arg(long, hide = true)]
    ssl_cert_file: Option<PathBuf>,
    #[arg(long, hide = true)]
    ssl_cert_reload_period: Option<String>,
    #[arg(long, hide = true)]
    ssl_ca_file: Option<PathBuf>,
    #[arg(long, hide = true)]
    enable_tls_wal_service_api: bool,
    #[arg(long, hide = true)]
    use_https_safekeeper_api: bool,
    #[arg(long, hide = true)]
    current_thread_runtime: bool,
    #[arg(long, hide = true)]
    walsenders_keep_horizon: bool,
    #[arg(long, hide = true)]
    max_delta_for_fanout: Option<u64>,
    #[arg(long, hide = true)]
    log_format: Option<String>,
    #[arg(long, hide = true)]
    dev: bool,
}
