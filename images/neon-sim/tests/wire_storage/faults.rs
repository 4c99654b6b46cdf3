//! Faults that are asked for.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::controller::Controller;
use crate::node::{Node, PATIENCE, TENANT, temporary};

#[tokio::test]
async fn a_start_is_delayed() {
    let directory = temporary();
    let controller = Controller::start().await;
    let mut node = Node::pageserver(directory.path(), 1, controller.port, Path::new("remote"));
    node.write_file("neon-sim-fault", "start-delay=700ms\n");
    let begin = Instant::now();
    node.start();
    node.until_it_answers().await;
    assert!(begin.elapsed() >= Duration::from_millis(700));
}

#[tokio::test]
async fn the_first_start_crashes() {
    let directory = temporary();
    let controller = Controller::start().await;
    let mut node = Node::pageserver(directory.path(), 1, controller.port, Path::new("remote"));
    node.write_file("neon-sim-fault", "crash-on-start=1");
    node.start();
    assert_eq!(node.process.as_mut().expect("started").exit_code(PATIENCE).await, Some(1));
    node.start();
    node.until_it_answers().await;
}

#[tokio::test]
async fn a_hanging_program_has_its_ports_open() {
    let mut node = Node::safekeeper(1).await;
    node.write_file("neon-sim-fault", "hang=1500ms");
    node.process = None;
    node.start();
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", node.http)).await.is_err() {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let hangs = timeout(Duration::from_millis(300), node.try_call("GET", "/v1/status", Value::Null)).await;
    assert!(hangs.is_err(), "{hangs:?}");
    node.until_it_answers().await;
}

#[tokio::test]
async fn a_dropped_peer_is_never_reached() {
    let directory = temporary();
    let controller = Controller::start().await;
    let mut node = Node::pageserver(directory.path(), 1, controller.port, Path::new("remote"));
    node.write_file("neon-sim-fault", "drop-peer=127.0.0.1");
    node.start();
    let begin = Instant::now();
    while !node.process.as_ref().expect("started").log().contains("refused by the fault drop-peer") {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(controller.take().is_empty());
}

#[tokio::test]
async fn a_fault_that_does_not_exist_is_an_error() {
    let directory = temporary();
    let mut node = Node::pageserver(directory.path(), 1, 1, Path::new("remote"));
    node.write_file("neon-sim-fault", "explode=now");
    node.start();
    let process = node.process.as_mut().expect("started");
    assert_eq!(process.exit_code(PATIENCE).await, Some(2));
    assert!(process.log().contains("no fault \"explode\""), "{}", process.log());
}

#[tokio::test]
async fn an_image_may_lack_a_version_of_postgres() {
    let directory = temporary();
    let controller = Controller::start().await;
    let mut node = Node::pageserver(directory.path(), 1, controller.port, Path::new("remote"));
    node.write_file("neon-sim-fault", "no-postgres=15");
    node.start();
    node.until_it_answers().await;
    node.with_timeline().await;
    let path = format!("/v1/tenant/{TENANT}/timeline");
    let create = |version: u32| json!({ "new_timeline_id": "f00d0000000000000000000000000015", "pg_version": version });
    let refused = node.expect("POST", &path, create(15), 500, json!({ "msg": "<text>" })).await.to_string();
    assert!(refused.contains("run initdb") && refused.contains("NotFound"), "{refused}");
    node.expect("POST", &path, create(16), 201, json!("<object>")).await;
}
