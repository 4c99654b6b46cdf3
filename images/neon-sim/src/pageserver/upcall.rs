//! A pageserver's calls to the storage controller.

use std::time::Duration;

use hyper::Method;
use tokio::time::sleep;

use super::config::Config;
use crate::client::Client;
use crate::ids::{Generation, TenantShardId};
use crate::wire::upcall::{
    ReAttachAnswer, ReAttachRequest, ReAttachTenant, ValidateAnswer, ValidateRequest, ValidateTenant,
};

/// The longest pause between two tries of re-attach.
const LONGEST_PAUSE: f64 = 3.0;
/// The simulation isn't to hang because of a validation.
const VALIDATE_LIMIT: Duration = Duration::from_secs(10);

/// Asks until it is answered, for ever: whatever the controller says against it, and without a time limit for a call.
pub async fn re_attach(client: &Client, config: &Config, empty_local_disk: bool) -> Vec<ReAttachTenant> {
    let url = format!("{}/re-attach", config.control_plane_api);
    let request = ReAttachRequest {
        node_id: config.id,
        register: config.register.clone(),
        empty_local_disk: Some(empty_local_disk),
    };
    for attempt in 0.. {
        let reply = client.call(Method::POST, &url, Some(&request), None).await;
        match reply.and_then(|reply| reply.json::<ReAttachAnswer>()) {
            Ok(answer) => {
                tracing::info!("re-attached, with {} tenant shards", answer.tenants.len());
                return answer.tenants;
            }
            Err(error) => tracing::warn!("re-attach failed, will retry ({attempt}): {}", error.in_full()),
        }
        sleep(pause(attempt)).await;
    }
    Vec::new()
}

/// None at first, then 1.1^n seconds.
fn pause(attempt: i32) -> Duration {
    if attempt == 0 { Duration::ZERO } else { Duration::from_secs_f64(1.1f64.powi(attempt).min(LONGEST_PAUSE)) }
}

/// Which of these shards still have their generation, says the controller. None if it can't be asked.
pub async fn validate(
    client: &Client,
    config: &Config,
    shards: Vec<(TenantShardId, Generation)>,
) -> Option<Vec<TenantShardId>> {
    let url = format!("{}/validate", config.control_plane_api);
    let tenants = shards.into_iter().map(|(id, generation)| ValidateTenant { id, generation }).collect();
    let reply = client.call(Method::POST, &url, Some(&ValidateRequest { tenants }), Some(VALIDATE_LIMIT)).await;
    match reply.and_then(|reply| reply.json::<ValidateAnswer>()) {
        Ok(answer) => Some(answer.tenants.into_iter().filter(|tenant| tenant.valid).map(|tenant| tenant.id).collect()),
        Err(error) => {
            tracing::warn!("validate failed, will be tried again: {}", error.in_full());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_three_seconds() {
        assert_eq!(pause(0), Duration::ZERO);
        assert_eq!(pause(1), Duration::from_secs_f64(1.1));
        assert_eq!(pause(2).as_millis(), 1210);
        assert_eq!(pause(12), Duration::from_secs(3));
        assert_eq!(pause(i32::MAX), Duration::from_secs(3));
    }
}
