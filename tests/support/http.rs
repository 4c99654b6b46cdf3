//! As much HTTP as tests need: version 1.0, where an answer ends with the connection and comes in one piece.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Where a server listens.
pub(crate) enum Place {
    Socket(String),
    Host(String),
}

/// Asks `host:port` for a path; the status and the body.
#[track_caller]
pub(crate) fn http_get(host: &str, path: &str) -> (u16, String) {
    http_get_with(host, path, "Accept: */*")
}

/// The same with a header.
#[track_caller]
pub(crate) fn http_get_with(host: &str, path: &str, header: &str) -> (u16, String) {
    ask(&Place::Host(host.to_owned()), "GET", path, header, "")
}

/// Posts JSON to a path at `host:port`; the status and the body.
#[track_caller]
pub(crate) fn http_post(host: &str, path: &str, body: &str) -> (u16, String) {
    request(&Place::Host(host.to_owned()), "POST", path, body)
}

/// Sends a request; the status and the body.
#[track_caller]
pub(crate) fn request(place: &Place, method: &str, path: &str, body: &str) -> (u16, String) {
    ask(place, method, path, "Content-Type: application/json", body)
}

#[track_caller]
fn ask(place: &Place, method: &str, path: &str, header: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let text =
        format!("{method} {path} HTTP/1.0\r\nHost: engine\r\n{header}\r\nContent-Length: {length}\r\n\r\n{body}");
    let patience = Some(Duration::from_secs(30));
    match place {
        Place::Socket(path) => {
            let stream = UnixStream::connect(path).unwrap();
            stream.set_read_timeout(patience).unwrap();
            exchange(stream, &text)
        }
        Place::Host(host) => {
            let stream = TcpStream::connect(host).unwrap_or_else(|error| panic!("{host}: {error}"));
            stream.set_read_timeout(patience).unwrap();
            exchange(stream, &text)
        }
    }
}

/// An answer that comes line by line and doesn't end by itself.
pub(crate) struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
}

/// Ends an answer that is being read in another thread.
pub(crate) struct Ender(Box<dyn Fn() + Send>);

impl Ender {
    pub(crate) fn end(&self) {
        (self.0)();
    }
}

impl Lines {
    /// The next line; None at the end.
    pub(crate) fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).is_ok_and(|count| count > 0).then_some(line)
    }
}

/// Asks for an answer that comes line by line; it is there when this returns.
#[track_caller]
pub(crate) fn follow(place: &Place, path: &str) -> (Lines, Ender) {
    let request = format!("GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n");
    let (stream, ender): (Box<dyn Read + Send>, Ender) = match place {
        Place::Socket(path) => {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let other = stream.try_clone().unwrap();
            (Box::new(stream), Ender(Box::new(move || drop(other.shutdown(Shutdown::Both)))))
        }
        Place::Host(host) => {
            let mut stream = TcpStream::connect(host).unwrap_or_else(|error| panic!("{host}: {error}"));
            stream.write_all(request.as_bytes()).unwrap();
            let other = stream.try_clone().unwrap();
            (Box::new(stream), Ender(Box::new(move || drop(other.shutdown(Shutdown::Both)))))
        }
    };
    let mut lines = Lines { reader: BufReader::new(stream) };
    let status = lines.next().unwrap_or_default();
    assert!(status.contains(" 200 "), "{path}: {status}");
    while lines.next().is_some_and(|header| header.trim_end() != "") {}
    (lines, ender)
}

#[track_caller]
fn exchange(mut stream: impl Read + Write, request: &str) -> (u16, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("not an answer: {head:?}")), body.trim_end().to_owned())
}
