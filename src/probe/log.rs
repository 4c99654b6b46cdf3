//! Waits for a line of the log.

use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use tokio::time::Instant;

use super::finding::Finding;
use super::{Answer, Target};
use crate::engine::{Engine, LogLine, LogQuery, Result};
use crate::names::ContainerId;
use crate::units::ByteSize;

/// So many bytes of a log are read by one who only looks.
const LOOKED_AT: u64 = 16 << 20;

/// Follows the container's log from `since` until a line contains `text`, the log ends, or the caller drops it.
pub(super) async fn wait<E: Engine>(engine: &E, id: &ContainerId, since: Option<Timestamp>, text: &str) -> Finding {
    let lines = engine.logs(id, &LogQuery { follow: true, tail: None, since });
    search(lines, since, text, u64::MAX).await
}

/// Looks for the line in what is written by now, and not beyond a limit: the line of a start stands near its beginning.
pub async fn look<E: Engine>(engine: &E, target: &Target, text: &str) -> Answer {
    let begun = Instant::now();
    let since = target.started_at;
    let lines = engine.logs(&target.container, &LogQuery { follow: false, tail: None, since });
    search(lines, since, text, LOOKED_AT).await.timed(begun.elapsed())
}

async fn search(
    mut lines: BoxStream<'_, Result<LogLine>>,
    since: Option<Timestamp>,
    text: &str,
    limit: u64,
) -> Finding {
    let mut read = 0;
    while let Some(line) = lines.next().await {
        match line {
            // An engine's own filter may be coarser than a run's beginning.
            Ok(line) if line.at.zip(since).is_some_and(|(at, since)| at < since) => read += line.text.len() as u64,
            Ok(line) if contains(&line.text, text.as_bytes()) => return Finding::pass("the line is there"),
            Ok(line) => read += line.text.len() as u64,
            Err(error) => return Finding::trouble(error.to_string()),
        }
        if read > limit {
            return Finding::refuses(format!("not in the first {} of its log", ByteSize(limit)));
        }
    }
    Finding::refuses("the log ended without it")
}

fn contains(line: &[u8], text: &[u8]) -> bool {
    text.is_empty() || line.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};

    use super::{contains, search};
    use crate::engine::{LogLine, LogSource};

    #[tokio::test]
    async fn one_who_only_looks_does_not_read_on_for_ever() {
        let line = || Ok(LogLine { at: None, source: LogSource::Out, text: "x".repeat(1000).into() });
        let endless = stream::repeat_with(line).boxed();
        let finding = search(endless, None, "ready", 1 << 20).await;
        assert_eq!(finding.text, "not in the first 1.0 MiB of its log");
    }

    #[test]
    fn a_text_is_found_anywhere_in_a_line() {
        assert!(contains(b"server is ready\xff", b"ready"));
        assert!(contains(b"x", b""));
        assert!(!contains(b"read", b"ready"));
    }
}
