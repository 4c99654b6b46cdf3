//! Asking a port from inside its container, where no way leads to it from outside.
//!
//! Images differ in what they have, so tools are tried in turn, and which one works is remembered for each container.
//! The container's own address is asked rather than 127.0.0.1, so that the answer is the one that peers get.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::exec::{self, Execs, Ran};
use super::finding::{Finding, last_line, limit_text, status};
use super::http::Get;
use super::{Target, Verdict};
use crate::engine::{Engine, ExecOutcome};
use crate::names::ContainerId;

/// Least pause between two of these in one container: the caller paces them like connections, which are cheap.
const PAUSE: Duration = Duration::from_millis(200);

/// What is asked of a port, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) port: u16,
    /// None asks only whether connections are accepted.
    pub(super) get: Option<Get<'a>>,
    pub(super) limit: Duration,
}

/// What is known about the containers that are asked like this.
#[derive(Debug, Default)]
pub(super) struct Inside {
    known: Mutex<HashMap<ContainerId, Known>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    http: Option<usize>,
    tcp: Option<usize>,
    not_before: Option<Instant>,
}

impl Inside {
    /// Asks with the tool that is known to work, or finds one.
    pub(super) async fn ask<E: Engine>(
        &self,
        engine: &E,
        execs: &Execs,
        target: &Target,
        what: Question<'_>,
    ) -> Finding {
        let known = self.known().get(&target.container).copied().unwrap_or_default();
        if let Some(moment) = known.not_before {
            sleep_until(moment).await;
        }
        let begun = Instant::now();
        let finding = self.try_tools(engine, execs, target, what, known).await;
        let pause = begun.elapsed().max(PAUSE);
        self.known().entry(target.container.clone()).or_default().not_before = Some(Instant::now() + pause);
        finding
    }

    async fn try_tools<E: Engine>(
        &self,
        engine: &E,
        execs: &Execs,
        target: &Target,
        what: Question<'_>,
        known: Known,
    ) -> Finding {
        let tools: &[Tool] = if what.get.is_some() { &HTTP } else { &TCP };
        let remembered = if what.get.is_some() { known.http } else { known.tcp };
        let address = target.addresses.first().copied().unwrap_or(Ipv4Addr::LOCALHOST);
        for (index, tool) in tools.iter().enumerate().skip(remembered.unwrap_or(0)) {
            let command = (tool.command)(address, what);
            let outcome = match execs.run(engine, &target.container, &command, tool.keep, what.limit).await {
                Ran::Ended(outcome) => outcome,
                Ran::Not(finding) => return finding,
            };
            if matches!(outcome.code, 126 | 127) {
                match exec::judge(&outcome) {
                    absent if absent.verdict == Verdict::Impossible => continue,
                    trouble => return trouble,
                }
            }
            let mut all = self.known();
            let known = all.entry(target.container.clone()).or_default();
            *(if what.get.is_some() { &mut known.http } else { &mut known.tcp }) = Some(index);
            return (tool.judge)(&outcome, address, what);
        }
        let names: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
        Finding::impossible(format!(
            "port {} can't be reached from here, and the container has none of {} to ask it with: publish the port or \
             give an exec probe",
            what.port,
            names.join(", "),
        ))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ContainerId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program that images have.
struct Tool {
    name: &'static str,
    command: fn(Ipv4Addr, Question<'_>) -> Vec<String>,
    judge: fn(&ExecOutcome, Ipv4Addr, Question<'_>) -> Finding,
    /// How much of its output the judgement needs.
    keep: usize,
}

const HTTP: [Tool; 4] = [
    Tool { name: "curl", command: curl, judge: judge_curl, keep: exec::OUTPUT },
    Tool { name: "wget", command: wget, judge: judge_wget, keep: exec::OUTPUT },
    Tool {
        name: "bash",
        command: |to, what| script(&["bash", BASH_HTTP], to, what),
        judge: judge_head,
        keep: exec::OUTPUT,
    },
    Tool { name: "nc", command: |to, what| script(&["sh", NC_HTTP], to, what), judge: judge_head, keep: exec::OUTPUT },
];

const TCP: [Tool; 3] = [
    // Leaves no trace in the program's log. Sockets that listen come first, one line of 150 bytes for each.
    Tool { name: "cat", command: proc_net, judge: judge_proc_net, keep: 256 << 10 },
    Tool {
        name: "bash",
        command: |to, what| script(&["bash", BASH_TCP], to, what),
        judge: judge_connect,
        keep: exec::OUTPUT,
    },
    Tool { name: "nc", command: nc_tcp, judge: judge_connect, keep: exec::OUTPUT },
];

/// Exit codes of our scripts, borrowed from curl.
const NO_CONNECTION: i64 = 7;
const NO_ANSWER: i64 = 28;

const BASH_TCP: &str = r#"{ exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null || exit 7"#;
const BASH_HTTP: &str = r#"{ exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null || exit 7
printf %s "$4" >&3; IFS= read -r -t "$3" line <&3 || exit 28; printf '%s\n' "$line""#;
const NC_HTTP: &str = r#"command -v nc >/dev/null || exit 127
printf %s "$4" | nc -w "$3" "$1" "$2" 2>/dev/null | { IFS= read -r line || exit 28; printf '%s\n' "$line"; }"#;

/// A shell and its script, with address, port, seconds and the text of the request as arguments.
fn script(shell: &[&str; 2], to: Ipv4Addr, what: Question<'_>) -> Vec<String> {
    let [shell, script] = *shell;
    let request = what.get.map(|get| get.text()).unwrap_or_default();
    vec![
        shell.to_owned(),
        "-c".to_owned(),
        script.to_owned(),
        shell.to_owned(),
        to.to_string(),
        what.port.to_string(),
        seconds(what.limit),
        request,
    ]
}

/// The limit in whole seconds, rounded up: not every tool knows fractions.
fn seconds(limit: Duration) -> String {
    (limit.as_secs() + u64::from(limit.subsec_nanos() > 0)).max(1).to_string()
}

fn url(to: Ipv4Addr, what: Question<'_>) -> String {
    format!("http://{to}:{}{}", what.port, what.get.map(|get| get.target()).unwrap_or_default())
}

fn words(fixed: &[&str]) -> Vec<String> {
    fixed.iter().map(|word| (*word).to_owned()).collect()
}

fn curl(to: Ipv4Addr, what: Question<'_>) -> Vec<String> {
    let mut command = words(&["curl", "-gsS", "--noproxy", "*", "-o", "/dev/null", "-w", "\n%{http_code}", "-m"]);
    command.push(seconds(what.limit));
    for (name, value) in what.get.iter().flat_map(Get::all_headers) {
        command.extend(["-H".to_owned(), format!("{name}: {value}")]);
    }
    command.push(url(to, what));
    command
}

fn judge_curl(outcome: &ExecOutcome, _: Ipv4Addr, what: Question<'_>) -> Finding {
    match outcome.code {
        0 => last_line(&outcome.output)
            .and_then(|line| line.parse().ok())
            .map_or_else(|| Finding::refuses("curl told no status"), |code| status(code, None)),
        NO_CONNECTION => Finding::unreachable("connection refused"),
        NO_ANSWER => no_answer(what),
        52 | 56 => Finding::refuses("closed the connection without an answer"),
        code => Finding::refuses(first_told(outcome, |line| line.starts_with("curl:"), &format!("curl: exit {code}"))),
    }
}

fn wget(to: Ipv4Addr, what: Question<'_>) -> Vec<String> {
    let mut command = words(&["wget", "-q", "-O", "/dev/null", "-T"]);
    command.push(seconds(what.limit));
    for (name, value) in what.get.iter().flat_map(Get::all_headers) {
        command.extend(["--header".to_owned(), format!("{name}: {value}")]);
    }
    command.push(url(to, what));
    command
}

/// Two programs go by this name: GNU's says all with its exit code, busybox's with its text.
fn judge_wget(outcome: &ExecOutcome, _: Ipv4Addr, _: Question<'_>) -> Finding {
    if outcome.code == 0 {
        return Finding::pass("answers");
    }
    if let Some((_, answer)) = outcome.output.split_once("HTTP/") {
        return status_line(&format!("HTTP/{answer}"));
    }
    if outcome.code == 4 || outcome.output.contains("refused") {
        return Finding::unreachable("connection refused");
    }
    let otherwise = if outcome.code == 8 { "answered with an error" } else { "wget failed" };
    Finding::refuses(first_told(outcome, |_| true, otherwise))
}

/// For scripts that print the first line of the answer.
fn judge_head(outcome: &ExecOutcome, _: Ipv4Addr, what: Question<'_>) -> Finding {
    match outcome.code {
        0 => status_line(&outcome.output),
        NO_CONNECTION => Finding::unreachable("connection refused"),
        NO_ANSWER => no_answer(what),
        code => Finding::refuses(first_told(outcome, |_| true, &format!("exit {code}"))),
    }
}

fn judge_connect(outcome: &ExecOutcome, _: Ipv4Addr, _: Question<'_>) -> Finding {
    if outcome.code == 0 { Finding::pass("accepts connections") } else { Finding::unreachable("connection refused") }
}

fn nc_tcp(to: Ipv4Addr, what: Question<'_>) -> Vec<String> {
    let mut command = words(&["nc", "-z", "-w"]);
    command.extend([seconds(what.limit), to.to_string(), what.port.to_string()]);
    command
}

fn proc_net(_: Ipv4Addr, _: Question<'_>) -> Vec<String> {
    words(&["cat", "/proc/net/tcp", "/proc/net/tcp6"])
}

/// Looks for a socket that listens (state 0A) on the port, at any address or at the one that peers use.
fn judge_proc_net(outcome: &ExecOutcome, to: Ipv4Addr, what: Question<'_>) -> Finding {
    let mine = format!("{:08X}", u32::from_le_bytes(to.octets()));
    let port = format!("{:04X}", what.port);
    let listens = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().and_then(|field| field.rsplit_once(':'));
        let state = fields.nth(1);
        local
            .is_some_and(|(address, at)| at == port && (address.bytes().all(|b| b == b'0') || address.ends_with(&mine)))
            && state == Some("0A")
    };
    if outcome.output.lines().any(listens) {
        Finding::pass("accepts connections")
    } else {
        Finding::unreachable("nothing listens on the port")
    }
}

/// Reads `HTTP/1.1 503 Service Unavailable`.
fn status_line(text: &str) -> Finding {
    let mut parts = text.lines().next().unwrap_or_default().trim().splitn(3, ' ');
    match (parts.next(), parts.next().and_then(|code| code.parse().ok())) {
        (Some(version), Some(code)) if version.starts_with("HTTP/") => status(code, parts.next()),
        _ => Finding::refuses("the answer isn't HTTP"),
    }
}

fn no_answer(what: Question<'_>) -> Finding {
    Finding::refuses(format!("no answer in {}", limit_text(what.limit)))
}

/// The first line of the output that is wanted, else the text given.
fn first_told(outcome: &ExecOutcome, wanted: fn(&str) -> bool, otherwise: &str) -> String {
    outcome.output.lines().find(|line| wanted(line)).and_then(last_line).unwrap_or_else(|| otherwise.to_owned())
}
