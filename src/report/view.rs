//! The live lines of a terminal as text: what is shown, what is folded when there are more lines than rows.
//!
//! Pure, so that it is tested without a terminal; `terminal` puts the lines on the screen.

use std::collections::BTreeMap;

use console::truncate_str;

use super::board::{Board, ImageProgress, Row};
use super::printer::TerminalSize;
use super::theme::{BAD, BOLD, DIM, Theme, coarse, count, phase_style, printable};
use crate::names::ComponentName;

/// Rows left to the line that says how far the whole is, and to the cursor.
const ROWS_RESERVED: usize = 2;
/// Fewer rows than this aren't worth folding for: the terminal scrolls.
const FEWEST_ROWS: usize = 4;
/// Width of the widest phase.
const PHASE_WIDTH: usize = 10;

/// The lines for a terminal of this size (rows, columns), each cut to its width.
#[must_use]
pub fn live_lines(board: &Board, (rows, columns): TerminalSize, theme: Theme) -> Vec<String> {
    let room = rows.saturating_sub(ROWS_RESERVED).max(FEWEST_ROWS);
    let mut lines = image_lines(board, (room / 3).max(1), theme);
    let stall = stall_lines(board, room / 3, theme);
    let taken = lines.len() + stall.len();
    lines.extend(component_lines(board, room.saturating_sub(taken).max(2), theme));
    lines.extend(stall);
    lines.push(status_line(board, theme));
    // The last column stays free: some terminals wrap when it is written.
    let width = columns.saturating_sub(1);
    lines.iter().map(|line| truncate_str(line, width, theme.ellipsis()).into_owned()).collect()
}

/// One line per component where they fit; else the settled ones in one line, then the others, trouble first.
fn component_lines(board: &Board, room: usize, theme: Theme) -> Vec<String> {
    if board.rows.len() <= room {
        return board.rows.iter().map(|(name, row)| component_line(board, name, row, theme)).collect();
    }
    let mut open: Vec<(&ComponentName, &Row)> = board.open().collect();
    // A stable sort: the file's order stays within each of the two.
    open.sort_by_key(|(_, row)| !row.is_in_trouble());
    let mut lines = Vec::with_capacity(room);
    if board.done() > 0 {
        lines.push(theme.paint(DIM, format!("  {}", tally(board.rows.values().filter(|row| row.is_done(board.goal))))));
    }
    let left = room - lines.len();
    let shown = if open.len() <= left { open.len() } else { left.saturating_sub(1) };
    lines.extend(open[..shown].iter().map(|(name, row)| component_line(board, name, row, theme)));
    if shown < open.len() {
        let rest = tally(open[shown..].iter().map(|(_, row)| *row));
        lines.push(theme.paint(DIM, format!("  {} more: {rest}", open.len() - shown)));
    }
    lines
}

fn component_line(board: &Board, name: &ComponentName, row: &Row, theme: Theme) -> String {
    let width = board.name_width();
    let phase = theme.paint(phase_style(row.phase), format!("{:<PHASE_WIDTH$}", row.word()));
    let elapsed = format!("{:>9}", coarse(row.elapsed(board.goal, board.now)));
    let note = theme.paint(DIM, printable(&row.note()));
    let line = format!("  {name:<width$}  {phase}  {}  {note}", theme.paint(DIM, elapsed));
    line.trim_end().to_owned()
}

fn image_lines(board: &Board, room: usize, theme: Theme) -> Vec<String> {
    let all = board.images.len();
    let shown = if all <= room { all } else { room - 1 };
    let line = |(image, progress): (&String, &ImageProgress)| {
        let elapsed = coarse(board.now.0.saturating_sub(progress.since.0));
        let about = format!("{elapsed:>9}  {}", printable(&progress.describe()));
        format!("  image {}  {}", printable(image), theme.paint(DIM, about))
    };
    let mut lines: Vec<String> = board.images.iter().take(shown).map(line).collect();
    if shown < all {
        lines.push(theme.paint(DIM, format!("  {} more", count(all - shown, "image"))));
    }
    lines
}

fn stall_lines(board: &Board, room: usize, theme: Theme) -> Vec<String> {
    if board.stalled.is_empty() || room < 2 {
        return Vec::new();
    }
    let mut lines = vec!["  nothing moved for a while:".to_owned()];
    let left = room - 1;
    let shown = if board.stalled.len() <= left { left } else { left - 1 };
    lines.extend(board.stalled.iter().take(shown).map(|line| theme.paint(DIM, format!("    {}", printable(line)))));
    if shown < board.stalled.len() {
        lines.push(theme.paint(DIM, format!("    {} more", board.stalled.len() - shown)));
    }
    lines
}

fn status_line(board: &Board, theme: Theme) -> String {
    let (done, all, goal) = (board.done(), board.rows.len(), board.goal.as_str());
    let failed = match board.failures.len() {
        0 => String::new(),
        failures => format!("  {}", theme.paint(BAD, format!("{failures} failed"))),
    };
    let (title, time) = (theme.paint(BOLD, board.title()), theme.paint(DIM, coarse(board.now.0)));
    format!("{title}  {done} of {all} {goal}{failed}  {time}")
}

/// `12 ready, 1 completed`.
fn tally<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let mut counts: BTreeMap<(bool, crate::event::Phase), (usize, &str)> = BTreeMap::new();
    for row in rows {
        counts.entry((row.removed, row.phase)).or_insert((0, row.word())).0 += 1;
    }
    let words: Vec<String> = counts.into_values().map(|(number, word)| format!("{number} {word}")).collect();
    words.join(", ")
}
