//! What runs containers: the trait, what it observes, how it fails.
//!
//! [`docker`] talks to a real engine through bollard, [`fake`] is an in-memory world with a script and a seed. One
//! contract suite (`tests/contract`) runs on both. Nothing above this folder knows which of the two it has.

pub mod archive;
pub mod docker;
pub mod error;
pub mod fake;
pub mod labels;
pub mod observed;
pub mod request;

use std::future::Future;
use std::time::Duration;

use futures::stream::BoxStream;

pub use error::{EngineError, ErrorKind, Resource, Verb};
pub use observed::{
    ContainerState, Endpoint, EngineEvent, EngineEventKind, EngineInfo, Foreign, Health, HealthStatus, ImageInfo,
    Observed, ObservedContainer, ObservedNetwork, ObservedVolume, Status,
};
pub use request::{
    Attach, BuildRequest, CreateContainer, CreateNetwork, CreateVolume, ExecOutcome, ExecRequest, LogLine, LogQuery,
    LogSource, Progress, Subnet,
};

use crate::names::{ClusterName, ContainerId};

/// The result of an engine call.
pub type Result<T> = std::result::Result<T, EngineError>;

/// An engine: whatever creates, starts, watches and removes containers.
///
/// Every call has a time limit of its own inside the implementation and reports it as [`ErrorKind::Timeout`]; a call
/// that timed out may still have taken effect. "Already so" is success: starting a running container, stopping a
/// stopped one, and removing what is gone are `Ok`.
pub trait Engine: Clone + Send + Sync + 'static {
    /// Version, whether it is on this machine, number of CPUs. Also proves that it answers.
    fn info(&self) -> impl Future<Output = Result<EngineInfo>> + Send;

    /// Everything that belongs to the cluster (by label), what others have under its names, and subnets in use.
    /// Containers are inspected concurrently, so states and start times are exact.
    fn observe(&self, cluster: &ClusterName) -> impl Future<Output = Result<Observed>> + Send;

    /// The names of all clusters that have anything: a container, a network or a volume with our label.
    fn all_clusters(&self) -> impl Future<Output = Result<Vec<ClusterName>>> + Send;

    /// One container; None if it is gone.
    fn inspect(&self, id: &ContainerId) -> impl Future<Output = Result<Option<ObservedContainer>>> + Send;

    /// Container events of the cluster from now on. The stream ends or yields an error when the connection is lost;
    /// the caller then observes again and subscribes anew. The first item is always [`EngineEventKind::Subscribed`].
    fn events(&self, cluster: &ClusterName) -> BoxStream<'static, Result<EngineEvent>>;

    /// The image if the engine has it.
    fn image(&self, reference: &str) -> impl Future<Output = Result<Option<ImageInfo>>> + Send;

    /// Pulls an image. The stream yields progress and ends with success, or yields one error.
    fn pull(&self, reference: &str) -> BoxStream<'static, Result<Progress>>;

    /// Builds an image. The stream yields progress and ends with success, or yields one error.
    fn build(&self, request: &BuildRequest) -> BoxStream<'static, Result<Progress>>;

    /// Makes a network; returns its id. Two networks of one name are possible on old engines: the caller lists again
    /// and keeps the oldest.
    fn create_network(&self, request: &CreateNetwork) -> impl Future<Output = Result<String>> + Send;

    /// Removes a network by id.
    fn remove_network(&self, id: &str) -> impl Future<Output = Result<()>> + Send;

    /// Names of the containers that the network has on it. An old engine keeps some that are gone.
    fn members(&self, network_id: &str) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Takes a container off a network, by its name or, if it is gone, by the name that [`Self::members`] gave. One that
    /// isn't on it is success. Until it is connected again it may not be able to start: 20.10 sets kernel parameters of
    /// interfaces by number.
    fn disconnect(&self, network_id: &str, member: &str) -> impl Future<Output = Result<()>> + Send;

    /// Puts a container, running or not, on a network. One that is on it already is success.
    fn connect(&self, id: &ContainerId, attach: &Attach) -> impl Future<Output = Result<()>> + Send;

    /// Makes a volume; it is success if one of this name is there already.
    fn create_volume(&self, request: &CreateVolume) -> impl Future<Output = Result<()>> + Send;

    /// Removes a volume by name.
    fn remove_volume(&self, name: &str) -> impl Future<Output = Result<()>> + Send;

    /// Makes a container with all its networks, and puts its files in. It doesn't start it.
    fn create_container(&self, request: &CreateContainer) -> impl Future<Output = Result<ContainerId>> + Send;

    /// Starts a container.
    fn start(&self, id: &ContainerId) -> impl Future<Output = Result<()>> + Send;

    /// Stops a container: its stop signal, then SIGKILL after `grace` (rounded up to seconds). The call's own time
    /// limit is longer than `grace`.
    fn stop(&self, id: &ContainerId, grace: Duration) -> impl Future<Output = Result<()>> + Send;

    /// Sends a signal, such as `SIGKILL`.
    fn kill(&self, id: &ContainerId, signal: &str) -> impl Future<Output = Result<()>> + Send;

    /// Ends a container's process as if it had crashed, so that its restart policy answers (which a [`Self::kill`] never
    /// does). [`ErrorKind::Rejected`] where there is no way to do that.
    fn crash(&self, id: &ContainerId) -> impl Future<Output = Result<()>> + Send;

    /// Freezes a running container. One that is frozen is success.
    fn pause(&self, id: &ContainerId) -> impl Future<Output = Result<()>> + Send;

    /// Lets a frozen container go on. One that isn't frozen is success.
    fn unpause(&self, id: &ContainerId) -> impl Future<Output = Result<()>> + Send;

    /// Removes a container, running or not, with its anonymous volumes if `volumes`.
    fn remove(&self, id: &ContainerId, volumes: bool) -> impl Future<Output = Result<()>> + Send;

    /// Renames a container.
    fn rename(&self, id: &ContainerId, name: &str) -> impl Future<Output = Result<()>> + Send;

    /// Runs a command in a running container to its end, without input. A missing program is not an error but exit
    /// code 126 or 127 with the engine's text as output.
    fn exec(&self, id: &ContainerId, request: &ExecRequest) -> impl Future<Output = Result<ExecOutcome>> + Send;

    /// Log lines.
    fn logs(&self, id: &ContainerId, query: &LogQuery) -> BoxStream<'static, Result<LogLine>>;
}
