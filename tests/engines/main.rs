//! What happens to a cluster and to the program when the engine goes away: on an engine that these tests may end.
//!
//! `make test-engines` runs them, one at a time; without an engine of their own they fail. The binary isn't part of a
//! plain `cargo test` (see `Cargo.toml`).

#![expect(
    clippy::disallowed_methods,
    reason = "no runtime here whose clock could be paused: these tests wait for real"
)]

#[expect(dead_code, unused_imports, reason = "other test binaries use the rest")]
#[path = "../support/mod.rs"]
mod support;

mod killed;
mod outage;
mod own_engine;

use own_engine::OwnEngine;
use support::TestCluster;

/// Five components that differ in what an end does to them; `BOOT` stands for the time until they listen.
const FIVE: &str = r#"
x-target: &target
  image: convoke-test/probe-target:latest
  command: [--boot, BOOT]
  x-convoke: { ready: { http: { port: 8080, path: /ready } } }
services:
  broker: *target
  always:
    <<: *target
    restart: always
  volume:
    <<: *target
    image: convoke-test/probe-target:volume
  named:
    <<: *target
    volumes: ["state:/state"]
  plain:
    image: convoke-test/probe-target:user
volumes:
  state: {}
"#;

/// How often something is tried: by a variable, else as often as is normal.
fn count(variable: &str, normal: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(normal)
}

/// The five with this boot time, on the engine that these tests may end. The engine is dropped first, and runs then.
fn five(boot: &str) -> (TestCluster, OwnEngine) {
    let engine = OwnEngine::of_tests();
    engine.start();
    (TestCluster::new(&FIVE.replace("BOOT", boot)), engine)
}
