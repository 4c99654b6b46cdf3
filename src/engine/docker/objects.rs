//! Networks and volumes.

use bollard::models::{
    Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest, VolumeCreateRequest,
};
use bollard::query_parameters::{InspectNetworkOptions, RemoveVolumeOptions};

use super::attach;
use super::connect::DockerEngine;
use super::failure::{WORK, within};
use crate::engine::{Attach, CreateNetwork, CreateVolume, ErrorKind, Result, Verb};
use crate::names::ContainerId;

impl DockerEngine {
    pub(super) async fn make_network(&self, request: &CreateNetwork) -> Result<String> {
        let verb = Verb::CreateNetwork(request.name.clone());
        let made = within(WORK, verb, self.docker().create_network(network_body(request))).await?;
        Ok(made.id)
    }

    pub(super) async fn drop_network(&self, id: &str) -> Result<()> {
        gone_is_fine(within(WORK, Verb::RemoveNetwork(id.to_owned()), self.docker().remove_network(id)).await)
    }

    pub(super) async fn members_of(&self, id: &str) -> Result<Vec<String>> {
        let call = self.docker().inspect_network(id, None::<InspectNetworkOptions>);
        let network = within(WORK, Verb::Members(id.to_owned()), call).await?;
        Ok(network.containers.into_iter().flatten().filter_map(|(_, endpoint)| endpoint.name).collect())
    }

    pub(super) async fn disconnect_member(&self, id: &str, member: &str) -> Result<()> {
        // By force the engine goes by the endpoint's name where there is no such container any more.
        let request = NetworkDisconnectRequest { container: member.to_owned(), force: Some(true) };
        let call = self.docker().disconnect_network(id, request);
        match gone_is_fine(within(WORK, Verb::Disconnect(id.to_owned()), call).await) {
            Err(error) if error.message.contains("is not connected to") => Ok(()),
            other => other,
        }
    }

    pub(super) async fn connect_container(&self, id: &ContainerId, attach: &Attach) -> Result<()> {
        let request = NetworkConnectRequest {
            container: id.to_string(),
            endpoint_config: Some(attach::endpoint(attach, self.inner.api)),
        };
        let call = self.docker().connect_network(&attach.network_id, request);
        match within(WORK, Verb::Attach(self.name_of(id)), call).await {
            // 403 with a text of its own, or 409 in newer engines.
            Err(error) if error.message.contains("already exists in network") => Ok(()),
            Err(error) if error.message.contains("already attached to network") => Ok(()),
            other => other,
        }
    }

    pub(super) async fn make_volume(&self, request: &CreateVolume) -> Result<()> {
        let body = VolumeCreateRequest {
            name: Some(request.name.clone()),
            driver: request.driver.clone(),
            driver_opts: Some(request.driver_opts.clone().into_iter().collect()),
            labels: Some(request.labels.clone().into_iter().collect()),
            ..Default::default()
        };
        within(WORK, Verb::CreateVolume(request.name.clone()), self.docker().create_volume(body)).await.map(drop)
    }

    pub(super) async fn drop_volume(&self, name: &str) -> Result<()> {
        let call = self.docker().remove_volume(name, None::<RemoveVolumeOptions>);
        gone_is_fine(within(WORK, Verb::RemoveVolume(name.to_owned()), call).await)
    }
}

fn gone_is_fine(removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn network_body(request: &CreateNetwork) -> NetworkCreateRequest {
    let ipam = request.subnet.map(|subnet| Ipam {
        config: Some(vec![IpamConfig {
            subnet: Some(subnet.to_string()),
            ip_range: request.ip_range.map(|range| range.to_string()),
            gateway: request.gateway.map(|gateway| gateway.to_string()),
            auxiliary_addresses: None,
        }]),
        ..Default::default()
    });
    NetworkCreateRequest {
        name: request.name.clone(),
        driver: request.driver.clone(),
        internal: Some(request.internal),
        attachable: Some(request.attachable),
        ipam,
        options: Some(request.driver_opts.clone().into_iter().collect()),
        labels: Some(request.labels.clone().into_iter().collect()),
        ..Default::default()
    }
}
