//! `convoke wait` and `convoke events`: watching containers, without doing anything.

use std::collections::BTreeMap;

use futures::StreamExt;
use jiff::Timestamp;
use serde::Serialize;

use super::args::{Down, Files};
use super::args::{Events, Wait};
use super::down;
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, choose};
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineEventKind, Status};
use crate::names::{ClusterName, ComponentName, ContainerId};

/// The code of a deadline that passed.
const LATE: u8 = 3;

/// Waits until all that is named has ended; the first exit code that isn't 0, or 0.
pub(super) async fn wait(session: &Session, args: Wait) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.files.file).await?;
    let observed = session.observe(&engine, &cluster).await?;
    let chosen = choose(&observed, &args.components)?;
    let of_chosen = observed.containers.into_iter().filter(|c| chosen.contains(&c.component));
    let open = of_chosen.map(|c| (c.id, c.component)).collect();
    let limit = async {
        match args.timeout {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let code = tokio::select! {
        biased;
        () = session.interrupts.after(1) => return Ok(INTERRUPTED),
        code = ends(session, &engine, &cluster, open) => code?,
        () = limit => {
            session.printer.problem("error: not all of them ended in time");
            return Ok(LATE);
        }
    };
    if args.down_project {
        let taken_down = down::down(session, Down::of(args.files)).await?;
        return Ok(if code == 0 { taken_down } else { code });
    }
    Ok(code)
}

/// Says of each container how it ended.
async fn ends(
    session: &Session,
    engine: &DockerEngine,
    cluster: &ClusterName,
    mut open: BTreeMap<ContainerId, ComponentName>,
) -> Result<u8, CliError> {
    let mut code = 0;
    // After a break of the stream everything is looked at again.
    loop {
        let mut events = engine.events(cluster);
        while let Some(Ok(event)) = events.next().await {
            let looked_at: Vec<ContainerId> = match event.kind {
                EngineEventKind::Subscribed => open.keys().cloned().collect(),
                EngineEventKind::Container { id, .. } => open.keys().filter(|own| **own == id).cloned().collect(),
            };
            for id in looked_at {
                let Some(ended) = exit_code(engine, &id).await? else { continue };
                if let Some(component) = open.remove(&id) {
                    session.printer.result(format_args!("{component} exited with code {ended}"));
                    code = if code == 0 { u8::try_from(ended).unwrap_or(1) } else { code };
                }
            }
            if open.is_empty() {
                return Ok(code);
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// The exit code of a container that has ended for good; one that is gone counts as ended well.
async fn exit_code(engine: &DockerEngine, id: &ContainerId) -> Result<Option<i64>, CliError> {
    let Some(container) = engine.inspect(id).await? else { return Ok(Some(0)) };
    let has_ended = matches!(container.state.status, Status::Exited | Status::Dead);
    Ok(has_ended.then_some(container.state.exit_code))
}

#[derive(Serialize)]
struct Said<'a> {
    time: String,
    action: &'a str,
    component: &'a str,
    id: &'a str,
}

/// Prints the engine's events of the cluster's containers until Ctrl-C.
pub(super) async fn events(session: &Session, args: Events) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.which.files.file).await?;
    let wanted = &args.which.components;
    let is_json = args.json || session.global.is_json();
    let watching = async {
        let mut events = engine.events(&cluster);
        while let Some(event) = events.next().await {
            let EngineEventKind::Container { id, component, action } = event?.kind else { continue };
            let component = component.as_ref().map_or("", ComponentName::as_str);
            if !wanted.is_empty() && !wanted.iter().any(|name| is_meant(name, component)) {
                continue;
            }
            let said = Said { time: Timestamp::now().to_string(), action: &action, component, id: id.as_str() };
            if is_json {
                let text = serde_json::to_string(&said).map_err(|error| CliError::failed(error.to_string()))?;
                session.printer.result(text);
            } else {
                session.printer.result(format_args!("{} {} {component} ({})", said.time, said.action, id.short()));
            }
        }
        Err(CliError::failed("the engine ended its events"))
    };
    tokio::select! {
        biased;
        () = session.interrupts.after(1) => Ok(INTERRUPTED),
        ended = watching => ended,
    }
}

/// Whether the name is the component's or its service's.
fn is_meant(name: &str, component: &str) -> bool {
    let number = component.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    name == component || number.is_some_and(|number| number.parse::<u32>().is_ok())
}

impl Down {
    /// Taking a cluster down as `down` without options does.
    const fn of(files: Files) -> Self {
        Self { files, volumes: false, time: None, grace: None, ordered: false, no_wait_lock: false }
    }
}
