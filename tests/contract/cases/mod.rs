//! The cases, by what they are about.

pub(crate) mod containers;
pub(crate) mod inside;
pub(crate) mod networks;
pub(crate) mod restarts;
pub(crate) mod volumes;
pub(crate) mod watching;
