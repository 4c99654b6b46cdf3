//! Completion scripts and manual pages, made from the definition of the arguments.

use std::path::Path;

use clap::CommandFactory;

use super::args::Cli;
use super::error::CliError;
use super::session::Session;

pub(super) fn completions(session: &Session, shell: clap_complete::Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "convoke", &mut script);
    session.printer.pass_out(&script);
    0
}

/// Prints the page of convoke itself, or writes all pages into the folder.
pub(super) fn pages(session: &Session, folder: Option<&Path>) -> Result<u8, CliError> {
    let Some(folder) = folder else { return page(session) };
    let failed = |error| CliError::failed(format!("the pages can't be written to {}: {error}", folder.display()));
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    Ok(0)
}

fn page(session: &Session) -> Result<u8, CliError> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(Cli::command());
    man.render(&mut page).map_err(|error| CliError::failed(format!("the page can't be made: {error}")))?;
    session.printer.pass_out(&page);
    Ok(0)
}
