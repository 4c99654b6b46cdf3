//! What engines learned after 20.10: it arrives where the engine can do it, and is refused by name where it can't.

use serde_json::{Value, json};

use crate::support::{Api, IMAGE, TestCluster};

const FILE: &str = r#"
x-all: &all { image: IMAGE }
services:
  annotated: { <<: *all, annotations: { k: v } }
  addressed: { <<: *all, mac_address: "02:42:0a:00:00:07" }
  addressed-there: { <<: *all, networks: { default: { mac_address: "02:42:0a:00:00:08" } } }
  checked: { <<: *all, healthcheck: { test: [CMD, "true"], start_interval: 2s, start_period: 5s } }
  writable: { <<: *all, volumes: [{ type: bind, source: ., target: /r, read_only: true, bind: { recursive: writable } }] }
  readonly: { <<: *all, volumes: [{ type: bind, source: ., target: /r, read_only: true, bind: { recursive: readonly } }] }
  part: { <<: *all, volumes: [{ type: volume, source: data, target: /r, volume: { subpath: a/b } }] }
  image: { <<: *all, volumes: [{ type: image, source: IMAGE, target: /r, image: { subpath: bin } }] }
  gateway: { <<: *all, networks: { default: { gw_priority: 7 } } }
  interface: { <<: *all, networks: { default: { interface_name: ctl0 } } }
  six: { <<: *all, networks: [six], x-convoke: { ready: { http: { port: 8080, path: /ready } } } }
networks:
  default:
  six: { enable_ipv4: false, enable_ipv6: true, ipam: { config: [{ subnet: "fd00:78::/64" }] } }
volumes: { data: }
"#;

/// Service, the minor version of the API (1.x) that can do what it asks for, what is said by one that can't, and where a
/// newer one shows what. Nobody refuses `checked`: until it is ready, convoke runs the check.
fn features() -> Vec<(&'static str, u32, &'static str, &'static str, Value)> {
    let mount = "/HostConfig/Mounts/0/BindOptions/";
    let at = |base: &str, rest: &str| -> &'static str { Box::leak(format!("{base}{rest}").into_boxed_str()) };
    let of_mount = |rest: &str| at(mount, rest);
    let there = |rest: &str| at("/NetworkSettings/Networks/NAME_default/", rest);
    vec![
        ("annotated", 43, "annotations need", "/HostConfig/Annotations/k", json!("v")),
        ("addressed", 44, "mac_address needs", there("MacAddress"), json!("02:42:0a:00:00:07")),
        (
            "addressed-there",
            44,
            "mac_address on network default needs",
            there("MacAddress"),
            json!("02:42:0a:00:00:08"),
        ),
        ("checked", 44, "", "/Config/Healthcheck/StartInterval", json!(2_000_000_000)),
        ("writable", 44, "recursive: writable at /r needs", of_mount("ReadOnlyNonRecursive"), json!(true)),
        ("readonly", 44, "recursive: readonly at /r needs", of_mount("ReadOnlyForceRecursive"), json!(true)),
        (
            "part",
            45,
            "the subpath of the volume at /r needs",
            "/HostConfig/Mounts/0/VolumeOptions/Subpath",
            json!("a/b"),
        ),
        ("six", 47, "enable_ipv4 needs", "/HostConfig/NetworkMode", json!("NAME_six")),
        ("image", 48, "an image as a mount at /r needs", "/HostConfig/Mounts/0/ImageOptions/Subpath", json!("bin")),
        ("gateway", 48, "gw_priority on network default needs", there("GwPriority"), json!(7)),
        (
            "interface",
            49,
            "interface_name on network default needs",
            there("DriverOpts/com.docker.network.endpoint.ifname"),
            json!("ctl0"),
        ),
    ]
}

#[test]
fn what_newer_engines_can_arrives_or_is_refused_by_name() {
    let cluster = TestCluster::new(&FILE.replace("IMAGE", IMAGE));
    let version = Api::new().get("/version")["ApiVersion"].as_str().unwrap().to_owned();
    let minor: u32 = version.strip_prefix("1.").unwrap().parse().unwrap();
    let all = features();
    let (can, cannot): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(_, least, said, ..)| minor >= *least || said.is_empty());
    for (service, least, said, ..) in &cannot {
        let refusal = format!("{said} an engine of API 1.{least} or newer, and this one has {version}");
        cluster.run(&["create", service]).exits(1).says(&[&refusal]);
    }
    let names: Vec<&str> = can.iter().map(|(service, ..)| *service).collect();
    cluster.ok(&[&["create"], names.as_slice()].concat());
    for (service, _, _, pointer, value) in can.iter().filter(|(_, least, ..)| minor >= *least) {
        let named = |text: String| text.replace("NAME", &cluster.name);
        let shown = cluster.inspect(service);
        let found = shown.pointer(&named((*pointer).to_owned())).unwrap_or(&Value::Null);
        assert_eq!(found.to_string(), named(value.to_string()), "{service}: {pointer} of {shown}");
    }
    if minor >= 47 {
        let six = Api::new().get(&format!("/networks/{}_six", cluster.name));
        assert_eq!((&six["EnableIPv4"], &six["EnableIPv6"]), (&json!(false), &json!(true)), "{six}");
        // Its only address is one of IPv6, and the image has nothing to ask it with from inside.
        cluster.ok(&["up", "six"]).says(&["1 component"]);
        cluster.ok(&["ps", "six"]).says(&["ready", "fd00:78::"]);
    }
}
