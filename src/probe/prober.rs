//! The prober for real engines: every kind of probe, by whatever way leads to the container.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::exec::{self, Execs, Ran};
use super::finding::{Finding, last_line, limit_text};
use super::http::{self, Get};
use super::inside::{Inside, Question};
use super::reach::{PATIENCE, Reach, ReachMode, ReachReport, Route};
use super::tcp::{self, NoContact};
use super::{Answer, Prober, Target, Verdict, log};
use crate::cluster::{Probe, ProbeAction};
use crate::engine::{Engine, EngineInfo, Health, HealthStatus, Status};

/// Asks components of an engine. Clones share what they know: which way leads to containers, and which commands run.
#[derive(Debug, Clone)]
pub struct EngineProber<E> {
    engine: E,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    reach: Reach,
    execs: Execs,
    inside: Inside,
}

impl<E: Engine> EngineProber<E> {
    /// A prober for an engine that said `info` of itself. Published ports and the ports of components on the host's
    /// network are at `engine_host`: 127.0.0.1 for a local engine, the host of its `tcp://` address for a remote one.
    #[must_use]
    pub fn new(engine: E, info: &EngineInfo, engine_host: IpAddr, mode: ReachMode) -> Self {
        let reach = Reach::new(mode, info, engine_host);
        let shared = Shared { reach, execs: Execs::new(info.cpus), inside: Inside::default() };
        Self { engine, shared: Arc::new(shared) }
    }

    /// How containers were reached so far.
    #[must_use]
    pub fn reach(&self) -> ReachReport {
        self.shared.reach.report()
    }

    async fn ask_port(&self, target: &Target, what: Question<'_>) -> Finding {
        let reach = &self.shared.reach;
        let begun = Instant::now();
        match reach.route(target, what.port) {
            Route::Nowhere(reason) => Finding::impossible(reason),
            Route::NotYet => Finding::unreachable("the engine hasn't shown its ports yet"),
            Route::Inside => match self.ask_inside(target, what).await {
                finding if finding.verdict == Verdict::Impossible && reach.no_way_inside(target) => {
                    Finding::unreachable("no answer at its address")
                }
                finding => finding,
            },
            Route::Direct { addresses, unproven } => {
                let patience = if unproven { what.limit.min(PATIENCE) } else { what.limit };
                let (contact, finding) = connect(&addresses, what, begun, patience, false).await;
                if reach.direct_went(target, contact.as_ref().copied(), begun) {
                    if self.runs(target).await { reach.no_direct_way(target) } else { reach.is_down(target) }
                }
                finding
            }
            Route::Published { address, doubtful } => {
                let (contact, finding) = connect(&[address], what, begun, what.limit, true).await;
                reach.published_went(target, contact.as_ref().copied(), begun);
                if doubtful && contact.is_err() { self.doubt(target, what, finding).await } else { finding }
            }
        }
    }

    async fn ask_inside(&self, target: &Target, what: Question<'_>) -> Finding {
        self.shared.inside.ask(&self.engine, &self.shared.execs, target, what).await
    }

    /// Nobody answers at the published port; perhaps it is only that we can't get there.
    async fn doubt(&self, target: &Target, what: Question<'_>, outside: Finding) -> Finding {
        let inside = self.ask_inside(target, what).await;
        match inside.verdict {
            Verdict::Pass => self.shared.reach.inside_works(target),
            Verdict::Impossible => self.shared.reach.inside_is_impossible(target),
            _ => {}
        }
        if inside.verdict == Verdict::Pass { inside } else { outside }
    }

    /// Whether the container runs, and did when the target was described.
    async fn runs(&self, target: &Target) -> bool {
        let Ok(Some(container)) = self.engine.inspect(&target.container).await else { return false };
        let same_run = target.started_at.is_none() || container.state.started_at == target.started_at;
        container.state.status == Status::Running && same_run
    }

    async fn ask_command(&self, target: &Target, command: &[String], limit: Duration) -> Finding {
        if command.is_empty() {
            return Finding::impossible("the probe has no command");
        }
        match self.shared.execs.run(&self.engine, &target.container, command, exec::OUTPUT, limit).await {
            Ran::Ended(outcome) => exec::judge(&outcome),
            Ran::Not(finding) => finding,
        }
    }

    async fn ask_engine(&self, target: &Target, limit: Duration) -> Finding {
        match timeout(limit, self.engine.inspect(&target.container)).await {
            Err(_) => Finding::trouble(format!("the engine gave no answer in {}", limit_text(limit))),
            Ok(Err(error)) => Finding::trouble(error.to_string()),
            Ok(Ok(None)) => Finding::unreachable("the container is gone"),
            // What the engine says of one that ended is from before its end.
            Ok(Ok(Some(container))) if container.state.status != Status::Running => {
                Finding::unreachable("the container isn't running")
            }
            Ok(Ok(Some(container))) => judge_health(container.state.health.as_ref()),
        }
    }
}

fn judge_health(health: Option<&Health>) -> Finding {
    let Some(health) = health else { return Finding::impossible("the container has no health check") };
    let said = |word: &str| match last_line(&health.last_output) {
        Some(line) => format!("{word}: {line}"),
        None => word.to_owned(),
    };
    match health.status {
        HealthStatus::Healthy => Finding::pass("healthy"),
        HealthStatus::Starting => Finding::refuses(said("starting")),
        HealthStatus::Unhealthy => Finding::refuses(said("unhealthy")),
    }
}

/// Connects within `patience` and asks, all within the limit since `begun`. The first value says how connecting went.
async fn connect(
    addresses: &[std::net::SocketAddr],
    what: Question<'_>,
    begun: Instant,
    patience: Duration,
    proxied: bool,
) -> (Result<(), NoContact>, Finding) {
    match tcp::dial(addresses, patience).await {
        Err(reason) => {
            let finding = reason.finding();
            (Err(reason), finding)
        }
        Ok(stream) => {
            let finding = match what.get {
                Some(get) => http::get(stream, get, begun + what.limit, what.limit, proxied).await,
                None => tcp::accepted(&stream, proxied).await,
            };
            (Ok(()), finding)
        }
    }
}

impl<E: Engine> Prober for EngineProber<E> {
    async fn ask(&self, target: &Target, probe: &Probe) -> Answer {
        let begun = Instant::now();
        let limit = probe.timeout;
        let finding = match &probe.action {
            ProbeAction::Http { port, path, headers } => {
                let host = format!("{}:{port}", target.component);
                let get = Get { host: &host, path, headers };
                self.ask_port(target, Question { port: *port, get: Some(get), limit }).await
            }
            ProbeAction::Tcp { port } => self.ask_port(target, Question { port: *port, get: None, limit }).await,
            ProbeAction::Exec { command } => self.ask_command(target, command, limit).await,
            ProbeAction::Log { contains } => {
                log::wait(&self.engine, &target.container, target.started_at, contains).await
            }
            ProbeAction::EngineHealth => self.ask_engine(target, limit).await,
        };
        finding.timed(begun.elapsed())
    }
}
