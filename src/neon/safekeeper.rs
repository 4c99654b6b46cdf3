//! What safekeepers say of a timeline.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;

use super::http::{CallError, Peer};
use super::ids::{Lsn, TenantId, TimelineId};
use super::plane::{Plane, PlaneError};
use super::tokens;
use super::wire::Safekeeper;

/// One that doesn't answer for so long isn't there.
pub(super) const LIMIT: Duration = Duration::from_secs(3);

/// A timeline on one safekeeper, of `GET /v1/tenant/:id/timeline/:id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OnSafekeeper {
    /// Up to where it has WAL.
    pub flush_lsn: Lsn,
    /// Where the timeline begins.
    pub timeline_start_lsn: Lsn,
    /// Who else has it.
    pub mconf: Membership,
}

/// The part of it that counts changes of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Membership {
    /// From 1.
    pub generation: u32,
}

/// Without a token.
pub(super) fn peer(at: &Safekeeper) -> Peer {
    Peer::new(format!("safekeeper {}", at.id), format!("{}:{}", at.host, at.http_port))
}

impl Plane {
    /// Asks these safekeepers, or all, at once; those that have the timeline, by their numbers.
    ///
    /// # Errors
    /// When the storage controller can't be asked where they are.
    pub async fn on_safekeepers(
        &self,
        tenant: TenantId,
        timeline: TimelineId,
        only: Option<&[u64]>,
    ) -> Result<Vec<(u64, OnSafekeeper)>, PlaneError> {
        let all = self.controller.safekeepers().await?;
        let asked = all.iter().filter(|known| only.is_none_or(|only| only.contains(&known.id)));
        let answers = asked.map(async |known| Some((known.id, self.ask(known, tenant, timeline).await.ok()?)));
        Ok(futures::future::join_all(answers).await.into_iter().flatten().collect())
    }

    async fn ask(&self, at: &Safekeeper, tenant: TenantId, timeline: TimelineId) -> Result<OnSafekeeper, CallError> {
        let token = self.settings.auth.then(|| tokens::of_tenant(&self.keys, tenant));
        let peer = Peer { token, ..peer(at) };
        let path = format!("/v1/tenant/{tenant}/timeline/{timeline}");
        let answer = peer.ask(Method::GET, &path, None::<&()>, LIMIT).await;
        answer.inspect_err(|error| tracing::debug!("{error}"))
    }

    /// Up to where a majority of the timeline's safekeepers may have WAL: a new primary begins there.
    ///
    /// # Errors
    /// When less than a majority of them answers.
    pub async fn flushed(&self, tenant: TenantId, timeline: TimelineId) -> Result<Lsn, PlaneError> {
        let located = self.controller.locate_timeline(tenant, timeline).await?;
        let set = located.map(|located| located.sk_set);
        let found = self.on_safekeepers(tenant, timeline, set.as_deref()).await?;
        let members = set.map_or(self.settings.timeline_safekeepers, |set| set.len());
        if found.len() * 2 <= members {
            return Err(PlaneError::NotYet(format!(
                "{} of {members} safekeepers say up to where they have timeline {timeline}: a majority is needed",
                found.len()
            )));
        }
        Ok(found.into_iter().map(|(_, at)| at.flush_lsn).max().unwrap_or(Lsn(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As recorded.
    #[test]
    fn what_a_safekeeper_says_is_understood() {
        let said: OnSafekeeper = serde_json::from_value(serde_json::json!({
            "tenant_id": "aaaa0000000000000000000000000001", "timeline_id": "f00d0000000000000000000000000011",
            "mconf": { "generation": 1, "members": [{ "id": 1, "host": "sk", "pg_port": 5454 }], "new_members": null },
            "flush_lsn": "0/14D8AB0", "timeline_start_lsn": "0/14D8AB0", "commit_lsn": "0/14D8AB0",
        }))
        .unwrap();
        assert_eq!((said.flush_lsn, said.mconf.generation), (Lsn(0x14D_8AB0), 1));
    }
}
