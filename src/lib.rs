//! Starts every container of a cluster at the same time, watches each become ready by itself, and says the moment all
//! of it is ready, or exactly why it is not.
//!
//! How data flows, in one direction: a template renders to Compose text, `compose` loads that as a project, `cluster`
//! resolves it to what should run, `engine` observes what does run, `plan` compares the two, `drive` carries the plan
//! out, and everything that happened comes out as [`event`]s, which `report` shows. `docs/architecture.md` tells why.

pub mod cli;
pub mod cluster;
pub mod compose;
pub mod drive;
pub mod engine;
pub mod event;
pub mod mask;
pub mod names;
pub mod neon;
pub mod plan;
pub mod probe;
pub mod report;
pub mod store;
pub mod template;
pub mod units;
