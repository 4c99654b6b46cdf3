//! The storage controller: knows where every shard of every tenant is, hands out generations, tells computes.
//!
//! Its state is in Postgres, and in memory while it runs. What it doesn't do: nothing is encrypted,
//! there is one controller only, and shards aren't moved to balance load.

mod api;
mod db;
mod delete;
mod drain;
mod heartbeat;
mod hook;
mod imports;
mod migrate;
mod model;
mod moves;
mod nodes;
mod options;
mod peers;
mod reconcile;
mod safekeeper_moves;
mod safekeepers;
mod schedule;
mod scopes;
mod serve;
mod split;
mod startup;
mod state;
mod tenant_config;
mod tenants;
mod timelines;

pub use options::Options;
pub use serve::run;
