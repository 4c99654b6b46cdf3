//! The driver against the simulated engine, under a paused clock.

mod harness;
mod labelled;
