//! `convoke report`: where the time of an earlier run went, from its record. It needs no engine.

use super::args::Report;
use super::error::CliError;
use super::session::Session;
use super::source;
use crate::event::Outcome;
use crate::names::ClusterName;
use crate::report::board::{Board, Goal};
use crate::report::waterfall::{self, Timings, View};
use crate::report::{Record, RunRow, failure, last_recorded, records, summary, table};
use crate::store::{Store, state_root};
use crate::units::human;

pub(super) fn run(session: &Session, args: &Report) -> Result<u8, CliError> {
    let store = recorded(session, args)?;
    let records = records(&store, usize::MAX);
    if records.is_empty() {
        let message = format!("no run of cluster {} is recorded", store.cluster());
        return Err(CliError::failed(message).hint("convoke up records one"));
    }
    // Only the newest can still go on: a run holds the cluster's lock.
    let is_open = records[0].outcome().is_none() && store.actor().is_some();
    let text = if args.list {
        list(session, &records, is_open)?
    } else {
        let index = chosen(&records, args.run.as_deref(), store.cluster())?;
        one(session, &store, &records[index], is_open && index == 0)?
    };
    session.printer.result(text);
    Ok(0)
}

/// The folder of the cluster that is meant: by `-p`, by the files, or the one that something was done with last.
fn recorded(session: &Session, args: &Report) -> Result<Store, CliError> {
    let root = state_root(|key| std::env::var_os(key))
        .ok_or_else(|| CliError::failed("no state directory: neither CONVOKE_STATE_DIR nor HOME is set"))?;
    let given = session.global.project.as_ref().filter(|name| !name.is_empty());
    let name = match given {
        Some(name) => Some(ClusterName::new(name.clone()).map_err(|error| CliError::input(error.to_string()))?),
        None => source::name_from_files(session, &session.all_files(&args.files.file))?,
    };
    match name {
        Some(name) => Store::find(&root, &name).ok_or_else(|| {
            let known: Vec<String> = Store::all(&root).iter().map(|store| store.cluster().to_string()).collect();
            let error = CliError::failed(format!("no run of cluster {name} is recorded"));
            if known.is_empty() { error } else { error.hint(format!("-p NAME: there are {}", known.join(", "))) }
        }),
        None => Store::all(&root)
            .into_iter()
            .filter(|store| last_recorded(store).is_some())
            .max_by_key(last_recorded)
            .ok_or_else(|| CliError::failed("no run is recorded").hint("convoke up records one")),
    }
}

/// The record that is meant: the latest, or the only one whose identifier begins so.
fn chosen(records: &[Record], wanted: Option<&str>, cluster: &ClusterName) -> Result<usize, CliError> {
    let Some(wanted) = wanted else { return Ok(0) };
    let fits: Vec<usize> = (0..records.len()).filter(|index| records[*index].run.starts_with(wanted)).collect();
    let exact = fits.iter().copied().find(|index| records[*index].run == wanted);
    match (exact, fits.as_slice()) {
        (Some(index), _) => Ok(index),
        (None, [index]) => Ok(*index),
        (None, []) => Err(CliError::input(format!("there is no record of a run {wanted:?}"))
            .hint(format!("convoke report --list -p {cluster} shows which there are"))),
        (None, several) => Err(CliError::input(format!("{} runs begin with {wanted:?}", several.len()))
            .hint(format!("convoke report --list -p {cluster} shows their whole names"))),
    }
}

fn list(session: &Session, records: &[Record], newest_is_open: bool) -> Result<String, CliError> {
    let row = |(index, record): (usize, &Record)| {
        let begin = record.beginning();
        let goal = Goal::of(begin.map_or("up", |(command, _)| command));
        RunRow {
            run: record.run.clone(),
            time: begin.map(|(_, time)| time.to_owned()),
            command: begin.map(|(command, _)| command.to_owned()),
            outcome: record.outcome(),
            verdict: verdict_word(record.outcome(), goal, newest_is_open && index == 0).to_owned(),
            took: record.took(),
        }
    };
    let rows: Vec<RunRow> = records.iter().enumerate().map(row).collect();
    if session.global.is_json() {
        return table::json(&rows).map_err(|error| CliError::failed(error.to_string()));
    }
    Ok(table::runs(&rows, session.printer.out_theme()))
}

const fn verdict_word(outcome: Option<Outcome>, goal: Goal, is_open: bool) -> &'static str {
    match outcome {
        Some(Outcome::Ready) => goal.as_str(),
        Some(Outcome::Failed) => "failed",
        Some(Outcome::DeadlinePassed) => "deadline passed",
        Some(Outcome::EngineUnreachable) => "engine unreachable",
        Some(Outcome::Interrupted) => "interrupted",
        Some(Outcome::Released) => "released",
        None if is_open => "goes on",
        None => "cut off",
    }
}

fn one(session: &Session, store: &Store, record: &Record, is_open: bool) -> Result<String, CliError> {
    if session.global.is_json() {
        let timings = serde_json::to_string_pretty(&Timings::of(record));
        return timings.map_err(|error| CliError::failed(error.to_string()));
    }
    let theme = session.printer.out_theme();
    let mut board = Board::default();
    record.events.iter().for_each(|event| board.event(event));
    let (command, time) = record.beginning().unwrap_or(("?", "?"));
    let mut lines = vec![format!("{command} {} at {time} (run {})", store.cluster(), record.run)];
    lines.extend(board.failures.iter().map(|failed| failure::render(failed, theme)));
    lines.extend(waterfall::full(&board.timeline, View { width: session.printer.columns(), theme }));
    lines.push(match board.outcome {
        Some(outcome) => summary::verdict(&board, outcome, theme),
        None => unfinished(&board, store, is_open),
    });
    Ok(lines.join("\n"))
}

/// The last line about a run whose record has no end.
fn unfinished(board: &Board, store: &Store, is_open: bool) -> String {
    let why = if is_open { "still goes on" } else { "was cut off" };
    let (done, all, goal) = (board.done(), board.rows.len(), board.goal.as_str());
    format!("{} {why}: {done} of {all} {goal} after {}", store.cluster(), human(board.now.0))
}
