//! `convoke neon endpoint`: the control plane knows what an endpoint is, the engine runs it.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::super::args::{Components, Files, OnFailure, Restart, Source, Waiting};
use super::super::connect;
use super::super::error::{CliError, INTERRUPTED};
use super::super::restart;
use super::super::session::{Session, now_text, run_id};
use super::super::source;
use super::super::up::{basic_options, bring_up, lock};
use super::super::watchers::{Watchers, masker};
use super::args::{EndpointCommand, EndpointCreate, OfTenant};
use super::link::{Link, service};
use super::psql;
use crate::drive::Options;
use crate::drive::stop::{StopRequest, stop};
use crate::engine::{Engine, Status};
use crate::event::Outcome;
use crate::names::ComponentName;
use crate::neon::api::{self, COMPONENT, EndpointView, Stopped};
use crate::neon::compute::component;
use crate::neon::ids::EndpointName;
use crate::neon::state::Mode;
use crate::plan::labelled::from_labels;
use crate::report::table;

/// The label of the control plane that holds the parameters which endpoints have in common with the rest.
const PARAMETERS: &str = "neon.parameters";
/// As long as neon_local waits.
const RUNNING: Duration = Duration::from_secs(90);
/// After a clean stop compute_ctl ends by itself.
const ENDING: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);
/// For one that doesn't: between the stop signal and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

pub(super) async fn run(session: &Session, command: EndpointCommand) -> Result<u8, CliError> {
    match command {
        EndpointCommand::List => list(session).await,
        EndpointCommand::Create(args) => create(session, args).await,
        EndpointCommand::Start(of) => start(session, &of.endpoint).await,
        EndpointCommand::Stop(of) => {
            let link = Link::open(session).await?;
            halt(session, &link, &of.endpoint).await?;
            Ok(0)
        }
        EndpointCommand::Reconfigure(of) => {
            let link = Link::open(session).await?;
            link.ask::<Value>(Method::POST, &format!("/v1/endpoints/{}/reconfigure", of.endpoint), None::<&()>).await?;
            Ok(0)
        }
        EndpointCommand::Refresh(of) => {
            let link = Link::open(session).await?;
            link.ask::<Value>(Method::POST, &format!("/v1/endpoints/{}/refresh", of.endpoint), None::<&()>).await?;
            Ok(0)
        }
        EndpointCommand::Jwt(args) => {
            let link = Link::open(session).await?;
            let body = api::TokenWanted { scope: args.scope };
            let made: api::Token =
                link.ask(Method::POST, &format!("/v1/endpoints/{}/jwt", args.endpoint), Some(&body)).await?;
            session.printer.result(made.token);
            Ok(0)
        }
        EndpointCommand::Promote(args) => promote(session, &args.endpoint, args.stop_primary).await,
        EndpointCommand::Destroy(of) => destroy(session, &of.endpoint).await,
        EndpointCommand::Psql(args) => psql::run(session, args).await,
    }
}

pub(super) async fn storage_token(session: &Session, scope: String, of: OfTenant) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    let body = api::StorageTokenWanted { scope, tenant: of.tenant };
    let made: api::Token = link.ask(Method::POST, "/v1/jwt", Some(&body)).await?;
    session.printer.result(made.token);
    Ok(0)
}

async fn list(session: &Session) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    let overview = link.overview().await?;
    let printer = &session.printer;
    if session.global.is_json() {
        printer
            .result(serde_json::to_string(&overview.endpoints).map_err(|error| CliError::failed(error.to_string()))?);
        return Ok(0);
    }
    printer.result(endpoints(session, &link, &overview.endpoints));
    Ok(0)
}

/// The table of endpoints.
pub(super) fn endpoints(session: &Session, link: &Link, endpoints: &[EndpointView]) -> String {
    let header = ["ENDPOINT", "STATE", "MODE", "BRANCH", "TIMELINE", "PG", "ADDRESS"];
    let row = |view: &EndpointView| {
        let container = service(&link.observed, &component(&view.name));
        let running = container.filter(|container| container.state.status == Status::Running);
        let address = running.and_then(|c| connect::published(c, crate::neon::spec::PG_PORT, "127.0.0.1"));
        let state = match (running, view.stopped, &view.said) {
            (None, true, _) => "stopped".to_owned(),
            (None, false, _) => "not running".to_owned(),
            (Some(_), _, Some(said)) => said.clone(),
            (Some(_), _, None) => "starting".to_owned(),
        };
        let mode = match view.mode {
            Mode::Primary => "primary".to_owned(),
            Mode::Replica => "replica".to_owned(),
            Mode::Static(lsn) => format!("static {lsn}"),
        };
        vec![
            view.name.to_string(),
            state,
            mode,
            view.branch.to_string(),
            view.timeline.map(|id| id.to_string()).unwrap_or_default(),
            view.pg_version.to_string(),
            address.unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = endpoints.iter().map(row).collect();
    table::listing(&header, &rows, "no endpoints", session.printer.out_theme())
}

async fn create(session: &Session, args: EndpointCreate) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    let body = api::EndpointCreate {
        branch: args.branch.unwrap_or_else(|| args.endpoint.to_string()),
        name: args.endpoint,
        tenant: args.of.tenant,
        mode: match args.lsn {
            Some(lsn) => Mode::Static(lsn),
            None if args.hot_standby => Mode::Replica,
            None => Mode::Primary,
        },
        allow_multiple: args.allow_multiple,
    };
    let view: EndpointView = link.ask(Method::POST, "/v1/endpoints", Some(&body)).await?;
    let code = bring_up_new(session, &link, &view).await?;
    if code == 0 { await_running(session, &link, &view.name).await } else { Ok(code) }
}

/// Creates and starts the endpoint's container, beside those that the cluster has.
async fn bring_up_new(session: &Session, link: &Link, view: &EndpointView) -> Result<u8, CliError> {
    let name = component(&view.name);
    let new = described(session, link, view, link.login().await?.password)?;
    let mut cluster = from_labels(&link.cluster, &link.observed);
    let wanted: ComponentName = name.parse().map_err(|error| CliError::input(format!("{error}")))?;
    let masker = masker(&new);
    let component = new.components.get(&wanted).cloned();
    let component = component.ok_or_else(|| CliError::failed(format!("the template neon has no {wanted}")))?;
    cluster.components.insert(wanted.clone(), component);
    let lines = connect::Lines::of(&cluster, masker.clone());
    let store = session.store(&link.cluster);
    let Some(_guard) = lock(session, &store, "neon endpoint create", true).await? else { return Ok(INTERRUPTED) };
    let options = Options {
        command: "neon endpoint create".into(),
        only: Some(BTreeSet::from([wanted])),
        ..basic_options(&store, &link.engine)
    };
    let watchers = Watchers::begin(session, &store, &masker);
    let code = bring_up(session, link.engine.clone(), cluster, options, &waiting(), watchers).await?;
    if code == 0 {
        lines.show(session, &link.engine).await;
    }
    Ok(code)
}

/// The template, with the parameters that the cluster was made with and this endpoint alone.
fn described(
    session: &Session,
    link: &Link,
    view: &EndpointView,
    password: String,
) -> Result<crate::cluster::Cluster, CliError> {
    let control_plane = service(&link.observed, COMPONENT);
    let text = control_plane.and_then(|container| container.label(PARAMETERS)).unwrap_or("{}");
    let parameters: serde_json::Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        CliError::failed(format!("the label {PARAMETERS} of the control plane can't be read: {error}"))
    })?;
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut set: Vec<(String, String)> = parameters.iter().map(|(key, value)| (key.clone(), plain(value))).collect();
    set.push(("endpoints".into(), format!("{}:{}", view.name, view.pg_version)));
    set.push(("password".into(), password));
    let mut session = session.clone();
    session.files = Vec::new();
    session.global.project = Some(link.cluster.to_string());
    let args = Source { set, template: Some("neon".into()), ..Source::default() };
    let is_local = link.engine.known_info().is_local;
    Ok(source::describe(&session, &args, &[], is_local)?.cluster)
}

fn waiting() -> Waiting {
    Waiting { timeout: Some(RUNNING), on_failure: OnFailure::Stop, no_wait_lock: false }
}

/// Its container answers; now its Postgres has to have what the control plane gave it.
async fn await_running(session: &Session, link: &Link, name: &EndpointName) -> Result<u8, CliError> {
    let begun = Instant::now();
    loop {
        let view: EndpointView = link.get(&format!("/v1/endpoints/{name}")).await?;
        let said = view.said.unwrap_or_default();
        if said == "running" {
            return Ok(0);
        }
        if said.starts_with("failed") || begun.elapsed() > RUNNING {
            return Err(CliError::failed(format!("endpoint {name} doesn't run: {said}"))
                .hint(format!("convoke logs {}", component(name))));
        }
        tokio::select! {
            () = session.interrupts.after(1) => return Ok(INTERRUPTED),
            () = sleep(POLL) => {}
        }
    }
}

async fn start(session: &Session, name: &EndpointName) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    link.ask::<Value>(Method::POST, &format!("/v1/endpoints/{name}/start"), None::<&()>).await?;
    if service(&link.observed, &component(name)).is_none() {
        let view: EndpointView = link.get(&format!("/v1/endpoints/{name}")).await?;
        let code = bring_up_new(session, &link, &view).await?;
        return if code == 0 { await_running(session, &link, name).await } else { Ok(code) };
    }
    let mut session = session.clone();
    session.global.project = Some(link.cluster.to_string());
    let which = Components { files: Files::default(), components: vec![component(name)] };
    let code = restart::start(&session, Restart { which, waiting: waiting() }).await?;
    if code == 0 { await_running(&session, &link, name).await } else { Ok(code) }
}

/// The primary's last WAL is on the safekeepers when it has stopped; the standby reads it before it goes on.
async fn promote(session: &Session, name: &EndpointName, stop_primary: bool) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    if stop_primary {
        let overview = link.overview().await?;
        let own = overview.endpoints.iter().find(|view| view.name == *name).map(|view| (view.tenant, &view.branch));
        let is_primary = |view: &&EndpointView| {
            view.mode == Mode::Primary
                && !view.stopped
                && view.name != *name
                && Some((view.tenant, &view.branch)) == own
        };
        for primary in overview.endpoints.iter().filter(is_primary) {
            halt(session, &link, &primary.name).await?;
        }
    }
    let path = format!("/v1/endpoints/{name}/promote");
    let promoted: api::Promoted = link.ask(Method::POST, &path, None::<&()>).await?;
    if !promoted.in_place {
        halt(session, &link, name).await?;
        return start(session, name).await;
    }
    session.printer.progress(format_args!("endpoint {name} is the primary"));
    Ok(0)
}

/// Cleanly if it answers, by signal if not.
async fn halt(session: &Session, link: &Link, name: &EndpointName) -> Result<(), CliError> {
    let stopped: Stopped = link.ask(Method::POST, &format!("/v1/endpoints/{name}/stop"), None::<&()>).await?;
    let begun = Instant::now();
    while !stopped.was_gone && begun.elapsed() < ENDING && is_running(link, name).await? {
        sleep(POLL).await;
    }
    if is_running(link, name).await? {
        end(session, link, name, false).await?;
    }
    match stopped.lsn {
        Some(lsn) => session.printer.progress(format_args!("endpoint {name} stopped; all up to {lsn} is safe")),
        None => session.printer.progress(format_args!("endpoint {name} stopped")),
    }
    Ok(())
}

async fn is_running(link: &Link, name: &EndpointName) -> Result<bool, CliError> {
    let observed = link.engine.observe(&link.cluster).await?;
    let container = service(&observed, &component(name));
    Ok(container.is_some_and(|container| matches!(container.state.status, Status::Running | Status::Restarting)))
}

/// Stops the container, or removes it.
async fn end(session: &Session, link: &Link, name: &EndpointName, remove: bool) -> Result<(), CliError> {
    let only: ComponentName = component(name).parse().map_err(|error| CliError::input(format!("{error}")))?;
    let request = StopRequest {
        run: run_id(),
        command: if remove { "down".into() } else { "stop".into() },
        time: now_text(),
        only: Some(BTreeSet::from([only])),
        remove,
        grace_limit: Some(GRACE),
        ..StopRequest::default()
    };
    match stop(&link.engine, &link.cluster, &request, session.interrupts.after(1), |_| {}).await {
        Outcome::Ready => Ok(()),
        outcome => Err(CliError {
            code: outcome.exit_code(),
            ..CliError::failed(format!("endpoint {name} could not be stopped"))
        }),
    }
}

async fn destroy(session: &Session, name: &EndpointName) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    let view: EndpointView = link.get(&format!("/v1/endpoints/{name}")).await?;
    if view.declared {
        return Err(CliError::input(format!("endpoint {name} is one of the template's parameter `endpoints`"))
            .hint(format!("convoke neon endpoint stop {name}; or convoke up neon --set endpoints=… without it")));
    }
    if service(&link.observed, &component(name)).is_some() {
        halt(session, &link, name).await?;
        end(session, &link, name, true).await?;
    }
    link.ask::<Value>(Method::DELETE, &format!("/v1/endpoints/{name}"), None::<&()>).await?;
    Ok(0)
}
