//! Every event as one line of JSON on standard output, at once: for programs. `docs/events.md` describes the form.

use super::printer::Printer;
use super::record::masked;
use super::reporter::Report;
use crate::event::Event;
use crate::mask::Masker;

/// Prints JSON lines.
pub struct Json {
    printer: Printer,
    masker: Masker,
}

impl Json {
    /// JSON lines on this printer's standard output, with secrets masked.
    #[must_use]
    pub const fn new(printer: Printer, masker: Masker) -> Self {
        Self { printer, masker }
    }
}

impl Report for Json {
    fn event(&mut self, event: &Event) {
        // An event is plain data: it has no map keys or numbers that JSON couldn't hold.
        if let Ok(line) = serde_json::to_string(&masked(event, &self.masker)) {
            self.printer.result(line);
        }
    }

    fn finish(&mut self) {}
}
