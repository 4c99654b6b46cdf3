//! `post_start` and `pre_stop`.

use super::harness::*;
use crate::cluster::{Cluster, Hook};
use crate::engine::fake::{Behaviour, Op};
use crate::event::{Outcome, Phase};

fn hook(word: &str) -> Hook {
    Hook { command: vec![word.to_owned()], ..Hook::default() }
}

/// `a`, which runs these after its start and before its stop.
fn hooked(post_start: &[&str], pre_stop: &[&str]) -> Cluster {
    let mut a = http("a");
    a.hooks.post_start = post_start.iter().copied().map(hook).collect();
    a.hooks.pre_stop = pre_stop.iter().copied().map(hook).collect();
    cluster([a])
}

#[tokio::test(start_paused = true)]
async fn ready_only_once_its_hooks_have_ended_one_after_another() {
    let engine = engine(1).behave("a", Behaviour::ready_after(secs(0)).exec_takes(secs(2)));
    let ran = up(&engine, &hooked(&["warm", "greet"], &[])).await.is(Outcome::Ready);
    let (started, ready) = (ran.entered("a", Phase::Started).unwrap(), ran.entered("a", Phase::Ready).unwrap());
    assert!(ready - started >= secs(4) && ready - started < secs(5), "{}", ran.story());
    assert_eq!(calls(&engine, Op::Exec, "a").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_is_the_last_and_fails_its_component() {
    let engine = engine(2).behave("a", Behaviour::ready_after(secs(1)).exec(["grind"], 3, "no beans"));
    let ran = up(&engine, &hooked(&["grind", "brew"], &[])).await.is(Outcome::Failed);
    let failures = ran.failures();
    assert!(
        failures.len() == 1 && failures[0].what.contains(r#"post_start hook "grind" exited with 3: no beans"#),
        "{failures:?}"
    );
    assert_eq!(calls(&engine, Op::Exec, "a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_runs_already_has_had_its_hooks() {
    let engine = engine(3);
    let cluster = hooked(&["warm"], &[]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    up(&engine, &cluster).await.is(Outcome::Ready);
    assert_eq!(calls(&engine, Op::Exec, "a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn before_a_stop_they_have_the_grace_period_and_the_stop_comes_all_the_same() {
    let engine =
        engine(4).behave("a", Behaviour::ready_after(secs(0)).exec_takes(secs(3600)).exec(["farewell"], 0, ""));
    up(&engine, &hooked(&[], &["farewell"])).await.is(Outcome::Ready);
    let ran = stop_all(&engine, &hooked(&[], &[]), &down()).await.is(Outcome::Ready);
    let warnings = ran.warnings();
    assert!(
        warnings.iter().any(|said| said.contains(r#"pre_stop hook "farewell" hasn't ended within"#)),
        "{warnings:?}"
    );
    assert!(ran.took >= secs(10) && ran.took < secs(14), "{:?}", ran.took);
    assert!(engine.containers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn before_a_stop_one_that_fails_is_told_of_and_the_next_is_run() {
    let engine =
        engine(5).behave("a", Behaviour::ready_after(secs(0)).exec(["save"], 1, "disk full").exec(["wave"], 0, ""));
    up(&engine, &hooked(&[], &["save", "wave"])).await.is(Outcome::Ready);
    let ran = stop_all(&engine, &hooked(&[], &[]), &down()).await.is(Outcome::Ready);
    assert!(ran.warnings().iter().any(|said| said.contains(r#""save" exited with 1: disk full"#)), "{}", ran.story());
    assert_eq!(calls(&engine, Op::Exec, "a").len(), 2);
    assert!(engine.containers().is_empty());
}
