//! Registry credentials reach the engine: from Docker's configuration, or from a helper. No registry is needed for that:
//! what is sent to the engine is looked at, and nobody listens where it then looks for the image.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use crate::support::{Proxy, Ran, TestCluster};

/// Nothing listens there.
const REGISTRY: &str = "localhost:1";

/// A cluster with a Docker configuration of its own.
fn cluster(compose: &str, config: &Value) -> TestCluster {
    let cluster = TestCluster::new(compose);
    cluster.write("docker/config.json", &config.to_string());
    cluster
}

fn up(cluster: &TestCluster, proxy: &Proxy) -> Ran {
    let mut command = cluster.command(&["up", "--timeout", "10s"]);
    let path = format!("{}:{}", cluster.path().join("bin").display(), std::env::var("PATH").unwrap());
    command.env("DOCKER_CONFIG", cluster.path().join("docker")).env("DOCKER_HOST", proxy.address()).env("PATH", path);
    cluster.run_command(command)
}

/// The engine wants them as JSON in base64.
#[track_caller]
fn sent(proxy: &Proxy, request: &str, header: &str) -> Value {
    let all = proxy.headers(request, header);
    let value = all.first().unwrap_or_else(|| panic!("no {header} with {request}"));
    assert!(all.iter().all(|other| other == value), "{all:?}");
    let bytes = URL_SAFE.decode(value).or_else(|_| STANDARD.decode(value)).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_pull_takes_them_from_the_configuration() {
    let auth = STANDARD.encode("me:pass:word");
    let cluster = cluster(
        &format!("services: {{ web: {{ image: '{REGISTRY}/team/app:1' }} }}"),
        &json!({"auths": {REGISTRY: {"auth": auth}, "elsewhere.test": {"auth": "eDp5"}}}),
    );
    let proxy = Proxy::new();
    let ran = up(&cluster, &proxy);
    assert_ne!(ran.code, 0, "{ran}");
    ran.says_nothing_of(&["pass:word", &auth]);
    let sent = sent(&proxy, "POST /images/create", "X-Registry-Auth");
    assert_eq!((&sent["username"], &sent["password"]), (&json!("me"), &json!("pass:word")));
    assert_eq!(sent["serveraddress"], REGISTRY);
}

#[test]
fn a_pull_asks_the_helper_for_the_registry() {
    let cluster = cluster(
        &format!("services: {{ web: {{ image: '{REGISTRY}/team/app:1' }} }}"),
        &json!({"credHelpers": {REGISTRY: "convoke-test"}}),
    );
    let answer = r#"{"ServerURL": "'$registry'", "Username": "helped", "Secret": "for '$registry'"}"#;
    let helper = cluster.write(
        "bin/docker-credential-convoke-test",
        &format!("#!/bin/sh\n[ \"$1\" = get ] || exit 1\nread -r registry\necho '{answer}'\n"),
    );
    fs::set_permissions(helper, fs::Permissions::from_mode(0o755)).unwrap();
    let proxy = Proxy::new();
    let ran = up(&cluster, &proxy);
    assert_ne!(ran.code, 0, "{ran}");
    let sent = sent(&proxy, "POST /images/create", "X-Registry-Auth");
    assert_eq!((&sent["username"], &sent["password"]), (&json!("helped"), &json!(format!("for {REGISTRY}"))));
}

/// A build sends those for the images that it builds on, by registry.
#[test]
fn a_build_takes_those_for_its_base_images() {
    let auth = STANDARD.encode("me:secret");
    let cluster = cluster(
        "services: { web: { build: ./web } }",
        &json!({"auths": {REGISTRY: {"auth": auth}, "elsewhere.test": {"auth": "eDp5"}}}),
    );
    cluster.write("web/Dockerfile", &format!("FROM {REGISTRY}/team/base:1\n"));
    let proxy = Proxy::new();
    let ran = up(&cluster, &proxy);
    assert_ne!(ran.code, 0, "{ran}");
    ran.says_nothing_of(&["secret"]);
    let sent = sent(&proxy, "POST /build", "X-Registry-Config");
    assert_eq!(sent.as_object().unwrap().len(), 1, "{sent}");
    assert_eq!((&sent[REGISTRY]["username"], &sent[REGISTRY]["password"]), (&json!("me"), &json!("secret")));
}

#[test]
fn without_any_a_pull_sends_none() {
    let cluster = cluster(&format!("services: {{ web: {{ image: '{REGISTRY}/team/app:1' }} }}"), &json!({}));
    let proxy = Proxy::new();
    assert_ne!(up(&cluster, &proxy).code, 0);
    for value in proxy.headers("POST /images/create", "X-Registry-Auth") {
        let bytes = URL_SAFE.decode(&value).or_else(|_| STANDARD.decode(&value)).unwrap();
        let sent: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(sent["username"].is_null() && sent["password"].is_null(), "{sent}");
    }
}
