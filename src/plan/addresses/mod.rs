//! Subnets, fixed addresses and hosts entries: why a name resolves before its owner exists.
//!
//! [`subnets`] says which subnets a new network may get, [`assign()`] gives every component an address on each network
//! and says which entries its hosts file gets. An address outlives its container: a replacement has the same one, and
//! nobody else gets it while some container still has an entry for it. Where convoke doesn't choose addresses
//! (external networks, `network_mode`, other drivers, a full subnet) a component has none, and its peers ask DNS.

mod assign;
mod hosts;
pub mod subnets;
#[cfg(test)]
mod tests;

pub use assign::{Addressing, assign, assign_without};
pub use subnets::{DEFAULT_POOL, NetworkAddressing, subnet_candidates};
