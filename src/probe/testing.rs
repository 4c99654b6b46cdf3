//! Servers on loopback and fake containers for the tests of this folder.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::Target;
use crate::cluster::{ContainerSpec, HealthCheck};
use crate::engine::fake::FakeEngine;
use crate::engine::{CreateContainer, Engine, labels};
use crate::names::ComponentName;

/// Listens on a free port of loopback and hands each connection to `handle`.
pub(super) async fn serve<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    address
}

/// A port of loopback that nothing listens on.
pub(super) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A port of loopback that answers nothing at all to those who want to connect, as long as the guard lives.
pub(super) async fn silent_port() -> (SocketAddr, impl Sized) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let fills_the_backlog = TcpStream::connect(address).await.unwrap();
    (address, (listener, fills_the_backlog))
}

/// Starts a container of image `img` on the fake engine, and describes it with loopback as its address.
pub(super) async fn start(engine: &FakeEngine, component: &str, health: Option<HealthCheck>) -> Target {
    let name = ComponentName::new(component).unwrap();
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let request = CreateContainer {
        component: name.clone(),
        name: component.to_owned(),
        image: "img".to_owned(),
        spec: ContainerSpec::default(),
        health,
        health_disabled: false,
        labels: BTreeMap::from([label(labels::CLUSTER, "c"), label(labels::COMPONENT, component)]),
        networks: Vec::new(),
        volumes: BTreeMap::new(),
        hosts: Vec::new(),
        publish_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        carried_volumes: BTreeMap::new(),
        files: Vec::new(),
        owners: Vec::new(),
        one_off: None,
    };
    let container = engine.create_container(&request).await.unwrap();
    engine.start(&container).await.unwrap();
    let started_at = engine.inspect(&container).await.unwrap().unwrap().state.started_at;
    let addresses = vec![Ipv4Addr::LOCALHOST.into()];
    Target { component: name, container, addresses, published: Vec::new(), host_network: false, started_at }
}
