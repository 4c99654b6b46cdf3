//! The flags of compute_ctl.

use std::path::PathBuf;

use clap::Parser;

/// Flags of the real program; those which make no difference here are taken and not used.
#[derive(Debug, Clone, Parser)]
#[command(name = "compute_ctl", version = crate::VERSION)]
pub struct Options {
    /// Where Postgres' files are: deleted and made anew at each start
    #[arg(short = 'D', long)]
    pub pgdata: PathBuf,
    /// How compute_ctl itself connects; its port must be that of the configuration
    #[arg(short = 'C', long)]
    pub connstr: String,
    /// The name that tokens must carry
    #[arg(short = 'i', long)]
    pub compute_id: String,
    /// A file with the specification
    #[arg(short, long, conflicts_with = "control_plane_uri", required_unless_present = "control_plane_uri")]
    pub config: Option<PathBuf>,
    /// Whom to ask for the specification
    #[arg(short = 'p', long)]
    pub control_plane_uri: Option<String>,
    /// For this program's calls to the control plane
    #[arg(long, env = "NEON_CONTROL_PLANE_TOKEN", hide = true, hide_env_values = true)]
    pub control_plane_token: Option<String>,
    /// Where the API that wants tokens is
    #[arg(long, default_value_t = 3080)]
    pub external_http_port: u16,
    /// Where the API without tokens is
    #[arg(long, default_value_t = 3081)]
    pub internal_http_port: u16,
    #[command(flatten)]
    pub unused: Unused,
}

/// Taken, so that command lines of the real program work, and of no effect.
#[derive(Debug, Clone, clap::Args)]
#[rustfmt::skip]
pub struct Unused {
    #[arg(short = 'b', long, env = "POSTGRES_PATH", hide = true)] pgbin: Option<String>,
    #[arg(short = 'r', long, hide = true)] remote_ext_base_url: Option<String>,
    #[arg(long, hide = true)] privileged_role_name: Option<String>,
    #[arg(long, hide = true)] dev: bool,
    #[arg(long, hide = true)] installed_extensions_collection_interval: Option<u64>,
    #[arg(long, hide = true)] pg_init_timeout: Option<u64>,
    #[arg(long, hide = true)] lakebase_mode: Option<bool>,
    #[arg(long, hide = true)] cgroup: Option<String>,
    #[arg(long, hide = true)] filecache_connstr: Option<String>,
    #[arg(long, hide = true)] vm_monitor_addr: Option<String>,
    #[arg(long, hide = true)] resize_swap_on_bind: bool,
    #[arg(long, hide = true)] set_disk_quota_for_fs: Option<String>,
}

impl Options {
    /// The port of `--connstr`.
    pub fn port(&self) -> Result<u16, String> {
        let config: tokio_postgres::Config =
            self.connstr.parse().map_err(|error| format!("--connstr {:?}: {error}", self.connstr))?;
        config.get_ports().first().copied().ok_or_else(|| format!("--connstr {:?} names no port", self.connstr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_or_a_control_plane_but_not_both() {
        let parse = |more: &str| {
            let line = format!("compute_ctl -D /d -C postgresql://cloud_admin@localhost:55433/postgres -i ep {more}");
            Options::try_parse_from(line.split_whitespace())
        };
        assert!(parse("").is_err());
        assert!(parse("-c x -p http://y").is_err());
        assert_eq!(parse("-p http://y --dev -b /usr/local/bin/postgres").unwrap().port(), Ok(55433));
    }
}
