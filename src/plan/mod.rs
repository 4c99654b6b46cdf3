//! What to do so that what runs becomes what should run. Pure: no clock, no input or output.

pub mod addresses;
