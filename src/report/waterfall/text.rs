//! The waterfall for people: bars, the critical path, and the line about starts.

use console::measure_text_width;

use super::super::theme::{DIM, Theme};
use super::draw::bars;
use super::path::{Leg, critical_path};
use super::stages::Spent;
use super::starts::{GateWait, Starts, starts};
use super::timeline::Timeline;
use crate::event::{Outcome, Phase};
use crate::names::ComponentName;
use crate::units::human;

/// At the end of a start, bars are drawn from so many components started on: one bar compares with nothing.
const FEWEST_BARS: usize = 2;
/// And of more components than this only some.
const MOST_BARS: usize = 20;
/// At most so many waits or names in a line.
const WAITS_SHOWN: usize = 4;
/// Stages that took a smaller part than this of their time aren't told.
const SMALLEST_PART: u32 = 100;
/// Lines aren't broken for less than so many columns.
const NARROWEST: usize = 40;
/// A space at which no line is broken.
const UNBROKEN: &str = "\u{a0}";
/// What the later lines of a broken one are indented by.
const FURTHER: &str = "      ";

/// What it is drawn on.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Columns.
    pub width: usize,
    /// Colours and characters.
    pub theme: Theme,
}

/// Whether [`brief`] draws bars.
#[must_use]
pub fn has_bars(timeline: &Timeline) -> bool {
    timeline.started().len() >= FEWEST_BARS
}

/// What `up`, `start` and `restart` end with. Never empty.
#[must_use]
pub fn brief(timeline: &Timeline, view: View) -> Vec<String> {
    if timeline.started().is_empty() {
        return vec![nothing_started(timeline, view.theme)];
    }
    let mut lines = if has_bars(timeline) { bars(timeline, view, Some(MOST_BARS)) } else { Vec::new() };
    lines.extend(explanation(timeline, view));
    lines
}

/// What `report` shows: a bar for every component. Never empty.
#[must_use]
pub fn full(timeline: &Timeline, view: View) -> Vec<String> {
    if timeline.started().is_empty() {
        return vec![nothing_started(timeline, view.theme)];
    }
    let mut lines = bars(timeline, view, None);
    lines.extend(explanation(timeline, view));
    lines
}

fn nothing_started(timeline: &Timeline, theme: Theme) -> String {
    let ready = timeline.tracks.values().filter(|track| track.settled().is_some()).count();
    let why = if ready > 0 && ready == timeline.tracks.len() { ": all was ready already" } else { "" };
    theme.paint(DIM, format!("  nothing was started{why}"))
}

fn explanation(timeline: &Timeline, view: View) -> Vec<String> {
    let mut lines = path_lines(timeline, view.theme);
    lines.extend(starts(timeline).and_then(|starts| starts_line(&starts)));
    let columns = view.width.saturating_sub(1).max(NARROWEST);
    lines.iter().flat_map(|line| wrapped(line, columns)).map(|line| view.theme.paint(DIM, line)).collect()
}

/// A line over as many as it needs, broken at spaces; the later ones are indented further.
fn wrapped(line: &str, columns: usize) -> Vec<String> {
    let indent: String = line.chars().take_while(|c| *c == ' ').collect();
    let mut lines = vec![indent.clone()];
    for word in line.trim_start().split_inclusive(' ') {
        let last = lines.last().map_or(0, |line| measure_text_width(line));
        let is_begun = last > indent.len() + if lines.len() > 1 { FURTHER.len() } else { 0 };
        if is_begun && last + measure_text_width(word.trim_end()) > columns {
            lines.push(format!("{indent}{FURTHER}"));
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
        }
    }
    lines.iter().map(|line| line.trim_end().replace(UNBROKEN, " ")).collect()
}

/// `last: web, by way of db:` and a line for each of the two; one line where nobody held up anybody.
fn path_lines(timeline: &Timeline, theme: Theme) -> Vec<String> {
    let path = critical_path(timeline);
    let Some((last, before)) = path.split_last() else { return Vec::new() };
    let title = if timeline.outcome == Some(Outcome::Ready) { "last" } else { "failed" };
    if before.is_empty() {
        return vec![format!("  {title}: {}{}, {}", last.component, companions(last), stages(last, theme))];
    }
    let names: Vec<&str> = before.iter().map(|leg| leg.component.as_str()).collect();
    let mut lines = vec![format!("  {title}: {}, by way of {}:", last.component, names.join(", "))];
    let width = path.iter().map(|leg| leg.component.as_str().len()).max().unwrap_or(0);
    for leg in &path {
        let took = human(leg.until.0.saturating_sub(leg.from.0));
        let after = leg
            .after
            .as_ref()
            .map_or(String::new(), |after| format!("once {} {}: ", after.component, reached(after.phase)));
        let line =
            format!("    {:<width$}  {took:>7}  {after}{}{}", leg.component, stages(leg, theme), companions(leg));
        lines.push(line);
    }
    lines
}

/// ` (together with a, b: they need each other)`.
fn companions(leg: &Leg) -> String {
    let names: Vec<&str> = leg.together_with.iter().take(WAITS_SHOWN).map(ComponentName::as_str).collect();
    let more = leg.together_with.len().saturating_sub(WAITS_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if names.is_empty() {
        String::new()
    } else {
        format!(" (together with {}{more}: they need each other)", names.join(", "))
    }
}

/// `create 30 ms, start 210 ms, boot 1.26 s`.
fn stages(leg: &Leg, theme: Theme) -> String {
    let smallest = (leg.until.0.saturating_sub(leg.from.0) / SMALLEST_PART).max(std::time::Duration::from_millis(1));
    let told = leg.stages.iter().filter(|spent| spent.time.0 >= smallest);
    let part = |Spent { stage, time }: &Spent| format!("{} {}", stage.as_str(), human(time.0)).replace(' ', UNBROKEN);
    let parts: Vec<String> = told.map(part).collect();
    if parts.is_empty() { "at once".to_owned() } else { parts.join(if theme.unicode { " · " } else { ", " }) }
}

/// How many start calls went out in which time, and which of them waited for whom. None for a single one that didn't.
fn starts_line(starts: &Starts) -> Option<String> {
    if starts.calls < 2 && starts.waited.is_empty() {
        return None;
    }
    let (over, in_vain): (Vec<&GateWait>, Vec<&GateWait>) = starts.waited.iter().partition(|wait| wait.until.is_some());
    let (for_readiness, for_start): (Vec<&GateWait>, Vec<&GateWait>) =
        over.into_iter().partition(|wait| wait.is_for_readiness());
    let mut parts = Vec::new();
    if for_readiness.is_empty() {
        parts.push(format!("none waited for readiness{}", before_first_ready(starts)));
    } else {
        parts.push(format!("{} waited for readiness: {}", for_readiness.len(), told(&for_readiness)));
    }
    if !for_start.is_empty() {
        parts.push(format!("{} for a start: {}", for_start.len(), told(&for_start)));
    }
    if !in_vain.is_empty() {
        let names: Vec<String> = in_vain.iter().map(|wait| format!("{} for {}", wait.component, wait.on)).collect();
        parts.push(format!("{} waited in vain: {}", in_vain.len(), names.join(", ")));
    }
    let within = if starts.calls > 1 { format!(" in {}", human(starts.took())) } else { String::new() };
    Some(format!("  starts: {}{within}, {}", starts.calls, parts.join("; ")))
}

/// How starts that no gate was in the way of went out.
fn before_first_ready(starts: &Starts) -> String {
    match (starts.first_ready, starts.after_first_ready) {
        (Some(at), late) if late > 0 => {
            let before = starts.calls - late;
            let images = match starts.after_for_image {
                0 => String::new(),
                all if all == late => ", for an image".to_owned(),
                some => format!(", {some} of them for an image"),
            };
            format!(" ({before} before the first was ready at {}, {late} after{images})", human(at.0))
        }
        // The strongest that can be said.
        _ => " (none was ready yet)".to_owned(),
    }
}

fn told(waits: &[&GateWait]) -> String {
    let one = |wait: &&GateWait| format!("{} until {} {}", wait.component, wait.on, reached(wait.phase));
    let mut parts: Vec<String> = waits.iter().take(WAITS_SHOWN).map(one).collect();
    let more = waits.len().saturating_sub(WAITS_SHOWN);
    parts.extend((more > 0).then(|| format!("{more} more")));
    parts.join(", ")
}

/// A phase as something that was reached: `was ready`, `had completed`.
const fn reached(phase: Phase) -> &'static str {
    match phase {
        Phase::Completed => "had completed",
        Phase::Failed => "had failed",
        Phase::Ready => "was ready",
        _ => "had started",
    }
}
