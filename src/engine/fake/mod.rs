//! An in-memory world with a script and a seed.
//!
//! [`FakeEngine`] implements [`Engine`](super::Engine) on containers that exist only as numbers, with the engine's
//! real habits: a dropped call still takes effect, an address conflict shows only at the start, a restart policy backs
//! off. A test says how components behave ([`Behaviour`]) and what goes wrong ([`Faults`]), lets the code under test
//! run under a paused clock, and reads the journal ([`Call`], [`Change`]). One seed gives one run, as long as the code
//! under test draws no random numbers of its own (`tokio::select!` needs `biased`).
//!
//! It doesn't model bytes: mounts, files, environment and resource limits are kept but have no effect.

mod behaviour;
mod calls;
mod clock;
mod container;
mod engine;
mod execs;
mod faults;
mod health;
mod journal;
mod latency;
mod lifecycle;
mod meddling;
mod network;
mod objects;
mod process;
mod rng;
mod streams;
mod subscribers;
mod world;

#[cfg(test)]
mod tests;

pub use behaviour::{Behaviour, ExecScript, Exit, Program};
pub use engine::{FakeEngine, Reach};
pub use faults::Faults;
pub use journal::{Call, Change, Op, Outcome, most_at_once};
pub use latency::Latency;
pub use meddling::Meddling;
