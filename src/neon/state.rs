//! What a control plane remembers: the default tenant, branches, endpoints. Decisions about it are made here, without
//! asking anybody; [`super::memory`] keeps it on disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{BranchName, EndpointName, Lsn, TenantId, TimelineId};
pub use super::refusal::Refusal;

/// Everything that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Where nothing else is said.
    pub default_tenant: Option<TenantId>,
    /// The tenants that were made through here.
    #[serde(default)]
    pub tenants: BTreeMap<TenantId, Tenant>,
    /// The endpoints.
    #[serde(default)]
    pub endpoints: BTreeMap<EndpointName, Endpoint>,
}

/// A tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The storage controller has said that it is there.
    pub created: bool,
    /// Names of timelines.
    #[serde(default)]
    pub branches: BTreeMap<BranchName, Branch>,
    /// The newest sets of safekeepers that were notified.
    #[serde(default)]
    pub safekeepers: BTreeMap<TimelineId, SafekeeperSet>,
}

/// A timeline with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Which timeline.
    pub timeline: TimelineId,
    /// Postgres' major version.
    pub pg_version: u32,
    /// The storage controller has said that it is there.
    pub created: bool,
}

/// Safekeepers of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafekeeperSet {
    /// Counts changes.
    pub generation: u32,
    /// Their numbers.
    pub ids: Vec<u64>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Whose data.
    pub tenant: TenantId,
    /// Which branch of it.
    pub branch: BranchName,
    /// How it serves it.
    pub mode: Mode,
    /// It was told to stop, and isn't to be told anything until it is started.
    #[serde(default)]
    pub stopped: bool,
    /// A second primary is meant.
    #[serde(default)]
    pub allow_multiple: bool,
    /// It comes from the file, not from `endpoint create`.
    #[serde(default)]
    pub declared: bool,
    /// A primary that was a replica, and whose compute may not know yet.
    #[serde(default)]
    pub promoting: bool,
}

/// How an endpoint serves its branch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Reads and writes.
    #[default]
    Primary,
    /// Follows the primary.
    Replica,
    /// Shows it as it was at a position.
    Static(Lsn),
}

impl State {
    /// The tenant that is meant.
    ///
    /// # Errors
    /// When there is none.
    pub fn tenant_id(&self, given: Option<TenantId>) -> Result<TenantId, Refusal> {
        given.or(self.default_tenant).ok_or(Refusal::NoDefaultTenant)
    }

    /// A tenant that was made here.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn tenant(&self, id: TenantId) -> Result<&Tenant, Refusal> {
        self.tenants.get(&id).ok_or(Refusal::NoTenant(id))
    }

    /// A branch by its name, or by its timeline's id.
    ///
    /// # Errors
    /// When the tenant has none like it.
    pub fn branch(&self, tenant: TenantId, text: &str) -> Result<(&BranchName, &Branch), Refusal> {
        let branches = &self.tenant(tenant)?.branches;
        let id = text.parse::<TimelineId>().ok();
        let mut all = branches.iter();
        all.find(|(name, branch)| name.as_str() == text || Some(branch.timeline) == id).ok_or_else(|| {
            let names: Vec<&str> = branches.keys().map(BranchName::as_str).collect();
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Refusal::NoBranch { tenant, branch: text.to_owned(), there }
        })
    }

    /// Gives a timeline a name. The same name for the same timeline is fine.
    ///
    /// # Errors
    /// When there is no such tenant, or the name is taken.
    pub fn add_branch(&mut self, tenant: TenantId, name: BranchName, branch: Branch) -> Result<(), Refusal> {
        let branches = &mut self.tenants.get_mut(&tenant).ok_or(Refusal::NoTenant(tenant))?.branches;
        match branches.get(&name) {
            Some(there) if there.timeline != branch.timeline => {
                Err(Refusal::BranchTaken { branch: name, timeline: there.timeline })
            }
            Some(_) => Ok(()),
            None => {
                branches.insert(name, branch);
                Ok(())
            }
        }
    }

    /// The same for a name that was chosen before for a timeline which could not be made: it stands for this one now.
    ///
    /// # Errors
    /// When there is no such tenant, or the name's timeline was made.
    pub fn choose_branch(&mut self, tenant: TenantId, name: BranchName, branch: Branch) -> Result<(), Refusal> {
        if let Some(known) = self.tenants.get_mut(&tenant)
            && known.branches.get(&name).is_some_and(|there| !there.created)
        {
            known.branches.remove(&name);
        }
        self.add_branch(tenant, name, branch)
    }

    /// Adds an endpoint. The same once more is fine; another of that name isn't.
    ///
    /// # Errors
    /// When its branch isn't there, its name is taken, or it would be a second primary.
    pub fn add_endpoint(&mut self, name: EndpointName, endpoint: Endpoint) -> Result<(), Refusal> {
        self.branch(endpoint.tenant, endpoint.branch.as_str())?;
        if let Some(there) = self.endpoints.get(&name) {
            let same = (there.tenant, &there.branch, there.mode) == (endpoint.tenant, &endpoint.branch, endpoint.mode);
            return if same { Ok(()) } else { Err(Refusal::EndpointTaken(name)) };
        }
        self.check_primary(&name, &endpoint)?;
        self.endpoints.insert(name, endpoint);
        Ok(())
    }

    /// No other primary serves this one's branch, unless that is meant.
    fn check_primary(&self, name: &EndpointName, endpoint: &Endpoint) -> Result<(), Refusal> {
        let is_rival = |(other, there): &(&EndpointName, &Endpoint)| {
            *other != name
                && there.mode == Mode::Primary
                && !there.stopped
                && (there.tenant, &there.branch) == (endpoint.tenant, &endpoint.branch)
        };
        match self.endpoints.iter().find(is_rival) {
            Some((other, _)) if endpoint.mode == Mode::Primary && !endpoint.allow_multiple => {
                Err(Refusal::SecondPrimary { other: other.clone(), branch: endpoint.branch.clone() })
            }
            _ => Ok(()),
        }
    }

    /// An endpoint.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn endpoint(&self, name: &EndpointName) -> Result<&Endpoint, Refusal> {
        self.endpoints.get(name).ok_or_else(|| Refusal::NoEndpoint(name.clone()))
    }

    /// Marks an endpoint as to run or not.
    ///
    /// # Errors
    /// When there is none of that name, or it would be a second primary.
    pub fn set_stopped(&mut self, name: &EndpointName, stopped: bool) -> Result<(), Refusal> {
        let endpoint = self.endpoint(name)?;
        if !stopped {
            self.check_primary(name, endpoint)?;
        }
        if let Some(endpoint) = self.endpoints.get_mut(name) {
            endpoint.stopped = stopped;
        }
        Ok(())
    }

    /// Makes a replica a primary; false if it was one before. Its compute is told before anything else from now on.
    ///
    /// # Errors
    /// When there is none of that name, it shows a fixed position, or another primary of its branch is to run.
    pub fn promote(&mut self, name: &EndpointName) -> Result<bool, Refusal> {
        let endpoint = self.endpoint(name)?;
        match endpoint.mode {
            Mode::Static(_) => return Err(Refusal::Fixed(name.clone())),
            Mode::Primary => return Ok(endpoint.promoting),
            Mode::Replica => {}
        }
        let wanted = Endpoint { mode: Mode::Primary, promoting: !endpoint.stopped, ..endpoint.clone() };
        self.check_primary(name, &wanted)?;
        let promoting = wanted.promoting;
        self.endpoints.insert(name.clone(), wanted);
        Ok(promoting)
    }

    /// Its compute knows, or asks.
    pub fn promoted(&mut self, name: &EndpointName) {
        if let Some(endpoint) = self.endpoints.get_mut(name) {
            endpoint.promoting = false;
        }
    }

    /// Forgets an endpoint; one that isn't there is fine.
    ///
    /// # Errors
    /// When it comes from the file.
    pub fn remove_endpoint(&mut self, name: &EndpointName) -> Result<(), Refusal> {
        if self.endpoints.get(name).is_some_and(|endpoint| endpoint.declared) {
            return Err(Refusal::Declared(name.clone()));
        }
        self.endpoints.remove(name);
        Ok(())
    }

    /// Nothing serves this tenant, or this branch of it.
    ///
    /// # Errors
    /// With an endpoint that does.
    pub fn check_unserved(&self, tenant: TenantId, branch: Option<&BranchName>) -> Result<(), Refusal> {
        let serves = |(_, endpoint): &(&EndpointName, &Endpoint)| {
            endpoint.tenant == tenant && branch.is_none_or(|branch| endpoint.branch == *branch)
        };
        match self.endpoints.iter().find(serves) {
            Some((name, _)) => Err(Refusal::Served(name.clone())),
            None => Ok(()),
        }
    }

    /// Takes note of a timeline's safekeepers; false if a newer set is known.
    pub fn note_safekeepers(&mut self, tenant: TenantId, timeline: TimelineId, set: SafekeeperSet) -> bool {
        let known = &mut self.tenants.entry(tenant).or_default().safekeepers;
        if known.get(&timeline).is_some_and(|known| known.generation > set.generation) {
            return false;
        }
        known.insert(timeline, set);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "aaaa0000000000000000000000000001";

    fn tenant() -> TenantId {
        TENANT.parse().unwrap()
    }

    fn timeline(n: u8) -> TimelineId {
        format!("f00d00000000000000000000000000{n:02x}").parse().unwrap()
    }

    fn endpoint(branch: &str, mode: Mode) -> Endpoint {
        let branch = branch.parse().unwrap();
        let (stopped, allow_multiple, declared, promoting) = (false, false, false, false);
        Endpoint { tenant: tenant(), branch, mode, stopped, allow_multiple, declared, promoting }
    }

    fn name(text: &str) -> EndpointName {
        text.parse().unwrap()
    }

    fn state() -> State {
        let mut state = State { default_tenant: Some(tenant()), ..State::default() };
        state.tenants.insert(tenant(), Tenant { created: true, ..Tenant::default() });
        for (n, branch) in ["main", "dev"].into_iter().enumerate() {
            let branch_of = Branch { timeline: timeline(u8::try_from(n).unwrap()), pg_version: 17, created: true };
            state.add_branch(tenant(), branch.parse().unwrap(), branch_of).unwrap();
        }
        state
    }

    #[test]
    fn a_branch_is_found_by_its_name_and_by_its_timeline() {
        let state = state();
        assert_eq!(state.branch(tenant(), "dev").unwrap().1.timeline, timeline(1));
        assert_eq!(state.branch(tenant(), &timeline(1).to_string()).unwrap().0.as_str(), "dev");
        let error = state.branch(tenant(), "no").unwrap_err().to_string();
        assert_eq!(error, format!("tenant {TENANT} has no branch \"no\"; it has dev, main"));
        let other: TenantId = "aaaa0000000000000000000000000002".parse().unwrap();
        assert_eq!(state.branch(other, "main").unwrap_err(), Refusal::NoTenant(other));
    }

    #[test]
    fn a_branch_name_is_given_once() {
        let mut state = state();
        let again = Branch { timeline: timeline(1), pg_version: 17, created: false };
        state.add_branch(tenant(), "dev".parse().unwrap(), again).unwrap();
        assert!(state.branch(tenant(), "dev").unwrap().1.created, "what is known stays");
        let other = Branch { timeline: timeline(9), ..again };
        assert_eq!(
            state.add_branch(tenant(), "dev".parse().unwrap(), other),
            Err(Refusal::BranchTaken { branch: "dev".parse().unwrap(), timeline: timeline(1) })
        );
    }

    #[test]
    fn a_branch_has_one_primary_unless_more_are_meant() {
        let mut state = state();
        state.add_endpoint(name("main"), endpoint("main", Mode::Primary)).unwrap();
        state.add_endpoint(name("main"), endpoint("main", Mode::Primary)).unwrap();
        let second = Refusal::SecondPrimary { other: name("main"), branch: "main".parse().unwrap() };
        assert_eq!(state.add_endpoint(name("two"), endpoint("main", Mode::Primary)), Err(second.clone()));
        state.add_endpoint(name("ro"), endpoint("main", Mode::Replica)).unwrap();
        state.add_endpoint(name("then"), endpoint("main", Mode::Static(Lsn(16)))).unwrap();
        state.add_endpoint(name("dev"), endpoint("dev", Mode::Primary)).unwrap();
        assert_eq!(
            state.add_endpoint(name("dev"), endpoint("main", Mode::Primary)),
            Err(Refusal::EndpointTaken(name("dev")))
        );
        // While the first is stopped there is room; then it can't come back.
        state.set_stopped(&name("main"), true).unwrap();
        state.add_endpoint(name("two"), endpoint("main", Mode::Primary)).unwrap();
        let rival = Refusal::SecondPrimary { other: name("two"), branch: "main".parse().unwrap() };
        assert_eq!(state.set_stopped(&name("main"), false), Err(rival));
        let meant = Endpoint { allow_multiple: true, ..endpoint("main", Mode::Primary) };
        state.add_endpoint(name("three"), meant).unwrap();
    }

    #[test]
    fn a_replica_is_promoted_once_its_primary_is_stopped() {
        let mut state = state();
        state.add_endpoint(name("main"), endpoint("main", Mode::Primary)).unwrap();
        state.add_endpoint(name("ro"), endpoint("main", Mode::Replica)).unwrap();
        state.add_endpoint(name("then"), endpoint("main", Mode::Static(Lsn(16)))).unwrap();
        let rival = Refusal::SecondPrimary { other: name("main"), branch: "main".parse().unwrap() };
        assert_eq!(state.promote(&name("ro")), Err(rival));
        assert_eq!(state.promote(&name("then")), Err(Refusal::Fixed(name("then"))));
        state.set_stopped(&name("main"), true).unwrap();
        assert_eq!(state.promote(&name("ro")), Ok(true));
        assert_eq!(state.promote(&name("ro")), Ok(true), "its compute may not know yet");
        state.promoted(&name("ro"));
        assert_eq!(state.promote(&name("ro")), Ok(false));
        assert_eq!(state.endpoint(&name("ro")).unwrap().mode, Mode::Primary);
        state.set_stopped(&name("main"), false).unwrap_err();
    }

    #[test]
    fn what_is_served_or_declared_stays() {
        let mut state = state();
        state.add_endpoint(name("main"), Endpoint { declared: true, ..endpoint("main", Mode::Primary) }).unwrap();
        assert_eq!(state.remove_endpoint(&name("main")), Err(Refusal::Declared(name("main"))));
        assert_eq!(state.check_unserved(tenant(), None), Err(Refusal::Served(name("main"))));
        assert_eq!(state.check_unserved(tenant(), Some(&"dev".parse().unwrap())), Ok(()));
        state.remove_endpoint(&name("nothing")).unwrap();
    }

    #[test]
    fn an_older_set_of_safekeepers_is_not_taken() {
        let mut state = state();
        let set = |generation, ids: &[u64]| SafekeeperSet { generation, ids: ids.to_vec() };
        assert!(state.note_safekeepers(tenant(), timeline(0), set(2, &[1, 2, 3, 4])));
        assert!(!state.note_safekeepers(tenant(), timeline(0), set(1, &[1, 2, 3])));
        assert!(state.note_safekeepers(tenant(), timeline(0), set(2, &[1, 2, 3, 4])));
        assert!(state.note_safekeepers(tenant(), timeline(0), set(3, &[2, 3, 4])));
        assert_eq!(state.tenants[&tenant()].safekeepers[&timeline(0)], set(3, &[2, 3, 4]));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut state = state();
        state.add_endpoint(name("then"), endpoint("main", Mode::Static(Lsn(0x16)))).unwrap();
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
    }
}
