//! Every attribute of a service that convoke honours arrives in the container as the engine shows it.
//!
//! The page docs/compose-support.md, which a test holds to the code, says which attributes there are: one that is neither
//! here nor named with the place of its test makes this test fail. The containers are made and not started, so that
//! nothing here needs a kernel or a driver that does what is asked.

use serde_json::{Value, json};

use crate::support::{IMAGE, TestCluster};

const FILE: &str = r#"
services:
  all:
    image: IMAGE
    blkio_config:
      weight: 300
      device_read_bps: [{ path: /dev/null, rate: 1mb }]
      device_read_iops: [{ path: /dev/null, rate: 11 }]
      device_write_bps: [{ path: /dev/null, rate: 2mb }]
      device_write_iops: [{ path: /dev/null, rate: 12 }]
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    cgroup_parent: convoke.slice
    command: [--port, "8081"]
    container_name: NAME-own
    cpu_period: 50000
    cpu_quota: 25000
    cpu_shares: 512
    cpuset: "0"
    device_cgroup_rules: ["c 1:3 mr"]
    devices: ["/dev/null:/dev/x:r"]
    dns: 192.0.2.53
    dns_opt: [use-vc]
    dns_search: [a.example]
    domainname: example.org
    entrypoint: [/probe-target, serve]
    env_file: more.env
    environment: { A: "1" }
    expose: ["9000"]
    external_links: ["NAME-plain-1:other"]
    extra_hosts: ["far=192.0.2.1"]
    gpus: all
    group_add: ["1001"]
    healthcheck: { test: [CMD, "true"], interval: 5s, timeout: 2s, retries: 4, start_period: 3s }
    hostname: own
    init: true
    isolation: default
    label_file: more.env
    labels: { a: b }
    links: ["owner:www"]
    logging: { driver: json-file, options: { max-size: 1m } }
    mem_limit: 64m
    mem_reservation: 32m
    mem_swappiness: 10
    memswap_limit: 128m
    networks:
      default: { aliases: [shop], priority: 5, driver_opts: { k: v } }
      six: { ipv4_address: 10.201.77.9, ipv6_address: "fd00:77::9", link_local_ips: [169.254.8.8] }
    oom_kill_disable: true
    oom_score_adj: 100
    pids_limit: 100
    platform: linux/amd64
    ports: ["127.0.0.1::80/udp"]
    restart: unless-stopped
    runtime: runc
    security_opt: ["no-new-privileges:true"]
    shm_size: 16m
    stdin_open: true
    stop_grace_period: 3s
    stop_signal: SIGINT
    sysctls: { net.core.somaxconn: 512 }
    tmpfs: ["/scratch:size=1m"]
    tty: true
    ulimits: { nofile: { soft: 100, hard: 200 } }
    user: "65534:65534"
    volumes:
      - data:/data
      - .:/here:ro
      - .:/labelled:z
      - { type: bind, source: ., target: /there, bind: { propagation: rslave } }
      - { type: bind, source: ., target: /flat, bind: { recursive: disabled } }
      - { type: volume, target: /anonymous, volume: { labels: { of: file } } }
      - { type: tmpfs, target: /mem, tmpfs: { size: 2m, mode: 0700 } }
    working_dir: /tmp
  plain:
    image: IMAGE
    cgroup: host
    cpus: 0.5
    ipc: service:owner
    network_mode: service:owner
    pid: service:owner
    userns_mode: host
    volumes_from: ["all:ro"]
  owner:
    image: IMAGE
    ipc: shareable
    privileged: true
    read_only: true
    uts: host
networks:
  six:
    enable_ipv6: true
    ipam: { config: [{ subnet: 10.201.77.0/24, ip_range: 10.201.77.128/25, aux_addresses: { r: 10.201.77.2 } }, { subnet: "fd00:77::/64" }] }
volumes: { data: {} }
"#;

/// Attribute, component, where the engine shows it, and what: the value itself, or `{"has": part}` for a list in which
/// some entry has at least these members, or `{"begins": text}`.
fn expected() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let net = "/NetworkSettings/Networks/NAME_default";
    let six = "/NetworkSettings/Networks/NAME_six";
    let at = |base: &str, rest: &str| -> &'static str { Box::leak(format!("{base}{rest}").into_boxed_str()) };
    let rate = |rate: u64| json!([{ "Path": "/dev/null", "Rate": rate }]);
    let labels = json!({ "Labels": { "of": "file" } });
    let of_all = |all: Vec<(&'static str, &'static str, Value)>| {
        all.into_iter().map(|(key, pointer, value)| (key, "all", pointer, value)).collect::<Vec<_>>()
    };
    let mut rows = of_all(vec![
        ("blkio_config", "/HostConfig/BlkioDeviceReadBps", rate(1 << 20)),
        ("blkio_config", "/HostConfig/BlkioDeviceReadIOps", rate(11)),
        ("blkio_config", "/HostConfig/BlkioDeviceWriteBps", rate(2 << 20)),
        ("blkio_config", "/HostConfig/BlkioDeviceWriteIOps", rate(12)),
        ("cap_add", "/HostConfig/CapAdd", json!(["NET_ADMIN"])),
        ("cap_drop", "/HostConfig/CapDrop", json!(["MKNOD"])),
        ("cgroup_parent", "/HostConfig/CgroupParent", json!("convoke.slice")),
        ("command", "/Config/Cmd", json!(["--port", "8081"])),
        ("container_name", "/Name", json!("/NAME-own")),
        ("cpu_period", "/HostConfig/CpuPeriod", json!(50_000)),
        ("cpu_quota", "/HostConfig/CpuQuota", json!(25_000)),
        ("cpu_shares", "/HostConfig/CpuShares", json!(512)),
        ("cpuset", "/HostConfig/CpusetCpus", json!("0")),
        ("device_cgroup_rules", "/HostConfig/DeviceCgroupRules", json!(["c 1:3 mr"])),
        ("devices", "/HostConfig/Devices", json!({"has": { "PathOnHost": "/dev/null", "PathInContainer": "/dev/x" }})),
        ("dns", "/HostConfig/Dns", json!(["192.0.2.53"])),
        ("dns_opt", "/HostConfig/DnsOptions", json!(["use-vc"])),
        ("dns_search", "/HostConfig/DnsSearch", json!(["a.example"])),
        ("domainname", "/Config/Domainname", json!("example.org")),
        ("entrypoint", "/Config/Entrypoint", json!(["/probe-target", "serve"])),
        ("env_file", "/Config/Env", json!({"has": "FROM=file"})),
        ("environment", "/Config/Env", json!({"has": "A=1"})),
        ("expose", "/Config/ExposedPorts/9000~1tcp", json!({})),
        ("extra_hosts", "/HostConfig/ExtraHosts", json!({"has": "far:192.0.2.1"})),
        ("gpus", "/HostConfig/DeviceRequests/0/Count", json!(-1)),
        ("group_add", "/HostConfig/GroupAdd", json!(["1001"])),
        ("healthcheck", "/Config/Healthcheck/Test", json!(["CMD", "true"])),
        ("healthcheck", "/Config/Healthcheck/Interval", json!(5_000_000_000_u64)),
        ("healthcheck", "/Config/Healthcheck/Retries", json!(4)),
        ("hostname", "/Config/Hostname", json!("own")),
        ("image", "/Config/Image", json!(IMAGE)),
        ("init", "/HostConfig/Init", json!(true)),
        ("isolation", "/HostConfig/Isolation", json!("default")),
        ("label_file", "/Config/Labels/FROM", json!("file")),
        ("labels", "/Config/Labels/a", json!("b")),
        ("logging", "/HostConfig/LogConfig/Config/max-size", json!("1m")),
        ("mem_limit", "/HostConfig/Memory", json!(64 << 20)),
        ("mem_reservation", "/HostConfig/MemoryReservation", json!(32 << 20)),
        ("memswap_limit", "/HostConfig/MemorySwap", json!(128 << 20)),
        ("oom_score_adj", "/HostConfig/OomScoreAdj", json!(100)),
        ("pids_limit", "/HostConfig/PidsLimit", json!(100)),
        ("platform", "/Platform", json!("linux")),
        ("ports", "/HostConfig/PortBindings/80~1udp/0/HostIp", json!("127.0.0.1")),
        ("restart", "/HostConfig/RestartPolicy/Name", json!("unless-stopped")),
        ("runtime", "/HostConfig/Runtime", json!("runc")),
        ("security_opt", "/HostConfig/SecurityOpt", json!(["no-new-privileges:true"])),
        ("shm_size", "/HostConfig/ShmSize", json!(16 << 20)),
        ("stdin_open", "/Config/OpenStdin", json!(true)),
        ("stop_grace_period", "/Config/StopTimeout", json!(3)),
        ("stop_signal", "/Config/StopSignal", json!("SIGINT")),
        ("sysctls", "/HostConfig/Sysctls/net.core.somaxconn", json!("512")),
        ("tmpfs", "/HostConfig/Tmpfs/~1scratch", json!("size=1048576")),
        ("tty", "/Config/Tty", json!(true)),
        ("ulimits", "/HostConfig/Ulimits", json!({"has": { "Name": "nofile", "Soft": 100, "Hard": 200 }})),
        ("user", "/Config/User", json!("65534:65534")),
        ("volumes", "/Mounts", json!({"has": { "Type": "volume", "Name": "NAME_data", "Destination": "/data" }})),
        ("volumes", "/Mounts", json!({"has": { "Type": "bind", "Destination": "/here", "RW": false }})),
        ("volumes", "/Mounts", json!({"has": { "Destination": "/labelled", "Mode": "z" }})),
        ("volumes", "/Mounts", json!({"has": { "Destination": "/there", "Propagation": "rslave" }})),
        (
            "volumes",
            "/HostConfig/Mounts",
            json!({"has": { "Target": "/flat", "BindOptions": { "NonRecursive": true } }}),
        ),
        ("volumes", "/HostConfig/Mounts", json!({"has": { "Target": "/anonymous", "VolumeOptions": labels }})),
        ("volumes", "/HostConfig/Tmpfs/~1mem", json!("size=2097152,mode=700")),
        ("working_dir", "/Config/WorkingDir", json!("/tmp")),
        ("external_links", at(net, "/Links"), json!({"has": "NAME-plain-1:other"})),
        ("links", at(net, "/Links"), json!({"has": "NAME-owner-1:www"})),
        ("networks", at(net, "/Aliases"), json!({"has": "shop"})),
        ("networks", at(net, "/DriverOpts/k"), json!("v")),
        ("networks", "/HostConfig/NetworkMode", json!("NAME_default")),
        ("networks", at(six, "/IPAMConfig/IPv4Address"), json!("10.201.77.9")),
        ("networks", at(six, "/IPAMConfig/IPv6Address"), json!("fd00:77::9")),
        ("networks", at(six, "/IPAMConfig/LinkLocalIPs"), json!(["169.254.8.8"])),
    ]);
    let owner = json!({"begins": "container:"});
    rows.extend([
        ("cgroup", "plain", "/HostConfig/CgroupnsMode", json!("host")),
        ("cpus", "plain", "/HostConfig/NanoCpus", json!(500_000_000)),
        ("ipc", "plain", "/HostConfig/IpcMode", owner.clone()),
        ("network_mode", "plain", "/HostConfig/NetworkMode", owner.clone()),
        ("pid", "plain", "/HostConfig/PidMode", owner),
        ("userns_mode", "plain", "/HostConfig/UsernsMode", json!("host")),
        ("volumes_from", "plain", "/HostConfig/VolumesFrom", json!(["NAME-own:ro"])),
        ("volumes_from", "plain", "/Mounts", json!({"has": { "Destination": "/data", "RW": false }})),
        ("ipc", "owner", "/HostConfig/IpcMode", json!("shareable")),
        ("privileged", "owner", "/HostConfig/Privileged", json!(true)),
        ("read_only", "owner", "/HostConfig/ReadonlyRootfs", json!(true)),
        ("uts", "owner", "/HostConfig/UTSMode", json!("host")),
    ]);
    rows
}

/// Attributes that a container doesn't show, or not on every engine, and where they are tested: files, in which the
/// attribute is named.
const ELSEWHERE: &[(&str, &str)] = &[
    ("annotations", "API 1.43: tests/cli/newer_engines.rs"),
    ("attach", "changes nothing"),
    ("build", "tests/cli/build.rs"),
    ("configs", "tests/cli/files.rs"),
    ("cpu_count", "Windows: src/engine/docker/container_body_tests.rs"),
    ("cpu_percent", "Windows: src/engine/docker/container_body_tests.rs"),
    ("cpu_rt_period", "a kernel with real-time scheduling: src/engine/docker/container_body_tests.rs"),
    ("cpu_rt_runtime", "a kernel with real-time scheduling: src/engine/docker/container_body_tests.rs"),
    ("depends_on", "tests/cli/gates.rs"),
    ("deploy", "tests/cli/settings.rs"),
    ("mac_address", "API 1.44: tests/cli/newer_engines.rs"),
    ("mem_swappiness", "control groups of version 1: src/engine/docker/container_body_tests.rs"),
    ("oom_kill_disable", "control groups of version 1: src/engine/docker/container_body_tests.rs"),
    ("post_start", "tests/cli/settings.rs"),
    ("pre_stop", "tests/cli/settings.rs"),
    ("profiles", "tests/cli/habits.rs"),
    ("pull_policy", "tests/cli/settings.rs src/drive/tests/policies.rs"),
    ("scale", "tests/cli/start.rs"),
    ("secrets", "tests/cli/files.rs"),
    ("storage_opt", "a storage driver with quotas: src/engine/docker/container_body_tests.rs"),
];

#[test]
fn every_attribute_arrives() {
    let cluster = TestCluster::without_file();
    cluster.write("more.env", "FROM=file\n");
    let named = |text: &str| text.replace("NAME", &cluster.name);
    cluster.write("compose.yaml", &named(FILE).replace("IMAGE", IMAGE));
    cluster.ok(&["create"]);
    let mut wrong = Vec::new();
    for (attribute, component, pointer, value) in expected() {
        let shown = cluster.inspect(component);
        let value: Value = serde_json::from_str(&named(&value.to_string())).unwrap();
        let found = shown.pointer(&named(pointer)).unwrap_or(&Value::Null);
        if !fits(found, &value) {
            wrong.push(format!("{attribute}: {pointer} of {component} is {found}, not {value}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn fits(found: &Value, wanted: &Value) -> bool {
    if let Some(part) = wanted.get("has") {
        return found.as_array().is_some_and(|items| items.iter().any(|item| has(item, part)));
    }
    if let Some(text) = wanted.get("begins").and_then(Value::as_str) {
        return found.as_str().is_some_and(|found| found.starts_with(text));
    }
    found == wanted
}

/// At least these members, at every depth: newer engines show more of a mount.
fn has(found: &Value, part: &Value) -> bool {
    match part {
        Value::Object(members) => {
            members.iter().all(|(key, value)| found.get(key).is_some_and(|found| has(found, value)))
        }
        other => found == other,
    }
}

#[test]
fn no_attribute_is_forgotten() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compose-support.md")).unwrap();
    let honoured = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `services.")?.split(" | ");
        let key = cells.next()?.strip_suffix('`')?;
        (!key.contains('.') && cells.next()? == "honoured").then_some(key)
    });
    let rows = expected();
    let is_tested = |key: &&str| {
        rows.iter().any(|(attribute, ..)| attribute == key) || ELSEWHERE.iter().any(|(other, _)| other == key)
    };
    let all: Vec<&str> = honoured.collect();
    let forgotten: Vec<&&str> = all.iter().filter(|key| !is_tested(key)).collect();
    assert!(all.len() > 80 && forgotten.is_empty(), "{} attributes, not tested: {forgotten:?}", all.len());
    for (key, place) in ELSEWHERE {
        assert!(all.contains(key), "{key} isn't honoured");
        for file in place.split(' ').filter(|word| word.contains('/')) {
            let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
            assert!(text.unwrap_or_default().contains(key), "{key} isn't in {file}");
        }
    }
}
