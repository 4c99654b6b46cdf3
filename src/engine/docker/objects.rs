//! Networks and volumes.

use std::collections::BTreeMap;

use bollard::models::{
    Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest, VolumeCreateRequest,
};
use bollard::query_parameters::{InspectNetworkOptions, RemoveVolumeOptions};

use super::attach;
use super::connect::{ApiVersion, DockerEngine};
use super::failure::{WORK, refused, within};
use crate::engine::{Attach, CreateNetwork, CreateVolume, ErrorKind, Result, Verb};
use crate::names::ContainerId;

impl DockerEngine {
    pub(super) async fn make_network(&self, request: &CreateNetwork) -> Result<String> {
        let verb = Verb::CreateNetwork(request.name.clone());
        if request.ipam.enable_ipv4.is_some()
            && let Err(why) = self.inner.api.require(ApiVersion::WITHOUT_IPV4, "enable_ipv4 needs")
        {
            return Err(refused(verb, why));
        }
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
    NetworkCreateRequest {
        name: request.name.clone(),
        driver: request.driver.clone(),
        internal: Some(request.internal),
        attachable: Some(request.attachable),
        ipam: ipam(request),
        enable_ipv4: request.ipam.enable_ipv4,
        enable_ipv6: request.ipam.enable_ipv6,
        options: Some(request.driver_opts.clone().into_iter().collect()),
        labels: Some(request.labels.clone().into_iter().collect()),
        ..Default::default()
    }
}

fn ipam(request: &CreateNetwork) -> Option<Ipam> {
    let said = &request.ipam;
    let map = |of: &BTreeMap<String, String>| (!of.is_empty()).then(|| of.clone().into_iter().collect());
    let ipv4 = request.subnet.map(|subnet| IpamConfig {
        subnet: Some(subnet.to_string()),
        ip_range: request.ip_range.map(|range| range.to_string()),
        gateway: request.gateway.map(|gateway| gateway.to_string()),
        auxiliary_addresses: map(&said.aux_addresses),
    });
    let others = said.ipv6.iter().chain(&said.more).map(|pool| IpamConfig {
        subnet: Some(pool.subnet.clone()),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: map(&pool.aux_addresses),
    });
    let config: Vec<IpamConfig> = ipv4.into_iter().chain(others).collect();
    let is_said = !config.is_empty() || said.driver.is_some() || !said.options.is_empty();
    is_said.then(|| Ipam {
        driver: said.driver.clone(),
        config: (!config.is_empty()).then_some(config),
        options: map(&said.options),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{IpPool, Ipam as Said};

    #[test]
    fn every_subnet_is_asked_for() {
        let pool = |subnet: &str, gateway: Option<&str>| IpPool {
            subnet: subnet.to_owned(),
            gateway: gateway.map(ToOwned::to_owned),
            ip_range: None,
            aux_addresses: [("r".to_owned(), "10.6.0.2".to_owned())].into(),
        };
        let said = Said {
            ipv6: Some(pool("fd00:5::/64", None)),
            more: vec![pool("10.6.0.0/24", Some("10.6.0.9"))],
            ..Said::default()
        };
        let request = CreateNetwork {
            name: "n".into(),
            labels: BTreeMap::new(),
            driver: Some("macvlan".into()),
            driver_opts: BTreeMap::new(),
            internal: false,
            attachable: false,
            subnet: Some("10.5.0.0/24".parse().unwrap()),
            gateway: None,
            ip_range: None,
            ipam: said,
        };
        let config = network_body(&request).ipam.unwrap().config.unwrap();
        let subnets: Vec<&str> = config.iter().map(|one| one.subnet.as_deref().unwrap()).collect();
        assert_eq!(subnets, ["10.5.0.0/24", "fd00:5::/64", "10.6.0.0/24"]);
        assert_eq!(config[2].gateway.as_deref(), Some("10.6.0.9"));
        assert_eq!(config[2].auxiliary_addresses.as_ref().unwrap()["r"], "10.6.0.2");
    }
}
