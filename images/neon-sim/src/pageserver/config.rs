//! The files in a pageserver's working directory that say what it is: pageserver.toml, identity.toml, metadata.json.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;

use super::storage::Objects;
use crate::auth::Guard;
use crate::exit::Failure;
use crate::fault::duration;
use crate::ids::NodeId;
use crate::s3::Bucket;
use crate::wire::upcall::NodeRegister;

/// What the simulation needs of pageserver.toml.
#[derive(Debug)]
pub struct Config {
    pub id: NodeId,
    pub listen_pg: String,
    pub listen_http: String,
    /// Without a slash at its end.
    pub control_plane_api: String,
    pub control_plane_token: Option<String>,
    /// Who may ask on the HTTP port.
    pub http_guard: Guard,
    /// The same for the Postgres port.
    pub pg_guard: Guard,
    /// Starts without re-attach, with whatever is on the disk.
    pub emergency_mode: bool,
    /// Where timelines are kept, apart from the working directory if they are to be shared.
    pub remote_storage: Objects,
    pub wait_lsn_timeout: Duration,
    pub register: Option<NodeRegister>,
}

/// Keys of pageserver.toml which the simulation reads.
#[derive(Debug, Deserialize)]
struct Toml {
    #[serde(default = "default_pg")]
    listen_pg_addr: String,
    #[serde(default = "default_http")]
    listen_http_addr: String,
    control_plane_api: Option<String>,
    control_plane_api_token: Option<String>,
    #[serde(default)]
    http_auth_type: AuthType,
    #[serde(default)]
    pg_auth_type: AuthType,
    auth_validation_public_key_path: Option<PathBuf>,
    #[serde(default)]
    control_plane_emergency_mode: bool,
    remote_storage: Option<toml::Table>,
    availability_zone: Option<String>,
    wait_lsn_timeout: Option<String>,
}

/// Whether tokens are checked on a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum AuthType {
    #[default]
    Trust,
    #[serde(rename = "NeonJWT")]
    NeonJwt,
}

fn default_pg() -> String {
    "127.0.0.1:64000".into()
}

fn default_http() -> String {
    "127.0.0.1:9898".into()
}

/// Keys that the real program knows. Of any other it says that it is ignored.
const KNOWN: &[&str] = &[
    "auth_validation_public_key_path",
    "availability_zone",
    "background_task_maximum_delay",
    "broker_endpoint",
    "broker_keepalive_interval",
    "concurrent_tenant_size_logical_size_queries",
    "concurrent_tenant_warmup",
    "control_plane_api",
    "control_plane_api_token",
    "control_plane_emergency_mode",
    "disk_usage_based_eviction",
    "grpc_auth_type",
    "http_auth_type",
    "image_compression",
    "listen_grpc_addr",
    "listen_http_addr",
    "listen_https_addr",
    "listen_pg_addr",
    "locale",
    "log_format",
    "max_file_descriptors",
    "metric_collection_endpoint",
    "metric_collection_interval",
    "no_sync",
    "page_cache_size",
    "page_service_pipelining",
    "pg_auth_type",
    "pg_distrib_dir",
    "remote_storage",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_key_file",
    "superuser",
    "synthetic_size_calculation_interval",
    "tenant_config",
    "virtual_file_io_engine",
    "virtual_file_io_mode",
    "wait_lsn_timeout",
    "wal_redo_timeout",
];

#[derive(Debug, Deserialize)]
struct Identity {
    id: NodeId,
}

/// metadata.json: how the others reach this pageserver.
#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(rename = "host")]
    pg_host: String,
    #[serde(rename = "port")]
    pg_port: u16,
    grpc_host: Option<String>,
    grpc_port: Option<u16>,
    http_host: String,
    http_port: u16,
    https_port: Option<u16>,
    availability_zone_id: Option<String>,
}

impl Config {
    /// Exit code 1 for what is missing or can't be read, 101 for a metadata.json without an availability zone.
    pub fn load(workdir: &Path) -> Result<Self, Failure> {
        let toml = read_toml(workdir)?;
        let file = workdir.join("identity.toml");
        let identity: Identity = toml::from_str(&read(&file)?).with_context(|| format!("can't use {file:?}"))?;
        let api = toml.control_plane_api.context("pageserver.toml: control_plane_api is missing")?;
        let table = toml.remote_storage.context("pageserver.toml: remote_storage is missing")?;
        let key = toml.auth_validation_public_key_path.as_deref();
        let key = workdir.join(key.unwrap_or(Path::new("auth_public_key.pem")));
        let guard = |kind| if kind == AuthType::NeonJwt { Guard::of_path(&key) } else { Ok(Guard::default()) };
        let limit = toml.wait_lsn_timeout.as_deref().unwrap_or("300s");
        Ok(Self {
            id: identity.id,
            listen_pg: toml.listen_pg_addr,
            listen_http: toml.listen_http_addr,
            control_plane_api: api.trim_end_matches('/').to_owned(),
            control_plane_token: toml.control_plane_api_token,
            http_guard: guard(toml.http_auth_type)?,
            pg_guard: guard(toml.pg_auth_type)?,
            emergency_mode: toml.control_plane_emergency_mode,
            remote_storage: storage(workdir, &table)?,
            wait_lsn_timeout: duration(limit).map_err(|why| anyhow::anyhow!("wait_lsn_timeout: {why}"))?,
            register: registration(workdir, identity.id, toml.availability_zone)?,
        })
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    Ok(std::fs::read_to_string(file).with_context(|| format!("can't read {file:?}"))?)
}

fn read_toml(workdir: &Path) -> Result<Toml, Failure> {
    let file = workdir.join("pageserver.toml");
    let table: toml::Table = read(&file)?.parse().with_context(|| format!("can't use {file:?}"))?;
    for key in table.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        tracing::warn!("ignored unknown configuration item {key}");
    }
    for key in ["listen_https_addr", "listen_grpc_addr"].into_iter().filter(|key| table.contains_key(*key)) {
        tracing::warn!("{key}: neon-sim serves neither TLS nor gRPC");
    }
    Ok(table.try_into().with_context(|| format!("can't use {file:?}"))?)
}

/// A relative path is below the working directory, as in the real program.
fn storage(workdir: &Path, storage: &toml::Table) -> anyhow::Result<Objects> {
    if let Some(path) = storage.get("local_path").and_then(toml::Value::as_str) {
        return Ok(Objects::Directory(workdir.join(path)));
    }
    if let Some(bucket) = Bucket::of_config(storage)? {
        return Ok(Objects::Bucket(Arc::new(bucket)));
    }
    tracing::warn!(
        "remote_storage has no local_path and no endpoint: neon-sim keeps timelines in the working directory"
    );
    Ok(Objects::Directory(workdir.join("neon-sim-remote-storage")))
}

/// Without metadata.json, or with one that can't be read, a pageserver re-attaches and isn't registered.
fn registration(workdir: &Path, id: NodeId, zone: Option<String>) -> Result<Option<NodeRegister>, Failure> {
    let file = workdir.join("metadata.json");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            tracing::warn!("can't read {file:?}: {error}; not registering with the storage controller");
            return Ok(None);
        }
    };
    let metadata: Metadata = match serde_json::from_str(&text) {
        Ok(metadata) => metadata,
        Err(error) => {
            tracing::error!("can't use {file:?}: {error}; not registering with the storage controller");
            return Ok(None);
        }
    };
    let Some(zone) = metadata.availability_zone_id.or(zone) else {
        return Err(Failure::panic("no availability zone, neither in metadata.json nor in pageserver.toml"));
    };
    Ok(Some(NodeRegister {
        node_id: id,
        listen_pg_addr: metadata.pg_host,
        listen_pg_port: metadata.pg_port,
        listen_grpc_addr: metadata.grpc_host,
        listen_grpc_port: metadata.grpc_port,
        listen_http_addr: metadata.http_host,
        listen_http_port: metadata.http_port,
        listen_https_port: metadata.https_port,
        availability_zone_id: zone,
        node_ip_addr: std::env::var("HADRON_NODE_IP_ADDRESS").ok(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str =
        "control_plane_api = 'http://storage_controller:1234/upcall/v1/'\nremote_storage = { local_path = 'remote' }\n";
    const METADATA: &str = r#"{"host":"ps-1","port":6400,"http_host":"ps-1","http_port":9898,"https_port":null,"availability_zone_id":"az-1"}"#;

    fn load(files: &[(&str, &str)]) -> Result<Config, Failure> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Config::load(directory.path())
    }

    fn code(files: &[(&str, &str)]) -> u8 {
        load(files).unwrap_err().code
    }

    #[test]
    fn the_three_files_are_read() {
        let files = [("pageserver.toml", TOML), ("identity.toml", "id=7"), ("metadata.json", METADATA)];
        let config = load(&files).unwrap();
        assert_eq!(config.id, NodeId(7));
        assert_eq!(config.control_plane_api, "http://storage_controller:1234/upcall/v1");
        assert!(matches!(config.remote_storage, Objects::Directory(path) if path.ends_with("remote")));
        assert_eq!(config.register.unwrap().availability_zone_id, "az-1");
    }

    #[test]
    fn what_is_missing_ends_it_with_1() {
        assert_eq!(code(&[]), 1);
        assert_eq!(code(&[("pageserver.toml", TOML)]), 1);
        assert_eq!(code(&[("identity.toml", "id=1")]), 1);
        assert_eq!(code(&[("pageserver.toml", "remote_storage = { local_path = 'r' }"), ("identity.toml", "id=1")]), 1);
        assert_eq!(code(&[("pageserver.toml", "control_plane_api = 'http://c:1'"), ("identity.toml", "id=1")]), 1);
    }

    #[test]
    fn a_node_without_zone_panics_and_one_without_metadata_is_not_registered() {
        let files = [("pageserver.toml", TOML), ("identity.toml", "id=1")];
        assert_eq!(load(&files).unwrap().register, None);
        let broken = [files[0], files[1], ("metadata.json", "{")];
        assert_eq!(load(&broken).unwrap().register, None);
        let text = METADATA.replace(r#","availability_zone_id":"az-1""#, "");
        assert_eq!(code(&[files[0], files[1], ("metadata.json", &text)]), 101);
        let toml = format!("{TOML}availability_zone = 'az-9'\n");
        let zoned = [("pageserver.toml", toml.as_str()), files[1], ("metadata.json", &text)];
        assert_eq!(load(&zoned).unwrap().register.unwrap().availability_zone_id, "az-9");
    }
}
