//! What waits for what: gates, needs, and what cycles change about them.

use std::collections::{BTreeMap, BTreeSet};

use super::roster::Roster;
use super::text::unknown;
use crate::cluster::{Gate, GateCondition, Graph};
use crate::compose::{Condition, Dependency, Diagnostic, Diagnostics, Project, Service, Start};
use crate::names::{ComponentName, ServiceName};

/// What a service's dependencies come to, for each of its components.
#[derive(Debug, Clone, Default)]
pub(super) struct Waits {
    /// What holds a start back.
    pub(super) gates: Vec<Gate>,
    /// Peers whose readiness it needs. May hold the component itself: the caller leaves that one out.
    pub(super) needs: BTreeSet<ComponentName>,
    /// The early-exit rule holds.
    pub(super) restarts_early_exit: bool,
    /// Compose's label, without edges of cycles.
    pub(super) label: String,
    /// Somebody waits for its completion.
    pub(super) awaited: bool,
}

/// Resolves the dependencies of all services.
///
/// Cycles are looked for over `depends_on` and `needs` together: a gate on somebody who needs us would never open.
pub(super) fn resolve(project: &Project, roster: &Roster, problems: &mut Diagnostics) -> BTreeMap<ServiceName, Waits> {
    let mut waits: BTreeMap<ServiceName, Waits> = BTreeMap::new();
    let graph = graph(project, roster, problems);
    let together = project.start == Start::Together;
    for (name, service) in &project.services {
        let is_cyclic = graph.is_cyclic(&name);
        let mut own = Waits { restarts_early_exit: together || is_cyclic, ..Waits::default() };
        let shared: Vec<&str> = service.shares_with().collect();
        // That on itself has been refused.
        for (target, dependency) in service.depends_on.iter().filter(|(target, _)| *target != name) {
            let in_cycle = is_cyclic && graph.share_cycle(&name, &target);
            if in_cycle {
                refuse_what_cannot_be_in_a_cycle((name, target), dependency, &shared, &graph, problems);
            }
            let members = roster.of(target.as_str());
            let names = members.iter().map(|member| member.name.clone());
            if in_cycle || (together && dependency.condition != Condition::Completed) {
                own.needs.extend(names);
            } else {
                own.gates.extend(names.map(|on| gate(on, dependency)));
            }
            if !in_cycle && !members.is_empty() {
                add_to_label(&mut own.label, target, dependency);
            }
        }
        own.needs.extend(needs(service, roster).map(|(_, component)| component));
        waits.insert(name.clone(), own);
    }
    mark_awaited(project, &mut waits);
    waits
}

/// The graph over services; reports names that don't exist, and dependencies on oneself. A lone component's need of
/// itself is left out.
fn graph<'a>(project: &'a Project, roster: &'a Roster, problems: &mut Diagnostics) -> Graph<&'a ServiceName> {
    let mut edges = Vec::new();
    for (name, service) in &project.services {
        for (target, dependency) in &service.depends_on {
            if !project.services.contains_key(target) {
                report_undefined(name, target, dependency, project, problems);
            } else if target == name {
                problems.push(depends_on_itself(name, dependency, roster));
            } else {
                edges.push((name, target));
            }
        }
        for need in &service.convoke.needs {
            if roster.find(&need.value).is_none() && !project.services.contains_key(need.value.as_str()) {
                let message = format!("\"{name}\" needs \"{}\", which is no service or component here", need.value);
                let hint = unknown(&need.value, roster.names(), "services");
                problems.push(Diagnostic::error(&need.at, message).hint(hint));
            }
        }
        let needed = needs(service, roster).map(|(target, _)| target);
        let several = roster.of(name.as_str()).len() > 1;
        edges.extend(needed.filter(|target| *target != name || several).map(|target| (name, target)));
    }
    Graph::new(project.services.keys(), edges)
}

/// Services and components that `x-convoke.needs` names.
fn needs<'a>(service: &'a Service, roster: &'a Roster) -> impl Iterator<Item = (&'a ServiceName, ComponentName)> {
    let found = service.convoke.needs.iter().filter_map(|need| roster.find(&need.value));
    found.flat_map(|(service, members)| members.iter().map(move |member| (service, member.name.clone())))
}

fn depends_on_itself(name: &ServiceName, dependency: &Dependency, roster: &Roster) -> Diagnostic {
    let hint = match roster.of(name.as_str()).len() {
        0 | 1 => "remove this".to_owned(),
        _ => format!("if its containers need one another, say \"x-convoke: {{ needs: [{name}] }}\" instead"),
    };
    Diagnostic::error(&dependency.at, format!("\"{name}\" depends on itself")).hint(hint)
}

fn report_undefined(
    name: &ServiceName,
    target: &ServiceName,
    dependency: &Dependency,
    project: &Project,
    problems: &mut Diagnostics,
) {
    if let Some(off) = project.switched_off.get(target) {
        if dependency.required {
            let profiles: Vec<&str> = off.profiles.iter().map(|profile| profile.value.as_str()).collect();
            let message = format!("\"{name}\" depends on \"{target}\", whose profiles are not switched on");
            let hint = format!("--profile {} switches it on, required: false does without it", profiles.join(" or "));
            problems.push(Diagnostic::error(&dependency.at, message).hint(hint));
        }
        return;
    }
    let message = format!("\"{name}\" depends on \"{target}\", which is no service here");
    if dependency.required {
        let known = project.services.keys().filter(|known| *known != name).map(ServiceName::as_str);
        problems.push(Diagnostic::error(&dependency.at, message).hint(unknown(target.as_str(), known, "services")));
    } else {
        problems.push(Diagnostic::warning(&dependency.at, message).hint("it isn't required, so it is ignored"));
    }
}

/// Refuses an edge that holds a start back in a cycle of starts.
fn refuse_what_cannot_be_in_a_cycle(
    (name, target): (&ServiceName, &ServiceName),
    dependency: &Dependency,
    shared: &[&str],
    graph: &Graph<&ServiceName>,
    problems: &mut Diagnostics,
) {
    let mut refuse = |what: &str, hint: &str| {
        if let Some(cycle) = graph.cycle_through(&name, &target) {
            let message = format!("\"{name}\" {what} inside the cycle {cycle}");
            problems.push(Diagnostic::error(&dependency.at, message).hint(hint));
        }
    };
    if dependency.condition == Condition::Completed {
        refuse(
            &format!("waits for \"{target}\" to complete"),
            "neither could ever start: use service_healthy or service_started here, or remove an edge of the cycle",
        );
    }
    // One whose namespace is another's can't start before it: no cycle can be made of that.
    if shared.contains(&target.as_str()) {
        refuse(
            &format!("shares something of \"{target}\""),
            "its container can't start before the other one runs: remove another edge of the cycle",
        );
    }
}

fn gate(on: ComponentName, dependency: &Dependency) -> Gate {
    let condition = match dependency.condition {
        Condition::Started => GateCondition::Started,
        Condition::Healthy => GateCondition::Ready,
        Condition::Completed => GateCondition::Completed,
    };
    Gate { on, condition, required: dependency.required }
}

fn add_to_label(label: &mut String, target: &ServiceName, dependency: &Dependency) {
    let condition = match dependency.condition {
        Condition::Started => "service_started",
        Condition::Healthy => "service_healthy",
        Condition::Completed => "service_completed_successfully",
    };
    let comma = if label.is_empty() { "" } else { "," };
    let restart = if dependency.restart { "true" } else { "false" };
    label.extend([comma, target.as_str(), ":", condition, ":", restart]);
}

fn mark_awaited(project: &Project, waits: &mut BTreeMap<ServiceName, Waits>) {
    let edges = project.services.values().flat_map(|service| &service.depends_on);
    for (target, _) in edges.filter(|(_, dependency)| dependency.condition == Condition::Completed) {
        if let Some(target) = waits.get_mut(target) {
            target.awaited = true;
        }
    }
}
