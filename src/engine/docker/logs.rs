//! Log lines.
//!
//! Times are always asked for. They tell lines of this run from earlier ones, since the engine's own `since` counts in
//! whole seconds, and they keep the client's decoder from taking a terminal's output for a framed stream.

use std::collections::VecDeque;
use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use jiff::Timestamp;

use super::connect::DockerEngine;
use super::failure::explain;
use crate::engine::{LogLine, LogQuery, LogSource, Result, Verb};
use crate::names::ContainerId;

/// A line beyond this is cut into several, so that a log without line ends can't fill the memory.
const LONGEST_LINE: usize = 1 << 20;

/// The engine cuts longer lines.
const ENGINES_PIECE: usize = 16 * 1024;

type Chunks = Pin<Box<dyn Stream<Item = std::result::Result<LogOutput, Error>> + Send>>;

impl DockerEngine {
    pub(super) fn log_stream(&self, id: &ContainerId, query: &LogQuery) -> BoxStream<'static, Result<LogLine>> {
        let verb = Verb::Logs(self.name_of(id));
        let chunks: Chunks = Box::pin(self.docker().logs(id.as_str(), Some(options(query))));
        lines(chunks, verb, query.since)
    }
}

fn options(query: &LogQuery) -> LogsOptions {
    let since = query.since.map_or(0, |time| i32::try_from(time.as_second()).unwrap_or(0));
    let tail = query.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    LogsOptionsBuilder::default()
        .follow(query.follow)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .since(since)
        .tail(&tail)
        .build()
}

struct Reader {
    chunks: Chunks,
    splitter: Splitter,
    ready: VecDeque<LogLine>,
    ended: bool,
}

fn lines(chunks: Chunks, verb: Verb, since: Option<Timestamp>) -> BoxStream<'static, Result<LogLine>> {
    let reader = Reader { chunks, splitter: Splitter::default(), ready: VecDeque::new(), ended: false };
    stream::unfold((reader, verb), move |(mut reader, verb)| async move {
        let item = reader.next(since).await?.map_err(|error| explain(verb.clone(), error));
        Some((item, (reader, verb)))
    })
    .boxed()
}

impl Reader {
    async fn next(&mut self, since: Option<Timestamp>) -> Option<std::result::Result<LogLine, Error>> {
        loop {
            while let Some(line) = self.ready.pop_front() {
                // A line whose time can't be read is shown rather than lost.
                if since.is_none_or(|since| line.at.is_none_or(|at| at >= since)) {
                    return Some(Ok(line));
                }
            }
            if self.ended {
                return None;
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) => self.splitter.add(chunk, &mut self.ready),
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                None => {
                    self.ended = true;
                    self.splitter.flush(&mut self.ready);
                }
            }
        }
    }
}

/// Puts lines together. The engine cuts long lines at 16 KiB, each piece with a time of its own, and the pieces of the
/// two streams may alternate.
#[derive(Default)]
struct Splitter {
    out: Pending,
    err: Pending,
}

#[derive(Default)]
struct Pending {
    at: Option<Timestamp>,
    text: BytesMut,
    begun: bool,
}

impl Splitter {
    fn add(&mut self, chunk: LogOutput, ready: &mut VecDeque<LogLine>) {
        let (source, message) = match chunk {
            LogOutput::StdErr { message } => (LogSource::Err, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
                (LogSource::Out, message)
            }
        };
        let pending = match source {
            LogSource::Out => &mut self.out,
            LogSource::Err => &mut self.err,
        };
        for line in message.split_inclusive(|byte| *byte == b'\n') {
            pieces(line).for_each(|piece| pending.add(piece, source, ready));
        }
    }

    fn flush(&mut self, ready: &mut VecDeque<LogLine>) {
        self.out.flush(LogSource::Out, ready);
        self.err.flush(LogSource::Err, ready);
    }
}

impl Pending {
    fn add(&mut self, piece: &[u8], source: LogSource, ready: &mut VecDeque<LogLine>) {
        let (at, text) = timed(piece);
        if !self.begun {
            self.begun = true;
            self.at = at;
        }
        let whole = text.ends_with(b"\n");
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        self.text.extend_from_slice(text);
        if whole || self.text.len() >= LONGEST_LINE {
            self.flush(source, ready);
        }
    }

    fn flush(&mut self, source: LogSource, ready: &mut VecDeque<LogLine>) {
        if !std::mem::take(&mut self.begun) {
            return;
        }
        let mut text = std::mem::take(&mut self.text).freeze();
        // A terminal ends its lines with both.
        while text.ends_with(b"\r") {
            text.truncate(text.len() - 1);
        }
        ready.push_back(LogLine { source, at: self.at.take(), text });
    }
}

/// The pieces of a long line. Those of a framed stream come one by one; a terminal's run on, and only a time at the
/// place of the cut shows where the next begins.
fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let cut = rest.len() - timed(rest).1.len() + ENGINES_PIECE;
        let cuts_here = rest.get(cut..).is_some_and(|next| timed(next).0.is_some());
        let (piece, next) = rest.split_at(if cuts_here { cut } else { rest.len() });
        rest = next;
        Some(piece)
    })
}

/// Takes the time off that the engine puts before each piece.
fn timed(piece: &[u8]) -> (Option<Timestamp>, &[u8]) {
    // `2026-11-23T01:49:40.123456789Z `; an offset may stand for the Z.
    let Some(end) = piece.iter().take(40).position(|byte| matches!(byte, b' ' | b'\n')) else { return (None, piece) };
    let parsed = std::str::from_utf8(&piece[..end]).ok().and_then(|text| text.parse::<Timestamp>().ok());
    match parsed {
        // An empty line may come without the blank.
        Some(at) if piece[end] == b' ' => (Some(at), &piece[end + 1..]),
        Some(at) => (Some(at), &piece[end..]),
        None => (None, piece),
    }
}

/// The last bytes of what was printed; used for the output of commands.
#[derive(Debug)]
pub(super) struct Tail {
    kept: BytesMut,
    limit: usize,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: BytesMut::new(), limit }
    }

    pub(super) fn add(&mut self, more: &[u8]) {
        let more = &more[more.len().saturating_sub(self.limit)..];
        let over = (self.kept.len() + more.len()).saturating_sub(self.limit);
        let _ = self.kept.split_to(over.min(self.kept.len()));
        self.kept.extend_from_slice(more);
    }

    pub(super) fn into_text(self) -> String {
        String::from_utf8_lossy(&Bytes::from(self.kept)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T: &str = "2026-11-23T01:49:40.000000001Z";

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut { message: Bytes::from(text.to_owned()) }
    }

    fn err(text: &str) -> LogOutput {
        LogOutput::StdErr { message: Bytes::from(text.to_owned()) }
    }

    async fn read(chunks: Vec<LogOutput>, since: Option<&str>) -> Vec<String> {
        let chunks: Chunks = Box::pin(stream::iter(chunks.into_iter().map(Ok)));
        let since = since.map(|text| text.parse().unwrap());
        let line = |line: Result<LogLine>| {
            let LogLine { source, at, text } = line.unwrap();
            let mark = if source == LogSource::Err { "!" } else { "" };
            let time = if at.is_some() { "" } else { "?" };
            format!("{mark}{time}{}", String::from_utf8_lossy(&text))
        };
        lines(chunks, Verb::Logs("web".into()), since).map(line).collect().await
    }

    #[tokio::test]
    async fn pieces_of_lines_and_several_at_once() {
        let chunks = vec![
            out(&format!("{T} one\n")),
            out(&format!("{T} two ")),
            err(&format!("{T} oops\r\n")),
            out(&format!("{T} parts\n{T} three\n{T} \n{T}\n")),
            out("without time\n"),
            out(&format!("{T} last")),
        ];
        assert_eq!(read(chunks, None).await, ["one", "!oops", "two parts", "three", "", "", "?without time", "last"]);
    }

    #[tokio::test]
    async fn a_terminal_s_long_line_loses_the_times_within_it() {
        let (full, rest) = ("x".repeat(ENGINES_PIECE), "y".repeat(10));
        let message = Bytes::from(format!("{T} {full}{T} {full}{T} {rest}\r\n"));
        let chunks = vec![LogOutput::Console { message }];
        assert_eq!(read(chunks, None).await, [format!("{full}{full}{rest}")]);
    }

    #[tokio::test]
    async fn earlier_runs_within_the_same_second_are_dropped() {
        let chunks = vec![
            out("2026-11-23T01:49:40.100000000Z before\n"),
            out("2026-11-23T01:49:40.200000000Z at\n"),
            out("2026-11-23T01:49:40.300000000Z after\n"),
        ];
        assert_eq!(read(chunks, Some("2026-11-23T01:49:40.2Z")).await, ["at", "after"]);
    }

    #[tokio::test]
    async fn a_broken_connection_is_the_last_item() {
        let broken = || Err(Error::IOError { err: std::io::Error::other("gone") });
        let chunks: Chunks = Box::pin(stream::iter([Ok(out("x\n")), broken(), broken()]));
        let items: Vec<_> = lines(chunks, Verb::Logs("web".into()), None).collect().await;
        assert_eq!((items.len(), items[1].is_err()), (2, true));
    }

    #[test]
    fn what_is_asked_of_the_engine() {
        let since = Some("2026-11-23T01:49:40.9Z".parse().unwrap());
        let asked = options(&LogQuery { follow: true, tail: Some(5), since });
        assert_eq!((asked.follow, asked.tail.as_str(), asked.since), (true, "5", 1_795_398_580));
        let asked = options(&LogQuery { follow: false, tail: None, since: None });
        assert_eq!((asked.tail.as_str(), asked.since), ("all", 0));
    }

    #[test]
    fn only_the_last_bytes_are_kept() {
        let mut tail = Tail::new(4);
        for part in ["ab", "cd", "e"] {
            tail.add(part.as_bytes());
        }
        assert_eq!(tail.into_text(), "bcde");
        let mut tail = Tail::new(2);
        tail.add(b"0123456789");
        assert_eq!(tail.into_text(), "89");
        let mut tail = Tail::new(0);
        tail.add(b"x");
        assert_eq!(tail.into_text(), "");
    }

    proptest! {
        /// However the text is cut into chunks, the same lines come out.
        #[test]
        fn cuts_do_not_matter(text in "[a-z \n]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut ready = VecDeque::new();
            let mut splitter = Splitter::default();
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                splitter.add(out(&text[from..cut]), &mut ready);
                from = cut;
            }
            splitter.flush(&mut ready);
            let lines: Vec<String> = ready.iter().map(|l| String::from_utf8_lossy(&l.text).into_owned()).collect();
            let expected: Vec<&str> = text.lines().collect();
            prop_assert_eq!(lines, expected);
        }
    }
}
