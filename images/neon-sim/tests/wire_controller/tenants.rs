//! Situations 02, 04, 07, 08, 09, 27 and 28: tenants, and what pageservers and the hook are told about them.

use serde_json::{Value, json};

use crate::recorder::Seen;
use crate::world::{Row, World, assert_calls};

const A: &str = "aaaa0000000000000000000000000001";
const B: &str = "bbbb0000000000000000000000000001";
const C: &str = "cccc0000000000000000000000000001";

/// What a node is told about a shard that isn't sharded.
fn location(mode: &str, generation: Option<u32>, tenant_conf: Value) -> Value {
    let secondary = if mode == "Secondary" { json!({ "warm": true }) } else { Value::Null };
    json!({
        "mode": mode, "generation": generation, "secondary_conf": secondary, "shard_number": 0, "shard_count": 0,
        "shard_stripe_size": 2048, "tenant_conf": tenant_conf,
    })
}

fn attached_answer(tenant: &str, node: u64) -> Value {
    json!({ "shards": [{ "shard_id": tenant, "node_id": node }], "stripe_size": null })
}

fn notify(tenant: &str, zone: &str, node: u64) -> Value {
    json!({
        "tenant_id": tenant, "preferred_az": zone, "stripe_size": null,
        "shards": [{ "node_id": node, "shard_number": 0 }],
    })
}

fn created(tenant: &str, node: u64, generation: u32) -> Value {
    json!({ "shards": [{ "shard_id": tenant, "node_id": node, "generation": generation }] })
}

fn put(tenant: &str, query: &str) -> String {
    format!("/v1/tenant/{tenant}/location_config{query}")
}

fn described(tenant: &str, attached: Value, secondary: Value, policy: Value, config: Value) -> Value {
    json!({
        "tenant_id": tenant, "stripe_size": 2048, "policy": policy, "config": config,
        "shards": [{
            "tenant_shard_id": tenant, "node_attached": attached, "node_secondary": secondary, "last_error": "",
            "is_reconciling": false, "is_pending_compute_notification": false, "is_splitting": false,
            "is_importing": false, "scheduling_policy": "Active", "preferred_az_id": "<text>",
        }],
    })
}

pub fn is_notify(call: &Seen) -> bool {
    call.path == "/notify-attach"
}

#[tokio::test]
async fn first_contact_after_a_re_attach() {
    let mut world = World::with_controller(&[]).await;
    world.start_pageserver(1).await;
    world.until_nodes_are(&["Active"]).await;
    let seen = world.seen(2, |_| true).await;
    let register = json!({
        "node_id": 1, "listen_pg_addr": "127.0.0.1", "listen_pg_port": "<int>", "listen_grpc_addr": null,
        "listen_grpc_port": null, "listen_http_addr": "127.0.0.1", "listen_http_port": "<int>",
        "listen_https_port": null, "availability_zone_id": "az-1", "node_ip_addr": null,
    });
    let re_attach = json!({ "node_id": 1, "register": register, "empty_local_disk": true });
    assert_calls(
        &seen,
        &[
            Row("sc", "POST", "/upcall/v1/re-attach".into(), re_attach, 200, json!({ "tenants": [] })),
            Row("ps-1", "GET", "/v1/location_config".into(), Value::Null, 200, json!({ "tenant_shards": [] })),
        ],
    );
}

#[tokio::test]
async fn a_tenant_is_created_described_located_and_deleted() {
    let world = World::complete().await;
    let create = json!({ "new_tenant_id": A });
    world.expect("POST", "/v1/tenant", create.clone(), 201, created(A, 1, 0)).await;
    let first = location("AttachedSingle", Some(1), json!({}));
    let rows = [
        Row("ps-1", "PUT", put(A, "?lazy=true"), first, 200, attached_answer(A, 1)),
        Row("hook", "PUT", "/notify-attach".into(), notify(A, "az-1", 1), 200, json!({})),
    ];
    assert_calls(&world.recorder.take(), &rows);
    // Repeated: the same place, now with its generation, and nobody is told anything.
    world.expect("POST", "/v1/tenant", create.clone(), 201, created(A, 1, 1)).await;
    assert_calls(&world.recorder.take(), &[]);
    let row = described(A, json!(1), json!([]), json!({ "Attached": 0 }), json!({}));
    world.expect("GET", &format!("/control/v1/tenant/{A}"), Value::Null, 200, row.clone()).await;
    world.expect("GET", "/control/v1/tenant", Value::Null, 200, json!([row])).await;
    let place = json!({
        "shard_id": A, "node_id": 1, "listen_pg_addr": "127.0.0.1", "listen_pg_port": "<int>",
        "listen_grpc_addr": null, "listen_grpc_port": null, "listen_http_addr": "127.0.0.1",
        "listen_http_port": "<int>", "listen_https_port": null,
    });
    let located = json!({ "shards": [place], "shard_params": { "count": 0, "stripe_size": 2048 } });
    world.expect("GET", &format!("/debug/v1/tenant/{A}/locate"), Value::Null, 200, located).await;
    let shards = json!({ "node_id": 1, "shards": [
        { "tenant_shard_id": A, "is_observed_secondary": false, "is_intended_secondary": false }] });
    world.expect("GET", "/control/v1/node/1/shards", Value::Null, 200, shards).await;
    let status = json!({
        "id": A, "state": { "slug": "Active" }, "current_physical_size": 0, "generation": 1,
        "attachment_status": { "slug": "attached" }, "walredo": "<object>", "timelines": [],
    });
    world.expect("GET", &format!("/v1/tenant/{A}"), Value::Null, 200, status.clone()).await;
    assert_calls(&world.recorder.take(), &[Row("ps-1", "GET", format!("/v1/tenant/{A}"), Value::Null, 200, status)]);
    // One DELETE is enough; the id may be used again.
    let delete = format!("/v1/tenant/{A}");
    world.expect("DELETE", &delete, Value::Null, 200, Value::Null).await;
    let detached = location("Detached", None, json!({}));
    let rows = [
        Row("ps-1", "PUT", put(A, ""), detached, 200, Value::Null),
        Row("ps-1", "DELETE", delete.clone(), Value::Null, 200, Value::Null),
    ];
    assert_calls(&world.recorder.take(), &rows);
    let gone = json!({ "msg": format!("NotFound: Tenant {A} not found") });
    world.expect("DELETE", &delete, Value::Null, 404, gone.clone()).await;
    world.expect("GET", &format!("/control/v1/tenant/{A}"), Value::Null, 404, gone).await;
    world.expect("POST", "/v1/tenant", create, 201, created(A, 1, 0)).await;
}

#[tokio::test]
async fn settings_are_replaced_patched_and_handed_on() {
    let world = World::complete().await;
    world.expect("POST", "/v1/tenant", json!({ "new_tenant_id": A }), 201, created(A, 1, 0)).await;
    world.recorder.take();
    let config = |method: &'static str, keys: Value, after: Value| {
        let world = &world;
        async move {
            let mut body = json!({ "tenant_id": A });
            body.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            world.expect(method, "/v1/tenant/config", body, 200, Value::Null).await;
            let wanted = location("AttachedSingle", Some(1), after.clone());
            let row = Row("ps-1", "PUT", put(A, "?lazy=true"), wanted, 200, attached_answer(A, 1));
            assert_calls(&world.recorder.take(), &[row]);
            let both = json!({ "effective_config": after, "tenant_specific_overrides": after });
            world.expect("GET", &format!("/v1/tenant/{A}/config"), Value::Null, 200, both).await;
        }
    };
    let two = json!({ "pitr_interval": "1h", "gc_horizon": 1_048_576 });
    config("PUT", two.clone(), two).await;
    let change = json!({ "pitr_interval": null, "checkpoint_distance": 1_048_576 });
    config("PATCH", change, json!({ "checkpoint_distance": 1_048_576, "gc_horizon": 1_048_576 })).await;
    config("PUT", json!({}), json!({})).await;
    let unknown = json!({ "tenant_id": C });
    let missing = json!({ "msg": format!("NotFound: Tenant {C} not found") });
    world.expect("PUT", "/v1/tenant/config", unknown, 404, missing).await;
    let bad = json!({ "tenant_id": A, "no_such_key": 1 });
    let why = json!({ "msg": "\"Failed to parse json request: unknown field `no_such_key`\"" });
    world.expect("PUT", "/v1/tenant/config", bad, 400, why).await;
    let policy = format!("/control/v1/tenant/{A}/policy");
    for word in ["Pause", "Active"] {
        world.expect("PUT", &policy, json!({ "scheduling": word }), 200, Value::Null).await;
        let shard = &world.get(&format!("/control/v1/tenant/{A}")).await["shards"][0];
        assert_eq!(shard["scheduling_policy"], word);
    }
    assert_calls(&world.recorder.take(), &[]);
}

#[tokio::test]
async fn a_tenant_with_a_secondary_is_detached_and_attached_again() {
    let world = World::complete().await;
    let create = json!({
        "new_tenant_id": B, "placement_policy": { "Attached": 1 }, "pitr_interval": "7days",
        "shard_parameters": { "count": 0, "stripe_size": 2048 },
    });
    world.expect("POST", "/v1/tenant", create, 201, created(B, 1, 0)).await;
    let conf = json!({ "pitr_interval": "7days", "heatmap_period": "1m" });
    let none = json!({ "shards": [], "stripe_size": null });
    let first = location("AttachedSingle", Some(1), conf.clone());
    let rows = [
        Row("ps-1", "PUT", put(B, "?lazy=true"), first, 200, attached_answer(B, 1)),
        Row("hook", "PUT", "/notify-attach".into(), notify(B, "az-1", 1), 200, json!({})),
        Row("ps-2", "PUT", put(B, ""), location("Secondary", None, conf), 200, none.clone()),
    ];
    assert_calls(&world.recorder.take(), &rows);
    let row = described(B, json!(1), json!([2]), json!({ "Attached": 1 }), json!({ "pitr_interval": "7days" }));
    world.expect("GET", &format!("/control/v1/tenant/{B}"), Value::Null, 200, row).await;
    let nested = json!({ "new_tenant_id": C, "config": { "pitr_interval": "7days" } });
    let why = json!({ "msg": "\"Failed to parse json request: unknown field `config`\"" });
    world.expect("POST", "/v1/tenant", nested, 400, why).await;
    // Asked of the secondaries; there is no heatmap yet.
    let download = format!("/v1/tenant/{B}/secondary/download?wait_ms=2000");
    let nothing = json!({
        "heatmap_mtime": null, "layers_downloaded": 0, "layers_total": 0, "bytes_downloaded": 0, "bytes_total": 0 });
    world.expect("POST", &download, Value::Null, 200, nothing.clone()).await;
    assert_calls(&world.recorder.take(), &[Row("ps-2", "POST", download, Value::Null, 200, nothing)]);

    let detach = json!({ "mode": "Detached", "tenant_conf": {} });
    world.expect("PUT", &put(B, ""), detach, 200, none.clone()).await;
    let detached = || location("Detached", None, json!({}));
    let rows = [
        Row("ps-1", "PUT", put(B, ""), detached(), 200, Value::Null),
        Row("ps-2", "PUT", put(B, ""), detached(), 200, Value::Null),
    ];
    assert_calls(&world.recorder.take(), &rows);
    let row = described(B, Value::Null, json!([]), json!("Detached"), json!({}));
    world.expect("GET", &format!("/control/v1/tenant/{B}"), Value::Null, 200, row).await;
    world.expect("GET", &format!("/debug/v1/tenant/{B}/locate"), Value::Null, 400, json!({ "msg": "<text>" })).await;
    let attach = json!({ "mode": "AttachedSingle", "generation": null, "tenant_conf": {} });
    world.expect("PUT", &put(B, ""), attach, 200, attached_answer(B, 1)).await;
    let conf = json!({ "heatmap_period": "1m" });
    let seen = world.recorder.take();
    let places: Vec<_> =
        seen.iter().map(|call| (call.to.as_str(), &call.body["mode"], &call.body["generation"])).collect();
    let (attached, secondary) = (json!("AttachedSingle"), json!("Secondary"));
    assert_eq!(places[0], ("ps-1", &attached, &json!(2)), "with the next generation");
    assert_eq!(places.last(), Some(&("ps-2", &secondary, &Value::Null)));
    assert_eq!(seen[0].body["tenant_conf"], conf);
}

#[tokio::test]
async fn a_sharded_tenant_is_told_as_one() {
    let world = World::complete().await;
    let create = json!({
        "new_tenant_id": C, "shard_parameters": { "count": 2, "stripe_size": 2048 }, "placement_policy": { "Attached": 0 },
    });
    let shard = |number: u8| format!("{C}-{number:02x}02");
    let answer = json!({ "shards": [
        { "shard_id": shard(0), "node_id": 1, "generation": 0 }, { "shard_id": shard(1), "node_id": 1, "generation": 0 }] });
    world.expect("POST", "/v1/tenant", create, 201, answer).await;
    let mut seen = world.recorder.take();
    // Both shards at once: the order of their calls isn't fixed, only that computes are told once, at the end.
    seen[..2].sort_by(|a, b| a.path.cmp(&b.path));
    let attach = |number: u8| {
        let wanted = json!({
            "mode": "AttachedSingle", "generation": 1, "secondary_conf": null, "shard_number": number,
            "shard_count": 2, "shard_stripe_size": 2048, "tenant_conf": {},
        });
        let answer = json!({ "shards": [{ "shard_id": shard(number), "node_id": 1 }], "stripe_size": 2048 });
        Row("ps-1", "PUT", put(&shard(number), "?lazy=true"), wanted, 200, answer)
    };
    let told = json!({
        "tenant_id": C, "preferred_az": "az-1", "stripe_size": 2048,
        "shards": [{ "node_id": 1, "shard_number": 0 }, { "node_id": 1, "shard_number": 1 }],
    });
    let told = Row("hook", "PUT", "/notify-attach".into(), told, 200, json!({}));
    assert_calls(&seen, &[attach(0), attach(1), told]);
    // The pageserver of the first shard answers for the tenant; a shard's id gets its suffix twice.
    let status = world.get(&format!("/v1/tenant/{C}")).await;
    assert_eq!(status["id"], json!(shard(0)));
    let why = json!({ "msg": "\"failed to parse tenant_shard_id\"" });
    world.expect("GET", &format!("/v1/tenant/{}/timeline", shard(1)), Value::Null, 400, why).await;
}
