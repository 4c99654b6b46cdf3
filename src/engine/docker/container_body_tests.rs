use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;

use super::*;
use crate::cluster::{PortBinding, Protocol, Ulimit};
use crate::engine::request::Attach;
use crate::names::{ComponentName, NetworkKey};

/// A request with nothing but names.
pub(in crate::engine::docker) fn request() -> CreateContainer {
    CreateContainer {
        component: ComponentName::new("web").unwrap(),
        name: "shop-web-1".into(),
        image: "web:1".into(),
        spec: ContainerSpec::default(),
        health: None,
        health_disabled: false,
        labels: BTreeMap::new(),
        networks: Vec::new(),
        volumes: BTreeMap::new(),
        hosts: Vec::new(),
        publish_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        carried_volumes: BTreeMap::new(),
        files: Vec::new(),
        owners: Vec::new(),
        one_off: None,
    }
}

fn value(request: &CreateContainer, api: ApiVersion) -> serde_json::Value {
    serde_json::to_value(body(request, api).unwrap()).unwrap()
}

fn check(shell: bool) -> HealthCheck {
    HealthCheck {
        command: ["/bin/sh", "-c", "true"].map(Into::into).into(),
        shell,
        interval: Duration::from_millis(1500),
        timeout: Duration::from_secs(2),
        retries: 4,
        start_period: Duration::ZERO,
        start_interval: Some(Duration::from_secs(1)),
    }
}

#[test]
fn every_part_of_the_file_arrives() {
    let mut request = request();
    let spec = &mut request.spec;
    spec.command = Some(vec!["serve".into()]);
    spec.entrypoint = Some(Vec::new());
    spec.environment = [("A", Some("1=2")), ("GONE", None)].map(|(k, v)| (k.into(), v.map(Into::into))).into();
    spec.user = Some("1000:1000".into());
    spec.hostname = Some("box".into());
    spec.expose = vec![(9000, Protocol::Udp)];
    spec.extra_hosts = vec![("db".into(), "1.2.3.4".into()), ("up".into(), "host-gateway".into())];
    spec.init = true;
    spec.ulimits = [("nofile".to_owned(), Ulimit { soft: 10, hard: -1 })].into();
    spec.shm_size = Some(1 << 20);
    spec.mem_limit = Some(1 << 30);
    spec.restart = RestartPolicy::OnFailure { max_retries: 3 };
    spec.stop_signal = Some("SIGINT".into());
    spec.stop_grace_period = Some(Duration::from_millis(1500));
    spec.cap_add = vec!["NET_ADMIN".into()];
    spec.cap_drop = vec!["ALL".into()];
    spec.sysctls = [("net.core.somaxconn".to_owned(), "99".to_owned())].into();
    spec.read_only = true;
    spec.tty = true;
    spec.security_opt = vec!["no-new-privileges".into()];
    request.hosts = vec![("db".into(), [10, 0, 0, 1].into()), ("web".into(), [10, 0, 0, 2].into())];
    let body = value(&request, ApiVersion::OLDEST);
    let host = &body["HostConfig"];
    assert_eq!(body["Cmd"], json!(["serve"]));
    assert_eq!(body["Entrypoint"], json!([""]));
    assert_eq!(body["Env"], json!(["A=1=2", "GONE"]));
    assert_eq!((&body["User"], &body["Hostname"]), (&json!("1000:1000"), &json!("box")));
    assert_eq!(body["ExposedPorts"], json!({"9000/udp": {}}));
    assert_eq!(host["ExtraHosts"], json!(["db:1.2.3.4", "up:host-gateway", "web:10.0.0.2"]));
    assert_eq!(host["Ulimits"], json!([{"Name": "nofile", "Soft": 10, "Hard": -1}]));
    assert_eq!((&host["ShmSize"], &host["Memory"]), (&json!(1 << 20), &json!(1 << 30)));
    assert_eq!(host["RestartPolicy"], json!({"Name": "on-failure", "MaximumRetryCount": 3}));
    assert_eq!((&body["StopSignal"], &body["StopTimeout"]), (&json!("SIGINT"), &json!(2)));
    assert_eq!((&host["CapAdd"], &host["CapDrop"]), (&json!(["NET_ADMIN"]), &json!(["ALL"])));
    assert_eq!(host["Sysctls"], json!({"net.core.somaxconn": "99"}));
    assert_eq!((&host["ReadonlyRootfs"], &host["Init"], &body["Tty"]), (&json!(true), &json!(true), &json!(true)));
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
}

/// What the machines that test this can't show: another system, kernel, control groups or storage driver, a newer API.
#[test]
fn what_few_engines_take_is_asked_of_them_all_the_same() {
    let mut request = request();
    request.spec.settings = serde_json::from_value(json!({
        "annotations": { "a": "b" },
        "cpu_count": 2, "cpu_percent": 50,
        "cpu_rt_period": 1000, "cpu_rt_runtime": 500,
        "mem_swappiness": 10, "oom_kill_disable": true,
        "storage_opt": { "size": "1G" },
    }))
    .unwrap();
    let weight_device = vec![("/dev/x".to_owned(), 200)];
    request.spec.settings.blkio = Some(crate::cluster::Blkio { weight_device, ..Default::default() });
    request.spec.settings.mac_address = Some("02:42:0a:00:00:09".to_owned());
    let refused = body(&request, ApiVersion::new(1, 43)).unwrap_err();
    assert_eq!(refused, "mac_address needs an engine of API 1.44 or newer, and this one has 1.43");
    request.spec.settings.mac_address = None;
    let host = &value(&request, ApiVersion::new(1, 43))["HostConfig"];
    for (key, expected) in [
        ("Annotations", json!({ "a": "b" })),
        ("BlkioWeightDevice", json!([{ "Path": "/dev/x", "Weight": 200 }])),
        ("CpuCount", json!(2)),
        ("CpuPercent", json!(50)),
        ("CpuRealtimePeriod", json!(1000)),
        ("CpuRealtimeRuntime", json!(500)),
        ("MemorySwappiness", json!(10)),
        ("OomKillDisable", json!(true)),
        ("StorageOpt", json!({ "size": "1G" })),
    ] {
        assert_eq!(host[key], expected, "{key}");
    }
}

#[test]
fn nothing_asked_is_nothing_replaced() {
    let body = value(&request(), ApiVersion::OLDEST);
    for key in ["Cmd", "Entrypoint", "Healthcheck", "NetworkingConfig", "StopSignal", "StopTimeout", "User"] {
        assert!(body.get(key).is_none(), "{key}: {}", body[key]);
    }
    for key in ["NetworkMode", "Init", "Memory", "ShmSize"] {
        assert!(body["HostConfig"].get(key).is_none(), "{key}");
    }
}

#[test]
fn ports_without_an_address_are_published_on_the_given_one() {
    let mut request = request();
    let port = |host_ip: Option<&str>, host_port, container_port| PortBinding {
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host_port,
        container_port,
        protocol: Protocol::Tcp,
    };
    request.spec.ports = vec![port(None, Some(8080), 80), port(Some("::"), Some(8081), 80), port(None, None, 81)];
    let body = value(&request, ApiVersion::OLDEST);
    let expected = json!({
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8081"}],
        "81/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
    });
    assert_eq!(body["HostConfig"]["PortBindings"], expected);
    assert_eq!(body["ExposedPorts"], json!({"80/tcp": {}, "81/tcp": {}}));
}

#[test]
fn health_checks() {
    let mut request = request();
    request.health = Some(check(true));
    let old = value(&request, ApiVersion::OLDEST);
    let expected = json!({
        "Test": ["CMD-SHELL", "true"], "Interval": 1_500_000_000_i64, "Timeout": 2_000_000_000_i64, "Retries": 4,
        "StartPeriod": 0,
    });
    assert_eq!(old["Healthcheck"], expected);
    request.health = Some(check(false));
    let new = value(&request, ApiVersion::new(1, 44));
    assert_eq!(new["Healthcheck"]["Test"], json!(["CMD", "/bin/sh", "-c", "true"]));
    assert_eq!(new["Healthcheck"]["StartInterval"], json!(1_000_000_000));
    request.health_disabled = true;
    assert_eq!(value(&request, ApiVersion::OLDEST)["Healthcheck"], json!({"Test": ["NONE"]}));
}

#[test]
fn networks_with_addresses_and_aliases() {
    let mut request = request();
    let attach = |key: &str, last| Attach {
        key: NetworkKey::new(key).unwrap(),
        network_id: format!("id-{key}"),
        network_name: format!("shop_{key}"),
        address: Some([10, 231, 0, last].into()),
        settings: crate::cluster::EndpointSettings::default(),
        aliases: vec!["web".into()],
        fail_fast: true,
    };
    request.networks = vec![attach("front", 2), attach("back", 3)];
    let old = value(&request, ApiVersion::OLDEST);
    let front = json!({"IPAMConfig": {"IPv4Address": "10.231.0.2"}, "Aliases": ["web"]});
    assert_eq!(old["NetworkingConfig"]["EndpointsConfig"], json!({"shop_front": front}));
    assert_eq!(old["HostConfig"]["NetworkMode"], json!("shop_front"));
    assert_eq!(old["HostConfig"]["Sysctls"].as_object().unwrap().len(), 6);
    let new = value(&request, ApiVersion::new(1, 46));
    assert_eq!(new["NetworkingConfig"]["EndpointsConfig"].as_object().unwrap().len(), 2);
    assert_eq!(new["HostConfig"]["Sysctls"], json!({}));
}

#[test]
fn carried_volumes_are_in_a_label() {
    let mut request = request();
    request.carried_volumes = [("/v".to_owned(), "abc".to_owned())].into();
    assert_eq!(value(&request, ApiVersion::OLDEST)["Labels"], json!({"convoke.carried-volumes": "abc"}));
}
