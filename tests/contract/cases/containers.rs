//! Making, starting, stopping and removing containers.

use convoke::engine::{Engine, ErrorKind, Status};
use convoke::names::ContainerId;
use tokio::time::Instant;

use crate::context::{Cx, ms};

pub(crate) async fn created_then_started<E: Engine>(cx: &Cx<E>) {
    let id = cx.create(&cx.request("a", &[])).await.unwrap();
    let created = cx.inspect(&id).await;
    assert_eq!((created.state.status, created.state.started_at), (Status::Created, None));
    assert!(created.created_at.is_some());
    cx.engine.start(&id).await.unwrap();
    let running = cx.inspect(&id).await;
    assert_eq!((running.id, running.state.status), (id, Status::Running));
    assert!(running.state.started_at >= created.created_at);
}

pub(crate) async fn starting_twice_is_fine<E: Engine>(cx: &Cx<E>) {
    let id = cx.server("a").await;
    let first = cx.inspect(&id).await.state.started_at;
    cx.engine.start(&id).await.unwrap();
    assert_eq!(cx.inspect(&id).await.state.started_at, first);
}

pub(crate) async fn stopping_what_is_stopped_is_fine<E: Engine>(cx: &Cx<E>) {
    let id = cx.create(&cx.request("a", &[])).await.unwrap();
    cx.engine.stop(&id, ms(1000)).await.unwrap();
    cx.engine.start(&id).await.unwrap();
    for _ in 0..2 {
        cx.engine.stop(&id, ms(5000)).await.unwrap();
        let state = cx.inspect(&id).await.state;
        assert_eq!((state.status, state.exit_code), (Status::Exited, 0));
    }
}

pub(crate) async fn removing_what_is_gone_is_fine<E: Engine>(cx: &Cx<E>) {
    let id = cx.create(&cx.request("a", &[])).await.unwrap();
    for _ in 0..2 {
        cx.engine.remove(&id, true).await.unwrap();
        assert_eq!(cx.engine.inspect(&id).await.unwrap(), None);
    }
    assert_eq!(cx.engine.start(&id).await.unwrap_err().kind, ErrorKind::NotFound);
    let never = ContainerId::new("0123456789abcdef").unwrap();
    cx.engine.remove(&never, false).await.unwrap();
}

pub(crate) async fn a_running_one_can_be_removed<E: Engine>(cx: &Cx<E>) {
    let id = cx.server("a").await;
    cx.engine.remove(&id, true).await.unwrap();
    assert_eq!(cx.engine.inspect(&id).await.unwrap(), None);
    // Its name is free again.
    cx.create(&cx.request("a", &[])).await.unwrap();
}

pub(crate) async fn a_taken_name_is_refused<E: Engine>(cx: &Cx<E>) {
    cx.create(&cx.request("a", &[])).await.unwrap();
    assert_eq!(cx.create(&cx.request("a", &[])).await.unwrap_err().kind, ErrorKind::NameTaken);
}

pub(crate) async fn a_missing_image_is_told<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &[]);
    request.image = "convoke-test/there-is-no-such-image:1".to_owned();
    assert_eq!(cx.create(&request).await.unwrap_err().kind, ErrorKind::ImageMissing);
}

pub(crate) async fn a_missing_command_is_told_at_the_start<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &[]);
    request.spec.entrypoint = Some(vec!["/no/such/program".to_owned()]);
    let id = cx.create(&request).await.unwrap();
    assert_eq!(cx.engine.start(&id).await.unwrap_err().kind, ErrorKind::CommandInvalid);
    let state = cx.inspect(&id).await.state;
    assert!(matches!(state.status, Status::Created | Status::Exited), "{state:?}");
    assert_eq!(state.exit_code, 127);
}

pub(crate) async fn an_exit_is_recorded<E: Engine>(cx: &Cx<E>) {
    let id = cx.start(&cx.request("a", &["--exit", "7"])).await;
    let state = cx.wait_for_end(&id).await.state;
    assert_eq!((state.exit_code, state.oom_killed, state.restart_count), (7, false, 0));
    assert!(state.finished_at.is_some() && state.started_at.is_some(), "{state:?}");
}

pub(crate) async fn each_run_has_its_own_start<E: Engine>(cx: &Cx<E>) {
    let id = cx.server("a").await;
    let first = cx.inspect(&id).await.state.started_at;
    cx.engine.stop(&id, ms(5000)).await.unwrap();
    cx.engine.start(&id).await.unwrap();
    assert!(cx.inspect(&id).await.state.started_at > first);
}

pub(crate) async fn one_that_ignores_sigterm_is_killed<E: Engine>(cx: &Cx<E>) {
    let line = ["--ignore-sigterm", "--log-line", "up"];
    let id = cx.start(&cx.request("a", &line)).await;
    tokio::time::sleep(ms(500)).await;
    let begun = Instant::now();
    cx.engine.stop(&id, ms(1000)).await.unwrap();
    assert!(begun.elapsed() >= ms(1000));
    let state = cx.inspect(&id).await.state;
    assert_eq!((state.status, state.exit_code), (Status::Exited, 137));
}

pub(crate) async fn a_signal_needs_a_running_one<E: Engine>(cx: &Cx<E>) {
    let id = cx.create(&cx.request("a", &[])).await.unwrap();
    assert_eq!(cx.engine.kill(&id, "SIGTERM").await.unwrap_err().kind, ErrorKind::Conflict);
    cx.engine.start(&id).await.unwrap();
    // The program may need an instant until it handles signals.
    tokio::time::sleep(ms(500)).await;
    cx.engine.kill(&id, "SIGTERM").await.unwrap();
    assert_eq!(cx.wait_for_end(&id).await.state.exit_code, 0);
}

pub(crate) async fn a_frozen_one_goes_on<E: Engine>(cx: &Cx<E>) {
    let id = cx.create(&cx.request("a", &[])).await.unwrap();
    assert_eq!(cx.engine.pause(&id).await.unwrap_err().kind, ErrorKind::Conflict);
    cx.engine.start(&id).await.unwrap();
    let started_at = cx.inspect(&id).await.state.started_at;
    for _ in 0..2 {
        cx.engine.pause(&id).await.unwrap();
    }
    assert_eq!(cx.inspect(&id).await.state.status, Status::Paused);
    for _ in 0..2 {
        cx.engine.unpause(&id).await.unwrap();
    }
    let state = cx.inspect(&id).await.state;
    assert_eq!((state.status, state.started_at), (Status::Running, started_at));
    cx.engine.remove(&id, true).await.unwrap();
    assert_eq!(cx.engine.unpause(&id).await.unwrap_err().kind, ErrorKind::NotFound);
}

pub(crate) async fn a_frozen_one_can_be_killed_stopped_and_removed<E: Engine>(cx: &Cx<E>) {
    let id = cx.server("a").await;
    cx.engine.pause(&id).await.unwrap();
    cx.engine.kill(&id, "SIGKILL").await.unwrap();
    assert_eq!(cx.wait_for_end(&id).await.state.exit_code, 137);
    cx.engine.start(&id).await.unwrap();
    cx.engine.pause(&id).await.unwrap();
    cx.engine.stop(&id, ms(1000)).await.unwrap();
    assert_eq!(cx.inspect(&id).await.state.status, Status::Exited);
    cx.engine.start(&id).await.unwrap();
    cx.engine.pause(&id).await.unwrap();
    cx.engine.remove(&id, true).await.unwrap();
    assert_eq!(cx.engine.inspect(&id).await.unwrap(), None);
}

/// Who gives up on a call can't count on its not having happened.
/// 20.10 goes on with it; 26.1 takes it back ("context canceled") and leaves a container that never ran.
pub(crate) async fn a_dropped_start_is_no_obstacle_to_the_next<E: Engine>(cx: &Cx<E>) {
    let id = cx.create(&cx.request("a", &[])).await.unwrap();
    assert!(tokio::time::timeout(ms(15), cx.engine.start(&id)).await.is_err());
    cx.engine.start(&id).await.unwrap();
    cx.wait(&id, |seen| seen.state.status == Status::Running).await;
}

pub(crate) async fn a_rename_holds<E: Engine>(cx: &Cx<E>) {
    let id = cx.create(&cx.request("a", &[])).await.unwrap();
    cx.create(&cx.request("b", &[])).await.unwrap();
    cx.engine.rename(&id, &cx.name("c")).await.unwrap();
    assert_eq!(cx.inspect(&id).await.name, cx.name("c"));
    assert_eq!(cx.engine.rename(&id, &cx.name("b")).await.unwrap_err().kind, ErrorKind::NameTaken);
}

pub(crate) async fn labels_and_image_are_seen<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &[]);
    request.labels.insert("own".to_owned(), "value".to_owned());
    let id = cx.create(&request).await.unwrap();
    let seen = cx.inspect(&id).await;
    assert_eq!((seen.component, seen.name), (request.component, request.name));
    assert_eq!(seen.labels.get("own").map(String::as_str), Some("value"));
    assert_eq!(seen.image_id, cx.engine.image(cx.image()).await.unwrap().unwrap().id);
    assert!(!seen.host_network);
}

pub(crate) async fn an_image_is_found_or_not<E: Engine>(cx: &Cx<E>) {
    let image = cx.engine.image(cx.image()).await.unwrap().unwrap();
    assert!(image.id.starts_with("sha256:"));
    assert_eq!(cx.engine.image(&image.id).await.unwrap().map(|found| found.id), Some(image.id));
    assert_eq!(cx.engine.image("convoke-test/there-is-no-such-image:1").await.unwrap(), None);
}

pub(crate) async fn the_engine_introduces_itself<E: Engine>(cx: &Cx<E>) {
    let info = cx.engine.info().await.unwrap();
    assert!(!info.version.is_empty() && !info.address.is_empty());
    assert!(info.cpus > 0 && info.memory > 0);
}
