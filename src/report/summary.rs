//! The end of a run: the verdict, where the time went, how to connect, what to type next.

use std::time::Duration;

use super::board::{Board, Goal, Row};
use super::printer::Printer;
use super::theme::{BOLD, DIM, HINT, Theme, count};
use crate::event::{Outcome, Phase};
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
        printer.result(verdict(board, outcome, printer.out_theme()));
        for line in endpoints(board, printer.out_theme()) {
            printer.result(line);
        }
        if let Some(line) = critical_path(board, printer.err_theme()) {
            printer.progress(line);
        }
    } else {
        printer.problem(verdict(board, outcome, printer.err_theme()));
    }
    if let Some(line) = next_steps(board, outcome, printer.err_theme()) {
        printer.progress(line);
    }
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
        Outcome::Interrupted => format!("{bad}{cluster} interrupted after {time}{}", missing(board)),
    }
}

/// Which component was ready last and where its time went. None where nothing was started.
#[must_use]
pub fn critical_path(board: &Board, theme: Theme) -> Option<String> {
    if board.goal != Goal::Ready {
        return None;
    }
    let started = board.rows.iter().filter(|(_, row)| row.phase.is_settled() && was_started(row));
    let (name, row) = started.max_by_key(|(_, row)| row.since)?;
    let parts: Vec<String> = spent(row).into_iter().map(|(stage, time)| format!("{stage} {}", human(time))).collect();
    let separator = if theme.unicode { " · " } else { ", " };
    Some(theme.paint(DIM, format!("  last: {name}, {}", parts.join(separator))))
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

/// Commands that make sense now. None where there is nothing left to look at.
#[must_use]
pub fn next_steps(board: &Board, outcome: Outcome, theme: Theme) -> Option<String> {
    let cluster = board.cluster.as_ref()?;
    let culprit = board.failures.iter().find_map(|failure| failure.component.as_ref());
    let commands = match (board.goal, outcome) {
        (Goal::Ready, Outcome::Ready) => vec!["ps".to_owned(), "logs".to_owned(), "down".to_owned()],
        (Goal::Ready, Outcome::Failed | Outcome::DeadlinePassed | Outcome::Interrupted) => {
            let logs = culprit.or_else(|| board.rows.iter().find(|(_, row)| !row.reached).map(|(name, _)| name));
            vec!["ps".to_owned(), logs.map_or("logs".to_owned(), |name| format!("logs {name}")), "down".to_owned()]
        }
        (Goal::Ready, Outcome::EngineUnreachable) => {
            return Some(format!("  next: {}", theme.paint(HINT, "convoke doctor")));
        }
        (Goal::Stopped, Outcome::Ready) => vec!["start".to_owned(), "down".to_owned()],
        (Goal::Stopped | Goal::Removed, _) => return None,
    };
    let typed: Vec<String> =
        commands.iter().map(|command| theme.paint(HINT, format!("convoke {command} -p {cluster}"))).collect();
    Some(format!("  next: {}", typed.join(", ")))
}

/// Time by stage, stages in the order first entered; those too short to matter are left out.
fn spent(row: &Row) -> Vec<(&'static str, Duration)> {
    let mut stages: Vec<(&'static str, Duration)> = Vec::new();
    for (phase, time) in &row.past {
        let stage = stage(*phase);
        match stages.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, sum)) => *sum += *time,
            None => stages.push((stage, *time)),
        }
    }
    stages.retain(|(_, time)| *time >= Duration::from_millis(1));
    stages
}

/// What a component's time in a phase is spent on.
const fn stage(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::Creating => "create",
        // Created, and held back by a gate or by the number of starts in flight.
        Phase::Created => "queue",
        Phase::Starting => "start",
        Phase::Started | Phase::Live => "boot",
        Phase::Restarting => "restart",
        Phase::Ready | Phase::Completed => "run",
        Phase::Unhealthy | Phase::Failed | Phase::Stopped => "down",
    }
}

fn was_started(row: &Row) -> bool {
    row.past.iter().any(|(phase, _)| matches!(phase, Phase::Starting | Phase::Creating))
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
