//! Judging what is there: which container is a component's own, which ones have to go.
//!
//! A component should have one container, with the right configuration and image. After an interrupted replacement it
//! may have two; the judgement is the same from every such state, so that any run can be killed anywhere.

use std::collections::BTreeMap;

use crate::cluster::{Cluster, Component, Recreate, changed_parts};
use crate::engine::{Observed, ObservedContainer, Status, labels};
use crate::event::PlannedAction;
use crate::names::{ComponentName, ServiceName};

/// The containers of one component, judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The one that stays: right configuration, right image, not broken.
    pub current: Option<&'a ObservedContainer>,
    /// Those that have to go, with the reason.
    pub outdated: Vec<(&'a ObservedContainer, Misfit)>,
}

/// Why a container can't stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The engine gave it up.
    Dead,
    /// `container_name` of the file is another.
    Renamed,
    /// The configuration hash is another.
    Configuration,
    /// A network that it is on is no longer there.
    Network,
    /// Its image's name stands for another image now.
    Image,
    /// Another container of the component stays.
    Surplus,
    /// Whoever runs this wants all replaced.
    Asked,
}

impl Misfit {
    /// For people: why `container` isn't what `component` should be.
    #[must_use]
    pub fn describe(self, component: &Component, container: &ObservedContainer) -> String {
        match self {
            Self::Dead => "the engine calls it dead".to_owned(),
            Self::Renamed => "its container_name changed".to_owned(),
            Self::Network => "its network is gone".to_owned(),
            Self::Image => "its image changed".to_owned(),
            Self::Surplus => "there is another container for it".to_owned(),
            Self::Asked => "asked for".to_owned(),
            Self::Configuration => {
                let before = container.label(labels::CONFIG_PARTS).unwrap_or_default();
                let what = changed_parts(before, &component.config_parts).join(", ");
                let known = !before.is_empty() && !what.is_empty();
                if known {
                    format!("its configuration changed: {what}")
                } else {
                    "its configuration changed".to_owned()
                }
            }
        }
    }
}

impl<'a> Standing<'a> {
    /// Judges `containers`, all of one component. `image_id` is None while the image isn't known.
    #[must_use]
    pub fn judge(component: &Component, image_id: Option<&str>, containers: &'a [ObservedContainer]) -> Self {
        Self::judge_beside(component, image_id, containers, &[])
    }

    /// The same for a component that shares something of the containers `owners`.
    #[must_use]
    pub fn judge_beside(
        component: &Component,
        image_id: Option<&str>,
        containers: &'a [ObservedContainer],
        owners: &[&ObservedContainer],
    ) -> Self {
        let mut standing = Self::default();
        let mut fitting: Vec<&ObservedContainer> = Vec::new();
        for container in containers {
            let elsewhere = is_elsewhere(container, owners).then_some(Misfit::Network);
            match misfit(component, image_id, container).or(elsewhere) {
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
        standing.outdated.extend(fitting.map(|c| (c, Misfit::Surplus)));
        standing
    }
}

/// Whether what the container shares is another container's, be it one that an owner has replaced. The engine notes the
/// owner of a network by its id; of the rest it keeps the name, and one that is older than its owner shares what is gone.
fn is_elsewhere(container: &ObservedContainer, owners: &[&ObservedContainer]) -> bool {
    let shared = container.shares_network.as_deref();
    let is_owner = |shared: &str| owners.iter().any(|owner| shared == owner.id.as_str() || shared == owner.name);
    let is_older = |owner: &&&ObservedContainer| {
        container.created_at.zip(owner.created_at).is_some_and(|(own, owner)| owner > own)
    };
    (!owners.is_empty() && shared.is_some_and(|shared| !is_owner(shared)))
        || (container.shares_more && owners.iter().any(|owner| is_older(&owner)))
}

/// Why a container can't stay, if so.
fn misfit(component: &Component, image_id: Option<&str>, container: &ObservedContainer) -> Option<Misfit> {
    if matches!(container.state.status, Status::Dead | Status::Removing) {
        return Some(Misfit::Dead);
    }
    if container.lost_network {
        return Some(Misfit::Network);
    }
    match &component.recreate {
        Recreate::Changed => {}
        Recreate::All { run } if container.label(labels::RUN) == Some(run) => {}
        Recreate::All { .. } => return Some(Misfit::Asked),
        // Half made, it has no hash, and nobody could run it.
        Recreate::None => return container.label(labels::CONFIG_HASH).is_none().then_some(Misfit::Configuration),
    }
    if container.label(labels::CONTAINER).is_some_and(|own| own != component.container_name) {
        return Some(Misfit::Renamed);
    }
    if container.label(labels::CONFIG_HASH) != Some(&component.config_hash) {
        return Some(Misfit::Configuration);
    }
    if image_id.is_some_and(|id| !container.image_id.is_empty() && id != container.image_id) {
        return Some(Misfit::Image);
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
        plan.actions.push(PlannedAction { component: name.clone(), action: action.into(), reason });
    }
    for container in surplus.into_iter().filter(|container| !is_switched_off(cluster, container)) {
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

fn summarize(component: &Component, standing: &Standing<'_>) -> (&'static str, String) {
    let (action, reason) = match (&standing.current, standing.outdated.first()) {
        (_, Some((old, why))) => return ("replace", why.describe(component, old)),
        (None, None) => ("create", "it isn't there"),
        (Some(container), None) => match container.state.status {
            Status::Running | Status::Paused | Status::Restarting => ("keep", "it runs"),
            Status::Exited if component.completes && container.state.exit_code == 0 => ("keep", "it completed"),
            _ => ("start", "it doesn't run"),
        },
    };
    (action, reason.to_owned())
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
    let one_off = |at: &ObservedContainer| cluster.components.get(&at.component).is_some_and(|c| c.one_off.is_some());
    for container in observed.one_offs.iter().filter(|at| one_off(at)) {
        found.entry(container.component.clone()).or_default().push(container.clone());
    }
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
    cluster.components.iter().filter(|(_, component)| component.one_off.is_none()).map(identify).collect()
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

/// Whether the container is of a service that the file has, and none of whose profiles is switched on.
#[must_use]
pub fn is_switched_off(cluster: &Cluster, container: &ObservedContainer) -> bool {
    container.label(labels::COMPOSE_SERVICE).is_some_and(|service| cluster.switched_off.contains(service))
}

/// Whether the container is a replica too many of a service that the file has.
#[must_use]
pub fn belongs_to_file(cluster: &Cluster, container: &ObservedContainer) -> bool {
    let service = container.label(labels::COMPOSE_SERVICE).and_then(|name| ServiceName::new(name).ok());
    service.is_some_and(|service| cluster.components.values().any(|c| c.service == service))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::cluster::sample;
    use crate::engine::ContainerState;

    fn web() -> Component {
        Component {
            config_hash: "now".into(),
            config_parts: "command:11111,image:22222".into(),
            ..sample::component("web", &[])
        }
    }

    /// The container that convoke would have made of it.
    fn container(status: Status) -> ObservedContainer {
        let labels = [
            (labels::CONFIG_HASH, "now"),
            (labels::CONTAINER, "test-web-1"),
            (labels::COMPOSE_SERVICE, "web"),
            (labels::COMPOSE_NUMBER, "1"),
        ];
        let made = ObservedContainer::made("id".parse().unwrap(), "test-web-1".into(), "web".parse().unwrap());
        ObservedContainer {
            image_id: "image-id".into(),
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            state: ContainerState { status, ..made.state.clone() },
            ..made
        }
    }

    fn labelled(label: &str, value: &str) -> ObservedContainer {
        let mut container = container(Status::Running);
        container.labels.insert(label.into(), value.into());
        container
    }

    fn planned(cluster: &Cluster, containers: Vec<ObservedContainer>) -> Vec<(String, String, String)> {
        let observed = Observed { containers, ..Observed::default() };
        let ids = [("image".to_owned(), "image-id".to_owned())].into();
        let actions = plan(cluster, &observed, &ids).actions.into_iter();
        actions.map(|planned| (planned.component.to_string(), planned.action, planned.reason)).collect()
    }

    #[test]
    fn what_will_be_done_and_why_is_said() {
        let parts = labels::CONFIG_PARTS;
        let reconfigured = |before: &str| {
            let mut container = labelled(parts, before);
            container.labels.insert(labels::CONFIG_HASH.into(), "then".into());
            container
        };
        let ended = |exit_code| {
            let mut container = container(Status::Exited);
            container.state.exit_code = exit_code;
            container
        };
        let cases = [
            (vec![], "create", "it isn't there"),
            (vec![container(Status::Running)], "keep", "it runs"),
            (vec![container(Status::Created)], "start", "it doesn't run"),
            (vec![ended(0)], "start", "it doesn't run"),
            (vec![container(Status::Dead)], "replace", "the engine calls it dead"),
            (vec![labelled(labels::CONTAINER, "other")], "replace", "its container_name changed"),
            (
                vec![ObservedContainer { lost_network: true, ..container(Status::Running) }],
                "replace",
                "its network is gone",
            ),
            (
                vec![ObservedContainer { image_id: "old".into(), ..container(Status::Running) }],
                "replace",
                "its image changed",
            ),
            (vec![reconfigured("command:00000,image:22222")], "replace", "its configuration changed: command"),
            // What an older version made, and a change that has no part of its own.
            (vec![reconfigured("")], "replace", "its configuration changed"),
            (vec![reconfigured("command:11111,image:22222")], "replace", "its configuration changed"),
            (
                vec![container(Status::Running), container(Status::Running)],
                "replace",
                "there is another container for it",
            ),
        ];
        for (containers, action, reason) in cases {
            let expected = [("web".to_owned(), action.to_owned(), reason.to_owned())];
            assert_eq!(planned(&sample::cluster([web()]), containers), expected);
        }
        let job = sample::cluster([Component { completes: true, ..web() }]);
        assert_eq!(planned(&job, vec![ended(0)])[0].1, "keep");
        assert_eq!(planned(&job, vec![ended(1)])[0].1, "start");
    }

    #[test]
    fn of_several_that_fit_the_running_one_stays_then_the_one_with_the_name_then_the_newest() {
        let at = |seconds| Some(Timestamp::from_second(seconds).unwrap());
        let runs = ObservedContainer { name: "a".into(), created_at: at(1), ..container(Status::Running) };
        let named = ObservedContainer { created_at: at(2), ..container(Status::Exited) };
        let older = ObservedContainer { name: "b".into(), created_at: at(3), ..container(Status::Exited) };
        let newer = ObservedContainer { name: "c".into(), created_at: at(4), ..container(Status::Exited) };
        let web = web();
        let stays = |containers: &[&ObservedContainer]| {
            let containers: Vec<ObservedContainer> = containers.iter().map(|one| (*one).clone()).collect();
            Standing::judge(&web, None, &containers).current.unwrap().name.clone()
        };
        assert_eq!(stays(&[&named, &newer, &runs]), "a");
        assert_eq!(stays(&[&newer, &older, &named]), "test-web-1");
        assert_eq!(stays(&[&older, &newer]), "c");
    }

    #[test]
    fn one_that_shares_what_its_owner_lost_goes() {
        let at = |seconds| Some(Timestamp::from_second(seconds).unwrap());
        let owner = ObservedContainer {
            id: "owner".parse().unwrap(),
            name: "o".into(),
            created_at: at(5),
            ..container(Status::Running)
        };
        let web = web();
        let stays = |one: ObservedContainer| Standing::judge_beside(&web, None, &[one], &[&owner]).outdated.is_empty();
        let sharing = |of: &str| ObservedContainer { shares_network: Some(of.into()), ..container(Status::Running) };
        assert!(stays(sharing("owner")) && stays(sharing("o")) && !stays(sharing("another")));
        let more = |created_at| ObservedContainer { shares_more: true, created_at, ..container(Status::Running) };
        assert!(stays(more(at(5))) && stays(more(at(6))) && !stays(more(at(4))) && stays(more(None)));
        assert!(stays(ObservedContainer { created_at: at(4), ..container(Status::Running) }));
    }

    #[test]
    fn replicas_are_told_from_services_that_the_file_does_not_have_and_those_switched_off() {
        let of = |service: &str, number: &str| {
            let mut one = labelled(labels::COMPOSE_SERVICE, service);
            one.labels.insert(labels::COMPOSE_NUMBER.into(), number.into());
            ObservedContainer { component: format!("{service}-{number}").parse().unwrap(), ..one }
        };
        let mut cluster = sample::cluster([web()]);
        cluster.switched_off.insert("debug".parse().unwrap());
        let mut observed = Observed {
            containers: vec![of("web", "1"), of("web", "2"), of("debug", "1"), of("gone", "1")],
            ..Observed::default()
        };
        let plan = plan(&cluster, &observed, &BTreeMap::new());
        let done: Vec<_> = plan.actions.iter().map(|one| (one.component.as_str(), one.action.as_str())).collect();
        assert_eq!(done, [("web", "keep"), ("web-2", "remove")]);
        assert_eq!(plan.orphans, ["gone-1".parse().unwrap()]);
        adopt_names(&cluster, &mut observed);
        let names: Vec<&str> = observed.containers.iter().map(|one| one.component.as_str()).collect();
        assert_eq!(names, ["web", "web-2", "debug-1", "gone-1"]);
    }
}
