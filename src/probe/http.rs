//! One GET over a connection that is made for it and closed after it.
//!
//! Everything happens in the caller's future, so dropping that leaves nothing behind.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::finding::{Finding, first_line, limit_text, status};
use super::{Verdict, tcp};

/// How much of a refusal's body is read for its text.
const BODY: usize = 4 << 10;
/// Response headers longer than this aren't those of a health endpoint.
const HEAD: usize = 64 << 10;

/// What to ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Get<'a> {
    /// Value of the Host header.
    pub(super) host: &'a str,
    /// Path and query.
    pub(super) path: &'a str,
    /// Additional headers; one named Host replaces ours.
    pub(super) headers: &'a [(String, String)],
}

impl<'a> Get<'a> {
    /// Path and query with the leading slash.
    pub(super) fn target(&self) -> String {
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        format!("{slash}{}", self.path)
    }

    /// The headers given, and those of ours that they don't replace.
    pub(super) fn all_headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let given = self.headers;
        let agent = concat!("convoke/", env!("CARGO_PKG_VERSION"));
        let ours = [("Host", self.host), ("User-Agent", agent), ("Accept", "*/*"), ("Connection", "close")];
        let replaced = move |name: &str| given.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        ours.into_iter()
            .filter(move |(name, _)| !replaced(name))
            .chain(given.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// The request as it goes over the wire, for tools that know nothing of HTTP.
    pub(super) fn text(&self) -> String {
        let mut text = format!("GET {} HTTP/1.0\r\n", self.target());
        for (name, value) in self.all_headers() {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text + "\r\n"
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
        let builder = Request::builder().uri(self.target());
        self.all_headers().fold(builder, |builder, (name, value)| builder.header(name, value)).body(Empty::new())
    }
}

/// Asks over `stream` and closes it. `deadline` ends the attempt that was given `limit` in all; `proxied` says that a
/// published port's proxy may have accepted for a program that isn't there.
pub(super) async fn get(stream: TcpStream, get: Get<'_>, deadline: Instant, limit: Duration, proxied: bool) -> Finding {
    let request = match get.request() {
        Ok(request) => request,
        Err(error) => return Finding::impossible(format!("can't ask for {:?}: {error}", get.path)),
    };
    match timeout_at(deadline, exchange(stream, request, deadline)).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(error)) => failed(&error, proxied),
        Err(_) => Finding::refuses(format!("accepted the connection, no answer in {}", limit_text(limit))),
    }
}

/// Sends the request and reads as much of the response as the answer needs, driving the connection meanwhile.
async fn exchange(stream: TcpStream, request: Request<Empty<Bytes>>, deadline: Instant) -> hyper::Result<Finding> {
    let (mut sender, connection) = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await?;
    let answer = pin!(async move { Ok(judge(sender.send_request(request).await?, deadline).await) });
    match select(answer, pin!(connection)).await {
        Either::Left((finding, _)) => finding,
        // The connection ended; whatever came over it is there for the answer to read.
        Either::Right((_, answer)) => answer.await,
    }
}

/// What the response says.
async fn judge(response: Response<Incoming>, deadline: Instant) -> Finding {
    let code = response.status().as_u16();
    if status(code, None).verdict == Verdict::Pass {
        return status(code, None);
    }
    let body = beginning(response.into_body(), deadline).await;
    // A page for browsers says less than the status itself.
    status(code, first_line(&body).filter(|line| !line.starts_with('<')).as_deref())
}

/// The first bytes of a body: what arrived before the deadline and fits, whatever happens after it.
async fn beginning(mut body: Incoming, deadline: Instant) -> String {
    let mut bytes = Vec::new();
    // Before the deadline of the attempt, so that a status without the rest of its body is still an answer.
    let enough = deadline - (deadline.saturating_duration_since(Instant::now()) / 4);
    while bytes.len() < BODY {
        match timeout_at(enough, body.frame()).await {
            Ok(Some(Ok(frame))) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            _ => break,
        }
    }
    bytes.truncate(BODY);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn failed(error: &hyper::Error, proxied: bool) -> Finding {
    if error.is_parse() {
        return Finding::refuses(format!("the answer isn't HTTP: {error}"));
    }
    if proxied {
        return Finding::unreachable(tcp::NOBODY_BEHIND);
    }
    Finding::refuses("closed the connection without an answer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::serve;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc;

    const ASK: Get<'static> = Get { host: "db-1:8080", path: "/ready", headers: &[] };

    /// What is found when the server reads the request, answers with these bytes and closes.
    async fn answered(bytes: impl AsRef<[u8]> + Clone + Send + Sync + 'static) -> Finding {
        let server = serve(move |mut stream| {
            let bytes = bytes.clone();
            async move {
                let _ = stream.read(&mut [0; 4096]).await;
                // A body that nobody wants to read to its end breaks the connection.
                let _ = stream.write_all(bytes.as_ref()).await;
            }
        });
        ask(server.await, Duration::from_secs(5), false).await
    }

    async fn ask(server: std::net::SocketAddr, limit: Duration, proxied: bool) -> Finding {
        let deadline = Instant::now() + limit;
        get(TcpStream::connect(server).await.unwrap(), ASK, deadline, limit, proxied).await
    }

    #[tokio::test]
    async fn statuses_from_200_to_399_pass() {
        for (head, text) in [
            ("200 OK\r\ncontent-length: 2\r\n\r\nok", "200"),
            ("204 No Content\r\n\r\n", "204"),
            ("302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n", "302"),
            ("399 X\r\n\r\n", "399"),
        ] {
            assert_eq!(answered(format!("HTTP/1.1 {head}")).await, Finding::pass(text));
        }
        assert_eq!(answered("HTTP/1.0 200 OK\r\n\r\nold").await, Finding::pass("200"));
    }

    #[tokio::test]
    async fn a_refusal_brings_the_beginning_of_its_body() {
        for (head, text) in [
            ("503 Service Unavailable\r\ncontent-length: 12\r\n\r\n\nwarming up\n", "503: warming up"),
            ("500 Oops\r\ntransfer-encoding: chunked\r\n\r\n4\r\nno \n\r\n2\r\nok\r\n0\r\n\r\n", "500: no"),
            ("404 Nope\r\ncontent-length: 0\r\n\r\n", "404: Not Found"),
            ("502 B\r\ncontent-type: text/html\r\n\r\n<html>\n<h1>Bad</h1>", "502: Bad Gateway"),
            ("400 B\r\ncontent-length: 100\r\n\r\nhalf of it", "400: half of it"),
            ("599 X\r\n\r\n", "599"),
        ] {
            assert_eq!(answered(format!("HTTP/1.1 {head}")).await, Finding::refuses(text));
        }
    }

    #[tokio::test]
    async fn a_huge_body_is_not_read_to_its_end() {
        let (pass, mut refusal) = (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b"HTTP/1.1 503 No\r\n\r\n".to_vec());
        refusal.resize(64 << 20, b'x');
        assert_eq!(answered(pass).await, Finding::pass("200"));
        let text = answered(refusal).await.text;
        assert!(text.starts_with("503: xxx") && text.len() < 200, "{text}");
    }

    #[tokio::test]
    async fn what_is_not_http_is_refused() {
        for garbage in ["SSH-2.0-OpenSSH_9.2\r\n", "\0\0\0\x04\0\0\0\0\0", "HTTP/1.1 abc\r\n\r\n"] {
            let finding = answered(garbage).await;
            assert_eq!(finding.verdict, Verdict::Refuses);
            assert!(finding.text.starts_with("the answer isn't HTTP: "), "{}", finding.text);
        }
        let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
        assert_eq!(answered(head).await.verdict, Verdict::Refuses);
    }

    #[tokio::test]
    async fn closing_without_an_answer() {
        let server = serve(|stream| async { drop(stream) }).await;
        let limit = Duration::from_secs(5);
        assert_eq!(ask(server, limit, false).await, Finding::refuses("closed the connection without an answer"));
        assert_eq!(ask(server, limit, true).await, Finding::unreachable(tcp::NOBODY_BEHIND));
        assert_eq!(answered("").await, Finding::refuses("closed the connection without an answer"));
    }

    #[tokio::test]
    async fn silence_after_the_connection() {
        let server = serve(|stream| async { std::mem::forget(stream) }).await;
        let begun = Instant::now();
        let finding = ask(server, Duration::from_millis(100), false).await;
        assert_eq!(finding, Finding::refuses("accepted the connection, no answer in 100 ms"));
        assert!(begun.elapsed() < Duration::from_millis(500));
    }

    #[tokio::test]
    async fn a_body_that_trickles_does_not_cost_the_status() {
        let server = serve(|mut stream| async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 503 Slow\r\n\r\nstep 1\n").await;
            std::mem::forget(stream);
        });
        assert_eq!(ask(server.await, Duration::from_millis(200), false).await, Finding::refuses("503: step 1"));
    }

    #[tokio::test]
    async fn the_request_names_the_component_and_closes() {
        let (seen, mut requests) = mpsc::unbounded_channel();
        let server = serve(move |mut stream| {
            let seen = seen.clone();
            async move {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                seen.send(String::from_utf8_lossy(&request[..length]).into_owned()).unwrap();
            }
        });
        let server = server.await;
        let headers = [("x-token".to_owned(), "1".to_owned()), ("host".to_owned(), "other".to_owned())];
        for ask in [ASK, Get { path: "ready?a=b", headers: &headers, ..ASK }] {
            let limit = Duration::from_secs(5);
            get(TcpStream::connect(server).await.unwrap(), ask, Instant::now() + limit, limit, false).await;
        }
        insta::assert_snapshot!(requests.recv().await.unwrap().replace('\r', ""), @r"
        GET /ready HTTP/1.1
        host: db-1:8080
        user-agent: convoke/0.1.0
        accept: */*
        connection: close
        ");
        insta::assert_snapshot!(requests.recv().await.unwrap().replace('\r', ""), @r"
        GET /ready?a=b HTTP/1.1
        user-agent: convoke/0.1.0
        accept: */*
        connection: close
        x-token: 1
        host: other
        ");
    }

    #[tokio::test]
    async fn a_request_that_can_t_be_written_is_impossible() {
        let server = serve(|stream| async { std::mem::forget(stream) }).await;
        let bad = [("x y".to_owned(), "1".to_owned())];
        for ask in [Get { path: "/a b", ..ASK }, Get { headers: &bad, ..ASK }] {
            let limit = Duration::from_secs(5);
            let stream = TcpStream::connect(server).await.unwrap();
            assert_eq!(get(stream, ask, Instant::now() + limit, limit, false).await.verdict, Verdict::Impossible);
        }
    }

    #[tokio::test]
    async fn dropping_the_attempt_closes_the_connection() {
        let (closed, mut ends) = mpsc::unbounded_channel();
        let server = serve(move |mut stream| {
            let closed = closed.clone();
            async move {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                closed.send(all.len()).unwrap();
            }
        });
        let server = server.await;
        let limit = Duration::from_secs(60);
        let attempt = tokio::spawn(async move { ask(server, limit, false).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        attempt.abort();
        assert!(ends.recv().await.unwrap() > 0, "the request had been sent");
    }
}
