//! One plain line per change, for CI logs and files: nothing is overwritten, nothing repeats.
//!
//! `creating` and `starting` have no line: the line that follows them says when they were over, and a stall
//! explanation names who is still there.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use super::board::Board;
use super::printer::Printer;
use super::reporter::Report;
use super::theme::{CAUTION, DIM, count, phase_style, printable};
use super::{failure, summary};
use crate::event::{Event, EventKind, Phase, PlannedAction, Stamp};
use crate::names::ComponentName;

/// A component that isn't ready has its wait told after so long in one phase, and again when it changed, at most
/// this often: probe answers change many times a second at first.
const WAIT_LINE_EVERY: Duration = Duration::from_secs(5);

/// How far an image is gets told at most this often.
const IMAGE_LINE_EVERY: Duration = Duration::from_secs(10);

/// Prints lines.
pub struct Lines {
    printer: Printer,
    board: Board,
    /// What was told last about each component's wait, and when.
    told: BTreeMap<ComponentName, (Stamp, String)>,
    /// When each image's progress was told last.
    images: BTreeMap<String, Stamp>,
}

impl Lines {
    /// Lines on this printer.
    #[must_use]
    pub fn new(printer: Printer) -> Self {
        Self { printer, board: Board::default(), told: BTreeMap::new(), images: BTreeMap::new() }
    }

    fn stamp(&self, at: Stamp) -> String {
        self.printer.err_theme().paint(DIM, format!("{:>8.3} s", at.0.as_secs_f64()))
    }

    /// A line with its subject in the first column.
    fn line(&self, at: Stamp, subject: impl Display, what: impl Display) {
        let width = self.board.name_width();
        self.printer.progress(format!("{}  {:<width$}  {what}", self.stamp(at), subject.to_string()));
    }

    fn phase(&mut self, at: Stamp, component: &ComponentName, phase: Phase, reason: Option<&str>) {
        self.told.remove(component);
        let silent =
            matches!(phase, Phase::Creating | Phase::Starting) || (phase == Phase::Pending && reason.is_none());
        if silent {
            return;
        }
        let word = self.printer.err_theme().paint(phase_style(phase), phase);
        match reason {
            Some(reason) => self.line(at, component, format!("{word} ({})", printable(reason))),
            None => self.line(at, component, word),
        }
    }

    fn exited(&self, at: Stamp, component: &ComponentName, code: i64, oom: bool, restarts: bool) {
        let memory = if oom { ", out of memory" } else { "" };
        let then = if restarts { ", will be started again" } else { "" };
        self.line(at, component, format!("exited {code}{memory}{then}"));
    }

    fn planned(&self, at: Stamp, actions: &[PlannedAction]) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for action in actions {
            *counts.entry(action.action.as_str()).or_default() += 1;
        }
        let counts: Vec<String> = counts.iter().map(|(action, number)| format!("{action} {number}")).collect();
        self.line(at, "plan", if counts.is_empty() { "nothing to do".to_owned() } else { counts.join(", ") });
        // A container that goes away is worth a line of its own: people want to know why.
        for action in actions.iter().filter(|action| matches!(action.action.as_str(), "replace" | "remove")) {
            self.line(at, &action.component, format!("will be {}d ({})", action.action, printable(&action.reason)));
        }
    }

    fn stalled(&self, at: Stamp, lines: &[String]) {
        self.line(at, "stalled", "nothing moved for a while");
        for line in lines {
            self.printer.progress(format!("              {}", printable(line)));
        }
    }

    /// Tells how far a pull or build is.
    fn image(&mut self, at: Stamp, image: &str) {
        let due = self.images.get(image).is_none_or(|told| at.0.saturating_sub(told.0) >= IMAGE_LINE_EVERY);
        if let (true, Some(progress)) = (due, self.board.images.get(image)) {
            let text = progress.describe();
            self.line(at, "image", format!("{} {}", printable(image), printable(&text)));
            self.images.insert(image.to_owned(), at);
        }
    }

    /// What happened to an image, a network or a volume.
    fn thing(&mut self, at: Stamp, kind: &EventKind) {
        match kind {
            EventKind::ImageProgress { image, .. } => self.image(at, image),
            // An image that was there already isn't news.
            EventKind::ImageReady { how, .. } if how == "present" => {}
            EventKind::ImageReady { image, how, .. } => self.line(at, "image", format!("{} {how}", printable(image))),
            EventKind::NetworkCreated { network, subnet } => {
                let subnet = subnet.as_ref().map_or(String::new(), |subnet| format!(" ({subnet})"));
                self.line(at, "network", format!("{network} created{subnet}"));
            }
            EventKind::NetworkRemoved { network } => self.line(at, "network", format!("{network} removed")),
            EventKind::VolumeCreated { volume } => self.line(at, "volume", format!("{volume} created")),
            EventKind::VolumeRemoved { volume } => self.line(at, "volume", format!("{volume} removed")),
            _ => {}
        }
    }

    /// Tells the waits that last.
    fn tell_waits(&mut self) {
        // What is told after the failures would read as if the run went on.
        if self.board.outcome.is_some() || !self.board.failures.is_empty() {
            return;
        }
        let now = self.board.now;
        let mut due = Vec::new();
        for (name, row) in self.board.open().filter(|(_, row)| row.waiting.is_some() || !row.on.is_empty()) {
            let note = printable(&row.note());
            let told = self.told.get(name);
            let since = told.map_or(row.since, |(at, _)| *at);
            if now.0.saturating_sub(since.0) >= WAIT_LINE_EVERY && told.is_none_or(|(_, last)| *last != note) {
                due.push((name.clone(), row.word(), note));
            }
        }
        for (name, word, note) in due {
            self.line(now, &name, format!("{word}: {note}"));
            self.told.insert(name, (now, note));
        }
    }
}

impl Report for Lines {
    fn event(&mut self, event: &Event) {
        self.board.event(event);
        let at = event.at;
        match &event.kind {
            EventKind::RunStarted { cluster, command, components, .. } => {
                let what = format!("{command} {cluster}, {}", count(components.len(), "component"));
                self.printer.progress(format!("{}  {what}", self.stamp(at)));
            }
            EventKind::Planned { actions } => self.planned(at, actions),
            EventKind::ComponentRemoved { component } => self.line(at, component, "removed"),
            EventKind::PhaseChanged { component, phase, reason } => {
                self.phase(at, component, *phase, reason.as_deref());
            }
            EventKind::Waiting { .. } => self.tell_waits(),
            EventKind::Exited { component, code, oom, restarts } => {
                self.exited(at, component, *code, *oom, *restarts);
            }
            EventKind::Stalled { lines } => self.stalled(at, lines),
            EventKind::Warning { message } => {
                let word = self.printer.err_theme().paint(CAUTION, "warning");
                self.printer.problem(format!("{word}: {}", printable(message)));
            }
            EventKind::Failed { failure } => {
                self.printer.problem(failure::render(failure, self.printer.err_theme()));
            }
            // Told at the end.
            EventKind::RunFinished { .. } => {}
            thing => self.thing(at, thing),
        }
    }

    fn tick(&mut self, now: Stamp) {
        self.board.tick(now);
        self.tell_waits();
    }

    fn finish(&mut self) {
        summary::print(&self.board, &self.printer);
    }
}
