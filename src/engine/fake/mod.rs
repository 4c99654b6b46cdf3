//! An in-memory world with a script and a seed.
