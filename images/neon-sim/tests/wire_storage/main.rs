//! What pageserver, safekeeper and broker answer and ask, compared with tables written from recordings of the real
//! programs. Real processes on loopback, with a stub in the controller's place.

mod broker;
mod compute;
mod controller;
mod endpoint_storage;
mod faults;
mod imports;
mod locations;
mod node;
#[path = "../wire_controller/pattern.rs"]
mod pattern;
#[expect(dead_code, reason = "shared with the tests of the controller, which need a database too")]
#[path = "../wire_controller/process.rs"]
mod process;
mod safekeeper;
mod start;
mod timelines;
mod token;
