//! The tree of nodes becomes the typed model. Every problem is noted and reading goes on with the next part.

mod build;
mod convoke;
mod fields;
mod files;
mod health;
mod mounts;
mod network;
mod ports;
mod project;
mod service;
mod settings;
mod values;

pub(super) use fields::Reader;
pub(super) use files::{read_limited, read_text};
pub(super) use mounts::short_target;
pub(super) use ports::{ShortPort, port_identity};
pub(super) use project::{name_of, read_project};
