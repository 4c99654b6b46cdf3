//! The specification of a compute: the fields that this simulation reads, the checks of the real program, and the
//! settings that come of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{TenantId, TimelineId};

/// What compute_ctl reads from its file, gets from the control plane and through /configure.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    pub spec: Option<Spec>,
    #[serde(default)]
    pub compute_ctl_config: CtlConfig,
}

/// The control plane's answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Reply {
    pub spec: Option<Spec>,
    pub status: ReplyStatus,
    #[serde(default)]
    pub compute_ctl_config: CtlConfig,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyStatus {
    Empty,
    Attached,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct CtlConfig {
    #[serde(default)]
    pub jwks: Jwks,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Jwks {
    pub keys: Vec<Jwk>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Jwk {
    /// The real program can't do without.
    #[expect(dead_code, reason = "it has to be there")]
    pub kid: String,
    pub x: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Spec {
    #[expect(dead_code, reason = "it has to be there")]
    pub format_version: f32,
    #[expect(dead_code, reason = "it has to be there")]
    pub suspend_timeout_seconds: i64,
    pub cluster: Cluster,
    pub tenant_id: Option<TenantId>,
    pub timeline_id: Option<TimelineId>,
    #[serde(default)]
    pub endpoint_id: Option<String>,
    #[serde(default)]
    pub mode: Mode,
    pub pageserver_connstring: Option<String>,
    pub pageserver_connection_info: Option<ConnectionInfo>,
    pub shard_stripe_size: Option<u32>,
    pub safekeepers_generation: Option<u32>,
    #[serde(default)]
    pub safekeeper_connstrings: Vec<String>,
    /// The password for pageservers and safekeepers.
    pub storage_auth_token: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Cluster {
    pub roles: Vec<Role>,
    pub databases: Vec<Database>,
    pub settings: Option<Vec<Setting>>,
    pub postgresql_conf: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Role {
    pub name: String,
    pub encrypted_password: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Database {
    pub name: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Setting {
    pub name: String,
    pub value: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    #[default]
    Primary,
    Replica,
    Static(String),
}

/// Where the pageservers of all shards are, by shard index such as `0102`.
#[derive(Debug, Clone, Deserialize)]
pub struct ConnectionInfo {
    pub shard_count: u8,
    pub stripe_size: Option<u32>,
    pub shards: BTreeMap<String, ShardPlaces>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ShardPlaces {
    pub pageservers: Vec<PagePlace>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct PagePlace {
    pub libpq_url: Option<String>,
}

/// A specification that was checked, and what Postgres is told because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub tenant: TenantId,
    pub timeline: TimelineId,
    pub mode: Mode,
    /// `host:port` of each shard's pageserver, in the order of shards.
    pub pageservers: Vec<String>,
    pub safekeepers: Vec<String>,
    /// The password for both; not a setting, those are shown.
    pub storage_token: Option<String>,
    pub roles: Vec<Role>,
    pub databases: Vec<String>,
    /// Postgres' settings; of those given several times the last.
    pub settings: BTreeMap<String, String>,
}

impl Running {
    /// The checks of the real program; the text says what is wrong.
    pub fn of(spec: &Spec) -> Result<Self, String> {
        let mut settings = settings_of(&spec.cluster);
        let from_settings = |name: &str| settings.get(name).filter(|value| !value.is_empty()).cloned();
        let id = |name: &str| from_settings(name).and_then(|text| text.parse().ok());
        let tenant = spec.tenant_id.or_else(|| id("neon.tenant_id")).ok_or("tenant id should be provided")?;
        let timeline =
            spec.timeline_id.or_else(|| from_settings("neon.timeline_id").and_then(|text| text.parse().ok()));
        let timeline = timeline.ok_or("timeline id should be provided")?;
        let connstring = connstring(spec, from_settings("neon.pageserver_connstring"))?;
        let safekeepers = safekeepers(spec, from_settings("neon.safekeepers"))?;
        let pageservers = connstring.split(',').map(host_port).collect::<Result<Vec<_>, _>>()?;
        let stripe = spec.pageserver_connection_info.as_ref().and_then(|info| info.stripe_size);
        let generation = spec.safekeepers_generation.map(|n| format!("g#{n}:")).unwrap_or_default();
        let mut set = |name: &str, value: String| _ = settings.insert(name.to_owned(), value);
        if let Some(stripe) = spec.shard_stripe_size.or(stripe) {
            set("neon.stripe_size", stripe.to_string());
        }
        set("neon.pageserver_connstring", connstring);
        if !safekeepers.is_empty() {
            set("neon.safekeepers", format!("{generation}{}", safekeepers.join(",")));
        }
        set("neon.tenant_id", tenant.to_string());
        set("neon.timeline_id", timeline.to_string());
        set("neon.endpoint_id", spec.endpoint_id.clone().unwrap_or_default());
        set("neon.compute_mode", mode_name(&spec.mode).to_owned());
        if let Mode::Static(lsn) = &spec.mode {
            set("recovery_target_lsn", lsn.clone());
        }
        let databases = spec.cluster.databases.iter().map(|database| database.name.clone()).collect();
        let (mode, roles) = (spec.mode.clone(), spec.cluster.roles.clone());
        let storage_token = spec.storage_auth_token.clone();
        Ok(Self { tenant, timeline, mode, pageservers, safekeepers, storage_token, roles, databases, settings })
    }

    /// The port that clients come to.
    pub fn port(&self) -> Option<u16> {
        self.settings.get("port")?.parse().ok()
    }
}

fn mode_name(mode: &Mode) -> &'static str {
    match mode {
        Mode::Primary => "primary",
        Mode::Replica => "replica",
        Mode::Static(_) => "static",
    }
}

/// Of postgresql_conf and settings.
fn settings_of(cluster: &Cluster) -> BTreeMap<String, String> {
    let lines = cluster.postgresql_conf.iter().flat_map(|text| text.lines());
    let line = |line: &str| {
        let line = line.trim();
        let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        let value = value.trim();
        let plain =
            value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).map(|text| text.replace("''", "'"));
        Some((name.trim().to_owned(), plain.unwrap_or_else(|| value.to_owned())))
    };
    let settings = cluster.settings.iter().flatten();
    let settings = settings.map(|setting| (setting.name.clone(), setting.value.clone().unwrap_or_default()));
    lines.filter_map(line).chain(settings).collect()
}

/// The old form and the new one say the same, or one of them is missing.
fn connstring(spec: &Spec, from_settings: Option<String>) -> Result<String, String> {
    let new = spec.pageserver_connection_info.as_ref().map(of_info).transpose()?;
    let old = spec.pageserver_connstring.clone();
    match (old, new) {
        (Some(old), Some(new)) => {
            let same = |text: &str| text.split(',').map(host_port).collect::<Result<Vec<_>, _>>();
            if same(&old)? != same(&new)? {
                return Err(format!("pageserver_connstring {old:?} and pageserver_connection_info {new:?} differ"));
            }
            Ok(old)
        }
        (one, other) => {
            one.or(other).or(from_settings).ok_or_else(|| "pageserver connstring should be provided".to_owned())
        }
    }
}

fn of_info(info: &ConnectionInfo) -> Result<String, String> {
    let count = info.shard_count;
    let url = |number: u8| {
        let key = format!("{number:02x}{count:02x}");
        let places = info.shards.get(&key).ok_or_else(|| format!("pageserver_connection_info has no shard {key}"))?;
        let first = places.pageservers.first().and_then(|place| place.libpq_url.clone());
        first.ok_or_else(|| format!("pageserver_connection_info has no libpq_url for shard {key}"))
    };
    if count > 0 && info.stripe_size.is_none() {
        return Err("pageserver_connection_info has shards and no stripe_size".to_owned());
    }
    if info.shards.len() != usize::from(count.max(1)) {
        return Err(format!("pageserver_connection_info has {} shards, not {}", info.shards.len(), count.max(1)));
    }
    Ok((0..count.max(1)).map(url).collect::<Result<Vec<_>, _>>()?.join(","))
}

fn safekeepers(spec: &Spec, from_settings: Option<String>) -> Result<Vec<String>, String> {
    let mut found = spec.safekeeper_connstrings.clone();
    if found.is_empty()
        && let Some(text) = from_settings
    {
        found = text.split(',').map(str::to_owned).collect();
    }
    if spec.mode != Mode::Primary {
        return Ok(found);
    }
    if found.is_empty() {
        return Err("safekeeper_connstrings is empty".to_owned());
    }
    let distinct: BTreeSet<&String> = found.iter().collect();
    if distinct.len() < found.len() {
        return Err(format!("duplicate safekeepers in {}", found.join(",")));
    }
    Ok(found)
}

/// Of `postgresql://user@host:port` or `host=… port=…`.
fn host_port(connstring: &str) -> Result<String, String> {
    let bad = |why: String| format!("bad connection string {connstring:?}: {why}");
    let config: tokio_postgres::Config = connstring.parse().map_err(|error| bad(format!("{error}")))?;
    let host = match config.get_hosts() {
        [tokio_postgres::config::Host::Tcp(host)] => host,
        _ => return Err(bad("it must name one host".to_owned())),
    };
    Ok(format!("{host}:{}", config.get_ports().first().unwrap_or(&5432)))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub fn spec() -> Value {
        json!({
            "format_version": 1.0, "suspend_timeout_seconds": -1, "operation_uuid": null, "timestamp": null,
            "cluster": { "cluster_id": null, "name": null, "state": null,
                "roles": [{ "name": "neon", "encrypted_password": null, "options": null }],
                "databases": [{ "name": "neondb", "owner": "neon", "options": null }],
                "settings": null, "postgresql_conf": "port=55433\nlisten_addresses='*'\n# a=b\n" },
            "tenant_id": "aaaa0000000000000000000000000001", "timeline_id": "f00d0000000000000000000000000001",
            "endpoint_id": "main", "mode": "Primary", "skip_pg_catalog_updates": false,
            "pageserver_connstring": "postgres://no_user@pageserver-1:6400", "shard_stripe_size": null,
            "pageserver_connection_info": { "shard_count": 0, "stripe_size": null, "prefer_protocol": "libpq",
                "shards": { "0000": { "pageservers":
                    [{ "id": 1, "libpq_url": "postgresql://no_user@pageserver-1:6400", "grpc_url": null }] } } },
            "safekeepers_generation": 1, "safekeeper_connstrings": ["safekeeper-1:5454", "safekeeper-2:5454"],
        })
    }

    fn running(spec: Value) -> Result<Running, String> {
        Running::of(&serde_json::from_value(spec).map_err(|error| error.to_string())?)
    }

    #[test]
    fn settings_are_those_that_neon_reads() {
        let running = running(spec()).unwrap();
        assert_eq!(running.pageservers, ["pageserver-1:6400"]);
        assert_eq!(running.port(), Some(55433));
        let has = |name: &str, value: &str| assert_eq!(running.settings[name], value, "{name}");
        has("listen_addresses", "*");
        has("neon.pageserver_connstring", "postgres://no_user@pageserver-1:6400");
        has("neon.safekeepers", "g#1:safekeeper-1:5454,safekeeper-2:5454");
        has("neon.endpoint_id", "main");
        assert!(!running.settings.contains_key("neon.stripe_size"));
    }

    #[test]
    fn shards_are_in_order() {
        let mut sharded = spec();
        let place = |n: u8| json!({ "pageservers": [{ "id": n, "libpq_url": format!("postgresql://no_user@ps-{n}:6400"), "grpc_url": null }] });
        sharded["pageserver_connstring"] = Value::Null;
        sharded["pageserver_connection_info"] =
            json!({ "shard_count": 2, "stripe_size": 2048, "shards": { "0102": place(2), "0002": place(1) } });
        let running = running(sharded).unwrap();
        assert_eq!(running.pageservers, ["ps-1:6400", "ps-2:6400"]);
        assert_eq!(running.settings["neon.stripe_size"], "2048");
    }

    #[test]
    fn bad_specs_are_refused_with_the_reason() {
        let cases: &[(&str, Value, &str)] = &[
            ("/tenant_id", Value::Null, "tenant id should be provided"),
            ("/safekeeper_connstrings", json!([]), "safekeeper_connstrings is empty"),
            ("/safekeeper_connstrings", json!(["a:1", "a:1"]), "duplicate safekeepers in a:1,a:1"),
            ("/pageserver_connstring", json!("postgres://no_user@other:6400"), "differ"),
            ("/pageserver_connection_info/shards", json!({}), "has 0 shards, not 1"),
            ("/format_version", json!("x"), "invalid type"),
        ];
        for (place, value, expected) in cases {
            let mut changed = spec();
            *changed.pointer_mut(place).unwrap() = value.clone();
            let error = running(changed).unwrap_err();
            assert!(error.contains(expected), "{place}: {error}");
        }
        for missing in ["format_version", "suspend_timeout_seconds", "cluster"] {
            let mut changed = spec();
            changed.as_object_mut().unwrap().remove(missing);
            assert!(running(changed).unwrap_err().contains(missing));
        }
        let mut none = spec();
        none["pageserver_connstring"] = Value::Null;
        none["pageserver_connection_info"] = Value::Null;
        assert!(running(none).unwrap_err().contains("should be provided"));
    }
}
