//! Running commands in containers and collecting what they print.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures::stream::{Stream, StreamExt};
use tokio::io::AsyncWrite;

use tokio::time::Instant;

use super::connect::DockerEngine;
use super::failure::{WORK, explain, within};
use super::logs::Tail;
use crate::engine::{EngineError, ErrorKind, ExecOutcome, ExecRequest, Result, Verb};
use crate::names::ContainerId;

/// Pauses between looks at whether a command that closed its output has ended: from the first, doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(250);
/// An exit code that isn't there so long after the end won't come.
const CODE_LIMIT: Duration = Duration::from_secs(5);

pub(super) type Output = Pin<Box<dyn Stream<Item = std::result::Result<LogOutput, bollard::errors::Error>> + Send>>;
pub(super) type Input = Pin<Box<dyn AsyncWrite + Send>>;

impl DockerEngine {
    /// No time limit of its own from the start on: the caller knows how long the command may take.
    pub(super) async fn run_command(&self, id: &ContainerId, request: &ExecRequest) -> Result<ExecOutcome> {
        let config = ExecConfig { attach_stdout: Some(true), attach_stderr: Some(true), ..config(request) };
        match self.collect(id, config, request.keep_output).await {
            Err(error) if error.kind == ErrorKind::CommandInvalid => Ok(cannot_run(error.message)),
            other => other,
        }
    }

    async fn collect(&self, id: &ContainerId, config: ExecConfig, keep: usize) -> Result<ExecOutcome> {
        let exec = self.create_exec(id, config).await?;
        let (mut output, _input) = self.start_exec(id, &exec, false).await?;
        let mut kept = Tail::new(keep);
        while let Some(chunk) = output.next().await {
            let chunk = chunk.map_err(|error| explain(self.exec_verb(id), error))?;
            kept.add(chunk.as_ref());
        }
        let code = self.exit_code(id, &exec).await?;
        Ok(ExecOutcome { code, output: kept.into_text() })
    }

    /// Starts a command that nobody waits for.
    ///
    /// # Errors
    /// When the container isn't running, or newer engines find no such program.
    pub async fn exec_detached(&self, id: &ContainerId, request: &ExecRequest) -> Result<()> {
        let exec = self.create_exec(id, config(request)).await?;
        let options = StartExecOptions { detach: true, tty: false, output_capacity: None };
        within(WORK, self.exec_verb(id), self.docker().start_exec(&exec, Some(options))).await.map(drop)
    }

    pub(super) async fn create_exec(&self, id: &ContainerId, config: ExecConfig) -> Result<String> {
        let made = within(WORK, self.exec_verb(id), self.docker().create_exec(id.as_str(), config)).await?;
        Ok(made.id)
    }

    pub(super) async fn start_exec(&self, id: &ContainerId, exec: &str, tty: bool) -> Result<(Output, Input)> {
        let options = StartExecOptions { detach: false, tty, output_capacity: None };
        match within(WORK, self.exec_verb(id), self.docker().start_exec(exec, Some(options))).await? {
            StartExecResults::Attached { output, input } => Ok((output, input)),
            StartExecResults::Detached => Err(EngineError {
                verb: self.exec_verb(id),
                kind: ErrorKind::Internal,
                message: "the engine did not attach to the command".to_owned(),
            }),
        }
    }

    /// The output ends a moment before the code is known, or long before: a command may close it and go on.
    pub(super) async fn exit_code(&self, id: &ContainerId, exec: &str) -> Result<i64> {
        let mut pause = FIRST_PAUSE;
        let mut given_up_at = None;
        loop {
            let state = within(WORK, self.exec_verb(id), self.docker().inspect_exec(exec)).await?;
            let has_ended = state.running != Some(true);
            match state.exit_code {
                Some(code) if has_ended => return Ok(code),
                _ if has_ended && *given_up_at.get_or_insert(Instant::now() + CODE_LIMIT) <= Instant::now() => {
                    let message = "it ended, and the engine doesn't say with which exit code".to_owned();
                    return Err(EngineError { verb: self.exec_verb(id), kind: ErrorKind::Internal, message });
                }
                _ => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    pub(super) fn exec_verb(&self, id: &ContainerId) -> Verb {
        Verb::Exec(self.name_of(id))
    }
}

/// What the engine is told of a command; no stream is attached.
pub(super) fn config(request: &ExecRequest) -> ExecConfig {
    ExecConfig {
        cmd: Some(request.command.clone()),
        user: request.user.clone(),
        privileged: Some(request.privileged),
        working_dir: request.working_dir.clone(),
        env: Some(request.environment.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        ..Default::default()
    }
}

/// Newer engines refuse the start of an exec whose program is missing, where 20.10 gives a code: told alike.
pub(super) fn cannot_run(message: String) -> ExecOutcome {
    let text = message.to_lowercase();
    let missing = text.contains("not found") || text.contains("no such file");
    ExecOutcome { code: if missing { 127 } else { 126 }, output: message }
}
