//! `convoke exec`: a command in a component, with this process's own streams.

use std::io::IsTerminal;

use super::args::Exec;
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, choose};
use crate::engine::Status;

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
    tokio::select! {
        biased;
        // In a terminal Ctrl-C is a key like any other, and the command gets it.
        () = session.interrupts.after(1) => Ok(INTERRUPTED),
        code = engine.exec_attached(&container.id, &args.command, tty) => Ok(u8::try_from(code?).unwrap_or(1)),
    }
}
