//! How pageservers get into the controller, and what it says to one that has moved; without pageservers: the test
//! speaks for them.

use serde_json::{Value, json};

use crate::process::free_port;
use crate::world::World;

fn register(id: u64, host: &str, port: u16, zone: &str) -> Value {
    json!({
        "node_id": id, "listen_pg_addr": host, "listen_pg_port": 6400, "listen_grpc_addr": null,
        "listen_grpc_port": null, "listen_http_addr": host, "listen_http_port": port, "listen_https_port": null,
        "availability_zone_id": zone, "node_ip_addr": null,
    })
}

fn re_attach(register: &Value) -> Value {
    json!({ "node_id": register["node_id"], "register": register, "empty_local_disk": true })
}

const RE_ATTACH: &str = "/upcall/v1/re-attach";

#[tokio::test]
async fn a_node_registers_in_its_re_attach_and_warms_up() {
    let world = World::with_controller(&[]).await;
    let port = free_port();
    let node = register(1, "127.0.0.1", port, "az-1");
    world.expect("POST", RE_ATTACH, re_attach(&node), 200, json!({ "tenants": [] })).await;
    let described = json!({
        "id": 1, "availability": "WarmingUp", "scheduling": "Active", "availability_zone_id": "az-1",
        "listen_http_addr": "127.0.0.1", "listen_http_port": port, "listen_https_port": null,
        "listen_pg_addr": "127.0.0.1", "listen_pg_port": 6400, "listen_grpc_addr": null, "listen_grpc_port": null,
    });
    world.expect("GET", "/control/v1/node", Value::Null, 200, json!([described])).await;
    world.expect("GET", "/control/v1/node/1", Value::Null, 200, described).await;
    world.expect("GET", "/control/v1/node/1/shards", Value::Null, 200, json!({ "node_id": 1, "shards": [] })).await;
    // No heartbeat was answered: nothing can be put there, but the tenant is known from now on, and its zone.
    let why = json!({ "msg": "Conflict: Failed to schedule shard(s): No pageserver found matching constraint" });
    let tenant = "dead0000000000000000000000000002";
    world.expect("POST", "/v1/tenant", json!({ "new_tenant_id": tenant }), 409, why).await;
    let known = world.get(&format!("/control/v1/tenant/{tenant}")).await;
    assert_eq!(known["shards"][0]["preferred_az_id"], "az-1");
    assert_eq!(known["shards"][0]["node_attached"], Value::Null);
}

#[tokio::test]
async fn a_node_that_has_moved_is_refused_and_its_old_place_kept() {
    let world = World::with_controller(&[]).await;
    let node = register(1, "127.0.0.1", 9898, "az-1");
    world.expect("POST", RE_ATTACH, re_attach(&node), 200, json!({ "tenants": [] })).await;
    let refused = json!({ "msg": "Conflict: Node is already registered with different address" });
    for (host, port, zone) in [("127.0.0.2", 9898, "az-1"), ("127.0.0.1", 9899, "az-1"), ("127.0.0.1", 9898, "az-2")] {
        let moved = register(1, host, port, zone);
        world.expect("POST", RE_ATTACH, re_attach(&moved), 409, refused.clone()).await;
        world.expect("POST", "/control/v1/node", moved, 409, refused.clone()).await;
    }
    let known = world.get("/control/v1/node/1").await;
    assert_eq!(
        (known["listen_http_addr"].as_str(), known["listen_http_port"].as_u64()),
        (Some("127.0.0.1"), Some(9898))
    );
    world.expect("POST", "/control/v1/node", node, 200, Value::Null).await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unavailable_and_not_taken_in() {
    let world = World::with_controller(&[]).await;
    let node = register(1, "no-such-host.invalid", 9898, "az-1");
    world.expect("POST", RE_ATTACH, re_attach(&node), 503, json!({ "msg": "<text>" })).await;
    world.expect("GET", "/control/v1/node", Value::Null, 200, json!([])).await;
}

#[tokio::test]
async fn without_metadata_a_node_is_answered_and_not_registered() {
    let world = World::with_controller(&[]).await;
    let anonymous = json!({ "node_id": 5, "empty_local_disk": true });
    world.expect("POST", RE_ATTACH, anonymous, 200, json!({ "tenants": [] })).await;
    world.expect("GET", "/control/v1/node", Value::Null, 200, json!([])).await;
    let unknown = json!({ "tenants": [{ "id": "dead0000000000000000000000000002", "gen": 1 }] });
    world.expect("POST", "/upcall/v1/validate", unknown, 200, json!({ "tenants": [] })).await;
}

#[tokio::test]
async fn an_operators_word_about_a_node() {
    let world = World::with_controller(&[]).await;
    let node = register(1, "127.0.0.1", free_port(), "az-1");
    world.expect("POST", RE_ATTACH, re_attach(&node), 200, json!({ "tenants": [] })).await;
    let config = "/control/v1/node/1/config";
    let set = |id: u64, scheduling: &str| json!({ "node_id": id, "scheduling": scheduling });
    world.expect("PUT", config, set(1, "Pause"), 200, Value::Null).await;
    assert_eq!(world.get("/control/v1/node/1").await["scheduling"], "Pause");
    let differ = json!({ "msg": "\"Path and body node_id differ\"" });
    world.expect("PUT", config, set(2, "Active"), 400, differ).await;
    let unknown = json!({ "msg": "Node node_id not found for update" });
    world.expect("PUT", "/control/v1/node/77/config", set(77, "Active"), 500, unknown).await;
    // Pause stays over a restart of the node, a drain doesn't.
    world.expect("POST", RE_ATTACH, re_attach(&node), 200, json!({ "tenants": [] })).await;
    assert_eq!(world.get("/control/v1/node/1").await["scheduling"], "Pause");
    world.expect("PUT", config, set(1, "Draining"), 200, Value::Null).await;
    world.expect("POST", RE_ATTACH, re_attach(&node), 200, json!({ "tenants": [] })).await;
    assert_eq!(world.get("/control/v1/node/1").await["scheduling"], "Active");
}
