//! Situations 01 and 03, as far as they need no pageserver: a controller that knows nobody.

use serde_json::{Value, json};

use crate::world::World;

const UNKNOWN: &str = "0123456789abcdef0123456789abcdef";

fn msg(text: &str) -> Value {
    json!({ "msg": text })
}

#[tokio::test]
async fn a_controller_without_nodes_answers() {
    let world = World::with_controller(&[]).await;
    let tenant_unknown = format!("NotFound: Tenant {UNKNOWN} not found");
    let leader = json!({ "address": "<text>", "started_at": "<time>" });
    let rows: &[(&str, &str, Value, u16, Value)] = &[
        ("GET", "/status", Value::Null, 200, Value::Null),
        ("GET", "/live", Value::Null, 200, Value::Null),
        ("GET", "/ready", Value::Null, 200, Value::Null),
        ("GET", "/control/v1/node", Value::Null, 200, json!([])),
        ("GET", "/control/v1/safekeeper", Value::Null, 200, json!([])),
        ("GET", "/control/v1/tenant", Value::Null, 200, json!([])),
        ("GET", "/control/v1/leader", Value::Null, 200, leader),
        ("GET", "/control/v1/tenant/@", Value::Null, 404, msg(&tenant_unknown)),
        ("GET", "/v1/tenant/@", Value::Null, 404, msg(&tenant_unknown)),
        ("GET", "/v1/tenant/@/timeline", Value::Null, 404, msg(&tenant_unknown)),
        ("GET", "/debug/v1/tenant/@/locate", Value::Null, 404, msg("NotFound: No shards for this tenant ID found")),
        ("GET", "/v1/tenant/@/config", Value::Null, 404, msg("NotFound: Tenant not found")),
        ("DELETE", "/v1/tenant/@", Value::Null, 400, msg("\"No AZ with nodes found to load tenant\"")),
        ("DELETE", "/v1/tenant/@/timeline/@", Value::Null, 404, msg("NotFound: Tenant not found")),
        (
            "GET",
            "/control/v1/tenant?limit=x",
            Value::Null,
            400,
            msg("\"cannot parse query param limit: invalid digit found in string\""),
        ),
        ("GET", "/v1/tenant/nothex", Value::Null, 400, msg("\"failed to parse tenant_id\"")),
        ("GET", "/no/such/route", Value::Null, 404, json!("Not Found")),
        ("PUT", "/status", Value::Null, 404, json!("Not Found")),
        ("GET", "/control/v1/node/77", Value::Null, 404, msg("NotFound: Node 77 not registered")),
        ("GET", "/control/v1/safekeeper/77", Value::Null, 404, msg("NotFound: unknown instance id")),
        (
            "POST",
            "/v1/tenant/@/timeline",
            json!({ "new_timeline_id": UNKNOWN, "pg_version": 17 }),
            404,
            msg("NotFound: Tenant not found"),
        ),
        (
            "POST",
            "/v1/tenant",
            json!({ "new_tenant_id": "xyz" }),
            400,
            msg("\"Failed to parse json request: new_tenant_id: Invalid string length at line 1 column 22\""),
        ),
        (
            "POST",
            "/v1/tenant",
            json!("{nojson"),
            400,
            msg("\"Failed to parse json request: key must be a string at line 1 column 2\""),
        ),
        ("POST", "/v1/tenant", Value::Null, 400, msg("\"missing request body\"")),
    ];
    for (method, path, body, status, pattern) in rows {
        world.expect(method, &path.replace('@', UNKNOWN), body.clone(), *status, pattern.clone()).await;
    }
}

#[tokio::test]
async fn a_tenant_created_without_nodes_stays_and_cannot_be_deleted() {
    let world = World::with_controller(&[]).await;
    let tenant = "dead0000000000000000000000000001";
    let create = json!({ "new_tenant_id": tenant });
    let why = msg("Conflict: Failed to schedule shard(s): No pageservers found");
    world.expect("POST", "/v1/tenant", create, 409, why).await;
    let describe = format!("/control/v1/tenant/{tenant}");
    let shard = json!({
        "tenant_shard_id": tenant, "node_attached": null, "node_secondary": [], "last_error": "",
        "is_reconciling": false, "is_pending_compute_notification": false, "is_splitting": false,
        "is_importing": false, "scheduling_policy": "Active", "preferred_az_id": null,
    });
    let row = |policy: Value| json!({ "tenant_id": tenant, "shards": [shard], "stripe_size": 2048, "policy": policy, "config": {} });
    world.expect("GET", &describe, Value::Null, 200, row(json!({ "Attached": 0 }))).await;
    let why = msg("Conflict: Scheduling error: No pageservers found");
    world.expect("DELETE", &format!("/v1/tenant/{tenant}"), Value::Null, 409, why).await;
    world.expect("GET", &describe, Value::Null, 200, row(json!("Detached"))).await;
}

#[tokio::test]
async fn safekeepers_are_registered_and_given_a_policy() {
    let mut world = World::with_controller(&[]).await;
    world.start_safekeeper(1).await;
    world.start_safekeeper(4).await;
    let [first, fourth] = [1, 4].map(|id| world.safekeeper_body(id));
    let described = |body: &Value, policy: &str| {
        let mut described = body.clone();
        let keys = described.as_object_mut().expect("an object");
        keys.retain(|key, _| !key.ends_with("_at"));
        keys.insert("scheduling_policy".into(), json!(policy));
        described
    };
    let policy = |policy: &str| json!({ "scheduling_policy": policy });
    world.expect("POST", "/control/v1/safekeeper/4", fourth.clone(), 204, Value::Null).await;
    world.expect("POST", "/control/v1/safekeeper/4/scheduling_policy", policy("Pause"), 200, Value::Null).await;
    world.expect("POST", "/control/v1/safekeeper/1", first.clone(), 204, Value::Null).await;
    // New ones become Active by themselves, with their first answer; a paused one doesn't.
    world.until("/control/v1/safekeeper/1", |one| one["scheduling_policy"] == "Active").await;
    let both = json!([described(&first, "Active"), described(&fourth, "Pause")]);
    world.expect("GET", "/control/v1/safekeeper", Value::Null, 200, both).await;
    let differ = msg("\"id mismatch: url=1, body=4\"");
    world.expect("POST", "/control/v1/safekeeper/1", fourth.clone(), 400, differ).await;
    let bogus = "\"Failed to parse json request: scheduling_policy: unknown variant `Bogus`, expected one of `Active`, \
        `Activating`, `Pause`, `Decomissioned` at line 1 column 28\"";
    let path = "/control/v1/safekeeper/1/scheduling_policy";
    world.expect("POST", path, policy("Bogus"), 400, msg(bogus)).await;
    world
        .expect("POST", "/control/v1/safekeeper/9/scheduling_policy", policy("Active"), 500, json!({ "msg": "<text>" }))
        .await;
    // An upsert leaves the policy as it is.
    world.expect("POST", "/control/v1/safekeeper/4", fourth.clone(), 204, Value::Null).await;
    world.expect("GET", "/control/v1/safekeeper/4", Value::Null, 200, described(&fourth, "Pause")).await;
}

#[tokio::test]
async fn what_is_not_simulated_says_so() {
    let world = World::with_controller(&[]).await;
    for (method, path) in [
        ("DELETE", "/control/v1/node/1"),
        ("GET", "/debug/v1/scheduler"),
        ("GET", "/debug/v1/tenant"),
        ("POST", "/debug/v1/node/1/drop"),
    ] {
        let why = msg(&format!("neon-sim doesn't simulate {method} {path}"));
        world.expect(method, path, Value::Null, 501, why).await;
    }
    let import = json!({ "new_timeline_id": UNKNOWN, "import_pgdata": { "location": {} } });
    let why = msg("neon-sim doesn't simulate import_pgdata");
    world.expect("POST", &format!("/v1/tenant/{UNKNOWN}/timeline"), import, 501, why).await;
}
