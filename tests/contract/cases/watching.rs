//! Observing, events, and the engine's own health checks.

use convoke::cluster::HealthCheck;
use convoke::engine::{Engine, EngineEventKind, HealthStatus, Status, labels};
use convoke::names::ClusterName;
use futures::StreamExt;
use tokio::time::timeout;

use crate::context::{Cx, PATIENCE, PROGRAM, events_until, ms};

pub(crate) async fn a_subscription_is_confirmed_first<E: Engine>(cx: &Cx<E>) {
    let mut events = cx.engine.events(&cx.cluster);
    let first = timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.kind, EngineEventKind::Subscribed);
    let id = cx.create(&cx.request("a", &[])).await.unwrap();
    let next = timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap();
    let component = Some(cx.request("a", &[]).component);
    assert_eq!(next.kind, EngineEventKind::Container { id, component, action: "create".to_owned() });
}

pub(crate) async fn only_the_cluster_s_own_events_come<E: Engine>(cx: &Cx<E>) {
    let mut events = cx.events().await;
    let mut other = cx.request("other", &["--exit", "0"]);
    other.labels.insert(labels::CLUSTER.to_owned(), format!("{}x", cx.cluster));
    let other = cx.start(&other).await;
    cx.wait_for_end(&other).await;
    cx.start(&cx.request("a", &["--exit", "0"])).await;
    let seen = events_until(&mut events, |_, action| action == "die").await;
    assert!(seen.iter().all(|(component, _)| component == "a"), "{seen:?}");
}

pub(crate) async fn a_container_s_life_is_told<E: Engine>(cx: &Cx<E>) {
    let mut events = cx.events().await;
    let id = cx.server("a").await;
    cx.engine.stop(&id, ms(5000)).await.unwrap();
    cx.engine.rename(&id, &cx.name("z")).await.unwrap();
    cx.engine.remove(&id, true).await.unwrap();
    let seen = events_until(&mut events, |_, action| action == "destroy").await;
    let mut actions: Vec<&str> = seen.iter().map(|(_, action)| action.as_str()).collect();
    // Which of the two comes first isn't promised, nor that a signal is told.
    actions.retain(|action| *action != "kill");
    actions[2..4].sort_unstable();
    assert_eq!(actions, ["create", "start", "die", "stop", "rename", "destroy"]);
}

pub(crate) async fn a_cluster_is_observed<E: Engine>(cx: &Cx<E>) {
    let network = cx.network("n").await;
    let volume = cx.volume("v").await;
    let running = cx.server("a").await;
    let created = cx.create(&cx.request("b", &[])).await.unwrap();
    let mut seen = cx.engine.observe(&cx.cluster).await.unwrap();
    seen.containers.sort_by(|a, b| a.component.cmp(&b.component));
    let containers: Vec<_> = seen.containers.iter().map(|at| (&at.id, at.state.status)).collect();
    assert_eq!(containers, [(&running, Status::Running), (&created, Status::Created)]);
    assert_eq!(seen.containers[0], cx.inspect(&running).await);
    let [only] = seen.networks.as_slice() else { panic!("{:?}", seen.networks) };
    assert_eq!((&only.id, &only.name, only.subnet), (&network.id, &network.name, Some(network.subnet)));
    assert!(only.subnet_configured && only.gateway == network.subnet.address(1));
    assert!(seen.subnets_in_use.contains(&network.subnet));
    assert_eq!(seen.volumes.iter().map(|at| at.name.as_str()).collect::<Vec<_>>(), [volume.as_str()]);
    assert!(seen.other_networks.iter().any(|at| at.name == "bridge" && at.subnet.is_some()));
}

pub(crate) async fn others_are_observed<E: Engine>(cx: &Cx<E>) {
    let network = cx.network("n").await;
    let volume = cx.volume("v").await;
    let mut foreign = cx.request("a", &[]);
    foreign.labels.clear();
    foreign.labels.insert(labels::COMPOSE_PROJECT.to_owned(), "theirs".to_owned());
    cx.create(&foreign).await.unwrap();
    let other = ClusterName::new(format!("{}x", cx.cluster)).unwrap();
    let seen = cx.engine.observe(&other).await.unwrap();
    assert!(seen.containers.is_empty() && seen.networks.is_empty() && seen.volumes.is_empty());
    let found = seen.foreign_containers.iter().find(|at| at.name == foreign.name).unwrap();
    assert_eq!(found.project.as_deref(), Some("theirs"));
    assert!(seen.other_networks.iter().any(|at| at.id == network.id));
    assert!(seen.other_volumes.contains(&volume));
    assert!(seen.subnets_in_use.contains(&network.subnet));
}

fn check() -> HealthCheck {
    HealthCheck {
        command: [PROGRAM, "check"].map(str::to_owned).to_vec(),
        shell: false,
        interval: ms(1000),
        timeout: ms(5000),
        retries: 2,
        start_period: ms(0),
        start_interval: Some(ms(500)),
    }
}

pub(crate) async fn the_engine_checks_health<E: Engine>(cx: &Cx<E>) {
    let mut events = cx.events().await;
    let mut good = cx.request("good", &[]);
    good.health = Some(check());
    let mut bad = cx.request("bad", &["--ready-after", "60m"]);
    bad.health = Some(check());
    let good = cx.start(&good).await;
    assert_eq!(cx.inspect(&good).await.state.health.unwrap().status, HealthStatus::Starting);
    let bad = cx.start(&bad).await;
    let status = |wanted| {
        move |seen: &convoke::engine::ObservedContainer| {
            seen.state.health.as_ref().is_some_and(|health| health.status == wanted)
        }
    };
    cx.wait(&good, status(HealthStatus::Healthy)).await;
    cx.wait(&bad, status(HealthStatus::Unhealthy)).await;
    let mut open = vec!["good", "bad"];
    while !open.is_empty() {
        let seen = events_until(&mut events, |_, action| action == "health_status").await;
        open.retain(|component| Some(*component) != seen.last().map(|(component, _)| component.as_str()));
    }
}

pub(crate) async fn an_image_s_health_check_counts<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &[]);
    request.image = cx.image_with("health");
    let check = cx.engine.image(&request.image).await.unwrap().unwrap().health.unwrap();
    assert_eq!(check.interval, std::time::Duration::from_secs(30));
    let id = cx.start(&request).await;
    assert_eq!(cx.inspect(&id).await.state.health.unwrap().status, HealthStatus::Starting);
}

pub(crate) async fn health_checks_can_be_turned_off<E: Engine>(cx: &Cx<E>) {
    for (component, image) in [("plain", cx.image().to_owned()), ("checked", cx.image_with("health"))] {
        let mut request = cx.request(component, &[]);
        request.image = image;
        request.health_disabled = true;
        let id = cx.start(&request).await;
        assert_eq!(cx.inspect(&id).await.state.health, None);
    }
}

pub(crate) async fn whatever_a_cluster_has_names_it<E: Engine>(cx: &Cx<E>) {
    let is_named = async || cx.engine.all_clusters().await.unwrap().contains(&cx.cluster);
    assert!(!is_named().await);
    let network = cx.network("n").await;
    assert!(is_named().await, "by a network");
    cx.engine.remove_network(&network.id).await.unwrap();
    assert!(!is_named().await);
    let volume = cx.volume("v").await;
    assert!(is_named().await, "by a volume");
    cx.engine.remove_volume(&volume).await.unwrap();
    let id = cx.create(&cx.request("a", &[])).await.unwrap();
    assert!(is_named().await, "by a container that never ran");
    cx.engine.remove(&id, true).await.unwrap();
    assert!(!is_named().await);
}
