//! A real engine, through bollard.
