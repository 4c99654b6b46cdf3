//! Base backups that become branches: what is to be sent, the archives, and the end of it.

use super::super::ids::{BranchName, Lsn, TenantId};
use super::super::plane::{Plane, PlaneError};
use super::super::server::{Answer, Asked};
use super::Result;

/// Answers one of these calls.
pub(super) async fn route(
    plane: &Plane,
    method: &str,
    tenant: TenantId,
    rest: &[&str],
    asked: &Asked,
) -> Result<Answer> {
    Ok(match (method, rest) {
        ("POST", []) => match asked.json() {
            Ok(wanted) => Answer::ok(plane.plan_import(tenant, &wanted).await?),
            Err(answer) => answer,
        },
        ("PUT", [branch, "basebackup"]) => archive(plane, tenant, branch, asked, base_call).await?,
        ("PUT", [branch, "wal"]) => archive(plane, tenant, branch, asked, wal_call).await?,
        ("POST", [branch, "finish"]) => Answer::ok(plane.finish_import(tenant, &name(branch)?).await?),
        _ => Answer::no_route(asked),
    })
}

fn name(text: &str) -> Result<BranchName> {
    text.parse().map_err(|error| PlaneError::Input(format!("{error}")))
}

async fn archive(
    plane: &Plane,
    tenant: TenantId,
    branch: &str,
    asked: &Asked,
    call: fn(&Asked) -> std::result::Result<String, Answer>,
) -> Result<Answer> {
    let branch = name(branch)?;
    let (call, archive) = match call(asked).and_then(|call| Ok((call, asked.archive()?))) {
        Ok(both) => both,
        Err(answer) => return Ok(answer),
    };
    plane.pass_archive(tenant, &branch, &call, archive).await?;
    Ok(Answer::ok(()))
}

/// What a pageserver is asked; its parameters have been read here first.
fn base_call(asked: &Asked) -> std::result::Result<String, Answer> {
    let (base, end): (Lsn, Lsn) = (asked.parameter("base_lsn")?, asked.parameter("end_lsn")?);
    let version: u32 = asked.parameter("pg_version")?;
    Ok(format!("import_basebackup?base_lsn={base}&end_lsn={end}&pg_version={version}"))
}

fn wal_call(asked: &Asked) -> std::result::Result<String, Answer> {
    let (start, end): (Lsn, Lsn) = (asked.parameter("start_lsn")?, asked.parameter("end_lsn")?);
    Ok(format!("import_wal?start_lsn={start}&end_lsn={end}"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use futures::stream;
    use http_body_util::{BodyExt, StreamBody};
    use hyper::Method;
    use hyper::body::Frame;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;
    use crate::neon::api::{ImportPlan, TimelineView};
    use crate::neon::http::Peer;
    use crate::neon::outside::handle;
    use crate::neon::server::serve;
    use crate::neon::state::Tenant;
    use crate::neon::upload::Progress;

    const TENANT: &str = "aaaa0000000000000000000000000001";

    /// Controller, pageserver and safekeeper in one: where the timeline ends, its id, and what was asked.
    #[derive(Default)]
    struct Storage {
        at: Option<&'static str>,
        id: String,
        asked: Vec<String>,
    }

    async fn storage(storage: Arc<Mutex<Storage>>, port: u16, asked: Asked) -> Answer {
        let call = format!("{} {}", asked.method, asked.target.split('?').next().unwrap_or_default());
        let arrives = match asked.archive() {
            Ok(archive) => archive.collect().await.is_ok(),
            Err(_) => true,
        };
        let mut storage = storage.lock().unwrap();
        let last = asked.path.last().map(String::as_str).unwrap_or_default().to_owned();
        if asked.method != Method::GET && arrives {
            storage.asked.push(format!("{last} {}", String::from_utf8_lossy(&asked.body)));
        }
        match last.as_str() {
            "import_basebackup" | "import_wal" if !arrives => Answer::problem(hyper::StatusCode::BAD_REQUEST, "broken"),
            "import_basebackup" => {
                (storage.at, storage.id) = (Some("0/20"), asked.path[4].clone());
                Answer::ok(())
            }
            "import_wal" => {
                storage.at = Some("0/30");
                Answer::ok(())
            }
            "safekeeper" => Answer::ok(json!([{
                "id": 1, "host": "127.0.0.1", "port": 5454, "http_port": port, "availability_zone_id": "a",
                "scheduling_policy": "Active",
            }])),
            "locate" if call.contains("/timeline/") => Answer::no_route(&asked),
            "locate" => Answer::ok(json!({ "shard_params": { "count": 0, "stripe_size": 2048 }, "shards": [{
                "node_id": 1, "listen_pg_addr": "p", "listen_pg_port": 1, "listen_http_addr": "127.0.0.1",
                "listen_http_port": port,
            }] })),
            "timeline" if asked.method == Method::GET => Answer::ok(
                storage
                    .at
                    .iter()
                    .map(|at| {
                        json!({
                            "timeline_id": storage.id, "ancestor_timeline_id": null, "ancestor_lsn": null,
                            "last_record_lsn": at, "pg_version": 16, "state": "Active",
                        })
                    })
                    .collect::<Vec<Value>>(),
            ),
            _ => Answer::ok(()),
        }
    }

    async fn listen() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    async fn send(peer: &Peer, call: &str, is_whole: bool) -> bool {
        let mut pieces = vec![Ok(Frame::data(Bytes::from(vec![7; 100_000])))];
        pieces.extend((!is_whole).then(|| Err(std::io::Error::other("cut off"))));
        let path = format!("/v1/tenants/-/imports/old/{call}");
        peer.upload::<Value, _>(&path, StreamBody::new(stream::iter(pieces)), Progress::default()).await.is_ok()
    }

    #[tokio::test]
    async fn an_import_goes_on_where_it_was_cut_off_and_ends_on_safekeepers() {
        let (at_storage, port) = listen().await;
        let world = Arc::new(Mutex::new(Storage::default()));
        let shared = Arc::clone(&world);
        tokio::spawn(serve(at_storage, move |asked| storage(Arc::clone(&shared), port, asked)));
        let settings = serde_json::from_value(json!({
            "storage_controller": format!("127.0.0.1:{port}"), "pageservers": 1, "safekeepers": [],
            "timeline_safekeepers": 1, "pg_version": 17,
            "login": { "role": "neon", "password": "neon", "database": "neondb" },
        }));
        let folder = tempfile::tempdir().unwrap();
        let plane = Arc::new(Plane::open(settings.unwrap(), folder.path()).unwrap());
        let known = plane.memory.change(|state| {
            let tenant: TenantId = TENANT.parse().unwrap();
            state.default_tenant = Some(tenant);
            state.tenants.insert(tenant, Tenant { created: true, ..Tenant::default() });
            Ok::<_, PlaneError>(())
        });
        known.unwrap();
        let (at_plane, api) = listen().await;
        let served = Arc::clone(&plane);
        tokio::spawn(serve(at_plane, move |asked| handle(Arc::clone(&served), "word".into(), asked)));
        let peer = Peer { token: Some("word".into()), ..Peer::new("the control plane", format!("127.0.0.1:{api}")) };
        let limit = std::time::Duration::from_secs(10);
        let wanted = json!({ "branch": "old", "base_lsn": "0/20", "end_lsn": "0/30" });
        let plan =
            async || peer.ask::<ImportPlan>(Method::POST, "/v1/tenants/-/imports", Some(&wanted), limit).await.unwrap();
        let (base, wal) = ("basebackup?base_lsn=0/20&end_lsn=0/30&pg_version=16", "wal?start_lsn=0/20&end_lsn=0/30");

        let first = plan().await;
        assert!(!send(&peer, base, false).await, "it was cut off");
        assert_eq!(plan().await, ImportPlan { base: true, wal: true, ..first });
        assert!(send(&peer, base, true).await);
        assert_eq!(plan().await, ImportPlan { base: false, ..first });
        assert!(!send(&peer, wal, false).await);
        assert!(!send(&peer, "wal?start_lsn=0/20", true).await, "a parameter is missing");
        assert!(send(&peer, wal, true).await);
        assert_eq!(plan().await, ImportPlan { base: false, wal: false, ..first });
        for _ in 0..2 {
            let finish = "/v1/tenants/-/imports/old/finish";
            let made: TimelineView = peer.ask(Method::POST, finish, None::<&()>, limit).await.unwrap();
            assert_eq!((made.info.timeline_id, made.info.pg_version), (first.timeline_id, 16));
        }
        let branch = *plane.memory.state().branch(TENANT.parse().unwrap(), "old").unwrap().1;
        assert_eq!((branch.created, branch.pg_version), (true, 16));
        let asked = world.lock().unwrap().asked.join("\n");
        for part in ["\"pg_version\":160000", "\"start_lsn\":\"0/30\"", "\"sk_set\":[1]"] {
            assert!(asked.contains(part), "{part}: {asked}");
        }
    }
}
