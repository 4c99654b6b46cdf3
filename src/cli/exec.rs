//! `convoke exec`: a command in a component, with this process's own streams.

use std::io::IsTerminal;

use tokio::io::AsyncRead;
use tokio::sync::watch;

use super::args::Exec;
use super::error::CliError;
use super::session::{Session, choose};
use super::terminal::{RawMode, window_size};
use crate::engine::Status;
use crate::engine::docker::{AttachedExec, TerminalSize};

pub(super) async fn run(session: &Session, args: Exec) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.file).await?;
    let observed = session.observe(&engine, &cluster).await?;
    let chosen = choose(&observed, std::slice::from_ref(&args.component))?;
    let mut containers = observed.containers.iter().filter(|c| chosen.contains(&c.component));
    let Some(container) = containers.find(|c| c.state.status == Status::Running) else {
        return Err(CliError::failed(format!("{} doesn't run", args.component)).hint("convoke ps shows what does"));
    };
    let tty = !args.no_tty && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let exec = AttachedExec { command: args.command, tty, ..AttachedExec::default() };
    let stdin: Box<dyn AsyncRead + Send + Unpin> = Box::new(tokio::io::stdin());
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    let _raw = if tty { RawMode::enter() } else { None };
    let size = tty.then(follow_size);
    let running = engine.exec_attached(&container.id, &exec, Some(stdin), &mut stdout, &mut stderr, size);
    tokio::select! {
        biased;
        // In raw mode Ctrl-C is a key like any other, and the command gets it.
        () = session.interrupts.after(1) => Ok(super::error::INTERRUPTED),
        code = running => Ok(u8::try_from(code?).unwrap_or(1)),
    }
}

/// The terminal's size, now and whenever it changes.
fn follow_size() -> watch::Receiver<TerminalSize> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = watch::channel(window_size());
    if let Ok(mut changes) = signal(SignalKind::window_change()) {
        tokio::spawn(async move { while changes.recv().await.is_some() && sender.send(window_size()).is_ok() {} });
    }
    receiver
}
