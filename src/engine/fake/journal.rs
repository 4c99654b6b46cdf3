//! Who called what and when: what a test asserts on.

use std::time::Duration;

use crate::engine::ErrorKind;
use crate::names::{ComponentName, ContainerId};

/// A kind of engine call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `info`.
    Info,
    /// `observe`.
    Observe,
    /// `inspect`.
    Inspect,
    /// `events`.
    Events,
    /// `image`.
    Image,
    /// `pull`.
    Pull,
    /// `build`.
    Build,
    /// `create_network`.
    CreateNetwork,
    /// `remove_network`.
    RemoveNetwork,
    /// `members`.
    Members,
    /// `disconnect`.
    Disconnect,
    /// `connect`.
    Connect,
    /// `create_volume`.
    CreateVolume,
    /// `remove_volume`.
    RemoveVolume,
    /// `create_container`.
    Create,
    /// `start`.
    Start,
    /// `stop`.
    Stop,
    /// `kill`.
    Kill,
    /// `crash`.
    Crash,
    /// `pause`.
    Pause,
    /// `unpause`.
    Unpause,
    /// `remove`.
    Remove,
    /// `rename`.
    Rename,
    /// `exec`.
    Exec,
    /// `logs`.
    Logs,
}

impl Op {
    /// Whether such a call changes a container, a network or a volume (an exec doesn't count).
    #[must_use]
    pub const fn changes(self) -> bool {
        matches!(
            self,
            Self::CreateNetwork
                | Self::RemoveNetwork
                | Self::Disconnect
                | Self::Connect
                | Self::CreateVolume
                | Self::RemoveVolume
                | Self::Create
                | Self::Start
                | Self::Stop
                | Self::Kill
                | Self::Crash
                | Self::Pause
                | Self::Unpause
                | Self::Remove
                | Self::Rename
        )
    }
}

/// One engine call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What.
    pub op: Op,
    /// When it was made, since the world began.
    pub at: Duration,
    /// When the caller had its answer or gave up; None: still open.
    pub ended: Option<Duration>,
    /// When it took effect; None: it didn't (yet).
    pub effect: Option<Duration>,
    /// The component that it is about.
    pub component: Option<ComponentName>,
    /// The container that it is about; for a create that took effect, the new one.
    pub container: Option<ContainerId>,
    /// Name of the container, network, volume, image or cluster.
    pub name: String,
    /// The answer.
    pub outcome: Outcome,
}

/// How a call went for its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// No answer yet.
    Open,
    /// It succeeded.
    Ok,
    /// It failed; it may still have taken effect.
    Failed(ErrorKind),
    /// The caller dropped it; it may still have taken effect.
    Dropped,
}

/// A change of a container, in the order in which they happened, event or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When, since the world began.
    pub at: Duration,
    /// The container.
    pub container: ContainerId,
    /// Its component, by label.
    pub component: Option<ComponentName>,
    /// The engine's word: `create`, `start`, `die`, `oom`, `stop`, `kill`, `destroy`, `rename`,
    /// `health_status`, `pause`, `unpause`.
    pub action: &'static str,
    /// For `die`, the exit code.
    pub code: Option<i64>,
}

/// The most calls of one kind that were open at the same time.
#[must_use]
pub fn most_at_once(calls: &[Call], op: Op) -> usize {
    let mut edges: Vec<(Duration, i32)> = Vec::new();
    for call in calls.iter().filter(|call| call.op == op) {
        edges.push((call.at, 1));
        edges.push((call.ended.unwrap_or(Duration::MAX), -1));
    }
    // An end and a begin at the same instant don't overlap: ends sort first.
    edges.sort_unstable();
    let mut open = 0i32;
    let most = edges.iter().map(|(_, step)| {
        open += step;
        open
    });
    usize::try_from(most.max().unwrap_or(0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(at: u64, ended: u64) -> Call {
        Call {
            op: Op::Start,
            at: Duration::from_millis(at),
            ended: Some(Duration::from_millis(ended)),
            effect: None,
            component: None,
            container: None,
            name: String::new(),
            outcome: Outcome::Ok,
        }
    }

    #[test]
    fn overlaps_are_counted_and_neighbours_are_not() {
        let calls = [start(0, 10), start(10, 20), start(5, 12)];
        assert_eq!(most_at_once(&calls, Op::Start), 2);
        assert_eq!(most_at_once(&calls, Op::Stop), 0);
    }
}
