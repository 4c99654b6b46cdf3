//! The trait's methods, each told in the file of its subject.

use std::time::Duration;

use futures::stream::BoxStream;

use super::connect::DockerEngine;
use crate::engine::{
    Attach, BuildRequest, CreateContainer, CreateNetwork, CreateVolume, Engine, EngineEvent, EngineInfo, ExecOutcome,
    ExecRequest, ImageInfo, LogLine, LogQuery, Observed, ObservedContainer, Progress, Result,
};
use crate::names::{ClusterName, ContainerId};

impl Engine for DockerEngine {
    async fn info(&self) -> Result<EngineInfo> {
        self.ask_info().await
    }

    async fn observe(&self, cluster: &ClusterName) -> Result<Observed> {
        self.observe_cluster(cluster).await
    }

    async fn all_clusters(&self) -> Result<Vec<ClusterName>> {
        self.clusters_with_anything().await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ObservedContainer>> {
        self.inspect_container(id).await
    }

    fn events(&self, cluster: &ClusterName) -> BoxStream<'static, Result<EngineEvent>> {
        self.event_stream(cluster)
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageInfo>> {
        self.find_image(reference).await
    }

    fn pull(&self, reference: &str) -> BoxStream<'static, Result<Progress>> {
        self.pull_image(reference)
    }

    fn build(&self, request: &BuildRequest) -> BoxStream<'static, Result<Progress>> {
        self.build_stream(request)
    }

    async fn create_network(&self, request: &CreateNetwork) -> Result<String> {
        self.make_network(request).await
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        self.drop_network(id).await
    }

    async fn members(&self, network_id: &str) -> Result<Vec<String>> {
        self.members_of(network_id).await
    }

    async fn disconnect(&self, network_id: &str, member: &str) -> Result<()> {
        self.disconnect_member(network_id, member).await
    }

    async fn connect(&self, id: &ContainerId, attach: &Attach) -> Result<()> {
        self.connect_container(id, attach).await
    }

    async fn create_volume(&self, request: &CreateVolume) -> Result<()> {
        self.make_volume(request).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        self.drop_volume(name).await
    }

    async fn create_container(&self, request: &CreateContainer) -> Result<ContainerId> {
        self.make_container(request).await
    }

    async fn start(&self, id: &ContainerId) -> Result<()> {
        self.start_container(id).await
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<()> {
        self.stop_container(id, grace).await
    }

    async fn kill(&self, id: &ContainerId, signal: &str) -> Result<()> {
        self.kill_container(id, signal).await
    }

    async fn crash(&self, id: &ContainerId) -> Result<()> {
        self.crash_container(id).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        self.pause_container(id).await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<()> {
        self.unpause_container(id).await
    }

    async fn remove(&self, id: &ContainerId, volumes: bool) -> Result<()> {
        self.remove_container(id, volumes).await
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Result<()> {
        self.rename_container(id, name).await
    }

    async fn exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<ExecOutcome> {
        self.run_command(id, request).await
    }

    fn logs(&self, id: &ContainerId, query: &LogQuery) -> BoxStream<'static, Result<LogLine>> {
        self.log_stream(id, query)
    }
}
