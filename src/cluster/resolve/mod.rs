//! From what the file says to what should run: every reference resolved, every path absolute, every default filled in.
//!
//! All problems are gathered and reported together, each with its place. The only input besides the file are the
//! client's paths (does a bind mount's source exist?) and the variables that secrets are taken from. What the engine
//! has is no matter here.

mod bases;
mod build;
mod depends;
mod files;
mod image_build;
mod mounts;
mod network;
mod paths;
mod ports;
mod probes;
mod roster;
mod service;
#[cfg(test)]
mod tests;
mod text;

pub use build::{ResolveOptions, resolve};
