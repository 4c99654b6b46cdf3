//! `convoke up`: bring a cluster up and wait until all of it is ready.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::args::{OnFailure, Up, Waiting};
use super::connect;
use super::ephemeral::{self, Held};
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, now_text, run_id};
use super::watchers::{Watchers, masker};
use super::{plan, source, supervise};
use crate::cluster::{Cluster, Component, PullPolicy, Recreate};
use crate::drive::shell::{self, RunEnd};
use crate::drive::stop::{StopRequest, stop};
use crate::drive::{Driver, Options};
use crate::engine::Subnet;
use crate::engine::docker::DockerEngine;
use crate::event::Outcome;
use crate::names::{ClusterName, ComponentName, ServiceName};
use crate::report::theme::count;
use crate::report::{boot_times, records};
use crate::store::{Guard, Source, Store, Wanted};

/// Records that expected boot times are learned from.
const RECORDS_READ: usize = 10;
/// After a failed or interrupted start, components get this long between their stop signal and SIGKILL.
const GRACE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Cleaning up after a failure takes this long at most: an engine that has stopped answering would hold it up for ever.
const CLEANUP_LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn run(session: &Session, args: Up) -> Result<u8, CliError> {
    if args.supervise && !args.plan {
        return supervise::up(session, args).await;
    }
    // Before anything else: it may end at any moment.
    let held = args.ephemeral.then(|| Held::of(args.owner_pid)).transpose()?;
    let connected = session.connect().await;
    // What is wrong with the input is said even where there is no engine.
    let is_local = connected.as_ref().map_or(true, |engine| engine.known_info().is_local);
    let described = source::describe(session, &args.source, &args.making.scale, is_local)?;
    let engine = connected?;
    let mut cluster = described.cluster;
    let only = part(&cluster, &described.services, args.no_deps)?;
    let run = run_id();
    as_asked(&mut cluster, &described.services, &args, &run);
    if args.plan {
        return plan::show(session, &engine, &cluster, &args, only.as_ref()).await;
    }
    let store = session.store(&cluster.name);
    let Some(_guard) = lock(session, &store, "up", !args.waiting.no_wait_lock).await? else {
        return Ok(INTERRUPTED);
    };
    // It may be refused: before anything is noted of it.
    cluster.ephemeral = match &held {
        Some(held) => Some(belongs_to(session, &engine, &store, held).await?),
        None => ephemeral::inherited(session, &engine, &store).await?,
    };
    let wanted = Source {
        files: cluster.config_files.clone(),
        template: described.template,
        engine: Some(engine.known_info().address.clone()),
    };
    note(store.set_source(&wanted));
    say_supervisor(session, &store);
    note(store.set_stopped(&still_stopped(&store, &cluster, only.as_ref())));
    note(store.set_wanted(Wanted::Up));
    let options = Options {
        run,
        command: if args.no_start { "create" } else { "up" }.into(),
        only,
        without_others: args.no_deps,
        only_make: args.no_start,
        timeout: args.waiting.timeout,
        starts_in_flight: args.parallel.max(1),
        publish_address: publish_address(session, &cluster, args.making.publish_address, &engine),
        pool: pool(args.making.pool.as_deref())?,
        rebuild: args.making.build,
        pull: args.making.pull.map(Into::into),
        // With none of them started no replica would ever have its turn.
        replace_at_once: args.at_once || args.no_start,
        remove_orphans: args.making.remove_orphans,
        ..basic_options(&store, &engine)
    };
    super::neon::provide_image(&engine, &cluster).await?;
    let watchers = Watchers::begin(session, &store, &masker(&cluster));
    let lines = connect::Lines::of(&cluster, masker(&cluster));
    let code = bring_up(session, engine.clone(), cluster, options, &args.waiting, watchers).await?;
    if code == 0 {
        lines.show(session, &engine).await;
    }
    Ok(code)
}

/// Notes what the command line says of containers and images.
fn as_asked(cluster: &mut Cluster, services: &[ServiceName], args: &Up, run: &str) {
    for component in cluster.components.values_mut() {
        let is_named = services.is_empty() || services.contains(&component.service);
        if args.force_recreate && is_named {
            component.recreate = Recreate::All { run: run.to_owned() };
        } else if args.no_recreate {
            component.recreate = Recreate::None;
        }
        if args.no_build && component.build.take().is_some() {
            component.pull = Some(PullPolicy::Never);
        }
    }
    if args.no_build {
        cluster.bases.clear();
    }
}

/// `convoke create`: what `up` makes, without starting it.
pub(super) async fn create(session: &Session, args: Up) -> Result<u8, CliError> {
    run(session, Up { no_start: true, ..args }).await
}

/// `convoke scale`: `up` of the services named, each with a number of containers.
pub(super) async fn scale(session: &Session, mut args: Up) -> Result<u8, CliError> {
    let (numbers, names): (Vec<String>, Vec<String>) =
        std::mem::take(&mut args.source.names).into_iter().partition(|name| name.contains('='));
    let numbers: Vec<(String, String)> =
        numbers.iter().filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    if numbers.is_empty() && args.making.scale.is_empty() {
        return Err(CliError::input("how many of which service?").hint("convoke scale web=3"));
    }
    args.making.scale.extend(numbers);
    args.source.names = names.into_iter().chain(args.making.scale.iter().map(|(service, _)| service.clone())).collect();
    run(session, args).await
}

/// The components of the services that were named, and unless `alone` what they depend on; None: all.
fn part(cluster: &Cluster, services: &[ServiceName], alone: bool) -> Result<Option<BTreeSet<ComponentName>>, CliError> {
    match (services, alone) {
        ([], false) => Ok(None),
        ([], true) => Err(CliError::input("--no-deps goes with services").hint("name those that are to be started")),
        (_, false) => Ok(Some(cluster.with_dependencies(services))),
        (_, true) => Ok(Some(cluster.of_services(services).map(|component| component.name.clone()).collect())),
    }
}

/// The components that stay stopped when `only` these are started: after `stop` of all of them the others, else those
/// that were stopped one by one.
pub(super) fn still_stopped(
    store: &Store,
    cluster: &Cluster,
    only: Option<&BTreeSet<ComponentName>>,
) -> BTreeSet<ComponentName> {
    let Some(only) = only else { return BTreeSet::new() };
    let stopped = match store.wanted() {
        Some(Wanted::Stopped) => cluster.components.keys().cloned().collect(),
        _ => store.stopped(),
    };
    stopped.difference(only).cloned().collect()
}

/// Makes the cluster one that goes when its owner does; the label's value. If that is now, the run is cut short.
async fn belongs_to(session: &Session, engine: &DockerEngine, store: &Store, held: &Held) -> Result<String, CliError> {
    ephemeral::admit(session, engine, store, held).await?;
    held.watch(engine, store)?;
    note(store.set_owner(Some(&held.label())));
    let end =
        held.end().map_err(|error| CliError::failed(format!("--ephemeral: its process can't be awaited: {error}")))?;
    session.interrupts.also(end);
    Ok(held.label())
}

/// One that supervises the cluster goes by what it was told itself: if that is something else, it will have its way.
fn say_supervisor(session: &Session, store: &Store) {
    if let Some(holder) = store.supervisor() {
        session.printer.progress(format_args!("note: supervised by {holder}, by the files that it was given"));
    }
}

/// What every run has.
pub(super) fn basic_options(store: &Store, engine: &DockerEngine) -> Options {
    Options {
        run: run_id(),
        time: now_text(),
        began: Some(jiff::Timestamp::now()),
        execs_in_flight: engine.known_info().cpus.max(1),
        boot_times: boot_times(&records(store, RECORDS_READ)),
        ..Options::default()
    }
}

/// Runs the driver, cleans up after a failure, and says how it went.
pub(super) async fn bring_up(
    session: &Session,
    engine: DockerEngine,
    cluster: Cluster,
    options: Options,
    waiting: &Waiting,
    watchers: Watchers,
) -> Result<u8, CliError> {
    let (name, run) = (cluster.name.clone(), options.run.clone());
    let prober = session.prober(&engine).await;
    let driver = Driver::new(Arc::new(cluster), options);
    let interrupt = session.interrupts.after(1);
    let end = shell::run(driver, engine.clone(), prober, interrupt, watchers.sink()).await;
    watchers.end().await;
    if end.outcome == Outcome::EngineUnreachable && !end.started_here.is_empty() {
        // It was waited for long enough.
        session.printer.progress(format_args!(
            "what this run started is left to the engine: when it is back, convoke up goes on, convoke down removes it"
        ));
    } else if end.outcome != Outcome::Ready {
        let cleanup = Cleanup { session, engine: &engine, run, what: waiting.on_failure };
        cleanup.run(&name, &end).await;
    }
    Ok(end.outcome.exit_code())
}

/// After a failed or interrupted start: what this run started is stopped, kept or removed; nothing else is touched.
struct Cleanup<'a> {
    session: &'a Session,
    engine: &'a DockerEngine,
    run: String,
    what: OnFailure,
}

impl Cleanup<'_> {
    async fn run(&self, cluster: &ClusterName, end: &RunEnd) {
        let started = end.started_here.clone();
        if started.is_empty() || self.what == OnFailure::Keep {
            return;
        }
        let verb = if self.what == OnFailure::Remove { "removed" } else { "stopped" };
        if end.outcome == Outcome::EngineUnreachable {
            return self.say_left(cluster, verb);
        }
        let remove = self.what == OnFailure::Remove;
        // One that had ended by itself is removed like the others, but it isn't stopped.
        let number = if remove { started.len() } else { end.running_here.len() };
        let request = StopRequest {
            run: self.run.clone(),
            command: if remove { "down".into() } else { "stop".into() },
            time: now_text(),
            only: Some(started),
            remove,
            grace_limit: Some(GRACE_AFTER_FAILURE),
            ..StopRequest::default()
        };
        let interrupt = async {
            tokio::select! {
                () = self.session.interrupts.after(2) => {}
                () = tokio::time::sleep(CLEANUP_LIMIT) => {}
            }
        };
        let outcome = stop(self.engine, cluster, &request, interrupt, |_| {}).await;
        let printer = &self.session.printer;
        match (outcome, number) {
            (Outcome::Ready, 0) => {}
            (Outcome::Ready, _) => {
                let what = count(number, "component");
                printer.progress(format_args!("{verb} {what} that this run started (--on-failure keep leaves them)"));
            }
            _ => self.say_left(cluster, verb),
        }
    }

    fn say_left(&self, cluster: &ClusterName, verb: &str) {
        self.session.printer.problem(format_args!(
            "warning: not all that this run started could be {verb}; later: convoke down -p {cluster}"
        ));
    }
}

/// Takes the cluster's lock; None if the wait was interrupted.
pub(super) async fn lock(
    session: &Session,
    store: &Store,
    command: &str,
    wait: bool,
) -> Result<Option<Guard>, CliError> {
    let printer = session.printer.clone();
    let locking = store.lock_actions(command, wait, move |locked| {
        printer.progress(format_args!("{locked}; waiting for it"));
    });
    tokio::select! {
        biased;
        () = session.interrupts.after(1) => Ok(None),
        guard = locking => Ok(Some(guard?)),
    }
}

/// A state directory that can't be written stops nothing; it was warned of when the store was opened.
pub(super) fn note<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::debug!(%error, "not remembered");
    }
}

/// Where ports without an address are published: on this machine only, if the engine is on it. Says so if it matters.
pub(super) fn publish_address(
    session: &Session,
    cluster: &Cluster,
    given: Option<IpAddr>,
    engine: &DockerEngine,
) -> IpAddr {
    let usual = if engine.known_info().shares_loopback() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    let address = given.unwrap_or(IpAddr::V4(usual));
    let matters = |c: &Component| c.spec.ports.iter().any(|port| port.host_ip.is_none());
    if given.is_none() && cluster.components.values().any(matters) {
        let note = format_args!("note: ports are published on {address} (--publish-address sets another)");
        session.printer.progress(note);
    }
    address
}

pub(super) fn pool(text: Option<&str>) -> Result<Subnet, CliError> {
    let Some(text) = text else { return Ok(Options::default().pool) };
    text.parse().map_err(|error: String| CliError::input(format!("--pool: {error}")))
}
