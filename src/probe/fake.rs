//! A prober for the fake engine. Here rather than beside that engine, which knows nothing of probes.
//!
//! Commands, log lines and the engine's health go through the real prober; only connections, for which a fake
//! container has no sockets, are answered from the fake world's state.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::finding::{Finding, limit_text};
use super::{Answer, EngineProber, Prober, ReachMode, Target};
use crate::cluster::{Probe, ProbeAction};
use crate::engine::fake::{FakeEngine, Reach};

/// How long a connection within the fake world takes.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// Asks the containers of a [`FakeEngine`].
#[derive(Debug, Clone)]
pub struct FakeProber {
    engine: FakeEngine,
    real: EngineProber<FakeEngine>,
}

impl FakeProber {
    /// A prober for this engine's world.
    #[must_use]
    pub fn new(engine: FakeEngine) -> Self {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let real = EngineProber::new(engine.clone(), &engine.known_info(), host, ReachMode::Auto);
        Self { engine, real }
    }

    /// `path` is what an HTTP request asks for; None just connects.
    async fn connect(&self, target: &Target, path: Option<&str>) -> Finding {
        sleep(ROUND_TRIP).await;
        let other_way = target.host_network || !target.published.is_empty();
        match self.engine.reach(&target.container, &target.addresses, other_way, path.unwrap_or_default()) {
            Reach::NoRoute => Finding::unreachable("no route to host"),
            Reach::Refused => Finding::unreachable("connection refused"),
            Reach::Hangs if path.is_some() => std::future::pending().await,
            Reach::Live if path.is_some() => Finding::refuses("503: not ready"),
            Reach::Ready if path.is_some() => Finding::pass("200"),
            Reach::Hangs | Reach::Live | Reach::Ready => Finding::pass("connected"),
        }
    }
}

impl Prober for FakeProber {
    async fn ask(&self, target: &Target, probe: &Probe) -> Answer {
        let path = match &probe.action {
            ProbeAction::Http { path, .. } => Some(path.as_str()),
            ProbeAction::Tcp { .. } => None,
            ProbeAction::Exec { .. } | ProbeAction::Log { .. } | ProbeAction::EngineHealth => {
                return self.real.ask(target, probe).await;
            }
        };
        let begun = Instant::now();
        let finding = timeout(probe.timeout, self.connect(target, path)).await;
        let late = |_| Finding::refuses(format!("no answer in {}", limit_text(probe.timeout)));
        finding.unwrap_or_else(late).timed(begun.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::ContainerSpec;
    use crate::engine::fake::Behaviour;
    use crate::engine::{CreateContainer, Engine, labels};
    use crate::names::{ComponentName, ContainerId};
    use crate::probe::Verdict;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    async fn target(engine: &FakeEngine, component: &str) -> Target {
        let name = ComponentName::new(component).unwrap();
        let request = CreateContainer {
            component: name.clone(),
            name: component.to_owned(),
            image: "img".to_owned(),
            spec: ContainerSpec { network_mode: Some("host".to_owned()), ..ContainerSpec::default() },
            health: None,
            health_disabled: false,
            labels: BTreeMap::from([
                (labels::CLUSTER.to_owned(), "c".to_owned()),
                (labels::COMPONENT.to_owned(), component.to_owned()),
            ]),
            networks: Vec::new(),
            volumes: BTreeMap::new(),
            hosts: Vec::new(),
            publish_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            carried_volumes: BTreeMap::new(),
            files: Vec::new(),
            owners: Vec::new(),
            one_off: None,
        };
        let container: ContainerId = engine.create_container(&request).await.unwrap();
        engine.start(&container).await.unwrap();
        let started_at = engine.inspect(&container).await.unwrap().unwrap().state.started_at;
        Target {
            component: name,
            container,
            addresses: Vec::new(),
            published: Vec::new(),
            host_network: true,
            started_at,
        }
    }

    async fn verdict(prober: &FakeProber, target: &Target, action: ProbeAction) -> Verdict {
        prober.ask(target, &Probe { action, timeout: ms(500) }).await.verdict
    }

    #[tokio::test(start_paused = true)]
    async fn verdicts_follow_the_component() {
        let behaviour = Behaviour::ready_after(ms(2000)).live_after(ms(1000)).prints(ms(1500), "now serving");
        let engine = FakeEngine::new(1).with_image("img").behave("a", behaviour);
        let prober = FakeProber::new(engine.clone());
        let target = target(&engine, "a").await;
        let http = || ProbeAction::Http { port: 1, path: "/ready".to_owned(), headers: Vec::new() };
        let exec = || ProbeAction::Exec { command: vec!["check".to_owned()] };
        assert_eq!(verdict(&prober, &target, http()).await, Verdict::Unreachable);
        sleep(ms(1000)).await;
        assert_eq!(verdict(&prober, &target, ProbeAction::Tcp { port: 1 }).await, Verdict::Pass);
        assert_eq!(verdict(&prober, &target, http()).await, Verdict::Refuses);
        assert_eq!(verdict(&prober, &target, exec()).await, Verdict::Refuses);
        let line = ProbeAction::Log { contains: "serving".to_owned() };
        assert_eq!(verdict(&prober, &target, line).await, Verdict::Pass);
        sleep(ms(1000)).await;
        assert_eq!(verdict(&prober, &target, http()).await, Verdict::Pass);
        assert_eq!(verdict(&prober, &target, exec()).await, Verdict::Pass);
        engine.crash("a", 1);
        assert_eq!(verdict(&prober, &target, http()).await, Verdict::Unreachable);
    }

    #[tokio::test(start_paused = true)]
    async fn hung_and_impossible_probes() {
        let engine = FakeEngine::new(1)
            .with_image("img")
            .behave("hung", Behaviour::default().hangs_probes())
            .behave("bare", Behaviour::default().missing_probe());
        let prober = FakeProber::new(engine.clone());
        let exec = || ProbeAction::Exec { command: vec!["check".to_owned()] };
        let hung = target(&engine, "hung").await;
        assert_eq!(verdict(&prober, &hung, exec()).await, Verdict::Refuses);
        let bare = target(&engine, "bare").await;
        assert_eq!(verdict(&prober, &bare, exec()).await, Verdict::Impossible);
    }
}
