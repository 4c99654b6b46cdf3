//! Situations 11, 22, 23, 25 and 26: what survives restarts and failures, with which generations.

use std::time::Duration;

use serde_json::{Value, json};

use crate::tenants::is_notify;
use crate::world::{PATIENCE, World};

const A: &str = "aaaa0000000000000000000000000001";
const B: &str = "bbbb0000000000000000000000000001";

/// A with no secondary and B with one, both attached to node 1.
async fn two_tenants(flags: &[&str]) -> World {
    let mut world = World::with_controller(flags).await;
    world.start_pageserver(1).await;
    world.until_nodes_are(&["Active"]).await;
    let create = json!({ "new_tenant_id": A });
    assert_eq!(world.call("POST", "/v1/tenant", create).await.0, 201);
    world.start_pageserver(2).await;
    world.until_nodes_are(&["Active", "Active"]).await;
    // Zone az-2 has fewer, so B would go there.
    let pause = |word: &str| json!({ "node_id": 2, "scheduling": word });
    world.expect("PUT", "/control/v1/node/2/config", pause("Pause"), 200, Value::Null).await;
    assert_eq!(world.call("POST", "/v1/tenant", json!({ "new_tenant_id": B })).await.0, 201);
    world.expect("PUT", "/control/v1/node/2/config", pause("Active"), 200, Value::Null).await;
    let policy = json!({ "placement": { "Attached": 1 } });
    world.expect("PUT", &format!("/control/v1/tenant/{B}/policy"), policy, 200, Value::Null).await;
    world.recorder.take();
    world
}

fn re_attach(seen: &[crate::recorder::Seen], node: u64) -> Value {
    let mut answered = seen.iter().filter(|call| call.path == "/upcall/v1/re-attach" && call.status.is_some());
    let call = answered.find(|call| call.body["node_id"] == node);
    call.unwrap_or_else(|| panic!("no re-attach of {node}: {seen:#?}")).answer.clone()
}

fn tenant(id: &str, generation: Option<u32>) -> Value {
    let mode = if generation.is_some() { "AttachedSingle" } else { "Secondary" };
    json!({ "id": id, "gen": generation, "mode": mode, "stripe_size": 2048 })
}

async fn places(world: &World, tenant: &str) -> (Value, Value) {
    let shard = world.get(&format!("/control/v1/tenant/{tenant}")).await["shards"][0].clone();
    (shard["node_attached"].clone(), shard["node_secondary"].clone())
}

#[tokio::test]
async fn a_restarted_pageserver_gets_new_generations_and_computes_are_not_told() {
    let mut world = two_tenants(&[]).await;
    for (generation, node) in [(2, 1), (3, 1)] {
        world.pageservers.remove(&node);
        world.start_pageserver(node).await;
        let list = "/v1/location_config";
        let seen = world.seen(1, |call| call.path == list && call.to == "ps-1").await;
        let answer = json!({ "tenants": [tenant(A, Some(generation)), tenant(B, Some(generation))] });
        assert_eq!(re_attach(&seen, 1), answer);
        assert_eq!(seen.iter().find(|call| call.path.contains("re-attach")).unwrap().body["empty_local_disk"], false);
        assert!(!seen.iter().any(|call| is_notify(call) || call.method == "PUT"), "{seen:#?}");
        world.until_nodes_are(&["Active", "Active"]).await;
    }
    world.pageservers.remove(&2);
    world.start_pageserver(2).await;
    let seen = world.seen(1, |call| call.path.contains("re-attach")).await;
    assert_eq!(re_attach(&seen, 2), json!({ "tenants": [tenant(B, None)] }));
    let asked = json!({ "tenants": [{ "id": A, "gen": 3 }, { "id": B, "gen": 1 }] });
    let answer = json!({ "tenants": [{ "id": A, "valid": true }, { "id": B, "valid": false }] });
    world.expect("POST", "/upcall/v1/validate", asked, 200, answer).await;
}

#[tokio::test]
async fn a_lost_pageservers_shards_move_and_stay_where_they_went() {
    let mut world = two_tenants(&[]).await;
    world.pageservers.remove(&1);
    let (status, answer) = world.call("GET", &format!("/v1/tenant/{A}/timeline"), Value::Null).await;
    let why = answer["msg"].as_str().unwrap_or_default();
    assert!(
        status == 503 && why.starts_with("Error sending pageserver API request to 1 (127.0.0.1): "),
        "{status} {why}"
    );
    world.until_nodes_are(&["Offline", "Active"]).await;
    let seen = world.seen(2, is_notify).await;
    for id in [A, B] {
        let put = format!("/v1/tenant/{id}/location_config?lazy=true");
        let attach = seen.iter().find(|call| call.to == "ps-2" && call.path == put).expect("an attach");
        assert_eq!((&attach.body["mode"], &attach.body["generation"]), (&json!("AttachedSingle"), &json!(2)));
        assert_eq!(places(&world, id).await, (json!(2), json!([1])));
    }
    assert_eq!(world.call("GET", &format!("/v1/tenant/{A}/timeline"), Value::Null).await.0, 200);
    // Back again: it has secondaries now, of both.
    world.start_pageserver(1).await;
    let secondary = |call: &crate::recorder::Seen| call.to == "ps-1" && call.body["mode"] == "Secondary";
    let seen = world.seen(1, secondary).await;
    assert_eq!(re_attach(&seen, 1), json!({ "tenants": [tenant(A, None), tenant(B, None)] }));
    world.until_nodes_are(&["Active", "Active"]).await;
    assert_eq!(places(&world, A).await.0, json!(2));
}

#[tokio::test]
async fn everything_restarted_at_once_is_ready_soon() {
    let mut world = two_tenants(&[]).await;
    world.pageservers.clear();
    let start = world.restart_controller();
    world.start_pageserver(1).await;
    world.start_pageserver(2).await;
    world.until_answers("/ready").await;
    let ready = start.elapsed();
    // A first try may be refused, which costs a pause of 1.1 s; never a time limit.
    assert!(ready < Duration::from_secs(6), "ready only after {ready:?}");
    world.until_nodes_are(&["Active", "Active"]).await;
    // Every start tells computes about everything.
    let seen = world.seen(2, is_notify).await;
    let answer = json!({ "tenants": [tenant(A, Some(2)), tenant(B, Some(2))] });
    assert_eq!(re_attach(&seen, 1), answer);
    assert_eq!(places(&world, A).await, (json!(1), json!([])));
    assert_eq!(places(&world, B).await, (json!(1), json!([2])));
}

/// Its disk was lost, and the controller starts at the same time: with this flag it looks, and attaches anew.
#[tokio::test]
async fn an_emptied_pageserver_gets_back_what_it_had() {
    let mut world = two_tenants(&["--handle-ps-local-disk-loss"]).await;
    for is_restarted in [true, false] {
        world.pageservers.remove(&1);
        world.empty_pageserver(1);
        if is_restarted {
            world.restart_controller();
        }
        world.recorder.take();
        world.start_pageserver(1).await;
        world.until_answers("/ready").await;
        let put = format!("/v1/tenant/{A}/location_config?lazy=true");
        let seen = world.seen(1, |call| call.to == "ps-1" && call.path == put).await;
        let upcall = seen.iter().find(|call| call.path.contains("re-attach")).expect("it re-attached");
        assert_eq!(upcall.body["empty_local_disk"], true);
        let told = seen.iter().rfind(|call| call.path == put).expect("waited for");
        let given = re_attach(&seen, 1)["tenants"][0]["gen"].as_u64().expect("a generation");
        assert!(told.body["generation"].as_u64().is_some_and(|generation| generation >= given), "{told:?}");
        world.until_nodes_are(&["Active", "Active"]).await;
        assert_eq!(world.call("GET", &format!("/v1/tenant/{A}/timeline"), Value::Null).await.0, 200);
    }
}

#[tokio::test]
async fn a_restarted_controller_finds_its_pageservers_and_tells_computes_again() {
    let mut world = two_tenants(&[]).await;
    let start = world.restart_controller();
    world.until_answers("/ready").await;
    assert!(start.elapsed() < Duration::from_secs(5), "no time limit burnt: {:?}", start.elapsed());
    let seen = world.seen(2, is_notify).await;
    assert!(!seen.iter().any(|call| call.method == "PUT" && call.to != "hook"), "nothing had to move: {seen:#?}");
    world.until_nodes_are(&["Active", "Active"]).await;
    assert_eq!(places(&world, B).await, (json!(1), json!([2])));
    assert_eq!(world.call("GET", &format!("/v1/tenant/{A}"), Value::Null).await.1["generation"], 1);
}

#[tokio::test]
async fn a_pageserver_waits_for_the_controller_and_then_needs_a_moment() {
    let mut world = World::new(&[]).await;
    world.start_pageserver(1).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    world.start_controller();
    world.until_answers("/ready").await;
    let begin = std::time::Instant::now();
    world.until("/control/v1/node", |nodes| nodes[0]["availability"] == "Active").await;
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?} of {PATIENCE:?}", begin.elapsed());
}

#[tokio::test]
async fn a_database_of_other_volumes_makes_pageservers_drop_what_they_have() {
    let mut world = two_tenants(&[]).await;
    world.controller = None;
    world.replace_database().await;
    world.start_controller();
    world.until_answers("/ready").await;
    // It knows nobody: pageservers that run already aren't asked, nor do they ask.
    assert_eq!(world.get("/control/v1/node").await, json!([]));
    world.recorder.take();
    world.pageservers.remove(&1);
    world.start_pageserver(1).await;
    world.until_nodes_are(&["Active"]).await;
    let list = |call: &crate::recorder::Seen| call.path == "/v1/location_config" && call.to == "ps-1";
    let seen = world.seen(1, list).await;
    assert_eq!(re_attach(&seen, 1), json!({ "tenants": [] }));
    let told = seen.iter().rfind(|call| list(call)).expect("waited for");
    assert_eq!(told.answer, json!({ "tenant_shards": [] }), "it has dropped what nobody names any more");
    let missing = json!({ "msg": format!("NotFound: Tenant {A} not found") });
    world.expect("GET", &format!("/control/v1/tenant/{A}"), Value::Null, 404, missing).await;
}
