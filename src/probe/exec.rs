//! Commands run inside containers.
//!
//! An exec can't be killed, so one whose answer nobody waits for any more goes on in a task of its own, and no second
//! one is started in that container until it ended. Of all containers together, as many run at once as the engine has
//! cores; one that overran its time limit is idle rather than busy, and no longer counts.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::finding::{Finding, first_line, last_line, limit_text};
use crate::engine::{Engine, ExecOutcome, ExecRequest, Result};
use crate::names::ContainerId;

/// How much output is kept for the text of an answer.
pub(super) const OUTPUT: usize = 4 << 10;

/// What became of a command.
pub(super) enum Ran {
    /// It ended.
    Ended(ExecOutcome),
    /// It did not, or was never started: this is all there is to say.
    Not(Finding),
}

/// The commands that run now.
#[derive(Debug)]
pub(super) struct Execs {
    at_once: Arc<Semaphore>,
    /// Held while a command runs in the container.
    slots: Mutex<HashMap<ContainerId, Slot>>,
}

type Slot = Arc<tokio::sync::Mutex<()>>;

impl Execs {
    /// At most so many at once, and at least one.
    pub(super) fn new(at_once: usize) -> Self {
        Self { at_once: Arc::new(Semaphore::new(at_once.max(1))), slots: Mutex::default() }
    }

    /// Runs a command and waits for its end, at most `limit` for its turn and as long again for the command itself.
    /// Its output is cut to `keep` bytes from the front.
    pub(super) async fn run<E: Engine>(
        &self,
        engine: &E,
        id: &ContainerId,
        command: &[String],
        keep: usize,
        limit: Duration,
    ) -> Ran {
        let turn = Instant::now() + limit;
        let Ok(slot) = timeout_at(turn, self.slot(id).lock_owned()).await else {
            return Ran::Not(Finding::refuses("the previous check still runs"));
        };
        let Ok(Ok(permit)) = timeout_at(turn, Arc::clone(&self.at_once).acquire_owned()).await else {
            return Ran::Not(Finding::trouble("too many other checks run"));
        };
        let (done, outcome) = oneshot::channel();
        let request = ExecRequest { command: command.to_vec(), keep_output: keep, ..ExecRequest::default() };
        tokio::spawn(to_its_end(engine.clone(), id.clone(), request, limit, (slot, permit), done));
        match timeout(limit, outcome).await {
            Ok(Ok(Ok(outcome))) => Ran::Ended(outcome),
            Ok(Ok(Err(error))) => Ran::Not(Finding::trouble(error.to_string())),
            Ok(Err(_)) => Ran::Not(Finding::trouble("the check was cut off")),
            Err(_) => Ran::Not(Finding::refuses(format!("no answer in {}", limit_text(limit)))),
        }
    }

    /// The container's slot. Those of containers where nothing runs or waits are forgotten.
    fn slot(&self, id: &ContainerId) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|other, slot| other == id || Arc::strong_count(slot) > 1);
        Arc::clone(slots.entry(id.clone()).or_default())
    }
}

/// Runs a command however long it takes. The slot is free when it ended, the permit when its time limit passed too.
async fn to_its_end<E: Engine>(
    engine: E,
    id: ContainerId,
    request: ExecRequest,
    limit: Duration,
    (slot, permit): (OwnedMutexGuard<()>, OwnedSemaphorePermit),
    done: oneshot::Sender<Result<ExecOutcome>>,
) {
    let mut exec = pin!(engine.exec(&id, &request));
    let outcome = match timeout(limit, exec.as_mut()).await {
        Ok(outcome) => outcome,
        Err(_) => {
            drop(permit);
            exec.await
        }
    };
    drop(slot);
    // Nobody listens if the time limit passed or the caller lost interest.
    let _ = done.send(outcome);
}

/// What a command's end says.
pub(super) fn judge(outcome: &ExecOutcome) -> Finding {
    match outcome.code {
        0 => Finding::pass("exit 0"),
        code @ (126 | 127) => missing(code, &outcome.output),
        code => match last_line(&outcome.output) {
            Some(line) => Finding::refuses(format!("exit {code}: {line}")),
            None => Finding::refuses(format!("exit {code}")),
        },
    }
}

/// The codes for a program that isn't there. The engine gives them too when it can't get into the container, which
/// happens to one that is just ending.
fn missing(code: i64, output: &str) -> Finding {
    const ABSENT: [&str; 6] =
        ["not found", "no such file", "permission denied", "is a directory", "exec format error", "not a directory"];
    let text = first_line(output).unwrap_or_else(|| format!("exit {code}: the program is missing"));
    let lower = text.to_ascii_lowercase();
    let is_the_engine_s = lower.contains("oci runtime") || lower.starts_with("cannot exec in a ");
    if is_the_engine_s && !ABSENT.iter().any(|reason| output.to_ascii_lowercase().contains(reason)) {
        return Finding::trouble(text);
    }
    // The engine wraps the one thing that matters: `OCI runtime exec failed: … exec: "x": not found: unknown`.
    let said = text.find("exec: \"").map_or(text.as_str(), |at| text[at..].trim_end_matches(": unknown"));
    Finding::impossible(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Verdict;

    fn ended(code: i64, output: &str) -> Finding {
        judge(&ExecOutcome { code, output: output.to_owned() })
    }

    #[test]
    fn exit_codes() {
        assert_eq!(ended(0, "fine\n"), Finding::pass("exit 0"));
        assert_eq!(ended(1, "trying\nno such database\n\n"), Finding::refuses("exit 1: no such database"));
        assert_eq!(ended(3, ""), Finding::refuses("exit 3"));
        assert_eq!(ended(127, "sh: 1: curl: not found\n"), Finding::impossible("sh: 1: curl: not found"));
        assert_eq!(ended(127, ""), Finding::impossible("exit 127: the program is missing"));
    }

    #[test]
    fn the_engine_s_own_failure_is_not_the_program_s() {
        let absent = "OCI runtime exec failed: exec failed: unable to start container process: exec: \"pg_isready\": \
                      executable file not found in $PATH: unknown\r\n";
        let text = "exec: \"pg_isready\": executable file not found in $PATH";
        assert_eq!(ended(126, absent), Finding::impossible(text));
        let ending = "OCI runtime exec failed: exec failed: cannot exec a container that has stopped: unknown\r\n";
        assert_eq!(ended(126, ending).verdict, Verdict::EngineTrouble);
        // What containerd says by itself, without runc.
        assert_eq!(ended(126, "cannot exec in a stopped state: unknown").verdict, Verdict::EngineTrouble);
    }
}
