//! Calls whose body is a stream: however long it is, as long as it goes on.

use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::Method;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use super::http::{CallError, Peer};

/// A stream that doesn't go on for so long has ended: its source, the way, or who takes it.
const STALLED: Duration = Duration::from_secs(120);
/// For the answer once all of it was sent: what was taken is put in its place.
const ANSWER: Duration = Duration::from_secs(600);

/// How far it is.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Mutex<Sent>>);

#[derive(Debug, Clone, Copy)]
struct Sent {
    bytes: u64,
    at: Instant,
    is_all: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Sent { bytes: 0, at: Instant::now(), is_all: false })))
    }
}

impl Progress {
    /// So many bytes went out.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.get().bytes
    }

    fn get(&self) -> Sent {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, bytes: usize, is_all: bool) {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.bytes += bytes as u64;
        sent.at = Instant::now();
        sent.is_all |= is_all;
    }

    /// When it is given up, unless it goes on before.
    fn deadline(&self) -> (Instant, Duration) {
        let sent = self.get();
        let limit = if sent.is_all { ANSWER } else { STALLED };
        (sent.at + limit, limit)
    }
}

/// A body that is watched on its way.
struct Watched<B> {
    inner: B,
    progress: Progress,
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let is_all = self.inner.is_end_stream();
                self.progress.add(frame.data_ref().map_or(0, Buf::remaining), is_all);
            }
            Poll::Ready(None) => self.progress.add(0, true),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Peer {
    /// `PUT` with this body. It may take as long as it likes while it goes on.
    ///
    /// # Errors
    /// When it doesn't go on, or there is no answer, or it isn't success.
    pub async fn upload<T, B>(&self, path: &str, body: B, progress: Progress) -> Result<T, CallError>
    where
        T: DeserializeOwned,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let unreachable = |why: String| CallError::Unreachable { peer: self.name.clone(), why };
        // An error's address is its path: what was asked for in detail is of no use to anyone.
        let what = format!("PUT {}", path.split('?').next().unwrap_or_default());
        let body = Watched { inner: body, progress: progress.clone() };
        let request = self.request(Method::PUT, path).header(CONTENT_TYPE, "application/x-tar").body(body);
        let request = request.map_err(|error| unreachable(error.to_string()))?;
        let mut exchange = pin!(self.exchange(request));
        loop {
            let (deadline, limit) = progress.deadline();
            tokio::select! {
                answer = &mut exchange => {
                    let (status, bytes) = answer.map_err(unreachable)?;
                    return self.understood(&what, status, bytes);
                }
                () = sleep_until(deadline) => {
                    if progress.deadline().0 <= Instant::now() {
                        return Err(CallError::Timeout { peer: self.name.clone(), what, limit });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neon::server::{Answer, Asked, serve};
    use futures::StreamExt;
    use futures::stream;
    use http_body_util::{BodyExt, StreamBody};
    use hyper::StatusCode;
    use tokio::net::TcpListener;

    fn body(pieces: usize, pause: Duration) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin + Send {
        let pieces = stream::iter(0..pieces).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok(Frame::data(Bytes::from(vec![7; 10_000])))
        });
        StreamBody::new(Box::pin(pieces))
    }

    async fn counting() -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve(listener, async |asked: Asked| {
            let arrived = asked.archive().expect("an archive").collect().await;
            arrived.map_or_else(
                |error| Answer::problem(StatusCode::BAD_REQUEST, error),
                |all| Answer::ok(all.to_bytes().len()),
            )
        }));
        Peer::new("x", address)
    }

    #[tokio::test]
    async fn all_of_a_stream_arrives_and_is_counted() {
        let (peer, progress) = (counting().await, Progress::default());
        let arrived: usize = peer.upload("/?a=b", body(50, Duration::ZERO), progress.clone()).await.unwrap();
        assert_eq!((arrived, progress.bytes()), (500_000, 500_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_does_not_go_on_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = Peer::new("x", listener.local_addr().unwrap().to_string());
        let begun = Instant::now();
        let error = silent.upload::<(), _>("/a?b=c", body(3, Duration::from_secs(100)), Progress::default()).await;
        // 300 s of sending, then the time for an answer.
        assert_eq!(error.unwrap_err().to_string(), "x gave no answer to PUT /a within 600 s");
        assert!((Duration::from_secs(899)..Duration::from_secs(902)).contains(&begun.elapsed()));
        let error = silent.upload::<(), _>("/", body(3, Duration::from_secs(130)), Progress::default()).await;
        assert_eq!(error.unwrap_err().to_string(), "x gave no answer to PUT / within 120 s");
    }

    #[tokio::test]
    async fn a_stream_that_breaks_is_told() {
        let peer = counting().await;
        let broken = StreamBody::new(stream::iter([
            Ok(Frame::data(Bytes::from_static(b"x"))),
            Err(std::io::Error::other("the disk is gone")),
        ]));
        let error = peer.upload::<usize, _>("/", broken, Progress::default()).await.unwrap_err();
        assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    }
}
