//! Which components there are: every service times its number of containers, with their names.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::text::unknown;
use crate::compose::{Diagnostic, Diagnostics, Place, Project, Service};
use crate::names::{ClusterName, ComponentName, ServiceName};

/// About as many as a Linux bridge has ports for: beyond, a number was mistyped.
const MOST_COMPONENTS: u64 = 1000;

/// The components of every service, in the order of the file.
#[derive(Debug)]
pub(super) struct Roster {
    services: IndexMap<ServiceName, Vec<Member>>,
}

/// One component's names.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// `service-n`, or `service` when there is one.
    pub(super) name: ComponentName,
    /// From 1.
    pub(super) number: u32,
    /// The engine's name for the container.
    pub(super) container_name: String,
}

impl Roster {
    /// Names every component; `scale` overrides the file's numbers.
    pub(super) fn new(project: &Project, scale: &BTreeMap<ServiceName, u32>, problems: &mut Diagnostics) -> Self {
        check_overrides(project, scale, problems);
        let mut left = MOST_COMPONENTS;
        let mut services = IndexMap::new();
        for (name, service) in &project.services {
            let (count, at) = match (scale.get(name), &service.scale) {
                (Some(count), _) => (*count, &service.at),
                (None, Some(count)) => (count.value, &count.at),
                (None, None) => (1, &service.at),
            };
            if u64::from(count) > left {
                let message = format!("{count} containers of \"{name}\" are too many");
                problems.push(
                    Diagnostic::error(at, message).hint(format!("a cluster has at most {MOST_COMPONENTS} containers")),
                );
                continue;
            }
            left -= u64::from(count);
            check_container_name(name, service, count, problems);
            services.insert(name.clone(), members(&project.name, name, service, count));
        }
        let roster = Self { services };
        roster.check_component_names(project, problems);
        roster.check_container_names(project, problems);
        roster
    }

    /// The components of a service; none if it isn't there or is scaled to 0.
    pub(super) fn of(&self, service: &str) -> &[Member] {
        self.services.get(service).map_or(&[], Vec::as_slice)
    }

    /// The service that a name means, and its components: all of a service's, or the one of that name. `service-1`
    /// means the only one as well, so that a file stays right when a number becomes 1.
    pub(super) fn find(&self, name: &str) -> Option<(&ServiceName, &[Member])> {
        if let Some((service, members)) = self.services.get_key_value(name) {
            return Some((service, members));
        }
        self.services.iter().find_map(|(service, members)| {
            let number: usize = name.strip_prefix(service.as_str())?.strip_prefix('-')?.parse().ok()?;
            let index = number.checked_sub(1).filter(|_| format!("{service}-{number}") == name)?;
            Some((service, members.get(index..=index)?))
        })
    }

    /// The names that [`find`](Self::find) knows.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let components = self.services.values().flatten().map(|member| member.name.as_str());
        self.services.keys().map(ServiceName::as_str).chain(components)
    }

    fn check_component_names(&self, project: &Project, problems: &mut Diagnostics) {
        let mut owners: BTreeMap<&ComponentName, (&ServiceName, u32)> = BTreeMap::new();
        for (service, member) in self.members() {
            let Some((other, other_number)) = owners.insert(&member.name, (service, member.number)) else { continue };
            // The service of that very name is the one to point at.
            let (named, scaled, number) = if service.as_str() == member.name.as_str() {
                (service, other, other_number)
            } else {
                (other, service, member.number)
            };
            let message = format!(
                "the name \"{named}\" is taken twice: by the service and by container {number} of \"{scaled}\""
            );
            problems.push(Diagnostic::error(place_of(project, named), message).hint("rename one of the services"));
        }
    }

    fn check_container_names(&self, project: &Project, problems: &mut Diagnostics) {
        let mut owners: BTreeMap<&str, &ServiceName> = BTreeMap::new();
        for (service, member) in self.members() {
            // One service's containers of one name are reported elsewhere.
            let other = owners.insert(&member.container_name, service).filter(|other| *other != service);
            let Some(other) = other else { continue };
            let message = format!(
                "the container name \"{}\" is taken twice: by \"{other}\" ({}) and by \"{service}\"",
                member.container_name,
                container_name_place(project, other)
            );
            let at = container_name_place(project, service);
            problems.push(Diagnostic::error(at, message).hint("give one of them another container_name"));
        }
    }

    fn members(&self) -> impl Iterator<Item = (&ServiceName, &Member)> {
        self.services.iter().flat_map(|(service, members)| members.iter().map(move |member| (service, member)))
    }
}

fn members(cluster: &ClusterName, name: &ServiceName, service: &Service, count: u32) -> Vec<Member> {
    let member = |number: u32| {
        let text = if count == 1 { name.to_string() } else { format!("{name}-{number}") };
        Member {
            name: ComponentName::new(text).expect("a service name with a number is a component name"),
            number,
            container_name: match &service.container_name {
                Some(given) => given.value.clone(),
                None => format!("{cluster}-{name}-{number}"),
            },
        }
    };
    (1..=count).map(member).collect()
}

fn check_overrides(project: &Project, scale: &BTreeMap<ServiceName, u32>, problems: &mut Diagnostics) {
    for name in scale.keys().filter(|name| !project.services.contains_key(*name)) {
        let known = project.services.keys().map(ServiceName::as_str);
        let message = format!("there is no service \"{name}\" to scale");
        problems.push(Diagnostic::error_without_place(message).hint(unknown(name.as_str(), known, "services")));
    }
}

fn check_container_name(name: &ServiceName, service: &Service, count: u32, problems: &mut Diagnostics) {
    let Some(given) = &service.container_name else { return };
    if count > 1 {
        let message = format!("{count} containers of \"{name}\" can't share the container_name \"{}\"", given.value);
        problems.push(Diagnostic::error(&given.at, message).hint("remove container_name, or run one container"));
    }
}

fn place_of<'a>(project: &'a Project, service: &ServiceName) -> &'a Place {
    &project.services.get(service).expect("the roster has the project's services only").at
}

fn container_name_place<'a>(project: &'a Project, service: &ServiceName) -> &'a Place {
    let name = project.services.get(service).and_then(|service| service.container_name.as_ref());
    name.map_or_else(|| place_of(project, service), |name| &name.at)
}
