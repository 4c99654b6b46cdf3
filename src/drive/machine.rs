//! The phase machine: which phase may follow which.
//!
//! The driver enters no other (tests fail there), and the simulation sees each of these happen. The table in
//! `docs/architecture.md` is made from this one.

use crate::event::Phase;
use crate::event::Phase::{
    Completed, Created, Creating, Failed, Live, Pending, Ready, Restarting, Started, Starting, Stopped, Unhealthy,
};

/// A phase, and those that may follow it.
///
/// What the engine shows may skip any phase that lasts a moment: an end or a removal may come at any time, and a list may
/// be the first to tell of a start, an end and a new start at once.
pub const TRANSITIONS: &[(Phase, &[Phase])] = &[
    (Pending, &[Creating, Created, Started, Completed, Failed, Restarting]),
    (Creating, &[Pending, Created, Started, Completed, Failed, Restarting]),
    (Created, &[Pending, Starting, Started, Completed, Failed, Restarting]),
    (Starting, &[Pending, Created, Started, Completed, Failed, Restarting]),
    (Started, &[Pending, Created, Live, Completed, Unhealthy, Failed, Restarting]),
    (Live, &[Pending, Created, Started, Ready, Completed, Unhealthy, Failed, Restarting]),
    (Ready, &[Pending, Created, Started, Completed, Unhealthy, Failed, Restarting]),
    (Completed, &[Pending, Created, Started, Failed, Restarting]),
    (Unhealthy, &[Pending, Created, Started, Ready, Completed, Failed, Restarting]),
    (Failed, &[]),
    (Restarting, &[Pending, Created, Starting, Started, Completed, Failed]),
];

/// What a supervised run adds: no failure is its end, what is to be stopped is called so, and what the files describe
/// otherwise now is replaced.
pub const UNDER_SUPERVISION: &[(Phase, &[Phase])] = &[
    (Pending, &[Stopped]),
    (Creating, &[Stopped]),
    (Created, &[Stopped]),
    (Starting, &[Stopped]),
    (Started, &[Creating, Stopped]),
    (Live, &[Creating, Stopped]),
    (Ready, &[Creating, Stopped]),
    (Completed, &[Creating]),
    (Unhealthy, &[Creating, Stopped]),
    (Failed, &[Pending, Started, Stopped]),
    (Stopped, &[Pending, Started]),
    (Restarting, &[Creating, Stopped]),
];

/// Whether a component may go from one phase to the other.
#[must_use]
pub fn allows(from: Phase, to: Phase) -> bool {
    has(TRANSITIONS, from, to)
}

/// The same in a supervised run.
#[must_use]
pub fn allows_under_supervision(from: Phase, to: Phase) -> bool {
    has(TRANSITIONS, from, to) || has(UNDER_SUPERVISION, from, to)
}

fn has(table: &[(Phase, &[Phase])], from: Phase, to: Phase) -> bool {
    table.iter().any(|(phase, next)| *phase == from && next.contains(&to))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// The table as the documentation has it.
    fn table() -> String {
        let mut text = String::from("| phase | may be followed by | under supervision also by |\n|---|---|---|\n");
        let names = |table: &[(Phase, &[Phase])], of: Phase| {
            let next = table.iter().filter(|(phase, _)| *phase == of).flat_map(|(_, next)| next.iter());
            next.map(|phase| phase.as_str()).collect::<Vec<_>>().join(", ")
        };
        for phase in TRANSITIONS.iter().map(|(phase, _)| *phase).chain([Stopped]) {
            _ = writeln!(text, "| {phase} | {} | {} |", names(TRANSITIONS, phase), names(UNDER_SUPERVISION, phase));
        }
        text
    }

    #[test]
    fn the_documentation_has_this_table() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/architecture.md");
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&table()), "docs/architecture.md lacks:\n{}", table());
    }

    #[test]
    fn nobody_stays_where_it_is_or_is_listed_twice() {
        for (phase, next) in TRANSITIONS {
            assert_eq!(TRANSITIONS.iter().filter(|(other, _)| other == phase).count(), 1, "{phase}");
            assert!(!next.contains(phase), "{phase}");
        }
        assert!(allows(Pending, Creating) && !allows(Failed, Started) && !allows(Stopped, Started));
        assert!(allows_under_supervision(Failed, Started) && !allows_under_supervision(Stopped, Ready));
    }
}
