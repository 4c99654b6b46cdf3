//! The controller's command line: the real program's flags, with the same fallbacks in the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::fault::duration;

/// What the real storage controller takes. Flags without an effect in this simulation are accepted and named in the
/// log; those that would change how peers speak to it are refused.
#[derive(Debug, Clone, Parser)]
#[command(name = "storage_controller", version = crate::VERSION)]
pub struct Options {
    /// IP address and port to serve HTTP on.
    #[arg(short, long)]
    pub listen: Option<SocketAddr>,
    /// Not simulated.
    #[arg(long)]
    pub listen_https: Option<SocketAddr>,
    /// Where the state is kept.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// PEM text of the key that signs callers' tokens.
    #[arg(long, env = "PUBLIC_KEY", hide_env_values = true)]
    pub public_key: Option<String>,
    /// Sent to pageservers.
    #[arg(long, env = "PAGESERVER_JWT_TOKEN", hide_env_values = true)]
    pub jwt_token: Option<String>,
    /// Sent to safekeepers.
    #[arg(long, env = "SAFEKEEPER_JWT_TOKEN", hide_env_values = true)]
    pub safekeeper_jwt_token: Option<String>,
    /// Sent to the compute hook.
    #[arg(long, env = "CONTROL_PLANE_JWT_TOKEN", hide_env_values = true)]
    pub control_plane_jwt_token: Option<String>,
    /// Sent to other controllers.
    #[arg(long, env = "PEER_JWT_TOKEN", hide_env_values = true)]
    pub peer_jwt_token: Option<String>,
    /// The compute hook: gets notify-attach and notify-safekeepers.
    #[arg(long)]
    pub control_plane_url: Option<String>,
    /// Goes without keys and tokens.
    #[arg(long)]
    pub dev: bool,
    /// Notifies neon_local's endpoints instead of a hook; here it always counts as done.
    #[arg(long)]
    pub use_local_compute_notifications: bool,
    /// Where neon_local keeps its endpoints.
    #[arg(long)]
    pub neon_local_repo_dir: Option<PathBuf>,
    /// A node which doesn't answer for so long is Offline, and its shards move.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub max_offline_interval: Duration,
    /// The same after a re-attach.
    #[arg(long, default_value = "300s", value_parser = duration)]
    pub max_warming_up_interval: Duration,
    /// Time between two rounds of heartbeats.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub heartbeat_interval: Duration,
    /// How long to try to reach the database.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub db_connect_timeout: Duration,
    /// How other controllers reach this one.
    #[arg(long)]
    pub address_for_peers: Option<String>,
    /// Not simulated.
    #[arg(long)]
    pub start_as_candidate: bool,
    /// Creates timelines on safekeepers too.
    #[arg(long)]
    pub timelines_onto_safekeepers: bool,
    /// On how many.
    #[arg(long, default_value_t = 3)]
    pub timeline_safekeeper_count: usize,
    /// What an emptied pageserver had is attached to it anew.
    #[arg(long)]
    pub handle_ps_local_disk_loss: bool,
    /// Not simulated.
    #[arg(long)]
    pub use_https_pageserver_api: bool,
    /// Not simulated.
    #[arg(long)]
    pub use_https_safekeeper_api: bool,
    #[command(flatten)]
    pub ignored: Ignored,
}

/// Flags that tune what a simulation without data doesn't do.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Without effect in this simulation")]
#[rustfmt::skip]
pub struct Ignored {
    #[arg(long)] long_reconcile_threshold: Option<String>,
    #[arg(long)] split_threshold: Option<u64>,
    #[arg(long)] max_split_shards: Option<u8>,
    #[arg(long)] initial_split_threshold: Option<u64>,
    #[arg(long)] initial_split_shards: Option<u8>,
    #[arg(long)] reconciler_concurrency: Option<usize>,
    #[arg(long)] priority_reconciler_concurrency: Option<usize>,
    #[arg(long)] safekeeper_reconciler_concurrency: Option<usize>,
    #[arg(long)] tenant_rate_limit: Option<u32>,
    #[arg(long)] chaos_interval: Option<String>,
    #[arg(long)] chaos_exit_crontab: Option<String>,
    #[arg(long)] max_secondary_lag_bytes: Option<u64>,
    #[arg(long)] kick_secondary_downloads: Option<bool>,
    #[arg(long)] shard_split_request_timeout: Option<String>,
    #[arg(long)] ssl_key_file: Option<PathBuf>,
    #[arg(long)] ssl_cert_file: Option<PathBuf>,
    #[arg(long)] ssl_cert_reload_period: Option<String>,
    #[arg(long)] ssl_ca_file: Option<PathBuf>,
}

impl Options {
    /// Refuses what the real program refuses, and what this one doesn't do. The text goes to the log before exit 1.
    pub fn check(&self) -> Result<SocketAddr, String> {
        if !self.dev {
            self.check_strict().map_err(|what| format!("Insecure config! {what}"))?;
        }
        let not_simulated = [
            (self.listen_https.is_some(), "--listen-https"),
            (self.start_as_candidate, "--start-as-candidate"),
            (self.use_https_pageserver_api, "--use-https-pageserver-api"),
            (self.use_https_safekeeper_api, "--use-https-safekeeper-api"),
        ];
        if let Some((_, flag)) = not_simulated.iter().find(|(given, _)| *given) {
            return Err(format!("{flag} isn't part of this simulation"));
        }
        self.listen.ok_or_else(|| "No listen address: give --listen IP:port".to_owned())
    }

    fn check_strict(&self) -> Result<(), String> {
        let mandatory = [
            (self.public_key.is_some(), "public key is not set"),
            (self.jwt_token.is_some(), "pageserver JWT token is not set"),
            (self.safekeeper_jwt_token.is_some(), "safekeeper JWT token is not set"),
            (self.control_plane_jwt_token.is_some(), "control plane JWT token is not set"),
            (self.control_plane_url.is_some(), "--control-plane-url is not set"),
        ];
        if let Some((_, what)) = mandatory.iter().find(|(given, _)| !*given) {
            return Err(format!("{what}; only --dev goes without"));
        }
        if self.use_local_compute_notifications {
            return Err("--use-local-compute-notifications is only for --dev".to_owned());
        }
        if self.timeline_safekeeper_count < 3 {
            return Err("--timeline-safekeeper-count below 3 is only for --dev".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &[&str] =
        &["storage_controller", "--dev", "--listen", "0.0.0.0:1234", "--database-url", "postgresql://db/sc"];

    fn parsed(more: &[&str]) -> Options {
        Options::try_parse_from(DEV.iter().chain(more)).expect("a good command line")
    }

    #[test]
    fn limits_have_the_real_programs_defaults() {
        let args = parsed(&[]);
        let seconds =
            [args.max_offline_interval, args.max_warming_up_interval, args.heartbeat_interval, args.db_connect_timeout]
                .map(|time| time.as_secs());
        assert_eq!((seconds, args.timeline_safekeeper_count), ([30, 300, 5, 5], 3));
        assert_eq!(parsed(&["--heartbeat-interval", "200ms"]).heartbeat_interval, Duration::from_millis(200));
    }

    #[test]
    fn listening_takes_an_address_not_a_name() {
        assert!(
            Options::try_parse_from(["storage_controller", "--listen", "localhost:1234", "--database-url", "x"])
                .is_err()
        );
        assert_eq!(parsed(&[]).check(), Ok("0.0.0.0:1234".parse().unwrap()));
    }

    #[test]
    fn without_dev_keys_and_tokens_are_mandatory() {
        let strict: Vec<_> = DEV.iter().copied().filter(|arg| *arg != "--dev").collect();
        let error = Options::try_parse_from(&strict).unwrap().check().unwrap_err();
        assert!(error.starts_with("Insecure config! "), "{error}");
        let full = [
            "--public-key",
            "k",
            "--jwt-token",
            "t",
            "--safekeeper-jwt-token",
            "t",
            "--control-plane-jwt-token",
            "t",
            "--control-plane-url",
            "http://hook",
        ];
        assert!(Options::try_parse_from(strict.iter().chain(&full)).unwrap().check().is_ok());
    }

    #[test]
    fn what_peers_would_notice_is_refused() {
        let error = parsed(&["--start-as-candidate"]).check().unwrap_err();
        assert_eq!(error, "--start-as-candidate isn't part of this simulation");
        assert!(parsed(&["--split-threshold", "1000", "--reconciler-concurrency", "4"]).check().is_ok());
    }
}
