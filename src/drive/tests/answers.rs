//! Answers that overlap, fed by hand: of a list and an inspection under way at once, either may be the older one.

use super::harness::*;
use crate::cluster::Cluster;
use crate::drive::driver::{Driver, Options, SLOW_TICK};
use crate::drive::input::{Call, Done, Effect, Feed, Input};
use crate::engine::fake::FakeEngine;
use crate::engine::{Engine, EngineError, ErrorKind, ImageInfo, Observed, ObservedContainer, Status, Verb, labels};
use crate::event::{EventKind, Outcome, Phase};
use crate::names::ContainerId;

/// A driver that found component `a` running, with a list and then an inspection of it under way: how the container
/// looked before it ended, and after.
struct Overlap {
    driver: Driver,
    before: (Observed, ObservedContainer),
    after: (Observed, ObservedContainer),
}

impl Overlap {
    async fn new() -> Self {
        let engine = engine(1);
        let cluster = cluster([http("a")]);
        up(&engine, &cluster).await.is(Outcome::Ready);
        let before = looks(&engine, &cluster).await;
        engine.crash("a", 3);
        tokio::time::sleep(ms(100)).await;
        let after = looks(&engine, &cluster).await;
        let mut driver = Driver::new(std::sync::Arc::new(cluster), Options::default());
        driver.step(ms(0), Input::Begin);
        driver.step(ms(0), Input::Feed(Feed::Subscribed));
        let image = ImageInfo { id: before.1.image_id.clone(), ..ImageInfo::default() };
        driver.step(ms(1), Input::Done(Done::Image("image".into(), Ok(Some(image)))));
        driver.step(ms(2), Input::Done(Done::Observed(Ok(Box::new(before.0.clone())))));
        assert_eq!(driver.phases()[&name("a")], Phase::Started);
        let mut this = Self { driver, before, after };
        let changed = Feed::Changed { id: this.after.1.id.clone(), action: "die".into() };
        let looks_at = this.driver.step(ms(3), Input::Feed(changed));
        assert!(looks_at.iter().any(|effect| matches!(effect, Effect::Call(Call::Inspect(..)))), "{looks_at:?}");
        let lists = this.driver.step(ms(3) + SLOW_TICK, Input::Tick);
        assert!(lists.iter().any(|effect| matches!(effect, Effect::Call(Call::Observe))), "{lists:?}");
        this
    }

    /// The phases that `a` enters by an answer.
    fn enters(&mut self, done: Done) -> Vec<Phase> {
        let effects = self.driver.step(ms(4) + SLOW_TICK, Input::Done(done));
        let phase = |effect| match effect {
            Effect::Emit(event) => match event.kind {
                EventKind::PhaseChanged { phase, .. } => Some(phase),
                _ => None,
            },
            _ => None,
        };
        effects.into_iter().filter_map(phase).collect()
    }
}

async fn looks(engine: &FakeEngine, cluster: &Cluster) -> (Observed, ObservedContainer) {
    let observed = engine.observe(&cluster.name).await.unwrap();
    let container = observed.containers[0].clone();
    (observed, container)
}

fn list(observed: &Observed) -> Done {
    Done::Observed(Ok(Box::new(observed.clone())))
}

fn inspection(container: &ObservedContainer) -> Done {
    Done::Inspected(name("a"), container.id.clone(), Ok(Some(Box::new(container.clone()))))
}

#[tokio::test(start_paused = true)]
async fn a_list_from_before_an_inspection_brings_nobody_back() {
    let mut run = Overlap::new().await;
    let (older, newer) = (list(&run.before.0), inspection(&run.after.1));
    assert_eq!(run.enters(newer), [Phase::Failed]);
    assert_eq!(run.enters(older), []);
}

#[tokio::test(start_paused = true)]
async fn an_inspection_from_before_a_list_brings_nobody_back() {
    let mut run = Overlap::new().await;
    let (older, newer) = (inspection(&run.before.1), list(&run.after.0));
    assert_eq!(run.enters(newer), [Phase::Failed]);
    assert_eq!(run.enters(older), []);
}

/// A driver whose create call for `a` is under way when a list shows that somebody else has made and started it.
struct Overtaken {
    driver: Driver,
    id: ContainerId,
    all: Observed,
}

impl Overtaken {
    async fn new() -> Self {
        let mut run = Self::making().await;
        run.driver.step(ms(3) + SLOW_TICK, Input::Tick);
        run.driver.step(ms(4) + SLOW_TICK, Input::Done(list(&run.all)));
        assert_eq!(run.driver.phases()[&name("a")], Phase::Started);
        run
    }

    /// Before that list.
    async fn making() -> Self {
        let engine = engine(1);
        let cluster = cluster([http("a")]);
        let nothing = engine.observe(&cluster.name).await.unwrap();
        up(&engine, &cluster).await.is(Outcome::Ready);
        let (all, container) = looks(&engine, &cluster).await;
        let mut driver = Driver::new(std::sync::Arc::new(cluster), Options::default());
        driver.step(ms(0), Input::Begin);
        driver.step(ms(0), Input::Feed(Feed::Subscribed));
        let image = ImageInfo { id: container.image_id.clone(), ..ImageInfo::default() };
        driver.step(ms(1), Input::Done(Done::Image("image".into(), Ok(Some(image)))));
        driver.step(ms(2), Input::Done(list(&nothing)));
        let network = Done::NetworkCreated("default".parse().unwrap(), Ok(all.networks[0].id.clone()));
        let makes = driver.step(ms(3), Input::Done(network));
        assert!(makes.iter().any(|effect| matches!(effect, Effect::Call(Call::Create(_)))), "{makes:?}");
        Self { driver, id: container.id, all }
    }

    /// What follows from a list in which it has another container, which doesn't run yet.
    fn is_made_anew(&mut self, mut all: Observed) -> Vec<Effect> {
        all.containers[0].id = ContainerId::new("f".repeat(64)).unwrap();
        all.containers[0].state.status = Status::Created;
        all.containers[0].state.started_at = None;
        self.driver.step(ms(5) + SLOW_TICK, Input::Done(Done::Created(name("a"), Ok(self.id.clone()))));
        self.driver.step(ms(5) + SLOW_TICK * 2, Input::Tick);
        self.driver.step(ms(6) + SLOW_TICK * 2, Input::Done(list(&all)))
    }

    fn ends(&mut self, result: Result<ContainerId, ErrorKind>) -> Phase {
        let verb = Verb::Create("a".into());
        let result = result.map_err(|kind| EngineError { verb, kind, message: "by a test".into() });
        self.driver.step(ms(5) + SLOW_TICK, Input::Done(Done::Created(name("a"), result)));
        self.driver.phases()[&name("a")]
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_create_call_takes_nothing_back_that_was_seen_meanwhile() {
    let late = ErrorKind::Timeout(secs(30));
    assert_eq!(Overtaken::new().await.ends(Err(late)), Phase::Started);
    assert_eq!(Overtaken::new().await.ends(Err(ErrorKind::NameTaken)), Phase::Started);
    let mut run = Overtaken::new().await;
    let own = run.id.clone();
    assert_eq!(run.ends(Ok(own)), Phase::Started);
}

#[tokio::test(start_paused = true)]
async fn one_that_ran_and_has_another_container_now_is_started_again() {
    let mut run = Overtaken::new().await;
    let all = run.all.clone();
    let starts = run.is_made_anew(all);
    let is_start = |effect: &Effect| matches!(effect, Effect::Call(Call::Start(..)));
    assert!(starts.iter().any(is_start), "{starts:?}");
    assert_eq!(run.driver.phases()[&name("a")], Phase::Starting);
}

/// On several networks it is made by several calls, and has another name until the last of them.
#[tokio::test(start_paused = true)]
async fn one_that_a_list_showed_half_made_is_not_made_twice() {
    let mut run = Overtaken::making().await;
    let mut all = run.all.clone();
    all.containers[0].name.push_str(labels::UNFINISHED);
    all.containers[0].state.status = Status::Created;
    all.containers[0].state.started_at = None;
    run.driver.step(ms(3) + SLOW_TICK, Input::Tick);
    run.driver.step(ms(4) + SLOW_TICK, Input::Done(list(&all)));
    let effects = run.driver.step(ms(5) + SLOW_TICK, Input::Done(Done::Created(name("a"), Ok(run.id.clone()))));
    let calls: Vec<_> = effects.iter().filter(|effect| matches!(effect, Effect::Call(_))).collect();
    assert!(matches!(calls.as_slice(), [Effect::Call(Call::Start(_, id))] if *id == run.id), "{calls:?}");
}
