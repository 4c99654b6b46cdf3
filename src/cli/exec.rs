//! `convoke exec`: a command in a component, with this process's own streams.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use super::args::Exec;
use super::error::{CliError, INTERRUPTED};
use super::logs::has_number;
use super::session::{Session, choose};
use crate::engine::{ExecRequest, Status};

pub(super) async fn run(session: &Session, args: Exec) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.file).await?;
    let observed = session.observe(&engine, &cluster).await?;
    let chosen = choose(&observed, std::slice::from_ref(&args.component))?;
    let is_meant = |c: &&crate::engine::ObservedContainer| chosen.contains(&c.component) && has_number(c, args.index);
    let mut containers = observed.containers.iter().filter(is_meant);
    let Some(container) = containers.find(|c| c.state.status == Status::Running) else {
        let which = args.index.map(|number| format!(" number {number}")).unwrap_or_default();
        let message = format!("{}{which} doesn't run", args.component);
        return Err(CliError::failed(message).hint("convoke ps shows what does"));
    };
    let request = ExecRequest {
        environment: environment(&args.env),
        command: args.command,
        user: args.user,
        privileged: args.privileged,
        working_dir: args.workdir,
        ..ExecRequest::default()
    };
    if args.detach {
        engine.exec_detached(&container.id, &request).await?;
        return Ok(0);
    }
    let tty = !args.no_tty && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    tokio::select! {
        biased;
        // In a terminal Ctrl-C is a key like any other, and the command gets it.
        () = session.interrupts.after(1) => Ok(INTERRUPTED),
        code = engine.exec_attached(&container.id, &request, tty) => Ok(u8::try_from(code?).unwrap_or(1)),
    }
}

/// `KEY=VALUE`, and what this process has for a `KEY` alone.
fn environment(given: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => Some((key.to_owned(), value.to_owned())),
        None => Some((text.clone(), std::env::var(text).ok()?)),
    };
    given.iter().filter_map(pair).collect()
}
