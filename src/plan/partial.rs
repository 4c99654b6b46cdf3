//! Starting a part of a cluster: the peers that its gates wait for and that nobody will start.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::{Cluster, Gate, GateCondition};
use crate::engine::{Observed, ObservedContainer, Status};
use crate::names::ComponentName;

/// A gate that stays shut, since its peer doesn't run and isn't among those that are to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shut {
    /// Whose start it holds back.
    pub component: ComponentName,
    /// The gate.
    pub gate: Gate,
    /// How its peer is, for people: `stopped`.
    pub peer_is: String,
}

/// The gates of `starting` that stay shut when nothing else is started.
#[must_use]
pub fn shut_gates(cluster: &Cluster, observed: &Observed, starting: &BTreeSet<ComponentName>) -> Vec<Shut> {
    let by_name = containers(observed);
    let mut shut = Vec::new();
    for component in starting.iter().filter_map(|name| cluster.components.get(name)) {
        for gate in component.gates.iter().filter(|gate| gate.required && !starting.contains(&gate.on)) {
            // One without a container isn't known by its labels, and holds nothing back.
            let (Some(peer), Some(containers)) = (cluster.components.get(&gate.on), by_name.get(&gate.on)) else {
                continue;
            };
            let is_done = |c: &&ObservedContainer| {
                peer.completes && c.state.status == Status::Exited && c.state.exit_code == 0 && has_run(c)
            };
            if containers.iter().any(|c| is_up(c)) || containers.iter().any(is_done) {
                continue;
            }
            let peer_is = containers.first().map_or_else(String::new, |c| describe(c, gate));
            shut.push(Shut { component: component.name.clone(), gate: gate.clone(), peer_is });
        }
    }
    shut
}

/// `starting` and every peer that has to be started with it, so that no gate stays shut.
#[must_use]
pub fn with_peers(
    cluster: &Cluster,
    observed: &Observed,
    starting: &BTreeSet<ComponentName>,
) -> BTreeSet<ComponentName> {
    let mut all = starting.clone();
    loop {
        let missing = shut_gates(cluster, observed, &all);
        if missing.is_empty() {
            return all;
        }
        all.extend(missing.into_iter().map(|shut| shut.gate.on));
    }
}

/// Whether it runs or will without us.
#[must_use]
pub const fn is_up(container: &ObservedContainer) -> bool {
    matches!(container.state.status, Status::Running | Status::Paused | Status::Restarting)
}

const fn has_run(container: &ObservedContainer) -> bool {
    container.state.started_at.is_some()
}

fn describe(container: &ObservedContainer, gate: &Gate) -> String {
    match container.state.status {
        Status::Created => "not started yet".into(),
        _ if gate.condition == GateCondition::Completed && container.state.exit_code != 0 => {
            format!("stopped (exit code {})", container.state.exit_code)
        }
        _ => "stopped".into(),
    }
}

fn containers(observed: &Observed) -> BTreeMap<&ComponentName, Vec<&ObservedContainer>> {
    let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for container in &observed.containers {
        by_name.entry(&container.component).or_default().push(container);
    }
    by_name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample;
    use crate::engine::ContainerState;

    fn name(name: &str) -> ComponentName {
        name.parse().unwrap()
    }

    fn names(all: &[&str]) -> BTreeSet<ComponentName> {
        all.iter().map(|one| name(one)).collect()
    }

    /// `app` waits for `db`, which waits for `disk`; `app` also waits for the job `seed`, and would like `cache`.
    fn app() -> Cluster {
        let gate = |on: &str, condition, required| Gate { on: name(on), condition, required };
        let mut all = ["app", "db", "disk", "seed", "cache"].map(|name| sample::component(name, &[]));
        all[0].gates = vec![
            gate("db", GateCondition::Ready, true),
            gate("seed", GateCondition::Completed, true),
            gate("cache", GateCondition::Ready, false),
        ];
        all[1].gates = vec![gate("disk", GateCondition::Started, true)];
        all[3].completes = true;
        sample::cluster(all)
    }

    fn observed(states: &[(&str, Status, i64)]) -> Observed {
        let container = |&(component, status, exit_code): &(&str, Status, i64)| {
            let made =
                ObservedContainer::made(component.parse().unwrap(), format!("test-{component}-1"), name(component));
            let started_at = (status != Status::Created).then_some(jiff::Timestamp::UNIX_EPOCH);
            let state = ContainerState { status, exit_code, started_at, ..made.state.clone() };
            ObservedContainer { state, ..made }
        };
        Observed { containers: states.iter().map(container).collect(), ..Observed::default() }
    }

    fn shut(states: &[(&str, Status, i64)], starting: &[&str]) -> Vec<String> {
        let all = shut_gates(&app(), &observed(states), &names(starting));
        all.into_iter().map(|shut| format!("{} for {}: {}", shut.component, shut.gate.on, shut.peer_is)).collect()
    }

    #[test]
    fn a_stopped_peer_that_is_not_started_too_keeps_the_gate_shut() {
        let stopped = [("app", Status::Running, 0), ("db", Status::Exited, 0), ("seed", Status::Exited, 0)];
        assert_eq!(shut(&stopped, &["app"]), ["app for db: stopped"]);
        assert!(shut(&stopped, &["app", "db"]).is_empty());
    }

    #[test]
    fn one_that_runs_or_is_to_run_again_may_still_open_it() {
        for status in [Status::Running, Status::Paused, Status::Restarting] {
            assert!(shut(&[("db", status, 1), ("seed", Status::Exited, 0)], &["app"]).is_empty(), "{status:?}");
        }
    }

    #[test]
    fn a_job_opens_it_by_having_completed_only() {
        let with_seed = |status, code| shut(&[("db", Status::Running, 0), ("seed", status, code)], &["app"]);
        assert!(with_seed(Status::Exited, 0).is_empty());
        assert_eq!(with_seed(Status::Exited, 3), ["app for seed: stopped (exit code 3)"]);
        assert_eq!(with_seed(Status::Created, 0), ["app for seed: not started yet"]);
    }

    #[test]
    fn what_is_not_required_or_not_there_holds_nothing_back() {
        let states = [("db", Status::Running, 0), ("cache", Status::Exited, 1)];
        assert!(shut(&states, &["app"]).is_empty());
    }

    #[test]
    fn the_peers_of_peers_are_named_too() {
        let states = [
            ("app", Status::Exited, 0),
            ("db", Status::Exited, 0),
            ("disk", Status::Exited, 137),
            ("seed", Status::Exited, 0),
        ];
        assert_eq!(with_peers(&app(), &observed(&states), &names(&["app"])), names(&["app", "db", "disk"]));
    }
}
