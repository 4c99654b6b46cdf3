//! A replica becomes the primary of its branch.

use std::time::Duration;

use super::api::Promoted;
use super::ids::EndpointName;
use super::plane::{Plane, PlaneError};

/// It replays what it hasn't yet, and asks its safekeepers.
const LIMIT: Duration = Duration::from_secs(60);

impl Plane {
    /// From now on this replica is the primary. What is asked again goes on where it was cut off.
    ///
    /// # Errors
    /// When it isn't a replica, when the branch has a primary that runs, or when too few safekeepers answer.
    pub async fn promote(&self, name: &EndpointName) -> Result<Promoted, PlaneError> {
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        let to_do = self.memory.change(|state| Ok::<_, PlaneError>(state.promote(name)?))?;
        if !to_do {
            return Ok(Promoted { in_place: true });
        }
        let state = self.memory.state();
        let endpoint = state.endpoint(name)?;
        let timeline = state.branch(endpoint.tenant, endpoint.branch.as_str())?.1.timeline;
        let flushed = self.flushed(endpoint.tenant, timeline).await?;
        let spec = self.wanted_spec(name, endpoint).await?;
        tracing::info!("endpoint {name} becomes the primary once it has read up to {flushed}");
        let answer = self.compute(name).promote(&spec, flushed, LIMIT).await;
        // One that doesn't run, or can't do it while it runs, starts as what it is now.
        let in_place = answer.inspect_err(|error| tracing::warn!("{error}: it has to be started again")).is_ok();
        self.memory.change(|state| {
            state.promoted(name);
            Ok::<_, PlaneError>(())
        })?;
        if in_place {
            self.runs_with(name, spec);
        }
        Ok(Promoted { in_place })
    }
}
