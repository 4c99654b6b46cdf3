use super::*;
use serde_json::json;

fn inspected(value: serde_json::Value) -> ObservedContainer {
    container(serde_json::from_value(value).unwrap()).unwrap()
}

/// Cut from an answer of 20.10.24.
fn running() -> serde_json::Value {
    json!({
        "Id": "9880c48f78f5", "Created": "2026-11-23T01:49:40.123456789Z", "Name": "/shop-web-1",
        "Image": "sha256:bed1", "RestartCount": 2,
        "State": {
            "Status": "running", "Running": true, "OOMKilled": false, "ExitCode": 0, "Error": "",
            "StartedAt": "2026-11-23T01:49:41.5Z", "FinishedAt": "0001-01-01T00:00:00Z",
            "Health": {"Status": "unhealthy", "FailingStreak": 3, "Log": [
                {"Start": "2026-11-23T01:49:41.5Z", "End": "2026-11-23T01:49:42.5Z", "ExitCode": 1, "Output": "old"},
                {"Start": "2026-11-23T01:49:41.5Z", "End": "2026-11-23T01:49:42.5Z", "ExitCode": 1, "Output": "no"}
            ]}
        },
        "HostConfig": {
            "NetworkMode": "shop_default",
            "ExtraHosts": ["db:10.231.0.3", "six:fd00::1", "gate=host-gateway"]
        },
        "Config": {"Labels": {
            "convoke.cluster": "shop", "convoke.component": "web", "convoke.config-hash": "f00",
            "convoke.carried-volumes": "kept,other"
        }},
        "Mounts": [
            {"Type": "volume", "Name": "a".repeat(64), "Destination": "/anon"},
            {"Type": "volume", "Name": "kept", "Destination": "/kept"},
            {"Type": "volume", "Name": "shop_data", "Destination": "/data"},
            {"Type": "bind", "Source": "/x", "Destination": "/bind"}
        ],
        "NetworkSettings": {
            "Ports": {
                "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "49153"}, {"HostIp": "::1", "HostPort": "49153"}],
                "53/udp": null
            },
            "Networks": {
                "shop_default": {
                    "IPAMConfig": {"IPv4Address": "10.231.0.2"}, "NetworkID": "a3fd", "IPAddress": "10.231.0.2"
                },
                "other": {"IPAMConfig": null, "NetworkID": "aa10", "IPAddress": ""}
            }
        }
    })
}

#[test]
fn a_running_container() {
    let seen = inspected(running());
    assert_eq!((seen.name.as_str(), seen.component.as_str()), ("shop-web-1", "web"));
    assert_eq!(seen.state.status, Status::Running);
    assert_eq!((seen.state.restart_count, seen.state.finished_at), (2, None));
    assert_eq!(seen.state.started_at.unwrap().to_string(), "2026-11-23T01:49:41.5Z");
    let health = seen.state.health.unwrap();
    assert_eq!((health.status, health.last_output.as_str()), (HealthStatus::Unhealthy, "no"));
    let at = &seen.networks["shop_default"];
    assert_eq!((at.network_id.as_str(), at.address), ("a3fd", Some([10, 231, 0, 2].into())));
    assert_eq!(at.fixed_address, at.address);
    assert_eq!(seen.networks["other"].address, None);
    assert_eq!(seen.ports.len(), 2);
    assert_eq!((seen.ports[0].host_port, seen.ports[0].container_port), (Some(49153), 80));
    let hosts: Vec<_> = seen.extra_hosts.iter().map(|(name, at)| format!("{name} {at}")).collect();
    assert_eq!(hosts, ["db 10.231.0.3", "six fd00::1", "gate host-gateway"]);
    let volumes: Vec<_> = seen.anonymous_volumes.keys().map(String::as_str).collect();
    assert_eq!(volumes, ["/anon", "/kept"]);
    assert!(!seen.host_network);
    assert_eq!(seen.labels["convoke.config-hash"], "f00");
}

#[test]
fn an_unfinished_container_has_no_hash() {
    let mut value = running();
    value["Name"] = json!(format!("/shop-web-1{}", labels::UNFINISHED));
    assert!(!inspected(value).labels.contains_key("convoke.config-hash"));
}

#[test]
fn a_container_without_labels_or_state_is_still_shown() {
    let seen = inspected(json!({"Id": "1", "Name": "/odd_one", "Config": {"Labels": null}}));
    assert_eq!((seen.component.as_str(), seen.state.status), ("odd_one", Status::Created));
}

#[test]
fn images() {
    let info = image(
        serde_json::from_value(json!({
            "Id": "sha256:1",
            "Config": {
                "ExposedPorts": {"80/tcp": {}, "80/udp": {}, "8080": {}},
                "Volumes": {"/b": {}, "/a": {}},
                "Healthcheck": {"Test": ["CMD-SHELL", "curl -f localhost"], "Interval": 5_000_000_000_i64}
            }
        }))
        .unwrap(),
    );
    assert_eq!((info.exposed, info.volumes), (vec![80, 8080], vec!["/a".to_owned(), "/b".to_owned()]));
    let health = info.health.unwrap();
    assert_eq!(health.command, ["/bin/sh", "-c", "curl -f localhost"]);
    assert!(health.shell);
    assert_eq!((health.interval.as_secs(), health.timeout.as_secs(), health.retries), (5, 30, 3));
    assert_eq!(health.start_interval, None);
}

#[test]
fn an_image_may_turn_its_base_health_check_off() {
    for test in [json!(["NONE"]), json!([]), json!(null), json!(["CMD"])] {
        let info =
            image(serde_json::from_value(json!({"Id": "x", "Config": {"Healthcheck": {"Test": test}}})).unwrap());
        assert_eq!(info.health, None);
    }
}

#[test]
fn foreign_containers() {
    let listed = serde_json::from_value(json!({
        "Id": "1", "Names": ["/their-db-1"], "Labels": {"com.docker.compose.project": "their"},
        "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"PrivatePort": 81, "Type": "tcp"}
        ]
    }))
    .unwrap();
    let expected = Foreign {
        name: "their-db-1".into(),
        cluster: None,
        project: Some("their".into()),
        host_ports: vec![8080],
        networks: vec![],
    };
    assert_eq!(foreign(&listed), Some(expected));
}
