//! `convoke ls`, `images`, `volumes` and `top`: what there is, as tables or JSON.

use std::collections::BTreeMap;

use futures::future::{join_all, try_join_all};
use serde::Serialize;

use super::args::Components;
use super::args::{Images, List, Volumes};
use super::error::CliError;
use super::session::{Session, choose};
use crate::engine::{Engine, Observed, ObservedContainer, Status, labels};
use crate::names::ClusterName;
use crate::report::table;
use crate::units::ByteSize;

/// A table's row for people.
trait Row: Serialize {
    const HEADER: &'static [&'static str];
    fn cells(&self) -> Vec<String>;
}

/// Prints rows; with `--quiet` the first column only.
fn show<T: Row>(session: &Session, rows: &[T], none: &str) -> Result<u8, CliError> {
    let printer = &session.printer;
    if session.global.is_json() {
        printer.result(table::json(rows).map_err(|error| CliError::failed(error.to_string()))?);
    } else if session.global.quiet {
        rows.iter().for_each(|row| printer.result(row.cells().swap_remove(0)));
    } else if rows.is_empty() {
        printer.progress(none);
    } else {
        let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
        printer.result(table::plain(T::HEADER, &cells, printer.out_theme()));
    }
    Ok(0)
}

#[derive(Serialize)]
struct ClusterRow {
    name: ClusterName,
    /// How many containers are in which state.
    status: BTreeMap<Status, usize>,
    config_files: String,
}

impl Row for ClusterRow {
    const HEADER: &'static [&'static str] = &["CLUSTER", "STATUS", "CONFIG FILES"];

    fn cells(&self) -> Vec<String> {
        let status = self.status.iter().map(|(status, number)| format!("{}({number})", status.as_str()));
        vec![self.name.to_string(), status.collect::<Vec<_>>().join(", "), self.config_files.clone()]
    }
}

pub(super) async fn clusters(session: &Session, args: List) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let names = engine.clusters().await?;
    let all = try_join_all(names.iter().map(|name| engine.observe(name))).await?;
    let runs = |observed: &Observed| observed.containers.iter().any(|c| c.state.status == Status::Running);
    let wanted = names.into_iter().zip(all).filter(|(_, observed)| args.all || runs(observed));
    let rows: Vec<ClusterRow> = wanted.map(|(name, observed)| cluster_row(name, &observed)).collect();
    show(session, &rows, "no cluster runs (--all shows those that are stopped)")
}

fn cluster_row(name: ClusterName, observed: &Observed) -> ClusterRow {
    let mut status = BTreeMap::new();
    for container in &observed.containers {
        *status.entry(container.state.status).or_default() += 1;
    }
    let files = observed.containers.iter().find_map(|c| c.label(labels::COMPOSE_CONFIG_FILES));
    ClusterRow { name, status, config_files: files.unwrap_or_default().to_owned() }
}

#[derive(Serialize)]
struct ImageRow {
    component: String,
    image: String,
    id: String,
    size: u64,
}

impl Row for ImageRow {
    const HEADER: &'static [&'static str] = &["COMPONENT", "IMAGE", "ID", "SIZE"];

    fn cells(&self) -> Vec<String> {
        let id = self.id.strip_prefix("sha256:").unwrap_or(&self.id);
        let short = id.get(..12).unwrap_or(id).to_owned();
        vec![self.component.clone(), self.image.clone(), short, ByteSize(self.size).to_string()]
    }
}

pub(super) async fn images(session: &Session, args: Images) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.which.files.file).await?;
    let observed = session.observe(&engine, &cluster).await?;
    let chosen = choose(&observed, &args.which.components)?;
    let containers = observed.containers.iter().filter(|c| chosen.contains(&c.component));
    let row = async |container: &ObservedContainer| {
        let size = engine.image(&container.image_id).await?.map_or(0, |image| image.size);
        Ok::<_, CliError>(ImageRow {
            component: container.component.to_string(),
            image: container.label(labels::IMAGE_REFERENCE).unwrap_or_default().to_owned(),
            id: container.image_id.clone(),
            size,
        })
    };
    show(session, &try_join_all(containers.map(row)).await?, "no containers")
}

#[derive(Serialize)]
struct VolumeRow {
    name: String,
    key: String,
}

impl Row for VolumeRow {
    const HEADER: &'static [&'static str] = &["VOLUME", "KEY"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.key.clone()]
    }
}

pub(super) async fn volumes(session: &Session, args: Volumes) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.files.file).await?;
    // They may outlive the containers.
    let observed = engine.observe(&cluster).await?;
    let key = |labels: &BTreeMap<String, String>| labels.get(labels::COMPOSE_VOLUME).cloned().unwrap_or_default();
    let row =
        |volume: &crate::engine::ObservedVolume| VolumeRow { name: volume.name.clone(), key: key(&volume.labels) };
    let rows: Vec<VolumeRow> = observed.volumes.iter().map(row).collect();
    show(session, &rows, "no volumes")
}

pub(super) async fn top(session: &Session, which: Components) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &which.files.file).await?;
    let observed = session.observe(&engine, &cluster).await?;
    let chosen = choose(&observed, &which.components)?;
    let running = observed.containers.iter().filter(|c| c.state.status == Status::Running);
    let running: Vec<&ObservedContainer> = running.filter(|c| chosen.contains(&c.component)).collect();
    let all = join_all(running.iter().map(|container| engine.processes(&container.id))).await;
    let mut out = Vec::new();
    for (container, processes) in running.iter().zip(all) {
        out.push((container.component.to_string(), processes?));
    }
    if session.global.is_json() {
        let rows = |(component, processes): &(String, crate::engine::docker::Processes)| {
            let row = |cells: &Vec<String>| processes.titles.iter().cloned().zip(cells.iter().cloned()).collect();
            let rows: Vec<BTreeMap<String, String>> = processes.rows.iter().map(row).collect();
            serde_json::json!({ "component": component, "processes": rows })
        };
        let all: Vec<serde_json::Value> = out.iter().map(rows).collect();
        session.printer.result(table::json(&all).map_err(|error| CliError::failed(error.to_string()))?);
        return Ok(0);
    }
    let theme = session.printer.out_theme();
    for (component, processes) in out {
        let titles: Vec<&str> = processes.titles.iter().map(String::as_str).collect();
        session.printer.result(format_args!("{component}\n{}\n", table::plain(&titles, &processes.rows, theme)));
    }
    Ok(0)
}
