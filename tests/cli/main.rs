//! The program as its users meet it: each test has a cluster of its own on the real engine, and leaves nothing behind.

#![expect(
    clippy::disallowed_methods,
    reason = "no runtime here whose clock could be paused: these tests wait for real"
)]
#![expect(clippy::unwrap_used, reason = "what fails in a test must panic, and its helpers are no test functions")]

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod attributes;
mod bad_input;
mod build;
mod buildx;
mod changes;
mod chaos;
mod cleanup;
mod clients;
mod commands;
mod compose_config;
mod compose_merging;
mod credentials;
mod engine_faults;
mod engines;
mod failures;
mod files;
mod flood;
mod gates;
mod habits;
mod interop;
mod interruption;
mod neon;
mod newer_engines;
mod one_off;
mod output;
mod overlap;
mod probes;
mod refusals;
mod report;
mod settings;
mod start;
mod supervise;
mod templates;
