//! Waits for a line of the log.

use futures::StreamExt;
use jiff::Timestamp;

use super::finding::Finding;
use crate::engine::{Engine, LogQuery};
use crate::names::ContainerId;

/// Follows the container's log from `since` until a line contains `text`, the log ends, or the caller drops it.
pub(super) async fn wait<E: Engine>(engine: &E, id: &ContainerId, since: Option<Timestamp>, text: &str) -> Finding {
    let mut lines = engine.logs(id, &LogQuery { follow: true, tail: None, since });
    while let Some(line) = lines.next().await {
        match line {
            // An engine's own filter may be coarser than a run's beginning.
            Ok(line) if line.at.zip(since).is_some_and(|(at, since)| at < since) => {}
            Ok(line) if contains(&line.text, text.as_bytes()) => return Finding::pass("the line is there"),
            Ok(_) => {}
            Err(error) => return Finding::trouble(error.to_string()),
        }
    }
    Finding::refuses("the log ended without it")
}

fn contains(line: &[u8], text: &[u8]) -> bool {
    text.is_empty() || line.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn a_text_is_found_anywhere_in_a_line() {
        assert!(contains(b"server is ready\xff", b"ready"));
        assert!(contains(b"x", b""));
        assert!(!contains(b"read", b"ready"));
    }
}
