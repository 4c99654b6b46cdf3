//! What a file says about a service is what the engine shows of its container.

use serde_json::{Value, json};

use crate::support::{IMAGE, TestCluster};

/// Starts one service with these lines and returns what the engine knows of its container.
#[track_caller]
fn inspect(cluster: &TestCluster, lines: &str) -> Value {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    cluster.write("compose.yaml", &format!("services:\n  web:\n    image: {IMAGE}\n{lines}"));
    cluster.ok(&["up"]);
    cluster.inspect("web")
}

#[track_caller]
fn has(shown: &Value, expected: &[(&str, Value)]) {
    for (pointer, value) in expected {
        assert_eq!(shown.pointer(pointer), Some(value), "{pointer} of {}", shown["HostConfig"]);
    }
}

#[test]
fn limits_names_and_logs_arrive() {
    let cluster = TestCluster::without_file();
    cluster.write("labels.env", "from=file\na=file\n");
    let shown = inspect(
        &cluster,
        "cpus: 0.5
cpu_shares: 512
mem_limit: 64m
mem_reservation: 32m
memswap_limit: 128m
pids_limit: 100
oom_score_adj: 100
shm_size: 16m
dns: 192.0.2.53
dns_search: [a.example, b.example]
dns_opt: [use-vc]
domainname: example.org
hostname: web
group_add: [1001, 1000]
logging: { driver: json-file, options: { max-size: 1m, max-file: 2 } }
labels: { a: b }
label_file: labels.env
stop_signal: SIGINT
cap_add: [NET_ADMIN]
security_opt: ['no-new-privileges:true']
",
    );
    has(
        &shown,
        &[
            ("/HostConfig/NanoCpus", json!(500_000_000)),
            ("/HostConfig/CpuShares", json!(512)),
            ("/HostConfig/Memory", json!(64 << 20)),
            ("/HostConfig/MemoryReservation", json!(32 << 20)),
            ("/HostConfig/MemorySwap", json!(128 << 20)),
            ("/HostConfig/PidsLimit", json!(100)),
            ("/HostConfig/OomScoreAdj", json!(100)),
            ("/HostConfig/ShmSize", json!(16 << 20)),
            ("/HostConfig/Dns", json!(["192.0.2.53"])),
            ("/HostConfig/DnsSearch", json!(["a.example", "b.example"])),
            ("/HostConfig/DnsOptions", json!(["use-vc"])),
            ("/HostConfig/GroupAdd", json!(["1001", "1000"])),
            ("/HostConfig/LogConfig", json!({"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}})),
            ("/HostConfig/SecurityOpt", json!(["no-new-privileges:true"])),
            ("/Config/Domainname", json!("example.org")),
            ("/Config/Hostname", json!("web")),
            ("/Config/StopSignal", json!("SIGINT")),
            ("/Config/Labels/a", json!("b")),
            ("/Config/Labels/from", json!("file")),
        ],
    );
    // Limits under deploy are the same limits, so nothing is replaced.
    let before = cluster.identities();
    cluster.edit(
        "    cpus: 0.5\n    cpu_shares",
        "    deploy: { resources: { limits: { cpus: '0.50' } } }\n    cpu_shares",
    );
    cluster.ok(&["up"]);
    assert_eq!(cluster.identities(), before);
    cluster.edit("cpu_shares: 512", "cpu_shares: 256");
    cluster.ok(&["up"]);
    assert_eq!(cluster.inspect("web")["HostConfig"]["CpuShares"], 256);
}

#[test]
fn namespaces_and_devices_arrive() {
    let cluster = TestCluster::without_file();
    let shown = inspect(
        &cluster,
        "pid: host
ipc: shareable
uts: host
cgroup: host
userns_mode: host
runtime: runc
devices: ['/dev/null:/dev/x:r', '/dev/zero']
device_cgroup_rules: ['c 1:3 mr']
tty: true
stdin_open: true
init: true
",
    );
    let device = |source: &str, target: &str, permissions: &str| json!({"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": permissions});
    has(
        &shown,
        &[
            ("/HostConfig/PidMode", json!("host")),
            ("/HostConfig/IpcMode", json!("shareable")),
            ("/HostConfig/UTSMode", json!("host")),
            ("/HostConfig/CgroupnsMode", json!("host")),
            ("/HostConfig/UsernsMode", json!("host")),
            ("/HostConfig/Runtime", json!("runc")),
            (
                "/HostConfig/Devices",
                json!([device("/dev/null", "/dev/x", "r"), device("/dev/zero", "/dev/zero", "rwm")]),
            ),
            ("/HostConfig/DeviceCgroupRules", json!(["c 1:3 mr"])),
            ("/HostConfig/Init", json!(true)),
            ("/Config/Tty", json!(true)),
            ("/Config/OpenStdin", json!(true)),
        ],
    );
}

#[test]
fn a_restart_policy_of_deploy_and_replicas_are_honoured() {
    let cluster = TestCluster::new(&format!(
        "services:\n  web:\n    image: {IMAGE}\n    deploy:\n      replicas: 2\n      \
         restart_policy: {{ condition: on-failure, max_attempts: 3 }}\n      placement: {{ constraints: [a==b] }}\n"
    ));
    cluster.ok(&["up"]).says(&["services.web.deploy.placement is ignored"]);
    for component in ["web-1", "web-2"] {
        let policy = &cluster.inspect(component)["HostConfig"]["RestartPolicy"];
        assert_eq!(*policy, json!({"Name": "on-failure", "MaximumRetryCount": 3}));
    }
}

#[test]
fn a_service_on_another_one_s_network_goes_where_that_goes() {
    let cluster = TestCluster::new(&format!(
        "services:\n  side: {{ image: {IMAGE}, network_mode: 'service:web', command: [--port, '8081'] }}\n  \
         web: {{ image: {IMAGE} }}\n  other: {{ image: {IMAGE}, links: ['web:www'], command: [--connect, 'www:8080', --connect-retry, 100ms] }}\n"
    ));
    cluster.ok(&["up"]);
    let web = cluster.inspect("web");
    let mode = cluster.inspect("side")["HostConfig"]["NetworkMode"].clone();
    let named = format!("container:{}", web["Name"].as_str().unwrap().trim_start_matches('/'));
    let by_id = format!("container:{}", web["Id"].as_str().unwrap());
    assert!(mode == named.as_str() || mode == by_id.as_str(), "{mode}");
    cluster.ok(&["exec", "side", "probe-target", "check", "--port", "8080"]);
    cluster.ok(&["logs", "other"]).says(&["www:8080", "connected"]);
    // What shares a network is replaced with the container that it belongs to.
    let before = cluster.container("side").id;
    cluster.edit(
        "web: { image: convoke-test/probe-target:latest }",
        "web: { image: convoke-test/probe-target:latest, user: '0' }",
    );
    cluster.ok(&["up"]);
    assert_ne!(cluster.container("side").id, before);
    cluster.ok(&["exec", "side", "probe-target", "check", "--port", "8080"]);
}

#[test]
fn hooks_run_and_namespaces_are_shared() {
    let cluster = TestCluster::new(
        r#"
services:
  owner:
    image: debian:bookworm-slim
    init: true
    command: [sleep, infinity]
    ipc: shareable
    volumes: ["/shared", "./out:/out"]
    post_start:
      - command: [sh, -c, 'sleep 0.5; echo $$WHO $$(id -u) $$(pwd) >/shared/hook']
        user: root
        working_dir: /tmp
        environment: { WHO: me }
    pre_stop:
      - command: sh -c 'echo stopped >>/out/log'
  sharer:
    image: debian:bookworm-slim
    command: [sleep, infinity]
    pid: service:owner
    ipc: service:owner
    volumes_from: [owner]
x-convoke: { start: together }
"#,
    );
    std::fs::create_dir(cluster.path().join("out")).unwrap();
    cluster.ok(&["up"]);
    // It isn't ready before its hooks are done, and it is no job of the hook's to be quick.
    assert_eq!(cluster.ok(&["exec", "sharer", "cat", "/shared/hook"]).out, "me 0 /tmp\n");
    for namespace in ["pid", "ipc"] {
        let of = |component| cluster.ok(&["exec", component, "readlink", &format!("/proc/self/ns/{namespace}")]).out;
        assert_eq!(of("sharer"), of("owner"));
    }
    let log = || std::fs::read_to_string(cluster.path().join("out/log")).unwrap_or_default();
    cluster.ok(&["restart", "owner"]);
    assert_eq!(log(), "stopped\n");
    assert_eq!(cluster.ok(&["exec", "owner", "cat", "/shared/hook"]).out, "me 0 /tmp\n", "known without the file");
    // Whoever shares is replaced with the owner.
    let before = cluster.container("sharer").id;
    cluster.edit("ipc: shareable", "ipc: shareable\n    hostname: other");
    cluster.ok(&["up"]);
    assert_ne!(cluster.container("sharer").id, before);
    assert_eq!(log(), "stopped\nstopped\n", "before it is replaced, too");
    cluster.edit("[sh, -c, 'sleep 0.5; echo", "[sh, -c, 'echo none; exit 3; echo");
    cluster.edit("hostname: other", "hostname: another");
    cluster.run(&["up"]).exits(1).says(&["its post_start hook", "exited with 3: none"]);
}

#[test]
fn pull_policies_are_obeyed() {
    let cluster = TestCluster::new(&format!(
        "services:\n  web: {{ image: {IMAGE}, pull_policy: never }}\n  \
         gone: {{ image: convoke-test/gone, pull_policy: never, profiles: [gone] }}\n"
    ));
    cluster.ok(&["up"]);
    cluster.ok(&["pull"]).says(&["is never pulled (pull_policy)"]);
    cluster.ok(&["pull", "--policy", "missing"]).says(&["is there already"]);
    cluster.run(&["up", "gone"]).exits(1).says(&["convoke-test/gone can't be had", "it is never pulled (pull_policy)"]);
}
