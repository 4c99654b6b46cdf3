//! The end of a run: where the time went, the verdict, how to connect, what to type next.

use super::board::{Board, Goal, Row};
use super::printer::Printer;
use super::theme::{BOLD, HINT, Theme, count};
use super::waterfall::{self, Track, View};
use crate::event::Outcome;
use crate::names::ComponentName;
use crate::units::human;

/// At most so many names in a line.
const NAMES_SHOWN: usize = 5;

/// Prints it all: the verdict and the endpoints of a good end are the result, all else is progress or a problem.
pub fn print(board: &Board, printer: &Printer) {
    let Some(outcome) = board.outcome else {
        return;
    };
    if outcome == Outcome::Ready {
        for line in where_time_went(board, printer) {
            printer.progress(line);
        }
        printer.result(verdict(board, outcome, printer.out_theme()));
        for line in endpoints(board, printer.out_theme()) {
            printer.result(line);
        }
    } else {
        printer.problem(verdict(board, outcome, printer.err_theme()));
    }
    if let Some(line) = next_steps(board, outcome, printer.err_theme()) {
        printer.progress(line);
    }
}

/// Whether the end has a bar for each component. After a failure its report is what people want to read; `convoke
/// report` has the bars.
#[must_use]
pub fn has_bars(board: &Board) -> bool {
    let is_good = board.goal == Goal::Ready && board.outcome == Some(Outcome::Ready);
    is_good && waterfall::has_bars(&board.timeline)
}

fn where_time_went(board: &Board, printer: &Printer) -> Vec<String> {
    if board.goal != Goal::Ready {
        return Vec::new();
    }
    waterfall::brief(&board.timeline, View { width: printer.columns(), theme: printer.err_theme() })
}

/// One line that says how the run ended.
#[must_use]
pub fn verdict(board: &Board, outcome: Outcome, theme: Theme) -> String {
    let cluster = theme.paint(BOLD, board.title());
    let (time, goal) = (human(board.now.0), board.goal.as_str());
    let bad = theme.bad_mark();
    match outcome {
        Outcome::Ready => {
            format!("{}{cluster} {goal} in {time} ({})", theme.good_mark(), count(board.rows.len(), "component"))
        }
        Outcome::Failed => format!("{bad}{cluster} failed after {time}{}", culprits(board)),
        Outcome::DeadlinePassed => format!("{bad}{cluster} not {goal} after {time}{}", missing(board)),
        Outcome::EngineUnreachable => format!("{bad}{cluster}: the engine can't be reached, given up after {time}"),
        Outcome::Released => format!("{cluster} goes on without supervision"),
        Outcome::Interrupted => format!("{bad}{cluster} interrupted after {time}{}", missing(board)),
    }
}

/// One line a published port, aligned.
#[must_use]
pub fn endpoints(board: &Board, theme: Theme) -> Vec<String> {
    let width = board.endpoints.iter().map(|endpoint| endpoint.component.as_str().len()).max().unwrap_or(0);
    let line = |endpoint: &crate::event::PublishedEndpoint| {
        let name = format!("{:<width$}", endpoint.component);
        let host = theme.paint(HINT, &endpoint.host);
        format!("  {name}  {host} -> {}/{}", endpoint.port, endpoint.protocol)
    };
    board.endpoints.iter().map(line).collect()
}

/// Commands that make sense now. None where there is nothing to look at.
#[must_use]
pub fn next_steps(board: &Board, outcome: Outcome, theme: Theme) -> Option<String> {
    let cluster = board.cluster.as_ref()?;
    let commands = match (board.goal, outcome) {
        (Goal::Ready, Outcome::Ready | Outcome::Released) => {
            vec!["ps".to_owned(), "logs".to_owned(), "down".to_owned()]
        }
        (Goal::Ready, Outcome::Failed | Outcome::DeadlinePassed | Outcome::Interrupted) => after_trouble(board),
        (Goal::Ready, Outcome::EngineUnreachable) => {
            return Some(format!("  next: {}", theme.paint(HINT, "convoke doctor")));
        }
        (Goal::Stopped | Goal::Created, Outcome::Ready) => vec!["start".to_owned(), "down".to_owned()],
        (Goal::Stopped | Goal::Removed | Goal::Created, _) => return None,
    };
    let typed: Vec<String> =
        commands.iter().map(|command| theme.paint(HINT, format!("convoke {command} -p {cluster}"))).collect();
    (!typed.is_empty()).then(|| format!("  next: {}", typed.join(", ")))
}

/// What can be looked at after a start that went wrong: not what was never made, nor the log of what never ran.
fn after_trouble(board: &Board) -> Vec<String> {
    let tracks = &board.timeline.tracks;
    let mut commands = Vec::new();
    if tracks.values().any(Track::was_there) {
        commands.push("ps".to_owned());
    }
    let culprits = board.failures.iter().filter_map(|failure| failure.component.as_ref());
    let open = board.rows.iter().filter(|(_, row)| !row.reached).map(|(name, _)| name);
    let has_run = |name: &&ComponentName| tracks.get(*name).is_some_and(Track::has_run);
    commands.extend(culprits.chain(open).find(has_run).map(|name| format!("logs {name}")));
    if board.is_anything_there() {
        commands.push("down".to_owned());
    }
    commands
}

fn culprits(board: &Board) -> String {
    let mut names: Vec<&ComponentName> =
        board.failures.iter().filter_map(|failure| failure.component.as_ref()).collect();
    names.dedup();
    if names.is_empty() { String::new() } else { format!(": {}", listed(&names)) }
}

/// How far it got. Components that were ready until they were stopped for another's sake aren't missing.
fn missing(board: &Board) -> String {
    let done = |row: &Row| if board.goal == Goal::Ready { row.reached } else { row.is_done(board.goal) };
    let open: Vec<&ComponentName> = board.rows.iter().filter(|(_, row)| !done(row)).map(|(name, _)| name).collect();
    if open.is_empty() {
        return String::new();
    }
    let (all, goal) = (board.rows.len(), board.goal.as_str());
    format!(": {} of {all} {goal}; missing: {}", all - open.len(), listed(&open))
}

fn listed(names: &[&ComponentName]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES_SHOWN).map(|name| name.as_str()).collect();
    let more = names.len().saturating_sub(NAMES_SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
