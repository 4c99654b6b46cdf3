//! Running a command in a container with the caller's own input, output and terminal.

use std::io::{self, Read};

use bollard::container::LogOutput;
use bollard::exec::ResizeExecOptions;
use bollard::models::ExecConfig;
use bytes::Bytes;
use futures::stream::StreamExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

use super::connect::DockerEngine;
use super::exec::{Input, Output, cannot_run, config as exec_config};
use super::failure::{QUESTION, explain};
use super::terminal::{RawTerminal, TerminalSize, sizes};
use crate::engine::{EngineError, ErrorKind, ExecRequest, Result};
use crate::names::ContainerId;

/// The streams of a command.
pub struct ExecStreams<'a> {
    /// What it reads; it sees the end when the sender is dropped. None: it has no input.
    pub input: Option<mpsc::Receiver<Bytes>>,
    /// Where its standard output goes; with a terminal, all of its output.
    pub output: &'a mut (dyn AsyncWrite + Send + Unpin),
    /// Where its standard error goes.
    pub errors: &'a mut (dyn AsyncWrite + Send + Unpin),
    /// Gives the command a terminal of this size, which follows the changes.
    pub terminal: Option<watch::Receiver<TerminalSize>>,
}

/// Ends the copying of input when the command has ended, also if the caller gives up.
pub(super) struct Copying(tokio::task::JoinHandle<()>);

impl Drop for Copying {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl DockerEngine {
    /// Runs a command with this process's own streams and returns its exit code; with `tty`, in a terminal of the size
    /// of this process's own, which is set to pass every key on for as long as that.
    ///
    /// # Errors
    /// When the container isn't running, the connection breaks, or a stream of this process fails.
    pub async fn exec_attached(&self, id: &ContainerId, request: &ExecRequest, tty: bool) -> Result<i64> {
        let raw = if tty { RawTerminal::enter() } else { None };
        let terminal = tty.then(sizes);
        let streams = ExecStreams {
            input: Some(own_input()),
            output: &mut tokio::io::stdout(),
            errors: &mut tokio::io::stderr(),
            terminal,
        };
        let ended = self.exec_with(id, request, streams).await;
        drop(raw);
        ended
    }

    /// Runs a command with the given streams and returns its exit code. A missing program is not an error but 126 or
    /// 127, with the engine's text among its output.
    ///
    /// # Errors
    /// When the container isn't running, the connection breaks, or the caller's streams fail.
    pub async fn exec_with(&self, id: &ContainerId, request: &ExecRequest, streams: ExecStreams<'_>) -> Result<i64> {
        let ExecStreams { input, output, errors, terminal } = streams;
        let tty = terminal.is_some();
        let config = ExecConfig {
            attach_stdin: Some(input.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(tty),
            ..exec_config(request)
        };
        let started = async {
            let exec = self.create_exec(id, config).await?;
            let (from, to) = self.start_exec(id, &exec, tty).await?;
            Ok((exec, from, to))
        };
        let (exec, from, to) = match started.await {
            Err(EngineError { kind: ErrorKind::CommandInvalid, message, .. }) => {
                let ended = cannot_run(message);
                let text = format!("{}\n", ended.output);
                write_now(errors, text.as_bytes()).await.map_err(|error| self.stream_failed(id, &error))?;
                return Ok(ended.code);
            }
            other => other?,
        };
        let _copying = copy_input(input, to, tty);
        let copied = self.copy_output(id, from, output, errors);
        let resize = async |TerminalSize { width, height }| {
            self.docker().resize_exec(&exec, ResizeExecOptions { width, height }).await
        };
        tokio::select! {
            copied = copied => copied?,
            () = follow_size(terminal, resize) => {}
        }
        self.exit_code(id, &exec).await
    }

    pub(super) async fn copy_output(
        &self,
        id: &ContainerId,
        mut from: Output,
        output: &mut (dyn AsyncWrite + Send + Unpin),
        errors: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<()> {
        while let Some(chunk) = from.next().await {
            let written = match chunk.map_err(|error| explain(self.exec_verb(id), error))? {
                LogOutput::StdErr { message } => write_now(errors, &message).await,
                other => write_now(output, other.as_ref()).await,
            };
            written.map_err(|error| self.stream_failed(id, &error))?;
        }
        Ok(())
    }

    fn stream_failed(&self, id: &ContainerId, error: &io::Error) -> EngineError {
        EngineError { verb: self.exec_verb(id), kind: ErrorKind::Rejected, message: error.to_string() }
    }
}

/// Tells each size of the terminal. Never ends by itself: it is dropped with the output's end.
pub(super) async fn follow_size(
    size: Option<watch::Receiver<TerminalSize>>,
    resize: impl AsyncFn(TerminalSize) -> std::result::Result<(), bollard::errors::Error>,
) {
    if let Some(mut size) = size {
        loop {
            let now = *size.borrow_and_update();
            // A terminal of the wrong size is no reason to end the command.
            if let Ok(Err(error)) = tokio::time::timeout(QUESTION, resize(now)).await {
                tracing::debug!(%error, "the terminal's size was not taken");
            }
            if size.changed().await.is_err() {
                break;
            }
        }
    }
    std::future::pending().await
}

/// This process's standard input, read on a thread which nobody waits for: a read that is under way can't be cancelled,
/// and the runtime's own would hold the process until the next key.
pub(super) fn own_input() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = io::stdin().read(&mut buffer) {
            if sender.blocking_send(Bytes::copy_from_slice(&buffer[..length])).is_err() {
                return;
            }
        }
    });
    receiver
}

/// At the end of the caller's input the command's is closed too, so that `cat` ends. Not that of a terminal: the engine
/// would close the output with it.
pub(super) fn copy_input(input: Option<mpsc::Receiver<Bytes>>, mut to: Input, tty: bool) -> Option<Copying> {
    let mut input = input?;
    Some(Copying(tokio::spawn(async move {
        while let Some(piece) = input.recv().await {
            // The command may end without reading all of it.
            if to.write_all(&piece).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
        if !tty {
            let _ = to.shutdown().await;
        }
        // The two directions share a connection: this half is held until the command has ended.
        std::future::pending::<()>().await;
    })))
}

async fn write_now(out: &mut (dyn AsyncWrite + Send + Unpin), bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes).await?;
    out.flush().await
}
