//! What a failed call or a taken name means for people: what is in the way, and what to do about it.

use super::driver::Driver;
use crate::engine::{EngineError, ErrorKind, Foreign, Observed, Resource};
use crate::event::{Failure, Outcome};
use crate::names::ComponentName;

impl Driver {
    /// What happened, and what to try, after a call about a component has failed for good.
    pub(super) fn blame(&self, name: &ComponentName, error: &EngineError) -> (String, Option<String>) {
        let what = match error.kind {
            ErrorKind::PortTaken => match self.port_in_the_way(name, error) {
                Some((port, holder)) => return port_taken(port, holder),
                None => error.to_string(),
            },
            ErrorKind::CommandInvalid => format!("its command can't be run: {}", essence(&error.message)),
            _ => error.to_string(),
        };
        (what, hint_for(&error.kind).map(ToOwned::to_owned))
    }

    /// The host port that the engine complains of, and the container that has it if it is one.
    fn port_in_the_way(&self, name: &ComponentName, error: &EngineError) -> Option<(u16, Option<&Foreign>)> {
        let named = |port: u16| {
            let text = format!(":{port}");
            let mut ends = error.message.match_indices(&text).map(|(at, found)| &error.message[at + found.len()..]);
            ends.any(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let ports = &self.nodes.get(name)?.component.spec.ports;
        let port = ports.iter().filter_map(|port| port.host_port).find(|port| named(*port))?;
        let mut others = self.observed.iter().flat_map(|observed| &observed.foreign_containers);
        Some((port, others.find(|other| other.host_ports.contains(&port))))
    }

    /// Objects under our names that aren't ours: nothing is touched, the run ends.
    pub(super) fn refuse_foreign(&mut self, observed: &Observed) -> bool {
        let mut failures = Vec::new();
        for (name, node) in self.selected() {
            let taken =
                observed.foreign_containers.iter().find(|foreign| foreign.name == node.component.container_name);
            let Some(foreign) = taken else { continue };
            let (what, hint) = name_taken(foreign);
            failures.push(Failure {
                component: Some(name.clone()),
                what,
                exit_code: None,
                last_probe: None,
                log: Vec::new(),
                hint: Some(hint),
            });
        }
        failures.extend(self.foreign_volumes(observed));
        let refused = !failures.is_empty();
        if refused {
            self.end_with(Outcome::Failed, failures);
        }
        refused
    }

    /// Volumes of our names that others made: their data is none of ours unless the file says so.
    pub(super) fn foreign_volumes(&self, observed: &Observed) -> Vec<Failure> {
        let is_foreign = |name: &&String| observed.other_volumes.contains(name);
        let ours = self.cluster.volumes.values().filter(|volume| !volume.external).map(|volume| &volume.engine_name);
        let refuse = |name: &String| Failure {
            component: None,
            what: format!("a volume named {name} is there already, and convoke didn't make it for this cluster"),
            exit_code: None,
            last_probe: None,
            log: Vec::new(),
            hint: Some(format!(
                "to use it, give the volume `external: true` and `name: {name}`; or choose another name with -p"
            )),
        };
        ours.filter(is_foreign).map(refuse).collect()
    }
}

fn port_taken(port: u16, holder: Option<&Foreign>) -> (String, Option<String>) {
    match holder {
        Some(other) => {
            let hint = format!("stop {}, or publish another port than {port}", other.name);
            (format!("host port {port} is in use by container {}", other.name), Some(hint))
        }
        None => {
            let hint =
                format!("`ss -ltnp sport = :{port}` shows which process has it; end it, or publish another port");
            (format!("host port {port} is in use by another process"), Some(hint))
        }
    }
}

/// The part of the engine's text that says what is wrong with a command: `exec: "x": not found`.
fn essence(text: &str) -> &str {
    text.find("exec: \"").map_or(text, |at| &text[at..]).trim_end_matches(": unknown")
}

/// Why a name that a component needs can't be had, and how it could be freed.
pub(super) fn name_taken(foreign: &Foreign) -> (String, String) {
    let name = &foreign.name;
    match (&foreign.cluster, &foreign.project) {
        (Some(cluster), _) => (
            format!("a container named {name} is there already: it belongs to cluster {cluster}"),
            format!("remove that cluster with `convoke down -p {cluster}`, or choose another container_name"),
        ),
        (None, Some(project)) => (
            format!("a container named {name} is there already, and convoke didn't make it"),
            format!("remove it with `docker compose -p {project} down`, or choose another name with -p"),
        ),
        (None, None) => (
            format!("a container named {name} is there already, and convoke didn't make it"),
            format!("remove it with `docker rm -f {name}`, or choose another name with -p"),
        ),
    }
}

/// What to try, by the kind of failure.
pub(super) const fn hint_for(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::PortTaken => {
            "another process or container has the port: `docker ps` and `ss -ltnp` show which; or publish another"
        }
        ErrorKind::CommandInvalid => {
            "the program isn't in the image, or can't be run: check `command` and `entrypoint`"
        }
        ErrorKind::ImageMissing => "check the image's name and tag",
        ErrorKind::DiskFull => "free some space: `docker system df` shows what takes it",
        ErrorKind::Exhausted(resource) => hint_for_shortage(*resource),
        ErrorKind::CgroupRefused => {
            "the engine's machine refuses a limit: check mem_limit, cpus, cpuset, pids_limit (`docker info` shows what it has)"
        }
        ErrorKind::FirewallRefused => {
            "the engine's firewall rules are gone, as after a reload of the firewall: restart the engine, then `convoke up`"
        }
        ErrorKind::PoolExhausted => "unused networks are removed by `docker network prune`",
        ErrorKind::NameTaken => "another container has its name: remove it, or choose another cluster name with -p",
        _ => return None,
    })
}

const fn hint_for_shortage(of: Resource) -> &'static str {
    match of {
        Resource::Memory => "the engine's machine is out of memory: `free -m` and `docker stats` show who has it",
        Resource::Processes => "the engine's machine has too many processes: see `ulimit -u` and its unit's TasksMax",
        Resource::Files => {
            "the engine's machine has too many open or watched files: see `ulimit -n` and sysctl fs.inotify.max_user_watches"
        }
        Resource::Keys => {
            "each container takes a kernel key: raise sysctl kernel.keys.maxkeys, or run fewer containers"
        }
        Resource::BridgePorts => "a bridge network holds 1023 containers: spread the components over several networks",
        Resource::Cgroups => {
            "the kernel has no more control groups: remove containers, or restart the engine's machine"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_engine_s_text_about_a_command_only_the_end_matters() {
        let text = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container \
                    process: exec: \"serve\": executable file not found in $PATH: unknown";
        assert_eq!(essence(text), "exec: \"serve\": executable file not found in $PATH");
        assert_eq!(essence("something else"), "something else");
    }

    #[test]
    fn whose_the_container_in_the_way_is_decides_what_to_try() {
        let foreign = |cluster: Option<&str>, project: Option<&str>| Foreign {
            name: "x-db-1".into(),
            cluster: cluster.map(Into::into),
            project: project.map(Into::into),
            host_ports: vec![],
            networks: vec![],
        };
        assert!(name_taken(&foreign(Some("y"), Some("y"))).1.contains("`convoke down -p y`"));
        assert!(name_taken(&foreign(None, Some("y"))).1.contains("`docker compose -p y down`"));
        assert!(name_taken(&foreign(None, None)).1.contains("`docker rm -f x-db-1`"));
    }
}
