//! What has to be done so that what runs becomes what should run. Pure: no clock, no I/O.
//!
//! [`diff`] judges the containers of one component, [`request`] spells out what the engine is asked to create,
//! [`addresses`] hands out subnets, addresses and hosts entries, [`gates`] says which starts may go,
//! [`labelled`] makes do without the file, [`leftovers`] finds what dead runs left.

pub mod addresses;
pub mod diff;
pub mod gates;
pub mod labelled;
pub mod leftovers;
pub mod preview;
pub mod request;

pub use diff::{Plan, Standing};
