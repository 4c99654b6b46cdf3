//! The program as its users meet it: each test has a cluster of its own on the real engine, and leaves nothing behind.

#[path = "../support/mod.rs"]
mod support;

// mod bad_input;
// mod failures;
