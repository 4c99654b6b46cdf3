//! Breaking components and healing them.

use jiff::Timestamp;

use super::harness::*;
use crate::cluster::{Cluster, RestartPolicy};
use crate::drive::chaos::{Breakage, Fault, Judgement, Step, cure, heal, inflict, judge};
use crate::engine::fake::{Behaviour, FakeEngine, Op};
use crate::engine::{Attach, Engine, ErrorKind, Observed, ObservedContainer, Status};
use crate::event::Outcome;
use crate::plan::labelled::{from_labels, homes, spokesman};

const ALL: [Fault; 6] = [Fault::Kill, Fault::Crash, Fault::Stop, Fault::Pause, Fault::Restart, Fault::Partition];

/// The cluster, as a command without the file finds it.
struct Scene {
    engine: FakeEngine,
    cluster: Cluster,
    observed: Observed,
}

impl Scene {
    async fn of(engine: FakeEngine, cluster: Cluster) -> Self {
        up(&engine, &cluster).await.is(Outcome::Ready);
        let observed = engine.observe(&cluster.name).await.unwrap();
        Self { engine, cluster, observed }
    }

    async fn look(&mut self) {
        self.observed = self.engine.observe(&self.cluster.name).await.unwrap();
    }

    fn container(&self, component: &str) -> &ObservedContainer {
        spokesman(&self.observed, &name(component)).unwrap()
    }

    fn home(&self, component: &str) -> Vec<Attach> {
        homes(&from_labels(&self.cluster.name, &self.observed), &self.observed)[&name(component)].clone()
    }

    async fn break_it(&mut self, component: &str, fault: Fault) -> Breakage {
        let container = self.container(component);
        assert_eq!(judge(fault, container), Judgement::Go);
        let breakage = Breakage::of(fault, container, &self.observed, Timestamp::UNIX_EPOCH);
        inflict(&self.engine, fault, container).await.unwrap();
        self.look().await;
        breakage
    }

    async fn heal(&mut self, component: &str, steps: &[Step]) {
        heal(&self.engine, &self.container(component).id, steps).await.unwrap();
        self.look().await;
    }

    fn is_down(&self, component: &str) -> bool {
        !self.engine.is_ready(component) || self.container(component).networks.is_empty()
    }
}

async fn two() -> Scene {
    Scene::of(engine(1), cluster([http("a"), http("b")])).await
}

#[tokio::test(start_paused = true)]
async fn every_fault_breaks_and_is_healed_by_its_note() {
    for fault in ALL {
        let mut scene = two().await;
        let before = scene.container("a").clone();
        let breakage = scene.break_it("a", fault).await;
        assert_eq!(scene.is_down("a"), fault != Fault::Restart || !scene.engine.is_ready("a"), "{fault:?}");
        let steps = cure(scene.container("a"), &[breakage], &[], &scene.observed, false);
        scene.heal("a", &steps).await;
        tokio::time::sleep(secs(5)).await;
        assert!(scene.engine.is_ready("a"), "{fault:?}");
        let after = scene.container("a");
        assert_eq!((&after.id, &after.networks), (&before.id, &before.networks), "{fault:?}");
        assert!(scene.engine.is_ready("b") && scene.engine.violations().is_empty());
        assert_eq!(cure(after, &[], &scene.home("a"), &scene.observed, true), [], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partitioned_one_finds_home_without_a_note() {
    let mut scene = two().await;
    let before = scene.container("a").networks.clone();
    scene.break_it("a", Fault::Partition).await;
    let steps = cure(scene.container("a"), &[], &scene.home("a"), &scene.observed, false);
    scene.heal("a", &steps).await;
    assert_eq!(scene.container("a").networks, before, "the address is the one that its peers' hosts entries name");
}

#[tokio::test(start_paused = true)]
async fn a_partitioned_one_that_crashed_is_connected_before_it_is_started() {
    let mut scene = two().await;
    let partition = scene.break_it("a", Fault::Partition).await;
    let kill = scene.break_it("a", Fault::Kill).await;
    let id = scene.container("a").id.clone();
    assert_eq!(scene.engine.start(&id).await.unwrap_err().kind, ErrorKind::Rejected);
    let steps = cure(scene.container("a"), &[partition, kill], &scene.home("a"), &scene.observed, false);
    assert!(matches!(steps.as_slice(), [Step::Connect(_), Step::Start]), "{steps:?}");
    scene.heal("a", &steps).await;
    tokio::time::sleep(secs(1)).await;
    assert!(scene.engine.is_ready("a"));
}

#[tokio::test(start_paused = true)]
async fn a_policy_answers_a_crash_and_no_kill() {
    let mut restarts = http("a");
    restarts.spec.restart = RestartPolicy::Always;
    let mut scene = Scene::of(engine(1), cluster([restarts])).await;
    scene.break_it("a", Fault::Crash).await;
    tokio::time::sleep(secs(2)).await;
    scene.look().await;
    assert!(scene.engine.is_ready("a"));
    assert_eq!(scene.container("a").state.restart_count, 1);
    let breakage = scene.break_it("a", Fault::Kill).await;
    tokio::time::sleep(secs(60)).await;
    scene.look().await;
    assert_eq!(scene.container("a").state.status, Status::Exited);
    let steps = cure(scene.container("a"), &[breakage], &[], &scene.observed, false);
    assert_eq!(steps, [Step::Start]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_broke_is_started_only_if_it_is_named() {
    let scene = Scene::of(engine(1).behave("a", Behaviour::ready_after(secs(0))), cluster([http("a")])).await;
    scene.engine.kill(&scene.container("a").id, "SIGKILL").await.unwrap();
    let observed = scene.engine.observe(&scene.cluster.name).await.unwrap();
    let container = spokesman(&observed, &name("a")).unwrap();
    assert_eq!(cure(container, &[], &scene.home("a"), &observed, false), []);
    assert_eq!(cure(container, &[], &scene.home("a"), &observed, true), [Step::Start]);
}

#[tokio::test(start_paused = true)]
async fn a_note_about_a_container_that_was_replaced_says_nothing() {
    let mut scene = two().await;
    let breakage = scene.break_it("a", Fault::Kill).await;
    let mut other = scene.container("b").clone();
    other.component = name("a");
    other.state.status = Status::Exited;
    assert_eq!(cure(&other, &[breakage], &[], &scene.observed, false), []);
}

#[tokio::test(start_paused = true)]
async fn a_network_that_was_made_anew_is_found_by_its_name() {
    let mut scene = two().await;
    let mut breakage = scene.break_it("a", Fault::Partition).await;
    let id = std::mem::replace(&mut breakage.networks[0].network_id, "gone".to_owned());
    let steps = cure(scene.container("a"), &[breakage], &[], &scene.observed, false);
    assert!(matches!(steps.as_slice(), [Step::Connect(to)] if to.network_id == id), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn faults_that_make_no_sense_are_left() {
    let mut scene = two().await;
    scene.break_it("a", Fault::Pause).await;
    let paused = scene.container("a").clone();
    assert!(matches!(judge(Fault::Pause, &paused), Judgement::Already(_)));
    assert!(matches!(judge(Fault::Crash, &paused), Judgement::Impossible(_)));
    scene.break_it("a", Fault::Stop).await;
    let stopped = scene.container("a").clone();
    for fault in [Fault::Kill, Fault::Crash, Fault::Stop] {
        assert!(matches!(judge(fault, &stopped), Judgement::Already(_)), "{fault:?}");
    }
    assert!(matches!(judge(Fault::Pause, &stopped), Judgement::Impossible(_)));
    let on_host = ObservedContainer { host_network: true, ..stopped.clone() };
    assert!(matches!(judge(Fault::Partition, &on_host), Judgement::Impossible(_)));
    scene.break_it("a", Fault::Partition).await;
    assert!(matches!(judge(Fault::Partition, scene.container("a")), Judgement::Already(_)));
}

#[tokio::test(start_paused = true)]
async fn a_cure_gets_through_a_moment_of_an_absent_engine() {
    let mut scene = two().await;
    let breakage = scene.break_it("a", Fault::Kill).await;
    let steps = cure(scene.container("a"), &[breakage], &[], &scene.observed, false);
    scene.engine.restart(ms(300));
    heal(&scene.engine, &scene.container("a").id, &steps).await.unwrap();
    let starts = scene.engine.journal().iter().filter(|call| call.op == Op::Start && call.name.contains("a-")).count();
    assert!(starts >= 2, "{starts}");
}
