//! `convoke supervise`, and `convoke up --supervise`: bring a cluster up, and keep it so.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::args::{Supervise, Up};
use super::desk::{CliDesk, Files, follow_wanted, wanted};
use super::ephemeral;
use super::error::{CliError, LOCKED};
use super::session::Session;
use super::source::{self, Described};
use super::up::{basic_options, note, pool, publish_address};
use super::watchers::{Watchers, masker};
use crate::drive::recover::ATTEMPTS;
use crate::drive::shell;
use crate::drive::{Driver, Options, Order};
use crate::engine::docker::DockerEngine;
use crate::plan::labelled::from_labels;
use crate::store::{Guard, Source, Store, Wanted};

pub(super) async fn run(session: &Session, args: Supervise) -> Result<u8, CliError> {
    keep(session, args, "supervise").await
}

/// `convoke up --supervise`
pub(super) async fn up(session: &Session, args: Up) -> Result<u8, CliError> {
    let args =
        Supervise { source: args.source, making: args.making, ready_within: args.waiting.timeout, attempts: ATTEMPTS };
    keep(session, args, "up").await
}

async fn keep(session: &Session, args: Supervise, command: &'static str) -> Result<u8, CliError> {
    let connected = session.connect().await;
    let is_local = connected.as_ref().map_or(true, |engine| engine.known_info().is_local);
    let found = find(session, &args, is_local)?;
    let engine = connected?;
    let Subject { mut described, source: args, from_labels } = match found {
        Some(subject) => subject,
        None => by_labels(session, &engine, args).await?,
    };
    let store = session.store(&described.cluster.name);
    let _guard = lock(&store, command)?;
    described.cluster.ephemeral = ephemeral::inherited(session, &engine, &store).await?;
    // A cluster that was taken down has nothing that could be left stopped.
    let begins_anew = command == "up" || matches!(store.wanted(), None | Some(Wanted::Down));
    if begins_anew {
        note(store.set_stopped(&std::collections::BTreeSet::new()));
        note(store.set_wanted(Wanted::Up));
    }
    if !from_labels {
        let files = described.cluster.config_files.clone();
        note(store.set_source(&Source {
            files,
            template: described.template.clone(),
            engine: Some(engine.known_info().address.clone()),
        }));
    }
    super::neon::provide_image(&engine, &described.cluster).await?;
    let options = Options {
        command: command.into(),
        timeout: args.ready_within,
        attempts: args.attempts,
        publish_address: publish_address(session, &described.cluster, args.making.publish_address, &engine),
        pool: pool(args.making.pool.as_deref())?,
        rebuild: args.making.build,
        remove_orphans: args.making.remove_orphans,
        supervise: true,
        from_labels,
        ..basic_options(&store, &engine)
    };
    supervise(session, engine, &store, described, options, args).await
}

/// Runs the driver until somebody ends it.
async fn supervise(
    session: &Session,
    engine: DockerEngine,
    store: &Store,
    described: Described,
    options: Options,
    args: Supervise,
) -> Result<u8, CliError> {
    let is_local = engine.known_info().is_local;
    let watchers = Watchers::begin_supervision(session, store, &masker(&described.cluster));
    let prober = session.prober(&engine).await;
    let desk = CliDesk::new(store);
    // Before anything else: a cluster that is to stay stopped is left so.
    _ = desk.sender().send(wanted(store));
    let following = follow_wanted(store, desk.sender());
    if following.is_none() {
        let message = "what other commands want is noticed late: the state directory can't be watched";
        session.printer.problem(format_args!("warning: {message}"));
    }
    let reads = described.reads;
    let reading = if options.from_labels || reads.is_empty() {
        None
    } else {
        // Whatever a file calls itself later: this is about the cluster of this name.
        let session = Session { global: with_name(session, described.cluster.name.as_str()), ..session.clone() };
        let ephemeral = described.cluster.ephemeral.clone();
        let again = Again { session, args, is_local, ephemeral };
        Some(tokio::spawn(follow_files(again, reads, desk.sender())))
    };
    let driver = Driver::new(Arc::new(described.cluster), options);
    let end = shell::supervise(driver, engine, prober, desk, session.interrupts.after(1), watchers.sink()).await;
    following.into_iter().chain(reading).for_each(|task| task.abort());
    watchers.end().await;
    Ok(end.outcome.exit_code())
}

/// The supervisor's lock: one at a time.
fn lock(store: &Store, command: &str) -> Result<Guard, CliError> {
    store.lock_supervisor(command).map_err(|locked| {
        let (who, hint) = match &locked.holder {
            Some(holder) => {
                (holder.to_string(), format!("`kill {}` ends that one and leaves the cluster running", holder.pid))
            }
            None => ("another process".to_owned(), "try again in a moment".to_owned()),
        };
        let error = anyhow::Error::msg(format!("{} is supervised already, by {who}", locked.cluster));
        CliError { code: LOCKED, error, hint: Some(hint), is_rendered: false }
    })
}

/// What is to be supervised, and by what arguments it is read again.
struct Subject {
    described: Described,
    source: Supervise,
    from_labels: bool,
}

/// By the files or the template that are given or found; None where there are none.
fn find(session: &Session, args: &Supervise, is_local: bool) -> Result<Option<Subject>, CliError> {
    let is_given = args.source.template.is_some()
        || !args.source.names.is_empty()
        || !session.all_files(&args.source.file).is_empty();
    if !is_given && !source::is_found(session)? {
        return Ok(None);
    }
    let described = source::describe(session, &args.source, &args.making.scale, is_local)?;
    if let Some(service) = described.services.first() {
        let error = CliError::input(format!("a cluster is supervised as a whole, not only {service}"));
        return Err(error.hint("leave the name out; `convoke stop` takes components out of it"));
    }
    Ok(Some(Subject { described, source: args.clone(), from_labels: false }))
}

/// Without a file: by those that the cluster was last started from, or by the labels of what runs.
async fn by_labels(session: &Session, engine: &DockerEngine, mut args: Supervise) -> Result<Subject, CliError> {
    let name = session.cluster_name(engine, &[]).await?;
    let files = Store::open(&name).source().unwrap_or_default().files;
    if !files.is_empty() && files.iter().all(|file| file.is_file()) {
        args.source.file = files;
        let session = Session { global: with_name(session, name.as_str()), ..session.clone() };
        let described = source::describe(&session, &args.source, &args.making.scale, engine.known_info().is_local)?;
        return Ok(Subject { described, source: args, from_labels: false });
    }
    let observed = session.observe(engine, &name).await?;
    let cluster = from_labels(&name, &observed);
    session.printer.progress(format_args!(
        "note: without its file, what is removed of {name} can't be made anew; give it with -f, or the template"
    ));
    let described = Described { cluster, template: None, services: Vec::new(), reads: Vec::new() };
    Ok(Subject { described, source: args, from_labels: true })
}

fn with_name(session: &Session, name: &str) -> super::args::Global {
    super::args::Global { project: Some(name.to_owned()), ..session.global.clone() }
}

/// Reading the description once more.
struct Again {
    session: Session,
    args: Supervise,
    is_local: bool,
    /// The process that the cluster is removed with: no file says so.
    ephemeral: Option<String>,
}

/// Reads the files again whenever one of them changed, and tells the run.
async fn follow_files(again: Again, mut reads: Vec<PathBuf>, sender: UnboundedSender<Order>) {
    let printer = again.session.printer.clone();
    let mut files = match Files::new() {
        Ok(files) => files,
        Err(error) => {
            return printer.problem(format_args!("warning: changes of the files aren't noticed: {error}"));
        }
    };
    loop {
        for problem in files.watch(reads.iter().cloned()) {
            printer.problem(format_args!("warning: {problem}"));
        }
        files.change().await;
        let args = &again.args;
        let order = match source::describe(&again.session, &args.source, &args.making.scale, again.is_local) {
            Ok(mut described) => {
                reads = described.reads;
                described.cluster.ephemeral.clone_from(&again.ephemeral);
                Order::Describe(Arc::new(described.cluster))
            }
            Err(error) => Order::Misdescribed(error.text()),
        };
        if sender.send(order).is_err() {
            return;
        }
    }
}
