//! Where a compute has its specification from: a file, or the control plane.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use hyper::{Method, StatusCode};
use tokio::time::sleep;

use super::options::Options;
use super::spec::{Config, Reply, ReplyStatus};
use crate::client::Client;

const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);
/// What the real program's client gives a call.
const LIMIT: Duration = Duration::from_secs(30);

pub async fn config(options: &Options, client: &Client) -> anyhow::Result<Config> {
    match (&options.config, &options.control_plane_uri) {
        (Some(file), _) => {
            let text = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("can't parse {}", file.display()))
        }
        (None, Some(uri)) => from_control_plane(client, uri, &options.compute_id).await,
        (None, None) => bail!("neither --config nor --control-plane-uri"),
    }
}

/// Three tries; only for a control plane that isn't there, or says 502 or 503, is it worth another.
async fn from_control_plane(client: &Client, uri: &str, compute: &str) -> anyhow::Result<Config> {
    let url = format!("{}/compute/api/v2/computes/{compute}/spec", uri.trim_end_matches('/'));
    tracing::info!("getting config from control plane: {url}");
    for attempt in 1..=TRIES {
        match client.call(Method::GET, &url, None::<&()>, Some(LIMIT)).await {
            Ok(reply) if reply.status == StatusCode::OK => {
                let reply: Reply = reply.json().context("failed to parse the control plane's answer")?;
                if reply.status == ReplyStatus::Attached && reply.spec.is_none() {
                    bail!("compute is attached, but spec is empty");
                }
                return Ok(Config { spec: reply.spec, compute_ctl_config: reply.compute_ctl_config });
            }
            Ok(reply) if matches!(reply.status.as_u16(), 502 | 503) => {
                tracing::error!("attempt {attempt}: control plane is temporarily unavailable ({})", reply.status);
            }
            Ok(reply) => bail!("unexpected control plane response status code: {}: {}", reply.status, reply.message()),
            Err(error) => {
                tracing::error!("attempt {attempt}: could not perform request to control plane: {}", error.in_full())
            }
        }
        sleep(PAUSE).await;
    }
    Err(anyhow!("Exhausted all attempts to retrieve the config from the control plane"))
}
