//! The labels that convoke writes: its own, which say what is ours, and Compose's, which make `docker compose` see it.

/// Cluster name; its presence is what makes an object ours.
pub const CLUSTER: &str = "convoke.cluster";
/// Component name.
pub const COMPONENT: &str = "convoke.component";
/// Version of convoke that made the object.
pub const VERSION: &str = "convoke.version";
/// Identifier of the run that made the object.
pub const RUN: &str = "convoke.run";
/// Configuration hash (see [`crate::cluster::Component::config_hash`]).
pub const CONFIG_HASH: &str = "convoke.config-hash";
/// Image reference that the file had.
pub const IMAGE_REFERENCE: &str = "convoke.image";
/// JSON of [`crate::cluster::Stored`]: probes, needs, gates; no environment, no secret.
pub const PROBES: &str = "convoke.probes";
/// Set on networks whose addresses convoke hands out.
pub const ADDRESSED: &str = "convoke.addressed";
/// Names of volumes, joined by commas, that a replacement took over from the anonymous ones of its predecessor: the
/// engine sees them as named and wouldn't remove them with the container.
pub const CARRIED_VOLUMES: &str = "convoke.carried-volumes";

/// Compose's project name.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// Compose's service name.
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
/// Compose's container number, from 1.
pub const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
/// `False`: not a one-off container. `docker compose ps` and others want exactly this spelling.
pub const COMPOSE_ONEOFF: &str = "com.docker.compose.oneoff";
/// Compose's configuration hash; any value makes the object visible to it.
pub const COMPOSE_CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// Image id that the container was made from.
pub const COMPOSE_IMAGE: &str = "com.docker.compose.image";
/// `service:condition:restart,…`; never with a cycle, which makes `docker compose down` fail.
pub const COMPOSE_DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Absolute working directory.
pub const COMPOSE_WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// Absolute paths of the files, joined by commas.
pub const COMPOSE_CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// Version, of convoke in our case.
pub const COMPOSE_VERSION: &str = "com.docker.compose.version";
/// Key of the network in the file.
pub const COMPOSE_NETWORK: &str = "com.docker.compose.network";
/// Key of the volume in the file.
pub const COMPOSE_VOLUME: &str = "com.docker.compose.volume";
