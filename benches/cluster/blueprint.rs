//! What convoke made of a file, taken from the engine, so that the bare loops make exactly the same.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointIpamConfig, EndpointSettings, Ipam, NetworkCreateRequest,
    NetworkingConfig,
};
use bollard::query_parameters::InspectContainerOptions;

use super::bench::{Bench, Place};
use super::clean;

/// A cluster as a list of engine requests.
#[derive(Debug, Clone)]
pub(super) struct Blueprint {
    /// Its one network.
    pub(super) network: NetworkCreateRequest,
    /// Its containers.
    pub(super) containers: Vec<Part>,
}

/// One container.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its name.
    pub(super) name: String,
    /// The body of its create call.
    pub(super) body: ContainerCreateBody,
    /// Where it listens.
    pub(super) address: Ipv4Addr,
}

/// Reads the cluster that convoke made at `place`.
pub(super) async fn capture(bench: &Bench, place: &Place) -> Result<Blueprint> {
    let ids = clean::networks(&bench.docker, &format!("{}_", place.name)).await?;
    let network = bench.docker.inspect_network(ids.first().context("no network was made")?, None).await?;
    let name = network.name.clone().unwrap_or_default();
    let ipam = Ipam { config: network.ipam.and_then(|ipam| ipam.config), ..Default::default() };
    let request = NetworkCreateRequest {
        name: name.clone(),
        driver: network.driver,
        ipam: Some(ipam),
        labels: network.labels,
        options: network.options,
        ..Default::default()
    };
    let mut containers = Vec::new();
    for id in clean::containers(&bench.docker, &format!("{}-", place.name)).await? {
        let seen = bench.docker.inspect_container(&id, None::<InspectContainerOptions>).await?;
        containers.push(part(seen, &name)?);
    }
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Blueprint { network: request, containers })
}

fn part(seen: ContainerInspectResponse, network: &str) -> Result<Part> {
    let short = seen.id.as_deref().unwrap_or_default().chars().take(12).collect::<String>();
    // The create body is the configuration and two fields more; both come from the same schema.
    let mut body: ContainerCreateBody = serde_json::from_value(serde_json::to_value(seen.config)?)?;
    body.hostname = body.hostname.filter(|name| *name != short);
    let endpoint = seen
        .network_settings
        .and_then(|settings| settings.networks)
        .and_then(|mut networks| networks.remove(network))
        .context("a container isn't on the network")?;
    let address = endpoint.ipam_config.as_ref().and_then(|config| config.ipv4_address.clone());
    let address = address.context("a container has no fixed address")?;
    let mut aliases = endpoint.aliases.unwrap_or_default();
    aliases.retain(|alias| *alias != short);
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig { ipv4_address: Some(address.clone()), ..Default::default() }),
        aliases: Some(aliases),
        ..Default::default()
    };
    body.host_config = seen.host_config;
    body.networking_config = Some(NetworkingConfig { endpoints_config: Some([(network.to_owned(), endpoint)].into()) });
    let name = seen.name.unwrap_or_default().trim_start_matches('/').to_owned();
    Ok(Part { name, body, address: address.parse()? })
}
