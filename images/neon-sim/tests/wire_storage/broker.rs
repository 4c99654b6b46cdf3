//! The broker, and how a program is named.

use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::node::{PATIENCE, call, free_port, temporary};
use crate::process::Process;

#[tokio::test]
async fn the_broker_has_a_status_and_ends_by_signal() {
    let (directory, port) = (temporary(), free_port());
    let args = [format!("--listen-addr=127.0.0.1:{port}")];
    let mut broker = Process::role("storage_broker", "broker", directory.path(), &args);
    let status = loop {
        if let Ok(answer) = call(port, "GET", "/status", Value::Null).await {
            break answer;
        }
        assert!(broker.has_ended().is_none(), "{}", broker.log());
        sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(status, (200, json!("")));
    let other = call(port, "GET", "/v1/status", Value::Null).await;
    assert_eq!(other, Ok((404, json!("Not Found"))));
    broker.signal(Signal::TERM);
    assert_eq!(broker.exit_code(PATIENCE).await, Some(0));
}

#[test]
fn a_program_is_called_by_its_name_or_as_the_first_argument() {
    let directory = temporary();
    let program = env!("CARGO_BIN_EXE_neon-sim");
    for role in ["storage_broker", "storage_controller", "pageserver", "safekeeper"] {
        let link = directory.path().join(role);
        std::os::unix::fs::symlink(program, &link).expect("own directory");
        let by_name = Command::new(&link).arg("--version").output().expect("it runs");
        let by_argument = Command::new(program).args([role, "--version"]).output().expect("it runs");
        let text = String::from_utf8_lossy(&by_name.stdout).into_owned();
        assert!(text.starts_with(role) && text.contains("a simulation which stores no pages"), "{text}");
        assert_eq!(by_name.stdout, by_argument.stdout);
    }
    let nobody = Command::new(program).arg("compute").output().expect("it runs");
    assert_eq!(nobody.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("usage: neon-sim ROLE"));
    // IP:port only, as in the real program.
    let by_host =
        Command::new(program).args(["storage_broker", "--listen-addr=localhost:1"]).output().expect("it runs");
    assert_eq!(by_host.status.code(), Some(2));
}
