//! Shards that come, go and move: situations 02, 03, 08, 09, 10, 12, 28, 32, 41 and 42 at the pageserver's end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::controller::Controller;
use crate::node::{MAIN, Node, PATIENCE, TENANT, location, msg, temporary};
use crate::pattern::assert_like;

const NO_DOWNLOAD: &str =
    r#"{"heatmap_mtime":null,"layers_downloaded":0,"layers_total":0,"bytes_downloaded":0,"bytes_total":0}"#;

fn attached(shard: &str, node: u64, stripe: Value) -> Value {
    json!({ "shards": [{ "shard_id": shard, "node_id": node }], "stripe_size": stripe })
}

fn secondary() -> Value {
    json!({ "shards": [], "stripe_size": null })
}

fn no_download() -> Value {
    serde_json::from_str(NO_DOWNLOAD).expect("JSON")
}

#[tokio::test]
async fn a_tenant_is_attached_changed_and_detached() {
    let controller = Controller::start().await;
    let node = Node::lone_pageserver(controller.port).await;
    node.with_timeline().await;
    controller.take();
    let tenant = json!({
        "id": TENANT, "state": { "slug": "Active" }, "current_physical_size": 23_158_784,
        "attachment_status": { "slug": "attached" }, "generation": 1,
        "walredo": { "last_redo_at": null, "process": null }, "timelines": [MAIN],
    });
    node.expect("GET", &format!("/v1/tenant/{TENANT}"), Value::Null, 200, tenant).await;
    // The same generation with other settings: the timelines stay.
    let mut changed = location("AttachedSingle", Some(1));
    changed["tenant_conf"] = json!({ "gc_horizon": 1_048_576, "pitr_interval": "1h" });
    let path = format!("/v1/tenant/{TENANT}/location_config");
    node.expect("PUT", &format!("{path}?lazy=true"), changed.clone(), 200, attached(TENANT, 1, Value::Null)).await;
    node.expect("GET", &format!("/v1/location_config/{TENANT}"), Value::Null, 200, changed).await;
    let utilization = node.expect("GET", "/v1/utilization", Value::Null, 200, json!("<object>")).await;
    assert_like("utilization", &utilization["utilization_score"], &json!(400));
    assert_like("utilization", &utilization["disk_wanted_bytes"], &json!(23_158_784));
    // An older owner isn't let in; an attached mode needs a generation.
    node.expect("PUT", &path, location("AttachedSingle", Some(0)), 400, json!({ "msg": "<text>" })).await;
    node.expect("PUT", &path, location("AttachedSingle", None), 400, json!({ "msg": "<text>" })).await;
    node.put_location(TENANT, "Detached", None, Value::Null).await;
    node.expect("GET", "/v1/location_config", Value::Null, 200, json!({ "tenant_shards": [] })).await;
    // Its queued deletions are validated, in the background; once more detached is the same; deleted as well.
    let validate = json!({ "tenants": [{ "id": TENANT, "gen": 1 }] });
    let mut seen = controller.take();
    let begin = Instant::now();
    while seen.is_empty() && begin.elapsed() < PATIENCE {
        sleep(Duration::from_millis(10)).await;
        seen = controller.take();
    }
    assert_eq!(seen, [("validate", validate)]);
    node.put_location(TENANT, "Detached", None, Value::Null).await;
    node.expect("DELETE", &format!("/v1/tenant/{TENANT}"), Value::Null, 200, Value::Null).await;
    node.expect("DELETE", &format!("/v1/tenant/{TENANT}"), Value::Null, 200, Value::Null).await;
    let unknown = msg(&format!("NotFound: Tenant {TENANT} not found"));
    node.expect("GET", &format!("/v1/tenant/{TENANT}"), Value::Null, 404, unknown).await;
    node.with_timeline().await;
}

#[tokio::test]
async fn generations_are_validated_in_the_background() {
    let controller = Controller::start().await;
    let node = Node::lone_pageserver(controller.port).await;
    node.with_timeline().await;
    controller.take();
    let path = format!("/v1/tenant/{TENANT}/timeline/{MAIN}");
    let before = node.expect("GET", &path, Value::Null, 200, json!("<object>")).await;
    assert_eq!(before["remote_consistent_lsn_visible"], "0/0");
    let begin = Instant::now();
    loop {
        let now = node.expect("GET", &path, Value::Null, 200, json!("<object>")).await;
        if now["remote_consistent_lsn_visible"] == "0/14D8AB0" {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{now}");
        sleep(Duration::from_millis(200)).await;
    }
    // Once is enough.
    assert_eq!(controller.take(), [("validate", json!({ "tenants": [{ "id": TENANT, "gen": 1 }] }))]);
}

#[tokio::test]
async fn shards_are_named_in_the_answer_with_their_stripe_size() {
    let controller = Controller::start().await;
    let node = Node::lone_pageserver(controller.port).await;
    for (number, shard) in [(0, format!("{TENANT}-0002")), (1, format!("{TENANT}-0102"))] {
        let mut body = location("AttachedSingle", Some(1));
        body["shard_number"] = json!(number);
        body["shard_count"] = json!(2);
        let path = format!("/v1/tenant/{shard}/location_config?lazy=true");
        node.expect("PUT", &path, body, 200, attached(&shard, 1, json!(2048))).await;
        let timeline = json!({ "new_timeline_id": MAIN, "existing_initdb_timeline_id": MAIN, "pg_version": 17 });
        let info = node.expect("POST", &format!("/v1/tenant/{shard}/timeline"), timeline, 201, json!("<object>")).await;
        assert_eq!(info["tenant_id"], shard);
    }
    node.expect("GET", &format!("/v1/tenant/{TENANT}"), Value::Null, 404, json!({ "msg": "<text>" })).await;
}

#[tokio::test]
async fn a_split_leaves_children_with_the_parents_timelines() {
    let controller = Controller::start().await;
    let node = Node::lone_pageserver(controller.port).await;
    node.with_timeline().await;
    let shards = |suffixes: &[&str]| json!({ "new_shards": suffixes.iter().map(|suffix| format!("{TENANT}{suffix}")).collect::<Vec<_>>() });
    let split = |count: u8| json!({ "new_shard_count": count, "new_stripe_size": 2048 });
    let path = |suffix: &str| format!("/v1/tenant/{TENANT}{suffix}/shard_split");
    node.expect("PUT", &path(""), split(2), 200, shards(&["-0002", "-0102"])).await;
    // The controller detaches the parent, which isn't here any more.
    node.put_location(TENANT, "Detached", None, Value::Null).await;
    let detail = format!("/v1/tenant/{TENANT}-0002/timeline/{MAIN}");
    let info = node.expect("GET", &detail, Value::Null, 200, json!("<object>")).await;
    assert_eq!(info["tenant_id"], format!("{TENANT}-0002"));
    assert_eq!(info["remote_consistent_lsn"], "0/0");
    let split = |count: u8| json!({ "new_shard_count": count, "new_stripe_size": null });
    node.expect("PUT", &path("-0002"), split(3), 200, shards(&["-0003", "-0203"])).await;
    node.expect("PUT", &path("-0102"), split(3), 200, shards(&["-0103"])).await;
    node.expect("PUT", &path("-0103"), split(3), 400, json!({ "msg": "<text>" })).await;
}

#[tokio::test]
async fn a_live_migration_takes_the_timelines_along() {
    let directory = temporary();
    let controller = Controller::start().await;
    let remote = directory.path().join("remote");
    let mut nodes: Vec<_> = (1..=2)
        .map(|id| Node::pageserver(&directory.path().join(id.to_string()), id, controller.port, &remote))
        .collect();
    for node in &mut nodes {
        node.start();
        node.until_it_answers().await;
    }
    let (origin, destination) = (&nodes[0], &nodes[1]);
    origin.with_timeline().await;
    destination.put_location(TENANT, "Secondary", None, secondary()).await;
    let tenant = |path: &str| format!("/v1/tenant/{TENANT}/{path}");
    // No heatmap yet: answered at once, with nothing.
    let download = tenant("secondary/download?wait_ms=20000");
    destination.expect("POST", &download, Value::Null, 200, no_download()).await;
    destination.expect("GET", &tenant("secondary/status"), Value::Null, 200, no_download()).await;
    controller.take();
    let stale = location("AttachedStale", Some(1));
    let path = tenant("location_config?flush_ms=10000");
    origin.expect("PUT", &path, stale.clone(), 200, attached(TENANT, 1, Value::Null)).await;
    assert_eq!(controller.take(), [("validate", json!({ "tenants": [{ "id": TENANT, "gen": 1 }] }))]);
    origin.expect("GET", &format!("/v1/location_config/{TENANT}"), Value::Null, 200, stale).await;
    let before = origin.expect("GET", &tenant("timeline"), Value::Null, 200, json!(["<object>"])).await;
    assert_eq!(before[0]["remote_consistent_lsn_visible"], "0/14D8AB0");
    let downloaded = json!({
        "heatmap_mtime": "<time>", "layers_downloaded": 1, "layers_total": 1, "bytes_downloaded": 23_158_784,
        "bytes_total": 23_158_784,
    });
    destination.expect("POST", &download, Value::Null, 200, downloaded.clone()).await;
    destination.expect("GET", &tenant("secondary/status"), Value::Null, 200, downloaded).await;
    destination.put_location(TENANT, "AttachedMulti", Some(2), attached(TENANT, 2, Value::Null)).await;
    let wait = json!({ MAIN: "0/14D8AB0", "timeout": { "secs": 10, "nanos": 0 } });
    destination.expect("POST", &tenant("wait_lsn"), wait, 200, Value::Null).await;
    let for_ever = json!({ MAIN: "0/14D8AB0", "timeout": { "secs": u64::MAX, "nanos": 0 } });
    destination.expect("POST", &tenant("wait_lsn"), for_ever, 200, Value::Null).await;
    let unknown = json!({ TENANT: "0/14D8AB0", "timeout": { "secs": 10, "nanos": 0 } });
    destination.expect("POST", &tenant("wait_lsn"), unknown, 404, Value::Null).await;
    let after = destination.expect("GET", &tenant("timeline"), Value::Null, 200, json!(["<object>"])).await;
    assert_eq!(after[0]["timeline_id"], MAIN);
    assert_eq!(after[0]["current_logical_size_is_accurate"], false);
    origin.put_location(TENANT, "Secondary", None, secondary()).await;
    destination.put_location(TENANT, "AttachedSingle", Some(2), attached(TENANT, 2, Value::Null)).await;
    let unknown = msg(&format!("NotFound: Tenant {TENANT} not found"));
    origin.expect("GET", &tenant("timeline"), Value::Null, 404, unknown).await;
}
