//! endpoint_storage (situations 30 and 48).

use hyper::Method;
use serde_json::json;

use crate::compute::request;
use crate::node::{MAIN, PATIENCE, TENANT, free_port, temporary};
use crate::process::Process;
use crate::token::{key, token};

#[tokio::test]
async fn files_of_endpoints_are_kept_for_those_with_a_token() {
    let directory = temporary();
    let (port, own, other) = (free_port(), key(1), key(2));
    let pem = directory.path().join("auth_public_key.pem");
    std::fs::write(&pem, own.pk.to_pem()).unwrap();
    let kept = directory.path().join("kept");
    let config =
        json!({ "listen": format!("127.0.0.1:{port}"), "pemfile": pem, "type": "LocalFs", "local_path": kept });
    let args = ["--config".to_owned(), config.to_string()];
    let _process = Process::role("endpoint_storage", "endpoint_storage", directory.path(), &args);
    let claims = |endpoint: &str| json!({ "tenant_id": TENANT, "timeline_id": MAIN, "endpoint_id": endpoint, "exp": 9_999_999_999_i64 });
    let ep_1 = token(&own, &claims("ep-1"));
    let foreign = token(&other, &claims("ep-1"));
    let file = format!("/{TENANT}/{MAIN}/ep-1/lfc_state");
    let of_ep_2 = format!("/{TENANT}/{MAIN}/ep-2/lfc_state");
    let of_ep_1 = format!("/{TENANT}/{MAIN}/ep-1");
    let missing = |path: &str| path.trim_start_matches('/').to_owned();
    let rows: &[(&str, &str, &str, &str, u16, &str)] = &[
        ("GET", "/status", "", "", 200, ""),
        ("GET", &file, "", "", 400, "Header of type `authorization` was missing"),
        ("GET", &file, &ep_1, "", 404, &missing(&file)),
        ("PUT", &file, &ep_1, "lfc-state-bytes", 200, ""),
        ("GET", &file, &ep_1, "", 200, "lfc-state-bytes"),
        ("GET", &of_ep_2, &ep_1, "", 404, &missing(&of_ep_2)),
        ("GET", &file, "nonsense", "", 400, "*"),
        ("GET", &file, &foreign, "", 400, "*"),
        ("DELETE", &file, &ep_1, "", 200, ""),
        ("DELETE", &file, &ep_1, "", 200, ""),
        ("DELETE", &of_ep_1, &ep_1, "", 200, ""),
        ("GET", "/x", "", "", 405, ""),
    ];
    let begun = std::time::Instant::now();
    while request(port, Method::GET, "/status", "", "").await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "it doesn't answer");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for (method, path, token, body, status, answer) in rows {
        let (seen, text) = request(port, method.parse().unwrap(), path, token, body).await.unwrap();
        assert_eq!(seen, *status, "{method} {path}: {text}");
        assert!(*answer == "*" || text == *answer, "{method} {path}: {text:?}, not {answer:?}");
    }
}
