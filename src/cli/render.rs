//! `convoke render`: a template as plain Compose text.

use super::args::Render;
use super::error::CliError;
use super::session::Session;
use crate::template;

pub(super) fn run(session: &Session, args: &Render) -> Result<u8, CliError> {
    let template = template::find(&args.template, &session.template_dirs())?;
    let rendered = template.render(&args.set)?;
    session.printer.result(rendered.text.trim_end());
    Ok(0)
}
