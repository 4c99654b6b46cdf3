//! `convoke neon psql`: this machine's psql, or the one in the endpoint's own container.

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use super::super::connect::published;
use super::super::error::{CliError, INTERRUPTED};
use super::super::session::{Session, engine_host};
use super::args::Psql;
use super::link::{Link, service};
use crate::engine::{ExecRequest, ObservedContainer, Status};
use crate::neon::compute::component;
use crate::neon::spec::PG_PORT;

pub(super) async fn run(session: &Session, args: Psql) -> Result<u8, CliError> {
    let link = Link::open(session).await?;
    let name = component(&args.endpoint);
    let container = service(&link.observed, &name).filter(|container| container.state.status == Status::Running);
    let container = container.ok_or_else(|| {
        CliError::input(format!("there is no running endpoint {}", args.endpoint)).hint("convoke neon endpoint list")
    })?;
    let login = link.login().await?;
    let host = engine_host(link.engine.known_info()).await.to_string();
    match (own_psql(), published(container, PG_PORT, &host)) {
        (Some(program), Some(address)) => {
            let target = format!("postgresql://{}@{address}/{}", login.role, login.database);
            let mut command = std::process::Command::new(program);
            // Not an argument: those everybody on this machine can read.
            command.arg(target).args(&args.arguments).env("PGPASSWORD", &login.password);
            // It takes this process's place, so that the terminal is its own.
            Err(CliError::failed(format!("psql can't be run: {}", command.exec())))
        }
        _ => inside(session, &link, container, &login.role, &login.database, args.arguments).await,
    }
}

/// Within the container no password is asked for.
async fn inside(
    session: &Session,
    link: &Link,
    container: &ObservedContainer,
    role: &str,
    database: &str,
    arguments: Vec<String>,
) -> Result<u8, CliError> {
    let port = PG_PORT.to_string();
    let mut command: Vec<String> =
        ["psql", "-h", "127.0.0.1", "-p", &port, "-U", role, "-d", database].map(str::to_owned).to_vec();
    command.extend(arguments);
    let request = ExecRequest { command, ..ExecRequest::default() };
    let tty = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    tokio::select! {
        biased;
        () = session.interrupts.after(1) => Ok(INTERRUPTED),
        code = link.engine.exec_attached(&container.id, &request, tty) => Ok(u8::try_from(code?).unwrap_or(1)),
    }
}

/// The first psql of PATH.
fn own_psql() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("psql")).find(|file| file.is_file())
}
