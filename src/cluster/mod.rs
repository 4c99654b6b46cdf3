//! The desired cluster: absolute, typed, hashed. Made from a [`Project`](crate::compose) by [`resolve()`].

pub mod component;
pub mod graph;
pub mod hash;
pub mod hostile;
pub mod image_build;
pub mod mount;
pub mod network;
mod part;
pub mod probes;
pub mod resolve;
#[cfg(test)]
pub(crate) mod sample;

pub use crate::compose::{
    Blkio, BuildOptions, Device, DeviceRequest, EndpointSettings, Hook, Hooks, IpPool, Ipam, KitOptions, Logging,
    MountOptions, PullPolicy, Recursive, Settings,
};
pub use component::{
    Cluster, Component, ContainerSpec, FileContent, Gate, GateCondition, HostFile, NetworkAttachment, OneOff,
    PortBinding, Protocol, Recreate, RestartPolicy, StartMode, Stored, Ulimit, VolumeOwner,
};
pub use graph::{Cycle, Graph};
pub use hash::{Digests, changed_parts};
pub use image_build::{Base, Build, BuildSecret};
pub use mount::{Mount, MountKind};
pub use network::{Network, Volume};
pub use probes::{HealthCheck, HealthTimes, Probe, ProbeAction, Probes};
pub use resolve::{ResolveOptions, resolve};
