//! A failure for people: what, why, the last words of the component, and what to try.

use super::theme::{BAD, HINT, Theme, printable};
use crate::event::Failure;

/// A line of a log longer than this (in characters) is cut: some programs log whole documents.
const LONGEST_LINE: usize = 400;

/// The block for one failure; no line end after the last line.
#[must_use]
pub fn render(failure: &Failure, theme: Theme) -> String {
    let mut lines = vec![headline(failure, theme)];
    if let Some(code) = failure.exit_code {
        lines.push(format!("  exit code {code}{}", meaning(code)));
    }
    if let Some(answer) = &failure.last_probe {
        lines.push(format!("  last probe answer: {}", printable(answer)));
    }
    if !failure.log.is_empty() {
        lines.push("  last log lines:".to_owned());
        lines.extend(failure.log.iter().map(|line| format!("  {} {}", theme.bar(), quoted(line, theme))));
    }
    if let Some(hint) = &failure.hint {
        lines.push(format!("  try: {}", theme.paint(HINT, hint)));
    }
    lines.join("\n")
}

fn headline(failure: &Failure, theme: Theme) -> String {
    let mark = theme.bad_mark();
    let what = printable(&failure.what);
    match &failure.component {
        Some(component) => format!("{mark}{}: {what}", theme.paint(BAD, component)),
        None => format!("{mark}{}: {what}", theme.paint(BAD, "failed")),
    }
}

fn quoted(line: &str, theme: Theme) -> String {
    let line = printable(line);
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}{}", &line[..end], theme.ellipsis()),
        None => line,
    }
}

/// What an exit code usually stands for.
const fn meaning(code: i64) -> &'static str {
    match code {
        126 => " (the program can't be run)",
        127 => " (the program isn't there)",
        134 => " (aborted, SIGABRT)",
        137 => " (killed, SIGKILL)",
        139 => " (segmentation fault, SIGSEGV)",
        143 => " (terminated, SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ComponentName;

    #[test]
    fn all_that_is_known_is_told() {
        let failure = Failure {
            component: Some(ComponentName::new("pageserver-1").unwrap()),
            what: "exited before it was ready".into(),
            exit_code: Some(137),
            last_probe: Some("tcp :9898 connection refused".into()),
            log: vec!["starting".into(), "\u{1b}[31mERROR\u{1b}[0m disk full\r\n".into(), "x".repeat(500)],
            hint: Some("convoke logs pageserver-1".into()),
        };
        let rendered = render(&failure, Theme { color: false, unicode: true }).replace(&"x".repeat(400), "<400 x>");
        insta::assert_snapshot!(rendered, @r"
        ✘ pageserver-1: exited before it was ready
          exit code 137 (killed, SIGKILL)
          last probe answer: tcp :9898 connection refused
          last log lines:
          │ starting
          │ ERROR disk full
          │ <400 x>…
          try: convoke logs pageserver-1
        ");
    }

    #[test]
    fn a_failure_of_the_run_has_no_component() {
        let failure = Failure {
            component: None,
            what: "image nowhere:1 isn't there".into(),
            exit_code: None,
            last_probe: None,
            log: vec![],
            hint: None,
        };
        assert_eq!(render(&failure, Theme::PLAIN), "failed: image nowhere:1 isn't there");
    }
}
