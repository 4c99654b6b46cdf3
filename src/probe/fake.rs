//! Probes of the fake engine's containers. Here rather than beside the engine, which knows nothing of probes.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::{Answer, Prober, Target, Verdict};
use crate::cluster::{Probe, ProbeAction};
use crate::engine::fake::{FakeEngine, Reach};
use crate::engine::{Engine, ErrorKind, ExecRequest, HealthStatus, LogQuery};

/// How long a connection within the fake world takes.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// Asks the containers of a [`FakeEngine`].
#[derive(Debug, Clone)]
pub struct FakeProber {
    engine: FakeEngine,
}

type Shown = (Verdict, String);

impl FakeProber {
    /// A prober for this engine's world.
    #[must_use]
    pub const fn new(engine: FakeEngine) -> Self {
        Self { engine }
    }

    async fn attempt(&self, target: &Target, action: &ProbeAction) -> Shown {
        match action {
            ProbeAction::Http { path, .. } => self.connect(target, Some(path)).await,
            ProbeAction::Tcp { .. } => self.connect(target, None).await,
            ProbeAction::Exec { command } => self.exec(target, command).await,
            ProbeAction::Log { contains } => self.log(target, contains).await,
            ProbeAction::EngineHealth => self.engine_health(target).await,
        }
    }

    async fn connect(&self, target: &Target, path: Option<&str>) -> Shown {
        sleep(ROUND_TRIP).await;
        let has_way = target.host_network || !target.published.is_empty();
        match self.engine.reach(&target.container, &target.addresses, has_way, path.unwrap_or_default()) {
            Reach::NoRoute => (Verdict::Unreachable, "no route to host".to_owned()),
            Reach::Refused => (Verdict::Unreachable, "connection refused".to_owned()),
            Reach::Hangs if path.is_some() => std::future::pending().await,
            Reach::Live if path.is_some() => (Verdict::Refuses, "503: not ready".to_owned()),
            Reach::Ready if path.is_some() => (Verdict::Pass, "200".to_owned()),
            Reach::Hangs | Reach::Live | Reach::Ready => (Verdict::Pass, "connected".to_owned()),
        }
    }

    async fn exec(&self, target: &Target, command: &[String]) -> Shown {
        let request = ExecRequest { command: command.to_vec(), keep_output: 4096 };
        match self.engine.exec(&target.container, &request).await {
            Ok(outcome) if outcome.code == 0 => (Verdict::Pass, "exit 0".to_owned()),
            Ok(outcome) => {
                let missing = matches!(outcome.code, 126 | 127);
                let verdict = if missing { Verdict::Impossible } else { Verdict::Refuses };
                (verdict, format!("exit {}: {}", outcome.code, outcome.output))
            }
            Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound) => {
                (Verdict::Unreachable, error.message)
            }
            Err(error) => (Verdict::EngineTrouble, error.message),
        }
    }

    async fn log(&self, target: &Target, text: &str) -> Shown {
        let query = LogQuery { follow: true, tail: None, since: target.started_at };
        let mut lines = self.engine.logs(&target.container, &query);
        while let Some(line) = lines.next().await {
            match line {
                Ok(line) if String::from_utf8_lossy(&line.text).contains(text) => {
                    return (Verdict::Pass, format!("printed {text:?}"));
                }
                Ok(_) => {}
                Err(error) => return (Verdict::EngineTrouble, error.message),
            }
        }
        (Verdict::Unreachable, "the log ended".to_owned())
    }

    async fn engine_health(&self, target: &Target) -> Shown {
        let health = match self.engine.inspect(&target.container).await {
            Ok(container) => container.and_then(|container| container.state.health),
            Err(error) => return (Verdict::EngineTrouble, error.message),
        };
        match health.map(|health| health.status) {
            Some(HealthStatus::Healthy) => (Verdict::Pass, "healthy".to_owned()),
            Some(HealthStatus::Starting) => (Verdict::Refuses, "starting".to_owned()),
            Some(HealthStatus::Unhealthy) => (Verdict::Refuses, "unhealthy".to_owned()),
            None => (Verdict::Impossible, "no health check".to_owned()),
        }
    }
}

impl Prober for FakeProber {
    async fn ask(&self, target: &Target, probe: &Probe) -> Answer {
        let began = Instant::now();
        let attempt = self.attempt(target, &probe.action);
        let (verdict, text) = if matches!(probe.action, ProbeAction::Log { .. }) {
            attempt.await
        } else {
            let late = format!("no answer within {}", crate::units::human(probe.timeout));
            timeout(probe.timeout, attempt).await.unwrap_or((Verdict::Refuses, late))
        };
        Answer { verdict, text, took: began.elapsed() }
    }
}
