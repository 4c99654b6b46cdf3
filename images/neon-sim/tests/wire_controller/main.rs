//! What the controller says and asks, compared with tables written from recordings of the real programs. Real
//! processes on loopback: a Postgres, the controller, pageservers and safekeepers.

mod first_start;
mod hook;
mod operations;
mod pattern;
mod process;
mod recorder;
mod registration;
mod restart;
mod startup;
mod tenants;
mod timelines;
mod world;
