//! The desired cluster: absolute, typed, hashed. Made from a [`Project`](crate::compose) by [`resolve()`].

pub mod component;
pub mod graph;
pub mod hash;
pub mod hostile;
pub mod network;
mod part;
pub mod probes;
pub mod resolve;
#[cfg(test)]
pub(crate) mod sample;

pub use crate::compose::{
    Blkio, BuildOptions, Device, DeviceRequest, EndpointSettings, Hook, Hooks, Ipam, Ipv6Pool, Logging, PullPolicy,
    Settings,
};
pub use component::{
    Build, Cluster, Component, ContainerSpec, FileContent, Gate, GateCondition, HostFile, Mount, MountKind,
    NetworkAttachment, OneOff, PortBinding, Protocol, RestartPolicy, StartMode, Stored, Ulimit, VolumeOwner,
};
pub use graph::{Cycle, Graph};
pub use hash::{Digests, changed_parts};
pub use network::{Network, Volume};
pub use probes::{HealthCheck, Probe, ProbeAction, Probes};
pub use resolve::{ResolveOptions, resolve};
