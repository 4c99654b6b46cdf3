//! Timelines on a pageserver: situations 05, 06, 20 and 31.

use serde_json::{Value, json};

use crate::controller::Controller;
use crate::node::{MAIN, Node, TENANT, msg};

fn id(number: u8) -> String {
    format!("f00d00000000000000000000000000{number:02}")
}

/// All that is told of a timeline made by initdb, with its two positions and its version.
fn bootstrapped(timeline: &str, first: &str, last: &str, version: u32) -> Value {
    json!({
        "tenant_id": TENANT, "timeline_id": timeline, "ancestor_timeline_id": null, "ancestor_lsn": null,
        "last_record_lsn": last, "prev_record_lsn": first, "applied_gc_cutoff_lsn": first, "min_readable_lsn": first,
        "disk_consistent_lsn": last, "remote_consistent_lsn": last, "remote_consistent_lsn_visible": "<lsn>",
        "initdb_lsn": first, "current_logical_size": "<int>", "current_logical_size_is_accurate": true,
        "directory_entries_counts": [4, 0, 296, 0, 1, 1, 1, 0], "current_physical_size": "<int>",
        "current_logical_size_non_incremental": null, "pitr_history_size": "<int>", "within_ancestor_pitr": false,
        "timeline_dir_layer_file_size_sum": null, "wal_source_connstr": null, "last_received_msg_lsn": null,
        "last_received_msg_ts": null, "pg_version": version, "state": "Active", "walreceiver_status": "<text>",
        "is_archived": false, "rel_size_migration": "legacy", "rel_size_migrated_at": null, "is_invisible": false,
    })
}

/// The same of a branch off `MAIN`, just made.
fn branched(timeline: &str) -> Value {
    let mut info = bootstrapped(timeline, "0/14D8A38", "0/14D8AB0", 17);
    for (key, value) in [
        ("ancestor_timeline_id", json!(MAIN)),
        ("ancestor_lsn", json!("0/14D8AB0")),
        ("current_logical_size", json!(0)),
        ("current_logical_size_is_accurate", json!(false)),
        ("directory_entries_counts", json!([0, 0, 0, 0, 0, 0, 0, 0])),
        ("current_physical_size", json!(0)),
    ] {
        info[key] = value;
    }
    info
}

fn bootstrap(timeline: &str, version: Value) -> Value {
    json!({ "new_timeline_id": timeline, "existing_initdb_timeline_id": null, "pg_version": version })
}

fn branch(timeline: &str, ancestor: &str, start: Value) -> Value {
    json!({
        "new_timeline_id": timeline, "ancestor_timeline_id": ancestor, "ancestor_start_lsn": start, "pg_version": null,
    })
}

#[tokio::test]
async fn creates_are_answered_as_recorded() {
    let controller = Controller::start().await;
    let node = Node::lone_pageserver(controller.port).await;
    node.with_timeline().await;
    let main = bootstrapped(MAIN, "0/14D8A38", "0/14D8AB0", 17);
    let unknown = "0123456789abcdef0123456789abcdef";
    let no_ancestor = format!(
        "Cannot branch off the timeline that's not present in pageserver: Timeline {TENANT}/{unknown} was not found"
    );
    let too_old = "invalid branch start lsn: less than latest GC cutoff 0/14D8A38: LSN 0/10 is earlier than latest GC \
        cutoff 0/14D8A38 (we might've already garbage collected needed data)";
    let not_supported = "\"Failed to parse json request: data did not match any variant of untagged enum \
        TimelineCreateRequestMode at line 1 column 105\"";
    let rows = [
        (bootstrap(MAIN, json!(17)), 201, main),
        (bootstrap(MAIN, json!(16)), 409, msg("timeline already exists with different parameters")),
        (bootstrap(&id(2), Value::Null), 201, bootstrapped(&id(2), "0/14D8A38", "0/14D8AB0", 17)),
        (bootstrap(&id(7), json!(16)), 201, bootstrapped(&id(7), "0/14DDE18", "0/14DDE90", 16)),
        (bootstrap(&id(8), json!(13)), 400, msg(not_supported)),
        (
            json!({ "new_timeline_id": id(9), "import_pgdata": { "location": {} } }),
            501,
            msg("neon-sim doesn't simulate import_pgdata"),
        ),
        (branch(&id(3), MAIN, Value::Null), 201, branched(&id(3))),
        (branch(&id(4), MAIN, json!("0/14D8AB0")), 201, branched(&id(4))),
        (branch(&id(4), MAIN, json!("0/14D8AB0")), 201, branched(&id(4))),
        (branch(&id(5), MAIN, json!("0/10")), 406, msg(too_old)),
        (branch(&id(6), unknown, Value::Null), 500, msg(&no_ancestor)),
        // Not an LSN: read as a bootstrap.
        (branch(&id(6), MAIN, json!("zz")), 201, bootstrapped(&id(6), "0/14D8A38", "0/14D8AB0", 17)),
    ];
    for (body, status, answer) in rows {
        node.expect("POST", &format!("/v1/tenant/{TENANT}/timeline"), body, status, answer).await;
    }
    let all = node.expect("GET", &format!("/v1/tenant/{TENANT}/timeline"), Value::Null, 200, json!("<any>")).await;
    let ids: Vec<_> = all.as_array().expect("a list").iter().map(|one| one["timeline_id"].clone()).collect();
    assert_eq!(json!(ids), json!([MAIN, id(2), id(3), id(4), id(6), id(7)]));
    let nowhere = "/v1/tenant/dead0000000000000000000000000001/timeline";
    let no_tenant = msg("NotFound: Tenant dead0000000000000000000000000001 not found");
    node.expect("POST", nowhere, bootstrap(MAIN, Value::Null), 404, no_tenant).await;
}

#[tokio::test]
async fn a_timeline_is_described_leased_and_archived() {
    let controller = Controller::start().await;
    let node = Node::lone_pageserver(controller.port).await;
    node.with_timeline().await;
    let path = |rest: &str| format!("/v1/tenant/{TENANT}/timeline/{MAIN}{rest}");
    let main = bootstrapped(MAIN, "0/14D8A38", "0/14D8AB0", 17);
    let mut with_image = main.clone();
    with_image["image_consistent_lsn"] = json!("0/14D8A37");
    let archived = |state: &str| json!({ "state": state });
    let no_pages = |call: &str| msg(&format!("neon-sim is a simulation and stores no pages: no {call}"));
    let rows = [
        ("GET", path(""), Value::Null, 200, main),
        ("GET", path("?include-image-consistent-lsn=true"), Value::Null, 200, with_image),
        (
            "GET",
            path("?include-image-consistent-lsn=perhaps"),
            Value::Null,
            400,
            msg("\"cannot parse query param include-image-consistent-lsn: provided string was not `true` or `false`\""),
        ),
        (
            "GET",
            path("/get_lsn_by_timestamp?timestamp=2026-11-23T01:00:00Z"),
            Value::Null,
            200,
            json!({ "lsn": "0/14D8A38", "kind": "nodata" }),
        ),
        ("POST", path("/lsn_lease"), json!({ "lsn": "0/14D8AB0" }), 200, json!({ "valid_until": "<time>" })),
        ("PUT", path("/archival_config"), archived("Archived"), 200, Value::Null),
        ("PUT", path("/archival_config"), archived("Unarchived"), 200, Value::Null),
        ("PUT", path("/checkpoint"), Value::Null, 501, no_pages("checkpoint")),
        ("GET", path("/getpage?key=0&lsn=0/0"), Value::Null, 501, no_pages("getpage")),
        ("GET", format!("/v1/tenant/{TENANT}/synthetic_size"), Value::Null, 501, no_pages("synthetic_size")),
        (
            "GET",
            format!("/v1/tenant/{TENANT}/timeline/{}", id(99)),
            Value::Null,
            404,
            msg(&format!("NotFound: Timeline {TENANT}/{} was not found", id(99))),
        ),
    ];
    for (method, path, body, status, answer) in rows {
        node.expect(method, &path, body, status, answer).await;
    }
}

#[tokio::test]
async fn a_timeline_with_branches_is_not_deleted() {
    let controller = Controller::start().await;
    let node = Node::lone_pageserver(controller.port).await;
    node.with_timeline().await;
    let timeline = |number: u8| format!("/v1/tenant/{TENANT}/timeline/{}", id(number));
    for number in [3, 4] {
        let body = branch(&id(number), MAIN, Value::Null);
        node.expect("POST", &format!("/v1/tenant/{TENANT}/timeline"), body, 201, json!("<object>")).await;
    }
    let refused =
        format!("Precondition failed: Cannot delete timeline which has child timelines: [{}, {}]", id(3), id(4));
    node.expect("DELETE", &timeline(1), Value::Null, 412, msg(&refused)).await;
    node.expect("DELETE", &timeline(4), Value::Null, 202, Value::Null).await;
    node.expect("DELETE", &timeline(4), Value::Null, 404, msg("NotFound: timeline not found")).await;
    let gone = format!("NotFound: Timeline {TENANT}/{} was not found", id(4));
    node.expect("GET", &timeline(4), Value::Null, 404, msg(&gone)).await;
    // Its id may be used again.
    let body = branch(&id(4), MAIN, Value::Null);
    node.expect("POST", &format!("/v1/tenant/{TENANT}/timeline"), body, 201, branched(&id(4))).await;
}

#[tokio::test]
async fn a_branch_in_the_future_waits_until_the_tenant_goes() {
    let controller = Controller::start().await;
    let node = Node::lone_pageserver(controller.port).await;
    node.with_timeline().await;
    let path = format!("/v1/tenant/{TENANT}/timeline");
    let future = node.expect("POST", &path, branch(&id(17), MAIN, json!("F/0")), 503, msg("tenant shutting down"));
    let detach = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        node.put_location(TENANT, "Detached", None, Value::Null).await;
    };
    tokio::join!(future, detach);
}
