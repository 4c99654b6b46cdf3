//! The desired cluster: absolute, typed, hashed. Made from a [`Project`](crate::compose) by [`resolve`].

pub mod component;
pub mod network;
pub mod probes;

pub use component::{
    Build, Cluster, Component, ContainerSpec, FileContent, Gate, GateCondition, HostFile, Mount, MountKind,
    NetworkAttachment, PortBinding, Protocol, RestartPolicy, StartMode, Stored, Ulimit, VolumeOwner,
};
pub use network::{Network, Volume};
pub use probes::{HealthCheck, Probe, ProbeAction, Probes};
