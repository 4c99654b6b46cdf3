//! How a pageserver starts: re-attach first (situations 02, 11, 25, 26), exit codes, signals.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::controller::Controller;
use crate::node::{MAIN, Node, PATIENCE, TENANT, free_port, location, msg, temporary};
use crate::pattern::assert_like;

const SECONDARY: &str = "bbbb0000000000000000000000000001";
const GONE: &str = "cccc0000000000000000000000000001";

#[tokio::test]
async fn re_attach_registers_the_node_and_names_what_it_needs() {
    let controller = Controller::start().await;
    let node = Node::lone_pageserver(controller.port).await;
    let register = json!({
        "node_id": 1, "listen_pg_addr": "127.0.0.1", "listen_pg_port": node.pg, "listen_grpc_addr": null,
        "listen_grpc_port": null, "listen_http_addr": "127.0.0.1", "listen_http_port": node.http,
        "listen_https_port": null, "availability_zone_id": "az-1", "node_ip_addr": null,
    });
    let wanted = json!({ "node_id": 1, "register": register, "empty_local_disk": true });
    assert_eq!(controller.take(), [("re-attach", wanted)]);
    let rows: &[(&str, &str, u16, Value)] = &[
        ("GET", "/v1/status", 200, json!({ "id": 1 })),
        ("GET", "/v1/location_config", 200, json!({ "tenant_shards": [] })),
        ("GET", "/v1/tenant", 200, json!([])),
        (
            "GET",
            "/v1/utilization",
            200,
            json!({
                "disk_usage_bytes": "<int>", "free_space_bytes": "<int>", "disk_wanted_bytes": 0, "disk_usable_pct": 80,
                "shard_count": 0, "max_shard_count": 2500, "utilization_score": 0, "captured_at": "<time>",
            }),
        ),
        ("GET", "/no/such/route", 404, json!("Not Found")),
        ("PUT", "/v1/status", 404, json!("Not Found")),
        ("GET", "/v1/tenant/xyz/timeline", 400, msg("\"failed to parse tenant_shard_id\"")),
        (
            "GET",
            "/v1/tenant/cccc0000000000000000000000000001-0102-0102/timeline",
            400,
            msg("\"failed to parse tenant_shard_id\""),
        ),
    ];
    for (method, path, status, pattern) in rows {
        node.expect(method, path, Value::Null, *status, pattern.clone()).await;
    }
}

#[tokio::test]
async fn a_restart_keeps_what_the_controller_still_wants() {
    let controller = Controller::start().await;
    let mut node = Node::lone_pageserver(controller.port).await;
    node.with_timeline().await;
    node.put_location(SECONDARY, "Secondary", None, json!({ "shards": [], "stripe_size": null })).await;
    node.put_location(GONE, "AttachedSingle", Some(1), json!("<object>")).await;
    controller.take();
    controller.wants(&[
        (TENANT, Some(2), "AttachedSingle"),
        (SECONDARY, None, "Secondary"),
        ("dddd0000000000000000000000000001", Some(1), "AttachedSingle"),
    ]);
    node.restart().await;
    assert_like("re-attach", &controller.take()[0].1["empty_local_disk"], &json!(false));
    let both = json!({ "tenant_shards": [
        [TENANT, location("AttachedSingle", Some(2))],
        [SECONDARY, location("Secondary", None)],
    ] });
    node.expect("GET", "/v1/location_config", Value::Null, 200, both).await;
    let timeline =
        node.expect("GET", &format!("/v1/tenant/{TENANT}/timeline/{MAIN}"), Value::Null, 200, json!("<object>")).await;
    assert_eq!(timeline["remote_consistent_lsn"], "0/0");
    assert_eq!(timeline["remote_consistent_lsn_visible"], "0/14D8AB0");
    // Attached here, wanted as a secondary now; and then nothing any more.
    controller.wants(&[(TENANT, None, "Secondary")]);
    node.restart().await;
    let one = json!({ "tenant_shards": [[TENANT, location("Secondary", None)]] });
    node.expect("GET", "/v1/location_config", Value::Null, 200, one).await;
    controller.wants(&[]);
    node.restart().await;
    node.expect("GET", "/v1/location_config", Value::Null, 200, json!({ "tenant_shards": [] })).await;
    controller.take();
    node.restart().await;
    assert_eq!(controller.take()[0].1["empty_local_disk"], true);
}

#[tokio::test]
async fn ports_are_open_and_nothing_is_answered_before_re_attach() {
    let directory = temporary();
    let port = free_port();
    let mut node = Node::pageserver(directory.path(), 1, port, Path::new("remote"));
    node.start();
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", node.pg)).await.is_err() {
        assert!(begin.elapsed() < PATIENCE, "the port isn't open");
        sleep(Duration::from_millis(10)).await;
    }
    TcpStream::connect(("127.0.0.1", node.http)).await.expect("an open port");
    let hangs = timeout(Duration::from_millis(500), node.try_call("GET", "/v1/status", Value::Null)).await;
    assert!(hangs.is_err(), "{hangs:?}");
    let waiting = async { node.expect("GET", "/v1/status", Value::Null, 200, json!({ "id": 1 })).await };
    let (controller, _) = tokio::join!(Controller::start_on(port), waiting);
    assert_eq!(controller.take().len(), 1);
    let log = node.process.as_ref().expect("running").log();
    let retries = log.matches("re-attach failed, will retry").count();
    assert!(retries >= 2, "the second try comes at once: {log}");
}

#[tokio::test]
async fn a_waiting_pageserver_has_no_signal_handlers_and_a_serving_one_ends_well() {
    let directory = temporary();
    let port = free_port();
    let mut node = Node::pageserver(directory.path(), 1, port, Path::new("remote"));
    node.start();
    let process = node.process.as_mut().expect("running");
    sleep(Duration::from_millis(300)).await;
    process.signal(Signal::TERM);
    // Killed by the signal's default action, which isn't an exit code. As PID 1 it would go on.
    assert_eq!(process.exit_code(PATIENCE).await, None);
    Controller::start_on(port).await;
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 0), (Signal::QUIT, 111)] {
        node.start();
        node.until_it_answers().await;
        sleep(Duration::from_millis(50)).await;
        let process = node.process.as_mut().expect("running");
        process.signal(signal);
        assert_eq!(process.exit_code(PATIENCE).await, Some(code), "{signal:?}");
    }
}

#[tokio::test]
async fn what_is_missing_ends_a_pageserver_with_1_and_a_missing_zone_with_101() {
    let toml = |node: &Node| std::fs::read_to_string(node.directory.join("pageserver.toml")).expect("written before");
    let without = |text: &str, key: &str| {
        text.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect::<String>()
    };
    let metadata = r#"{"host":"h","port":1,"http_host":"h","http_port":2,"https_port":null}"#;
    for (what, code) in [
        ("identity.toml", 1),
        ("pageserver.toml", 1),
        ("control_plane_api", 1),
        ("remote_storage", 1),
        ("port in use", 1),
        ("locked", 1),
        ("availability zone", 101),
    ] {
        let directory = temporary();
        let mut node = Node::pageserver(directory.path(), 1, free_port(), Path::new("remote"));
        let _taken = std::net::TcpListener::bind(("127.0.0.1", if what == "port in use" { node.http } else { 0 }));
        let lock = std::fs::File::create(node.directory.join("pageserver.pid")).expect("own directory");
        match what {
            "identity.toml" | "pageserver.toml" => {
                std::fs::remove_file(node.directory.join(what)).expect("written before");
            }
            "control_plane_api" | "remote_storage" => node.write_file("pageserver.toml", &without(&toml(&node), what)),
            "availability zone" => node.write_file("metadata.json", metadata),
            "locked" => lock.lock().expect("nobody else has it"),
            _ => {}
        }
        node.start();
        assert_eq!(node.process.as_mut().expect("started").exit_code(PATIENCE).await, Some(code), "{what}");
    }
}

#[tokio::test]
async fn without_metadata_a_pageserver_serves_and_is_not_registered() {
    let directory = temporary();
    let controller = Controller::start().await;
    let mut node = Node::pageserver(directory.path(), 1, controller.port, Path::new("remote"));
    std::fs::remove_file(node.directory.join("metadata.json")).expect("written before");
    node.start();
    node.until_it_answers().await;
    assert_eq!(controller.take(), [("re-attach", json!({ "node_id": 1, "empty_local_disk": true }))]);
}

#[tokio::test]
async fn computes_are_refused_in_their_own_protocol() {
    let controller = Controller::start().await;
    let pageserver = Node::lone_pageserver(controller.port).await;
    let safekeeper = Node::safekeeper(1).await;
    for (port, why) in [(pageserver.pg, "stores no pages"), (safekeeper.pg, "stores no WAL")] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("an open port");
        stream.write_all(b"\0\0\0\x08\x04\xd2\x16\x2f").await.expect("a request for TLS");
        assert_eq!(stream.read_u8().await.expect("an answer"), b'N');
        stream.write_all(b"\0\0\0\x10\0\x03\0\0user\0me\0").await.expect("a start-up packet");
        if port == pageserver.pg {
            // It takes the session, for one question; this is another one, and a good-bye.
            stream.write_all(b"Q\0\0\0\x0fpagestream\0X\0\0\0\x04").await.expect("a query");
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("the end");
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("0A000") && text.contains("simulation") && text.contains(why), "{text}");
    }
}
