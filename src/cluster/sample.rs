//! Small clusters for unit tests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Cluster, Component, ContainerSpec, Network, NetworkAttachment, Probe, ProbeAction, Probes, StartMode};

/// The only component of a service, on these networks, with the image `image`.
pub(crate) fn component(name: &str, networks: &[&str]) -> Component {
    let attachment = |key: &&str| (key.parse().unwrap(), NetworkAttachment::default());
    Component {
        name: name.parse().unwrap(),
        service: name.parse().unwrap(),
        number: 1,
        container_name: format!("test-{name}-1"),
        image: "image".to_owned(),
        build: None,
        spec: ContainerSpec { networks: networks.iter().map(attachment).collect(), ..ContainerSpec::default() },
        files: vec![],
        owners: vec![],
        probes: Probes::default(),
        needs: BTreeSet::new(),
        gates: vec![],
        restarts_early_exit: false,
        completes: false,
        depends_on_label: String::new(),
        boot_hint: None,
        one_off: None,
        recreate: Default::default(),
        pull: None,
        hooks: super::Hooks::default(),
        connect: None,
        config_hash: String::new(),
        config_parts: String::new(),
        secrets: vec![],
    }
}

/// The cluster `test` of these components, with every network that they name.
pub(crate) fn cluster(components: impl IntoIterator<Item = Component>) -> Cluster {
    let components: BTreeMap<_, _> = components.into_iter().map(|c| (c.name.clone(), c)).collect();
    let keys = components.values().flat_map(|c| c.spec.networks.keys());
    let networks = keys.map(|key| (key.clone(), network(key.as_str()))).collect();
    Cluster {
        name: "test".parse().unwrap(),
        working_dir: "/".into(),
        config_files: vec![],
        start: StartMode::Gated,
        components,
        networks,
        volumes: BTreeMap::new(),
        bases: BTreeMap::new(),
        ephemeral: None,
        switched_off: BTreeSet::new(),
    }
}

/// A network that convoke makes and addresses.
pub(crate) fn network(key: &str) -> Network {
    Network {
        key: key.parse().unwrap(),
        engine_name: format!("test_{key}"),
        external: false,
        driver: None,
        driver_opts: BTreeMap::new(),
        internal: false,
        attachable: false,
        labels: BTreeMap::new(),
        subnet: None,
        gateway: None,
        ipam: crate::cluster::Ipam::default(),
    }
}

/// A probe of a port.
pub(crate) fn tcp_probe(port: u16) -> Probe {
    Probe { action: ProbeAction::Tcp { port }, timeout: Duration::from_secs(1) }
}
