//! Live lines on a terminal: one calm line per component, redrawn at most ten times a second.
//!
//! All lines are one indicatif bar with a text of several lines rather than a bar each: one redraw is one write, so a
//! half-updated screen is never seen. At the end the live lines are erased and printed for good, so that nothing of
//! them depends on the cursor's place.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::board::Board;
use super::printer::{Printer, TerminalSize};
use super::reporter::Report;
use super::theme::{CAUTION, printable};
use super::{failure, summary, view};
use crate::event::{Event, EventKind, Outcome, Stamp};

/// Time between redraws.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// Used when the terminal doesn't tell its size.
const USUAL_SIZE: TerminalSize = (24, 80);

/// Draws live lines.
pub struct Terminal {
    printer: Printer,
    board: Board,
    bar: ProgressBar,
    drawn: Option<Stamp>,
    size: Option<TerminalSize>,
}

impl Terminal {
    /// Live lines on standard error.
    #[must_use]
    pub fn new(printer: Printer) -> Self {
        Self::on(printer, ProgressDrawTarget::stderr(), None)
    }

    /// Live lines on any target; `size` fixes rows and columns.
    #[must_use]
    pub fn on(printer: Printer, target: ProgressDrawTarget, size: Option<TerminalSize>) -> Self {
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        printer.set_live(Some(bar.clone()));
        Self { printer, board: Board::default(), bar, drawn: None, size }
    }

    fn lines(&self) -> Vec<String> {
        let size = self.size.or_else(|| self.printer.terminal_size()).unwrap_or(USUAL_SIZE);
        view::live_lines(&self.board, size, self.printer.err_theme())
    }

    /// Leaves the components' lines where people can scroll back to them.
    fn print_last_lines(&mut self) {
        if self.board.outcome == Some(Outcome::DeadlinePassed) {
            self.board.stalled = self.board.last_stall.clone();
        }
        let mut lines = self.lines();
        if self.board.outcome.is_some() {
            // The verdict says what the last line says.
            lines.pop();
        }
        lines.iter().for_each(|line| self.printer.progress(line));
    }

    fn redraw(&mut self) {
        let now = self.board.now;
        let due = self.drawn.is_none_or(|drawn| now.0.saturating_sub(drawn.0) >= REDRAW_EVERY);
        if due && self.board.cluster.is_some() {
            self.drawn = Some(now);
            self.bar.set_message(self.lines().join("\n"));
        }
    }
}

impl Report for Terminal {
    fn event(&mut self, event: &Event) {
        self.board.event(event);
        if let EventKind::Warning { message } = &event.kind {
            let word = self.printer.err_theme().paint(CAUTION, "warning");
            self.printer.problem(format!("{word}: {}", printable(message)));
        }
        self.redraw();
    }

    fn tick(&mut self, now: Stamp) {
        self.board.tick(now);
        self.redraw();
    }

    fn finish(&mut self) {
        self.bar.finish_and_clear();
        self.printer.set_live(None);
        // Where bars follow, they say all that the lines would.
        if !summary::has_bars(&self.board) {
            self.print_last_lines();
        }
        let theme = self.printer.err_theme();
        // Only now, next to the prompt: above live lines they would scroll away.
        for failure in &self.board.failures {
            self.printer.problem(failure::render(failure, theme));
        }
        summary::print(&self.board, &self.printer);
    }
}

impl Drop for Terminal {
    /// A run that is cut short leaves its last lines; what is written after them must not wait for a bar.
    fn drop(&mut self) {
        self.printer.set_live(None);
    }
}
