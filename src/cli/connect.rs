//! What to type to use a cluster that is ready: the lines of `x-convoke.connect`.

use std::net::SocketAddr;

use super::session::{Session, engine_host};
use crate::cluster::Cluster;
use crate::engine::docker::DockerEngine;
use crate::engine::{Endpoint, Engine, Observed, ObservedContainer};
use crate::mask::Masker;
use crate::names::{ClusterName, ComponentName};

/// The lines of a cluster, with what is secret in them.
pub(super) struct Lines {
    cluster: ClusterName,
    lines: Vec<(ComponentName, String)>,
    masker: Masker,
}

impl Lines {
    pub(super) fn of(cluster: &Cluster, masker: Masker) -> Self {
        let line = |(name, c): (&ComponentName, &crate::cluster::Component)| Some((name.clone(), c.connect.clone()?));
        Self { cluster: cluster.name.clone(), lines: cluster.components.iter().filter_map(line).collect(), masker }
    }

    /// Shows them. What the engine doesn't tell any more is left out: the cluster is ready all the same.
    pub(super) async fn show(&self, session: &Session, engine: &DockerEngine) {
        if self.lines.is_empty() || session.global.is_json() {
            return;
        }
        let Ok(observed) = engine.observe(&self.cluster).await else { return };
        let host = engine_host(engine.known_info()).await;
        for (name, text) in &self.lines {
            let Some(container) = find(&observed, name) else { continue };
            let line = filled(text, |port| published(container, port, &host.to_string()));
            session.printer.progress(format_args!("  {}", self.masker.mask(&line)));
        }
    }
}

fn find<'a>(observed: &'a Observed, name: &ComponentName) -> Option<&'a ObservedContainer> {
    observed.containers.iter().find(|container| container.component == *name)
}

/// `host:port` where a port of the container is published; its own address where it isn't.
pub(super) fn published(container: &ObservedContainer, port: u16, host: &str) -> Option<String> {
    let bound = container.ports.iter().find(|binding| binding.container_port == port && binding.host_port.is_some());
    if let Some(binding) = bound {
        let at = binding.host_ip.filter(|ip| !ip.is_unspecified()).map_or_else(|| host.to_owned(), |ip| ip.to_string());
        return Some(format!("{at}:{}", binding.host_port?));
    }
    let address = container.networks.values().find_map(Endpoint::contact)?;
    Some(SocketAddr::new(address, port).to_string())
}

/// The text with each `{PORT}` replaced; one that isn't known stays as it is.
fn filled(text: &str, address: impl Fn(u16) -> Option<String>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once('{') {
        out.push_str(before);
        let found = behind.split_once('}').and_then(|(port, after)| Some((address(port.parse().ok()?)?, after)));
        match found {
            Some((address, after)) => {
                out.push_str(&address);
                rest = after;
            }
            None => {
                out.push('{');
                rest = behind;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_filled_in_and_other_braces_stay() {
        let address = |port: u16| (port == 80).then(|| "127.0.0.1:32768".to_owned());
        assert_eq!(filled("open http://{80}/x {81} {a", address), "open http://127.0.0.1:32768/x {81} {a");
        assert_eq!(filled("plain", address), "plain");
    }
}
