//! `convoke templates`: a list.

use super::error::CliError;
use super::session::Session;
use crate::report::{TemplateRow, table};
use crate::template;

pub(super) fn run(session: &Session) -> Result<u8, CliError> {
    let rows: Vec<TemplateRow> = template::list(&session.global.template_dirs)?
        .iter()
        .map(|template| TemplateRow {
            name: template.name().to_owned(),
            summary: template.summary().to_owned(),
            parameters: template.parameters().iter().map(ToString::to_string).collect(),
            source: template.source().to_owned(),
        })
        .collect();
    let printer = &session.printer;
    if session.global.is_json() {
        printer.result(table::json(&rows).map_err(|error| CliError::failed(error.to_string()))?);
    } else {
        printer.result(table::templates(&rows, printer.out_theme()));
    }
    Ok(0)
}
