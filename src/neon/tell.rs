//! How a compute is brought to what it should run with.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::ids::EndpointName;
use super::plane::{HOOK_LIMIT, Plane, PlaneError};
use super::state::Endpoint;
use super::wire::ComputeState;

/// A compute that was given its specification and doesn't answer is starting for so long; then it is gone.
const STARTING: Duration = Duration::from_secs(15);
/// A compute gets this long for a new specification, however late it is.
const LEAST: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(100);
/// Between two looks at all computes.
const ROUND: Duration = Duration::from_secs(1);

/// How a compute took what it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It runs with it.
    Done,
    /// It isn't running; it asks when it starts.
    Gone,
    /// It is starting or busy: to be told again.
    Busy(String),
}

impl Plane {
    /// Brings a compute to what it should run with, unless it does already; one at a time for each. One that is
    /// starting or busy is waited for as long as `patience` says; all of it takes [`HOOK_LIMIT`] at most.
    ///
    /// # Errors
    /// When the storage controller can't be asked.
    pub async fn tell(&self, name: &EndpointName, patience: Duration) -> Result<Told, PlaneError> {
        let begun = Instant::now();
        let deadline = begun + patience;
        let turn = self.turn(name);
        let Ok(_turn) = tokio::time::timeout_at(deadline, turn.lock()).await else {
            return Ok(Told::Busy("it is being told something else".to_owned()));
        };
        let Some(endpoint) = self.memory.state().endpoints.get(name).filter(|endpoint| !endpoint.stopped).cloned()
        else {
            return Ok(Told::Gone);
        };
        if endpoint.promoting {
            return Ok(Told::Busy("it is being promoted".to_owned()));
        }
        loop {
            let why = match self.look(name).await {
                Look::Ready => {
                    let left = HOOK_LIMIT.saturating_sub(begun.elapsed()).max(LEAST);
                    match self.configure(name, &endpoint, left).await? {
                        Told::Busy(why) => why,
                        told => return Ok(told),
                    }
                }
                Look::Gone => return Ok(Told::Gone),
                Look::Busy(why) => why,
            };
            if Instant::now() + POLL >= deadline {
                return Ok(Told::Busy(why));
            }
            sleep(POLL).await;
        }
    }

    /// What a compute is doing, in three words.
    async fn look(&self, name: &EndpointName) -> Look {
        let (status, said) = match self.compute(name).status().await {
            Ok(status) => {
                let said = match &status.error {
                    Some(error) => format!("{}: {error}", word(status.status)),
                    None => word(status.status),
                };
                (Some(status.status), said)
            }
            Err(error) => (None, error.to_string()),
        };
        let is_starting = self.with_live(name, |live| {
            live.said = Some(said.clone());
            live.asked.is_some_and(|asked| asked.elapsed() < STARTING)
        });
        judge(status, is_starting, said)
    }

    async fn configure(&self, name: &EndpointName, endpoint: &Endpoint, limit: Duration) -> Result<Told, PlaneError> {
        let wanted = self.wanted_spec(name, endpoint).await?;
        if self.with_live(name, |live| live.last.as_ref().is_some_and(|last| same_spec(last, &wanted))) {
            return Ok(Told::Done);
        }
        match self.compute(name).configure(&wanted, &self.keys.jwks(), limit).await {
            Ok(()) => {
                tracing::info!("endpoint {name} runs with {}", wanted["pageserver_connstring"]);
                self.runs_with(name, wanted);
                Ok(Told::Done)
            }
            Err(error) if error.status().is_some_and(|status| status.as_u16() == 412) || error.status().is_none() => {
                Ok(Told::Busy(error.to_string()))
            }
            // It has failed, and says why when it is asked; a restart gives it the right specification.
            Err(error) => {
                tracing::warn!("{error}");
                Ok(Told::Gone)
            }
        }
    }

    /// Endpoints that somebody should look after.
    #[must_use]
    pub fn endpoints(&self, fits: impl Fn(&Endpoint) -> bool) -> Vec<EndpointName> {
        let state = self.memory.state();
        let wanted = state.endpoints.iter().filter(|(_, endpoint)| !endpoint.stopped && fits(endpoint));
        wanted.map(|(name, _)| name.clone()).collect()
    }

    /// Tells all of these at the same time; what kept one from it, if anything.
    pub async fn tell_all(&self, names: &[EndpointName], patience: Duration) -> Vec<String> {
        let told = futures::future::join_all(names.iter().map(|name| self.tell(name, patience))).await;
        let trouble = |(name, told): (&EndpointName, Result<Told, PlaneError>)| match told {
            Ok(Told::Busy(why)) => Some(format!("endpoint {name}: {why}")),
            Err(error) => Some(format!("endpoint {name}: {error}")),
            Ok(Told::Done | Told::Gone) => None,
        };
        names.iter().zip(told).filter_map(trouble).collect()
    }

    /// Looks after all computes for ever: one that waits for a specification, or runs with an older one since this
    /// program was away, is told the right one.
    pub async fn look_after(&self) {
        loop {
            let names = self.endpoints(|_| true);
            for trouble in self.tell_all(&names, POLL * 2).await {
                tracing::debug!("{trouble}");
            }
            sleep(ROUND).await;
        }
    }
}

/// What a compute is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    /// It takes a specification.
    Ready,
    /// It isn't running: it asks when it starts.
    Gone,
    /// It will take one, or be gone, in a moment.
    Busy(String),
}

/// `status`: what it says, None: it can't be reached. One that has just asked for its specification is starting.
fn judge(status: Option<ComputeState>, is_starting: bool, said: String) -> Look {
    use ComputeState as S;
    match status {
        Some(S::Running | S::Empty) => Look::Ready,
        Some(S::Failed | S::Terminated | S::TerminationPendingFast | S::TerminationPendingImmediate) => Look::Gone,
        Some(_) => Look::Busy(said),
        None if is_starting => Look::Busy(said),
        None => Look::Gone,
    }
}

fn word(state: ComputeState) -> String {
    serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Tokens differ each time they are made: they are no reason to tell a compute anything.
fn same_spec(one: &Value, other: &Value) -> bool {
    let without = |spec: &Value| {
        let mut spec = spec.clone();
        spec["endpoint_storage_token"] = Value::Null;
        spec
    };
    without(one) == without(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_compute_says_decides_whether_it_is_told() {
        use ComputeState as S;
        let busy = || Look::Busy("x".into());
        let rows = [
            (Some(S::Running), false, Look::Ready),
            (Some(S::Empty), false, Look::Ready),
            (Some(S::Init), false, busy()),
            (Some(S::Configuration), false, busy()),
            (Some(S::ConfigurationPending), false, busy()),
            (Some(S::RefreshConfiguration), false, busy()),
            (Some(S::Unknown), false, busy()),
            (Some(S::Failed), true, Look::Gone),
            (Some(S::Terminated), true, Look::Gone),
            (Some(S::TerminationPendingFast), true, Look::Gone),
            (None, false, Look::Gone),
            // It has its specification and doesn't listen yet: a tenant that moves now would be lost on it.
            (None, true, busy()),
        ];
        for (status, is_starting, expected) in rows {
            assert_eq!(judge(status, is_starting, "x".into()), expected, "{status:?} {is_starting}");
        }
    }

    #[test]
    fn a_new_token_alone_is_nothing_new() {
        let one = json!({ "a": 1, "endpoint_storage_token": "x" });
        assert!(same_spec(&one, &json!({ "a": 1, "endpoint_storage_token": "y" })));
        assert!(!same_spec(&one, &json!({ "a": 2, "endpoint_storage_token": "x" })));
    }
}
