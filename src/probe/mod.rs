//! Asking a component, once: is it there, does it answer?
//!
//! When to ask is the driver's business ([`crate::drive`]); here is only how. The real [`Prober`] reaches containers
//! directly where it can, through a published port or an exec where it can't.

pub mod fake;

mod exec;
mod finding;
mod http;
mod inside;
mod log;
mod prober;
mod reach;
mod tcp;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

pub use log::look as look_in_log;
pub use prober::EngineProber;
pub use reach::{ReachMode, ReachReport, Way};

use crate::cluster::{PortBinding, Probe};
use crate::names::{ComponentName, ContainerId};

/// What a probe needs to know of the component it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The component.
    pub component: ComponentName,
    /// Its container.
    pub container: ContainerId,
    /// Its addresses on the cluster's networks, the one convoke gave first.
    pub addresses: Vec<IpAddr>,
    /// Its published ports, with the host ports in force.
    pub published: Vec<PortBinding>,
    /// It shares the engine host's network: its ports are there.
    pub host_network: bool,
    /// When this run of it began: log lines before don't count.
    pub started_at: Option<Timestamp>,
}

/// What an attempt showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it went.
    pub verdict: Verdict,
    /// For people: `200`, `503: warming up`, `connection refused`, `exit 1: no such database`.
    pub text: String,
    /// How long it took.
    pub took: Duration,
}

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Pass,
    /// It accepted a connection (or ran the command), and the answer was no.
    Refuses,
    /// Nobody there: connection refused, no route, time-out before a connection.
    Unreachable,
    /// The program to run isn't in the container (126, 127).
    Impossible,
    /// The engine failed to run it: says nothing about the component.
    EngineTrouble,
}

/// Asks components.
pub trait Prober: Clone + Send + Sync + 'static {
    /// Makes one attempt, within the probe's time limit. A log probe ends only when the line was seen or the
    /// container ended; the caller drops it when it no longer matters.
    fn ask(&self, target: &Target, probe: &Probe) -> impl Future<Output = Answer> + Send;
}

/// The host that published ports are reached at.
#[must_use]
pub fn published_host(binding: &PortBinding, engine_host: IpAddr) -> IpAddr {
    match binding.host_ip {
        Some(ip) if !ip.is_unspecified() => ip,
        _ => engine_host,
    }
}
