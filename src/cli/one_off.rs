//! `convoke run`: a one-off container of a service, with this process's own streams.
//!
//! The container is made by the same run that starts what the service depends on, as one more component of the cluster
//! that nobody starts. What the command line says of it is one more Compose file, merged over the others: so it is read,
//! merged and refused by the rules that hold for files.

use std::collections::BTreeSet;
use std::io::IsTerminal;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::args::{Run, Source as SourceArgs};
use super::error::{CliError, FAILED, INTERRUPTED};
use super::session::Session;
use super::source::{self, Described};
use super::up::{basic_options, bring_up, lock, note, publish_address, still_stopped};
use super::watchers::{Watchers, masker};
use super::{ephemeral, one_off_file};
use crate::cluster::{Cluster, Component, Hooks, OneOff};
use crate::drive::Options;
use crate::engine::docker::{Attached, DockerEngine};
use crate::engine::{Engine, ErrorKind, ObservedContainer, labels};
use crate::names::{ComponentName, ContainerId, ServiceName};
use crate::store::{Source, Store, Wanted};

/// What a shell says of a program that can't be run, and of one that isn't there.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

pub(super) async fn run(session: &Session, args: Run) -> Result<u8, CliError> {
    if session.global.is_json() {
        return Err(CliError::input("run passes on what the command writes, which isn't JSON lines")
            .hint("leave --format json out; convoke events shows what happens"));
    }
    let connected = session.connect().await;
    let is_local = connected.as_ref().map_or(true, |engine| engine.known_info().is_local);
    let subject = Subject::of(session, &args, is_local)?;
    let engine = connected?;
    let (name, how) = (subject.one_off.container_name.clone(), subject.how(&args));
    let component = subject.one_off.name.clone();
    let store = session.store(&subject.described.cluster.name);
    let made = make(session, &engine, &store, subject, &args).await?;
    let found = find(&engine, &name, &component).await?;
    match (made, found) {
        (0, Some(container)) => start(session, &engine, &args, &container, how).await,
        (0, None) => Err(CliError::failed(format!("{name} was made, and is gone: somebody removed it"))),
        (code, left) => {
            // It would stay behind, and nobody asked for it without what it depends on.
            if let Some(left) = left {
                engine.remove(&left.id, true).await?;
            }
            Ok(code)
        }
    }
}

/// What is run, in which cluster.
struct Subject {
    described: Described,
    one_off: Component,
    /// What has to be ready before.
    dependencies: BTreeSet<ComponentName>,
}

impl Subject {
    fn of(session: &Session, args: &Run, engine_is_local: bool) -> Result<Self, CliError> {
        let source = SourceArgs { file: args.file.clone(), names: vec![args.service.clone()], ..SourceArgs::default() };
        let written = one_off_file::text(args)?;
        let (described, changed) = source::with_one_off(session, &source, &args.service, written, engine_is_local)?;
        let mut own = changed.components.into_values().filter(|component| component.service.as_str() == args.service);
        let Some(component) = own.next() else {
            return Err(CliError::failed(format!("service {} has no container that could be run", args.service)));
        };
        let needed = component.gates.iter().map(|gate| &gate.on).chain(&component.needs);
        let needed = needed.filter_map(|on| described.cluster.components.get(on));
        let services: Vec<ServiceName> = needed.map(|on| on.service.clone()).collect();
        let dependencies = if args.no_deps { BTreeSet::new() } else { described.cluster.with_dependencies(&services) };
        let one_off = one_off(component, args, &described.cluster)?;
        let mut subject = Self { described, one_off, dependencies };
        // A service of which none is to run has networks and volumes of its own all the same.
        let cluster = &mut subject.described.cluster;
        for (key, network) in changed.networks {
            cluster.networks.entry(key).or_insert(network);
        }
        for (key, volume) in changed.volumes {
            cluster.volumes.entry(key).or_insert(volume);
        }
        cluster.components.insert(subject.one_off.name.clone(), subject.one_off.clone());
        Ok(subject)
    }

    fn how(&self, args: &Run) -> Attached {
        Attached { input: self.one_off.spec.stdin_open, tty: self.one_off.spec.tty, removed: args.remove }
    }
}

/// The service's component as a one-off container.
fn one_off(mut component: Component, args: &Run, cluster: &Cluster) -> Result<Component, CliError> {
    let slug = slug()?;
    let named = format!("{}-run-{slug}", component.service);
    component.container_name = args.name.clone().unwrap_or_else(|| format!("{}-{named}", cluster.name));
    component.name = ComponentName::new(named).map_err(|error| CliError::failed(error.to_string()))?;
    component.number = 0;
    // It is started when its dependencies are ready, and by its caller.
    component.gates.clear();
    component.needs.clear();
    component.restarts_early_exit = false;
    component.completes = false;
    component.connect = None;
    // They belong to the life of a component.
    component.hooks = Hooks::default();
    let spec = &mut component.spec;
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    spec.tty = !args.no_tty && !args.detach && is_terminal;
    spec.stdin_open = args.interactive && !args.detach;
    // Its service's component has these.
    spec.settings.mac_address = None;
    for attachment in spec.networks.values_mut() {
        attachment.ipv4_address = None;
        attachment.settings.ipv6_address = None;
        attachment.settings.mac_address = None;
        if !args.use_aliases {
            attachment.aliases.clear();
        }
    }
    component.one_off = Some(OneOff { slug, remove: args.remove, under_its_service: args.use_aliases });
    Ok(component)
}

fn slug() -> Result<String, CliError> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|error| CliError::failed(format!("no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Starts what it depends on and makes the container, under the cluster's lock; the exit code so far.
async fn make(
    session: &Session,
    engine: &DockerEngine,
    store: &Store,
    subject: Subject,
    args: &Run,
) -> Result<u8, CliError> {
    let Subject { described, one_off, dependencies } = subject;
    let mut cluster = described.cluster;
    let Some(_guard) = lock(session, store, "run", !args.waiting.no_wait_lock).await? else {
        return Ok(INTERRUPTED);
    };
    cluster.ephemeral = ephemeral::inherited(session, engine, store).await?;
    let mut only = dependencies;
    if !only.is_empty() {
        let files = cluster.config_files.clone();
        let address = Some(engine.known_info().address.clone());
        note(store.set_source(&Source { files, template: described.template, engine: address }));
        note(store.set_stopped(&still_stopped(store, &cluster, Some(&only))));
        note(store.set_wanted(Wanted::Up));
    }
    only.insert(one_off.name.clone());
    let options = Options {
        command: "run".into(),
        without_others: args.no_deps,
        timeout: args.waiting.timeout,
        publish_address: publish_address(session, &cluster.reduced_to(&only), None, engine),
        only: Some(only),
        rebuild: args.build,
        remove_orphans: args.remove_orphans,
        pull: args.pull.map(Into::into),
        ..basic_options(store, engine)
    };
    super::neon::provide_image(engine, &cluster).await?;
    // Standard output is the command's.
    let aside = Session { printer: session.printer.aside(), ..session.clone() };
    let watchers = Watchers::begin(&aside, store, &masker(&cluster));
    bring_up(&aside, engine.clone(), cluster, options, &args.waiting, watchers).await
}

/// The container, if it is the one that was made: a name may be somebody else's.
async fn find(
    engine: &DockerEngine,
    name: &str,
    component: &ComponentName,
) -> Result<Option<ObservedContainer>, CliError> {
    let Ok(id) = ContainerId::new(name) else { return Ok(None) };
    let found = engine.inspect(&id).await?;
    Ok(found.filter(|at| at.label(labels::COMPONENT) == Some(component.as_str())))
}

async fn start(
    session: &Session,
    engine: &DockerEngine,
    args: &Run,
    container: &ObservedContainer,
    how: Attached,
) -> Result<u8, CliError> {
    let result = if args.detach {
        engine.start(&container.id).await.map(|()| {
            session.printer.result(&container.name);
            0
        })
    } else {
        session.interrupts.are_passed_on();
        tokio::select! {
            code = engine.run_attached(&container.id, how) => code,
            () = pass_on_signals(engine, &container.id) => Ok(INTERRUPTED.into()),
        }
    };
    match result {
        Ok(code) => Ok(u8::try_from(code).unwrap_or(FAILED)),
        Err(error) => {
            if args.remove && !matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Timeout(_)) {
                engine.remove(&container.id, true).await?;
            }
            let code = match error.kind {
                ErrorKind::CommandInvalid if says_missing(&error.message) => NOT_FOUND,
                ErrorKind::CommandInvalid => CANNOT_RUN,
                _ => return Err(error.into()),
            };
            session.printer.problem(format_args!("error: {error}"));
            Ok(code)
        }
    }
}

fn says_missing(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("not found") || message.contains("no such file")
}

/// Signals of this process go to the container, in which they mean what they mean here; the third that asks for the
/// end is SIGKILL. Never ends.
async fn pass_on_signals(engine: &DockerEngine, id: &ContainerId) {
    let kinds = [
        (SignalKind::interrupt(), "SIGINT", true),
        (SignalKind::terminate(), "SIGTERM", true),
        (SignalKind::hangup(), "SIGHUP", false),
        (SignalKind::quit(), "SIGQUIT", false),
        (SignalKind::user_defined1(), "SIGUSR1", false),
        (SignalKind::user_defined2(), "SIGUSR2", false),
    ];
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let mut listening = tokio::task::JoinSet::new();
    for (kind, name, ends) in kinds {
        // One that can't be listened to does here what it does by itself.
        let Ok(signals) = signal(kind) else { continue };
        listening.spawn(tell(signals, (name, ends), sender.clone()));
    }
    let mut asked = 0;
    while let Some((name, ends)) = received.recv().await {
        asked += u32::from(ends);
        let name = if ends && asked > 2 { "SIGKILL" } else { name };
        // It may have ended a moment ago.
        if let Err(error) = engine.kill(id, name).await {
            tracing::debug!(%error, name, "not passed on");
        }
    }
}

type Named = (&'static str, bool);

async fn tell(mut signals: Signal, which: Named, to: tokio::sync::mpsc::UnboundedSender<Named>) {
    while signals.recv().await.is_some() && to.send(which).is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_twelve_digits_each_another() {
        let (one, other) = (slug().unwrap(), slug().unwrap());
        assert!(one.len() == 12 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
        assert_ne!(one, other);
    }
}
