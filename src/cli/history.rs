//! What the records of earlier runs say about a container that has ended. The engine doesn't tell one that ended by
//! itself from one that was stopped.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::ObservedContainer;
use crate::event::{EventKind, Outcome, Phase};
use crate::names::{ClusterName, ComponentName};
use crate::report::{Record, records};
use crate::store::{Store, state_root};

/// Records that are looked at.
const RECORDS_READ: usize = 10;
/// What a failed start left running is stopped within this time after its end.
const CLEANUP: Duration = Duration::from_secs(25);
/// Clocks and the order of notes may differ by so much.
const SLACK: Duration = Duration::from_secs(1);
/// Exit codes of programs that SIGTERM and SIGKILL ended: somebody stopped them.
const TOLD_TO_END: [i64; 2] = [143, 137];

/// The newest runs of a cluster, newest first.
#[derive(Debug, Default)]
pub(super) struct History(Vec<Record>);

impl History {
    /// What is recorded of a cluster; nothing where no state directory is.
    pub(super) fn of(cluster: &ClusterName) -> Self {
        let store = state_root(|key| std::env::var_os(key)).and_then(|root| Store::find(&root, cluster));
        Self(store.map(|store| records(&store, RECORDS_READ)).unwrap_or_default())
    }

    /// Whether a container that isn't up any more failed: its last run ended by itself, and not well.
    pub(super) fn ended_by_itself(&self, container: &ObservedContainer) -> bool {
        let state = &container.state;
        if state.oom_killed {
            return true;
        }
        let (Some(_), Some(end)) = (state.started_at, state.finished_at) else { return false };
        if state.exit_code == 0 || TOLD_TO_END.contains(&state.exit_code) {
            return false;
        }
        // Programs may answer SIGTERM with any code of their own.
        let began = |record: &Record| record.beginning().and_then(|(_, time)| time.parse::<Timestamp>().ok());
        let mut runs = self.0.iter().filter_map(|record| Some((began(record)?, record)));
        let Some((began, record)) = runs.find(|(began, _)| *began <= end) else { return true };
        let over = began + record.took().0 + SLACK;
        match last_phase(record, &container.component) {
            Some(Phase::Stopped) => end > over,
            Some(Phase::Failed) => true,
            _ => record.outcome() == Some(Outcome::Ready) || end > over + CLEANUP,
        }
    }
}

fn last_phase(record: &Record, wanted: &ComponentName) -> Option<Phase> {
    record.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::PhaseChanged { component, phase, .. } if component == wanted => Some(*phase),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ContainerState, Status};
    use crate::event::{Event, Stamp};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn ended(exit_code: i64, second: i64) -> ObservedContainer {
        let made = ObservedContainer::made("0".parse().unwrap(), "x-db-1".into(), "db".parse().unwrap());
        let (started_at, finished_at) = (Some(at(0)), Some(at(second)));
        let state = ContainerState { status: Status::Exited, exit_code, started_at, finished_at, ..made.state.clone() };
        ObservedContainer { state, ..made }
    }

    /// A run of 4 s in which `db` came to this phase at last.
    fn run(command: &str, began: i64, phase: Phase, outcome: Outcome) -> Record {
        let events = [
            EventKind::RunStarted {
                run: "r".into(),
                cluster: "x".parse().unwrap(),
                command: command.into(),
                time: at(began).to_string(),
                components: vec![],
            },
            EventKind::PhaseChanged { component: "db".parse().unwrap(), phase, reason: None },
            EventKind::RunFinished { outcome, endpoints: vec![] },
        ];
        let stamped = (0..).zip(events).map(|(i, kind)| Event::new(Stamp(Duration::from_secs(i * 2)), kind));
        Record { run: "r".into(), events: stamped.collect() }
    }

    #[test]
    fn the_exit_code_alone_tells_much() {
        let nothing = History::default();
        assert!(nothing.ended_by_itself(&ended(4, 10)));
        assert!(![0, 137, 143].iter().any(|code| nothing.ended_by_itself(&ended(*code, 10))));
        let mut out_of_memory = ended(137, 10);
        out_of_memory.state.oom_killed = true;
        assert!(nothing.ended_by_itself(&out_of_memory));
        let never_ran =
            ObservedContainer { state: ContainerState { started_at: None, ..ended(127, 10).state }, ..ended(127, 10) };
        assert!(!nothing.ended_by_itself(&never_ran));
    }

    #[test]
    fn one_that_convoke_stopped_did_not_fail_whatever_its_code() {
        let up = run("up", 0, Phase::Ready, Outcome::Ready);
        let stop = run("stop", 100, Phase::Stopped, Outcome::Ready);
        let history = History(vec![stop, up]);
        assert!(!history.ended_by_itself(&ended(1, 102)));
        assert!(history.ended_by_itself(&ended(1, 50)), "before that stop");
        assert!(history.ended_by_itself(&ended(1, 500)), "somebody started it again");
    }

    #[test]
    fn what_a_failed_start_stops_afterwards_did_not_fail() {
        let failed = |phase| History(vec![run("up", 0, phase, Outcome::Failed)]);
        assert!(failed(Phase::Failed).ended_by_itself(&ended(4, 3)));
        assert!(!failed(Phase::Live).ended_by_itself(&ended(1, 6)));
        assert!(failed(Phase::Live).ended_by_itself(&ended(1, 600)));
    }
}
