//! As much HTTP as tests need: version 1.0, where an answer ends with the connection and comes in one piece.

use std::io::{Read, Write};
use std::net::TcpStream;
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
    request(&Place::Host(host.to_owned()), "GET", path, "")
}

/// Posts JSON to a path at `host:port`; the status and the body.
#[track_caller]
pub(crate) fn http_post(host: &str, path: &str, body: &str) -> (u16, String) {
    request(&Place::Host(host.to_owned()), "POST", path, body)
}

/// Sends a request; the status and the body.
#[track_caller]
pub(crate) fn request(place: &Place, method: &str, path: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let kind = "Content-Type: application/json";
    let text = format!("{method} {path} HTTP/1.0\r\nHost: engine\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}");
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
