//! What `build` may say.

use super::*;

#[test]
fn what_only_buildkit_understands() {
    let build = |lines: &str| service(&format!("build: {{ context: ., {lines} }}")).build.unwrap();
    let all = build(
        "additional_contexts: [src=../src, img=docker-image://a], cache_from: ['type=local,src=/c'], cache_to: [b], \
         entitlements: [network.host], extra_hosts: ['a=::1'], no_cache_filter: [base], privileged: true, \
         provenance: mode=max, sbom: true, ssh: { default: , k: ./key }, ulimits: { nofile: 9 }, tags: ['web:1'], \
         platforms: [linux/amd64, linux/arm64]",
    );
    let kit = &all.options.kit;
    assert_eq!((kit.additional_contexts["src"].as_str(), kit.additional_contexts.len()), ("../src", 2));
    assert_eq!(
        (kit.ssh.as_slice(), kit.ulimits["nofile"]),
        (&["default".to_owned(), "k=./key".to_owned()][..], (9, 9))
    );
    assert_eq!((kit.provenance.as_deref(), kit.sbom.as_deref()), (Some("mode=max"), Some("true")));
    assert_eq!(kit.extra_hosts, [("a".to_owned(), "::1".to_owned())]);
    assert_eq!((all.options.tags.len(), all.options.platforms.len()), (1, 2));
    let beyond = "additional_contexts cache_from cache_to entitlements extra_hosts no_cache_filter privileged provenance \
                  sbom ssh ulimits";
    assert_eq!(all.options.beyond_classic().join(" "), beyond);
    assert!(all.places.contains_key("ssh"));
    assert_eq!(build("ssh: [default], provenance: false").options.beyond_classic(), ["ssh"]);
    assert!(build("cache_from: ['web:cache'], tags: ['a:1'], labels: { a: b }").options.beyond_classic().is_empty());
}

#[test]
fn what_no_builder_here_does() {
    let refused = |lines: &str| said(&format!("services: {{ a: {{ build: {{ context: ., {lines} }} }} }}"));
    assert!(refused("isolation: hyperv").contains("services.a.build.isolation isn't supported yet"));
}
