//! How a component is asked: `x-convoke` probes and the file's health check.

use std::time::Duration;

use crate::cluster::{HealthCheck, HealthTimes, Probe, ProbeAction, Probes};
use crate::compose::{self, Diagnostic, Diagnostics, Healthcheck, ProbeRule, Service, Test};

/// One attempt to connect or to get an answer.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(1);
/// One attempt of any other kind.
const OTHER_TIMEOUT: Duration = Duration::from_secs(5);
/// Compose's defaults, the engine's too.
const HEALTH_INTERVAL: Duration = Duration::from_secs(30);
const HEALTH_TIMEOUT: Duration = Duration::from_secs(30);
const HEALTH_RETRIES: u32 = 3;

/// The probes of a service's components.
pub(super) fn resolve(service: &Service, problems: &mut Diagnostics) -> Probes {
    let check = service.healthcheck.as_ref().filter(|check| !check.disabled);
    Probes {
        live: service.convoke.live.as_ref().map(probe),
        ready: service.convoke.ready.as_ref().map(probe),
        health: check.and_then(|check| health(check, problems)),
        health_times: check
            .filter(|check| check.test.is_none())
            .map(times)
            .filter(|times| *times != Default::default()),
        health_disabled: service.healthcheck.as_ref().is_some_and(|check| check.disabled),
        ready_withheld: false,
    }
}

fn probe(rule: &ProbeRule) -> Probe {
    let (action, usual) = match &rule.action {
        compose::ProbeAction::Http { port, path, headers } => {
            (ProbeAction::Http { port: *port, path: path.clone(), headers: headers.clone() }, NETWORK_TIMEOUT)
        }
        compose::ProbeAction::Tcp { port } => (ProbeAction::Tcp { port: *port }, NETWORK_TIMEOUT),
        compose::ProbeAction::Exec { command } => (ProbeAction::Exec { command: command.clone() }, OTHER_TIMEOUT),
        compose::ProbeAction::Log { contains } => (ProbeAction::Log { contains: contains.clone() }, OTHER_TIMEOUT),
        compose::ProbeAction::EngineHealth => (ProbeAction::EngineHealth, OTHER_TIMEOUT),
    };
    Probe { action, timeout: rule.timeout.unwrap_or(usual) }
}

/// What it says of the image's own check.
fn times(check: &Healthcheck) -> HealthTimes {
    HealthTimes {
        interval: check.interval,
        timeout: check.timeout,
        retries: check.retries,
        start_period: check.start_period,
        start_interval: check.start_interval,
    }
}

/// None if it has no test of its own.
fn health(check: &Healthcheck, problems: &mut Diagnostics) -> Option<HealthCheck> {
    let (command, shell) = match check.test.as_ref()? {
        Test::Command(command) => (command.clone(), false),
        Test::Shell(line) => (vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()], true),
    };
    let start_period = check.start_period.unwrap_or_default();
    let start_interval = check.start_interval;
    if start_interval.is_some() && start_period.is_zero() {
        let message = "start_interval has no effect without a start_period";
        problems.push(Diagnostic::warning(&check.at, message).hint("add a start_period"));
    }
    Some(HealthCheck {
        command,
        shell,
        interval: check.interval.unwrap_or(HEALTH_INTERVAL),
        timeout: check.timeout.unwrap_or(HEALTH_TIMEOUT),
        retries: check.retries.unwrap_or(HEALTH_RETRIES),
        start_period,
        // The engine refuses it without a start period.
        start_interval: start_interval.filter(|_| !start_period.is_zero()),
    })
}
