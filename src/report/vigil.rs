//! A supervised run for people: its start as any other, and from then on one line for what happened, with the time of
//! day. Nothing is kept: such a run may last for weeks.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::failure;
use super::printer::Printer;
use super::reporter::Report;
use super::theme::{CAUTION, DIM, phase_style, printable};
use crate::event::{Event, EventKind, Outcome, Phase, Stamp};
use crate::names::{ClusterName, ComponentName};
use crate::units::human;

/// A start that had so many events is shown no longer as a start: what is kept of it would grow.
const EVENTS_OF_A_START: usize = 5000;

/// Shows a supervised run.
pub struct Vigil {
    printer: Printer,
    /// Who shows the start; gone once all is ready.
    start: Option<Box<dyn Report + Send>>,
    events: usize,
    began: Timestamp,
    zone: TimeZone,
    cluster: Option<ClusterName>,
    width: usize,
    /// Since when a component is lost.
    lost: BTreeMap<ComponentName, Stamp>,
}

impl Vigil {
    /// `start` shows the run until all is ready for the first time.
    #[must_use]
    pub fn new(printer: Printer, start: Box<dyn Report + Send>, zone: TimeZone) -> Self {
        Self {
            printer,
            start: Some(start),
            events: 0,
            began: Timestamp::UNIX_EPOCH,
            zone,
            cluster: None,
            width: 4,
            lost: BTreeMap::new(),
        }
    }

    fn stamp(&self, at: Stamp) -> String {
        let since = SignedDuration::try_from(at.0).unwrap_or_default();
        let moment = self.began.checked_add(since).unwrap_or(self.began).to_zoned(self.zone.clone());
        self.printer.err_theme().paint(DIM, moment.strftime("%H:%M:%S"))
    }

    fn line(&self, at: Stamp, subject: impl Display, what: impl Display) {
        let width = self.width;
        let subject = subject.to_string();
        self.printer.progress(format!("{}  {subject:<width$}  {}", self.stamp(at), printable(&what.to_string())));
    }

    /// A line that is shown with `--quiet` too.
    fn problem(&self, at: Stamp, subject: impl Display, what: impl Display) {
        let width = self.width;
        let subject = subject.to_string();
        self.printer.problem(format!("{}  {subject:<width$}  {}", self.stamp(at), printable(&what.to_string())));
    }

    /// Hands the event to whoever shows the start; ends that when it is over.
    fn show_start(&mut self, event: &Event) {
        let Some(start) = &mut self.start else { return };
        self.events += 1;
        let is_over = match &event.kind {
            EventKind::ClusterReady { endpoints } => {
                let end = EventKind::RunFinished { outcome: Outcome::Ready, endpoints: endpoints.clone() };
                start.event(&Event::new(event.at, end));
                true
            }
            EventKind::SupervisionEnded { .. } => true,
            _ => {
                start.event(event);
                self.events >= EVENTS_OF_A_START
            }
        };
        if is_over && let Some(mut start) = self.start.take() {
            start.finish();
        }
    }

    fn begin(&mut self, kind: &EventKind) {
        if let EventKind::RunStarted { cluster, time, components, .. } = kind {
            self.began = time.parse().unwrap_or(Timestamp::UNIX_EPOCH);
            self.cluster = Some(cluster.clone());
            self.width = components.iter().map(|name| name.as_str().len()).max().unwrap_or(0).clamp(4, 32);
        }
    }

    /// What only a supervised run has; said during its start as well.
    fn supervision(&self, at: Stamp, kind: &EventKind) {
        match kind {
            EventKind::RecoveryPlanned { component, why, after, attempt, of } => {
                let when = if after.0.is_zero() { "at once".to_owned() } else { format!("in {}", human(after.0)) };
                self.line(at, component, format!("{why}; brought back {when} ({attempt} of {of})"));
            }
            EventKind::GivenUp { failure } => {
                let subject = failure.component.as_ref().map_or("cluster", |name| name.as_str());
                self.problem(at, subject, "given up");
                self.printer.problem(failure::render(failure, self.printer.err_theme()));
            }
            EventKind::DriftFound { component, what, hint } => {
                let subject = component.as_ref().map_or("drift", |name| name.as_str());
                self.problem(at, subject, what);
                if let Some(hint) = hint {
                    self.printer.problem(format!("  try: {}", printable(hint)));
                }
            }
            EventKind::DescriptionTaken { changed, added, removed } => self.description(at, [changed, added, removed]),
            EventKind::DescriptionRefused { message } => {
                self.problem(at, "files", "changed, and can't be used: the cluster stays as it was");
                // Diagnostics are our own text, with a line for each mistake.
                self.printer.problem(message.trim_end());
            }
            EventKind::SupervisionPaused { why } => self.line(at, "pause", format!("only looking on: {why}")),
            EventKind::SupervisionResumed {} => self.line(at, "pause", "over"),
            EventKind::SupervisionEnded { why } => {
                let cluster = self.cluster.as_ref().map_or("the cluster", ClusterName::as_str);
                self.line(at, "end", format!("{why}: {cluster} goes on without supervision"));
            }
            EventKind::EngineLost { why } => self.problem(at, "engine", format!("lost, and waited for: {why}")),
            EventKind::EngineFound {} => self.line(at, "engine", "answers again"),
            _ => {}
        }
    }

    fn description(&self, at: Stamp, [changed, added, removed]: [&Vec<ComponentName>; 3]) {
        let part = |verb: &str, names: &[ComponentName]| {
            let names: Vec<&str> = names.iter().map(ComponentName::as_str).collect();
            (!names.is_empty()).then(|| format!("{verb} {}", names.join(", ")))
        };
        let parts: Vec<String> =
            [part("changed", changed), part("new", added), part("gone", removed)].into_iter().flatten().collect();
        let what = if parts.is_empty() { "no component differs".to_owned() } else { parts.join("; ") };
        self.line(at, "files", format!("changed: {what}"));
    }

    /// What happens after the start, besides.
    fn goes_on(&mut self, at: Stamp, kind: &EventKind) {
        match kind {
            EventKind::PhaseChanged { component, phase, reason } => {
                self.phase(at, component, *phase, reason.as_deref())
            }
            EventKind::ClusterReady { .. } => {
                self.lost.clear();
                self.line(at, "all", "ready again");
            }
            EventKind::Warning { message } => {
                let word = self.printer.err_theme().paint(CAUTION, "warning");
                self.printer.problem(format!("{word}: {}", printable(message)));
            }
            EventKind::NetworkCreated { network, .. } => self.line(at, "network", format!("{network} made anew")),
            EventKind::VolumeCreated { volume } => self.line(at, "volume", format!("{volume} made")),
            EventKind::ImageReady { image, how, .. } if how != "present" => {
                self.line(at, "image", format!("{image} {how}"));
            }
            EventKind::Stalled { lines } => {
                for line in lines {
                    self.line(at, "stalled", line);
                }
            }
            _ => {}
        }
    }

    fn phase(&mut self, at: Stamp, component: &ComponentName, phase: Phase, reason: Option<&str>) {
        let word = self.printer.err_theme().paint(phase_style(phase), phase);
        match phase {
            Phase::Ready | Phase::Completed => {
                let lost = self.lost.remove(component);
                let took = lost.map(|since| format!(" after {}", human(at.0.saturating_sub(since.0))));
                self.say_phase(at, component, &format!("{word}{}", took.unwrap_or_default()));
            }
            Phase::Unhealthy | Phase::Stopped => {
                self.lost.entry(component.clone()).or_insert(at);
                let why = reason.map_or(String::new(), |reason| format!(" ({})", printable(reason)));
                self.say_phase(at, component, &format!("{word}{why}"));
            }
            _ => _ = self.lost.entry(component.clone()).or_insert(at),
        }
    }

    /// Colours stay: the text from outside in it is clean already.
    fn say_phase(&self, at: Stamp, component: &ComponentName, what: &str) {
        let width = self.width;
        self.printer.progress(format!("{}  {:<width$}  {what}", self.stamp(at), component.as_str()));
    }
}

impl Report for Vigil {
    fn event(&mut self, event: &Event) {
        self.begin(&event.kind);
        let was_starting = self.start.is_some();
        self.show_start(event);
        if was_starting && self.start.is_none() && matches!(event.kind, EventKind::ClusterReady { .. }) {
            let cluster = self.cluster.as_ref().map_or("the cluster", ClusterName::as_str);
            self.printer.progress(format!("supervising {cluster}: Ctrl-C ends that, and leaves it running"));
            return;
        }
        if let EventKind::RecoveryPlanned { component, .. } = &event.kind {
            self.lost.entry(component.clone()).or_insert(event.at);
        }
        self.supervision(event.at, &event.kind);
        if !was_starting {
            self.goes_on(event.at, &event.kind);
        }
    }

    fn tick(&mut self, now: Stamp) {
        if let Some(start) = &mut self.start {
            start.tick(now);
        }
    }

    fn finish(&mut self) {
        if let Some(mut start) = self.start.take() {
            start.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::Lines;
    use super::super::theme::Theme;
    use std::time::Duration;

    use super::*;
    use crate::event::Failure;

    const SECOND: Duration = Duration::from_secs(1);

    fn told(kinds: Vec<EventKind>) -> (String, String) {
        let (printer, captured) = Printer::captured(Theme::PLAIN, false);
        let start = Box::new(Lines::new(printer.clone()));
        let mut vigil = Vigil::new(printer, start, TimeZone::UTC);
        let began = EventKind::RunStarted {
            run: "r".into(),
            cluster: ClusterName::new("shop").unwrap(),
            command: "supervise".into(),
            time: "2026-11-28T04:36:00Z".into(),
            components: vec![web()],
        };
        for (n, kind) in (0..).zip([vec![began], kinds].concat()) {
            vigil.event(&Event::new(Stamp(SECOND * n), kind));
        }
        vigil.finish();
        (captured.out(), captured.err())
    }

    fn web() -> ComponentName {
        ComponentName::new("web").unwrap()
    }

    fn phase(phase: Phase) -> EventKind {
        EventKind::PhaseChanged { component: web(), phase, reason: None }
    }

    #[test]
    fn a_start_then_a_line_for_what_happens() {
        let recovery = |after: u64, attempt| EventKind::RecoveryPlanned {
            component: web(),
            why: "exited 137 after it was ready".into(),
            after: Stamp(SECOND * u32::try_from(after).unwrap()),
            attempt,
            of: 10,
        };
        let failure = Failure {
            component: Some(web()),
            what: "exited 1".into(),
            exit_code: Some(1),
            last_probe: None,
            log: vec!["no table".into()],
            hint: Some("`convoke restart web`".into()),
        };
        let (out, err) = told(vec![
            phase(Phase::Started),
            phase(Phase::Ready),
            EventKind::ClusterReady { endpoints: vec![] },
            EventKind::Exited { component: web(), code: 137, oom: false, restarts: true },
            recovery(0, 1),
            phase(Phase::Restarting),
            phase(Phase::Starting),
            phase(Phase::Ready),
            EventKind::ClusterReady { endpoints: vec![] },
            recovery(4, 2),
            EventKind::GivenUp { failure },
            EventKind::DriftFound { component: None, what: "guest is on the network".into(), hint: None },
            EventKind::DescriptionTaken { changed: vec![web()], added: vec![], removed: vec![web()] },
            EventKind::DescriptionRefused { message: "error: no".into() },
            EventKind::SupervisionPaused { why: "convoke stop".into() },
            EventKind::SupervisionResumed {},
            EventKind::EngineLost { why: "refused".into() },
            EventKind::EngineFound {},
            EventKind::SupervisionEnded { why: "interrupted".into() },
            EventKind::RunFinished { outcome: Outcome::Released, endpoints: vec![] },
        ]);
        insta::assert_snapshot!(out, @"shop ready in 3.00 s (1 component)");
        insta::assert_snapshot!(err);
    }

    #[test]
    fn one_that_ends_before_it_was_ready_says_so() {
        let (out, err) = told(vec![
            phase(Phase::Started),
            EventKind::SupervisionEnded { why: "interrupted".into() },
            EventKind::RunFinished { outcome: Outcome::Released, endpoints: vec![] },
        ]);
        assert_eq!(out, "");
        assert!(err.contains("04:36:02  end   interrupted: shop goes on without supervision"), "{err}");
    }
}
