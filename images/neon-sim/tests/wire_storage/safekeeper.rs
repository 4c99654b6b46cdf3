//! Safekeepers: situations 03, 05, 19, 20, 26b and 27 at their end.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::node::{MAIN, Node, PATIENCE, TENANT, msg};

const LSN: &str = "0/14D8AB0";

fn members(ids: &[u64]) -> Value {
    json!(ids.iter().map(|id| json!({ "id": id, "host": "127.0.0.1", "pg_port": 15_450 + id })).collect::<Vec<_>>())
}

fn conf(generation: u32, ids: &[u64], new: Value) -> Value {
    json!({ "generation": generation, "members": members(ids), "new_members": new })
}

fn create(timeline: &str) -> Value {
    json!({
        "tenant_id": TENANT, "timeline_id": timeline, "mconf": conf(1, &[1, 2, 3], Value::Null), "pg_version": 170_000,
        "system_id": null, "wal_seg_size": null, "start_lsn": LSN, "commit_lsn": null,
    })
}

fn switched(previous: &Value, current: &Value) -> Value {
    json!({ "previous_conf": previous, "current_conf": current, "last_log_term": 0, "flush_lsn": LSN })
}

fn path(rest: &str) -> String {
    format!("/v1/tenant/{TENANT}/timeline/{MAIN}{rest}")
}

#[tokio::test]
async fn timelines_are_created_described_and_deleted() {
    let mut node = Node::safekeeper(1).await;
    let status = json!({
        "tenant_id": TENANT, "timeline_id": MAIN, "mconf": conf(1, &[1, 2, 3], Value::Null),
        "acceptor_state": { "term": 0, "epoch": 0, "term_history": [{ "term": 0, "lsn": LSN }] },
        "pg_info": { "pg_version": 170_000, "system_id": 0, "wal_seg_size": 16_777_216 }, "flush_lsn": LSN,
        "timeline_start_lsn": LSN, "local_start_lsn": LSN, "commit_lsn": LSN, "backup_lsn": LSN,
        "peer_horizon_lsn": LSN, "remote_consistent_lsn": "0/0", "peers": [], "walsenders": [], "walreceivers": [],
    });
    let other = "f00d0000000000000000000000000002";
    let deleted = |existed: bool| json!({ "dir_existed": existed });
    let rows = [
        ("GET", "/v1/status".to_owned(), Value::Null, 200, json!({ "id": 1 })),
        ("GET", "/v1/utilization".to_owned(), Value::Null, 200, json!({ "timeline_count": 0 })),
        ("POST", "/v1/tenant/timeline".to_owned(), create(MAIN), 200, Value::Null),
        ("POST", "/v1/tenant/timeline".to_owned(), create(MAIN), 200, Value::Null),
        ("POST", "/v1/tenant/timeline".to_owned(), create(other), 200, Value::Null),
        ("GET", "/v1/utilization".to_owned(), Value::Null, 200, json!({ "timeline_count": 2 })),
        ("GET", path(""), Value::Null, 200, status),
        ("DELETE", path(""), Value::Null, 200, deleted(true)),
        ("DELETE", path(""), Value::Null, 200, deleted(false)),
        ("GET", path(""), Value::Null, 404, json!({ "msg": "<text>" })),
    ];
    for (method, path, body, status, answer) in rows {
        node.expect(method, &path, body, status, answer).await;
    }
    // What was deleted can't come back, not even after a restart; what is there stays.
    node.restart().await;
    let why = msg(&format!("Timeline {TENANT}/{MAIN} has been deleted"));
    node.expect("POST", "/v1/tenant/timeline", create(MAIN), 500, why).await;
    let tenant = format!("/v1/tenant/{TENANT}");
    node.expect("DELETE", &tenant, Value::Null, 200, json!({ other: { "dir_existed": true } })).await;
    node.expect("DELETE", &tenant, Value::Null, 200, json!({})).await;
    node.expect("GET", "/v1/nonsense", Value::Null, 404, json!("Not Found")).await;
}

#[tokio::test]
async fn a_timeline_moves_from_one_safekeeper_to_another() {
    let (first, second, fourth) = (Node::safekeeper(1).await, Node::safekeeper(2).await, Node::safekeeper(4).await);
    for node in [&first, &second] {
        node.expect("POST", "/v1/tenant/timeline", create(MAIN), 200, Value::Null).await;
    }
    let before = conf(1, &[1, 2, 3], Value::Null);
    let joint = conf(2, &[1, 2, 3], members(&[2, 3, 4]));
    let after = conf(3, &[2, 3, 4], Value::Null);
    let membership = path("/membership");
    first.expect("PUT", &membership, before.clone(), 200, switched(&before, &before)).await;
    first.expect("PUT", &membership, joint.clone(), 200, switched(&before, &joint)).await;
    second.expect("PUT", &membership, joint.clone(), 200, switched(&before, &joint)).await;
    let hosts = [&first, &second].map(|node| format!("http://127.0.0.1:{}", node.http));
    let pull = json!({ "tenant_id": TENANT, "timeline_id": MAIN, "http_hosts": hosts, "mconf": joint });
    let from_last = json!({ "safekeeper_host": hosts[1] });
    fourth.expect("POST", "/v1/pull_timeline", pull.clone(), 200, from_last).await;
    fourth.expect("POST", "/v1/pull_timeline", pull, 200, json!({ "safekeeper_host": null })).await;
    fourth.expect("PUT", &membership, joint.clone(), 200, switched(&joint, &joint)).await;
    fourth.expect("PUT", &membership, after.clone(), 200, switched(&joint, &after)).await;
    second.expect("PUT", &path("/exclude"), after.clone(), 500, json!({ "msg": "<text>" })).await;
    first.expect("PUT", &path("/exclude"), after, 200, json!({ "dir_existed": true })).await;
    first.expect("GET", "/v1/utilization", Value::Null, 200, json!({ "timeline_count": 0 })).await;
    // Nobody to pull from.
    let nobody = json!({
        "tenant_id": TENANT, "timeline_id": TENANT, "http_hosts": ["http://127.0.0.1:1"], "mconf": null,
    });
    fourth.expect("POST", "/v1/pull_timeline", nobody, 500, json!({ "msg": "<text>" })).await;
}

#[tokio::test]
async fn signals_end_a_safekeeper_well() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut node = Node::safekeeper(1).await;
        let process = node.process.as_mut().expect("running");
        process.signal(signal);
        assert_eq!(process.exit_code(PATIENCE).await, Some(0), "{signal:?}");
    }
}
