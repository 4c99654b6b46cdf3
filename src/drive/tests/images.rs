//! Images besides a component's own: mounted ones, and those that others are built from.

use super::harness::*;
use crate::cluster::{Base, Build, Cluster, Component, Mount, MountKind};
use crate::drive::driver::Options;
use crate::engine::fake::{FakeEngine, Op};
use crate::event::{Outcome, Phase};

fn mounting(mut component: Component, image: &str) -> Component {
    component.spec.mounts.push(Mount::new("/files", MountKind::Image { reference: image.into() }, true));
    component
}

fn built_from(mut component: Component, image: &str, bases: &[&str]) -> Component {
    component.image = image.into();
    component.build = Some(build_on(bases));
    component
}

fn build_on(bases: &[&str]) -> Build {
    Build { bases: bases.iter().map(|&base| base.to_owned()).collect(), ..Build::new("/work") }
}

/// `app` is built from `middle`, whose service doesn't run, and that from `lowest`.
fn tower() -> Cluster {
    let base = |bases: &[&str]| Base { service: "b".parse().unwrap(), build: Some(build_on(bases)), secrets: vec![] };
    let bases = [("middle".to_owned(), base(&["lowest"])), ("lowest".to_owned(), base(&[]))].into();
    Cluster { bases, ..cluster([built_from(http("a"), "app", &["middle"]), http("other")]) }
}

fn built(engine: &FakeEngine) -> Vec<String> {
    let builds = engine.journal().into_iter().filter(|call| call.op == Op::Build);
    builds.map(|call| call.name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_mounted_image_is_pulled_and_holds_only_its_users_back() {
    let engine = engine(1).with_pullable("far", secs(5));
    let ran = up(&engine, &cluster([mounting(http("a"), "far"), http("b")])).await.is(Outcome::Ready);
    assert!(ran.entered("a", Phase::Creating).unwrap() >= secs(5), "{}", ran.story());
    assert!(ran.entered("b", Phase::Ready).unwrap() < ms(500), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn a_mounted_image_that_is_nowhere_is_named() {
    let ran = up(&engine(1), &cluster([mounting(http("a"), "nowhere"), http("b")])).await.is(Outcome::Failed);
    let failure = ran.failures()[0];
    assert!(failure.what.starts_with("image nowhere can't be had"), "{}", ran.story());
    assert_eq!(failure.component, Some(name("a")));
}

#[tokio::test(start_paused = true)]
async fn what_an_image_is_built_from_is_built_before_it() {
    let engine = engine(1);
    up(&engine, &tower()).await.is(Outcome::Ready);
    assert_eq!(built(&engine), ["lowest", "middle", "app"]);
    up(&engine, &tower()).await.is(Outcome::Ready);
    assert_eq!(built(&engine).len(), 3, "all was there");
    up_with(&engine, &tower(), Options { rebuild: true, ..Options::default() }).await.is(Outcome::Ready);
    assert_eq!(built(&engine)[3..], ["lowest", "middle", "app"]);
}

#[tokio::test(start_paused = true)]
async fn what_an_image_is_built_from_is_not_looked_for_when_it_is_there() {
    let engine = engine(1).with_image("app");
    up(&engine, &tower()).await.is(Outcome::Ready);
    assert_eq!(built(&engine), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_base_that_cannot_be_built_is_named_for_whom_it_is() {
    let engine = engine(1).with_failing_build("lowest", "exit code 3");
    let ran = up(&engine, &tower()).await.is(Outcome::Failed);
    let failure = ran.failures()[0];
    assert_eq!(failure.what, "image lowest can't be built: exit code 3");
    assert_eq!(failure.component, Some(name("a")), "{}", ran.story());
    assert_eq!(built(&engine), ["lowest"]);
}
