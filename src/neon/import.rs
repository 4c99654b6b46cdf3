//! A tenant that is in remote storage and isn't known here: of another controller's database, or of one that was lost.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::api::{BranchMade, TenantImported};
use super::ids::{BranchName, TenantId};
use super::plane::{Plane, PlaneError};
use super::state::{Branch, Refusal};
use super::wire::TimelineInfo;

/// A pageserver reads what there is of it.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

impl Plane {
    /// Has the controller take it up, with the highest generation that was ever written; gives its timelines names.
    /// One that is known stays as it is.
    ///
    /// # Errors
    /// When there is nothing of it, or the controller or a pageserver says no.
    pub async fn import_tenant(&self, tenant: TenantId, set_default: bool) -> Result<TenantImported, PlaneError> {
        self.any_pageserver().await?;
        if !self.controller.import_tenant(tenant).await? {
            return Err(Refusal::NothingToImport(tenant).into());
        }
        let infos = self.timelines_of_attached(tenant).await?;
        for info in &infos {
            self.import_timeline(tenant, info).await?;
        }
        let made = self.memory.change(|state| {
            let known = state.tenants.entry(tenant).or_default();
            known.created = true;
            let named = names(&known.branches, &infos);
            known.branches.extend(named);
            if set_default || state.default_tenant.is_none() {
                state.default_tenant = Some(tenant);
            }
            let all = state.tenants[&tenant].branches.iter();
            Ok::<_, PlaneError>(
                all.map(|(name, at)| BranchMade { branch: name.clone(), timeline: at.timeline }).collect(),
            )
        })?;
        Ok(TenantImported { tenant_id: tenant, branches: made })
    }

    /// One has to look into the remote storage; after a start there may be none for a moment.
    async fn any_pageserver(&self) -> Result<(), PlaneError> {
        let begun = Instant::now();
        while !self.controller.nodes().await?.iter().any(|node| node.availability == "Active") {
            if begun.elapsed() > LIMIT {
                return Err(PlaneError::NotYet("no pageserver is Active, which could look for the tenant".into()));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// The attach takes a moment.
    async fn timelines_of_attached(&self, tenant: TenantId) -> Result<Vec<TimelineInfo>, PlaneError> {
        let begun = Instant::now();
        loop {
            match self.controller.timelines(tenant).await {
                Err(error) if begun.elapsed() < LIMIT && (error.is_transient() || error.is_not_found()) => {
                    tracing::debug!("{error}");
                    sleep(POLL).await;
                }
                answer => return Ok(answer?),
            }
        }
    }

    /// The controller doesn't ask safekeepers whether they have it.
    async fn import_timeline(&self, tenant: TenantId, info: &TimelineInfo) -> Result<(), PlaneError> {
        let timeline = info.timeline_id;
        if self.controller.locate_timeline(tenant, timeline).await?.is_some() {
            return Ok(());
        }
        let found = self.on_safekeepers(tenant, timeline, None).await?;
        let Some(begin) = found.iter().map(|(_, at)| at.timeline_start_lsn).min() else { return Ok(()) };
        // The controller counts from 1 again, and safekeepers don't go back.
        if let Some((id, at)) = found.iter().find(|(_, at)| at.mconf.generation > 1) {
            return Err(PlaneError::Input(format!(
                "timeline {timeline} has had other safekeepers (generation {} on safekeeper {id}), which a new \
                 controller's database can't know: endpoints could not write to it. Bring the former database back",
                at.mconf.generation
            )));
        }
        let ids: Vec<u64> = found.iter().map(|(id, _)| *id).collect();
        Ok(self.controller.import_timeline(tenant, timeline, begin, &ids).await?)
    }
}

/// As neon_local names them: what has no ancestor is `main`, the others are `branch_1` and so on. Names that are known
/// stay.
fn names(known: &BTreeMap<BranchName, Branch>, infos: &[TimelineInfo]) -> Vec<(BranchName, Branch)> {
    let mut taken: Vec<String> = known.keys().map(ToString::to_string).collect();
    let mut made = Vec::new();
    for info in infos.iter().filter(|info| !known.values().any(|branch| branch.timeline == info.timeline_id)) {
        let main = info.ancestor_timeline_id.is_none().then(|| "main".to_owned());
        let numbered = (1..).map(|n| format!("branch_{n}"));
        let Some(text) = main.into_iter().chain(numbered).find(|text| !taken.contains(text)) else { continue };
        let Ok(name) = text.parse() else { continue };
        taken.push(text);
        made.push((name, Branch { timeline: info.timeline_id, pg_version: info.pg_version, created: true }));
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn info(n: u8, ancestor: Option<u8>) -> TimelineInfo {
        let id = |n: u8| format!("f00d00000000000000000000000000{n:02x}");
        serde_json::from_value(json!({
            "timeline_id": id(n), "ancestor_timeline_id": ancestor.map(id), "ancestor_lsn": ancestor.map(|_| "0/10"),
            "last_record_lsn": "0/20", "pg_version": 16, "state": "Active",
        }))
        .unwrap()
    }

    #[test]
    fn timelines_get_names_and_those_that_have_one_keep_it() {
        let infos = [info(1, Some(2)), info(2, None), info(3, Some(2)), info(4, None)];
        let made = |known: &BTreeMap<BranchName, Branch>| -> Vec<(String, u8)> {
            let last = |branch: &Branch| u8::from_str_radix(&branch.timeline.to_string()[30..], 16).unwrap();
            names(known, &infos).iter().map(|(name, branch)| (name.to_string(), last(branch))).collect()
        };
        let all = [("branch_1", 1), ("main", 2), ("branch_2", 3), ("branch_3", 4)].map(|(a, b)| (a.to_owned(), b));
        assert_eq!(made(&BTreeMap::new()), all);
        let own = Branch { timeline: infos[2].timeline_id, pg_version: 16, created: true };
        let known = BTreeMap::from([("branch_1".parse().unwrap(), own)]);
        let rest = [("branch_2", 1), ("main", 2), ("branch_3", 4)].map(|(a, b)| (a.to_owned(), b));
        assert_eq!(made(&known), rest);
    }
}
