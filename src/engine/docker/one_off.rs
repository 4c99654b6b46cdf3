//! Running a container to its end with this process's own streams: what `convoke run` does with the one it made.

use std::time::Duration;

use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures::stream::StreamExt;

use super::attached::{copy_input, follow_size, own_input};
use super::connect::DockerEngine;
use super::failure::{WORK, explain, within};
use super::terminal::{RawTerminal, TerminalSize, sizes};
use crate::engine::{Engine, EngineError, ErrorKind, Result, Verb};
use crate::names::ContainerId;

/// A question has reached the engine after so long; a start takes it many times longer.
const HEAD_START: Duration = Duration::from_millis(10);
/// Output that comes after the end of the container is waited for so long.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a container is run.
#[derive(Debug, Clone, Copy)]
pub struct Attached {
    /// It reads what this process reads.
    pub input: bool,
    /// It was made with a terminal: this process's own passes every key on for as long as it runs.
    pub tty: bool,
    /// The engine removes it at its end: it is awaited until it is gone.
    pub removed: bool,
}

impl DockerEngine {
    /// Starts a container that never ran, with this process's streams, and returns its exit code.
    ///
    /// # Errors
    /// When it can't be started, the connection breaks, or a stream of this process fails.
    pub async fn run_attached(&self, id: &ContainerId, how: Attached) -> Result<i64> {
        // Before the start: what it writes first may come at once.
        let AttachContainerResults { output, input: to } = self.attach(id, how.input).await?;
        let ended = self.end_of(id, how.removed);
        tokio::pin!(ended);
        if how.removed {
            // Nothing could be asked about one that is gone already. This question ends now only if it fails.
            tokio::select! {
                biased;
                early = &mut ended => return early,
                () = tokio::time::sleep(HEAD_START) => {}
            }
        }
        self.start(id).await?;
        let raw = if how.tty { RawTerminal::enter() } else { None };
        let _copying = copy_input(how.input.then(own_input), to, how.tty);
        let (mut out, mut err) = (tokio::io::stdout(), tokio::io::stderr());
        let copied = self.copy_output(id, output, &mut out, &mut err);
        let resize = async |size| self.resize(id, size).await;
        let sizes = follow_size(how.tty.then(sizes), resize);
        tokio::pin!(copied, sizes);
        let code = tokio::select! {
            copied = &mut copied => {
                copied?;
                ended.await
            }
            code = &mut ended => {
                // A process that it left behind may hold its output open.
                if let Ok(copied) = tokio::time::timeout(LAST_WORDS, copied).await {
                    copied?;
                }
                code
            }
            () = &mut sizes => ended.await,
        };
        drop(raw);
        code
    }

    async fn attach(&self, id: &ContainerId, input: bool) -> Result<AttachContainerResults> {
        let options = AttachContainerOptionsBuilder::default().stream(true).stdin(input).stdout(true).stderr(true);
        within(WORK, Verb::Start(self.name_of(id)), self.docker().attach_container(id.as_str(), Some(options.build())))
            .await
    }

    async fn resize(&self, id: &ContainerId, size: TerminalSize) -> std::result::Result<(), Error> {
        let options = ResizeContainerTTYOptionsBuilder::default().h(size.height.into()).w(size.width.into()).build();
        self.docker().resize_container_tty(id.as_str(), options).await
    }

    /// The exit code of one that was started, or, asked before the start, of one that is removed at its end. It has no
    /// time limit: a container may run for ever.
    async fn end_of(&self, id: &ContainerId, removed: bool) -> Result<i64> {
        let condition = if removed { "removed" } else { "not-running" };
        let options = WaitContainerOptionsBuilder::default().condition(condition).build();
        let verb = || Verb::Inspect(self.name_of(id));
        let mut answers = self.docker().wait_container(id.as_str(), Some(options));
        match answers.next().await {
            Some(Ok(ended)) => Ok(ended.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(explain(verb(), error)),
            None => {
                let message = "the engine doesn't say how it ended".to_owned();
                Err(EngineError { verb: verb(), kind: ErrorKind::Internal, message })
            }
        }
    }
}
