//! The engine's events.
//!
//! A subscriber must know from when on nothing is missed: it observes after that, and the two overlap without a gap.
//! Bollard's stream doesn't show when the subscription is in place, so the request goes through a transport of our own
//! which tells when the head of the answer is there. The engine sends that head a moment before it registers the
//! subscriber; `since` with the time of the request makes it replay what happened in between.

use std::collections::HashMap;
use std::pin::Pin;

use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptions, EventsOptionsBuilder};
use bollard::{BollardRequest, Docker, errors::Error};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;

use super::address::Address;
use super::connect::{CLIENT_LIMIT, DockerEngine};
use super::failure::{QUESTION, explain, timed_out};
use crate::engine::{EngineError, EngineEvent, EngineEventKind, ErrorKind, Result, Verb, labels};
use crate::names::{ClusterName, ComponentName, ContainerId};

/// What is asked for. Every exec makes three more events, which a health check each second would flood us with.
const ACTIONS: [&str; 12] = [
    "create",
    "start",
    "die",
    "oom",
    "stop",
    "kill",
    "destroy",
    "rename",
    "health_status",
    "pause",
    "unpause",
    "restart",
];

type Messages = Pin<Box<dyn Stream<Item = std::result::Result<EventMessage, Error>> + Send>>;

impl DockerEngine {
    pub(super) fn event_stream(&self, cluster: &ClusterName) -> BoxStream<'static, Result<EngineEvent>> {
        let address = self.inner.address.clone();
        let options = options(cluster, Timestamp::now());
        stream::once(subscribe(address, options)).flat_map(events_of).boxed()
    }
}

fn options(cluster: &ClusterName, since: Timestamp) -> EventsOptions {
    let filters = HashMap::from([
        ("type", vec!["container".to_owned()]),
        ("label", vec![format!("{}={cluster}", labels::CLUSTER)]),
        ("event", ACTIONS.iter().map(|action| (*action).to_owned()).collect()),
    ]);
    let since = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
    EventsOptionsBuilder::default().since(&since).filters(&filters).build()
}

/// Sends the request and waits for the head of the answer; with it comes the message that arrived meanwhile, if any.
async fn subscribe(
    address: Address,
    options: EventsOptions,
) -> Result<(Option<std::result::Result<EventMessage, Error>>, Messages)> {
    let (accepted, mut accept) = mpsc::unbounded_channel();
    let transport = move |request| exchange(address.clone(), request, accepted.clone());
    let docker = Docker::connect_with_custom_transport(
        transport,
        Some("http://engine"),
        CLIENT_LIMIT.as_secs(),
        bollard::API_DEFAULT_VERSION,
    )
    .map_err(|error| explain(Verb::Watch, error))?;
    let mut messages: Messages = Box::pin(docker.events(Some(options)));
    let wait = async {
        tokio::select! {
            biased;
            _ = accept.recv() => Ok(None),
            first = messages.next() => match first {
                Some(Err(error)) => Err(explain(Verb::Watch, error)),
                Some(message) => Ok(Some(message)),
                None => Err(ended()),
            },
        }
    };
    let first = tokio::time::timeout(QUESTION, wait).await.map_err(|_| timed_out(Verb::Watch, QUESTION))??;
    Ok((first, messages))
}

/// One request on a connection of its own, which lives as long as the answer's body is read.
async fn exchange(
    address: Address,
    mut request: BollardRequest,
    accepted: mpsc::UnboundedSender<()>,
) -> std::result::Result<hyper::Response<Incoming>, Error> {
    // The client writes the whole URL for a proxy's use; a server wants the path, and its name in a header.
    if let Some(path) = request.uri().path_and_query().and_then(|path| path.as_str().parse().ok()) {
        *request.uri_mut() = path;
    }
    let host = match &address {
        Address::Unix(_) => HeaderValue::from_static("localhost"),
        Address::Tcp(host) => {
            HeaderValue::from_str(host).map_err(|error| Error::HttpClientError { err: error.into() })?
        }
    };
    request.headers_mut().insert(HOST, host);
    let response = match &address {
        Address::Unix(path) => send(UnixStream::connect(path).await?, request).await?,
        Address::Tcp(host) => send(TcpStream::connect(host.as_str()).await?, request).await?,
    };
    if response.status().is_success() {
        // Nobody listens any more if the subscriber was dropped meanwhile.
        let _ = accepted.send(());
    }
    Ok(response)
}

async fn send<C>(connection: C, request: BollardRequest) -> hyper::Result<hyper::Response<Incoming>>
where
    C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    // Ends when the body is dropped or the engine closes; a failure reaches the reader of the body.
    tokio::spawn(connection);
    sender.send_request(request).await
}

fn events_of(
    subscribed: Result<(Option<std::result::Result<EventMessage, Error>>, Messages)>,
) -> BoxStream<'static, Result<EngineEvent>> {
    match subscribed {
        Err(error) => stream::iter([Err(error)]).boxed(),
        Ok((first, rest)) => {
            let subscribed = Ok(EngineEvent { kind: EngineEventKind::Subscribed });
            let changes = stream::iter(first).chain(rest).filter_map(|message| async move {
                match message {
                    Ok(message) => event(message).map(Ok),
                    Err(error) => Some(Err(explain(Verb::Watch, error))),
                }
            });
            stream::iter([subscribed]).chain(until_error(changes)).boxed()
        }
    }
}

/// After an error nothing more can come, so that a reader which only skips errors doesn't spin.
fn until_error(
    changes: impl Stream<Item = Result<EngineEvent>> + Send + 'static,
) -> impl Stream<Item = Result<EngineEvent>> + Send {
    changes.scan(false, |failed, item| {
        let over = *failed;
        *failed = item.is_err();
        std::future::ready((!over).then_some(item))
    })
}

/// `health_status: healthy` and `exec_create: /bin/x` carry text after the action.
fn event(message: EventMessage) -> Option<EngineEvent> {
    let actor = message.actor?;
    let action = message.action?;
    let action = action.split(':').next().unwrap_or_default().trim().to_owned();
    let label = actor.attributes.as_ref().and_then(|all| all.get(labels::COMPONENT).cloned());
    let component = label.and_then(|label| ComponentName::new(label).ok());
    Some(EngineEvent { kind: EngineEventKind::Container { id: ContainerId::new(actor.id?).ok()?, component, action } })
}

fn ended() -> EngineError {
    let message = "the engine closed the connection".to_owned();
    EngineError { verb: Verb::Watch, kind: ErrorKind::Unreachable, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    fn cluster() -> ClusterName {
        ClusterName::new("shop").unwrap()
    }

    #[test]
    fn the_text_after_an_action_is_cut_off() {
        let message = serde_json::from_value(json!({
            "Type": "container", "Action": "health_status: healthy",
            "Actor": {"ID": "9880", "Attributes": {"convoke.component": "web", "name": "shop-web-1"}}
        }))
        .unwrap();
        let EngineEventKind::Container { id, component, action } = event(message).unwrap().kind else { panic!() };
        assert_eq!((id.as_str(), action.as_str()), ("9880", "health_status"));
        assert_eq!(component.unwrap().as_str(), "web");
    }

    #[test]
    fn the_subscription_begins_before_the_request() {
        let options = options(&cluster(), "2026-11-23T01:49:40.000000007Z".parse().unwrap());
        assert_eq!(options.since.as_deref(), Some("1795398580.000000007"));
        assert_eq!(options.filters.unwrap()["label"], ["convoke.cluster=shop"]);
    }

    /// An engine that accepts, sends the head when told to, and then one event.
    async fn engine_with(body: &'static str, delay: Duration) -> (tempfile::TempDir, Address) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /events?since="), "origin form");
            tokio::time::sleep(delay).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n").await.unwrap();
            tokio::time::sleep(delay).await;
            stream.write_all(body.as_bytes()).await.unwrap();
        });
        (folder, Address::Unix(path))
    }

    #[tokio::test]
    async fn subscribed_comes_with_the_head_of_the_answer_before_any_event() {
        let body = "{\"Action\":\"die\",\"Actor\":{\"ID\":\"9880\"}}\n";
        for delay in [0, 30] {
            let (_folder, address) = engine_with(body, Duration::from_millis(delay)).await;
            let began = tokio::time::Instant::now();
            let mut events =
                stream::once(subscribe(address, options(&cluster(), Timestamp::now()))).flat_map(events_of).boxed();
            let first = events.next().await.unwrap().unwrap();
            assert_eq!(first.kind, EngineEventKind::Subscribed);
            assert!(began.elapsed() >= Duration::from_millis(delay));
            let second = events.next().await.unwrap().unwrap();
            assert!(matches!(second.kind, EngineEventKind::Container { action, .. } if action == "die"));
            assert!(events.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn no_engine_is_one_error() {
        let address = Address::Unix("/nowhere/engine.sock".into());
        let subscribed = subscribe(address, options(&cluster(), Timestamp::now())).await;
        let items: Vec<_> = events_of(subscribed).collect().await;
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].as_ref().unwrap_err().kind, ErrorKind::Unreachable);
    }
}
