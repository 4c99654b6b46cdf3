//! Waterfalls of all kinds of runs, as people and programs get to see them.

use std::time::Duration;

use super::super::record::Record;
use super::super::theme::Theme;
use super::{Timeline, Timings, View, brief, critical_path, full, starts};
use crate::event::{Event, EventKind, Outcome, Phase, PlannedAction, Stamp};
use crate::names::{ClusterName, ComponentName};

const READY: &str = include_str!("../fixtures/ready.jsonl");
const FAILING: &str = include_str!("../fixtures/failing.jsonl");
const STALLED: &str = include_str!("../fixtures/stalled.jsonl");

fn name(text: &str) -> ComponentName {
    ComponentName::new(text).unwrap()
}

/// A run that is put together event by event; moments are milliseconds.
struct Run(Vec<Event>);

impl Run {
    fn of(components: &[&str]) -> Self {
        let mut run = Self(Vec::new());
        run.add(
            0,
            EventKind::RunStarted {
                run: "r".into(),
                cluster: ClusterName::new("demo").unwrap(),
                command: "up".into(),
                time: "2026-11-22T10:00:00Z".into(),
                components: components.iter().map(|text| name(text)).collect(),
            },
        );
        run
    }

    fn add(&mut self, ms: u64, kind: EventKind) {
        self.0.push(Event::new(Stamp(Duration::from_millis(ms)), kind));
    }

    fn phase(mut self, ms: u64, component: &str, phase: Phase) -> Self {
        self.add(ms, EventKind::PhaseChanged { component: name(component), phase, reason: None });
        self
    }

    /// It was made at once, and started, live and ready at these moments; its start call went out at the first.
    fn boots(self, component: &str, [starting, started, live, ready]: [u64; 4]) -> Self {
        self.phase(20, component, Phase::Creating)
            .phase(30, component, Phase::Created)
            .starts(component, [starting, started, live, ready])
    }

    fn starts(self, component: &str, [starting, started, live, ready]: [u64; 4]) -> Self {
        self.phase(starting, component, Phase::Starting)
            .phase(started, component, Phase::Started)
            .phase(live, component, Phase::Live)
            .phase(ready, component, Phase::Ready)
    }

    /// It was found running.
    fn runs_already(self, component: &str) -> Self {
        self.plan(component, "keep").phase(12, component, Phase::Started).phase(14, component, Phase::Ready)
    }

    fn gate(mut self, ms: u64, component: &str, on: &str, phase: Phase) -> Self {
        let (component, on, gate) = (name(component), vec![name(on)], Some(phase));
        self.add(ms, EventKind::Waiting { component, why: "starts when …".into(), on, gate });
        self
    }

    fn need(mut self, ms: u64, component: &str, on: &[&str]) -> Self {
        let on = on.iter().map(|text| name(text)).collect();
        self.add(ms, EventKind::Waiting { component: name(component), why: "503".into(), on, gate: None });
        self
    }

    fn plan(mut self, component: &str, action: &str) -> Self {
        let planned = PlannedAction { component: name(component), action: action.into(), reason: String::new() };
        self.add(5, EventKind::Planned { actions: vec![planned] });
        self
    }

    fn ends(mut self, ms: u64, outcome: Outcome) -> Self {
        self.add(ms, EventKind::RunFinished { outcome, endpoints: vec![] });
        self
    }

    fn timeline(&self) -> Timeline {
        timeline(&self.0)
    }
}

fn timeline(events: &[Event]) -> Timeline {
    let mut timeline = Timeline::default();
    events.iter().for_each(|event| timeline.event(event));
    timeline
}

fn fixture(text: &str) -> Vec<Event> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn drawn(timeline: &Timeline, width: usize) -> String {
    full(timeline, View { width, theme: Theme::PLAIN }).join("\n")
}

fn at_the_end(timeline: &Timeline) -> String {
    brief(timeline, View { width: 200, theme: Theme::PLAIN }).join("\n")
}

#[test]
fn a_run_with_a_gate_a_restart_a_replacement_and_a_pull() {
    let timeline = timeline(&fixture(READY));
    insta::assert_snapshot!(drawn(&timeline, 100));
    let theme = Theme { color: false, unicode: true };
    insta::assert_snapshot!("in_unicode", full(&timeline, View { width: 100, theme }).join("\n"));
}

#[test]
fn a_run_in_which_one_failed() {
    insta::assert_snapshot!(drawn(&timeline(&fixture(FAILING)), 80));
}

#[test]
fn a_run_that_never_got_ready() {
    insta::assert_snapshot!(drawn(&timeline(&fixture(STALLED)), 80));
}

#[test]
fn a_chain_of_gates_is_followed_to_its_begin() {
    let run = Run::of(&["app", "db", "migrate", "other"])
        .boots("db", [40, 250, 900, 1500])
        .boots("other", [40, 240, 300, 300])
        .phase(20, "migrate", Phase::Creating)
        .phase(30, "migrate", Phase::Created)
        .gate(30, "migrate", "db", Phase::Ready)
        .phase(1500, "migrate", Phase::Starting)
        .phase(1700, "migrate", Phase::Started)
        .phase(1900, "migrate", Phase::Completed)
        .gate(30, "app", "migrate", Phase::Completed)
        .boots("app", [1902, 2100, 2200, 2400])
        .ends(2410, Outcome::Ready);
    insta::assert_snapshot!(at_the_end(&run.timeline()), @r"
    db       ------================+++++++++++++++#######################  1.50 s
    other    -----==#####################################################  300 ms
    migrate  ------------------------------------------=====#              1.90 s completed
    app      ----------------------------------------------------==+++++#  2.40 s
    - created  = started  + live  # ready  (0 to 2.41 s)
    last: app, by way of db, migrate:
      db        1.50 s  prepare 20 ms, start 210 ms, boot 650 ms, probe 600 ms
      migrate   400 ms  once db was ready: start 200 ms, run 200 ms
      app       510 ms  once migrate had completed: start 198 ms, boot 100 ms, probe 200 ms, confirm 10 ms
    starts: 4 in 1.86 s, 2 waited for readiness: app until migrate had completed, migrate until db was ready
    ");
}

#[test]
fn members_that_need_each_other_are_ready_together() {
    let run = Run::of(&["controller", "pageserver"])
        .need(300, "controller", &["pageserver"])
        .need(300, "pageserver", &["controller"])
        .boots("controller", [40, 250, 400, 1200])
        .boots("pageserver", [45, 260, 900, 1190])
        .ends(1210, Outcome::Ready);
    insta::assert_snapshot!(at_the_end(&run.timeline()), @r"
    controller   -----------=======++++++++++++++++++++++++++++++++++++++++#  1.20 s
    pageserver   -----------================================+++++++++++++++#  1.19 s
    - created  = started  + live  # ready  (0 to 1.21 s)
    last: controller (together with pageserver: they need each other), prepare 20 ms, start 210 ms, boot 150 ms, probe 800 ms
    starts: 2 in 5 ms, none waited for readiness (none was ready yet)
    ");
}

#[test]
fn a_member_that_is_ready_long_before_the_other_held_it_up() {
    let run = Run::of(&["controller", "pageserver"])
        .need(300, "controller", &["pageserver"])
        .need(300, "pageserver", &["controller"])
        .boots("controller", [40, 250, 400, 1500])
        .boots("pageserver", [45, 260, 900, 1100])
        .ends(1510, Outcome::Ready);
    let path = critical_path(&run.timeline());
    let names: Vec<&str> = path.iter().map(|leg| leg.component.as_str()).collect();
    assert_eq!(names, ["pageserver", "controller"]);
    assert!(path.iter().all(|leg| leg.together_with.is_empty()), "{path:?}");
}

#[test]
fn a_peer_that_was_ready_long_before_explains_nothing() {
    let run = Run::of(&["cache", "web"])
        .need(260, "web", &["cache"])
        .boots("cache", [40, 250, 300, 300])
        .boots("web", [40, 250, 5000, 5000])
        .ends(5010, Outcome::Ready);
    assert_eq!(critical_path(&run.timeline()).len(), 1);
}

#[test]
fn one_that_came_too_early_waits_for_its_peer() {
    let run = Run::of(&["db", "web"])
        .boots("db", [40, 250, 1000, 1000])
        .phase(20, "web", Phase::Creating)
        .phase(30, "web", Phase::Created)
        .phase(40, "web", Phase::Starting)
        .phase(250, "web", Phase::Started)
        .phase(300, "web", Phase::Restarting)
        .need(300, "web", &["db"])
        .starts("web", [1001, 1200, 1500, 1500])
        .ends(1510, Outcome::Ready);
    insta::assert_snapshot!(at_the_end(&run.timeline()), @r"
    db     --------==============================#####################  1.00 s
    web    --------==~~~~~~~~~~~~~~~~~~~~~~~~~~~~--------============#  1.50 s, restarted once
    - created  = started  # ready  ~ restarting  (0 to 1.51 s)
    last: web, by way of db:
      db    1.00 s  prepare 20 ms, create 10 ms, queue 10 ms, start 210 ms, boot 750 ms
      web   510 ms  once db was ready: start 199 ms, boot 300 ms, confirm 10 ms
    starts: 2 in 0 ms, none waited for readiness (none was ready yet)
    ");
}

#[test]
fn a_replacement_s_time_goes_into_stopping_the_old_one() {
    let run = Run::of(&["db", "web"])
        .runs_already("db")
        .plan("web", "replace")
        .boots("web", [10_030, 10_250, 10_300, 10_300])
        .ends(10_310, Outcome::Ready);
    // One bar compares with nothing.
    assert_eq!(at_the_end(&run.timeline()), "  last: web, replace 10.0 s, start 220 ms");
    insta::assert_snapshot!(drawn(&run.timeline(), 80), @r"
    web   ----------------------------------------------------#  10.3 s, replaced
    and 1 ready already
    - created  # ready  (0 to 10.3 s)
    last: web, replace 10.0 s, start 220 ms
    ");
}

#[test]
fn where_nothing_was_started_one_line_says_so() {
    let run = Run::of(&["db", "web"]).runs_already("db").runs_already("web").ends(20, Outcome::Ready);
    assert_eq!(at_the_end(&run.timeline()), "  nothing was started: all was ready already");
    assert_eq!(drawn(&run.timeline(), 80), "  nothing was started: all was ready already");
    let run = Run::of(&["db"]).ends(20, Outcome::Failed);
    assert_eq!(drawn(&run.timeline(), 80), "  nothing was started");
}

#[test]
fn a_run_that_was_cut_off_shows_how_far_it_was() {
    let events = fixture(READY);
    let cut: Vec<Event> = events.into_iter().take_while(|event| event.at.0 < Duration::from_millis(300)).collect();
    insta::assert_snapshot!(drawn(&timeline(&cut), 80));
}

fn crowd(size: u64) -> Timeline {
    let names: Vec<String> = (1..=size).map(|number| format!("web-{number}")).collect();
    let run = Run::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let boots = |run: Run, (number, name): (u64, &String)| {
        let begin = 40 + number * 25;
        run.boots(name, [begin, begin + 200, begin + 300, begin + 300 + number % 7 * 40])
    };
    (0..).zip(&names).fold(run, boots).ends(2000, Outcome::Ready).timeline()
}

#[test]
fn of_very_many_the_last_ones_are_drawn_at_the_end_and_all_in_a_report() {
    let timeline = crowd(40);
    insta::assert_snapshot!(at_the_end(&timeline));
    assert_eq!(full(&timeline, View { width: 120, theme: Theme::PLAIN }).len(), 40 + 3);
}

#[test]
fn narrow_terminals_and_long_names_fit() {
    let long = "a-component-with-a-name-that-is-longer-than-anybody-would-type";
    let run = Run::of(&[long, "db"])
        .boots(long, [40, 250, 900, 900])
        .boots("db", [40, 250, 300, 1000])
        .ends(1010, Outcome::Ready);
    insta::assert_snapshot!(drawn(&run.timeline(), 60));
    for width in [0, 1, 20, 40, 60, 200] {
        let theme = Theme { color: true, unicode: true };
        for bar in full(&run.timeline(), View { width, theme }).iter().take(3) {
            let wide = console::measure_text_width(bar);
            assert!(wide <= width.saturating_sub(1).max(1), "{wide} wide in {width} columns: {bar}");
        }
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let timeline = timeline(&fixture(READY));
    let lines = |color| full(&timeline, View { width: 90, theme: Theme { color, unicode: true } }).join("\n");
    assert_ne!(lines(true), lines(false));
    assert_eq!(console::strip_ansi_codes(&lines(true)), lines(false));
}

#[test]
fn starts_that_waited_for_nothing_are_told_from_those_at_a_gate() {
    let all_at_once = Run::of(&["a", "b"]).boots("a", [40, 200, 300, 300]).boots("b", [60, 200, 300, 300]);
    let found = starts(&all_at_once.timeline()).unwrap();
    assert_eq!((found.calls, found.after_first_ready, found.waited.len()), (2, 0, 0));
    assert_eq!(found.took(), Duration::from_millis(20));
    assert!(
        at_the_end(&all_at_once.timeline())
            .ends_with("starts: 2 in 20 ms, none waited for readiness (none was ready yet)")
    );
    let in_turn = Run::of(&["a", "b"]).boots("a", [40, 200, 300, 300]).boots("b", [400, 500, 600, 600]);
    assert!(
        at_the_end(&in_turn.timeline()).ends_with(
            "starts: 2 in 360 ms, none waited for readiness (1 before the first was ready at 300 ms, 1 after)"
        )
    );
    let image = EventKind::ImageReady { image: "far".into(), how: "pulled".into(), components: vec![name("b")] };
    let mut far = Run(in_turn.0.clone());
    far.add(390, image);
    assert!(at_the_end(&far.timeline()).ends_with("ready at 300 ms, 1 after, for an image)"));
    let after_start = in_turn.gate(30, "b", "a", Phase::Started);
    assert!(at_the_end(&after_start.timeline()).ends_with("1 for a start: b until a had started"));
    let gated = Run::of(&["a", "b"])
        .boots("a", [40, 200, 300, 300])
        .gate(30, "b", "a", Phase::Ready)
        .boots("b", [301, 500, 600, 600]);
    let found = starts(&gated.timeline()).unwrap();
    assert_eq!(found.waited[0].until, Some(Stamp(Duration::from_millis(300))));
    assert!(
        at_the_end(&gated.timeline()).ends_with("starts: 2 in 261 ms, 1 waited for readiness: b until a was ready")
    );
}

#[test]
fn a_gate_on_a_peer_outside_of_the_run_is_told_too() {
    let run = Run::of(&["web"])
        .gate(30, "web", "db", Phase::Ready)
        .boots("web", [80, 200, 300, 300])
        .ends(310, Outcome::Ready);
    insta::assert_snapshot!(at_the_end(&run.timeline()), @r"
    last: web, prepare 20 ms, create 10 ms, gate 50 ms, start 120 ms, boot 100 ms, confirm 10 ms
    starts: 1, 1 waited for readiness: web until db was ready
    ");
}

#[test]
fn the_timings_for_programs() {
    let run = Run::of(&["db", "web"])
        .boots("db", [40, 250, 300, 1000])
        .gate(30, "web", "db", Phase::Ready)
        .boots("web", [1001, 1200, 1500, 1500])
        .ends(1510, Outcome::Ready);
    let timings = Timings::of(&Record { run: "r".into(), events: run.0 });
    insta::assert_snapshot!(serde_json::to_string_pretty(&timings).unwrap());
}

#[test]
fn every_moment_of_a_component_is_in_one_stage() {
    for text in [READY, FAILING, STALLED] {
        let events = fixture(text);
        for component in Timings::of(&Record { run: "r".into(), events: events.clone() }).components {
            let sum: Duration = component.stages.iter().map(|spent| spent.time.0).sum();
            let until = component.phases.last().filter(|step| step.phase.is_settled()).map(|step| step.at.0);
            let end = until.unwrap_or_else(|| events.last().unwrap().at.0);
            assert_eq!(sum, end, "{}", component.component);
        }
    }
}

#[test]
fn a_record_without_its_beginning_is_no_reason_to_fail() {
    let events: Vec<Event> = fixture(READY).into_iter().skip(5).collect();
    let timings = Timings::of(&Record { run: "r".into(), events: events.clone() });
    assert_eq!((timings.cluster, timings.components.len()), (None, 0));
    assert_eq!(drawn(&timeline(&events), 80), "  nothing was started");
    assert_eq!(drawn(&timeline(&[]), 80), "  nothing was started");
}

mod any_record {
    use proptest::prelude::*;

    use super::*;

    const PHASES: [Phase; 12] = [
        Phase::Pending,
        Phase::Creating,
        Phase::Created,
        Phase::Starting,
        Phase::Started,
        Phase::Live,
        Phase::Ready,
        Phase::Completed,
        Phase::Restarting,
        Phase::Unhealthy,
        Phase::Failed,
        Phase::Stopped,
    ];

    proptest! {
        /// Moments that go back, phases in any order, waits for oneself: a record is a file.
        #[test]
        fn is_drawn(
            steps in prop::collection::vec((0u64..5_000, 0usize..3, 0usize..3, prop::option::of(0usize..12), 0usize..12), 0..60),
            width in 0usize..200,
            is_ready: bool,
        ) {
            let names = ["a", "b", "c"];
            let mut run = Run::of(&names);
            for (ms, component, other, gate, phase) in steps {
                run = run.phase(ms, names[component], PHASES[phase]);
                if let Some(gate) = gate {
                    run = run.gate(ms, names[component], names[other], PHASES[gate]);
                }
            }
            let outcome = if is_ready { Outcome::Ready } else { Outcome::Failed };
            run.add(100, EventKind::RunFinished { outcome, endpoints: Vec::new() });
            let timeline = run.timeline();
            prop_assert!(!drawn(&timeline, width).is_empty());
            // Nothing, where nothing came far enough to be explained.
            _ = at_the_end(&timeline);
            prop_assert!(critical_path(&timeline).len() <= names.len());
        }
    }
}
