//! Situations 12, 16 to 19, 26b, 32, 45 and 46: splits, drains, fills, other safekeepers.

use serde_json::{Value, json};

use crate::recorder::Seen;
use crate::world::{Row, World, assert_calls};

const A: &str = "aaaa0000000000000000000000000001";
const ONE: &str = "f00d0000000000000000000000000001";

/// A tenant with one timeline, attached to node 1.
async fn with_timeline(policy: Value) -> World {
    let world = World::complete().await;
    let create = json!({ "new_tenant_id": A, "placement_policy": policy });
    assert_eq!(world.call("POST", "/v1/tenant", create).await.0, 201);
    let timeline = json!({ "new_timeline_id": ONE, "pg_version": 17 });
    let (status, answer) = world.call("POST", &format!("/v1/tenant/{A}/timeline"), timeline).await;
    assert_eq!(status, 201, "{answer}");
    world.recorder.take();
    world
}

fn taken(world: &World) -> Vec<Seen> {
    let mut seen = world.recorder.take();
    seen.retain(|call| call.to != "sc");
    seen
}

#[tokio::test]
async fn a_tenant_is_split_and_computes_are_told_once() {
    let world = with_timeline(json!({ "Attached": 0 })).await;
    let path = format!("/control/v1/tenant/{A}/shard_split");
    let children = json!({ "new_shards": [format!("{A}-0002"), format!("{A}-0102")] });
    let request = json!({ "new_shard_count": 2, "new_stripe_size": 2048 });
    world.expect("PUT", &path, request.clone(), 200, children.clone()).await;
    let detach = json!({
        "mode": "Detached", "generation": null, "secondary_conf": null, "shard_number": 0, "shard_count": 0,
        "shard_stripe_size": 0, "tenant_conf": {},
    });
    let told = json!({
        "tenant_id": A, "preferred_az": "az-1", "stripe_size": 2048,
        "shards": [{ "node_id": 1, "shard_number": 0 }, { "node_id": 1, "shard_number": 1 }],
    });
    let rows = [
        Row("ps-1", "PUT", format!("/v1/tenant/{A}/shard_split"), request, 200, children.clone()),
        Row("ps-1", "PUT", format!("/v1/tenant/{A}/location_config"), detach, 200, Value::Null),
        Row("hook", "PUT", "/notify-attach".into(), told, 200, json!({})),
    ];
    assert_calls(&taken(&world), &rows);
    let info = world.get(&format!("/v1/tenant/{A}/timeline/{ONE}")).await;
    assert_eq!(info["tenant_id"], format!("{A}-0002"));
    let located = world.get(&format!("/debug/v1/tenant/{A}/locate")).await;
    assert_eq!((located["shards"].as_array().map(Vec::len), &located["shard_params"]["count"]), (Some(2), &json!(2)));
    // What is there already, three, and back.
    world.expect("PUT", &path, json!({ "new_shard_count": 2 }), 200, children).await;
    let three = json!({ "new_shards": [format!("{A}-0003"), format!("{A}-0203"), format!("{A}-0103")] });
    world.expect("PUT", &path, json!({ "new_shard_count": 3 }), 200, three).await;
    let why = json!({ "msg": "\"Requested count 1 but already have shards at count 3\"" });
    world.expect("PUT", &path, json!({ "new_shard_count": 1 }), 400, why).await;
}

#[tokio::test]
async fn a_split_survives_a_restart_of_everything() {
    let mut world = with_timeline(json!({ "Attached": 0 })).await;
    let path = format!("/control/v1/tenant/{A}/shard_split");
    assert_eq!(world.call("PUT", &path, json!({ "new_shard_count": 2 })).await.0, 200);
    world.pageservers.clear();
    world.restart_controller();
    world.start_pageserver(1).await;
    world.start_pageserver(2).await;
    world.until_answers("/ready").await;
    world.until_nodes_are(&["Active", "Active"]).await;
    let info = world.get(&format!("/v1/tenant/{A}/timeline/{ONE}")).await;
    assert_eq!(info["tenant_id"], format!("{A}-0002"));
}

#[tokio::test]
async fn a_drain_and_a_fill_end_by_themselves_and_leave_cold_secondaries() {
    let world = with_timeline(json!({ "Attached": 1 })).await;
    let node = "/control/v1/node/1";
    world.expect("PUT", "/control/v1/node/77/drain", Value::Null, 404, json!({ "msg": "<text>" })).await;
    world.expect("PUT", &format!("{node}/drain"), Value::Null, 202, Value::Null).await;
    world.until(node, |node| node["scheduling"] == "PauseForRestart").await;
    let asked: Vec<_> = taken(&world).into_iter().map(|call| (call.to, call.path)).collect();
    assert_eq!(asked, [("ps-2".to_owned(), format!("/v1/tenant/{A}/secondary/status"))], "no heatmap, no move");
    // Neither again, nor a fill, until it is Active.
    for call in ["drain", "fill"] {
        world.expect("PUT", &format!("{node}/{call}"), Value::Null, 412, json!({ "msg": "<text>" })).await;
    }
    let active = json!({ "node_id": 1, "scheduling": "Active" });
    world.expect("PUT", &format!("{node}/config"), active, 200, Value::Null).await;
    world.expect("PUT", &format!("{node}/fill"), Value::Null, 202, Value::Null).await;
    world.until(node, |node| node["scheduling"] == "Active").await;
    let tenant = world.get(&format!("/control/v1/tenant/{A}")).await;
    assert_eq!(tenant["shards"][0]["node_attached"], 1);
}

#[tokio::test]
async fn warm_secondaries_take_over_in_a_drain_and_give_back_in_a_fill() {
    let world = with_timeline(json!({ "Attached": 1 })).await;
    let describe = format!("/control/v1/tenant/{A}");
    let migrate =
        |node: u64| json!({ "node_id": node, "migration_config": { "override_scheduler": true, "prewarm": false } });
    // There and back again: heatmaps are written on the way.
    for node in [2, 1] {
        world.expect("PUT", &format!("{describe}/migrate"), migrate(node), 200, json!({})).await;
    }
    for (from, to) in [(1, 2), (2, 1)] {
        let warm = format!("/v1/tenant/{A}/secondary/download?wait_ms=1000");
        let progress = json!({
            "heatmap_mtime": "<time>", "layers_downloaded": "<int>", "layers_total": "<int>",
            "bytes_downloaded": "<int>", "bytes_total": "<int>",
        });
        world.expect("POST", &warm, Value::Null, 200, progress).await;
        let node = format!("/control/v1/node/{from}");
        world.expect("PUT", &format!("{node}/drain"), Value::Null, 202, Value::Null).await;
        world.until(&node, |node| node["scheduling"] == "PauseForRestart").await;
        let shard = &world.get(&describe).await["shards"][0];
        assert_eq!((&shard["node_attached"], &shard["node_secondary"]), (&json!(to), &json!([from])));
        let active = json!({ "node_id": from, "scheduling": "Active" });
        world.expect("PUT", &format!("{node}/config"), active, 200, Value::Null).await;
    }
    // A fill brings back what prefers the zone: first away, by hand.
    world.expect("PUT", &format!("{describe}/migrate"), migrate(2), 200, json!({})).await;
    world.call("POST", &format!("/v1/tenant/{A}/secondary/download?wait_ms=1000"), Value::Null).await;
    world.expect("PUT", "/control/v1/node/1/fill", Value::Null, 202, Value::Null).await;
    world.until("/control/v1/node/1", |node| node["scheduling"] == "Active").await;
    assert_eq!(world.get(&describe).await["shards"][0]["node_attached"], 1);
}

#[tokio::test]
async fn a_timeline_gets_other_safekeepers_in_recorded_order() {
    let mut world = with_timeline(json!({ "Attached": 0 })).await;
    world.start_safekeeper(4).await;
    world.register_safekeeper(4).await;
    world.until_safekeepers_are("Active").await;
    taken(&world);
    let migrate = format!("/v1/tenant/{A}/timeline/{ONE}/safekeeper_migrate");
    world.expect("POST", &migrate, json!({ "new_sk_set": [2, 3, 4] }), 200, Value::Null).await;
    let seen = taken(&world);
    let mut steps: Vec<String> = Vec::new();
    for call in &seen {
        let last = call.path.split('/').next_back().unwrap_or_default();
        let generation = call.body["generation"].as_u64().or(call.body["mconf"]["generation"].as_u64());
        match (last, generation) {
            ("membership" | "exclude" | "notify-safekeepers" | "pull_timeline", Some(generation)) => {
                steps.push(format!("{last} {generation}"));
            }
            // What the safekeepers say to each other.
            _ => continue,
        }
    }
    steps.dedup();
    let wanted = [
        "membership 1",
        "notify-safekeepers 1",
        "notify-safekeepers 2",
        "membership 2",
        "pull_timeline 2",
        "membership 2",
        "membership 3",
        "exclude 3",
        "notify-safekeepers 3",
    ];
    assert_eq!(steps, wanted);
    let told = seen.iter().rfind(|call| call.to == "hook").expect("a notification");
    let named = |id: u64| json!({ "id": id, "hostname": "127.0.0.1" });
    let message = json!({
        "tenant_id": A, "timeline_id": ONE, "generation": 3, "safekeepers": [named(2), named(3), named(4)] });
    assert_eq!(told.body, message);
    let sets = json!({ "generation": 3, "sk_set": [2, 3, 4], "new_sk_set": null });
    world.expect("GET", &format!("/debug/v1/tenant/{A}/timeline/{ONE}/locate"), Value::Null, 200, sets).await;
    world.expect("POST", &migrate, json!({ "new_sk_set": [9] }), 400, json!({ "msg": "<text>" })).await;
    // To fewer, as in 26b.
    world.expect("POST", &migrate, json!({ "new_sk_set": [2, 3] }), 200, Value::Null).await;
}

#[tokio::test]
async fn a_migration_with_prewarming_begins_with_a_secondary() {
    let world = with_timeline(json!({ "Attached": 0 })).await;
    let describe = format!("/control/v1/tenant/{A}");
    let migrate = json!({ "node_id": 2, "migration_config": { "override_scheduler": true } });
    world.expect("PUT", &format!("{describe}/migrate"), migrate, 200, json!({})).await;
    let is_status = |call: &Seen| call.path.ends_with("/secondary/status");
    let mut seen = world.seen(1, is_status).await;
    seen.retain(|call| call.to != "sc" && !is_status(call));
    let conf = json!({ "heatmap_period": "1m" });
    let told: Vec<_> = seen
        .iter()
        .map(|call| {
            (call.to.as_str(), call.body["mode"].as_str(), call.body["generation"].as_u64(), &call.body["tenant_conf"])
        })
        .collect();
    let wanted = [("ps-1", Some("AttachedSingle"), Some(1), &conf), ("ps-2", Some("Secondary"), None, &conf)];
    assert_eq!(told, wanted, "the origin keeps its generation and writes heatmaps from now on");
    let shard = &world.get(&describe).await["shards"][0];
    assert_eq!((&shard["node_attached"], &shard["node_secondary"]), (&json!(1), &json!([2])));
}
