//! What a case works with: an engine, a cluster of its own, and requests that differ from a plain one by a line.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Mutex;
use std::time::Duration;

use convoke::cluster::ContainerSpec;
use convoke::engine::{
    Attach, CreateContainer, CreateNetwork, CreateVolume, Engine, EngineEvent, EngineEventKind, ErrorKind,
    ObservedContainer, Result, Status, Subnet, labels,
};
use convoke::names::{ClusterName, ComponentName, ContainerId, NetworkKey};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep, timeout};

/// The program in the image.
pub(crate) const PROGRAM: &str = "/bin/probe-target";
/// A real engine under load is slow; nothing in the suite takes longer than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Milliseconds.
pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One case's part of an engine.
pub(crate) struct Cx<E> {
    pub(crate) engine: E,
    pub(crate) cluster: ClusterName,
    image: String,
    containers: Mutex<Vec<ContainerId>>,
    networks: Mutex<Vec<String>>,
    volumes: Mutex<Vec<String>>,
}

/// A network that a case made.
pub(crate) struct Net {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) subnet: Subnet,
}

/// Runs a case, cleans up whether it passed or not, and checks that nothing is left.
pub(crate) async fn run<E: Engine>(cx: Cx<E>, case: impl AsyncFn(&Cx<E>)) {
    let passed = AssertUnwindSafe(case(&cx)).catch_unwind().await;
    cx.clean_up().await;
    if let Err(panic) = passed {
        resume_unwind(panic);
    }
    let left = cx.engine.observe(&cx.cluster).await.unwrap();
    assert!(left.containers.is_empty() && left.networks.is_empty() && left.volumes.is_empty(), "left: {left:?}");
}

impl<E: Engine> Cx<E> {
    pub(crate) fn new(engine: E, cluster: &str, image: &str) -> Self {
        Self {
            engine,
            cluster: ClusterName::new(cluster).unwrap(),
            image: image.to_owned(),
            containers: Mutex::default(),
            networks: Mutex::default(),
            volumes: Mutex::default(),
        }
    }

    /// The reference of the image.
    pub(crate) fn image(&self) -> &str {
        &self.image
    }

    /// The same program in an image with something more, such as a volume.
    pub(crate) fn image_with(&self, tag: &str) -> String {
        self.image.replace(":latest", &format!(":{tag}"))
    }

    /// An engine's name for something of this case.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.cluster)
    }

    /// Labels of the cluster's objects.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(labels::CLUSTER.to_owned(), self.cluster.to_string())])
    }

    /// A container of the cluster that runs the image's program with these words.
    pub(crate) fn request(&self, component: &str, arguments: &[&str]) -> CreateContainer {
        let mut labels = self.labels();
        labels.insert(labels::COMPONENT.to_owned(), component.to_owned());
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        CreateContainer {
            component: ComponentName::new(component).unwrap(),
            name: self.name(component),
            image: self.image.clone(),
            spec: ContainerSpec {
                entrypoint: Some(vec![PROGRAM.to_owned()]),
                command: Some(arguments),
                ..ContainerSpec::default()
            },
            health: None,
            health_disabled: false,
            labels,
            networks: Vec::new(),
            volumes: BTreeMap::new(),
            hosts: Vec::new(),
            publish_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            carried_volumes: BTreeMap::new(),
            files: Vec::new(),
            owners: Vec::new(),
            one_off: None,
        }
    }

    /// Creates a container; it is removed after the case.
    pub(crate) async fn create(&self, request: &CreateContainer) -> Result<ContainerId> {
        let id = self.engine.create_container(request).await?;
        self.containers.lock().unwrap().push(id.clone());
        Ok(id)
    }

    /// Creates and starts one.
    pub(crate) async fn start(&self, request: &CreateContainer) -> ContainerId {
        let id = self.create(request).await.unwrap();
        self.engine.start(&id).await.unwrap();
        id
    }

    /// One that serves until it is told to end.
    pub(crate) async fn server(&self, component: &str) -> ContainerId {
        self.start(&self.request(component, &[])).await
    }

    /// A container that must be there.
    pub(crate) async fn inspect(&self, id: &ContainerId) -> ObservedContainer {
        self.engine.inspect(id).await.unwrap().expect("the container is there")
    }

    /// Waits until a container is as wanted.
    pub(crate) async fn wait(
        &self,
        id: &ContainerId,
        wanted: impl Fn(&ObservedContainer) -> bool,
    ) -> ObservedContainer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.inspect(id).await;
            if wanted(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "still {:?}", seen.state);
            sleep(ms(20)).await;
        }
    }

    /// Waits until a container ended.
    pub(crate) async fn wait_for_end(&self, id: &ContainerId) -> ObservedContainer {
        self.wait(id, |seen| seen.state.status == Status::Exited).await
    }

    /// A request for a network of this name on this subnet.
    pub(crate) fn network_request(&self, name: &str, subnet: Option<Subnet>) -> CreateNetwork {
        CreateNetwork {
            name: self.name(name),
            labels: self.labels(),
            driver: None,
            driver_opts: BTreeMap::new(),
            internal: false,
            attachable: false,
            subnet,
            gateway: subnet.and_then(|subnet| subnet.address(1)),
            ip_range: subnet.map(|subnet| Subnet { base: subnet.address(8).unwrap(), prefix: 29 }),
            ipam: convoke::cluster::Ipam::default(),
        }
    }

    /// Creates a network; it is removed after the case.
    pub(crate) async fn create_network(&self, request: &CreateNetwork) -> Result<String> {
        let id = self.engine.create_network(request).await?;
        self.networks.lock().unwrap().push(id.clone());
        Ok(id)
    }

    /// A network of 16 addresses that nobody uses: the gateway is the first, dynamic ones are the upper half.
    pub(crate) async fn network(&self, name: &str) -> Net {
        let used = self.engine.observe(&self.cluster).await.unwrap().subnets_in_use;
        let all = (0..=u8::MAX).flat_map(|a| (0..16u8).map(move |b| Ipv4Addr::new(10, 199, a, b * 16)));
        let free =
            all.map(|base| Subnet { base, prefix: 28 }).filter(|at| !used.iter().any(|other| other.overlaps(*at)));
        // Others look for a free one at the same time: begin at a place of one's own.
        let skip = self.cluster.as_str().bytes().fold(0usize, |sum, byte| (sum * 31 + usize::from(byte)) % 2000);
        for subnet in free.skip(skip) {
            let request = self.network_request(name, Some(subnet));
            match self.create_network(&request).await {
                Ok(id) => return Net { id, name: request.name, subnet },
                Err(error) if error.kind == ErrorKind::PoolOverlaps => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("no subnet is free");
    }

    /// Creates a volume; it is removed after the case.
    pub(crate) async fn volume(&self, name: &str) -> String {
        let request = self.volume_request(name);
        self.engine.create_volume(&request).await.unwrap();
        self.volumes.lock().unwrap().push(request.name.clone());
        request.name
    }

    /// What such a volume is made of.
    pub(crate) fn volume_request(&self, name: &str) -> CreateVolume {
        CreateVolume { name: self.name(name), labels: self.labels(), driver: None, driver_opts: BTreeMap::new() }
    }

    /// A stream of the cluster's events, once it is confirmed.
    pub(crate) async fn events(&self) -> BoxStream<'static, Result<EngineEvent>> {
        let mut events = self.engine.events(&self.cluster);
        let first = timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(first.kind, EngineEventKind::Subscribed);
        events
    }

    async fn clean_up(&self) {
        let containers = std::mem::take(&mut *self.containers.lock().unwrap());
        for id in containers {
            self.engine.remove(&id, true).await.unwrap();
        }
        let networks = std::mem::take(&mut *self.networks.lock().unwrap());
        for id in networks {
            self.engine.remove_network(&id).await.unwrap();
        }
        let volumes = std::mem::take(&mut *self.volumes.lock().unwrap());
        for name in volumes {
            self.engine.remove_volume(&name).await.unwrap();
        }
    }
}

/// Events up to the first for which `last` holds, as component and action.
pub(crate) async fn events_until(
    events: &mut BoxStream<'static, Result<EngineEvent>>,
    last: impl Fn(&str, &str) -> bool,
) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    loop {
        let event = timeout(PATIENCE, events.next()).await.unwrap_or_else(|_| panic!("only {seen:?}"));
        let EngineEventKind::Container { component, action, .. } = event.unwrap().unwrap().kind else { continue };
        let component = component.map(String::from).unwrap_or_default();
        let done = last(&component, &action);
        seen.push((component, action));
        if done {
            return seen;
        }
    }
}

/// An attachment to a network.
pub(crate) fn attach(network: &Net, address: Option<Ipv4Addr>) -> Attach {
    Attach {
        key: NetworkKey::new("default").unwrap(),
        network_id: network.id.clone(),
        network_name: network.name.clone(),
        address,
        aliases: Vec::new(),
        settings: convoke::cluster::EndpointSettings::default(),
        fail_fast: false,
    }
}
