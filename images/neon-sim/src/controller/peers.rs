//! Calls to pageservers and safekeepers, with the pauses of the real program between the tries.

use std::time::Duration;

use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::model::{Node, Safekeeper};
use super::state::Controller;
use crate::client::{CallError, Reply};

/// For calls without a limit of their own.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);

/// The pause after the try with this number, from 0 on: none, then 1.1 s, 1.21 s, 1.33 s …
pub fn pause_after(attempt: u32) -> Duration {
    if attempt == 0 { Duration::ZERO } else { Duration::from_secs_f64(1.1_f64.powf(f64::from(attempt)).min(10.0)) }
}

/// Tries a call `1 + retries` times. Answers below 500 are final.
pub async fn with_retries<T, F: Future<Output = Result<T, CallError>>>(
    retries: u32,
    call: impl Fn() -> F,
) -> Result<T, CallError> {
    let mut attempt = 0;
    loop {
        match call().await {
            Err(error) if attempt < retries && is_passing(&error) => sleep(pause_after(attempt)).await,
            result => return result,
        }
        attempt += 1;
    }
}

fn is_passing(error: &CallError) -> bool {
    error.status().is_none_or(|status| status.is_server_error())
}

impl Controller {
    /// One call of a pageserver, whatever it answers. GET and DELETE go with the body `null`, as recorded.
    pub async fn ask_node<B: Serialize + Sync>(
        &self,
        node: &Node,
        method: Method,
        path: &str,
        body: Option<&B>,
        limit: Duration,
    ) -> Result<Reply, CallError> {
        let url = format!("{}{path}", node.base_url());
        match body {
            Some(body) => self.pageservers.call(method, &url, Some(body), Some(limit)).await,
            None => self.pageservers.call(method, &url, Some(&()), Some(limit)).await,
        }
    }

    pub async fn get_from_node<T: DeserializeOwned>(
        &self,
        node: &Node,
        path: &str,
        limit: Duration,
    ) -> Result<T, CallError> {
        self.ask_node::<()>(node, Method::GET, path, None, limit).await?.json()
    }

    /// One call of a safekeeper; an error for a status from 400 on. GET and DELETE go without a body.
    pub async fn ask_safekeeper<B: Serialize + Sync>(
        &self,
        safekeeper: &Safekeeper,
        method: Method,
        path: &str,
        body: Option<&B>,
        limit: Duration,
    ) -> Result<Reply, CallError> {
        let url = format!("{}{path}", safekeeper.base_url());
        let reply = self.safekeepers.call(method, &url, body, Some(limit)).await?;
        reply.ok()?;
        Ok(reply)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use hyper::StatusCode;
    use tokio::time::Instant;

    use super::*;

    fn refused() -> CallError {
        CallError::Timeout { url: "http://ps".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_scan_takes_five_seconds_and_a_heartbeat_two() {
        for (retries, millis) in [(5, 5105), (3, 2310)] {
            let (begin, calls) = (Instant::now(), Cell::new(0));
            let call = || async {
                calls.set(calls.get() + 1);
                Err::<(), _>(refused())
            };
            assert!(with_retries(retries, call).await.is_err());
            let took = begin.elapsed().as_millis();
            assert!(took.abs_diff(millis) < 10, "{retries} retries took {took} ms");
            assert_eq!(calls.get(), retries + 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clear_no_is_not_repeated() {
        let calls = Cell::new(0);
        let call = || async {
            calls.set(calls.get() + 1);
            Err::<(), _>(CallError::Status { status: StatusCode::NOT_FOUND, msg: "gone".into() })
        };
        assert!(with_retries(5, call).await.is_err());
        assert_eq!(calls.get(), 1);
    }
}
