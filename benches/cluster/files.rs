//! Compose files of the cases.

use std::fmt::Write as _;

use super::bench::IMAGE;

/// How a service says that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// The file's health check, a command every so many seconds.
    Health(u32),
    /// An http probe of convoke's, and no health check.
    Http,
    /// A command that convoke runs, and no health check.
    Exec,
    /// The engine's verdict about a health check every second.
    Engine,
}

/// The port and path that probes ask.
pub(super) const PORT: u16 = 8080;
/// The path of [`PORT`] that answers 200 when ready.
pub(super) const PATH: &str = "/ready";
/// The command that checks.
pub(super) const COMMAND: [&str; 2] = ["probe-target", "check"];

/// One service.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// Arguments of the program.
    pub(super) arguments: Vec<String>,
    /// How it says that it is ready.
    pub(super) check: Check,
}

impl Service {
    /// A service whose program listens after `boot`.
    pub(super) fn booting(boot: &str, check: Check) -> Self {
        Self { arguments: vec!["--boot".into(), boot.into()], check }
    }
}

/// So many equal services that boot for 200 ms.
pub(super) fn equal(number: usize, check: Check) -> String {
    compose(&vec![Service::booting("200ms", check); number])
}

/// The file: services `svc-01`, `svc-02` and so on.
pub(super) fn compose(services: &[Service]) -> String {
    let mut text = String::from("services:\n");
    for (number, service) in services.iter().enumerate() {
        let arguments = quoted(service.arguments.iter().map(String::as_str));
        let check = check(service.check);
        _ = write!(
            text,
            "  {}:\n    image: {IMAGE}\n    command: [{arguments}]\n    stop_grace_period: 1s\n{check}",
            name(number)
        );
    }
    text
}

/// The name of the n-th service, from 0.
pub(super) fn name(number: usize) -> String {
    format!("svc-{:02}", number + 1)
}

fn check(check: Check) -> String {
    let command = quoted(COMMAND.into_iter());
    let health = |seconds: u32| {
        format!("    healthcheck: {{ test: [\"CMD\", {command}], interval: {seconds}s, timeout: 5s, retries: 30 }}\n")
    };
    match check {
        Check::Health(seconds) => health(seconds),
        Check::Http => format!("    x-convoke: {{ ready: {{ http: {{ port: {PORT}, path: {PATH} }} }} }}\n"),
        Check::Exec => format!("    x-convoke: {{ ready: {{ exec: {{ command: [{command}] }} }} }}\n"),
        Check::Engine => format!("{}    x-convoke: {{ ready: {{ engine_health: true }} }}\n", health(1)),
    }
}

fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}
