//! Logs, and commands inside containers.

use convoke::engine::{Engine, ErrorKind, ExecRequest, LogQuery, LogSource};
use convoke::names::ContainerId;
use futures::StreamExt;
use tokio::time::{sleep, timeout};

use crate::context::{Cx, PATIENCE, PROGRAM, ms};

const ALL: LogQuery = LogQuery { follow: false, tail: None, since: None };

async fn lines<E: Engine>(cx: &Cx<E>, id: &ContainerId, query: &LogQuery) -> Vec<String> {
    let lines = cx.engine.logs(id, query).map(|line| {
        let line = line.unwrap();
        assert!(line.at.is_some() && line.source == LogSource::Out);
        String::from_utf8(line.text.to_vec()).unwrap()
    });
    timeout(PATIENCE, lines.collect()).await.unwrap()
}

/// One that logs a line and ends a second after its start.
async fn talker<E: Engine>(cx: &Cx<E>) -> ContainerId {
    let words = ["--log-line", "hello there", "--log-after", "100ms", "--exit", "0", "--after", "1s"];
    cx.start(&cx.request("a", &words)).await
}

pub(crate) async fn logs_have_a_tail<E: Engine>(cx: &Cx<E>) {
    let id = talker(cx).await;
    cx.wait_for_end(&id).await;
    let all = lines(cx, &id, &ALL).await;
    assert!(all.iter().any(|line| line == "hello there"), "{all:?}");
    let tail = LogQuery { tail: Some(1), ..ALL };
    assert_eq!(lines(cx, &id, &tail).await, ["exiting with 0"]);
    assert_eq!(lines(cx, &id, &LogQuery { tail: Some(0), ..ALL }).await, Vec::<String>::new());
}

/// A log probe must not see what an earlier run printed.
pub(crate) async fn logs_have_a_beginning<E: Engine>(cx: &Cx<E>) {
    let id = talker(cx).await;
    cx.wait_for_end(&id).await;
    cx.engine.start(&id).await.unwrap();
    let since = cx.inspect(&id).await.state.started_at;
    cx.wait_for_end(&id).await;
    let count = |lines: &[String]| lines.iter().filter(|line| *line == "hello there").count();
    assert_eq!(count(&lines(cx, &id, &ALL).await), 2);
    let second = lines(cx, &id, &LogQuery { since, ..ALL }).await;
    assert_eq!(count(&second), 1, "{second:?}");
}

pub(crate) async fn logs_can_be_followed<E: Engine>(cx: &Cx<E>) {
    let id = talker(cx).await;
    let seen = lines(cx, &id, &LogQuery { follow: true, ..ALL }).await;
    assert!(seen.iter().any(|line| line == "hello there"), "{seen:?}");
    assert_eq!(seen.last().map(String::as_str), Some("exiting with 0"));
}

pub(crate) async fn a_missing_log_is_an_error<E: Engine>(cx: &Cx<E>) {
    let id = ContainerId::new("0123456789abcdef").unwrap();
    let mut lines = cx.engine.logs(&id, &ALL);
    let first = timeout(PATIENCE, lines.next()).await.unwrap().unwrap();
    assert_eq!(first.unwrap_err().kind, ErrorKind::NotFound);
}

fn command(words: &[&str]) -> ExecRequest {
    ExecRequest {
        command: words.iter().map(|&word| word.to_owned()).collect(),
        keep_output: 4096,
        ..ExecRequest::default()
    }
}

pub(crate) async fn a_command_has_an_exit_code<E: Engine>(cx: &Cx<E>) {
    let id = cx.server("a").await;
    let outcome = cx.engine.exec(&id, &command(&[PROGRAM, "--exit", "3"])).await.unwrap();
    assert_eq!((outcome.code, outcome.output.trim_end()), (3, "exiting with 3"));
    let short = ExecRequest { keep_output: 5, ..command(&[PROGRAM, "--exit", "3"]) };
    let outcome = cx.engine.exec(&id, &short).await.unwrap();
    assert!(outcome.output.len() <= 5 && outcome.output.trim_end().ends_with('3'), "{outcome:?}");
    // A health check's program: the server may need an instant until it listens.
    let mut code = -1;
    for _ in 0..50 {
        code = cx.engine.exec(&id, &command(&[PROGRAM, "check"])).await.unwrap().code;
        if code == 0 {
            break;
        }
        sleep(ms(100)).await;
    }
    assert_eq!(code, 0);
}

pub(crate) async fn a_missing_program_is_126_or_127<E: Engine>(cx: &Cx<E>) {
    let id = cx.server("a").await;
    let outcome = cx.engine.exec(&id, &command(&["/no/such/program"])).await.unwrap();
    assert!(matches!(outcome.code, 126 | 127), "{outcome:?}");
    assert!(!outcome.output.is_empty());
}

pub(crate) async fn nothing_runs_in_a_stopped_one<E: Engine>(cx: &Cx<E>) {
    let id = cx.create(&cx.request("a", &[])).await.unwrap();
    let error = cx.engine.exec(&id, &command(&[PROGRAM, "env"])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
}
