//! What a reporter is, and how a run's events get to all of them.

use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::time::{Instant, MissedTickBehavior};

use super::json::Json;
use super::lines::Lines;
use super::printer::Printer;
use super::terminal::Terminal;
use super::vigil::Vigil;
use crate::event::{Event, EventKind, Outcome, Stamp};
use crate::mask::Masker;

/// Time between ticks.
const TICK_EVERY: Duration = Duration::from_millis(100);

/// Reads events. It can't influence the run, and fails for itself: a full disk or a vanished reader stops no start.
pub trait Report {
    /// Something happened.
    fn event(&mut self, event: &Event);

    /// Time passed: called about ten times a second with the time since the run began.
    fn tick(&mut self, _now: Stamp) {}

    /// No more will come. Called once, also after a run that was cut short.
    fn finish(&mut self);
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Live lines where standard error is a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Live lines.
    Tty,
    /// One line per change.
    Plain,
    /// JSON lines.
    Json,
}

/// Several reporters that are told the same.
#[derive(Default)]
pub struct Reporters {
    all: Vec<Box<dyn Report + Send>>,
}

impl Reporters {
    /// No reporters yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The reporter for people or programs. Live lines need a terminal that takes them: without one, or with
    /// `--quiet`, asking for them gives plain lines.
    #[must_use]
    pub fn for_format(format: Format, printer: &Printer, masker: &Masker) -> Self {
        let live = printer.terminal_size().is_some() && !printer.is_quiet();
        let reporters = Self::new();
        match format {
            Format::Json => reporters.with(Json::new(printer.clone(), masker.clone())),
            Format::Auto | Format::Tty if live => reporters.with(Terminal::new(printer.clone())),
            Format::Auto | Format::Tty | Format::Plain => reporters.with(Lines::new(printer.clone())),
        }
    }

    /// The same for a supervised run, which goes on after its start.
    #[must_use]
    pub fn for_supervision(format: Format, printer: &Printer, masker: &Masker) -> Self {
        let start = Self::for_format(format, printer, masker);
        if format == Format::Json {
            return start;
        }
        Self::new().with(Vigil::new(printer.clone(), Box::new(start), jiff::tz::TimeZone::system()))
    }

    /// One more.
    #[must_use]
    pub fn with(mut self, reporter: impl Report + Send + 'static) -> Self {
        self.all.push(Box::new(reporter));
        self
    }
}

impl Report for Reporters {
    fn event(&mut self, event: &Event) {
        self.all.iter_mut().for_each(|reporter| reporter.event(event));
    }

    fn tick(&mut self, now: Stamp) {
        self.all.iter_mut().for_each(|reporter| reporter.tick(now));
    }

    fn finish(&mut self) {
        self.all.iter_mut().for_each(|reporter| reporter.finish());
    }
}

/// Tells the reporters every event until the stream ends, and the time in between; `began` is the moment that stamps
/// count from. Returns how the run ended; None if the stream ended without saying so.
///
/// Reporters write to pipes and files and may block: give this a task of its own.
pub async fn follow(events: impl Stream<Item = Event>, mut reporters: impl Report, began: Instant) -> Option<Outcome> {
    let mut events = std::pin::pin!(events);
    let mut ticks = tokio::time::interval(TICK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut outcome = None;
    loop {
        tokio::select! {
            biased;
            event = events.next() => match event {
                Some(event) => {
                    if let EventKind::RunFinished { outcome: how, .. } = &event.kind {
                        outcome = Some(*how);
                    }
                    reporters.event(&event);
                }
                None => break,
            },
            _ = ticks.tick() => reporters.tick(Stamp(began.elapsed())),
        }
    }
    reporters.finish();
    outcome
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Report for Log {
        fn event(&mut self, event: &Event) {
            self.0.lock().unwrap().push(format!("event at {:?}", event.at.0));
        }

        fn tick(&mut self, now: Stamp) {
            self.0.lock().unwrap().push(format!("tick at {:?}", now.0));
        }

        fn finish(&mut self) {
            self.0.lock().unwrap().push("finish".into());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_and_time_reach_every_reporter() {
        let (one, two) = (Log::default(), Log::default());
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let reporters = Reporters::new().with(one.clone()).with(two.clone());
        let began = Instant::now();
        let following = tokio::spawn(follow(receiver, reporters, began));
        tokio::time::sleep(Duration::from_millis(150)).await;
        let end = EventKind::RunFinished { outcome: Outcome::Interrupted, endpoints: vec![] };
        sender.unbounded_send(Event::new(Stamp(Duration::from_millis(150)), end)).unwrap();
        drop(sender);
        assert_eq!(following.await.unwrap(), Some(Outcome::Interrupted));
        assert_eq!(*one.0.lock().unwrap(), ["tick at 0ns", "tick at 100ms", "event at 150ms", "finish"]);
        assert_eq!(*one.0.lock().unwrap(), *two.0.lock().unwrap());
    }

    #[test]
    fn no_terminal_no_live_lines() {
        let (printer, captured) = Printer::captured(super::super::theme::Theme::PLAIN, false);
        let mut reporters = Reporters::for_format(Format::Tty, &printer, &Masker::default());
        let kind = EventKind::NetworkCreated { network: "n".into(), subnet: None };
        reporters.event(&Event::new(Stamp::default(), kind));
        assert!(captured.err().contains("n created"));
    }
}
