//! Getting a run's events to those who show and record them.

use std::time::Duration;

use futures::stream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::session::Session;
use crate::cluster::Cluster;
use crate::event::{Event, EventKind, Outcome};
use crate::report::{Masker, Reporters, RunRecord, follow};
use crate::store::Store;

/// Reporters at work on a run.
pub(super) struct Watchers {
    sender: UnboundedSender<Event>,
    task: JoinHandle<Option<Outcome>>,
    begun: Instant,
    /// Time that the first part of the run took, in its second part.
    later: Option<Duration>,
}

impl Watchers {
    /// Sets them to work: the one for people or programs, and the record.
    pub(super) fn begin(session: &Session, store: &Store, masker: &Masker) -> Self {
        let reporters = Reporters::for_format(session.global.report_format(), &session.printer, masker);
        Self::with(reporters, store, masker)
    }

    /// The same for a supervised run.
    pub(super) fn begin_supervision(session: &Session, store: &Store, masker: &Masker) -> Self {
        let reporters = Reporters::for_supervision(session.global.report_format(), &session.printer, masker);
        Self::with(reporters, store, masker)
    }

    fn with(reporters: Reporters, store: &Store, masker: &Masker) -> Self {
        let (sender, mut receiver) = unbounded_channel();
        let reporters = reporters.with(RunRecord::new(store, masker.clone()));
        let events = stream::poll_fn(move |context| receiver.poll_recv(context));
        let begun = Instant::now();
        let task = tokio::spawn(follow(events, reporters, begun));
        Self { sender, task, begun, later: None }
    }

    /// Where events go.
    pub(super) fn sink(&self) -> impl FnMut(Event) + Send + 'static {
        let (sender, later) = (self.sender.clone(), self.later);
        move |mut event| {
            if let Some(later) = later {
                if matches!(event.kind, EventKind::RunStarted { .. }) {
                    return;
                }
                event.at.0 += later;
            }
            // Reporters that are gone can't be told: the run goes on.
            _ = sender.send(event);
        }
    }

    /// Where events of a run's first part go: that it went well isn't the end of the run.
    pub(super) fn sink_of_first_part(&self) -> impl FnMut(Event) + Send + 'static {
        let mut sink = self.sink();
        move |event| {
            if !matches!(event.kind, EventKind::RunFinished { outcome: Outcome::Ready, .. }) {
                sink(event);
            }
        }
    }

    /// What comes from now on belongs to the second part of the run: it doesn't begin anew, and its time goes on.
    #[must_use]
    pub(super) fn second_part(self) -> Self {
        Self { later: Some(self.begun.elapsed()), ..self }
    }

    /// Waits until everything is shown.
    pub(super) async fn end(self) {
        drop(self.sender);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "a reporter failed");
        }
    }
}

/// A masker of every secret of the cluster.
pub(super) fn masker(cluster: &Cluster) -> Masker {
    Masker::new(cluster.secrets())
}
