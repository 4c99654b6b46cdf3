//! The engine's own restarts.

use convoke::cluster::RestartPolicy;
use convoke::engine::{Engine, ErrorKind, Status};

use crate::context::{Cx, ms};

pub(crate) async fn a_policy_restarts_and_counts<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &["--exit", "3", "--after", "100ms"]);
    request.spec.restart = RestartPolicy::Always;
    let id = cx.start(&request).await;
    let first = cx.inspect(&id).await.state.started_at;
    let later = cx.wait(&id, |seen| seen.state.restart_count >= 2).await.state;
    assert!(later.started_at > first);
    assert!(matches!(later.status, Status::Running | Status::Restarting), "{later:?}");
}

pub(crate) async fn retries_end<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &["--exit", "3"]);
    request.spec.restart = RestartPolicy::OnFailure { max_retries: 2 };
    let id = cx.start(&request).await;
    let state = cx.wait_for_end(&id).await.state;
    assert_eq!((state.restart_count, state.exit_code), (2, 3));
    let mut fine = cx.request("b", &["--exit", "0"]);
    fine.spec.restart = RestartPolicy::OnFailure { max_retries: 0 };
    let id = cx.start(&fine).await;
    assert_eq!(cx.wait_for_end(&id).await.state.restart_count, 0);
}

pub(crate) async fn a_kill_is_no_reason_to_restart<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &[]);
    request.spec.restart = RestartPolicy::Always;
    let id = cx.start(&request).await;
    cx.engine.kill(&id, "SIGKILL").await.unwrap();
    let state = cx.wait_for_end(&id).await.state;
    assert_eq!((state.exit_code, state.restart_count), (137, 0));
    tokio::time::sleep(ms(500)).await;
    assert_eq!(cx.inspect(&id).await.state.status, Status::Exited);
}

pub(crate) async fn a_stop_ends_the_restarts<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &["--exit", "3"]);
    request.spec.restart = RestartPolicy::UnlessStopped;
    let id = cx.start(&request).await;
    cx.wait(&id, |seen| seen.state.restart_count >= 2).await;
    cx.engine.stop(&id, ms(1000)).await.unwrap();
    let stopped = cx.wait_for_end(&id).await.state;
    tokio::time::sleep(ms(1500)).await;
    let later = cx.inspect(&id).await.state;
    assert_eq!((later.status, later.started_at), (Status::Exited, stopped.started_at));
}

pub(crate) async fn a_crash_is_answered_by_the_policy<E: Engine>(cx: &Cx<E>) {
    let mut request = cx.request("a", &[]);
    request.spec.restart = RestartPolicy::Always;
    let id = cx.start(&request).await;
    let first = cx.inspect(&id).await.state.started_at;
    cx.engine.crash(&id).await.unwrap();
    let again = cx.wait(&id, |seen| seen.state.status == Status::Running && seen.state.restart_count == 1).await;
    assert!(again.state.started_at > first);
}

pub(crate) async fn a_crash_without_a_policy_is_an_end<E: Engine>(cx: &Cx<E>) {
    let id = cx.server("a").await;
    cx.engine.crash(&id).await.unwrap();
    let state = cx.wait_for_end(&id).await.state;
    assert_eq!((state.exit_code, state.restart_count, state.oom_killed), (137, 0, false));
}

pub(crate) async fn what_does_not_run_can_not_crash<E: Engine>(cx: &Cx<E>) {
    let id = cx.create(&cx.request("a", &[])).await.unwrap();
    assert_eq!(cx.engine.crash(&id).await.unwrap_err().kind, ErrorKind::Conflict);
    cx.engine.remove(&id, true).await.unwrap();
    assert_eq!(cx.engine.crash(&id).await.unwrap_err().kind, ErrorKind::NotFound);
}
