//! The specification of a compute: what compute_ctl runs Postgres with. Pure: from what is known to JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::ids::{EndpointName, TenantId, TimelineId};
use super::settings::{ComputeSettings, Login};
use super::state::Mode;

/// Where a compute's Postgres listens.
pub const PG_PORT: u16 = 55433;
/// Where compute_ctl's API for those with tokens listens.
pub const HTTP_PORT: u16 = 3080;
/// Where its other one does.
pub const INTERNAL_HTTP_PORT: u16 = 3081;

/// Where a tenant's shards are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// None for a tenant without shards.
    pub stripe_size: Option<u32>,
    /// The pageserver of each shard, in their order.
    pub shards: Vec<Place>,
}

/// A pageserver, as computes reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub node_id: u64,
    /// `host:port`.
    pub address: String,
}

/// A timeline's safekeepers, as computes reach them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Safekeepers {
    /// None: the timeline wasn't made by the storage controller.
    pub generation: Option<u32>,
    /// `host:port` of each.
    pub addresses: Vec<String>,
}

/// Everything that a specification is made of.
#[derive(Debug, Clone)]
pub struct SpecInput<'a> {
    /// The endpoint.
    pub name: &'a EndpointName,
    /// Whose data.
    pub tenant: TenantId,
    /// Which timeline.
    pub timeline: TimelineId,
    /// How it is served.
    pub mode: Mode,
    /// Postgres' major version.
    pub pg_version: u32,
    /// Where the pages are.
    pub placement: &'a Placement,
    /// Where the WAL goes.
    pub safekeepers: &'a Safekeepers,
    /// Role and database.
    pub login: &'a Login,
    /// What Postgres stores of the role's password.
    pub verifier: &'a str,
    /// The password for pageservers and safekeepers, where they want one.
    pub storage_token: Option<String>,
    /// What all computes have in common.
    pub compute: &'a ComputeSettings,
    /// `host:port` of the endpoint storage and a token for it.
    pub endpoint_storage: Option<(&'a str, String)>,
}

/// The specification.
#[must_use]
pub fn spec(input: &SpecInput<'_>) -> Value {
    let primary = input.mode == Mode::Primary;
    let urls: Vec<String> =
        input.placement.shards.iter().map(|place| format!("postgres://no_user@{}", place.address)).collect();
    let prewarm = input.compute.prewarm_seconds;
    let (storage_addr, storage_token) = input.endpoint_storage.clone().unzip();
    let safekeepers = if primary { input.safekeepers.addresses.as_slice() } else { &[] };
    json!({
        "format_version": 1.0,
        "suspend_timeout_seconds": -1,
        "operation_uuid": null,
        "timestamp": null,
        // Roles and databases are made by a primary at each start; the others read what it made.
        "skip_pg_catalog_updates": !primary,
        "cluster": {
            "cluster_id": null, "name": null, "state": null, "settings": null,
            "roles": [{ "name": input.login.role, "encrypted_password": input.verifier, "options": null }],
            "databases": [{ "name": input.login.database, "owner": input.login.role, "options": null }],
            "postgresql_conf": postgresql_conf(input),
        },
        "tenant_id": input.tenant,
        "timeline_id": input.timeline,
        "endpoint_id": input.name,
        "mode": match input.mode {
            Mode::Primary => json!("Primary"),
            Mode::Replica => json!("Replica"),
            Mode::Static(lsn) => json!({ "Static": lsn }),
        },
        // Released images know the first form only, later ones both; they say the same.
        "pageserver_connstring": urls.join(","),
        "shard_stripe_size": input.placement.stripe_size,
        "pageserver_connection_info": connection_info(input.placement),
        "safekeepers_generation": if primary { input.safekeepers.generation } else { None },
        "safekeeper_connstrings": safekeepers,
        "storage_auth_token": input.storage_token,
        "endpoint_storage_addr": storage_addr,
        "endpoint_storage_token": storage_token,
        "autoprewarm": prewarm > 0,
        "offload_lfc_interval_seconds": (prewarm > 0).then_some(prewarm),
        "reconfigure_concurrency": 1,
        "drop_subscriptions_before_start": false,
        "audit_log_level": "Disabled",
        "features": [],
        "delta_operations": null,
        "remote_extensions": null,
        "pgbouncer_settings": null,
        "local_proxy_config": null,
        "logs_export_host": null,
    })
}

fn connection_info(placement: &Placement) -> Value {
    let count = if placement.stripe_size.is_some() { placement.shards.len() } else { 0 };
    let mut shards = Map::new();
    for (number, place) in placement.shards.iter().enumerate() {
        let url = format!("postgresql://no_user@{}", place.address);
        let places = json!({ "pageservers": [{ "id": place.node_id, "libpq_url": url, "grpc_url": null }] });
        shards.insert(format!("{number:02x}{count:02x}"), places);
    }
    let stripe_size = placement.stripe_size;
    json!({ "shard_count": count, "stripe_size": stripe_size, "shards": shards, "prefer_protocol": "libpq" })
}

/// As neon_local writes it, with memory and addresses for a container of one's own.
fn postgresql_conf(input: &SpecInput<'_>) -> String {
    let mut conf = format!(
        "max_wal_senders=10\nwal_log_hints=off\nmax_replication_slots=10\nhot_standby=on\nshared_buffers=128MB\n\
         effective_io_concurrency=2\nfsync=off\nmax_connections=100\nwal_level=logical\nwal_sender_timeout=5s\n\
         listen_addresses='*'\nport={PG_PORT}\nwal_keep_size=0\nrestart_after_crash=off\n\
         shared_preload_libraries=neon\n"
    );
    let mut add = |line: std::fmt::Arguments<'_>| {
        // Writing into a String doesn't fail.
        _ = conf.write_fmt(line);
        conf.push('\n');
    };
    match input.mode {
        Mode::Primary => {
            add(format_args!("max_replication_write_lag=15MB"));
            add(format_args!("max_replication_flush_lag=10GB"));
            add(format_args!("synchronous_standby_names=walproposer"));
            add(format_args!("neon.safekeepers='{}'", input.safekeepers.addresses.join(",")));
        }
        Mode::Static(lsn) => add(format_args!("recovery_target_lsn='{lsn}'")),
        Mode::Replica => {
            let part = |second: bool| {
                let pick = |address: &String| {
                    let (host, port) = address.rsplit_once(':').unwrap_or((address, "5454"));
                    if second { port.to_owned() } else { host.to_owned() }
                };
                input.safekeepers.addresses.iter().map(pick).collect::<Vec<_>>().join(",")
            };
            let (tenant, timeline) = (input.tenant, input.timeline);
            add(format_args!(
                "primary_conninfo='host={} port={} options=''-c timeline_id={timeline} tenant_id={tenant}'' \
                 application_name=replica replication=true'",
                part(false),
                part(true)
            ));
            add(format_args!("primary_slot_name=repl_{timeline}_"));
            if input.pg_version >= 15 {
                add(format_args!("recovery_prefetch=off"));
            }
        }
    }
    if input.compute.prewarm_seconds > 0 {
        // What is noted is what the cache on the disk holds, which is off unless it has a size. The folder is the image's.
        add(format_args!("neon.max_file_cache_size=1GB"));
        add(format_args!("neon.file_cache_size_limit=1GB"));
        add(format_args!("neon.file_cache_path=/neon/cache"));
    }
    add(format_args!("{}", input.compute.postgresql_conf.trim_end()));
    conf
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neon::ids::Lsn;

    fn place(n: u64) -> Place {
        Place { node_id: n, address: format!("pageserver-{n}:6400") }
    }

    fn made(mode: Mode, placement: &Placement) -> Value {
        made_with(mode, placement, 0)
    }

    fn made_with(mode: Mode, placement: &Placement, prewarm_seconds: u32) -> Value {
        let safekeepers = Safekeepers {
            generation: Some(1),
            addresses: vec!["safekeeper-1:5454".into(), "safekeeper-2:5454".into()],
        };
        let login = Login { role: "neon".into(), password: "x".into(), database: "neondb".into() };
        spec(&SpecInput {
            name: &"main".parse().unwrap(),
            tenant: "aaaa0000000000000000000000000001".parse().unwrap(),
            timeline: "f00d0000000000000000000000000001".parse().unwrap(),
            mode,
            pg_version: 17,
            placement,
            safekeepers: &safekeepers,
            login: &login,
            verifier: "SCRAM-SHA-256$…",
            compute: &ComputeSettings { postgresql_conf: "work_mem=64MB\n".into(), prewarm_seconds },
            storage_token: Some("of the tenant".into()),
            endpoint_storage: Some(("endpoint-storage:9993", "token".into())),
        })
    }

    #[test]
    fn an_unsharded_primary() {
        let spec = made(Mode::Primary, &Placement { stripe_size: None, shards: vec![place(2)] });
        assert_eq!(spec["pageserver_connstring"], "postgres://no_user@pageserver-2:6400");
        assert_eq!(spec["shard_stripe_size"], Value::Null);
        let info = json!({ "shard_count": 0, "stripe_size": null, "prefer_protocol": "libpq", "shards": { "0000": {
            "pageservers": [{ "id": 2, "libpq_url": "postgresql://no_user@pageserver-2:6400", "grpc_url": null }] } } });
        assert_eq!(spec["pageserver_connection_info"], info);
        assert_eq!(spec["storage_auth_token"], "of the tenant");
        assert_eq!(spec["safekeepers_generation"], 1);
        assert_eq!(spec["safekeeper_connstrings"], json!(["safekeeper-1:5454", "safekeeper-2:5454"]));
        assert_eq!(spec["skip_pg_catalog_updates"], false);
        let conf = spec["cluster"]["postgresql_conf"].as_str().unwrap();
        assert!(
            conf.contains("\nport=55433\n") && conf.contains("\nsynchronous_standby_names=walproposer\n"),
            "{conf}"
        );
        for required in ["format_version", "suspend_timeout_seconds"] {
            assert!(spec[required].is_number(), "{required}");
        }
    }

    #[test]
    fn settings_of_all_computes_come_last_and_win() {
        let placement = Placement { stripe_size: None, shards: vec![place(1)] };
        let cold = made(Mode::Primary, &placement);
        assert_eq!((&cold["autoprewarm"], &cold["offload_lfc_interval_seconds"]), (&json!(false), &Value::Null));
        let conf = cold["cluster"]["postgresql_conf"].as_str().unwrap();
        assert!(conf.ends_with("\nwork_mem=64MB\n") && !conf.contains("file_cache"), "{conf}");
        let warm = made_with(Mode::Primary, &placement, 60);
        assert_eq!((&warm["autoprewarm"], &warm["offload_lfc_interval_seconds"]), (&json!(true), &json!(60)));
        let conf = warm["cluster"]["postgresql_conf"].as_str().unwrap();
        assert!(conf.contains("\nneon.file_cache_path=/neon/cache\n") && conf.ends_with("\nwork_mem=64MB\n"), "{conf}");
    }

    #[test]
    fn shards_are_named_by_number_and_count() {
        let placement = Placement { stripe_size: Some(2048), shards: vec![place(1), place(2)] };
        let spec = made(Mode::Primary, &placement);
        assert_eq!(
            spec["pageserver_connstring"],
            "postgres://no_user@pageserver-1:6400,postgres://no_user@pageserver-2:6400"
        );
        let keys: Vec<&String> = spec["pageserver_connection_info"]["shards"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["0002", "0102"]);
        assert_eq!(spec["pageserver_connection_info"]["shard_count"], 2);
        assert_eq!(spec["shard_stripe_size"], 2048);
    }

    #[test]
    fn replicas_and_static_ones_write_nothing() {
        let placement = Placement { stripe_size: None, shards: vec![place(1)] };
        let replica = made(Mode::Replica, &placement);
        assert_eq!(replica["safekeeper_connstrings"], json!([]));
        assert_eq!(replica["skip_pg_catalog_updates"], true);
        let conf = replica["cluster"]["postgresql_conf"].as_str().unwrap();
        assert!(conf.contains("primary_conninfo='host=safekeeper-1,safekeeper-2 port=5454,5454 options=''-c timeline_id=f00d0000000000000000000000000001 tenant_id=aaaa0000000000000000000000000001'' application_name=replica replication=true'"), "{conf}");
        assert!(conf.contains("\nrecovery_prefetch=off\n"));
        let at = made(Mode::Static(Lsn(0x0169_AD58)), &placement);
        assert_eq!(at["mode"], json!({ "Static": "0/169AD58" }));
        assert!(at["cluster"]["postgresql_conf"].as_str().unwrap().contains("recovery_target_lsn='0/169AD58'"));
    }
}
