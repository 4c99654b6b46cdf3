//! The labels that convoke writes: its own, which say what is ours, and Compose's, which make `docker compose` see it.

/// Cluster name; its presence is what makes an object ours.
pub const CLUSTER: &str = "convoke.cluster";
/// The name that the container has, or will have once it is complete and what it replaces is gone: see [`is_own_name`].
pub const CONTAINER: &str = "convoke.container";
/// Component name.
pub const COMPONENT: &str = "convoke.component";
/// Version of convoke that made the object.
pub const VERSION: &str = "convoke.version";
/// Identifier of the run that made the object.
pub const RUN: &str = "convoke.run";
/// Configuration hash (see [`crate::cluster::Component::config_hash`]).
pub const CONFIG_HASH: &str = "convoke.config-hash";
/// Short digests of the configuration's parts (see [`crate::cluster::Component::config_parts`]).
pub const CONFIG_PARTS: &str = "convoke.config-parts";
/// Image reference that the file had.
pub const IMAGE_REFERENCE: &str = "convoke.image";
/// JSON of [`crate::cluster::Stored`]: probes, needs, gates; no environment, no secret.
pub const PROBES: &str = "convoke.probes";
/// Set on networks whose addresses convoke hands out.
pub const ADDRESSED: &str = "convoke.addressed";
/// The process that the cluster is removed with (see `up --ephemeral`); on all that such a cluster made.
pub const EPHEMERAL: &str = "convoke.ephemeral";
/// Names of volumes, joined by commas, that a replacement took over from the anonymous ones of its predecessor: the
/// engine sees them as named and wouldn't remove them with the container.
pub const CARRIED_VOLUMES: &str = "convoke.carried-volumes";

/// Suffix of the engine's name of a container that isn't complete yet.
pub const UNFINISHED: &str = ".unfinished";

/// The name that a container has while it replaces the one with this short id.
#[must_use]
pub fn replacement_name(replaced: &str, name: &str) -> String {
    format!("{replaced}_{name}")
}

/// Whether a container with this name was made under the label [`CONTAINER`], if it has one. An image that was
/// committed from a container of ours has its labels, and so has every container that somebody makes from the image.
#[must_use]
pub fn is_own_name(label: Option<&str>, name: &str) -> bool {
    label.is_none_or(|own| own == name || own == own_name(name))
}

/// The name that a container will have in the end.
#[must_use]
pub fn own_name(name: &str) -> &str {
    let complete = name.strip_suffix(UNFINISHED).unwrap_or(name);
    match complete.split_once('_') {
        Some((id, name)) if id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()) => name,
        _ => complete,
    }
}

/// Compose's project name.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// Compose's service name.
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
/// Compose's container number, from 1.
pub const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
/// `False`, or `True` for a container of `run`, which is no component. `docker compose ps` and others want exactly this
/// spelling.
pub const COMPOSE_ONEOFF: &str = "com.docker.compose.oneoff";
/// Compose's label of a one-off container: what tells it from others of its service.
pub const COMPOSE_SLUG: &str = "com.docker.compose.slug";
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_somebody_made_from_our_image_is_not_ours() {
        for name in ["c-web-1", "c-web-1.unfinished", "0123456789ab_c-web-1", "0123456789ab_c-web-1.unfinished"] {
            assert!(is_own_name(Some("c-web-1"), name), "{name}");
        }
        for name in ["friendly_noether", "c-web-2", "xyz_c-web-1", "c-web-1-copy"] {
            assert!(!is_own_name(Some("c-web-1"), name), "{name}");
        }
        assert!(is_own_name(None, "any"));
        assert!(is_own_name(Some("0123456789ab_x"), "0123456789ab_x"));
    }
}
