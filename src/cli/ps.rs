//! `convoke ps`: the components of a cluster, each asked now whether it is ready.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use super::args::Ps;
use super::error::CliError;
use super::history::History;
use super::session::{Session, choose};
use crate::cluster::{Cluster, Component, Probe, ProbeAction};
use crate::engine::{Endpoint, Engine, HealthStatus, ImageInfo, ObservedContainer, Status, labels};
use crate::event::{Phase, PublishedEndpoint};
use crate::names::ComponentName;
use crate::plan::labelled::from_labels;
use crate::plan::request::health_in_force;
use crate::probe::{Answer, Prober, Target, Verdict, look_in_log};
use crate::report::{PsRow, table};

/// A component gets so long to answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn run(session: &Session, args: Ps) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let name = session.cluster_name(&engine, &args.which.files.file).await?;
    let mut observed = session.observe(&engine, &name).await?;
    let chosen = choose(&observed, &args.which.components)?;
    let wanted: Vec<&String> = args.status.iter().chain(&args.filter).collect();
    let has_status = |status: Status| wanted.is_empty() || wanted.iter().any(|word| *word == word_of(status));
    let is_shown =
        |container: &ObservedContainer| chosen.contains(&container.component) && has_status(container.state.status);
    observed.containers.retain(is_shown);
    if session.global.quiet || args.services {
        let line = |container: &ObservedContainer| match args.services {
            true => container.label(labels::COMPOSE_SERVICE).unwrap_or_default().to_owned(),
            false => container.id.to_string(),
        };
        let mut lines: Vec<String> = observed.containers.iter().map(line).collect();
        lines.sort();
        lines.dedup();
        lines.iter().for_each(|line| session.printer.result(line));
        return Ok(0);
    }
    let cluster = from_labels(&name, &observed);
    let prober = session.prober(&engine).await;
    let history = History::of(&name);
    let asks = observed.containers.iter().map(|container| row(&engine, &prober, &cluster, &history, container));
    let mut rows = join_all(asks).await;
    rows.sort_by(|a, b| a.component.cmp(&b.component));
    let printer = &session.printer;
    if session.global.is_json() {
        printer.result(table::json(&rows).map_err(|error| CliError::failed(error.to_string()))?);
    } else {
        printer.result(table::ps(&rows, Timestamp::now(), printer.out_theme()));
    }
    Ok(0)
}

/// The engine's word for a state.
const fn word_of(status: Status) -> &'static str {
    match status {
        Status::Created => "created",
        Status::Running => "running",
        Status::Paused => "paused",
        Status::Restarting => "restarting",
        Status::Removing => "removing",
        Status::Exited => "exited",
        Status::Dead => "dead",
    }
}

async fn row<E: Engine, P: Prober>(
    engine: &E,
    prober: &P,
    cluster: &Cluster,
    history: &History,
    container: &ObservedContainer,
) -> PsRow {
    let component = cluster.components.get(&container.component);
    let state = &container.state;
    let (phase, probe) = match state.status {
        Status::Running => running_phase(engine, prober, component, container).await,
        Status::Paused => (Phase::Unhealthy, Some("paused".to_owned())),
        Status::Restarting => (Phase::Restarting, None),
        Status::Created => (Phase::Created, None),
        Status::Exited if state.exit_code == 0 && component.is_some_and(|c| c.completes) => (Phase::Completed, None),
        Status::Exited | Status::Dead if history.ended_by_itself(container) => (Phase::Failed, None),
        Status::Exited | Status::Dead | Status::Removing => (Phase::Stopped, None),
    };
    let is_up = matches!(state.status, Status::Running | Status::Paused);
    PsRow {
        component: container.component.clone(),
        phase,
        since: if is_up { state.started_at } else { state.finished_at },
        restarts: state.restart_count,
        exit_code: (!is_up && state.started_at.is_some()).then_some(state.exit_code),
        probe,
        addresses: container.networks.values().filter_map(Endpoint::contact).collect(),
        ports: endpoints(&container.component, container),
        image: container.label(labels::IMAGE_REFERENCE).unwrap_or(&container.image_id).to_owned(),
    }
}

async fn running_phase<E: Engine, P: Prober>(
    engine: &E,
    prober: &P,
    component: Option<&Component>,
    container: &ObservedContainer,
) -> (Phase, Option<String>) {
    let health = container.state.health.as_ref().map(|health| health.status);
    let Some(component) = component else { return (Phase::Started, None) };
    if component.probes.ready.is_none() {
        match health {
            Some(HealthStatus::Healthy) => return (Phase::Ready, Some("healthy".into())),
            Some(HealthStatus::Unhealthy) => return (Phase::Unhealthy, Some("unhealthy".into())),
            _ => {}
        }
    }
    let of_image: Option<&ImageInfo> = None;
    let of_file = health_in_force(component, of_image.and_then(|image| image.health.as_ref()));
    let Some(probe) = component.probes.ready.clone().or_else(|| of_file.map(|check| check.as_probe())) else {
        return match health {
            Some(_) => (Phase::Started, Some("starting".into())),
            None if component.probes.ready_withheld => {
                (Phase::Started, Some("its probe holds a secret: `convoke up` asks it".into()))
            }
            None => (Phase::Ready, None),
        };
    };
    let answer = ask(engine, prober, container, &probe).await;
    let phase = match answer.verdict {
        Verdict::Pass => Phase::Ready,
        Verdict::Refuses if !matches!(probe.action, ProbeAction::Exec { .. }) => Phase::Live,
        _ => Phase::Started,
    };
    (phase, Some(answer.text))
}

async fn ask<E: Engine, P: Prober>(engine: &E, prober: &P, container: &ObservedContainer, probe: &Probe) -> Answer {
    let target = Target {
        component: container.component.clone(),
        container: container.id.clone(),
        addresses: container.networks.values().filter_map(Endpoint::contact).collect(),
        published: container.ports.clone(),
        host_network: container.host_network,
        started_at: container.state.started_at,
    };
    let late = || Answer { verdict: Verdict::Unreachable, text: "no answer in 2 s".into(), took: PATIENCE };
    let ask = async {
        match &probe.action {
            // The prober would wait for the line.
            ProbeAction::Log { contains } => look_in_log(engine, &target, contains).await,
            _ => prober.ask(&target, probe).await,
        }
    };
    tokio::time::timeout(PATIENCE, ask).await.unwrap_or_else(|_| late())
}

fn endpoints(component: &ComponentName, container: &ObservedContainer) -> Vec<PublishedEndpoint> {
    let published = |port: &crate::cluster::PortBinding| {
        let host = std::net::SocketAddr::new(port.host_ip?, port.host_port?).to_string();
        let protocol = port.protocol.as_str().to_owned();
        Some(PublishedEndpoint { component: component.clone(), host, port: port.container_port, protocol })
    };
    container.ports.iter().filter_map(published).collect()
}
