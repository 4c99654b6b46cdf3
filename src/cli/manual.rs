//! Completion scripts and the manual page, made from the definition of the arguments.

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

pub(super) fn page(session: &Session) -> Result<u8, CliError> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(Cli::command());
    man.render(&mut page).map_err(|error| CliError::failed(format!("the page can't be made: {error}")))?;
    session.printer.pass_out(&page);
    Ok(0)
}
