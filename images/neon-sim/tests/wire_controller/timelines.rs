//! Situations 05, 06, 09 (its timeline), 20 and 21: timelines on pageservers and safekeepers.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::world::{Row, World, assert_calls};

const A: &str = "aaaa0000000000000000000000000001";
const ONE: &str = "f00d0000000000000000000000000001";
const TWO: &str = "f00d0000000000000000000000000002";
const THREE: &str = "f00d0000000000000000000000000003";

fn path() -> String {
    format!("/v1/tenant/{A}/timeline")
}

/// What a pageserver answers; `safekeepers` is the controller's addition.
fn info(tenant: &str, timeline: &str, ancestor: Option<&str>, safekeepers: Option<Value>) -> Value {
    let mut info = json!({
        "tenant_id": tenant, "timeline_id": timeline, "ancestor_timeline_id": ancestor, "ancestor_lsn": "<null|lsn>",
        "last_record_lsn": "<lsn>", "prev_record_lsn": "<lsn>", "applied_gc_cutoff_lsn": "<lsn>",
        "min_readable_lsn": "<lsn>", "disk_consistent_lsn": "<lsn>", "remote_consistent_lsn": "<lsn>",
        "remote_consistent_lsn_visible": "<lsn>", "initdb_lsn": "<lsn>", "current_logical_size": "<int>",
        "current_logical_size_is_accurate": "<bool>", "directory_entries_counts": "<ints>",
        "current_physical_size": "<int>", "current_logical_size_non_incremental": "<null|int>",
        "pitr_history_size": "<int>", "within_ancestor_pitr": "<bool>", "timeline_dir_layer_file_size_sum": null,
        "wal_source_connstr": null, "last_received_msg_lsn": null, "last_received_msg_ts": null, "pg_version": 17,
        "state": "Active", "walreceiver_status": "<text>", "is_archived": false, "rel_size_migration": "legacy",
        "rel_size_migrated_at": null, "is_invisible": false,
    });
    if let (Some(safekeepers), Some(info)) = (safekeepers, info.as_object_mut()) {
        info.insert("safekeepers".into(), safekeepers);
    }
    info
}

fn safekeepers(timeline: &str) -> Value {
    let named = |id: u64| json!({ "id": id, "hostname": "127.0.0.1" });
    json!({ "tenant_id": A, "timeline_id": timeline, "generation": 1, "safekeepers": [named(1), named(2), named(3)] })
}

fn on_safekeeper(timeline: &str) -> Value {
    let member = |id: u64| json!({ "id": id, "host": "127.0.0.1", "pg_port": "<int>" });
    json!({
        "tenant_id": A, "timeline_id": timeline, "pg_version": 170_000, "system_id": null, "wal_seg_size": null,
        "start_lsn": "<lsn>", "commit_lsn": null,
        "mconf": { "generation": 1, "members": [member(1), member(2), member(3)], "new_members": null },
    })
}

/// One call of the pageserver, then one of each safekeeper.
fn rows<'a>(body: Value, timeline: &str, ancestor: Option<&str>) -> Vec<Row<'a>> {
    let mut rows = vec![Row("ps-1", "POST", path(), body, 201, info(A, timeline, ancestor, None))];
    for safekeeper in ["sk-1", "sk-2", "sk-3"] {
        let create = on_safekeeper(timeline);
        rows.push(Row(safekeeper, "POST", "/v1/tenant/timeline".into(), create, 200, Value::Null));
    }
    rows
}

async fn with_tenant() -> World {
    let world = World::complete().await;
    let (status, answer) = world.call("POST", "/v1/tenant", json!({ "new_tenant_id": A })).await;
    assert_eq!(status, 201, "{answer}");
    world.recorder.take();
    world
}

/// What was seen, without upcalls, and with the safekeepers in their order: they are called at once.
fn taken(world: &World) -> Vec<crate::recorder::Seen> {
    let mut seen = world.recorder.take();
    seen.retain(|call| call.to != "sc");
    seen.sort_by_key(|call| call.to.starts_with("sk-").then(|| call.to.clone()));
    seen
}

#[tokio::test]
async fn a_timeline_is_made_on_the_pageserver_and_then_on_three_safekeepers() {
    let world = with_tenant().await;
    let create = json!({ "new_timeline_id": ONE, "pg_version": 17 });
    let wanted = info(A, ONE, None, Some(safekeepers(ONE)));
    for _repeat in 0..2 {
        world.expect("POST", &path(), create.clone(), 201, wanted.clone()).await;
        let body = json!({ "new_timeline_id": ONE, "existing_initdb_timeline_id": null, "pg_version": 17 });
        assert_calls(&taken(&world), &rows(body, ONE, None));
    }
    let other = json!({ "new_timeline_id": ONE, "pg_version": 16 });
    let why = "Conflict: 1 (127.0.0.1) 409 Conflict: 409 Conflict timeline already exists with different parameters";
    world.expect("POST", &path(), other, 409, json!({ "msg": why })).await;
    let unsupported = json!({ "new_timeline_id": TWO, "pg_version": 13 });
    world.expect("POST", &path(), unsupported, 400, json!({ "msg": "<text>" })).await;
    taken(&world);
    let plain = json!({ "new_timeline_id": TWO });
    world.expect("POST", &path(), plain, 201, info(A, TWO, None, Some(safekeepers(TWO)))).await;
    let body = json!({ "new_timeline_id": TWO, "existing_initdb_timeline_id": null, "pg_version": null });
    assert_calls(&taken(&world), &rows(body, TWO, None));
    let sets = json!({ "generation": 1, "sk_set": [1, 2, 3], "new_sk_set": null });
    let locate = |timeline: &str| format!("/debug/v1/tenant/{A}/timeline/{timeline}/locate");
    world.expect("GET", &locate(ONE), Value::Null, 200, sets).await;
    world.expect("GET", &locate(THREE), Value::Null, 404, json!({ "msg": "<text>" })).await;
}

#[tokio::test]
async fn branches_and_what_can_be_asked_about_them() {
    let world = with_tenant().await;
    let made = world.call("POST", &path(), json!({ "new_timeline_id": ONE, "pg_version": 17 })).await.1;
    taken(&world);
    let branch = json!({ "new_timeline_id": THREE, "ancestor_timeline_id": ONE });
    world.expect("POST", &path(), branch, 201, info(A, THREE, Some(ONE), Some(safekeepers(THREE)))).await;
    let body = json!({
        "new_timeline_id": THREE, "ancestor_timeline_id": ONE, "ancestor_start_lsn": null, "pg_version": null });
    assert_calls(&taken(&world), &rows(body, THREE, Some(ONE)));
    let early = json!({ "new_timeline_id": TWO, "ancestor_timeline_id": ONE, "ancestor_start_lsn": "0/10" });
    let (status, answer) = world.call("POST", &path(), early).await;
    let why = answer["msg"].as_str().unwrap_or_default();
    assert!(
        status == 409 && why.starts_with("Conflict: 1 (127.0.0.1) 406 Not Acceptable: 406 Not Acceptable "),
        "{why}"
    );
    let orphan = json!({ "new_timeline_id": TWO, "ancestor_timeline_id": A });
    let (status, answer) = world.call("POST", &path(), orphan).await;
    let why = answer["msg"].as_str().unwrap_or_default();
    assert!(status == 409 && why.starts_with("Conflict: 1 (127.0.0.1) 500 Internal Server Error: "), "{why}");
    // An LSN that isn't one makes it a bootstrap: so the real program.
    let malformed = json!({ "new_timeline_id": TWO, "ancestor_timeline_id": ONE, "ancestor_start_lsn": "zz" });
    world.expect("POST", &path(), malformed, 201, info(A, TWO, None, Some(safekeepers(TWO)))).await;

    let one = format!("{}/{ONE}", path());
    world.expect("GET", &one, Value::Null, 200, info(A, ONE, None, None)).await;
    assert_eq!(world.get(&path()).await.as_array().map(Vec::len), Some(3));
    let (status, answer) = world.call("GET", &format!("{}/{A}", path()), Value::Null).await;
    assert_eq!((status, answer), (404, json!({ "msg": format!("NotFound: Timeline {A}/{A} was not found") })));
    taken(&world);
    let described = world.get(&format!("/control/v1/tenant/{A}/timeline/{ONE}")).await;
    assert_eq!(described["shards"][0]["timeline_id"], ONE);
    assert_eq!(described["shards"][0]["image_consistent_lsn"], described["image_consistent_lsn"]);
    let asked = taken(&world);
    assert_eq!(asked[0].path, format!("{one}?include-image-consistent-lsn=true"));
    let lease = json!({ "lsn": made["last_record_lsn"] });
    world.expect("POST", &format!("{one}/lsn_lease"), lease.clone(), 200, Value::Null).await;
    let valid = json!({ "valid_until": "<time>" });
    assert_calls(&taken(&world), &[Row("ps-1", "POST", format!("{one}/lsn_lease"), lease, 200, valid)]);
    for state in ["Archived", "Unarchived"] {
        let body = json!({ "state": state });
        let path = format!("{}/{THREE}/archival_config", path());
        world.expect("PUT", &path, body.clone(), 200, Value::Null).await;
        assert_calls(&taken(&world), &[Row("ps-1", "PUT", path, body, 200, Value::Null)]);
    }
}

#[tokio::test]
async fn all_shards_take_the_first_ones_initdb() {
    let world = World::complete().await;
    let create = json!({ "new_tenant_id": A, "shard_parameters": { "count": 2, "stripe_size": 2048 } });
    assert_eq!(world.call("POST", "/v1/tenant", create).await.0, 201);
    taken(&world);
    let create = json!({ "new_timeline_id": ONE, "pg_version": 17 });
    let wanted = info(&format!("{A}-0002"), ONE, None, Some(safekeepers(ONE)));
    world.expect("POST", &path(), create, 201, wanted).await;
    let body =
        |initdb: Value| json!({ "new_timeline_id": ONE, "existing_initdb_timeline_id": initdb, "pg_version": 17 });
    let on = |shard: &str, body: Value| {
        let shard = format!("{A}-{shard}");
        Row("ps-1", "POST", format!("/v1/tenant/{shard}/timeline"), body, 201, info(&shard, ONE, None, None))
    };
    let seen = taken(&world);
    assert_calls(&seen[..2], &[on("0002", body(Value::Null)), on("0102", body(json!(ONE)))]);
    assert_eq!(seen[2..].iter().map(|call| call.to.as_str()).collect::<Vec<_>>(), ["sk-1", "sk-2", "sk-3"]);
}

#[tokio::test]
async fn without_enough_safekeepers_the_pageserver_has_it_already() {
    let mut world = World::with_controller(&[]).await;
    world.start_pageserver(1).await;
    world.until_nodes_are(&["Active"]).await;
    assert_eq!(world.call("POST", "/v1/tenant", json!({ "new_tenant_id": A })).await.0, 201);
    let create = json!({ "new_timeline_id": ONE, "pg_version": 17 });
    let why = "couldn't find 3 safekeepers in different AZs for new timeline (found: 0, total active: 0)";
    world.expect("POST", &path(), create.clone(), 500, json!({ "msg": why })).await;
    assert_eq!(world.get(&path()).await[0]["timeline_id"], ONE);
    for id in 1..=3 {
        world.start_safekeeper(id).await;
        world.register_safekeeper(id).await;
    }
    world.until_safekeepers_are("Active").await;
    world.expect("POST", &path(), create, 201, info(A, ONE, None, Some(safekeepers(ONE)))).await;
}

#[tokio::test]
async fn one_safekeeper_may_be_down_and_two_may_not() {
    let mut world = with_tenant().await;
    let create = json!({ "new_timeline_id": ONE, "pg_version": 17 });
    world.safekeepers.remove(&3);
    let begin = Instant::now();
    world.expect("POST", &path(), create, 201, info(A, ONE, None, Some(safekeepers(ONE)))).await;
    // The third is tried four times: pauses of 0, 1.1 and 1.21 s.
    assert!(begin.elapsed() >= Duration::from_millis(2300), "{:?}", begin.elapsed());
    world.safekeepers.remove(&2);
    let create = json!({ "new_timeline_id": TWO, "pg_version": 17 });
    let why = "not enough successful reconciliations to reach quorum size: 1 of 2 of total 3";
    world.expect("POST", &path(), create.clone(), 500, json!({ "msg": why })).await;
    world.start_safekeeper(2).await;
    world.start_safekeeper(3).await;
    world.expect("POST", &path(), create, 201, info(A, TWO, None, Some(safekeepers(TWO)))).await;
    // The one that missed the first timeline is told soon after it answers again.
    world.seen(1, |call| call.to == "sk-3" && call.body["timeline_id"] == ONE).await;
}

#[tokio::test]
async fn what_a_safekeeper_missed_of_a_deleted_tenant_is_its_deletion_only() {
    let mut world = with_tenant().await;
    world.safekeepers.remove(&3);
    let create = json!({ "new_timeline_id": ONE, "pg_version": 17 });
    world.expect("POST", &path(), create, 201, info(A, ONE, None, Some(safekeepers(ONE)))).await;
    world.expect("DELETE", &format!("/v1/tenant/{A}"), Value::Null, 200, Value::Null).await;
    taken(&world);
    world.start_safekeeper(3).await;
    let seen = world.seen(1, |call| call.to == "sk-3" && call.method == "DELETE").await;
    let created = |call: &crate::recorder::Seen| call.to == "sk-3" && call.method == "POST" && call.status.is_some();
    assert!(!seen.iter().any(created), "{seen:#?}");
}

#[tokio::test]
async fn a_timeline_is_deleted_everywhere_and_its_id_is_spent() {
    let world = with_tenant().await;
    let create = |id: &str, ancestor: Option<&str>| {
        let mut body = Map::from_iter([("new_timeline_id".to_owned(), json!(id))]);
        body.extend(ancestor.map(|ancestor| ("ancestor_timeline_id".to_owned(), json!(ancestor))));
        Value::Object(body)
    };
    assert_eq!(world.call("POST", &path(), create(ONE, None)).await.0, 201);
    assert_eq!(world.call("POST", &path(), create(THREE, Some(ONE))).await.0, 201);
    taken(&world);
    let (one, three) = (format!("{}/{ONE}", path()), format!("{}/{THREE}", path()));
    world.expect("DELETE", &three, Value::Null, 200, Value::Null).await;
    let seen = world.seen(5, |call| call.path == three).await;
    let on_pageserver: Vec<_> = seen.iter().filter(|call| call.to == "ps-1").filter_map(|call| call.status).collect();
    assert_eq!(on_pageserver, [202, 404]);
    let mut told: Vec<_> =
        seen.iter().filter(|call| call.to.starts_with("sk")).map(|call| (call.to.as_str(), &call.answer)).collect();
    told.sort_by_key(|(to, _)| *to);
    let existed = json!({ "dir_existed": true });
    assert_eq!(told, [("sk-1", &existed), ("sk-2", &existed), ("sk-3", &existed)]);
    world.expect("DELETE", &three, Value::Null, 200, Value::Null).await;
    world.expect("GET", &three, Value::Null, 404, json!({ "msg": "<text>" })).await;
    // Safekeepers remember what was deleted.
    let why = "not enough successful reconciliations to reach quorum size: 0 of 2 of total 3";
    world.expect("POST", &path(), create(THREE, Some(ONE)), 500, json!({ "msg": why })).await;
    // With a child it can't be deleted from pageservers, but safekeepers have lost it by then.
    taken(&world);
    let (status, answer) = world.call("DELETE", &one, Value::Null).await;
    let why = answer["msg"].as_str().unwrap_or_default();
    let begin =
        format!("Error deleting timeline {ONE} on {A} on node 1 (127.0.0.1): pageserver API: Precondition failed: ");
    assert!(status == 500 && why.starts_with(&begin), "{status} {why}");
    let seen = world.seen(4, |call| call.path == one).await;
    assert!(
        seen.iter().filter(|call| call.path == one && call.to.starts_with("sk")).all(|call| call.answer == existed),
        "{seen:#?}"
    );
}

#[tokio::test]
async fn a_branch_in_the_future_keeps_the_tenant_locked() {
    let world = with_tenant().await;
    let create = json!({ "new_timeline_id": ONE, "pg_version": 17 });
    assert_eq!(world.call("POST", &path(), create).await.0, 201);
    let branch = json!({ "new_timeline_id": TWO, "ancestor_timeline_id": ONE, "ancestor_start_lsn": "F/0" });
    let (create, configure) = (path(), json!({ "tenant_id": A, "gc_horizon": 1 }));
    let limit = Duration::from_millis(700);
    // It isn't refused, it waits; and when its client has gone, it still does.
    let waiting = tokio::time::timeout(limit, world.call("POST", &create, branch)).await;
    assert!(waiting.is_err(), "{waiting:?}");
    let config = tokio::time::timeout(limit, world.call("PUT", "/v1/tenant/config", configure)).await;
    assert!(config.is_err(), "{config:?}");
    assert_eq!(world.get(&format!("/control/v1/tenant/{A}")).await["config"], json!({}));
}
