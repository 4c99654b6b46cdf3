//! Networks and volumes of the desired cluster.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::compose::Ipam;
use crate::names::{NetworkKey, VolumeKey};

/// A network that the cluster wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its key in the file.
    pub key: NetworkKey,
    /// The engine's name for it: `<cluster>_<key>`, or what `name:` says.
    pub engine_name: String,
    /// Made by somebody else; never created, changed or removed.
    pub external: bool,
    /// Driver; None: the engine's default (bridge).
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// No route to the outside.
    pub internal: bool,
    /// Containers outside the cluster may attach.
    pub attachable: bool,
    /// Labels of the file.
    pub labels: BTreeMap<String, String>,
    /// Subnet given by the file, in CIDR form; None: one of convoke's own pool.
    pub subnet: Option<String>,
    /// Gateway given by the file.
    pub gateway: Option<String>,
    /// What else the file says of addresses.
    #[serde(default, skip_serializing_if = "Ipam::is_default")]
    pub ipam: Ipam,
}

impl Network {
    /// Whether convoke chooses subnet and addresses: networks that it makes with the bridge driver, and whose addresses
    /// nobody else hands out.
    #[must_use]
    pub fn is_addressed(&self) -> bool {
        let is_bridge = self.driver.as_deref().is_none_or(|driver| driver == "bridge");
        !self.external && is_bridge && self.ipam.is_plain_ipv4()
    }
}

/// A named volume that the cluster wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its key in the file.
    pub key: VolumeKey,
    /// The engine's name for it: `<cluster>_<key>`, or what `name:` says.
    pub engine_name: String,
    /// Made by somebody else; never created or removed.
    pub external: bool,
    /// Driver; None: the engine's default (local).
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels of the file.
    pub labels: BTreeMap<String, String>,
}
