//! The one place that writes to standard output and standard error.
//!
//! Results go to standard output, progress and problems to standard error. Colours are decided here once for each
//! stream (a terminal, `NO_COLOR`, `CLICOLOR_FORCE`, `TERM=dumb`). When the reader went away, writing goes on into
//! nothing: `convoke ps | head -1` ends as if all had been read.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anstream::{AutoStream, ColorChoice};
use indicatif::ProgressBar;

use super::theme::Theme;

/// Rows and columns of a terminal.
pub type TerminalSize = (usize, usize);

/// Columns where there is no terminal to ask.
const USUAL_COLUMNS: usize = 80;

/// Writes lines. Clones write to the same place.
#[derive(Clone)]
pub struct Printer {
    shared: Arc<Shared>,
    /// Results are progress of something else.
    aside: bool,
}

struct Shared {
    sinks: Mutex<Sinks>,
    quiet: bool,
    out_theme: Theme,
    err_theme: Theme,
    /// None: standard error isn't a terminal.
    size: Option<fn() -> TerminalSize>,
}

struct Sinks {
    out: Sink,
    err: Sink,
    /// Live lines that must make way while something is written.
    live: Option<ProgressBar>,
}

struct Sink {
    writer: Box<dyn Write + Send>,
    /// Escape sequences pass; otherwise they are removed.
    color: bool,
    /// The reader went away.
    closed: bool,
}

impl Printer {
    /// Writes to the process's own streams. With `quiet`, progress isn't shown; results and problems are.
    #[must_use]
    pub fn system(quiet: bool) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let (out_terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
        let out_theme = Theme { color: AutoStream::choice(&out) != ColorChoice::Never, unicode: out_terminal };
        let err_theme = Theme { color: AutoStream::choice(&err) != ColorChoice::Never, unicode: err_terminal };
        let size: fn() -> TerminalSize = || {
            let (rows, columns) = console::Term::stderr().size();
            (usize::from(rows), usize::from(columns))
        };
        Self::over(Box::new(out), out_theme, Box::new(err), err_theme, quiet, err_terminal.then_some(size))
    }

    /// Writes into memory: for tests.
    #[must_use]
    pub fn captured(theme: Theme, quiet: bool) -> (Self, Captured) {
        let captured = Captured::default();
        let (out, err) = (captured.writer(Stream::Out), captured.writer(Stream::Err));
        (Self::over(Box::new(out), theme, Box::new(err), theme, quiet, None), captured)
    }

    fn over(
        out: Box<dyn Write + Send>,
        out_theme: Theme,
        err: Box<dyn Write + Send>,
        err_theme: Theme,
        quiet: bool,
        size: Option<fn() -> TerminalSize>,
    ) -> Self {
        let sinks = Sinks {
            out: Sink { writer: out, color: out_theme.color, closed: false },
            err: Sink { writer: err, color: err_theme.color, closed: false },
            live: None,
        };
        Self { shared: Arc::new(Shared { sinks: Mutex::new(sinks), quiet, out_theme, err_theme, size }), aside: false }
    }

    /// The same for a run that comes before what standard output is for: its results are progress.
    #[must_use]
    pub fn aside(&self) -> Self {
        Self { aside: true, ..self.clone() }
    }

    /// A line of the result, on standard output.
    pub fn result(&self, line: impl Display) {
        if self.aside {
            return self.progress(line);
        }
        self.write(Stream::Out, format!("{line}\n").as_bytes(), true);
    }

    /// A line about how it goes, on standard error; not with `quiet`.
    pub fn progress(&self, line: impl Display) {
        if !self.shared.quiet {
            self.write(Stream::Err, format!("{line}\n").as_bytes(), true);
        }
    }

    /// A line about something wrong, on standard error, always.
    pub fn problem(&self, line: impl Display) {
        self.write(Stream::Err, format!("{line}\n").as_bytes(), true);
    }

    /// Bytes as they are, to standard output: a component's own output.
    pub fn pass_out(&self, bytes: &[u8]) {
        self.write(Stream::Out, bytes, false);
    }

    /// Bytes as they are, to standard error: a component's own output.
    pub fn pass_err(&self, bytes: &[u8]) {
        self.write(Stream::Err, bytes, false);
    }

    /// What standard output can show.
    #[must_use]
    pub fn out_theme(&self) -> Theme {
        self.shared.out_theme
    }

    /// What standard error can show.
    #[must_use]
    pub fn err_theme(&self) -> Theme {
        self.shared.err_theme
    }

    /// Rows and columns of the terminal behind standard error; None if it isn't one. Asked anew each time: people
    /// resize windows.
    #[must_use]
    pub fn terminal_size(&self) -> Option<TerminalSize> {
        self.shared.size.map(|size| size())
    }

    /// Columns for text on standard error: those of the terminal, or what people are used to elsewhere.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.terminal_size().map_or(USUAL_COLUMNS, |(_, columns)| columns)
    }

    /// Whether progress is to be left out.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.shared.quiet
    }

    /// Whether the reader of standard output went away: a command that only prints can end, successfully.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sinks().out.closed
    }

    /// Standard error as a writer, for `tracing`: its lines and live lines don't mix.
    #[must_use]
    pub fn log_writer(&self) -> LogWriter {
        LogWriter { printer: self.clone() }
    }

    /// Sets the live lines that make way for everything written from now on; None: there are none any more.
    pub(super) fn set_live(&self, live: Option<ProgressBar>) {
        self.sinks().live = live;
    }

    fn sinks(&self) -> MutexGuard<'_, Sinks> {
        // A reporter that panicked half-way leaves at worst half a line behind.
        self.shared.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, stream: Stream, bytes: &[u8], ours: bool) {
        let mut sinks = self.sinks();
        let live = sinks.live.clone();
        let sink = match stream {
            Stream::Out => &mut sinks.out,
            Stream::Err => &mut sinks.err,
        };
        match live {
            Some(live) => live.suspend(|| sink.write(bytes, ours)),
            None => sink.write(bytes, ours),
        }
    }
}

impl Sink {
    /// Writes and flushes. `ours`: made by this program, so colours are removed where they aren't wanted.
    fn write(&mut self, bytes: &[u8], ours: bool) {
        if self.closed {
            return;
        }
        let written = if ours && !self.color {
            anstream::adapter::strip_bytes(bytes).try_for_each(|part| self.writer.write_all(part))
        } else {
            self.writer.write_all(bytes)
        };
        // EPIPE, EIO of a vanished terminal, ENOSPC: there is nobody to tell, and the run goes on.
        self.closed = written.and_then(|()| self.writer.flush()).is_err();
    }
}

/// Standard error as a writer; see [`Printer::log_writer`].
#[derive(Clone)]
pub struct LogWriter {
    printer: Printer,
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.printer.write(Stream::Err, bytes, true);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where bytes went, and the bytes.
type Written = (Stream, Vec<u8>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// What a captured printer wrote, in order.
#[derive(Clone, Default)]
pub struct Captured {
    written: Arc<Mutex<Vec<Written>>>,
}

impl Captured {
    /// What went to standard output.
    #[must_use]
    pub fn out(&self) -> String {
        self.text(|stream| stream == Stream::Out)
    }

    /// What went to standard error.
    #[must_use]
    pub fn err(&self) -> String {
        self.text(|stream| stream == Stream::Err)
    }

    /// Both, in the order written.
    #[must_use]
    pub fn all(&self) -> String {
        self.text(|_| true)
    }

    fn text(&self, wanted: impl Fn(Stream) -> bool) -> String {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> =
            written.iter().filter(|(stream, _)| wanted(*stream)).flat_map(|(_, bytes)| bytes.clone()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn writer(&self, stream: Stream) -> CaptureWriter {
        CaptureWriter { captured: self.clone(), stream }
    }
}

struct CaptureWriter {
    captured: Captured,
    stream: Stream,
}

impl Write for CaptureWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.captured.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.push((self.stream, bytes.to_vec()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn results_and_progress_go_their_own_ways() {
        let (printer, captured) = Printer::captured(Theme::PLAIN, false);
        printer.result("a result");
        printer.progress("a step");
        printer.problem("a problem");
        assert_eq!(captured.out(), "a result\n");
        assert_eq!(captured.err(), "a step\na problem\n");
    }

    #[test]
    fn quiet_keeps_results_and_problems() {
        let (printer, captured) = Printer::captured(Theme::PLAIN, true);
        printer.result("a result");
        printer.progress("a step");
        printer.problem("a problem");
        assert_eq!(captured.all(), "a result\na problem\n");
    }

    #[test]
    fn colours_are_removed_from_our_text_and_kept_in_a_component_s() {
        let (printer, captured) = Printer::captured(Theme::PLAIN, false);
        printer.result("\u{1b}[31mred\u{1b}[0m");
        printer.pass_out(b"\x1b[31mtheirs\x1b[0m\n");
        assert_eq!(captured.out(), "red\n\u{1b}[31mtheirs\u{1b}[0m\n");
    }

    #[test]
    fn a_reader_that_went_away_is_noticed_and_harmless() {
        let (out, err) = (Box::new(Broken), Box::new(Broken));
        let printer = Printer::over(out, Theme::PLAIN, err, Theme::PLAIN, false, None);
        assert!(!printer.is_closed());
        printer.result("one");
        printer.result("two");
        assert!(printer.is_closed());
    }

    #[test]
    fn log_lines_go_to_standard_error() {
        let (printer, captured) = Printer::captured(Theme::PLAIN, false);
        printer.log_writer().write_all(b"INFO up\n").unwrap();
        assert_eq!(captured.err(), "INFO up\n");
    }
}
