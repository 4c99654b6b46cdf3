//! Booting, listening and answering.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::{failed, log, peer};

/// Requests longer than this are cut off.
const REQUEST_LIMIT: u64 = 8192;
/// Memory is eaten in blocks of one MiB.
const MIB: usize = 1 << 20;

/// When readiness begins and ends, as times after the start.
#[derive(Debug, Clone, Copy)]
struct Readiness {
    start: Instant,
    after: Duration,
    until: Option<Duration>,
}

impl Readiness {
    fn now(self) -> bool {
        let elapsed = self.start.elapsed();
        elapsed >= self.after && self.until.is_none_or(|until| elapsed < until)
    }
}

/// Boots and serves until told to exit.
pub fn run(options: &Options, start: Instant) -> ExitCode {
    log_later(options, start);
    if let Some(code) = options.exit {
        match options.after {
            None => return exiting(code),
            Some(after) => exit_later(code, after, start),
        }
    }
    std::thread::sleep(options.boot.saturating_sub(start.elapsed()));
    if let Some(mebibytes) = options.eat_memory {
        eat_memory(mebibytes);
    }
    let listener = match listen(options.port) {
        Ok(listener) => listener,
        Err(error) => return failed(&format!("can't listen on port {}: {error}", options.port)),
    };
    log(&format!("listening on {} at {} ms", options.port, start.elapsed().as_millis()));
    let readiness = Readiness { start, after: options.ready_after, until: options.ready_until };
    let hang = options.hang;
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || if hang { hold(&stream) } else { answer(stream, readiness) });
    }
    failed("no longer listening")
}

/// All addresses, IPv6 as well where the container has it.
fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        .or_else(|_| TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))
}

fn exiting(code: u8) -> ExitCode {
    log(&format!("exiting with {code}"));
    ExitCode::from(code)
}

fn exit_later(code: u8, after: Duration, start: Instant) {
    std::thread::spawn(move || {
        std::thread::sleep(after.saturating_sub(start.elapsed()));
        exiting(code);
        std::process::exit(i32::from(code));
    });
}

fn log_later(options: &Options, start: Instant) {
    let Some(line) = options.log_line.clone() else { return };
    let after = options.log_after;
    std::thread::spawn(move || {
        std::thread::sleep(after.saturating_sub(start.elapsed()));
        log(&line);
    });
}

/// Allocates so much and touches every page, so that the kernel has to find it; kept until the program ends.
fn eat_memory(mebibytes: usize) {
    log(&format!("eating {mebibytes} MiB"));
    for _ in 0..mebibytes {
        // Ones: pages of zeros would stay shared with the kernel's own.
        // The black box keeps the compiler from leaving out what nobody reads.
        std::mem::forget(std::hint::black_box(vec![1u8; MIB]));
    }
}

fn hold(_stream: &TcpStream) {
    loop {
        std::thread::park();
    }
}

fn answer(stream: TcpStream, readiness: Readiness) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let Some(target) = request_target(stream) else { return };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (status, body) = respond(path, query, readiness);
    let reason = if status < 400 { "OK" } else { "No" };
    let length = body.len() + 1;
    let head = format!("HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {length}");
    // A client that left early needs no answer.
    let _ = writer.write_all(format!("{head}\r\nConnection: close\r\n\r\n{body}\n").as_bytes());
}

/// The target of a request, once its head is complete.
fn request_target(stream: TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut lines = BufReader::new(stream.take(REQUEST_LIMIT)).lines();
    let first = lines.next()?.ok()?;
    for line in lines {
        if line.ok()?.is_empty() {
            break;
        }
    }
    first.split(' ').nth(1).map(str::to_owned)
}

fn respond(path: &str, query: &str, readiness: Readiness) -> (u16, String) {
    let parameter = |name| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    match path {
        "/" | "/live" => (200, "live".to_owned()),
        "/ready" | "/health" if readiness.now() => (200, "ready".to_owned()),
        "/ready" | "/health" => (503, "not ready yet".to_owned()),
        "/resolve" => parameter("name").map_or_else(|| missing("name"), resolve),
        "/connect" => parameter("peer").map_or_else(|| missing("peer"), connect),
        "/exit" => parameter("code").and_then(|code| code.parse().ok()).map_or_else(|| missing("code"), exit),
        _ => (404, format!("no {path} here")),
    }
}

fn missing(parameter: &str) -> (u16, String) {
    (400, format!("needs ?{parameter}="))
}

fn exit(code: u8) -> (u16, String) {
    // Late enough that the answer is out.
    let soon = Duration::from_millis(20);
    exit_later(code, soon, Instant::now());
    (200, format!("exiting with {code}"))
}

fn resolve(name: &str) -> (u16, String) {
    // The resolver wants a port as well.
    match peer::resolve(&format!("{name}:0")) {
        (Ok(address), ms) => (200, format!("{} in {ms} ms", address.ip())),
        (Err(error), ms) => (502, format!("unresolved in {ms} ms: {error}")),
    }
}

fn connect(name: &str) -> (u16, String) {
    match peer::resolve(name) {
        (Err(error), ms) => (502, format!("unresolved in {ms} ms: {error}")),
        (Ok(address), _) => match peer::connect(address) {
            (Ok(()), ms) => (200, format!("{} connected in {ms} ms", address.ip())),
            (Err(error), ms) => (502, format!("{} failed in {ms} ms: {error}", address.ip())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readiness(after: u64, until: Option<u64>) -> Readiness {
        Readiness { start: Instant::now(), after: Duration::from_secs(after), until: until.map(Duration::from_secs) }
    }

    fn status(path: &str, readiness: Readiness) -> u16 {
        respond(path, "", readiness).0
    }

    #[test]
    fn readiness_has_a_beginning_and_an_end() {
        assert_eq!(status("/ready", readiness(0, None)), 200);
        assert_eq!(status("/ready", readiness(60, None)), 503);
        assert_eq!(status("/health", readiness(0, Some(0))), 503);
        assert_eq!(status("/live", readiness(60, None)), 200);
    }

    #[test]
    fn queries_are_read() {
        let (code, body) = respond("/resolve", "a=b&name=127.0.0.1", readiness(0, None));
        assert!(code == 200 && body.starts_with("127.0.0.1 in "), "{code} {body}");
        assert_eq!(respond("/connect", "", readiness(0, None)).0, 400);
        assert_eq!(status("/else", readiness(0, None)), 404);
    }

    #[test]
    fn a_request_is_answered_over_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        answer(listener.accept().unwrap().0, readiness(0, None));
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nlive\n"), "{text}");
    }
}
