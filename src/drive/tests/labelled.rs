//! A cluster known by its labels only.

use super::harness::*;
use crate::cluster::{Component, GateCondition, ProbeAction, StartMode};
use crate::drive::driver::Options;
use crate::drive::stop::StopRequest;
use crate::engine::Engine;
use crate::engine::fake::{Behaviour, FakeEngine, Op};
use crate::event::{Outcome, Phase};
use crate::plan::labelled::from_labels;

fn by_labels() -> Options {
    Options { command: "start".into(), from_labels: true, ..Options::default() }
}

fn stop_request() -> StopRequest {
    StopRequest { command: "stop".into(), remove: false, volumes: false, ..down() }
}

fn three(seed: u64) -> (FakeEngine, crate::cluster::Cluster) {
    let mut job = gated(plain("job"), GateCondition::Ready, "db");
    job.completes = true;
    let web = gated(http("web"), GateCondition::Completed, "job");
    let engine = engine(seed)
        .behave("db", Behaviour::ready_after(ms(700)))
        .behave("web", Behaviour::ready_after(ms(50)))
        .behave("job", Behaviour::exits(ms(100), 0));
    let front = gated(http("front"), GateCondition::Ready, "db");
    (engine, cluster([checked("db"), job, web, front]))
}

#[tokio::test(start_paused = true)]
async fn labels_keep_what_a_start_needs() {
    let (engine, cluster) = three(1);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let rebuilt = from_labels(&cluster.name, &engine.observe(&cluster.name).await.unwrap());
    for (name, component) in &cluster.components {
        let again = &rebuilt.components[name];
        assert_eq!(again.probes, component.probes);
        assert_eq!((&again.gates, &again.needs), (&component.gates, &component.needs));
        assert_eq!((&again.service, again.number), (&component.service, component.number));
        assert_eq!((&again.config_hash, &again.container_name), (&component.config_hash, &component.container_name));
        assert_eq!(again.completes, component.completes);
        assert!(again.spec.networks.keys().eq(component.spec.networks.keys()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_cluster_starts_by_its_labels_and_obeys_its_gates() {
    let (engine, cluster) = three(2);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let before = engine.containers();
    stop_all(&engine, &cluster, &stop_request()).await.is(Outcome::Ready);
    let rebuilt = from_labels(&cluster.name, &engine.observe(&cluster.name).await.unwrap());
    let jobs = calls(&engine, Op::Start, "job").len();
    let ran = up_with(&engine, &rebuilt, by_labels()).await.is(Outcome::Ready);
    assert_eq!(calls(&engine, Op::Start, "job").len(), jobs, "a job that completed isn't run again");
    assert_eq!(calls(&engine, Op::Create, "db").len(), 1);
    assert!(ran.entered("job", Phase::Completed).unwrap() <= ran.entered("web", Phase::Starting).unwrap());
    assert!(ran.entered("db", Phase::Ready).unwrap() <= ran.entered("front", Phase::Starting).unwrap());
    let ids = |containers: Vec<crate::engine::ObservedContainer>| -> Vec<_> {
        containers.into_iter().map(|container| container.id).collect()
    };
    assert_eq!(ids(before), ids(engine.containers()));
}

/// A job that is done counts as one that has started, and a peer that isn't required and stays down as one that failed.
#[tokio::test(start_paused = true)]
async fn a_part_starts_beside_a_job_that_is_done_and_an_optional_peer_that_is_stopped() {
    let mut job = plain("job");
    job.completes = true;
    let mut web = gated(http("web"), GateCondition::Started, "job");
    web = gated(web, GateCondition::Ready, "cache");
    web.gates[1].required = false;
    let cluster = cluster([job, http("cache"), web]);
    let engine = engine(7)
        .behave("job", Behaviour::exits(ms(100), 0))
        .behave("cache", Behaviour::ready_after(ms(50)))
        .behave("web", Behaviour::ready_after(ms(50)));
    up(&engine, &cluster).await.is(Outcome::Ready);
    stop_all(&engine, &cluster, &stop_request()).await.is(Outcome::Ready);
    let rebuilt = from_labels(&cluster.name, &engine.observe(&cluster.name).await.unwrap());
    let options = Options { only: Some([name("web")].into()), ..by_labels() };
    let ran = up_with(&engine, &rebuilt, options).await.is(Outcome::Ready);
    assert!(ran.took < secs(2), "{}", ran.story());
    assert_eq!(calls(&engine, Op::Start, "cache").len(), 1);
}

/// A peer that goes down while its gate is waited for: the wait says so.
#[tokio::test(start_paused = true)]
async fn a_wait_for_a_peer_that_is_no_part_of_the_run_says_how_that_peer_is() {
    let cluster = cluster([http("db"), gated(http("web"), GateCondition::Ready, "db")]);
    let engine = engine(8).behave("db", Behaviour::ready_after(ms(50))).behave("web", Behaviour::ready_after(ms(50)));
    up(&engine, &cluster).await.is(Outcome::Ready);
    stop_all(&engine, &cluster, &stop_request()).await.is(Outcome::Ready);
    let rebuilt = from_labels(&cluster.name, &engine.observe(&cluster.name).await.unwrap());
    let options = Options { only: Some([name("web")].into()), timeout: Some(secs(20)), ..by_labels() };
    let ran = up_with(&engine, &rebuilt, options).await.is(Outcome::DeadlinePassed);
    let what = &ran.failures()[0].what;
    assert!(what.contains("starts when db is ready (db is stopped, and isn't part of this run)"), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_starts_together_does_so_by_its_labels_too() {
    let mut together = cluster([http("db"), gated(http("web"), GateCondition::Ready, "db")]);
    together.start = StartMode::Together;
    let engine = engine(3)
        .behave("db", Behaviour::ready_after(ms(50)).needs(["web"]))
        .behave("web", Behaviour::ready_after(ms(50)));
    up(&engine, &together).await.is(Outcome::Ready);
    stop_all(&engine, &together, &stop_request()).await.is(Outcome::Ready);
    let rebuilt = from_labels(&together.name, &engine.observe(&together.name).await.unwrap());
    let ran = up_with(&engine, &rebuilt, by_labels()).await.is(Outcome::Ready);
    assert!(ran.took < secs(1), "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_cannot_be_made_from_labels() {
    let (engine, cluster) = three(4);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let rebuilt = from_labels(&cluster.name, &engine.observe(&cluster.name).await.unwrap());
    let web = engine.containers().into_iter().find(|container| container.component == name("web")).unwrap();
    engine.remove(&web.id, true).await.unwrap();
    let ran = up_with(&engine, &rebuilt, by_labels()).await.is(Outcome::Failed);
    assert!(ran.failures()[0].what.contains("without its file"), "{}", ran.story());
}

/// A probe with a secret stays out of the label; what the engine runs itself it can be asked for.
#[tokio::test(start_paused = true)]
async fn a_secret_in_a_probe_is_not_kept() {
    let mut by_header = http("api");
    let ProbeAction::Http { headers, .. } = &mut by_header.probes.ready.as_mut().unwrap().action else { panic!() };
    headers.push(("authorization".into(), "Bearer hunter2".into()));
    let mut by_check = checked("db");
    by_check.probes.health.as_mut().unwrap().command = vec!["check".into(), "--password=hunter2".into()];
    let secrets = vec!["hunter2".to_owned()];
    let components = [by_header, by_check].map(|component| Component { secrets: secrets.clone(), ..component });
    let (engine, cluster) = (engine(5), cluster(components));
    up(&engine, &cluster).await.is(Outcome::Ready);
    let observed = engine.observe(&cluster.name).await.unwrap();
    let labels = format!("{:?}", observed.containers.iter().map(|container| &container.labels).collect::<Vec<_>>());
    assert!(!labels.contains("hunter2"), "{labels}");
    let rebuilt = from_labels(&cluster.name, &observed);
    let probes = |component: &str| &rebuilt.components[component].probes;
    assert!(probes("api").ready_withheld && probes("api").ready.is_none());
    assert_eq!(probes("db").ready.as_ref().unwrap().action, ProbeAction::EngineHealth);
    stop_all(&engine, &cluster, &stop_request()).await.is(Outcome::Ready);
    let ran = up_with(&engine, &rebuilt, by_labels()).await.is(Outcome::Ready);
    assert!(ran.warnings().iter().any(|warning| warning.contains("the probe of api")), "{}", ran.story());
}

/// A run that is killed while it makes a container leaves one without its hash.
#[tokio::test(start_paused = true)]
async fn a_container_that_is_not_complete_is_never_started() {
    let cluster = cluster([http("db"), http("web")]);
    let engine = engine(6);
    up(&engine, &cluster).await.is(Outcome::Ready);
    stop_all(&engine, &cluster, &stop_request()).await.is(Outcome::Ready);
    let mut observed = engine.observe(&cluster.name).await.unwrap();
    let mut leftover = observed.containers[0].clone();
    leftover.name.push_str(".unfinished");
    leftover.created_at = leftover.created_at.map(|at| at + secs(1));
    leftover.labels.remove(crate::engine::labels::CONFIG_HASH);
    observed.containers.insert(0, leftover);
    let rebuilt = from_labels(&cluster.name, &observed);
    assert_eq!(rebuilt.components["db"].config_hash, "first");
    assert_eq!(rebuilt.components["db"].container_name, "test-db-1");
    observed.containers.retain(|container| container.name != "test-db-1");
    let rebuilt = from_labels(&cluster.name, &observed);
    let ran = up_with(&engine, &rebuilt, by_labels()).await.is(Outcome::Failed);
    assert!(ran.failures()[0].what.contains("isn't complete"), "{}", ran.story());
    assert_eq!(calls(&engine, Op::Start, "db").len(), 1);
}
