//! `pull_policy`: when an image is pulled that the engine has already, and when not.

use super::harness::*;
use crate::cluster::{Component, PullPolicy};
use crate::drive::driver::Options;
use crate::engine::ImageInfo;
use crate::engine::fake::{FakeEngine, Op};
use crate::event::{EventKind, Outcome};

const DAY: u64 = 24 * 60 * 60;

/// An engine whose image got its name so many seconds before the run begins.
fn engine_with(age: Option<u64>) -> FakeEngine {
    let engine = engine(1);
    let at = age.map(|age| engine.wall_clock() - secs(age));
    let info = ImageInfo { id: "sha256:app".into(), tagged_at: at, ..ImageInfo::default() };
    engine.with_image_info("app:1", info)
}

fn app(policy: PullPolicy) -> Component {
    Component { image: "app:1".into(), pull: Some(policy), ..http("a") }
}

fn options(pull: Option<PullPolicy>) -> Options {
    Options { pull, ..Options::default() }
}

fn pulls(engine: &FakeEngine) -> usize {
    engine.journal().iter().filter(|call| call.op == Op::Pull).count()
}

/// How often an image of this age is pulled by one `up`.
async fn pulled(policy: PullPolicy, age: Option<u64>, asked: Option<PullPolicy>) -> usize {
    let engine = engine_with(age);
    let ran = up_with(&engine, &cluster([app(policy)]), options(asked)).await.is(Outcome::Ready);
    let how = ran.events.iter().find_map(|event| match &event.kind {
        EventKind::ImageReady { how, .. } => Some(how.clone()),
        _ => None,
    });
    let count = pulls(&engine);
    assert_eq!(how.as_deref(), Some(if count > 0 { "pulled" } else { "present" }));
    count
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_there_is_pulled_as_the_policy_says() {
    use PullPolicy::{Always, Build, Every, Missing, Never};
    let (daily, weekly, every_12h) = (Every(secs(DAY)), Every(secs(7 * DAY)), Every(secs(DAY / 2)));
    for (policy, age, expected) in [
        (Always, Some(1), 1),
        (Missing, Some(100 * DAY), 0),
        (Never, Some(100 * DAY), 0),
        (Build, Some(100 * DAY), 0),
        (daily, Some(DAY - 1), 0),
        (daily, Some(DAY + 1), 1),
        (weekly, Some(6 * DAY), 0),
        (weekly, Some(8 * DAY), 1),
        (every_12h, Some(DAY / 2 - 1), 0),
        (every_12h, Some(DAY / 2 + 1), 1),
        // Nobody knows how old it is.
        (daily, None, 1),
    ] {
        assert_eq!(pulled(policy, age, None).await, expected, "{policy:?} at an age of {age:?} s");
    }
}

#[tokio::test(start_paused = true)]
async fn the_command_line_overrides_the_policy() {
    assert_eq!(pulled(PullPolicy::Never, Some(1), Some(PullPolicy::Always)).await, 1);
    assert_eq!(pulled(PullPolicy::Always, Some(1), Some(PullPolicy::Missing)).await, 0);
    assert_eq!(pulled(PullPolicy::Every(secs(DAY)), Some(9 * DAY), Some(PullPolicy::Never)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn several_components_of_one_image_pull_it_once_by_the_strictest_policy() {
    let engine = engine_with(Some(1));
    let other = Component { image: "app:1".into(), ..http("b") };
    up_with(&engine, &cluster([app(PullPolicy::Always), other]), options(None)).await.is(Outcome::Ready);
    assert_eq!(pulls(&engine), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_pulled_unless_never() {
    let engine = engine(1).with_pullable("app:1", ms(50));
    let ran = up_with(&engine, &cluster([app(PullPolicy::Never)]), options(None)).await.is(Outcome::Failed);
    assert!(ran.failures()[0].what.contains("it is never pulled (pull_policy)"), "{}", ran.story());
    assert_eq!(pulls(&engine), 0);
    up_with(&engine, &cluster([app(PullPolicy::Missing)]), options(None)).await.is(Outcome::Ready);
    assert_eq!(pulls(&engine), 1);
}
