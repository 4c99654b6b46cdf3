//! What there is: one list call for each kind of object, then every container of ours inspected at the same time.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{ContainerSummary, Network, Volume};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptions,
    ListVolumesOptionsBuilder,
};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::connect::DockerEngine;
use super::convert;
use super::failure::{WORK, within};
use super::subnets;
use crate::engine::{ErrorKind, Observed, ObservedContainer, ObservedNetwork, ObservedVolume, Result, Verb, labels};
use crate::names::{ClusterName, ContainerId};

/// Inspections in flight; the engine answers each in about 3 ms, and more at once only queue up in it.
const INSPECTIONS: usize = 16;

impl DockerEngine {
    pub(super) async fn observe_cluster(&self, cluster: &ClusterName) -> Result<Observed> {
        let verb = Verb::Observe(cluster.to_string());
        let docker = self.docker();
        let all = ListContainersOptionsBuilder::default().all(true).build();
        let lists = async {
            tokio::try_join!(
                docker.list_containers(Some(all)),
                docker.list_networks(None),
                docker.list_volumes(None::<ListVolumesOptions>),
            )
        };
        let (containers, networks, volumes) = within(WORK, verb, lists).await?;
        let (ours, others): (Vec<_>, Vec<_>) =
            containers.into_iter().partition(|listed| is_of(cluster, listed.labels.as_ref()) && is_own(listed));
        let mut observed = Observed {
            containers: self.inspect_all(&ours).await?,
            foreign_containers: others.iter().filter_map(convert::foreign).collect(),
            subnets_in_use: subnets::in_use(&networks, &self.host_routes()),
            ..Observed::default()
        };
        observed.part_one_offs();
        observed.name_components();
        self.sort_networks(cluster, &networks, &mut observed);
        sort_volumes(cluster, volumes.volumes.unwrap_or_default(), &mut observed);
        observed.find_lost_networks();
        Ok(observed)
    }

    /// The clusters that have a container, by name.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub async fn clusters(&self) -> Result<Vec<ClusterName>> {
        let filters = HashMap::from([("label", vec![labels::CLUSTER.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let verb = Verb::Observe("all clusters".to_owned());
        let listed = within(WORK, verb, self.docker().list_containers(Some(options))).await?;
        let names: BTreeSet<ClusterName> = listed
            .into_iter()
            .filter(is_own)
            .filter_map(|one| ClusterName::new(one.labels?.remove(labels::CLUSTER)?).ok())
            .collect();
        Ok(names.into_iter().collect())
    }

    pub(super) async fn clusters_with_anything(&self) -> Result<Vec<ClusterName>> {
        let filters = HashMap::from([("label", vec![labels::CLUSTER.to_owned()])]);
        let containers = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let networks = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let volumes = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let docker = self.docker();
        let lists = async {
            tokio::try_join!(
                docker.list_containers(Some(containers)),
                docker.list_networks(Some(networks)),
                docker.list_volumes(Some(volumes)),
            )
        };
        let (containers, networks, volumes) = within(WORK, Verb::Observe("all clusters".to_owned()), lists).await?;
        let of_containers = containers.into_iter().filter(is_own).filter_map(|one| one.labels);
        let of_volumes = volumes.volumes.into_iter().flatten().map(|one| one.labels);
        let all = of_containers.chain(networks.into_iter().filter_map(|one| one.labels)).chain(of_volumes);
        let names: BTreeSet<ClusterName> =
            all.filter_map(|mut one| ClusterName::new(one.remove(labels::CLUSTER)?).ok()).collect();
        Ok(names.into_iter().collect())
    }

    /// A container that vanished after the list was made is left out.
    async fn inspect_all(&self, listed: &[ContainerSummary]) -> Result<Vec<ObservedContainer>> {
        let ids: Vec<ContainerId> = listed.iter().filter_map(|one| ContainerId::new(one.id.clone()?).ok()).collect();
        let inspections = ids.into_iter().map(|id| async move { self.inspect_container(&id).await });
        stream::iter(inspections)
            .buffer_unordered(INSPECTIONS)
            .try_filter_map(|one| async move { Ok(one) })
            .try_collect()
            .await
    }

    pub(super) async fn inspect_container(&self, id: &ContainerId) -> Result<Option<ObservedContainer>> {
        let verb = Verb::Inspect(self.name_of(id));
        let answer =
            within(WORK, verb, self.docker().inspect_container(id.as_str(), None::<InspectContainerOptions>)).await;
        match answer {
            Ok(inspected) => {
                let container = convert::container(inspected);
                if let Some(found) = &container {
                    self.remember(&found.id, found.component.as_str());
                }
                Ok(container)
            }
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The host's routing table; only that of a local engine is the engine's too.
    fn host_routes(&self) -> String {
        if !self.inner.info.is_local {
            return String::new();
        }
        std::fs::read_to_string("/proc/net/route").unwrap_or_default()
    }

    fn sort_networks(&self, cluster: &ClusterName, networks: &[Network], observed: &mut Observed) {
        let mut all: Vec<ObservedNetwork> =
            networks.iter().map(|network| convert::network(network, &self.inner.pools)).collect();
        all.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        (observed.networks, observed.other_networks) = all
            .into_iter()
            .partition(|network| network.labels.get(labels::CLUSTER).is_some_and(|label| label == cluster.as_str()));
    }
}

fn sort_volumes(cluster: &ClusterName, volumes: Vec<Volume>, observed: &mut Observed) {
    for volume in volumes {
        if is_of(cluster, Some(&volume.labels)) {
            let labels = volume.labels.into_iter().collect();
            observed.volumes.push(ObservedVolume { name: volume.name, labels });
        } else {
            observed.other_volumes.push(volume.name);
        }
    }
    observed.volumes.sort_by(|a, b| a.name.cmp(&b.name));
    observed.other_volumes.sort();
}

/// Whether it has its labels from us, and not from an image that somebody made of a container of ours.
fn is_own(listed: &ContainerSummary) -> bool {
    let label = listed.labels.as_ref().and_then(|all| all.get(labels::CONTAINER)).map(String::as_str);
    convert::listed_name(listed).is_none_or(|name| labels::is_own_name(label, &name))
}

fn is_of(cluster: &ClusterName, labels: Option<&HashMap<String, String>>) -> bool {
    labels.and_then(|all| all.get(labels::CLUSTER)).is_some_and(|label| label == cluster.as_str())
}
