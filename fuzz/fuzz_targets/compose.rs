//! Any bytes as Compose files: what the property test in `src/cluster/hostile.rs` does, guided by coverage.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| convoke::cluster::hostile::exercise(bytes));
