//! A base backup of any Postgres becomes a branch: its files go to the pageserver, then the WAL that was written while it
//! was made, then safekeepers are told where the branch begins. Cut off anywhere, the same once more goes on.

use std::collections::BTreeSet;

use hyper::Method;
use hyper::body::Incoming;
use serde_json::json;

use super::api::{ImportPlan, TimelineImport, TimelineView};
use super::http::{CallError, Peer};
use super::ids::{BranchName, Lsn, TenantId, TimelineId};
use super::plane::{Plane, PlaneError};
use super::safekeeper;
use super::state::{Branch, Refusal};
use super::upload::Progress;
use super::wire::{LocatedShard, Member, MembershipWanted, OnSafekeeperCreate, Safekeeper, TimelineInfo};

impl Plane {
    /// Whether it can be done, and what of it is still to do. The branch's name is taken from now on.
    ///
    /// # Errors
    /// When the tenant isn't there or has shards, the name or the id is taken, or the positions can't be.
    pub async fn plan_import(&self, tenant: TenantId, wanted: &TimelineImport) -> Result<ImportPlan, PlaneError> {
        let state = self.memory.state();
        let known = &state.tenant(tenant)?.branches;
        let there = known.get(&wanted.branch).filter(|branch| !branch.created).map(|branch| branch.timeline);
        let timeline_id = match wanted.timeline_id.or(there) {
            Some(timeline) => timeline,
            None => TimelineId::random().map_err(|error| PlaneError::Disk(std::io::Error::other(error)))?,
        };
        if let Some((name, _)) = known.iter().find(|(name, it)| it.timeline == timeline_id && **name != wanted.branch) {
            return Err(PlaneError::Input(format!("timeline {timeline_id} is there already: it is branch {name}")));
        }
        self.holder(tenant).await?;
        self.chosen_safekeepers().await?;
        let infos = self.controller.timelines(tenant).await?;
        let at = infos.iter().find(|info| info.timeline_id == timeline_id).map(|info| info.last_record_lsn);
        let (base, wal) = still_wanted(at, wanted).map_err(PlaneError::Input)?;
        self.memory.change(|state| {
            // Its version is that of the backup, which the pageserver tells.
            let branch = Branch { timeline: timeline_id, pg_version: self.settings.pg_version, created: false };
            Ok::<_, PlaneError>(state.add_branch(tenant, wanted.branch.clone(), branch)?)
        })?;
        Ok(ImportPlan { timeline_id, base, wal })
    }

    /// Hands an archive on to the pageserver that has the tenant. `call`: with its parameters.
    ///
    /// # Errors
    /// When it doesn't come to its end, or the pageserver doesn't take it.
    pub async fn pass_archive(
        &self,
        tenant: TenantId,
        branch: &BranchName,
        call: &str,
        archive: Incoming,
    ) -> Result<(), PlaneError> {
        let timeline = self.memory.state().branch(tenant, branch.as_str())?.1.timeline;
        let (shard, peer) = self.holder(tenant).await?;
        let path = format!("/v1/tenant/{tenant}/timeline/{timeline}/{call}");
        match peer.upload(&path, archive, Progress::default()).await {
            // What is wrong with an archive is a 500 to a pageserver.
            Err(CallError::Refused { status, message, .. }) if matches!(status.as_u16(), 400 | 406 | 409 | 500) => {
                let id = shard.node_id;
                Err(PlaneError::Input(format!("pageserver {id} doesn't take it: {message}")))
            }
            answer => Ok(answer?),
        }
    }

    /// Its safekeepers, and the controller's knowledge of them.
    ///
    /// # Errors
    /// When one of them, or the controller, says no.
    pub async fn finish_import(&self, tenant: TenantId, name: &BranchName) -> Result<TimelineView, PlaneError> {
        let timeline = self.memory.state().branch(tenant, name.as_str())?.1.timeline;
        let infos = self.controller.timelines(tenant).await?;
        let info = infos.into_iter().find(|info| info.timeline_id == timeline);
        let info = info.ok_or_else(|| PlaneError::NotYet(format!("timeline {timeline} is not on its pageserver")))?;
        if self.controller.locate_timeline(tenant, timeline).await?.is_none() {
            self.put_on_safekeepers(tenant, &info).await?;
        }
        self.memory.change(|state| {
            let tenant = state.tenants.get_mut(&tenant).ok_or(Refusal::NoTenant(tenant))?;
            let branch = Branch { timeline, pg_version: info.pg_version, created: true };
            tenant.branches.insert(name.clone(), branch);
            Ok::<_, PlaneError>(())
        })?;
        Ok(TimelineView { branch: Some(name.clone()), info })
    }

    /// The same call again is fine at each of them.
    async fn put_on_safekeepers(&self, tenant: TenantId, info: &TimelineInfo) -> Result<(), PlaneError> {
        let chosen = self.chosen_safekeepers().await?;
        let member = |at: &Safekeeper| Member { id: at.id, host: at.host.clone(), pg_port: at.port };
        let members = chosen.iter().map(member).collect();
        let body = OnSafekeeperCreate {
            tenant_id: tenant,
            timeline_id: info.timeline_id,
            mconf: MembershipWanted { generation: 1, members, new_members: None },
            pg_version: info.pg_version * 10_000,
            system_id: None,
            wal_seg_size: None,
            start_lsn: info.last_record_lsn,
            commit_lsn: None,
        };
        for at in &chosen {
            let peer = Peer { token: self.storage_token("safekeeperdata"), ..safekeeper::peer(at) };
            peer.ask::<()>(Method::POST, "/v1/tenant/timeline", Some(&body), safekeeper::LIMIT).await?;
        }
        let ids: Vec<u64> = chosen.iter().map(|at| at.id).collect();
        Ok(self.controller.import_timeline(tenant, info.timeline_id, info.last_record_lsn, &ids).await?)
    }

    /// As the controller chooses them for a new timeline.
    async fn chosen_safekeepers(&self) -> Result<Vec<Safekeeper>, PlaneError> {
        let (all, count) = (self.controller.safekeepers().await?, self.settings.timeline_safekeepers);
        choose(&all, count).ok_or_else(|| {
            PlaneError::NotYet(format!("fewer than {count} safekeepers in zones of their own are Active"))
        })
    }

    /// The pageserver that a tenant without shards is on.
    async fn holder(&self, tenant: TenantId) -> Result<(LocatedShard, Peer), PlaneError> {
        let located = self.controller.locate(tenant).await?.ok_or(Refusal::NoTenant(tenant))?;
        let count = located.shard_params.count;
        let Some(shard) = located.shards.into_iter().next().filter(|_| count == 0) else {
            return Err(PlaneError::Input(format!(
                "tenant {tenant} has {count} shards: pageservers import into a tenant without shards alone, which may be \
                 split afterwards (convoke neon tenant create, convoke neon shard split)"
            )));
        };
        let address = format!("{}:{}", shard.listen_http_addr, shard.listen_http_port);
        let peer = Peer::new(format!("pageserver {}", shard.node_id), address);
        Ok((shard, Peer { token: self.storage_token("pageserverapi"), ..peer }))
    }

    fn storage_token(&self, scope: &str) -> Option<String> {
        self.settings.auth.then(|| self.keys.token(&json!({ "scope": scope })))
    }
}

/// Backup and WAL, by where the timeline ends now; None: it isn't there.
fn still_wanted(at: Option<Lsn>, wanted: &TimelineImport) -> Result<(bool, bool), String> {
    let base = wanted.base_lsn;
    let end = wanted.end_lsn.unwrap_or(base);
    if end < base {
        return Err(format!("the WAL can't end at {end}, before the backup begins ({base})"));
    }
    match at {
        None => Ok((true, wanted.end_lsn.is_some())),
        // The last record may go beyond.
        Some(at) if at >= end => Ok((false, false)),
        Some(at) if at == base => Ok((false, true)),
        Some(at) => Err(format!(
            "branch {} is there and ends at {at}, where this backup ({base} to {end}) can't go on: choose another name, or \
             delete it first (convoke neon timeline delete {})",
            wanted.branch, wanted.branch
        )),
    }
}

/// Active ones, no two in one zone.
fn choose(all: &[Safekeeper], count: usize) -> Option<Vec<Safekeeper>> {
    let mut zones = BTreeSet::new();
    let active = all.iter().filter(|at| at.scheduling_policy == "Active");
    let chosen: Vec<Safekeeper> =
        active.filter(|at| zones.insert(at.availability_zone_id.as_str())).take(count).cloned().collect();
    (chosen.len() == count).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(base: u64, end: Option<u64>) -> TimelineImport {
        let branch = "old".parse().unwrap();
        TimelineImport { branch, timeline_id: None, base_lsn: Lsn(base), end_lsn: end.map(Lsn) }
    }

    #[test]
    fn an_import_that_was_cut_off_goes_on_where_it_was() {
        let rows = [
            (None, Some(30), Ok((true, true))),
            (None, None, Ok((true, false))),
            (Some(20), Some(30), Ok((false, true))),
            (Some(20), None, Ok((false, false))),
            (Some(30), Some(30), Ok((false, false))),
            (Some(31), Some(30), Ok((false, false))),
        ];
        for (at, end, expected) in rows {
            assert_eq!(still_wanted(at.map(Lsn), &wanted(20, end)), expected, "{at:?} {end:?}");
        }
        let half = still_wanted(Some(Lsn(25)), &wanted(20, Some(30))).unwrap_err();
        assert!(half.contains("ends at 0/19") && half.contains("timeline delete old"), "{half}");
        let before = still_wanted(None, &wanted(20, Some(10))).unwrap_err();
        assert_eq!(before, "the WAL can't end at 0/A, before the backup begins (0/14)");
    }

    #[test]
    fn safekeepers_are_active_and_in_zones_of_their_own() {
        let at = |id: u64, zone: &str, policy: &str| Safekeeper {
            id,
            host: format!("safekeeper-{id}"),
            port: 5454,
            http_port: 7676,
            availability_zone_id: zone.into(),
            scheduling_policy: policy.into(),
        };
        let all = [at(1, "a", "Pause"), at(2, "a", "Active"), at(3, "a", "Active"), at(4, "b", "Active")];
        let ids = |count| choose(&all, count).map(|chosen| chosen.iter().map(|at| at.id).collect::<Vec<_>>());
        assert_eq!((ids(1), ids(2), ids(3)), (Some(vec![2]), Some(vec![2, 4]), None));
    }

    /// As a safekeeper was recorded to be asked, and as neon_local asks it.
    #[test]
    fn safekeepers_are_told_in_their_own_words() {
        let member = Member { id: 1, host: "safekeeper-1".into(), pg_port: 5454 };
        let body = OnSafekeeperCreate {
            tenant_id: "aaaa0000000000000000000000000001".parse().unwrap(),
            timeline_id: "f00d0000000000000000000000000011".parse().unwrap(),
            mconf: MembershipWanted { generation: 1, members: vec![member], new_members: None },
            pg_version: 170_000,
            system_id: None,
            wal_seg_size: None,
            start_lsn: Lsn(0x14D_8AB0),
            commit_lsn: None,
        };
        let expected = json!({
            "tenant_id": "aaaa0000000000000000000000000001", "timeline_id": "f00d0000000000000000000000000011",
            "mconf": { "generation": 1, "members": [{ "id": 1, "host": "safekeeper-1", "pg_port": 5454 }],
                       "new_members": null },
            "pg_version": 170_000, "system_id": null, "wal_seg_size": null, "start_lsn": "0/14D8AB0", "commit_lsn": null,
        });
        assert_eq!(serde_json::to_value(&body).unwrap(), expected);
    }
}
