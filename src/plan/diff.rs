//! Judging what is there: which container is a component's own, which ones have to go.
//!
//! A component should have one container, with the right configuration and image. After an interrupted replacement it
//! may have two; the judgement is the same from every such state, so that any run can be killed anywhere.

use std::collections::BTreeMap;

use crate::cluster::{Cluster, Component};
use crate::engine::{Observed, ObservedContainer, Status, labels};
use crate::event::PlannedAction;
use crate::names::{ComponentName, ServiceName};

/// The containers of one component, judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The one that stays: right configuration, right image, not broken.
    pub current: Option<&'a ObservedContainer>,
    /// Those that have to go, with the reason.
    pub outdated: Vec<(&'a ObservedContainer, &'static str)>,
}

impl<'a> Standing<'a> {
    /// Judges `containers`, all of one component. `image_id` is None while the image isn't known.
    #[must_use]
    pub fn judge(component: &Component, image_id: Option<&str>, containers: &'a [ObservedContainer]) -> Self {
        let mut standing = Self::default();
        let mut fitting: Vec<&ObservedContainer> = Vec::new();
        for container in containers {
            match misfit(component, image_id, container) {
                Some(why) => standing.outdated.push((container, why)),
                None => fitting.push(container),
            }
        }
        // The running one first, then the one that has the name already, then the newest.
        fitting.sort_by_key(|c| {
            let running = matches!(c.state.status, Status::Running | Status::Paused | Status::Restarting);
            (!running, c.name != component.container_name, std::cmp::Reverse(c.created_at))
        });
        let mut fitting = fitting.into_iter();
        standing.current = fitting.next();
        standing.outdated.extend(fitting.map(|c| (c, "there is another container for it")));
        standing
    }
}

/// Why a container can't stay, if so.
fn misfit(component: &Component, image_id: Option<&str>, container: &ObservedContainer) -> Option<&'static str> {
    if matches!(container.state.status, Status::Dead | Status::Removing) {
        return Some("the engine calls it dead");
    }
    if container.lost_network {
        return Some("its network is gone");
    }
    if container.label(labels::CONTAINER).is_some_and(|own| own != component.container_name) {
        return Some("its container_name changed");
    }
    if container.label(labels::CONFIG_HASH) != Some(&component.config_hash) {
        return Some("its configuration changed");
    }
    if image_id.is_some_and(|id| !container.image_id.is_empty() && id != container.image_id) {
        return Some("its image changed");
    }
    None
}

/// What is to be done to each component; made for people (the driver decides anew at every step, by the same rules).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// One action a component, removals of surplus replicas included.
    pub actions: Vec<PlannedAction>,
    /// Components that our labels name and the file doesn't; left alone.
    pub orphans: Vec<ComponentName>,
}

/// Compares what should run with what is there.
#[must_use]
pub fn plan(cluster: &Cluster, observed: &Observed, image_ids: &BTreeMap<String, String>) -> Plan {
    let (by_component, surplus) = assign_containers(cluster, observed);
    let mut plan = Plan::default();
    for (name, component) in &cluster.components {
        let containers = by_component.get(name).map_or(&[][..], Vec::as_slice);
        let standing = Standing::judge(component, image_ids.get(&component.image).map(String::as_str), containers);
        let (action, reason) = summarize(component, &standing);
        plan.actions.push(PlannedAction { component: name.clone(), action: action.into(), reason: reason.into() });
    }
    for container in surplus {
        if belongs_to_file(cluster, &container) {
            let reason = "the service has fewer replicas now".to_owned();
            plan.actions.push(PlannedAction {
                component: container.component.clone(),
                action: "remove".into(),
                reason,
            });
        } else {
            plan.orphans.push(container.component.clone());
        }
    }
    plan
}

fn summarize(component: &Component, standing: &Standing<'_>) -> (&'static str, &'static str) {
    match (&standing.current, standing.outdated.first()) {
        (_, Some((_, why))) => ("replace", why),
        (None, None) => ("create", "it isn't there"),
        (Some(container), None) => match container.state.status {
            Status::Running | Status::Paused | Status::Restarting => ("keep", "it runs"),
            Status::Exited if component.completes && container.state.exit_code == 0 => ("keep", "it completed"),
            _ => ("start", "it doesn't run"),
        },
    }
}

/// Sorts observed containers to the components of the file; the second part belongs to none.
///
/// The service and number decide, not the component's name: `web` becomes `web-1` when a second replica is added.
#[must_use]
pub fn assign_containers(
    cluster: &Cluster,
    observed: &Observed,
) -> (BTreeMap<ComponentName, Vec<ObservedContainer>>, Vec<ObservedContainer>) {
    let by_identity = by_identity(cluster);
    let mut found: BTreeMap<ComponentName, Vec<ObservedContainer>> = BTreeMap::new();
    let mut surplus = Vec::new();
    for container in &observed.containers {
        match container.identity().and_then(|(service, number)| by_identity.get(&(service, number))) {
            Some(name) => found.entry((*name).clone()).or_default().push(container.clone()),
            None => surplus.push(container.clone()),
        }
    }
    (found, surplus)
}

fn by_identity(cluster: &Cluster) -> BTreeMap<(&str, u32), &ComponentName> {
    let identify = |(name, component)| {
        let component: &Component = component;
        ((component.service.as_str(), component.number), name)
    };
    cluster.components.iter().map(identify).collect()
}

/// Names observed containers as the file does, so that what is known of `web` holds for `web-1` when there is to be a
/// `web-2`.
pub fn adopt_names(cluster: &Cluster, observed: &mut Observed) {
    let by_identity = by_identity(cluster);
    for container in &mut observed.containers {
        let name = container.identity().and_then(|identity| by_identity.get(&identity).copied()).cloned();
        container.component = name.unwrap_or_else(|| container.component.clone());
    }
}

/// Whether the container is a replica too many of a service that the file has.
#[must_use]
pub fn belongs_to_file(cluster: &Cluster, container: &ObservedContainer) -> bool {
    let service = container.label(labels::COMPOSE_SERVICE).and_then(|name| ServiceName::new(name).ok());
    service.is_some_and(|service| cluster.components.values().any(|c| c.service == service))
}
