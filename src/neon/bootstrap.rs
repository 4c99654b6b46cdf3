//! What has to be there before the first endpoint: known safekeepers, pageservers that take tenants, the default tenant,
//! the branches of the declared endpoints. Which step is next is decided here, from what is known; whoever carries it
//! out asks again until nothing is left. So it may be cut off anywhere, and every step may be done twice.

use std::collections::BTreeSet;

use super::controller::Origin;
use super::ids::{BranchName, TenantId, TimelineId};
use super::settings::Settings;
use super::state::{State, Tenant};
use super::versions::mismatch;
use super::wire::{Node, Safekeeper};

/// The branch that every tenant has.
pub const MAIN: &str = "main";

/// What the storage controller says now.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Its pageservers.
    pub nodes: Vec<Node>,
    /// Its safekeepers.
    pub safekeepers: Vec<Safekeeper>,
    /// Pageservers had their time to come: those that are there will do.
    pub waited: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Tell the controller about this safekeeper, by its place in the settings.
    Register(usize),
    /// Let timelines be put on this safekeeper.
    Activate(u64),
    /// Nothing can be done but wait; the text says for what.
    Wait(String),
    /// Choose an id for the default tenant and remember it.
    ChooseTenant,
    /// Make the tenant.
    CreateTenant(TenantId),
    /// Choose an id for the timeline of this branch and remember it.
    ChooseTimeline(TenantId, BranchName, u32),
    /// Make the timeline of this branch.
    CreateTimeline(TenantId, BranchName, TimelineId, Origin),
    /// Remember the declared endpoints.
    Declare(TenantId),
    /// All is there.
    Done,
}

/// The next step.
#[must_use]
pub fn next(settings: &Settings, state: &State, seen: &Seen) -> Step {
    if let Some(step) = safekeepers(settings, seen) {
        return step;
    }
    let Some(tenant) = state.default_tenant else { return Step::ChooseTenant };
    let Some(known) = state.tenants.get(&tenant) else { return Step::ChooseTenant };
    if !known.created {
        return nodes(settings, seen).unwrap_or(Step::CreateTenant(tenant));
    }
    for (name, pg_version) in branches(settings) {
        match known.branches.get(&name) {
            None => return Step::ChooseTimeline(tenant, name, pg_version),
            // It could not be made, and another version is wanted now.
            Some(branch) if !branch.created && branch.pg_version != pg_version => {
                return Step::ChooseTimeline(tenant, name, pg_version);
            }
            Some(branch) if !branch.created => {
                let wait = nodes(settings, seen).or_else(|| active_safekeepers(settings, seen));
                let origin = origin(known, &name, branch.pg_version);
                return wait.unwrap_or(Step::CreateTimeline(tenant, name, branch.timeline, origin));
            }
            Some(_) => {}
        }
    }
    if let Some(why) = mismatch(settings, known) {
        return Step::Wait(why);
    }
    let is_known = |name| state.endpoints.get(name).is_some_and(|endpoint| endpoint.declared);
    let declared: BTreeSet<_> = settings.endpoints.iter().map(|endpoint| &endpoint.name).collect();
    let gone = state.endpoints.iter().any(|(name, endpoint)| endpoint.declared && !declared.contains(name));
    if gone || !declared.into_iter().all(is_known) {
        return Step::Declare(tenant);
    }
    Step::Done
}

/// The main branch first: others grow from it.
fn branches(settings: &Settings) -> Vec<(BranchName, u32)> {
    let mut all: Vec<(BranchName, u32)> = Vec::new();
    if let Ok(main) = MAIN.parse::<BranchName>() {
        let own = settings.endpoints.iter().find(|endpoint| endpoint.branch == main);
        all.push((main, own.map_or(settings.pg_version, |endpoint| endpoint.pg_version)));
    }
    for endpoint in &settings.endpoints {
        if !all.iter().any(|(name, _)| *name == endpoint.branch) {
            all.push((endpoint.branch.clone(), endpoint.pg_version));
        }
    }
    all
}

/// A branch of main, if it has the same Postgres; else a fresh database.
fn origin(tenant: &Tenant, name: &BranchName, pg_version: u32) -> Origin {
    let main = tenant.branches.iter().find(|(other, _)| other.as_str() == MAIN && *other != name);
    match main {
        Some((_, main)) if main.pg_version == pg_version => Origin::Ancestor { timeline: main.timeline, at: None },
        _ => Origin::Fresh { pg_version },
    }
}

fn safekeepers(settings: &Settings, seen: &Seen) -> Option<Step> {
    for (place, wanted) in settings.safekeepers.iter().enumerate() {
        let Some(known) = seen.safekeepers.iter().find(|known| known.id == wanted.id) else {
            return Some(Step::Register(place));
        };
        let same = (known.host.as_str(), known.port, known.http_port) == (&wanted.host, wanted.port, wanted.http_port);
        if !same || known.availability_zone_id != wanted.zone {
            return Some(Step::Register(place));
        }
        // Pause and the like are somebody's wish; this one only means that it is new.
        if known.scheduling_policy == "Activating" {
            return Some(Step::Activate(known.id));
        }
    }
    None
}

fn nodes(settings: &Settings, seen: &Seen) -> Option<Step> {
    let active = seen.nodes.iter().filter(|node| node.availability == "Active").count();
    let enough = if seen.waited { 1 } else { settings.pageservers };
    (active < enough)
        .then(|| Step::Wait(format!("{active} of {} pageservers are Active at the controller", settings.pageservers)))
}

fn active_safekeepers(settings: &Settings, seen: &Seen) -> Option<Step> {
    let active = seen.safekeepers.iter().filter(|known| known.scheduling_policy == "Active").count();
    let needed = settings.timeline_safekeepers;
    (active < needed).then(|| Step::Wait(format!("{active} safekeepers are Active, and a timeline needs {needed}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neon::state::{Branch, Endpoint, Mode};
    use serde_json::json;

    fn settings() -> Settings {
        serde_json::from_value(json!({
            "storage_controller": "storage-controller:1234", "pageservers": 2, "timeline_safekeepers": 3,
            "safekeepers": (1..=3).map(|n| json!({
                "id": n, "host": format!("safekeeper-{n}"), "port": 5454, "http_port": 7676, "zone": format!("zone-{n}"),
            })).collect::<Vec<_>>(),
            "pg_version": 17,
            "endpoints": [
                { "name": "main", "branch": "main", "pg_version": 17 },
                { "name": "dev", "branch": "dev", "pg_version": 17 },
                { "name": "old", "branch": "legacy", "pg_version": 15 },
            ],
            "login": { "role": "neon", "password": "neon", "database": "neondb" },
        }))
        .unwrap()
    }

    fn node(id: u64, availability: &str) -> Node {
        let (availability, scheduling) = (availability.to_owned(), "Active".to_owned());
        let listen_pg_addr = format!("pageserver-{id}");
        Node { id, availability, scheduling, availability_zone_id: None, listen_pg_addr, listen_pg_port: 6400 }
    }

    /// A controller in memory, which does what it is told.
    struct World {
        settings: Settings,
        state: State,
        seen: Seen,
        ids: u8,
    }

    impl World {
        fn new() -> Self {
            let seen = Seen { nodes: vec![node(1, "Active"), node(2, "WarmingUp")], ..Seen::default() };
            Self { settings: settings(), state: State::default(), seen, ids: 0 }
        }

        fn next(&self) -> Step {
            next(&self.settings, &self.state, &self.seen)
        }

        fn id<T: std::str::FromStr>(&mut self) -> T
        where
            T::Err: std::fmt::Debug,
        {
            self.ids += 1;
            format!("{:032x}", self.ids).parse().unwrap()
        }

        fn act(&mut self, step: Step) {
            match step {
                Step::Register(place) => {
                    let wanted = self.settings.safekeepers[place].clone();
                    self.seen.safekeepers.retain(|known| known.id != wanted.id);
                    self.seen.safekeepers.push(Safekeeper {
                        id: wanted.id,
                        host: wanted.host,
                        port: wanted.port,
                        http_port: wanted.http_port,
                        availability_zone_id: wanted.zone,
                        scheduling_policy: "Activating".into(),
                    });
                }
                Step::Activate(id) => {
                    let known = self.seen.safekeepers.iter_mut().find(|known| known.id == id).unwrap();
                    known.scheduling_policy = "Active".into();
                }
                Step::Wait(_) => self.seen.nodes[1] = node(2, "Active"),
                Step::ChooseTenant => {
                    let id = self.id();
                    self.state.default_tenant = Some(id);
                    self.state.tenants.insert(id, Tenant::default());
                }
                Step::CreateTenant(id) => self.state.tenants.get_mut(&id).unwrap().created = true,
                Step::ChooseTimeline(tenant, name, pg_version) => {
                    let branch = Branch { timeline: self.id(), pg_version, created: false };
                    self.state.choose_branch(tenant, name, branch).unwrap();
                }
                Step::CreateTimeline(tenant, name, ..) => {
                    self.state.tenants.get_mut(&tenant).unwrap().branches.get_mut(&name).unwrap().created = true;
                }
                Step::Declare(tenant) => {
                    for declared in self.settings.endpoints.clone() {
                        let endpoint = Endpoint {
                            tenant,
                            branch: declared.branch,
                            mode: Mode::Primary,
                            stopped: false,
                            allow_multiple: false,
                            declared: true,
                            promoting: false,
                        };
                        self.state.add_endpoint(declared.name, endpoint).unwrap();
                    }
                }
                Step::Done => {}
            }
        }

        fn run(&mut self) -> Vec<Step> {
            let mut done = Vec::new();
            while done.last() != Some(&Step::Done) {
                assert!(done.len() < 50, "it goes round in circles: {done:?}");
                let step = self.next();
                done.push(step.clone());
                self.act(step);
            }
            done
        }
    }

    #[test]
    fn from_nothing_to_all_there_in_order() {
        let mut world = World::new();
        let steps = world.run();
        let names: Vec<String> = steps
            .iter()
            .map(|step| format!("{step:?}").split(['(', ' ']).next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "Register",
                "Activate",
                "Register",
                "Activate",
                "Register",
                "Activate",
                "ChooseTenant",
                "Wait",
                "CreateTenant",
                "ChooseTimeline",
                "CreateTimeline",
                "ChooseTimeline",
                "CreateTimeline",
                "ChooseTimeline",
                "CreateTimeline",
                "Declare",
                "Done"
            ]
        );
        let origins: Vec<Origin> = steps
            .iter()
            .filter_map(|step| if let Step::CreateTimeline(.., origin) = step { Some(*origin) } else { None })
            .collect();
        let main = world.state.branch(world.state.default_tenant.unwrap(), MAIN).unwrap().1.timeline;
        assert_eq!(
            origins,
            [
                Origin::Fresh { pg_version: 17 },
                Origin::Ancestor { timeline: main, at: None },
                Origin::Fresh { pg_version: 15 }
            ]
        );
        assert_eq!(world.run(), [Step::Done], "again nothing is left");
    }

    #[test]
    fn every_step_may_be_done_twice() {
        let mut world = World::new();
        let mut steps = 0;
        while world.next() != Step::Done {
            let step = world.next();
            world.act(step.clone());
            // Cut off before it was noticed: the ids that were chosen stay.
            if !matches!(step, Step::ChooseTenant | Step::ChooseTimeline(..)) {
                world.act(step);
            }
            steps += 1;
            assert!(steps < 50);
        }
        assert_eq!(world.state.endpoints.len(), 3);
    }

    #[test]
    fn a_pageserver_that_does_not_come_is_not_waited_for_for_ever() {
        let mut world = World::new();
        while !matches!(world.next(), Step::Wait(_)) {
            let step = world.next();
            world.act(step);
        }
        assert_eq!(world.next(), Step::Wait("1 of 2 pageservers are Active at the controller".into()));
        world.seen.waited = true;
        assert!(matches!(world.next(), Step::CreateTenant(_)));
        world.seen.nodes.clear();
        assert!(matches!(world.next(), Step::Wait(_)));
    }

    #[test]
    fn a_paused_safekeeper_stays_paused_and_a_moved_one_is_told_again() {
        let mut world = World::new();
        world.run();
        world.seen.safekeepers[0].scheduling_policy = "Pause".into();
        assert_eq!(world.next(), Step::Done);
        world.seen.safekeepers[1].host = "elsewhere".into();
        assert_eq!(world.next(), Step::Register(1));
    }

    #[test]
    fn an_endpoint_with_another_postgres_than_its_branch_is_told() {
        let mut world = World::new();
        world.run();
        world.settings.endpoints[2].pg_version = 17;
        let expected = "endpoint old has an image of Postgres 17, and its branch legacy is of 15, which never changes: \
                        endpoints=old:15=legacy, or another branch";
        assert_eq!(world.next(), Step::Wait(expected.into()));
    }

    #[test]
    fn a_branch_that_could_not_be_made_may_be_wanted_with_another_postgres() {
        let mut world = World::new();
        while !matches!(world.next(), Step::CreateTimeline(_, ref name, ..) if name.as_str() == "legacy") {
            let step = world.next();
            world.act(step);
        }
        world.settings.endpoints[2].pg_version = 16;
        assert!(matches!(world.next(), Step::ChooseTimeline(_, _, 16)));
        let made = world.run().into_iter().find_map(|step| match step {
            Step::CreateTimeline(.., origin) => Some(origin),
            _ => None,
        });
        assert_eq!(made, Some(Origin::Fresh { pg_version: 16 }));
    }

    #[test]
    fn an_endpoint_that_left_the_file_is_declared_no_more() {
        let mut world = World::new();
        world.run();
        world.settings.endpoints.pop();
        assert!(matches!(world.next(), Step::Declare(_)));
    }
}
