//! `convoke templates`: a list.

use super::error::CliError;
use super::session::Session;
use crate::report::{TemplateRow, table};
use crate::template::{self, Origin, Parameter, Template};

pub(super) fn run(session: &Session) -> Result<u8, CliError> {
    let (templates, problems) = template::list(&session.template_dirs());
    for problem in problems.iter() {
        session.printer.problem(problem);
    }
    let printer = &session.printer;
    if session.global.is_json() {
        // With types, limits and help of every parameter: a program may want to build a form of it.
        let text = serde_json::to_string_pretty(&templates).map_err(|error| CliError::failed(error.to_string()))?;
        printer.result(text);
    } else {
        let rows: Vec<TemplateRow> = templates.iter().map(row).collect();
        printer.result(table::templates(&rows, printer.out_theme()));
    }
    Ok(0)
}

fn row(template: &Template) -> TemplateRow {
    TemplateRow {
        name: template.name.to_string(),
        summary: template.summary.clone(),
        parameters: template.parameters.iter().map(parameter).collect(),
        source: match &template.origin {
            Origin::BuiltIn => "built in".to_owned(),
            Origin::Directory(path) => path.display().to_string(),
        },
    }
}

fn parameter(parameter: &Parameter) -> String {
    match &parameter.default {
        Some(default) => format!("{}={default}", parameter.name),
        None => format!("{}=…", parameter.name),
    }
}
