//! What a run of the program gave.

use std::process::Output;
use std::time::Duration;

use convoke::event::{Event, EventKind, Phase};

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Ran {
    pub(crate) fn of(output: Output, took: Duration) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            took,
        }
    }

    /// Both streams.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Fails unless the output has all of these.
    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.all().contains(part), "{part:?} isn't said:\n{self}");
        }
        self
    }

    /// Fails if the output has one of these.
    #[track_caller]
    pub(crate) fn says_nothing_of(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(!self.all().contains(part), "{part:?} is said:\n{self}");
        }
        self
    }

    /// Fails unless the exit code is this.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Fails unless it ended within this time.
    #[track_caller]
    pub(crate) fn within(&self, limit: Duration) -> &Self {
        assert!(self.took < limit, "it took more than {limit:?}\n{self}");
        self
    }

    /// The events of a run with `--format json`: every line must be one.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Event> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{self}"));
        self.out.lines().map(parse).collect()
    }

    /// Components in the order in which they entered a phase, with the microseconds since the run began.
    #[track_caller]
    pub(crate) fn entered(&self, wanted: Phase) -> Vec<(String, Duration)> {
        let fitting = |event: Event| match event.kind {
            EventKind::PhaseChanged { component, phase, .. } if phase == wanted => {
                Some((component.to_string(), event.at.0))
            }
            _ => None,
        };
        self.events().into_iter().filter_map(fitting).collect()
    }

    /// What the plan does to each component, as `component action`, sorted.
    #[track_caller]
    pub(crate) fn planned(&self) -> Vec<String> {
        let mut all = Vec::new();
        for event in self.events() {
            if let EventKind::Planned { actions } = event.kind {
                all.extend(actions.iter().map(|planned| format!("{} {}", planned.component, planned.action)));
            }
        }
        all.sort();
        all
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {} after {:?}\n--- stdout\n{}--- stderr\n{}", self.code, self.took, self.out, self.err)
    }
}
