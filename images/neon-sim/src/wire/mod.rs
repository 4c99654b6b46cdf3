//! The bodies that the programs send each other, field by field, nulls included.

pub mod location;
pub mod safekeeper;
pub mod stamp;
pub mod timeline;
pub mod upcall;
pub mod utilization;
