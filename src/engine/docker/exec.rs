//! Running commands in containers: to collect what they print, or attached to the caller's terminal.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures::stream::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::connect::DockerEngine;
use super::failure::{QUESTION, WORK, explain, within};
use super::logs::Tail;
use crate::engine::{EngineError, ErrorKind, ExecOutcome, ExecRequest, Result, Verb};
use crate::names::ContainerId;

/// Pauses between looks at whether a command that closed its output has ended: from the first, doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(250);

/// A command to run with the caller's input and output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachedExec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Give it a terminal: one stream for both outputs, line ends and signals by keys.
    pub tty: bool,
    /// User, as `uid[:gid]` or names; None: the container's.
    pub user: Option<String>,
    /// Working directory; None: the container's.
    pub working_dir: Option<String>,
    /// `NAME=value`, on top of the container's.
    pub env: Vec<String>,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

type Output = Pin<Box<dyn Stream<Item = std::result::Result<LogOutput, bollard::errors::Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// Ends the copying of input when the command has ended, also if the caller gives up.
struct Copying(tokio::task::JoinHandle<()>);

impl Drop for Copying {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl DockerEngine {
    /// No time limit of its own from the start on: the caller knows how long the command may take.
    pub(super) async fn run_command(&self, id: &ContainerId, request: &ExecRequest) -> Result<ExecOutcome> {
        let config = ExecConfig {
            cmd: Some(request.command.clone()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
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

    /// Runs a command with the given streams and returns its exit code. A missing program is not an error but 126 or
    /// 127, with the engine's text on `stderr`. With `size`, changes of the caller's terminal are passed on.
    ///
    /// Input is read by a task of its own, which ends with the command; a read of a terminal's standard input that is
    /// under way at that moment can't be cancelled and keeps a thread until the next key.
    ///
    /// # Errors
    /// When the container isn't running, the connection breaks, or the caller's streams fail.
    pub async fn exec_attached(
        &self,
        id: &ContainerId,
        exec: &AttachedExec,
        stdin: Option<Box<dyn AsyncRead + Send + Unpin>>,
        stdout: &mut (dyn AsyncWrite + Send + Unpin),
        stderr: &mut (dyn AsyncWrite + Send + Unpin),
        size: Option<watch::Receiver<TerminalSize>>,
    ) -> Result<i64> {
        let config = ExecConfig {
            cmd: Some(exec.command.clone()),
            attach_stdin: Some(stdin.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(exec.tty),
            user: exec.user.clone(),
            working_dir: exec.working_dir.clone(),
            env: Some(exec.env.clone()),
            ..Default::default()
        };
        let started = async {
            let handle = self.create_exec(id, config).await?;
            let streams = self.start_exec(id, &handle, exec.tty).await?;
            Ok((handle, streams))
        };
        let (handle, (output, input)) = match started.await {
            Err(EngineError { kind: ErrorKind::CommandInvalid, message, .. }) => {
                let ended = cannot_run(message);
                let text = format!("{}\n", ended.output);
                stderr.write_all(text.as_bytes()).await.map_err(|error| self.stream_failed(id, &error))?;
                return Ok(ended.code);
            }
            other => other?,
        };
        let _copying = copy_input(stdin, input, exec.tty);
        let resizing = self.follow_size(&handle, size.filter(|_| exec.tty));
        let copied = self.copy_output(id, output, stdout, stderr);
        tokio::select! {
            copied = copied => copied?,
            () = resizing => {}
        }
        self.exit_code(id, &handle).await
    }

    async fn copy_output(
        &self,
        id: &ContainerId,
        mut output: Output,
        stdout: &mut (dyn AsyncWrite + Send + Unpin),
        stderr: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<()> {
        while let Some(chunk) = output.next().await {
            let written = match chunk.map_err(|error| explain(self.exec_verb(id), error))? {
                LogOutput::StdErr { message } => write_now(stderr, &message).await,
                other => write_now(stdout, other.as_ref()).await,
            };
            written.map_err(|error| self.stream_failed(id, &error))?;
        }
        Ok(())
    }

    /// Never ends by itself: it is dropped with the output's end.
    async fn follow_size(&self, handle: &str, size: Option<watch::Receiver<TerminalSize>>) {
        if let Some(mut size) = size {
            loop {
                let TerminalSize { width, height } = *size.borrow_and_update();
                let resize = self.docker().resize_exec(handle, ResizeExecOptions { width, height });
                // A terminal of the wrong size is no reason to end the command.
                if let Err(error) = tokio::time::timeout(QUESTION, resize).await.map_or(Ok(()), |resized| resized) {
                    tracing::debug!(%error, "the terminal's size was not taken");
                }
                if size.changed().await.is_err() {
                    break;
                }
            }
        }
        std::future::pending().await
    }

    async fn create_exec(&self, id: &ContainerId, config: ExecConfig) -> Result<String> {
        let made = within(WORK, self.exec_verb(id), self.docker().create_exec(id.as_str(), config)).await?;
        Ok(made.id)
    }

    async fn start_exec(&self, id: &ContainerId, exec: &str, tty: bool) -> Result<(Output, Input)> {
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
    async fn exit_code(&self, id: &ContainerId, exec: &str) -> Result<i64> {
        let mut pause = FIRST_PAUSE;
        loop {
            let state = within(WORK, self.exec_verb(id), self.docker().inspect_exec(exec)).await?;
            match state.exit_code {
                Some(code) if state.running != Some(true) => return Ok(code),
                _ => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn exec_verb(&self, id: &ContainerId) -> Verb {
        Verb::Exec(self.name_of(id))
    }

    fn stream_failed(&self, id: &ContainerId, error: &std::io::Error) -> EngineError {
        EngineError { verb: self.exec_verb(id), kind: ErrorKind::Rejected, message: error.to_string() }
    }
}

/// At the end of the caller's input the command's is closed too, so that `cat` ends. Not that of a terminal: the engine
/// would close the output with it.
fn copy_input(stdin: Option<Box<dyn AsyncRead + Send + Unpin>>, mut input: Input, tty: bool) -> Option<Copying> {
    let mut stdin = stdin?;
    Some(Copying(tokio::spawn(async move {
        // The command may end without reading all of it.
        let _ = tokio::io::copy(&mut stdin, &mut input).await;
        if !tty {
            let _ = input.shutdown().await;
        }
        // The two directions share a connection: this half is held until the command has ended.
        std::future::pending::<()>().await;
    })))
}

async fn write_now(out: &mut (dyn AsyncWrite + Send + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    out.write_all(bytes).await?;
    out.flush().await
}

/// Newer engines refuse the start of an exec whose program is missing, where 20.10 gives a code: told alike.
fn cannot_run(message: String) -> ExecOutcome {
    let text = message.to_lowercase();
    let missing = text.contains("not found") || text.contains("no such file");
    ExecOutcome { code: if missing { 127 } else { 126 }, output: message }
}
