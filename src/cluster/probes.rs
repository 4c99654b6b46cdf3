//! How a component is asked whether it is live or ready.
//!
//! These types are also kept in a container's label (without environment), so that a running cluster can be probed
//! without its file: their serde form is a stable interface. Fields may be added: what a newer convoke wrote is read,
//! and what isn't known is skipped.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::mask::Masker;

/// What is asked of one component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    /// Passes when the component accepts connections. None: derived from the readiness probe's answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Probe>,
    /// Passes when the component can do its work. None: the health check, then running for a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Probe>,
    /// The health check of the file (that of the image, if the file has none, becomes known with the image).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    /// Times that the file has for the image's health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_times: Option<HealthTimes>,
    /// `healthcheck: disable: true`: the image's health check isn't used either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub health_disabled: bool,
    /// The readiness probe holds a secret and was left out (see [`Probes::without`]): it can't be asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ready_withheld: bool,
}

impl Probes {
    /// What may be shown of them where these secrets may not. A health check that is left out is still run by the
    /// engine, whose verdict is there for everybody.
    #[must_use]
    pub fn without(mut self, secrets: &Masker) -> Self {
        let tells = |probe: &Probe| probe.action.tells(secrets);
        self.live = self.live.filter(|probe| !tells(probe));
        self.ready_withheld |= self.ready.as_ref().is_some_and(tells);
        self.ready = self.ready.filter(|probe| !tells(probe));
        self.health = self.health.filter(|health| !tells(&health.as_probe()));
        self
    }
}

/// One way to ask, with its time limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is done.
    #[serde(flatten)]
    pub action: ProbeAction,
    /// How long one attempt may take.
    pub timeout: Duration,
}

/// The ways to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeAction {
    /// `GET http://component:port/path`; passes on a status from 200 to 399.
    Http {
        /// Port inside the container.
        port: u16,
        /// Path with its leading slash, and query if any.
        path: String,
        /// Additional request headers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
    },
    /// Passes when a connection is accepted.
    Tcp {
        /// Port inside the container.
        port: u16,
    },
    /// Passes when the command exits 0 inside the container.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// Passes once a line of the log since this start contains the text.
    Log {
        /// Text to look for.
        contains: String,
    },
    /// Passes when the engine says `healthy`.
    EngineHealth,
}

/// A `healthcheck` in Compose's sense. Convoke runs it itself during start-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The command, a shell's already spelled out as `/bin/sh -c …`.
    pub command: Vec<String>,
    /// True if the file gave a shell line (`CMD-SHELL`), false for `CMD`.
    pub shell: bool,
    /// Pause between the engine's own checks. Default 30 s.
    pub interval: Duration,
    /// Time limit of one check. Default 30 s.
    pub timeout: Duration,
    /// Failures in a row before the engine says unhealthy. Default 3.
    pub retries: u32,
    /// Failures within this time after the start don't count. Default 0.
    pub start_period: Duration,
    /// Pause between checks during the start period (engines from API 1.44 on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Duration>,
}

/// Times for a health check that is given elsewhere: those that are None stay as they are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthTimes {
    /// See [`HealthCheck::interval`].
    pub interval: Option<Duration>,
    /// See [`HealthCheck::timeout`].
    pub timeout: Option<Duration>,
    /// See [`HealthCheck::retries`].
    pub retries: Option<u32>,
    /// See [`HealthCheck::start_period`].
    pub start_period: Option<Duration>,
    /// See [`HealthCheck::start_interval`].
    pub start_interval: Option<Duration>,
}

impl HealthTimes {
    /// That check with these times.
    #[must_use]
    pub fn of(&self, check: &HealthCheck) -> HealthCheck {
        let start_period = self.start_period.unwrap_or(check.start_period);
        HealthCheck {
            interval: self.interval.unwrap_or(check.interval),
            timeout: self.timeout.unwrap_or(check.timeout),
            retries: self.retries.unwrap_or(check.retries),
            start_period,
            // The engine refuses it without a start period.
            start_interval: self.start_interval.or(check.start_interval).filter(|_| !start_period.is_zero()),
            ..check.clone()
        }
    }
}

impl HealthCheck {
    /// The health check as a probe that convoke runs through exec.
    #[must_use]
    pub fn as_probe(&self) -> Probe {
        Probe { action: ProbeAction::Exec { command: self.command.clone() }, timeout: self.timeout }
    }

    /// How long a check whose program is missing may go on before it is called impossible.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.start_period + self.interval * self.retries.max(1)
    }
}

impl ProbeAction {
    /// Whether one of the secrets is part of it.
    fn tells(&self, secrets: &Masker) -> bool {
        match self {
            Self::Http { path, headers, .. } => {
                secrets.finds(path) || headers.iter().any(|(name, value)| secrets.finds(name) || secrets.finds(value))
            }
            Self::Exec { command } => command.iter().any(|word| secrets.finds(word)),
            Self::Log { contains } => secrets.finds(contains),
            Self::Tcp { .. } | Self::EngineHealth => false,
        }
    }

    /// A short text for people: `http :1234/ready`, `exec pg_isready`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Http { port, path, .. } => format!("http :{port}{path}"),
            Self::Tcp { port } => format!("tcp :{port}"),
            Self::Exec { command } => {
                let text = match command.as_slice() {
                    [shell, flag, line] if shell == "/bin/sh" && flag == "-c" => line.clone(),
                    words => words.join(" "),
                };
                let short: String = text.chars().take(60).collect();
                if short.len() < text.len() { format!("exec {short}…") } else { format!("exec {short}") }
            }
            Self::Log { contains } => format!("log line {contains:?}"),
            Self::EngineHealth => "the engine's health check".to_owned(),
        }
    }
}
