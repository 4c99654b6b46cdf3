//! What mounts may say, and several subnets of a network.

use super::*;

fn options(mount: &str) -> MountOptions {
    service(&format!("volumes: [{mount}]")).mounts.remove(0).options
}

#[test]
fn options_of_mounts() {
    let long = "{ type: bind, source: ./a, target: /a, read_only: true, bind: { selinux: z, propagation: rslave, recursive: readonly } }";
    let long = options(long);
    assert_eq!((long.selinux.as_deref(), long.propagation.as_deref()), (Some("z"), Some("rslave")));
    assert_eq!(long.recursive, Some(Recursive::Readonly));
    assert_eq!(options("{ type: bind, source: a, target: /a, bind: { recursive: enabled } }"), MountOptions::default());
    let short = options("'./a:/a:ro,Z,shared'");
    assert_eq!((short.selinux.as_deref(), short.propagation.as_deref()), (Some("Z"), Some("shared")));
    let volume = options("{ type: volume, source: d, target: /a, volume: { subpath: a/b, labels: { k: v } } }");
    assert_eq!((volume.subpath.as_deref(), volume.labels["k"].as_str()), (Some("a/b"), "v"));
    let image =
        service("volumes: [{ type: image, source: 'app:1', target: /a, image: { subpath: bin } }]").mounts.remove(0);
    assert!(matches!(&image.kind, MountKind::Image { source } if source.value == "app:1"));
    assert_eq!(image.options.subpath.as_deref(), Some("bin"));
}

#[test]
fn options_that_mean_nothing() {
    let said =
        |mount: &str| said(&format!("services: {{ a: {{ image: i, volumes: [{mount}] }} }}\nvolumes: {{ d: }}\n"));
    let bind = |rest: &str| said(&format!("{{ type: bind, source: a, target: /a, bind: {{ {rest} }} }}"));
    assert!(bind("selinux: x").contains("bind.selinux can't be \"x\""));
    assert!(bind("propagation: up").contains("there are private, rprivate, shared"));
    assert!(bind("recursive: maybe").contains("there are enabled, disabled, writable, readonly"));
    assert!(bind("recursive: readonly").contains("bind.recursive says how a mount is read-only, and this one isn't"));
    assert!(said("'d:/a:Z'").contains("warning: the SELinux option \"Z\" of a volume is ignored"));
    assert!(said("'d:/a:rshared'").contains("\"rshared\" is for paths of the host, and this is a volume"));
    let volume =
        |path: &str| said(&format!("{{ type: volume, source: d, target: /a, volume: {{ subpath: {path} }} }}"));
    for path in ["/a", "a/../..", ".."] {
        assert!(volume(path).contains("isn't a path below the volume's root"), "{path}");
    }
    assert!(said("{ type: image, target: /a }").contains("is a mount of type image without a source"));
    assert!(said("{ type: npipe, source: a, target: /a }").contains("mounts of type npipe aren't supported yet"));
}

#[test]
fn several_subnets_of_a_network() {
    let network = |driver: &str| {
        format!(
            "services: {{ a: {{ image: i, networks: [n] }} }}\nnetworks:\n  n:\n    driver: {driver}\n    ipam:\n      \
             config: [{{ subnet: 10.5.0.0/24 }}, {{ subnet: 'fd00:5::/64' }}, {{ subnet: 10.6.0.0/24, gateway: \
             10.6.0.9, aux_addresses: {{ r: 10.6.0.2 }} }}, {{ subnet: 'fd00:6::/64' }}]\n"
        )
    };
    let ipam = &loaded(&network("macvlan")).project.networks["n"].ipam;
    assert_eq!(ipam.ipv6.as_ref().unwrap().subnet, "fd00:5::/64");
    let more: Vec<_> = ipam.more.iter().map(|pool| (pool.subnet.as_str(), pool.gateway.as_deref())).collect();
    assert_eq!(more, [("10.6.0.0/24", Some("10.6.0.9")), ("fd00:6::/64", None)]);
    assert_eq!(ipam.more[0].aux_addresses["r"], "10.6.0.2");
    let bridge = said(&network("bridge"));
    assert_eq!(bridge.matches("networks.n.ipam: a bridge has one subnet of a kind").count(), 2, "{bridge}");
}
