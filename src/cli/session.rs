//! What every command shares: the printer, the options, and how to reach the engine and name the cluster.

use std::io::{BufRead, IsTerminal};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::args::{Global, names_component};
use super::error::CliError;
use super::interrupt::Interrupts;
use super::source;
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineInfo, Observed, labels};
use crate::names::{ClusterName, ComponentName};
use crate::probe::EngineProber;
use crate::report::Printer;
use crate::store::Store;

/// What every command shares.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) printer: Printer,
    pub(super) interrupts: Interrupts,
    pub(super) global: Global,
    /// Files given before the command.
    pub(super) files: Vec<PathBuf>,
}

impl Session {
    /// Connects to the engine; Ctrl-C ends the wait for one that gives no answer.
    pub(super) async fn connect(&self) -> Result<DockerEngine, CliError> {
        tokio::select! {
            biased;
            () = self.interrupts.after(1) => Err(CliError::interrupted()),
            connected = DockerEngine::connect(self.global.host.as_deref()) => Ok(connected?),
        }
    }

    /// A prober for the engine.
    pub(super) async fn prober(&self, engine: &DockerEngine) -> EngineProber<DockerEngine> {
        let info = engine.known_info();
        EngineProber::new(engine.clone(), info, engine_host(info).await, self.global.reach)
    }

    /// Where templates besides the built-in ones are: folders given, then the user's own.
    pub(super) fn template_dirs(&self) -> Vec<PathBuf> {
        let mut dirs = self.global.template_dirs.clone();
        dirs.extend(crate::template::user_directory(|name| std::env::var_os(name)));
        dirs
    }

    /// Files given before or after the command's name.
    pub(super) fn all_files(&self, after: &[PathBuf]) -> Vec<PathBuf> {
        self.files.iter().chain(after).cloned().collect()
    }

    /// The cluster that a command is to remove: `-p` or what the files say. A guess isn't good enough for that.
    pub(super) async fn named_cluster(
        &self,
        engine: &DockerEngine,
        files: &[PathBuf],
    ) -> Result<ClusterName, CliError> {
        let is_named = self.global.project.as_ref().is_some_and(|name| !name.is_empty());
        if is_named || source::name_from_files(self, &self.all_files(files))?.is_some() {
            return self.cluster_name(engine, files).await;
        }
        let there = engine.clusters().await?;
        let names: Vec<&str> = there.iter().map(ClusterName::as_str).collect();
        let hint = match names.as_slice() {
            [] => "-p NAME; this engine has no cluster now".to_owned(),
            [name] => format!("convoke down -p {name}"),
            several => format!("-p NAME: there are {}", several.join(", ")),
        };
        Err(CliError::input("which cluster? There is no compose.yaml here, and down wants to be told").hint(hint))
    }

    /// The cluster that a command is about: `-p`, what the files say, or the only one that the engine has.
    pub(super) async fn cluster_name(&self, engine: &DockerEngine, files: &[PathBuf]) -> Result<ClusterName, CliError> {
        // An empty COMPOSE_PROJECT_NAME counts as none, as in Compose.
        if let Some(name) = self.global.project.as_ref().filter(|name| !name.is_empty()) {
            return ClusterName::new(name.clone()).map_err(|error| CliError::input(error.to_string()));
        }
        if let Some(name) = source::name_from_files(self, &self.all_files(files))? {
            return Ok(name);
        }
        let mut there = engine.clusters().await?;
        match there.as_slice() {
            [_] => Ok(there.remove(0)),
            [] => Err(CliError::input("there is no cluster, and no compose.yaml here")
                .hint("convoke up TEMPLATE, or convoke templates for a list")),
            several => {
                let names: Vec<&str> = several.iter().map(ClusterName::as_str).collect();
                Err(CliError::input(format!("there are several clusters: {}", names.join(", ")))
                    .hint("say which with -p NAME"))
            }
        }
    }

    /// The cluster's folder in the state directory; a warning if it can't be written.
    pub(super) fn store(&self, cluster: &ClusterName) -> Store {
        let store = Store::open(cluster);
        if let Some(warning) = store.warning() {
            self.printer.problem(format_args!("warning: {warning}"));
        }
        store
    }

    /// Asks on a terminal; elsewhere the answer is no. None: Ctrl-C.
    pub(super) async fn confirm(&self, question: &str) -> Option<bool> {
        if self.global.is_json() || !std::io::stdin().is_terminal() {
            return Some(false);
        }
        self.printer.problem(format_args!("{question} [y/N]"));
        let answer = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|_| line)
        });
        tokio::select! {
            biased;
            () = self.interrupts.after(1) => None,
            line = answer => {
                let line = line.ok().and_then(Result::ok).unwrap_or_default();
                Some(matches!(line.trim(), "y" | "Y" | "yes"))
            }
        }
    }

    /// Observes the cluster, which must have something.
    pub(super) async fn observe(&self, engine: &DockerEngine, cluster: &ClusterName) -> Result<Observed, CliError> {
        let observed = tokio::select! {
            biased;
            () = self.interrupts.after(1) => return Err(CliError::interrupted()),
            observed = engine.observe(cluster) => observed?,
        };
        if observed.containers.is_empty() {
            return Err(CliError::failed(format!("nothing of cluster {cluster} is there")).hint("convoke up starts it"));
        }
        Ok(observed)
    }
}

/// The components that are meant: by their own name or their service's; all if none is named.
pub(super) fn choose(observed: &Observed, wanted: &[String]) -> Result<Vec<ComponentName>, CliError> {
    let mut chosen = Vec::new();
    let service_of = |c: &crate::engine::ObservedContainer| c.label(labels::COMPOSE_SERVICE).unwrap_or("").to_owned();
    for name in wanted {
        let before = chosen.len();
        let fitting = observed.containers.iter().filter(|c| names_component(name, &c.component, &service_of(c)));
        chosen.extend(fitting.map(|c| c.component.clone()));
        if chosen.len() == before {
            let mut there: Vec<&str> = observed.containers.iter().map(|c| c.component.as_str()).collect();
            there.sort_unstable();
            there.dedup();
            return Err(
                CliError::input(format!("there is no component {name:?}")).hint(format!("one of {}", there.join(", ")))
            );
        }
    }
    if wanted.is_empty() {
        chosen.extend(observed.containers.iter().map(|c| c.component.clone()));
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}

/// A name server that hasn't answered for so long is given up.
const NAME_LIMIT: Duration = Duration::from_secs(2);

/// Where published ports are reached: 127.0.0.1 for a local engine, its host for a remote one.
pub(super) async fn engine_host(info: &EngineInfo) -> IpAddr {
    let host = info.address.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':')).map(|(host, _)| host);
    let local = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let Some(host) = host else { return local };
    if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
        return ip;
    }
    let found = tokio::time::timeout(NAME_LIMIT, tokio::net::lookup_host((host, 0))).await;
    found.ok().and_then(Result::ok).and_then(|mut all| all.next()).map_or(local, |address| address.ip())
}

/// An identifier for a run: the time, and the process to tell two of one second apart.
pub(super) fn run_id() -> String {
    format!("{}-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S"), std::process::id())
}

/// The wall clock, RFC 3339.
pub(super) fn now_text() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn host_of(address: &str) -> String {
        let info = EngineInfo {
            version: String::new(),
            api_version: String::new(),
            address: address.to_owned(),
            is_local: false,
            cpus: 1,
            operating_system: String::new(),
            memory: 0,
        };
        engine_host(&info).await.to_string()
    }

    #[tokio::test]
    async fn published_ports_are_where_the_engine_is() {
        assert_eq!(host_of("unix:///var/run/docker.sock").await, "127.0.0.1");
        assert_eq!(host_of("tcp://192.0.2.7:2375").await, "192.0.2.7");
        assert_eq!(host_of("tcp://[2001:db8::7]:2375").await, "2001:db8::7");
        assert!(["127.0.0.1", "::1"].contains(&host_of("tcp://localhost:2375").await.as_str()));
    }
}
