//! Colours, marks and the cleaning of foreign text: how things look, decided in one place.

use std::fmt::Display;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::event::Phase;
use crate::units::human;

/// What an output stream can show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Theme {
    /// Colours may be used.
    pub color: bool,
    /// Characters beyond ASCII may be used for marks and bars.
    pub unicode: bool,
}

/// Less important text.
pub const DIM: Style = Style::new().dimmed();
/// Names and verdicts.
pub const BOLD: Style = Style::new().bold();
/// All is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Worth a look.
pub const CAUTION: Style = AnsiColor::Yellow.on_default();
/// Broken.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// On its way.
pub const BUSY: Style = AnsiColor::Cyan.on_default();
/// What to type next.
pub const HINT: Style = AnsiColor::Cyan.on_default();

impl Theme {
    /// No colours, ASCII only: files, pipes, CI logs.
    pub const PLAIN: Self = Self { color: false, unicode: false };

    /// The text in this style, or as it is where colours aren't wanted.
    #[must_use]
    pub fn paint(self, style: Style, text: impl Display) -> String {
        let text = text.to_string();
        let visible = self.color && style != Style::new() && !text.is_empty();
        if visible { format!("{style}{text}{style:#}") } else { text }
    }

    /// Stands before a good verdict.
    #[must_use]
    pub fn good_mark(self) -> String {
        if self.unicode { format!("{} ", self.paint(GOOD, "✔")) } else { String::new() }
    }

    /// Stands before a bad verdict.
    #[must_use]
    pub fn bad_mark(self) -> String {
        if self.unicode { format!("{} ", self.paint(BAD, "✘")) } else { String::new() }
    }

    /// Stands before each quoted log line.
    #[must_use]
    pub fn bar(self) -> String {
        self.paint(DIM, if self.unicode { "│" } else { "|" })
    }

    /// Stands for text that was cut away.
    #[must_use]
    pub const fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }
}

/// The style of a phase.
#[must_use]
pub const fn phase_style(phase: Phase) -> Style {
    match phase {
        Phase::Pending | Phase::Stopped => DIM,
        Phase::Creating | Phase::Created | Phase::Starting | Phase::Started => Style::new(),
        Phase::Live => BUSY,
        Phase::Ready | Phase::Completed => GOOD,
        Phase::Unhealthy | Phase::Restarting => CAUTION,
        Phase::Failed => BAD,
    }
}

/// Makes foreign text safe and fit for one line: escape sequences are removed, and tabs, line ends and other control
/// characters become spaces, so that a program's log can't drive the reader's terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let plain = anstream::adapter::strip_str(text).to_string();
    plain.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A duration that changes while people watch: tenths of a second are enough.
#[must_use]
pub fn coarse(duration: Duration) -> String {
    if duration < Duration::from_mins(1) { format!("{:.1} s", duration.as_secs_f64()) } else { human(duration) }
}

/// `1 component`, `2 components`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_can_not_drive_the_terminal() {
        assert_eq!(printable("\u{1b}[2J\u{1b}[31mred\u{1b}[0m\tx\r\n"), "red x");
        assert_eq!(printable("\u{1b}]0;title\u{7}a\u{8}b"), "ab");
    }

    #[test]
    fn plain_paint_adds_nothing() {
        assert_eq!(Theme::PLAIN.paint(BAD, "x"), "x");
        assert_eq!(Theme { color: true, unicode: true }.paint(GOOD, "x"), "\u{1b}[32mx\u{1b}[0m");
    }

    #[test]
    fn changing_durations_have_one_decimal() {
        assert_eq!(coarse(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(coarse(Duration::from_secs(65)), "1 min 5 s");
    }
}
