//! What the hook's answers do; situations 41 to 44 for live migrations.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::tenants::is_notify;
use crate::world::World;

const TENANT: &str = "bbbb0000000000000000000000000001";

fn describe() -> String {
    format!("/control/v1/tenant/{TENANT}")
}

async fn create(world: &World, policy: Value) {
    let body = json!({ "new_tenant_id": TENANT, "placement_policy": policy });
    let (status, answer) = world.call("POST", "/v1/tenant", body).await;
    assert_eq!(status, 201, "{answer}");
}

async fn is_pending(world: &World) -> bool {
    world.get(&describe()).await["shards"][0]["is_pending_compute_notification"] == true
}

#[tokio::test]
async fn unavailable_hooks_are_asked_again_within_the_call() {
    let world = World::complete().await;
    world.recorder.hook_will_answer(&[503, 502, 504]);
    let begin = Instant::now();
    create(&world, json!({ "Attached": 0 })).await;
    let codes: Vec<_> =
        world.recorder.take().iter().filter(|call| is_notify(call)).filter_map(|call| call.status).collect();
    assert_eq!(codes, [503, 502, 504, 200]);
    // 0, 1.1 and 1.21 s between them.
    assert!((2.2..4.5).contains(&begin.elapsed().as_secs_f64()), "{:?}", begin.elapsed());
    assert!(!is_pending(&world).await);
}

#[tokio::test]
async fn other_refusals_leave_it_pending_for_the_background() {
    let world = World::complete().await;
    let codes = [423, 400, 409, 500];
    world.recorder.hook_will_answer(&codes);
    let tenant = |number: usize| format!("bbbb000000000000000000000000000{number}");
    for (number, code) in codes.into_iter().enumerate() {
        let (status, _) = world.call("POST", "/v1/tenant", json!({ "new_tenant_id": tenant(number) })).await;
        assert_eq!(status, 201, "with a hook that says {code}");
        assert_eq!(world.recorder.take().iter().filter(|call| is_notify(call)).count(), 1, "{code}: asked once");
        let shard = &world.get(&format!("/control/v1/tenant/{}", tenant(number))).await["shards"][0];
        assert_eq!(shard["is_pending_compute_notification"], true, "{code}");
    }
    // All are tried again each 20 s, or when somebody asks for it.
    world.expect("POST", "/debug/v1/reconcile_all", Value::Null, 200, json!(codes.len())).await;
    world.seen(codes.len(), is_notify).await;
    for number in 0..codes.len() {
        let told = |tenant: &Value| tenant["shards"][0]["is_pending_compute_notification"] == false;
        world.until(&format!("/control/v1/tenant/{}", tenant(number)), told).await;
    }
}

#[tokio::test]
async fn a_hook_that_does_not_know_a_new_tenant_is_excused() {
    let world = World::complete().await;
    world.recorder.hook_will_answer(&[404]);
    create(&world, json!({ "Attached": 0 })).await;
    assert!(!is_pending(&world).await);
}

#[tokio::test]
async fn without_any_hook_the_first_notification_ends_the_controller() {
    let mut world = World::without_hook(&[]).await;
    world.start_pageserver(1).await;
    world.until_nodes_are(&["Active"]).await;
    let _ = world.try_call("POST", "/v1/tenant", json!({ "new_tenant_id": TENANT })).await;
    let controller = world.controller.as_mut().unwrap();
    assert_eq!(controller.exit_code(Duration::from_secs(20)).await, Some(1));
    assert!(controller.log().contains("no compute hook"));
}

#[tokio::test]
async fn local_notifications_count_as_done() {
    let mut world = World::without_hook(&["--use-local-compute-notifications"]).await;
    world.start_pageserver(1).await;
    world.until_nodes_are(&["Active"]).await;
    create(&world, json!({ "Attached": 0 })).await;
    assert!(!is_pending(&world).await);
}

/// A tenant attached to node 1 with its secondary on node 2, and one timeline.
async fn to_migrate() -> World {
    let world = World::complete().await;
    create(&world, json!({ "Attached": 1 })).await;
    let timeline = json!({ "new_timeline_id": "f00d0000000000000000000000000011", "pg_version": 17 });
    let (status, answer) = world.call("POST", &format!("/v1/tenant/{TENANT}/timeline"), timeline).await;
    assert_eq!(status, 201, "{answer}");
    world.recorder.take();
    world
}

async fn migrate(world: &World) -> Duration {
    let begin = Instant::now();
    let now = json!({ "node_id": 2, "migration_config": { "override_scheduler": true, "prewarm": false } });
    world.expect("PUT", &format!("{}/migrate", describe()), now, 200, json!({})).await;
    begin.elapsed()
}

/// Who was called, with what modes, in order; upcalls of pageservers come whenever they like.
fn steps(seen: &[crate::recorder::Seen]) -> Vec<String> {
    let calls = seen.iter().filter(|call| call.to != "sc").map(|call| {
        let path = call.path.replace(TENANT, "T");
        let mode = call.body["mode"].as_str().unwrap_or_default();
        format!("{} {} {path} {mode}", call.to, call.method).trim_end().to_owned()
    });
    calls.collect()
}

#[tokio::test]
async fn a_live_migration_in_its_steps() {
    let world = to_migrate().await;
    migrate(&world).await;
    let seen = world.recorder.take();
    let mut steps = steps(&seen);
    // The real destination says 404 to wait_lsn at that moment and is asked for its timelines; it may also answer 200.
    steps.retain(|step| step != "ps-2 GET /v1/tenant/T/timeline");
    let wanted = [
        "ps-1 PUT /v1/tenant/T/location_config?flush_ms=10000 AttachedStale",
        "ps-1 GET /v1/tenant/T/timeline",
        "ps-2 POST /v1/tenant/T/secondary/download?wait_ms=20000",
        "ps-2 PUT /v1/tenant/T/location_config AttachedMulti",
        "ps-2 POST /v1/tenant/T/wait_lsn",
        "hook PUT /notify-attach",
        "ps-1 PUT /v1/tenant/T/location_config Secondary",
        "ps-2 PUT /v1/tenant/T/location_config AttachedSingle",
        "ps-2 PUT /v1/tenant/T/location_config?lazy=true AttachedSingle",
        "ps-1 PUT /v1/tenant/T/location_config Secondary",
    ];
    assert_eq!(steps, wanted);
    let generation =
        |mode: &str| seen.iter().find(|call| call.body["mode"] == mode).map(|call| call.body["generation"].clone());
    assert_eq!(generation("AttachedStale"), Some(json!(1)));
    assert_eq!(generation("AttachedMulti"), Some(json!(2)));
    let shard = &world.get(&describe()).await["shards"][0];
    assert_eq!((&shard["node_attached"], &shard["node_secondary"]), (&json!(2), &json!([1])));
}

#[tokio::test]
async fn a_busy_hook_delays_a_live_migration_and_the_origin_is_watched() {
    let world = to_migrate().await;
    world.recorder.hook_will_answer(&[423, 500]);
    let took = migrate(&world).await.as_secs_f64();
    // 0 and 2 s between the tries.
    assert!((2.0..5.0).contains(&took), "{took:.2} s");
    let steps = steps(&world.recorder.take());
    let begin = steps.iter().position(|step| step.starts_with("hook")).unwrap();
    let look = "ps-1 GET /v1/location_config/T";
    let ask = "hook PUT /notify-attach";
    assert_eq!(steps[begin..begin + 5], [ask, look, ask, look, ask]);
}

#[tokio::test]
async fn an_unavailable_hook_is_asked_again_without_a_look_at_the_origin() {
    let world = to_migrate().await;
    world.recorder.hook_will_answer(&[503, 503]);
    migrate(&world).await;
    let steps = steps(&world.recorder.take());
    assert_eq!(steps.iter().filter(|step| step.starts_with("hook")).count(), 3);
    assert!(!steps.iter().any(|step| step.contains("/v1/location_config/T")));
    assert!(!is_pending(&world).await);
}

#[tokio::test]
async fn migrations_that_make_no_sense_are_refused() {
    let world = to_migrate().await;
    let path = format!("{}/migrate", describe());
    let over = json!({ "override_scheduler": true });
    let rows = [
        (json!({ "node_id": 99 }), 400, "\"Node 99 not found\""),
        (
            json!({ "node_id": 2, "origin_node_id": 2, "migration_config": over }),
            412,
            "Precondition failed: Migration expected to originate from 2 but shard is on Some(NodeId(1))",
        ),
        (json!({ "node_id": 2, "origin_node_id": 1 }), 412, "Precondition failed: Migration to a worse-scoring node"),
    ];
    for (body, status, why) in rows {
        world.expect("PUT", &path, body, status, json!({ "msg": why })).await;
    }
    // Already there; and with prewarming, which returns at once and moves later.
    world.expect("PUT", &path, json!({ "node_id": 1 }), 200, json!({})).await;
    world.expect("PUT", &path, json!({ "node_id": 2, "migration_config": over }), 200, json!({})).await;
    let status = format!("/v1/tenant/{TENANT}/secondary/status");
    world.seen(1, |call| call.path == status && call.to == "ps-2").await;
}
