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
