//! `convoke gc`: what dead runs left behind, said and then removed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::time::Instant;

use super::args::Gc;
use super::ephemeral::is_orphan;
use super::error::{CliError, FAILED, INTERRUPTED};
use super::session::Session;
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineError, ErrorKind, Observed};
use crate::names::ClusterName;
use crate::plan::leftovers::{Kind, Leftover, Rules, container_id, leftovers};
use crate::report::table;
use crate::store::{Store, Wanted, state_root};

/// A network that somebody is on still is tried for so long.
const NETWORK_PATIENCE: Duration = Duration::from_secs(3);
/// Pause between attempts.
const NETWORK_PAUSE: Duration = Duration::from_millis(100);

/// A leftover and what became of it; its serialised form is a row of the JSON output.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    leftover: Leftover,
    removed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) async fn run(session: &Session, args: Gc) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let work = Work { session, engine, root: state_root(|key| std::env::var_os(key)), args };
    let found = work.find_all().await?;
    if found.is_empty() {
        if session.global.is_json() {
            session.printer.result("[]");
        } else {
            session.printer.result("nothing is left over");
        }
        return Ok(0);
    }
    if !session.global.is_json() {
        for one in &found {
            session.printer.result(format_args!("{} {} of {}: {}", one.kind.as_str(), one.name, one.cluster, one.why));
        }
    }
    let goes_on = if work.args.yes {
        true
    } else {
        let what = crate::report::theme::count(found.len(), "thing");
        let Some(answer) = session.confirm(&format!("remove {what}?")).await else { return Ok(INTERRUPTED) };
        answer
    };
    let rows = if goes_on {
        work.remove_all(found).await
    } else {
        found.into_iter().map(|leftover| Row { leftover, removed: false, error: None }).collect()
    };
    work.tell(&rows, goes_on)
}

struct Work<'a> {
    session: &'a Session,
    engine: DockerEngine,
    root: Option<PathBuf>,
    args: Gc,
}

impl Work<'_> {
    async fn find_all(&self) -> Result<Vec<Leftover>, CliError> {
        let there: BTreeSet<ClusterName> = self.engine.all_clusters().await?.into_iter().collect();
        let only = self.session.global.project.as_ref().filter(|name| !name.is_empty());
        let is_meant = |cluster: &ClusterName| only.is_none_or(|name| name == cluster.as_str());
        let mut found = Vec::new();
        for cluster in there.iter().filter(|cluster| is_meant(cluster)) {
            if !self.is_busy(self.folder(cluster).as_ref()) {
                found.extend(self.of_cluster(cluster).await?);
            }
        }
        let folders = self.root.as_deref().map(Store::all).unwrap_or_default();
        for store in folders.iter().filter(|store| is_meant(store.cluster()) && !there.contains(store.cluster())) {
            if !self.is_busy(Some(store)) {
                found.extend(self.of_folder(store));
            }
        }
        Ok(found)
    }

    fn folder(&self, cluster: &ClusterName) -> Option<Store> {
        Store::find(self.root.as_deref()?, cluster)
    }

    /// Somebody works on the cluster, or watches over it: then there is nothing to be looked for.
    fn is_busy(&self, store: Option<&Store>) -> bool {
        let Some(store) = store else { return false };
        let holder = store.actor().or_else(|| store.supervisor());
        if let Some(holder) = &holder {
            self.session.printer.progress(format_args!("{} is left alone: {holder}", store.cluster()));
        }
        holder.is_some()
    }

    async fn of_cluster(&self, cluster: &ClusterName) -> Result<Vec<Leftover>, CliError> {
        let observed = self.engine.observe(cluster).await?;
        let mut found = leftovers(cluster, &observed, &self.rules(&observed));
        let mut others = BTreeSet::new();
        for network in found.iter().filter(|one| one.kind == Kind::Network) {
            // The cluster's own go before it does.
            let members = self.engine.members(&network.id).await.unwrap_or_default();
            let is_own = |member: &String| observed.everything().any(|at| at.name == *member);
            if let Some(other) = members.iter().find(|member| !is_own(member)) {
                let name = &network.name;
                self.session.printer.progress(format_args!("network {name} is left alone: {other} is on it"));
                others.insert(network.id.clone());
            }
        }
        found.retain(|one| !others.contains(&one.id));
        found.extend(self.notes(cluster, &observed));
        Ok(found)
    }

    fn rules(&self, observed: &Observed) -> Rules {
        Rules {
            now: Timestamp::now(),
            older_than: SignedDuration::try_from(self.args.older_than).unwrap_or(SignedDuration::MAX),
            volumes: self.args.volumes,
            is_orphan: is_orphan(observed, self.engine.known_info().is_local),
        }
    }

    /// Notes of faults in containers that are gone.
    fn notes(&self, cluster: &ClusterName, observed: &Observed) -> Vec<Leftover> {
        let notes = self.folder(cluster).map(|store| store.breakages()).unwrap_or_default();
        let is_gone = |id: &crate::names::ContainerId| observed.containers.iter().all(|at| at.id != *id);
        let stale = notes.into_iter().filter(|note| is_gone(&note.container));
        let leftover = |note: crate::drive::chaos::Breakage| Leftover {
            cluster: cluster.clone(),
            kind: Kind::Note,
            name: format!("{} {}", note.fault.as_str(), note.component),
            id: note.container.to_string(),
            why: "the container that was broken is gone",
        };
        stale.map(leftover).collect()
    }

    /// The folder of a cluster that this engine hasn't anything of. One that may be on another engine is kept.
    fn of_folder(&self, store: &Store) -> Option<Leftover> {
        let here = &self.engine.known_info().address;
        let is_over = store.wanted() == Some(Wanted::Down);
        let was_here = store.source().and_then(|source| source.engine).as_ref() == Some(here);
        let age = SystemTime::now().duration_since(store.last_used()?).unwrap_or(Duration::ZERO);
        ((is_over || was_here) && age >= self.args.older_than).then(|| Leftover {
            cluster: store.cluster().clone(),
            kind: Kind::State,
            name: store.runs_dir().and_then(|runs| Some(runs.parent()?.display().to_string())).unwrap_or_default(),
            id: store.cluster().to_string(),
            why: "the cluster is gone; its run records go with it",
        })
    }

    async fn remove_all(&self, found: Vec<Leftover>) -> Vec<Row> {
        let mut rows = Vec::new();
        let clusters: BTreeSet<ClusterName> = found.iter().map(|one| one.cluster.clone()).collect();
        for cluster in clusters {
            let own: Vec<Leftover> = found.iter().filter(|one| one.cluster == cluster).cloned().collect();
            rows.extend(self.remove_of(&cluster, own).await);
        }
        rows
    }

    /// Removes what is still left over once the cluster's lock is held.
    async fn remove_of(&self, cluster: &ClusterName, found: Vec<Leftover>) -> Vec<Row> {
        let fail = |found: Vec<Leftover>, error: String| {
            found.into_iter().map(|leftover| Row { leftover, removed: false, error: Some(error.clone()) }).collect()
        };
        let store = self.folder(cluster);
        let _guard = match &store {
            Some(store) => match store.lock_actions("gc", false, |_| ()).await {
                Ok(guard) => Some(guard),
                Err(locked) => return fail(found, locked.to_string()),
            },
            None => None,
        };
        let still = match self.engine.observe(cluster).await {
            Ok(observed) => leftovers(cluster, &observed, &self.rules(&observed)),
            Err(error) => return fail(found, error.to_string()),
        };
        let is_still = |leftover: &Leftover| {
            let is_ours = matches!(leftover.kind, Kind::State | Kind::Note);
            is_ours || still.iter().any(|one| one.id == leftover.id && one.kind == leftover.kind)
        };
        let mut rows = Vec::new();
        // Networks are free once containers are gone, and so on; those of a kind go together.
        for kind in [Kind::Container, Kind::Network, Kind::Volume, Kind::Note, Kind::State] {
            let removals = found.iter().filter(|one| one.kind == kind).map(async |leftover| {
                let removed = match is_still(leftover) {
                    true => self.remove(leftover, store.as_ref()).await,
                    false => Err("it isn't left over any more".to_owned()),
                };
                Row { removed: removed.is_ok(), error: removed.err(), leftover: leftover.clone() }
            });
            rows.extend(futures::future::join_all(removals).await);
        }
        rows
    }

    async fn remove(&self, leftover: &Leftover, store: Option<&Store>) -> Result<(), String> {
        let text = |error: EngineError| error.to_string();
        match (leftover.kind, store) {
            (Kind::Container, _) => {
                let id = container_id(leftover).ok_or("it has no id")?;
                self.engine.remove(&id, self.args.volumes).await.map_err(text)
            }
            (Kind::Network, _) => self.remove_network(&leftover.id).await.map_err(text),
            (Kind::Volume, _) => self.engine.remove_volume(&leftover.id).await.map_err(text),
            (Kind::State, Some(store)) => store.remove().map_err(|error| error.to_string()),
            (Kind::Note, Some(store)) => {
                let change =
                    store.change_breakages(|notes| notes.retain(|note| note.container.as_str() != leftover.id));
                change.map_err(|error| error.to_string())
            }
            (Kind::State | Kind::Note, None) => Ok(()),
        }
    }

    /// The engine takes a moment to let go of a network after its last container.
    async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        let until = Instant::now() + NETWORK_PATIENCE;
        loop {
            match self.engine.remove_network(id).await {
                Err(error) if error.kind == ErrorKind::InUse && Instant::now() < until => {
                    tokio::time::sleep(NETWORK_PAUSE).await;
                }
                removed => return removed,
            }
        }
    }

    fn tell(&self, rows: &[Row], goes_on: bool) -> Result<u8, CliError> {
        let printer = &self.session.printer;
        let removed = rows.iter().filter(|row| row.removed).count();
        if self.session.global.is_json() {
            printer.result(table::json(rows).map_err(|error| CliError::failed(error.to_string()))?);
        } else if goes_on {
            for row in rows {
                if let Some(error) = &row.error {
                    let Leftover { kind, name, .. } = &row.leftover;
                    printer.problem(format_args!("error: {} {name} stays: {error}", kind.as_str()));
                }
            }
            printer.result(format_args!("removed {}", crate::report::theme::count(removed, "thing")));
        } else {
            printer.progress("nothing was removed: convoke gc --yes removes it");
        }
        Ok(if rows.iter().any(|row| row.error.is_some()) { FAILED } else { 0 })
    }
}
