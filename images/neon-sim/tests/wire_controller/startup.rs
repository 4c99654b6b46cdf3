//! How long a controller takes to its readiness, and what it answers until then: situation 24 and its kind.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::process::free_port;
use crate::world::World;

const TENANT: &str = "aaaa0000000000000000000000000001";

/// A controller which knows a pageserver at `port` from an earlier life.
async fn restarted_with_a_node_at(port: u16) -> (World, Instant) {
    let mut world = World::with_controller(&[]).await;
    let register = json!({
        "node_id": 1, "listen_pg_addr": "127.0.0.1", "listen_pg_port": 6400, "listen_grpc_addr": null,
        "listen_grpc_port": null, "listen_http_addr": "127.0.0.1", "listen_http_port": port,
        "listen_https_port": null, "availability_zone_id": "az-1",
    });
    world.expect("POST", "/control/v1/node", register, 200, Value::Null).await;
    let (status, _) = world.call("POST", "/v1/tenant", json!({ "new_tenant_id": TENANT })).await;
    assert_eq!(status, 409, "nobody takes the tenant yet");
    let start = world.restart_controller();
    world.until_answers("/status").await;
    (world, start)
}

/// What is answered at once during startup_reconcile, and that calls about tenants wait for its end.
async fn ready_after(world: &World, start: Instant) -> Duration {
    assert!(start.elapsed() < Duration::from_secs(5), "/status only after {:?}", start.elapsed());
    for path in ["/live", "/ready"] {
        world.expect("GET", path, Value::Null, 503, Value::Null).await;
    }
    let nodes = world.get("/control/v1/node").await;
    assert_eq!(nodes[0]["availability"], "Offline");
    world.expect("GET", "/control/v1/safekeeper", Value::Null, 200, json!([])).await;
    assert!(start.elapsed() < Duration::from_secs(6), "nodes and safekeepers only after {:?}", start.elapsed());
    let described = world.get(&format!("/control/v1/tenant/{TENANT}")).await;
    let waited = start.elapsed();
    assert_eq!(described["tenant_id"], TENANT);
    world.expect("GET", "/ready", Value::Null, 200, Value::Null).await;
    let why = json!({ "msg": "Conflict: Failed to schedule shard(s): No pageserver found matching constraint" });
    world.expect("POST", "/v1/tenant", json!({ "new_tenant_id": TENANT }), 409, why).await;
    waited
}

#[tokio::test]
async fn a_pageserver_that_refuses_costs_eight_seconds() {
    let (world, start) = restarted_with_a_node_at(free_port()).await;
    let waited = ready_after(&world, start).await.as_secs_f64();
    assert!((7.3..12.0).contains(&waited), "ready after {waited:.2} s");
}

#[tokio::test]
async fn a_pageserver_that_accepts_and_hangs_costs_more_than_twenty() {
    // Connections end up in the backlog and are never answered: a pageserver before its re-attach.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (world, start) = restarted_with_a_node_at(hanging.local_addr().unwrap().port()).await;
    let waited = ready_after(&world, start).await.as_secs_f64();
    assert!((21.0..26.0).contains(&waited), "ready after {waited:.2} s");
}

#[tokio::test]
async fn without_nodes_it_is_ready_at_once() {
    let mut world = World::with_controller(&[]).await;
    let start = world.restart_controller();
    world.until_answers("/ready").await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn without_a_database_it_gives_up_after_its_time() {
    let world = World::new(&[]).await;
    let url = |port: u16, name: &str| format!("postgresql://postgres@127.0.0.1:{port}/{name}");
    for database in [url(free_port(), "storage_controller"), url(world.postgres.port, "no_such_database")] {
        let flags =
            format!("--dev --listen 127.0.0.1:{} --database-url {database} --db-connect-timeout 1s", free_port());
        let begin = Instant::now();
        let mut controller = world.spawn_controller(&flags.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(controller.exit_code(Duration::from_secs(20)).await, Some(1));
        assert!(begin.elapsed() >= Duration::from_secs(1));
        assert!(controller.log().contains("Database not yet available, waiting..."), "{}", controller.log());
    }
}

#[tokio::test]
async fn a_database_that_comes_in_time_is_waited_for_and_a_lost_one_found_again() {
    let mut world = World::new(&["--db-connect-timeout", "60s"]).await;
    let port = world.postgres.port;
    world.stop_postgres();
    world.start_controller();
    tokio::time::sleep(Duration::from_millis(700)).await;
    world.start_postgres(port);
    world.until_answers("/ready").await;
    // Without it, what is in memory is answered; with it, everything again.
    world.stop_postgres();
    for path in ["/status", "/live", "/ready", "/control/v1/node"] {
        world.until_answers(path).await;
    }
    world.expect("GET", "/control/v1/leader", Value::Null, 503, json!({ "msg": "<text>" })).await;
    world.start_postgres(port);
    let begin = Instant::now();
    while world.call("GET", "/control/v1/leader", Value::Null).await.0 != 200 {
        assert!(begin.elapsed() < Duration::from_secs(30), "no way back to the database");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_insecure_configuration_is_refused() {
    let world = World::new(&[]).await;
    let flags = ["--listen", "127.0.0.1:0", "--database-url", &world.postgres.url("storage_controller")];
    let mut controller = world.spawn_controller(&flags.map(str::to_owned));
    assert_eq!(controller.exit_code(Duration::from_secs(20)).await, Some(1));
    assert!(controller.log().contains("Insecure config!"), "{}", controller.log());
}

#[tokio::test]
async fn sigterm_ends_it_cleanly() {
    let mut world = World::with_controller(&[]).await;
    let controller = world.controller.as_mut().unwrap();
    controller.signal(rustix::process::Signal::TERM);
    assert_eq!(controller.exit_code(Duration::from_secs(6)).await, Some(0));
}
