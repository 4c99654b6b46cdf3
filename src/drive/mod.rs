//! Carries a plan out and waits until the cluster is ready.

pub mod pace;
