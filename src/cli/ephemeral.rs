//! `up --ephemeral`: a cluster that is removed when the process that it belongs to is gone.
//!
//! The owner (the parent of convoke, or `--owner-pid`) is held by a pidfd, which can't be fooled by a number given anew.
//! `up` hands it to a watcher: convoke's own program, in a session of its own, which sleeps in the kernel until the owner
//! is gone and then removes what carries the owner's label. Nothing is polled, and no privileges are needed.
//!
//! The label is the truth: a watcher whose cluster is gone or belongs to somebody else does nothing, and where a watcher
//! died too (the machine went down), the next `up` and `gc` find the label of an owner that is gone.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;
use tokio::time::Instant;

use super::args::WatchOwner;
use super::down::was_killed;
use super::error::{CliError, FAILED, INTERRUPTED, LOCKED};
use super::owner::{Fate, Owner};
use super::pidfd;
use super::session::{Session, now_text, run_id};
use super::up::{lock, note};
use super::watchers::Watchers;
use crate::drive::stop::{StopRequest, stop};
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, Observed, labels};
use crate::event::Outcome;
use crate::names::ClusterName;
use crate::report::Masker;
use crate::store::{Guard, Store, Wanted};

/// A watcher says that it watches within this time.
const WATCHER_BEGINS: Duration = Duration::from_secs(10);
/// A watcher that is asked to end does so within this time.
const WATCHER_ENDS: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
/// The cluster of an owner that is gone is tried to be removed for so long: an engine may be restarting.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(600);
/// Pause between attempts.
const REMOVAL_PAUSE: Duration = Duration::from_secs(2);
/// Pauses before looks for what calls of a killed run still made: nobody waits for these, so they are generous.
const LATE_LOOKS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// What a watcher says when it watches.
const WATCHING: &[u8] = b"watching\n";

/// The owner of a cluster to be, held so that its end is noticed.
pub(super) struct Held {
    owner: Owner,
    process: OwnedFd,
}

impl Held {
    /// The process with this number, or convoke's parent.
    pub(super) fn of(pid: Option<u32>) -> Result<Self, CliError> {
        let gone =
            |pid: i32| CliError::input(format!("--ephemeral: there is no process {pid} whose end could be awaited"));
        let parent = || rustix::process::getppid().map_or(1, Pid::as_raw_pid);
        let number = match pid {
            Some(pid) => i32::try_from(pid).map_err(|_| CliError::input(format!("--owner-pid: there is no {pid}")))?,
            None => parent(),
        };
        if pid.is_none() && number <= 1 {
            let hint = "--owner-pid PID names the process that the cluster is to live as long as";
            return Err(CliError::input("--ephemeral: the process that started convoke is gone already").hint(hint));
        }
        let process = pidfd::open(number).map_err(|error| gone(number).hint(error.to_string()))?;
        let owner = Owner::of(number).ok_or_else(|| gone(number))?;
        // If it ended meanwhile the number may stand for another: then it isn't our parent any more.
        if pid.is_none() && parent() != number {
            return Err(gone(number));
        }
        Ok(Self { owner, process })
    }

    /// The label's value.
    pub(super) fn label(&self) -> String {
        self.owner.to_string()
    }

    /// Resolves when it is gone.
    pub(super) fn end(&self) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
        let process = self.process.try_clone()?;
        Ok(async move {
            // A thread that sleeps in the kernel; the process's end doesn't wait for it.
            let gone = tokio::task::spawn_blocking(move || until_gone(&process)).await;
            if !matches!(gone, Ok(Ok(()))) {
                std::future::pending::<()>().await;
            }
        })
    }

    /// Makes sure that somebody removes the cluster when the owner is gone. The cluster's lock is held by the caller.
    pub(super) fn watch(&self, engine: &DockerEngine, store: &Store) -> Result<(), CliError> {
        end_watcher(store);
        let failed = |what: &str, error: std::io::Error| {
            CliError::failed(format!("--ephemeral: nobody can watch process {}: {what}: {error}", self.owner.pid))
        };
        let program = std::env::current_exe().map_err(|error| failed("convoke's own program isn't found", error))?;
        let process = self.process.try_clone().map_err(|error| failed("its handle", error))?;
        let mut command = Command::new(program);
        command
            .args(["watch-owner", "--owner", &self.label(), "-p", store.cluster().as_str()])
            .args(["-H", &engine.known_info().address, "--format", "plain", "--quiet"])
            .stdin(Stdio::from(process))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // It may outlive the folder that it was started in.
            .current_dir("/");
        if let Some(root) = crate::store::state_root(|key| std::env::var_os(key)) {
            command.env("CONVOKE_STATE_DIR", root);
        }
        let mut watcher = command.spawn().map_err(|error| failed("a watcher doesn't start", error))?;
        let said = watcher.stdout.take().map_or(Ok(()), wait_for_word);
        said.map_err(|error| {
            // It can't be of use any more, and nothing was made yet.
            _ = watcher.kill().and_then(|()| watcher.wait());
            failed("its watcher doesn't begin", error)
        })
    }
}

/// Sleeps until the process is gone.
fn until_gone(process: impl AsFd) -> std::io::Result<()> {
    loop {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], None) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the word of a watcher that watches; it comes at once, or the watcher ends.
fn wait_for_word(mut from: impl Read + AsFd) -> std::io::Result<()> {
    let limit = Timespec { tv_sec: i64::try_from(WATCHER_BEGINS.as_secs()).unwrap_or(10), tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&limit))?;
    let mut word = [0; WATCHING.len()];
    if ready == 0 {
        return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no word from it"));
    }
    from.read_exact(&mut word)
}

/// Ends the watcher of the cluster, if there is one: the cluster is gone, or gets another one. The cluster's lock is held
/// by the caller, so the watcher isn't in the middle of a removal.
pub(super) fn end_watcher(store: &Store) {
    let Some(watcher) = store.watcher() else { return };
    let Ok(pid) = i32::try_from(watcher.pid) else { return };
    let Ok(process) = pidfd::open(pid) else { return };
    // Whoever holds the lock still is the process that the handle is of.
    if store.watcher().as_ref() != Some(&watcher) {
        return;
    }
    let ended = pidfd::terminate(&process)
        .and_then(|()| Ok(poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&WATCHER_ENDS))?));
    tracing::debug!(pid = watcher.pid, ?ended, "the watcher of the cluster's owner");
}

// === What is there already ===

/// Owners in the labels of the cluster's things; None among them: something has no owner.
fn owners(observed: &Observed) -> BTreeSet<Option<String>> {
    let of = |labels: &std::collections::BTreeMap<String, String>| labels.get(labels::EPHEMERAL).cloned();
    let containers = observed.everything().map(|container| of(&container.labels));
    let networks = observed.networks.iter().map(|network| of(&network.labels));
    containers.chain(networks).chain(observed.volumes.iter().map(|volume| of(&volume.labels))).collect()
}

/// Whether all of the cluster belonged to owners that are gone.
pub(super) fn is_orphan(observed: &Observed, engine_is_local: bool) -> bool {
    let owners = owners(observed);
    let is_gone = |owner: &Option<String>| {
        let owner = owner.as_ref().and_then(|text| text.parse::<Owner>().ok());
        owner.is_some_and(|owner| owner.fate(engine_is_local) == Fate::Gone)
    };
    !owners.is_empty() && owners.iter().all(is_gone)
}

/// Makes room for an ephemeral cluster: what an owner that is gone left is removed; anything else in its place is an error.
pub(super) async fn admit(
    session: &Session,
    engine: &DockerEngine,
    store: &Store,
    held: &Held,
) -> Result<(), CliError> {
    let cluster = store.cluster();
    let observed = engine.observe(cluster).await?;
    for owner in owners(&observed) {
        let Some(text) = owner else {
            let what =
                format!("{cluster} is there already, and not ephemeral: it would be removed with what comes now");
            let hint = format!("convoke down -p {cluster} --volumes first, or another name by -p");
            return Err(CliError::input(what).hint(hint));
        };
        let owner =
            text.parse::<Owner>().map_err(|error| CliError::failed(format!("a label of {cluster}: {error}")))?;
        if owner == held.owner || owner.fate(engine.known_info().is_local) == Fate::Gone {
            continue;
        }
        let error =
            CliError::failed(format!("{cluster} is an ephemeral cluster of process {}, which isn't over", owner.pid));
        let hint = format!("another name by -p, or convoke down -p {cluster} first");
        return Err(CliError { code: LOCKED, ..error.hint(hint) });
    }
    clear_orphan(session, engine, store).await
}

/// For an `up` without `--ephemeral`: the owner whose cluster it goes on with, as long as that runs. What one that is gone
/// left is removed first.
pub(super) async fn inherited(
    session: &Session,
    engine: &DockerEngine,
    store: &Store,
) -> Result<Option<String>, CliError> {
    let Some(text) = store.owner() else { return Ok(None) };
    let fate = text.parse::<Owner>().map(|owner| owner.fate(engine.known_info().is_local));
    if fate != Ok(Fate::Gone) {
        return Ok(fate.ok().map(|_| text));
    }
    clear_orphan(session, engine, store).await?;
    note(store.set_owner(None));
    Ok(None)
}

async fn clear_orphan(session: &Session, engine: &DockerEngine, store: &Store) -> Result<(), CliError> {
    let observed = engine.observe(store.cluster()).await?;
    if !is_orphan(&observed, engine.known_info().is_local) {
        return Ok(());
    }
    session.printer.progress("removing what an ephemeral cluster of a process that is gone left");
    let watchers = Watchers::begin(session, store, &Masker::new(Vec::<String>::new()));
    let outcome = remove(session, engine, store.cluster(), &watchers).await;
    watchers.end().await;
    match outcome {
        Outcome::Ready => Ok(()),
        Outcome::Interrupted => Err(CliError::interrupted()),
        _ => {
            Err(CliError::failed("it can't be removed").hint(format!("convoke down -p {} --volumes", store.cluster())))
        }
    }
}

/// Removes the cluster, with the volumes that it made itself.
async fn remove(session: &Session, engine: &DockerEngine, cluster: &ClusterName, watchers: &Watchers) -> Outcome {
    let request = StopRequest {
        run: run_id(),
        command: "down".into(),
        time: now_text(),
        remove: true,
        volumes: true,
        volumes_with: Some(labels::EPHEMERAL.to_owned()),
        ..StopRequest::default()
    };
    stop(engine, cluster, &request, session.interrupts.after(1), watchers.sink()).await
}

// === The watcher ===

/// The watcher's first part, before there is anything else in the process: sleeps until the owner, whose handle is the
/// standard input, is gone. An error: this process can't watch.
pub(super) fn sleep_until_gone(args: &WatchOwner, cluster: Option<&str>) -> Result<Guard, String> {
    let cluster = cluster.and_then(|name| ClusterName::new(name).ok()).ok_or("watch-owner needs -p NAME")?;
    // Away from the terminal's Ctrl-C and its end.
    _ = rustix::process::setsid();
    let store = Store::open(&cluster);
    let guard = store.lock_watcher(&format!("watch-owner of {}", args.owner)).map_err(|locked| locked.to_string())?;
    // Its reader waits for this and then goes away.
    rustix::io::write(rustix::stdio::stdout(), WATCHING).map_err(|error| error.to_string())?;
    until_gone(rustix::stdio::stdin()).map_err(|error| error.to_string())?;
    Ok(guard)
}

/// The watcher's second part: the owner is gone, and so goes its cluster.
pub(super) async fn clean_up(session: &Session, args: WatchOwner) -> Result<u8, CliError> {
    let mut last = clean_up_patiently(session, &args.owner).await?;
    // What killed the owner may have killed `up` too, in the middle of a call: nothing of it may be there yet.
    for pause in if last.was_killed { &LATE_LOOKS[..] } else { &[] } {
        tokio::time::sleep(*pause).await;
        last = clean_up_patiently(session, &args.owner).await?;
    }
    Ok(last.code)
}

/// What a look at the cluster of an owner that is gone came to.
struct Cleaned {
    code: u8,
    /// The cluster's last run didn't come to its end.
    was_killed: bool,
}

async fn clean_up_patiently(session: &Session, owner: &str) -> Result<Cleaned, CliError> {
    let until = Instant::now() + REMOVAL_PATIENCE;
    loop {
        let attempt = clean_up_once(session, owner).await;
        match attempt {
            Ok(Cleaned { code: 0 | INTERRUPTED, .. }) => return attempt,
            _ if Instant::now() >= until => return attempt,
            Ok(Cleaned { code, .. }) => tracing::warn!(code, "not all of it is gone"),
            Err(error) => tracing::warn!("{:#}", error.error),
        }
        tokio::time::sleep(REMOVAL_PAUSE).await;
    }
}

async fn clean_up_once(session: &Session, owner: &str) -> Result<Cleaned, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &[]).await?;
    let store = session.store(&cluster);
    let Some(_guard) = lock(session, &store, "down (its owner is gone)", true).await? else {
        return Ok(Cleaned { code: INTERRUPTED, was_killed: false });
    };
    let was_killed = was_killed(&store);
    let code = remove_of(owner, session, &engine, &store).await?;
    Ok(Cleaned { code, was_killed })
}

/// Removes the cluster if anything of it belongs to the owner; the exit code.
async fn remove_of(owner: &str, session: &Session, engine: &DockerEngine, store: &Store) -> Result<u8, CliError> {
    let observed = engine.observe(store.cluster()).await?;
    if !owners(&observed).contains(&Some(owner.to_owned())) {
        return Ok(0);
    }
    note(store.set_wanted(Wanted::Down));
    let watchers = Watchers::begin(session, store, &Masker::new(Vec::<String>::new()));
    let outcome = remove(session, engine, store.cluster(), &watchers).await;
    watchers.end().await;
    if outcome != Outcome::Ready {
        return Ok(FAILED);
    }
    note(store.change_breakages(Vec::clear));
    note(store.set_owner(None));
    Ok(0)
}
