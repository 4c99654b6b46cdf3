//! Bars: a line a component, time from left to right.
//!
//! A cell shows the phase at the end of its part of the time, so the last cell shows where the component was at the
//! end; a phase that is shorter than a cell may have none.

use std::time::Duration;

use anstyle::Style;
use console::{measure_text_width, truncate_str};

use super::super::theme::{BAD, BUSY, CAUTION, DIM, GOOD, Theme};
use super::path::critical_path;
use super::text::View;
use super::timeline::{Timeline, Track};
use crate::event::{Phase, Stamp};
use crate::names::ComponentName;
use crate::units::human;

/// A bar has so many cells at most: a longer one tells no more.
const WIDEST_BAR: usize = 60;
/// And so many at least, or it tells nothing.
const NARROWEST_BAR: usize = 10;
/// A longer name is cut.
const WIDEST_NAME: usize = 32;
/// With a limit, so many bars of more than the limit are drawn.
const KEPT_OF: (usize, usize) = (3, 4);

/// What a cell shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Blank,
    Created,
    Started,
    Live,
    Ready,
    Restarting,
    Unhealthy,
    Failed,
}

impl Mark {
    const LEGEND: [Self; 7] =
        [Self::Created, Self::Started, Self::Live, Self::Ready, Self::Restarting, Self::Unhealthy, Self::Failed];

    const fn of(phase: Phase) -> Self {
        match phase {
            Phase::Pending | Phase::Creating | Phase::Stopped => Self::Blank,
            Phase::Created | Phase::Starting => Self::Created,
            Phase::Started => Self::Started,
            Phase::Live => Self::Live,
            Phase::Ready | Phase::Completed => Self::Ready,
            Phase::Restarting => Self::Restarting,
            Phase::Unhealthy => Self::Unhealthy,
            Phase::Failed => Self::Failed,
        }
    }

    const fn glyph(self, theme: Theme) -> &'static str {
        match (self, theme.unicode) {
            (Self::Blank, _) => " ",
            (Self::Created, true) => "░",
            (Self::Started, true) => "▒",
            (Self::Live, true) => "▓",
            (Self::Ready, true) => "█",
            (Self::Created, false) => "-",
            (Self::Started, false) => "=",
            (Self::Live, false) => "+",
            (Self::Ready, false) => "#",
            (Self::Restarting, _) => "~",
            (Self::Unhealthy, _) => "!",
            (Self::Failed, _) => "x",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Blank => "",
            Self::Created => "created",
            Self::Started => "started",
            Self::Live => "live",
            Self::Ready => "ready",
            Self::Restarting => "restarting",
            Self::Unhealthy => "unhealthy",
            Self::Failed => "failed",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Created => DIM,
            Self::Blank | Self::Started => Style::new(),
            Self::Live => BUSY,
            Self::Ready => GOOD,
            Self::Restarting | Self::Unhealthy => CAUTION,
            Self::Failed => BAD,
        }
    }
}

/// A component with a bar.
struct Row<'a> {
    name: &'a ComponentName,
    track: &'a Track,
    /// When it came to where it was last.
    time: String,
    /// What else there is to say.
    note: String,
}

/// The bars and what their cells mean, in the order of start calls. With a limit and more components than that, just
/// those that matter most.
pub(super) fn bars(timeline: &Timeline, view: View, limit: Option<usize>) -> Vec<String> {
    let (rows, hidden) = chosen(timeline, limit);
    let widest = |of: fn(&Row<'_>) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let time_width = widest(|row| row.time.len());
    let right = time_width + widest(|row| row.note.len());
    let name_width = widest(|row| row.name.as_str().len()).min(WIDEST_NAME).min(view.width / 3).max(4);
    // The last column stays free: some terminals wrap when it is written.
    let taken = 2 + name_width + 2 + 2 + right + 1;
    let bar_width = view.width.saturating_sub(taken).clamp(NARROWEST_BAR, WIDEST_BAR);
    let mut used = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    for row in &rows {
        let marks = marks(row.track, timeline.end, bar_width);
        used.extend(marks.iter().copied());
        let name = truncate_str(row.name.as_str(), name_width, view.theme.ellipsis());
        let pad = " ".repeat(name_width.saturating_sub(measure_text_width(&name)));
        let about = view.theme.paint(DIM, format!("{:>time_width$}{}", row.time, row.note));
        lines.push(format!("  {name}{pad}  {}  {about}", painted(&marks, view.theme)));
    }
    lines.extend(hidden.map(|text| view.theme.paint(DIM, text)));
    lines.push(legend(&used, timeline.end, view.theme));
    let columns = view.width.saturating_sub(1);
    lines.iter().map(|line| truncate_str(line, columns, view.theme.ellipsis()).into_owned()).collect()
}

/// The components that get a bar, and a line about the others.
fn chosen(timeline: &Timeline, limit: Option<usize>) -> (Vec<Row<'_>>, Option<String>) {
    let mut tracks: Vec<(&ComponentName, &Track)> = timeline.tracks.iter().filter(|(_, t)| is_news(t)).collect();
    tracks.sort_by_key(|(_, track)| track.first(Phase::Starting).unwrap_or(timeline.end));
    let hidden = match limit {
        Some(limit) if tracks.len() > limit => {
            let kept = (limit * KEPT_OF.0 / KEPT_OF.1).max(1);
            hide(timeline, &mut tracks, kept)
        }
        _ => Vec::new(),
    };
    let there = timeline.tracks.len() - tracks.len() - hidden.len();
    let mut about = Vec::new();
    about.extend(summed_up(&hidden));
    about.extend((there > 0).then(|| format!("{there} ready already")));
    let about = (!about.is_empty()).then(|| format!("  and {}", about.join(", ")));
    (tracks.into_iter().map(|(name, track)| row(name, track)).collect(), about)
}

/// Whether the run did something with it, or it has a problem.
fn is_news(track: &Track) -> bool {
    track.first(Phase::Starting).is_some() || track.settled().is_none()
}

/// Keeps so many: those on the critical path and those in trouble, then those that were ready last. Returns the others.
fn hide<'a>(
    timeline: &Timeline,
    tracks: &mut Vec<(&'a ComponentName, &'a Track)>,
    kept: usize,
) -> Vec<(&'a ComponentName, &'a Track)> {
    let path = critical_path(timeline);
    let rank = |(name, track): &(&ComponentName, &Track)| {
        let matters = path.iter().any(|leg| leg.component == **name) || track.settled().is_none();
        (matters, track.settled())
    };
    let mut ranked = tracks.clone();
    ranked.sort_by_key(|entry| std::cmp::Reverse(rank(entry)));
    let hidden = ranked.split_off(kept.min(ranked.len()));
    tracks.retain(|(name, _)| !hidden.iter().any(|(other, _)| other == name));
    hidden
}

/// `35 more, ready between 400 ms and 1.20 s`.
fn summed_up(hidden: &[(&ComponentName, &Track)]) -> Option<String> {
    let settled: Vec<Stamp> = hidden.iter().filter_map(|(_, track)| track.settled()).collect();
    let (first, last) = (settled.iter().min()?, settled.iter().max()?);
    let more = hidden.len();
    let ready = format!("ready between {} and {}", human(first.0), human(last.0));
    Some(if settled.len() == more { format!("{more} more, {ready}") } else { format!("{more} more") })
}

fn row<'a>(name: &'a ComponentName, track: &'a Track) -> Row<'a> {
    let mut note = String::new();
    if track.phase() != Phase::Ready {
        note.push_str(&format!(" {}", track.phase()));
    }
    match track.restarts() {
        0 => {}
        1 => note.push_str(", restarted once"),
        times => note.push_str(&format!(", restarted {times} times")),
    }
    if track.action.as_deref() == Some("replace") && track.first(Phase::Starting).is_some() {
        note.push_str(", replaced");
    }
    let time = track.steps.last().map_or(String::new(), |step| human(step.at.0));
    Row { name, track, time, note }
}

fn marks(track: &Track, end: Stamp, width: usize) -> Vec<Mark> {
    let moment = |cell: usize| {
        let part = end.0.as_nanos() * cell as u128 / width.max(1) as u128;
        Stamp(Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX)))
    };
    let cell = |cell: usize| {
        let (from, to) = (moment(cell), moment(cell + 1));
        let phase = track.phase_at(to);
        // What is over has a mark where it ended, and nothing after that.
        let is_over = matches!(phase, Phase::Completed | Phase::Failed);
        let ended_before = track.last(phase, to).is_some_and(|at| at <= from && cell > 0);
        if is_over && ended_before { Mark::Blank } else { Mark::of(phase) }
    };
    (0..width).map(cell).collect()
}

/// The cells as text: one change of colour for each run of equal cells.
fn painted(marks: &[Mark], theme: Theme) -> String {
    let runs = marks.chunk_by(|one, next| one == next);
    runs.map(|run| theme.paint(run[0].style(), run[0].glyph(theme).repeat(run.len()))).collect()
}

fn legend(used: &[Mark], end: Stamp, theme: Theme) -> String {
    let shown = Mark::LEGEND.into_iter().filter(|mark| used.contains(mark));
    let parts: Vec<String> =
        shown.map(|mark| format!("{} {}", theme.paint(mark.style(), mark.glyph(theme)), mark.word())).collect();
    format!("  {}  (0 to {})", parts.join("  "), human(end.0))
}
