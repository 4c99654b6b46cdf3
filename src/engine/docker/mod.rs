//! A real engine, through bollard.
//!
//! [`DockerEngine`] implements [`Engine`](crate::engine::Engine); nothing outside this folder knows bollard. Written
//! against 20.10 (API 1.41) and kept to what later versions still take; the few differences are decided by
//! [`ApiVersion`]. What an answer means is told in `failure`, what the engine shows is turned into our types by
//! `convert`: both are pure and tested by tables.

mod address;
mod attach;
mod attached;
mod build;
mod buildx;
mod buildx_args;
mod connect;
mod container_body;
mod context;
mod convert;
mod crash;
mod create;
mod credentials;
mod engine;
mod exec;
mod failure;
mod feed;
mod files;
mod ignore;
mod image;
mod lifecycle;
mod logs;
mod mounts;
mod objects;
mod observe;
mod one_off;
mod settings_body;
mod subnets;
mod terminal;

pub use address::{Address, Surroundings};
pub use attached::ExecStreams;
pub use connect::{ApiVersion, DockerEngine, EngineTime};
pub use files::{PathStat, Pieces};
pub use lifecycle::Processes;
pub use one_off::Attached;
pub use terminal::TerminalSize;
