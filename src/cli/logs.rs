//! `convoke logs`: what components wrote, each line after its component's name.

use std::collections::VecDeque;

use anstyle::{AnsiColor, Color, Style};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::args::Logs;
use super::error::{CliError, INTERRUPTED};
use super::session::{Session, choose};
use crate::engine::{Engine, LogLine, LogQuery, LogSource, ObservedContainer, labels};
use crate::names::ComponentName;

/// Colours that names take turns with.
const COLORS: [AnsiColor; 6] =
    [AnsiColor::Cyan, AnsiColor::Yellow, AnsiColor::Green, AnsiColor::Magenta, AnsiColor::Blue, AnsiColor::BrightCyan];

struct Line {
    component: usize,
    line: LogLine,
}

pub(super) async fn run(session: &Session, args: Logs) -> Result<u8, CliError> {
    let engine = session.connect().await?;
    let cluster = session.cluster_name(&engine, &args.file).await?;
    let observed = session.observe(&engine, &cluster).await?;
    let chosen = choose(&observed, &args.components)?;
    let is_shown = |c: &&ObservedContainer| chosen.contains(&c.component) && has_number(c, args.index);
    let containers: Vec<&ObservedContainer> = observed.containers.iter().filter(is_shown).collect();
    let tail = args.tail.and_then(|lines| lines.0);
    // The last lines before a moment are among all of them.
    let until = args.until;
    let query = LogQuery { follow: args.follow, tail: tail.filter(|_| until.is_none()), since: args.since };
    let streams: Vec<BoxStream<'static, _>> = containers
        .iter()
        .enumerate()
        .map(|(component, c)| {
            let lines = engine.logs(&c.id, &query).map(move |line| line.map(|line| Line { component, line })).boxed();
            match until {
                Some(until) => before(lines, until, tail),
                None => lines,
            }
        })
        .collect();
    let names: Vec<&ComponentName> = containers.iter().map(|c| &c.component).collect();
    let writer = Writer { session, names: &names, args: &args };
    tokio::select! {
        biased;
        // Nothing that comes later is wanted.
        () = moment(until.filter(|_| args.follow)) => Ok(0),
        // Ctrl-C is how one leaves `logs -f`.
        () = session.interrupts.after(1) => Ok(if args.follow { 0 } else { INTERRUPTED }),
        result = writer.all(streams, args.follow) => result.map(|()| 0),
    }
}

struct Writer<'a> {
    session: &'a Session,
    names: &'a [&'a ComponentName],
    args: &'a Logs,
}

type Lines = BoxStream<'static, crate::engine::Result<Line>>;

/// The lines before a moment, of which the last if so many are wanted. What has no time is kept.
fn before(lines: Lines, until: Timestamp, tail: Option<usize>) -> Lines {
    let is_before = move |line: &crate::engine::Result<Line>| {
        let at = line.as_ref().ok().and_then(|line| line.line.at);
        std::future::ready(at.is_none_or(|at| at < until))
    };
    let lines = lines.take_while(is_before);
    let Some(tail) = tail else { return lines.boxed() };
    let last = async move {
        let mut last = VecDeque::new();
        let mut lines = std::pin::pin!(lines);
        while let Some(line) = lines.next().await {
            last.push_back(line);
            if last.len() > tail {
                last.pop_front();
            }
        }
        stream::iter(last)
    };
    stream::once(last).flatten().boxed()
}

/// Whether it is the one with this number of its service.
pub(super) fn has_number(container: &ObservedContainer, number: Option<u32>) -> bool {
    let own = container.label(labels::COMPOSE_NUMBER).and_then(|text| text.parse().ok());
    number.is_none_or(|number| own == Some(number))
}

/// Comes at a moment; without one, never.
async fn moment(at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep(at.duration_since(Timestamp::now()).try_into().unwrap_or_default()).await,
        None => std::future::pending().await,
    }
}

impl Writer<'_> {
    async fn all(&self, streams: Vec<Lines>, follow: bool) -> Result<(), CliError> {
        if follow {
            let mut lines = stream::select_all(streams);
            while let Some(line) = lines.next().await {
                self.write(&line?);
                if self.session.printer.is_closed() {
                    break;
                }
            }
            return Ok(());
        }
        // All of them, in the order in which the engine got them. Each stream is in order, so that the oldest of their
        // first lines is the next one: nothing but these is held, however long the logs are.
        let mut streams = streams;
        let mut heads: Vec<Option<Line>> =
            futures::future::try_join_all(streams.iter_mut().map(TryStreamExt::try_next)).await?;
        while let Some(oldest) = oldest(&heads) {
            let next = streams[oldest].try_next().await?;
            if let Some(line) = std::mem::replace(&mut heads[oldest], next) {
                self.write(&line);
            }
            if self.session.printer.is_closed() {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, line: &Line) {
        let printer = &self.session.printer;
        let width = self.names.iter().map(|name| name.as_str().len()).max().unwrap_or(0);
        let color = COLORS[line.component % COLORS.len()];
        let style = Style::new().fg_color(Some(Color::Ansi(color)));
        let name = format!("{:width$}", self.names[line.component]);
        let prefix = match (self.args.no_log_prefix, self.args.no_color) {
            (true, _) => String::new(),
            (false, true) => format!("{name} | "),
            (false, false) => format!("{} | ", printer.out_theme().paint(style, name)),
        };
        let time = match (self.args.timestamps, line.line.at) {
            (true, Some(at)) => format!("{} ", precise(at)),
            _ => String::new(),
        };
        let mut bytes = format!("{prefix}{time}").into_bytes();
        bytes.extend_from_slice(&line.line.text);
        bytes.push(b'\n');
        match line.line.source {
            LogSource::Out => printer.pass_out(&bytes),
            LogSource::Err => printer.pass_err(&bytes),
        }
    }
}

/// The stream whose first line is the oldest; None when all are at their end.
fn oldest(heads: &[Option<Line>]) -> Option<usize> {
    let lines = heads.iter().enumerate().filter_map(|(index, head)| Some((index, head.as_ref()?.line.at)));
    lines.min_by_key(|(_, at)| *at).map(|(index, _)| index)
}

fn precise(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_first_line_is_next() {
        let line = |component, second: i64| {
            let at = Timestamp::from_second(second).ok();
            Some(Line { component, line: LogLine { source: LogSource::Out, at, text: "x".into() } })
        };
        assert_eq!(oldest(&[line(0, 3), line(1, 2), None, line(3, 2)]), Some(1));
        assert_eq!(oldest(&[None, line(1, 2)]), Some(1));
        assert_eq!(oldest(&[None]), None);
    }
}
