//! What whole-program tests share: a cluster of their own, the program, the engine, and a check that nothing is left.

mod cluster;
mod compose;
mod engine;
mod http;
mod leaks;
mod proxy;
mod ran;
mod running;
mod schema;

pub(crate) use cluster::TestCluster;
pub(crate) use compose::http_services;
pub(crate) use engine::{Api, with_engine};
pub(crate) use http::{http_get, http_get_with, http_post};
pub(crate) use proxy::Proxy;
pub(crate) use ran::Ran;
pub(crate) use running::Running;
pub(crate) use schema::Schema;

/// The test image; `make images` loads it.
pub(crate) const IMAGE: &str = "convoke-test/probe-target:latest";
