//! Every reporter on the same recorded runs: one that gets ready, one that fails, one that stalls.

#[path = "../../tests/support/schema.rs"]
mod schema;

use std::time::Duration;

use indicatif::{InMemoryTerm, ProgressDrawTarget};

use super::board::Board;
use super::printer::{Captured, Printer, TerminalSize};
use super::reporter::Report;
use super::theme::Theme;
use super::{Json, Lines, Masker, Terminal, view};
use crate::event::{Event, EventKind, Failure, Outcome, Phase, PlannedAction, PublishedEndpoint, Stamp};
use crate::names::{ClusterName, ComponentName};

const READY: &str = include_str!("fixtures/ready.jsonl");
const FAILING: &str = include_str!("fixtures/failing.jsonl");
const STALLED: &str = include_str!("fixtures/stalled.jsonl");
const DOCS: &str = include_str!("../../docs/events.md");

fn events(fixture: &str) -> Vec<Event> {
    fixture.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Tells a run to a reporter with a tick every 100 ms, as it happens in life, up to this moment.
fn play(reporter: &mut impl Report, events: &[Event], until_ms: u64) {
    let until = Stamp(Duration::from_millis(until_ms));
    let mut tick = Duration::ZERO;
    for event in events.iter().filter(|event| event.at <= until) {
        while tick < event.at.0 {
            reporter.tick(Stamp(tick));
            tick += Duration::from_millis(100);
        }
        reporter.event(event);
    }
    while tick <= until.0 && until_ms != u64::MAX {
        reporter.tick(Stamp(tick));
        tick += Duration::from_millis(100);
    }
}

fn lines_of(fixture: &str, quiet: bool) -> Captured {
    let (printer, captured) = Printer::captured(Theme::PLAIN, quiet);
    let mut lines = Lines::new(printer);
    play(&mut lines, &events(fixture), u64::MAX);
    lines.finish();
    captured
}

#[test]
fn lines_of_a_ready_run() {
    insta::assert_snapshot!(lines_of(READY, false).all());
}

#[test]
fn lines_of_a_failing_run() {
    insta::assert_snapshot!(lines_of(FAILING, false).all());
}

#[test]
fn lines_of_a_stalled_run() {
    insta::assert_snapshot!(lines_of(STALLED, false).all());
}

#[test]
fn a_quiet_run_says_the_result_and_what_went_wrong() {
    insta::assert_snapshot!(lines_of(READY, true).all(), @r"
    warning: compute publishes 55432 on 127.0.0.1 only
    demo ready in 1.23 s (6 components)
      compute             127.0.0.1:55432 -> 55432/tcp
      storage-controller  127.0.0.1:1234 -> 1234/tcp
    ");
    assert!(lines_of(FAILING, true).all().starts_with("pageserver-1: ran out of memory"));
}

/// The screen at this moment, and what is there for good at the end.
fn screen(fixture: &str, (rows, columns): (u16, u16), at_ms: u64) -> (String, String) {
    let screen = InMemoryTerm::new(rows, columns);
    let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
    let (printer, captured) = Printer::captured(Theme { color: false, unicode: true }, false);
    let mut terminal = Terminal::on(printer, target, Some((rows.into(), columns.into())));
    let events = events(fixture);
    play(&mut terminal, &events, at_ms);
    let live = screen.contents();
    events.iter().filter(|event| event.at.0 > Duration::from_millis(at_ms)).for_each(|event| terminal.event(event));
    terminal.finish();
    assert_eq!(screen.contents(), "", "live lines are erased before the last ones are printed");
    (live, captured.all())
}

#[test]
fn a_terminal_shows_a_ready_run() {
    let (live, end) = screen(READY, (24, 100), 200);
    insta::assert_snapshot!("terminal_ready_live", live);
    insta::assert_snapshot!("terminal_ready_end", end);
}

#[test]
fn a_terminal_shows_a_failing_run() {
    let (live, end) = screen(FAILING, (24, 100), 930);
    insta::assert_snapshot!("terminal_failing_live", live);
    insta::assert_snapshot!("terminal_failing_end", end);
}

#[test]
fn a_terminal_shows_a_stalled_run() {
    let (live, end) = screen(STALLED, (24, 100), 12_000);
    insta::assert_snapshot!("terminal_stalled_live", live);
    insta::assert_snapshot!("terminal_stalled_end", end);
}

#[test]
fn a_terminal_that_is_too_small_folds_what_is_settled() {
    let (live, _) = screen(READY, (6, 60), 450);
    insta::assert_snapshot!(live, @r"
      2 ready
      pageserver-2        restarting      0.4 s  starts again …
      storage-controller  live            0.4 s  http :1234/re…
      2 more: 1 pending, 1 started
    demo  2 of 6 ready  0.4 s
    ");
}

#[test]
fn a_screen_is_drawn_ten_times_a_second_at_most() {
    let memory = InMemoryTerm::new(24, 80);
    let target = ProgressDrawTarget::term_like(Box::new(memory.clone()));
    let (printer, _captured) = Printer::captured(Theme::PLAIN, false);
    let mut terminal = Terminal::on(printer, target, Some((24, 80)));
    let events = events(READY);
    terminal.event(&events[0]);
    memory.moves_since_last_check();
    events[1..]
        .iter()
        .take_while(|event| event.at.0 < Duration::from_millis(100))
        .for_each(|event| terminal.event(event));
    assert_eq!(memory.moves_since_last_check(), "");
    terminal.tick(Stamp(Duration::from_millis(100)));
    assert_ne!(memory.moves_since_last_check(), "");
}

#[test]
fn colours_change_nothing_but_colours() {
    let mut board = Board::default();
    events(FAILING).iter().take(16).for_each(|event| board.event(event));
    let plain = view::live_lines(&board, (24, 100), Theme { color: false, unicode: true });
    let colored = view::live_lines(&board, (24, 100), Theme { color: true, unicode: true });
    assert_ne!(plain, colored);
    assert_eq!(plain, colored.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect::<Vec<_>>());
}

fn crowd(size: usize) -> Board {
    let mut board = Board::default();
    let components: Vec<ComponentName> = (1..=size).map(|n| ComponentName::new(format!("web-{n}")).unwrap()).collect();
    let cluster = ClusterName::new("demo").unwrap();
    let (run, command, time) = ("r".to_owned(), "up".to_owned(), String::new());
    let start = EventKind::RunStarted { run, cluster, command, time, components: components.clone() };
    board.event(&Event::new(Stamp::default(), start));
    for (index, component) in components.into_iter().enumerate() {
        let phase = match index {
            0..40 => Phase::Ready,
            49 => Phase::Failed,
            _ => Phase::Started,
        };
        let kind = EventKind::PhaseChanged { component, phase, reason: None };
        board.event(&Event::new(Stamp(Duration::from_millis(index as u64)), kind));
    }
    board
}

#[test]
fn many_components_fit_with_the_trouble_in_sight() {
    let lines = view::live_lines(&crowd(50), (10, 80), Theme::PLAIN);
    insta::assert_snapshot!(lines.join("\n"), @r"
      40 ready
      web-50  failed          0.0 s
      web-41  started         0.0 s
      web-42  started         0.0 s
      web-43  started         0.0 s
      web-44  started         0.0 s
      web-45  started         0.0 s
      4 more: 4 started
    demo  40 of 50 ready  0.0 s
    ");
}

#[test]
fn live_lines_never_exceed_the_terminal() {
    let size = |rows: usize, columns: usize| -> TerminalSize { (rows, columns) };
    let mut board = crowd(50);
    for rows in [0, 1, 6, 10, 24, 80] {
        for columns in [0, 1, 20, 200] {
            let theme = Theme { color: true, unicode: true };
            let lines = view::live_lines(&board, size(rows, columns), theme);
            assert!(lines.len() < rows.max(6), "{} lines in {rows} rows", lines.len());
            let widest = lines.iter().map(|line| console::measure_text_width(line)).max().unwrap();
            assert!(widest <= columns.saturating_sub(1).max(1), "{widest} wide in {columns} columns");
        }
        // Images and a stall take rows too.
        for number in 0..9 {
            let image = format!("image:{number}");
            let kind = EventKind::ImageProgress { image, text: "downloading".into(), current: None, total: None };
            board.event(&Event::new(Stamp::default(), kind));
            board.event(&Event::new(Stamp::default(), EventKind::Stalled { lines: vec!["line".into(); 9] }));
        }
    }
}

#[test]
fn json_lines_are_the_events() {
    for fixture in [READY, FAILING, STALLED] {
        let (printer, captured) = Printer::captured(Theme::PLAIN, false);
        let mut json = Json::new(printer, Masker::default());
        events(fixture).iter().for_each(|event| json.event(event));
        json.finish();
        assert_eq!(captured.err(), "");
        // Compared as values: a hand-written line may leave out what is null.
        let told: Vec<Event> = events(&captured.out());
        assert_eq!(told, events(fixture));
    }
}

#[test]
fn json_lines_mask_secrets() {
    let (printer, captured) = Printer::captured(Theme::PLAIN, false);
    let mut json = Json::new(printer, Masker::new(["hun\"ter"]));
    samples().into_iter().for_each(|kind| json.event(&Event::new(Stamp::default(), kind)));
    let message = "said hun\"ter and stopped".to_owned();
    json.event(&Event::new(Stamp::default(), EventKind::Warning { message }));
    assert!(
        captured.out().ends_with("{\"v\":1,\"at\":0,\"event\":\"warning\",\"message\":\"said *** and stopped\"}\n")
    );
}

/// One event of each kind. The match makes a new kind fail to compile here until it is listed.
fn samples() -> Vec<EventKind> {
    let component = || ComponentName::new("db").unwrap();
    let text = || "text".to_owned();
    let all = vec![
        EventKind::RunStarted {
            run: text(),
            cluster: ClusterName::new("demo").unwrap(),
            command: "up".into(),
            time: "2026-11-22T10:00:00Z".into(),
            components: vec![component()],
        },
        EventKind::Planned {
            actions: vec![PlannedAction { component: component(), action: "create".into(), reason: text() }],
        },
        EventKind::ImageProgress { image: text(), text: text(), current: Some(1), total: None },
        EventKind::ImageReady { image: text(), how: "pulled".into(), components: vec![component()] },
        EventKind::NetworkCreated { network: text(), subnet: Some(text()) },
        EventKind::NetworkRemoved { network: text() },
        EventKind::VolumeCreated { volume: text() },
        EventKind::VolumeRemoved { volume: text() },
        EventKind::ComponentRemoved { component: component() },
        EventKind::PhaseChanged { component: component(), phase: Phase::Ready, reason: Some(text()) },
        EventKind::Waiting { component: component(), why: text(), on: vec![component()], gate: Some(Phase::Ready) },
        EventKind::Exited { component: component(), code: -1, oom: true, restarts: false },
        EventKind::Stalled { lines: vec![text()] },
        EventKind::Warning { message: text() },
        EventKind::ClusterReady { endpoints: vec![] },
        EventKind::RecoveryPlanned {
            component: component(),
            why: text(),
            after: Stamp(Duration::from_secs(1)),
            attempt: 2,
            of: 10,
        },
        EventKind::GivenUp {
            failure: Failure {
                component: Some(component()),
                what: text(),
                exit_code: None,
                last_probe: None,
                log: vec![],
                hint: Some(text()),
            },
        },
        EventKind::DriftFound { component: Some(component()), what: text(), hint: Some(text()) },
        EventKind::DescriptionTaken { changed: vec![component()], added: vec![], removed: vec![] },
        EventKind::DescriptionRefused { message: text() },
        EventKind::SupervisionPaused { why: text() },
        EventKind::SupervisionResumed {},
        EventKind::SupervisionEnded { why: text() },
        EventKind::EngineLost { why: text() },
        EventKind::EngineFound {},
        EventKind::Failed {
            failure: Failure {
                component: Some(component()),
                what: text(),
                exit_code: Some(1),
                last_probe: Some(text()),
                log: vec![text()],
                hint: Some(text()),
            },
        },
        EventKind::RunFinished {
            outcome: Outcome::DeadlinePassed,
            endpoints: vec![PublishedEndpoint {
                component: component(),
                host: "127.0.0.1:80".into(),
                port: 80,
                protocol: "tcp".into(),
            }],
        },
    ];
    for kind in &all {
        match kind {
            EventKind::RunStarted { .. }
            | EventKind::Planned { .. }
            | EventKind::ImageProgress { .. }
            | EventKind::ImageReady { .. }
            | EventKind::NetworkCreated { .. }
            | EventKind::NetworkRemoved { .. }
            | EventKind::VolumeCreated { .. }
            | EventKind::VolumeRemoved { .. }
            | EventKind::ComponentRemoved { .. }
            | EventKind::PhaseChanged { .. }
            | EventKind::Waiting { .. }
            | EventKind::Exited { .. }
            | EventKind::Stalled { .. }
            | EventKind::Warning { .. }
            | EventKind::ClusterReady { .. }
            | EventKind::RecoveryPlanned { .. }
            | EventKind::GivenUp { .. }
            | EventKind::DriftFound { .. }
            | EventKind::DescriptionTaken { .. }
            | EventKind::DescriptionRefused { .. }
            | EventKind::SupervisionPaused { .. }
            | EventKind::SupervisionResumed {}
            | EventKind::SupervisionEnded { .. }
            | EventKind::EngineLost { .. }
            | EventKind::EngineFound {}
            | EventKind::Failed { .. }
            | EventKind::RunFinished { .. } => {}
        }
    }
    all
}

#[test]
fn every_event_survives_its_json_form() {
    for kind in samples() {
        let event = Event::new(Stamp(Duration::from_micros(1_234_567)), kind);
        let line = serde_json::to_string(&event).unwrap();
        assert!(line.starts_with("{\"v\":1,\"at\":1234567,\"event\":"), "{line}");
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}

#[test]
fn the_documentation_has_every_event_with_a_valid_example() {
    let examples: Vec<Event> =
        DOCS.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    for kind in samples() {
        let name = serde_json::to_value(Event::new(Stamp::default(), kind.clone())).unwrap()["event"].clone();
        let name = name.as_str().unwrap();
        assert!(DOCS.contains(&format!("### `{name}`")), "docs/events.md says nothing about {name}");
        let same = |event: &&Event| std::mem::discriminant(&event.kind) == std::mem::discriminant(&kind);
        assert!(examples.iter().any(|event| same(&event)), "docs/events.md has no example of {name}");
    }
}

#[test]
fn the_schema_fits_every_event_and_nothing_else() {
    let schema = schema::Schema::of_events();
    let documented = DOCS.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap());
    let recorded = [READY, FAILING, STALLED].into_iter().flat_map(events);
    let whole = samples().into_iter().map(|kind| Event::new(Stamp(Duration::from_secs(1)), kind));
    for event in documented.chain(recorded).chain(whole) {
        let value = serde_json::to_value(&event).unwrap();
        assert_eq!(schema.check(&value), Ok(()));
    }
    for wrong in [
        r#"{"v":1,"at":0,"event":"nothing_known"}"#,
        r#"{"v":1,"event":"volume_created","volume":"x"}"#,
        r#"{"v":1,"at":0,"event":"volume_created"}"#,
        r#"{"v":1,"at":0,"event":"volume_created","volume":"x","size":1}"#,
        r#"{"v":1,"at":0,"event":"phase_changed","component":"x","phase":"asleep"}"#,
    ] {
        assert!(schema.check(&serde_json::from_str(wrong).unwrap()).is_err(), "{wrong}");
    }
}

#[test]
fn after_a_failure_no_wait_is_told() {
    let (printer, captured) = Printer::captured(Theme::PLAIN, false);
    let mut lines = Lines::new(printer);
    let events = events(STALLED);
    let end = events.iter().position(|event| matches!(event.kind, EventKind::Failed { .. })).unwrap();
    play(&mut lines, &events[..=end], u64::MAX);
    let told = captured.err();
    // The run is over, and its calls in flight are waited for.
    lines.tick(Stamp(Duration::from_secs(60)));
    assert_eq!(captured.err(), told);
}

/// What is offered after this run, in which nothing else happened than that it was refused.
fn next_after(events: &[EventKind]) -> String {
    let (printer, captured) = Printer::captured(Theme::PLAIN, false);
    let mut lines = Lines::new(printer);
    let kinds =
        samples().into_iter().take(1).chain(events.iter().cloned()).chain(samples().into_iter().rev().take(2).rev());
    kinds.for_each(|kind| lines.event(&Event::new(Stamp::default(), kind)));
    lines.finish();
    let told = captured.err();
    told.lines().filter_map(|line| line.strip_prefix("  next: ")).collect()
}

#[test]
fn nothing_is_offered_to_look_at_that_was_never_made() {
    let enter = |phase| EventKind::PhaseChanged { component: ComponentName::new("db").unwrap(), phase, reason: None };
    assert_eq!(next_after(&[]), "");
    assert_eq!(next_after(&[enter(Phase::Failed)]), "");
    let network = EventKind::NetworkCreated { network: "n".into(), subnet: None };
    assert_eq!(next_after(&[network, enter(Phase::Failed)]), "convoke down -p demo");
    assert_eq!(next_after(&[enter(Phase::Created), enter(Phase::Failed)]), "convoke ps -p demo, convoke down -p demo");
    let ran = [enter(Phase::Started), enter(Phase::Failed)];
    assert_eq!(next_after(&ran), "convoke ps -p demo, convoke logs db -p demo, convoke down -p demo");
}
