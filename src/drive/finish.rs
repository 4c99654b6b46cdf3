//! How a run ends: failures are collected with the last lines of their logs, then it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::driver::Driver;
use super::exits::list;
use super::input::{Call, Effect};
use super::node::Node;
use crate::event::{EventKind, Failure, Outcome, Phase, PublishedEndpoint};
use crate::names::ComponentName;
use crate::probe::Verdict;
use crate::units::human;

/// So long the last log lines of failed components are waited for: a failure is to be told within a second.
pub(super) const LOG_PATIENCE: Duration = Duration::from_millis(800);
/// After a deadline nobody is in a hurry, and a busy engine takes its time.
const LOG_PATIENCE_AFTER_DEADLINE: Duration = Duration::from_secs(3);

/// A run that is ending.
#[derive(Debug)]
pub(super) struct Ending {
    outcome: Outcome,
    failures: Vec<Failure>,
    awaiting: BTreeSet<ComponentName>,
    logs: BTreeMap<ComponentName, Vec<String>>,
    until: Duration,
}

impl Driver {
    /// A component has failed for good, and with it the run.
    pub(super) fn fail_component(&mut self, name: &ComponentName, what: String, hint: Option<String>) {
        if self.is_supervised() {
            return self.lose(name, what, hint);
        }
        let failure = Failure {
            component: Some(name.clone()),
            what,
            exit_code: self.nodes.get(name).and_then(|node| node.last_exit),
            last_probe: self.last_probe(name),
            log: Vec::new(),
            hint,
        };
        self.fail_with(name, failure, true);
    }

    /// What a component is to be made of can't be had. What ran before has nothing to do with it: of that, nothing is
    /// quoted.
    pub(super) fn fail_unmade(&mut self, name: &ComponentName, what: String, hint: String, log: Vec<String>) {
        let component = Some(name.clone());
        let failure = Failure { component, what, exit_code: None, last_probe: None, log, hint: Some(hint) };
        self.fail_with(name, failure, false);
    }

    fn fail_with(&mut self, name: &ComponentName, failure: Failure, quote_log: bool) {
        let is_optional = self.is_optional(name);
        if let Some(node) = self.nodes.get_mut(name) {
            node.failure = Some(failure.clone());
        }
        let reason = failure.what.clone();
        self.enter(name, Phase::Failed, Some(reason.clone()));
        if is_optional {
            let message = format!("{name} failed ({reason}); those that depend on it don't require it");
            return self.emit(EventKind::Warning { message });
        }
        if self.is_selected(name) {
            let quoted = if quote_log { vec![name.clone()] } else { Vec::new() };
            self.end_quoting(Outcome::Failed, vec![failure], quoted);
        }
    }

    /// Nothing needs it but edges with `required: false`.
    pub(super) fn is_optional(&self, name: &ComponentName) -> bool {
        let mut gates =
            self.nodes.values().flat_map(|node| &node.component.gates).filter(|gate| gate.on == *name).peekable();
        gates.peek().is_some() && gates.all(|gate| !gate.required)
    }

    /// The run as a whole has failed.
    pub(super) fn fail_run(&mut self, what: String, hint: Option<String>, outcome: Outcome) {
        let failure = Failure { component: None, what, exit_code: None, last_probe: None, log: Vec::new(), hint };
        self.end_with(outcome, vec![failure]);
    }

    pub(super) fn fail_by_deadline(&mut self, deadline: Duration) {
        let mut failures = Vec::new();
        let late: Vec<ComponentName> = self
            .selected()
            .filter(|(_, node)| !node.phase.is_settled() && node.failure.is_none())
            .map(|(name, _)| name.clone())
            .collect();
        for name in &late {
            let Some(node) = self.nodes.get(name) else { continue };
            let why = node.said_waiting.as_ref().map_or_else(|| self.whose_turn(node), |wait| wait.why.clone());
            let what = format!("{} after {}: {why}", not_ready(node.phase), human(deadline));
            failures.push(Failure {
                component: Some(name.clone()),
                what,
                exit_code: node.last_exit,
                last_probe: self.last_probe(name),
                log: Vec::new(),
                hint: Some(late_hint(name, node)),
            });
        }
        if failures.is_empty() {
            // All settled, but the engine didn't confirm it in time.
            return self.fail_run(
                "the engine didn't confirm the cluster in time".into(),
                None,
                Outcome::DeadlinePassed,
            );
        }
        // What they said last comes with their failures.
        let lines = self.stall_lines(&BTreeMap::new());
        self.emit(EventKind::Stalled { lines });
        self.end_with(Outcome::DeadlinePassed, failures);
    }

    pub(super) fn last_probe(&self, name: &ComponentName) -> Option<String> {
        let node = self.nodes.get(name)?;
        let answer = node.ready.last.as_ref().or(node.live.last.as_ref())?;
        // The end of the container cut this one short: it says nothing about the component.
        let was_cut_short = answer.verdict == Verdict::EngineTrouble && !node.is_running;
        (!was_cut_short).then(|| answer.text.clone())
    }

    /// Ends the run.
    pub(super) fn end(&mut self, outcome: Outcome) {
        self.end_with(outcome, Vec::new());
    }

    /// Ends the run; the logs of failed components are quoted.
    pub(super) fn end_with(&mut self, outcome: Outcome, failures: Vec<Failure>) {
        let quoted = failures.iter().filter_map(|failure| failure.component.clone()).collect();
        self.end_quoting(outcome, failures, quoted);
    }

    fn end_quoting(&mut self, outcome: Outcome, failures: Vec<Failure>, quoted: Vec<ComponentName>) {
        if self.is_supervised() && outcome != Outcome::Released {
            return failures.iter().for_each(|failure| self.complain(failure, outcome));
        }
        if outcome == Outcome::Interrupted {
            self.ending = None;
        }
        let patience = match outcome {
            Outcome::DeadlinePassed => LOG_PATIENCE_AFTER_DEADLINE,
            _ => LOG_PATIENCE,
        };
        let awaiting = self.ask_for_logs(quoted, patience);
        if let Some(ending) = &mut self.ending {
            // What failed first ends the run; what fails meanwhile is told as well.
            ending.failures.extend(failures);
            ending.awaiting.extend(awaiting);
            return;
        }
        let until = self.now + patience;
        self.ending = Some(Ending { outcome, failures, awaiting, logs: BTreeMap::new(), until });
    }

    /// Asks for the last lines of every one of them that has any.
    fn ask_for_logs(&mut self, quoted: Vec<ComponentName>, patience: Duration) -> BTreeSet<ComponentName> {
        let mut asked = BTreeSet::new();
        for name in quoted {
            let Some(node) = self.nodes.get(&name).filter(|node| node.has_run) else { continue };
            let Some((id, began)) = node.containers.first().map(|c| (c.id.clone(), c.state.started_at)) else {
                continue;
            };
            // How the run before ended says more than how this one begins.
            let began = began.filter(|_| !node.is_looping());
            self.call(Call::LogTail(name.clone(), id, began, patience));
            asked.insert(name);
        }
        asked
    }

    pub(super) fn take_log_tail(&mut self, name: &ComponentName, lines: Vec<String>) {
        if self.take_last_words(name, &lines) {
            return;
        }
        if let Some(ending) = &mut self.ending {
            ending.awaiting.remove(name);
            ending.logs.insert(name.clone(), lines);
        } else if let Some(look) = &mut self.stall_look {
            look.take(name, &lines);
        }
    }

    /// Ends the run for good once nothing more is waited for.
    pub(super) fn conclude(&mut self) {
        let Some(ending) = &self.ending else { return };
        if !ending.awaiting.is_empty() && self.now < ending.until {
            let until = ending.until;
            return self.wake_at(until);
        }
        let Some(mut ending) = self.ending.take() else { return };
        for mut failure in ending.failures {
            if let Some(lines) = failure.component.as_ref().and_then(|name| ending.logs.remove(name)) {
                failure.log = lines;
            }
            self.emit(EventKind::Failed { failure });
        }
        let outcome = ending.outcome;
        let endpoints = self.endpoints();
        self.emit(EventKind::RunFinished { outcome, endpoints });
        self.out.push(Effect::Finish(outcome));
        self.is_over = true;
    }

    pub(super) fn endpoints(&self) -> Vec<PublishedEndpoint> {
        let mut endpoints = Vec::new();
        for (name, node) in self.selected().filter(|(_, node)| node.is_running) {
            for port in node.containers.iter().flat_map(|container| &container.ports) {
                let (Some(ip), Some(host_port)) = (port.host_ip, port.host_port) else { continue };
                endpoints.push(PublishedEndpoint {
                    component: name.clone(),
                    host: std::net::SocketAddr::new(ip, host_port).to_string(),
                    port: port.container_port,
                    protocol: port.protocol.as_str().to_owned(),
                });
            }
        }
        endpoints
    }
}

/// What to try about a component that is late.
fn late_hint(name: &ComponentName, node: &Node) -> String {
    if node.is_looping() {
        return format!("`convoke logs {name}` shows why it ends; more time alone won't help");
    }
    match (node.has_run, &node.said_waiting) {
        (true, _) => format!("`convoke logs {name}` shows all it said; `--timeout` gives it longer"),
        (false, Some(wait)) if !wait.on.is_empty() => format!("look at {} first", list(wait.on.iter())),
        (false, _) => "`--timeout` gives it longer".to_owned(),
    }
}

fn not_ready(phase: Phase) -> String {
    match phase {
        Phase::Live | Phase::Started => format!("{phase} but not ready"),
        _ => format!("still {phase}"),
    }
}
