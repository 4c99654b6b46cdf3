//! Asking a port from inside its container, where no way leads to it from outside.
//!
//! Images differ in what they have, so tools are tried in turn, and which one works is remembered for each container.
//! The container's own address is asked rather than 127.0.0.1, so that the answer is the one that peers get.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
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

/// Getting into a container takes an engine that is busy this long; the tool's own time limit holds for the component.
const OVERHEAD: Duration = Duration::from_secs(2);

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
        let v4 = |address: &IpAddr| if let IpAddr::V4(address) = address { Some(*address) } else { None };
        let address = target.addresses.iter().find_map(v4).unwrap_or(Ipv4Addr::LOCALHOST);
        for (index, tool) in tools.iter().enumerate().skip(remembered.unwrap_or(0)) {
            let command = (tool.command)(address, what);
            let limit = what.limit + OVERHEAD;
            let outcome = match execs.run(engine, &target.container, &command, tool.keep, limit).await {
                Ran::Ended(outcome) => outcome,
                Ran::Not(finding) => return finding,
            };
            if matches!(outcome.code, 126 | 127) {
                match exec::judge(&outcome) {
                    absent if absent.verdict == Verdict::Impossible => continue,
                    trouble => return trouble,
                }
            }
            let Some(finding) = (tool.judge)(&outcome, address, what) else { continue };
            let mut all = self.known();
            let known = all.entry(target.container.clone()).or_default();
            *(if what.get.is_some() { &mut known.http } else { &mut known.tcp }) = Some(index);
            return finding;
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
    /// What its end says; None: it doesn't work as it should here, and the next one is tried.
    judge: fn(&ExecOutcome, Ipv4Addr, Question<'_>) -> Option<Finding>,
    /// How much of its output the judgement needs.
    keep: usize,
}

const HTTP: [Tool; 4] = [
    Tool { name: "curl", command: curl, judge: judge_curl, keep: exec::OUTPUT },
    Tool { name: "wget", command: wget, judge: judge_wget, keep: exec::OUTPUT },
    Tool {
        name: "bash",
        command: |to, what| script("bash", BASH_HTTP, to, what),
        judge: judge_head,
        keep: exec::OUTPUT,
    },
    Tool { name: "nc", command: |to, what| script("sh", NC_HTTP, to, what), judge: judge_head, keep: exec::OUTPUT },
];

const TCP: [Tool; 2] = [
    // Leaves no trace in the program's log. Sockets that listen come first, each with a line of 150 bytes.
    Tool { name: "cat", command: |_, _| words(PROC_NET), judge: judge_proc_net, keep: 256 << 10 },
    Tool {
        name: "bash",
        command: |to, what| script("bash", BASH_TCP, to, what),
        judge: judge_connect,
        keep: exec::OUTPUT,
    },
];

/// Exit codes of curl, and of our scripts.
const NO_CONNECTION: i64 = 7;
const NO_ANSWER: i64 = 28;
const EMPTY_ANSWER: i64 = 52;

const PROC_NET: &[&str] = &["cat", "/proc/net/tcp", "/proc/net/tcp6"];
// The arguments of the scripts are address, port, seconds and the request.
const BASH_TCP: &str = r#"{ exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null || exit 7"#;
const BASH_HTTP: &str = r#"{ exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null || exit 7
printf %s "$4" >&3; IFS= read -r -t "$3" line <&3; code=$?
if [ -n "$line" ]; then printf '%s\n' "$line"; elif [ "$code" -gt 128 ]; then exit 28; else exit 52; fi"#;
// Not every nc has a time limit for the answer; then our own ends the wait, though not the command.
const NC_HTTP: &str = r#"command -v nc >/dev/null || exit 127
answer=$(printf %s "$4" | nc -w "$3" "$1" "$2" 2>/dev/null); code=$?
if [ -n "$answer" ]; then printf '%s\n' "${answer%%
*}"; elif [ "$code" -ne 0 ]; then exit 7; else exit 52; fi"#;

fn script(shell: &str, script: &str, to: Ipv4Addr, what: Question<'_>) -> Vec<String> {
    let mut command = words(&[shell, "-c", script, shell, &to.to_string(), &what.port.to_string()]);
    command.extend([seconds(what.limit), what.get.map(|get| get.text()).unwrap_or_default()]);
    command
}

fn curl(to: Ipv4Addr, what: Question<'_>) -> Vec<String> {
    let options = ["curl", "-gsS", "--noproxy", "*", "-o", "/dev/null", "-w", "\n%{http_code}", "-m"];
    fetch(&options, "-H", to, what)
}

fn wget(to: Ipv4Addr, what: Question<'_>) -> Vec<String> {
    fetch(&["wget", "-nv", "-O", "/dev/null", "-t", "1", "-Y", "off", "-T"], "--header", to, what)
}

/// Options, of which the last is the time limit's, then that limit, the headers and the URL.
fn fetch(options: &[&str], header: &str, to: Ipv4Addr, what: Question<'_>) -> Vec<String> {
    let mut command = words(options);
    command.push(seconds(what.limit));
    for (name, value) in what.get.iter().flat_map(Get::all_headers) {
        command.extend([header.to_owned(), format!("{name}: {value}")]);
    }
    command.push(format!("http://{to}:{}{}", what.port, what.get.map(|get| get.target()).unwrap_or_default()));
    command
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The limit in whole seconds, rounded up: not every tool knows fractions.
fn seconds(limit: Duration) -> String {
    (limit.as_secs() + u64::from(limit.subsec_nanos() > 0)).max(1).to_string()
}

fn judge_curl(outcome: &ExecOutcome, _: Ipv4Addr, what: Question<'_>) -> Option<Finding> {
    if outcome.code == 0 {
        return Some(status(last_line(&outcome.output)?.parse().ok()?, None));
    }
    // 1 and 2 are curl's for "can't do that"; from 128 on it was a signal.
    let broken = matches!(outcome.code, 1 | 2 | 128..);
    let error = || outcome.output.lines().find(|line| line.starts_with("curl:")).and_then(last_line);
    (!broken).then(|| {
        failed(outcome.code, what)
            .unwrap_or_else(|| Finding::refuses(error().unwrap_or_else(|| format!("curl: exit {}", outcome.code))))
    })
}

/// Two programs go by this name, and both tell the status only in their text.
fn judge_wget(outcome: &ExecOutcome, _: Ipv4Addr, what: Question<'_>) -> Option<Finding> {
    let output = &outcome.output;
    if outcome.code == 0 {
        return Some(Finding::pass("answers"));
    }
    if let Some((_, answer)) = output.split_once("server returned error: ") {
        return Some(status_line(answer));
    }
    if let Some((code, name)) = output.split_once(" ERROR ").and_then(|(_, answer)| answer.split_once(": ")) {
        return Some(status(code.parse().ok()?, Some(name.trim_end().trim_end_matches('.'))));
    }
    let says = |text: &str| output.contains(text);
    if says("refused") {
        failed(NO_CONNECTION, what)
    } else if says("timed out") {
        failed(NO_ANSWER, what)
    } else if says("No data received") || says("error getting response") {
        failed(EMPTY_ANSWER, what)
    } else {
        None
    }
}

/// For scripts that print the first line of the answer.
fn judge_head(outcome: &ExecOutcome, _: Ipv4Addr, what: Question<'_>) -> Option<Finding> {
    if outcome.code == 0 { Some(status_line(&outcome.output)) } else { failed(outcome.code, what) }
}

fn judge_connect(outcome: &ExecOutcome, _: Ipv4Addr, what: Question<'_>) -> Option<Finding> {
    if outcome.code == 0 { Some(Finding::pass("accepts connections")) } else { failed(outcome.code, what) }
}

/// Looks for a socket that listens (state 0A) on the port, at any address or at the one that peers use.
fn judge_proc_net(outcome: &ExecOutcome, to: Ipv4Addr, what: Question<'_>) -> Option<Finding> {
    if !outcome.output.contains("local_address") {
        return None;
    }
    let mine = format!("{:08X}", u32::from_le_bytes(to.octets()));
    let port = format!("{:04X}", what.port);
    let listens = outcome.output.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (Some(local), Some("0A")) = (fields.next(), fields.nth(1)) else { return false };
        local.rsplit_once(':').is_some_and(|(address, at)| {
            at == port && (address.ends_with(&mine) || address.bytes().all(|digit| digit == b'0'))
        })
    });
    if listens { Some(Finding::pass("accepts connections")) } else { failed(NO_CONNECTION, what) }
}

/// Reads `HTTP/1.1 503 Service Unavailable`.
fn status_line(text: &str) -> Finding {
    let mut parts = text.lines().next().unwrap_or_default().trim().splitn(3, ' ');
    match (parts.next(), parts.next().and_then(|code| code.parse().ok())) {
        (Some(version), Some(code)) if version.starts_with("HTTP/") => status(code, parts.next()),
        _ => Finding::refuses("the answer isn't HTTP"),
    }
}

fn failed(code: i64, what: Question<'_>) -> Option<Finding> {
    match code {
        NO_CONNECTION => Some(Finding::unreachable("connection refused")),
        NO_ANSWER => Some(Finding::refuses(format!("no answer in {}", limit_text(what.limit)))),
        EMPTY_ANSWER => Some(Finding::refuses("closed the connection without an answer")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::{closed_port, serve};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const HOST: Get<'static> = Get { host: "db:80", path: "/ready", headers: &[] };

    const fn http(port: u16) -> Question<'static> {
        Question { port, get: Some(HOST), limit: Duration::from_secs(1) }
    }

    const fn tcp(port: u16) -> Question<'static> {
        Question { get: None, ..http(port) }
    }

    async fn server(answer: &'static str) -> u16 {
        let address = serve(move |mut stream| async move {
            let mut request = Vec::new();
            // Bash writes line by line.
            while !request.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            let request = String::from_utf8(request).unwrap();
            assert!(request.starts_with("GET /ready HTTP/1."), "{request}");
            assert_eq!(request.matches("Host: db:80\r\n").count(), 1, "{request}");
            let _ = stream.write_all(answer.as_bytes()).await;
        });
        address.await.port()
    }

    /// Runs the tool here as it would run in a container; None if this machine doesn't have it.
    async fn run(tool: &Tool, what: Question<'_>) -> Option<Finding> {
        let command = (tool.command)(Ipv4Addr::LOCALHOST, what);
        let mut process = tokio::process::Command::new(&command[0]);
        let ended = process.args(&command[1..]).env("http_proxy", "http://127.0.0.1:1").output().await.ok()?;
        let code = i64::from(ended.status.code()?);
        let output = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        (code != 127).then(|| (tool.judge)(&ExecOutcome { code, output }, Ipv4Addr::LOCALHOST, what)).flatten()
    }

    #[tokio::test]
    async fn the_tools_of_this_machine_agree_about_http() {
        let silent = serve(|stream| async { std::mem::forget(stream) }).await.port();
        for (port, verdict, text) in [
            (server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await, Verdict::Pass, "200"),
            (server("HTTP/1.0 503 Service Unavailable\r\n\r\nno").await, Verdict::Refuses, "503: Service Unavailable"),
            (server("").await, Verdict::Refuses, "closed the connection without an answer"),
            (closed_port().await.port(), Verdict::Unreachable, "connection refused"),
            (silent, Verdict::Refuses, "no answer in 1 s"),
        ] {
            for tool in &HTTP {
                if let Some(finding) = run(tool, http(port)).await {
                    assert_eq!(finding.verdict, verdict, "{} on {text}", tool.name);
                    assert!(finding.text == text || finding.text == "answers", "{}: {}", tool.name, finding.text);
                }
            }
        }
    }

    #[tokio::test]
    async fn the_tools_of_this_machine_agree_about_connections() {
        let listens = serve(|_| async {}).await.port();
        for tool in &TCP {
            if let Some(finding) = run(tool, tcp(listens)).await {
                assert_eq!(finding, Finding::pass("accepts connections"), "{}", tool.name);
                let closed = run(tool, tcp(closed_port().await.port())).await;
                assert_eq!(closed, Some(Finding::unreachable("connection refused")), "{}", tool.name);
            }
        }
    }

    #[test]
    fn busybox_says_the_status_in_its_own_words() {
        let judge = |code, output: &str| {
            judge_wget(&ExecOutcome { code, output: output.to_owned() }, Ipv4Addr::LOCALHOST, http(80))
        };
        let answer = "Connecting to db\nwget: server returned error: HTTP/1.1 503 Service Unavailable\n";
        assert_eq!(judge(1, answer), Some(Finding::refuses("503: Service Unavailable")));
        let refused = "wget: can't connect to remote host (127.0.0.1): Connection refused\n";
        assert_eq!(judge(1, refused), Some(Finding::unreachable("connection refused")));
        // Debian's crashes when it is given a time limit.
        assert_eq!(judge(139, ""), None);
        assert_eq!(judge(1, "wget: unrecognized option: T\nUsage: wget …\n"), None);
    }

    #[test]
    fn only_sockets_that_peers_could_reach_count() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
             \x20  0: 00000000:07E8 00000000:0000 0A 00000000:00000000\n\
             \x20  1: 0100007F:4651 00000000:0000 0A 00000000:00000000\n\
             \x20  2: 0200E70A:1F90 0100E70A:9C40 01 00000000:00000000\n\
             \x20  0: 00000000000000000000000000000000:1538 00000000000000000000000000000000:0000 0A\n\
             \x20  1: 0000000000000000FFFF00000200E70A:1F91 00000000000000000000000000000000:0000 0A\n";
        let at = |output: &str, port| {
            let outcome = ExecOutcome { code: 0, output: output.to_owned() };
            judge_proc_net(&outcome, Ipv4Addr::new(10, 231, 0, 2), tcp(port)).map(|finding| finding.verdict)
        };
        for (port, verdict) in [
            (2024, Verdict::Pass),
            (18_001, Verdict::Unreachable),
            (8080, Verdict::Unreachable),
            (8081, Verdict::Pass),
            (5432, Verdict::Pass),
            (80, Verdict::Unreachable),
        ] {
            assert_eq!(at(table, port), Some(verdict), "{port}");
        }
        assert_eq!(at("cat: can't open '/proc/net/tcp': Permission denied", 80), None);
    }

    #[test]
    fn limits_are_rounded_up_to_seconds() {
        let texts = [0, 1, 1000, 1001].map(|ms| seconds(Duration::from_millis(ms)));
        assert_eq!(texts, ["1", "1", "1", "2"]);
    }
}
