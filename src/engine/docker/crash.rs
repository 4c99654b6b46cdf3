//! Ending a container's process as a crash does, so that its restart policy answers. The engine's own kill never has
//! that effect (20.10 and later note it as the user's will), so it takes a signal that the engine knows nothing of.
//!
//! Where we are root on the engine's machine: SIGKILL to the process that the inspection names. Elsewhere a shell in the
//! container has to do it, and the kernel protects a namespace's first process from signals sent inside it: SIGKILL never
//! reaches it, others only if it handles them. What was tried on 20.10 with a program that handles none:
//!
//! * `kill -9 1`, `-ABRT`, `-SEGV`, `-TERM`, `-QUIT` from a shell inside: exit 0, and nothing happens.
//! * `kill -9 -1` with `init: true`: the program dies, the init with it, the policy restarts it.
//! * SIGABRT to a Go program or a JVM: they handle it, by crashing.

use std::time::Duration;

use bollard::query_parameters::InspectContainerOptions;
use jiff::Timestamp;
use tokio::time::Instant;

use super::connect::DockerEngine;
use super::convert;
use super::failure::{WORK, refused, within};
use crate::engine::{EngineError, ErrorKind, ExecRequest, Result, Verb};
use crate::names::ContainerId;

/// A process that was signalled ends within this time, or doesn't heed the signal.
const EFFECT: Duration = Duration::from_secs(1);
/// Pause between looks at whether it ended.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// A shell command that only sends a signal ends within this time.
const SHELL_LIMIT: Duration = Duration::from_secs(10);

/// One run of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    /// Its first process, as the engine's machine numbers it.
    pid: i32,
    started_at: Option<Timestamp>,
    /// The engine put an init in front of the program.
    has_init: bool,
}

impl DockerEngine {
    pub(super) async fn crash_container(&self, id: &ContainerId) -> Result<()> {
        let Some(run) = self.present_run(id).await? else {
            let message = "it doesn't run".to_owned();
            return Err(EngineError { verb: self.crash_verb(id), kind: ErrorKind::Conflict, message });
        };
        if !self.inner.info.is_local {
            return self.crash_from_inside(id, &run, "the engine is on another machine").await;
        }
        match host::kill(id, &run) {
            // The engine hears of it a moment later: until then its answers are about the past.
            Ok(()) => self.has_ended(id, &run).await.map(drop),
            Err(why) => {
                tracing::debug!(container = %id, why, "not by the host's process");
                self.crash_from_inside(id, &run, &why).await
            }
        }
    }

    fn crash_verb(&self, id: &ContainerId) -> Verb {
        Verb::Crash(self.name_of(id))
    }

    /// None: it doesn't run.
    async fn present_run(&self, id: &ContainerId) -> Result<Option<Run>> {
        let call = self.docker().inspect_container(id.as_str(), None::<InspectContainerOptions>);
        let inspected = within(WORK, self.crash_verb(id), call).await?;
        let state = inspected.state.unwrap_or_default();
        let pid = state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
        let runs = state.running == Some(true) && state.paused != Some(true);
        let has_init = inspected.host_config.and_then(|host| host.init).unwrap_or(false);
        let started_at = convert::time(state.started_at.as_deref());
        Ok(pid.filter(|_| runs).map(|pid| Run { pid, started_at, has_init }))
    }

    /// `why` it can't be done from outside.
    async fn crash_from_inside(&self, id: &ContainerId, run: &Run, why: &str) -> Result<()> {
        let attempts: &[&str] = if run.has_init { &["kill -9 -1"] } else { &["kill -ABRT 1", "kill -9 -1"] };
        for attempt in attempts {
            let command = ["/bin/sh", "-c", attempt].map(str::to_owned).to_vec();
            let request = ExecRequest { command, keep_output: 500, ..ExecRequest::default() };
            // A command that dies with the container may never answer, or answer with an error.
            let outcome = tokio::time::timeout(SHELL_LIMIT, self.run_command(id, &request)).await;
            if self.has_ended(id, run).await? {
                return Ok(());
            }
            if let Ok(Ok(outcome)) = outcome
                && matches!(outcome.code, 126 | 127)
            {
                let text = format!("{why}, and the image has no shell to do it from inside; {WAYS_OUT}");
                return Err(refused(self.crash_verb(id), text));
            }
        }
        let text = format!("{why}, and from inside its first process takes no signal; {WAYS_OUT}");
        Err(refused(self.crash_verb(id), text))
    }

    async fn has_ended(&self, id: &ContainerId, run: &Run) -> Result<bool> {
        let until = Instant::now() + EFFECT;
        loop {
            match self.present_run(id).await {
                Ok(Some(now)) if now == *run => {}
                Ok(_) => return Ok(true),
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(true),
                Err(error) => return Err(error),
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
}

const WAYS_OUT: &str = "run convoke as root on the engine's machine, or give the component `init: true` and a shell, or \
                        use kill, which its restart policy doesn't answer";

#[cfg(target_os = "linux")]
mod host {
    //! The process on this machine.

    use jiff::{SignedDuration, Timestamp};
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    use super::Run;
    use crate::names::ContainerId;

    /// The engine notes a start after the process is there: a busy one this much later.
    const NOTED_LATE: SignedDuration = SignedDuration::from_secs(60);
    /// Clocks are read at different places.
    const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(1);

    /// SIGKILL to the container's first process, or why not.
    pub(super) fn kill(id: &ContainerId, run: &Run) -> Result<(), String> {
        let pid = Pid::from_raw(run.pid).ok_or("its process has no number")?;
        // From here on it is this process and no other, even if it ends and its number is given anew.
        let process =
            pidfd_open(pid, PidfdFlags::empty()).map_err(|error| format!("its process isn't seen: {error}"))?;
        if !is_of_container(id, run) {
            return Err(format!("process {} isn't the container's as seen from here", run.pid));
        }
        pidfd_send_signal(&process, Signal::KILL).map_err(|error| match error {
            Errno::PERM => "its process may not be signalled by this user".to_owned(),
            other => format!("its process can't be signalled: {other}"),
        })
    }

    /// Whether the process with this number is the container's: it is in its control group, or else began when the
    /// container did.
    fn is_of_container(id: &ContainerId, run: &Run) -> bool {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        if read(&format!("/proc/{}/cgroup", run.pid)).contains(id.as_str()) {
            return true;
        }
        let began = began_at(
            &read(&format!("/proc/{}/stat", run.pid)),
            &read("/proc/stat"),
            rustix::param::clock_ticks_per_second(),
        );
        began.zip(run.started_at).is_some_and(|(began, noted)| {
            let later = noted.duration_since(began);
            later >= -CLOCK_SLACK && later <= NOTED_LATE
        })
    }

    /// When a process began: its 22nd field counts ticks since the machine's start.
    pub(super) fn began_at(process: &str, machine: &str, ticks_per_second: u64) -> Option<Timestamp> {
        // The program's name may hold anything, parentheses and spaces included.
        let (_, fields) = process.rsplit_once(')')?;
        let ticks: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
        let started: i64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        let seconds = i64::try_from(ticks / ticks_per_second.max(1)).ok()?;
        Timestamp::from_second(started.checked_add(seconds)?).ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod host {
    use super::Run;
    use crate::names::ContainerId;

    /// Processes are pinned by Linux's own means.
    pub(super) fn kill(_: &ContainerId, _: &Run) -> Result<(), String> {
        Err("this machine doesn't run Linux".to_owned())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::host::began_at;

    #[test]
    fn a_process_s_start_is_read_past_any_name() {
        let process = "42 (a) b (c) S 1 42 42 0 -1 4194560 979 0 18 0 1 1 0 0 20 0 2 0 12050 71000064 251";
        let began = began_at(process, "cpu 1 2\nbtime 1700000000\nprocesses 7\n", 100).unwrap();
        assert_eq!(began.as_second(), 1_700_000_120);
        assert_eq!(began_at("42 (a", "btime 1\n", 100), None);
        assert_eq!(began_at(process, "", 100), None);
    }
}
