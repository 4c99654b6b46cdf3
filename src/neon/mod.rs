//! Neon's control plane: the piece that Neon has in its cloud only. It registers safekeepers, makes the default tenant
//! and its branches, gives each compute its specification, and tells computes when their tenant moves.
//!
//! ```text
//!  settings (file)   ─┐
//!  state (disk)       ├─► bootstrap::next ─► one step ─► controller      pure decision, then one call
//!  the controller     ┘
//!  compute asks ──────► inside::spec ─► plane::spec_for ─► spec::spec    pure: JSON from what is known
//!  controller notifies ► inside ─► tell::tell ──► compute /configure     one at a time for each compute
//!  command line ──────► outside                                          with the token
//! ```
//!
//! State and decisions (`state`, `bootstrap`, `spec`) know no clock and make no calls. What is remembered is on disk
//! before anybody hears of it; what isn't on disk is asked anew after a restart.

pub mod api;
pub mod backup;
pub mod bootstrap;
pub mod clock;
pub mod compute;
pub mod controller;
pub mod disk;
pub mod http;
pub mod ids;
pub mod import;
pub mod keys;
pub mod memory;
pub mod places;
pub mod plane;
pub mod promote;
pub mod refusal;
pub mod room;
pub mod run;
pub mod safekeeper;
pub mod server;
pub mod settings;
pub mod spec;
pub mod state;
pub mod tell;
pub mod timeline_import;
pub mod tokens;
pub mod upload;
pub mod versions;
pub mod wire;

mod inside;
mod outside;
