//! Getting a run's events to those who show and record them.

use futures::stream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::session::Session;
use crate::cluster::Cluster;
use crate::event::{Event, Outcome};
use crate::report::{Masker, Reporters, RunRecord, follow};
use crate::store::Store;

/// Reporters at work on a run.
pub(super) struct Watchers {
    sender: UnboundedSender<Event>,
    task: JoinHandle<Option<Outcome>>,
}

impl Watchers {
    /// Sets them to work: the one for people or programs, and the record.
    pub(super) fn begin(session: &Session, store: &Store, masker: &Masker) -> Self {
        let (sender, mut receiver) = unbounded_channel();
        let reporters = Reporters::for_format(session.global.report_format(), &session.printer, masker)
            .with(RunRecord::new(store, masker.clone()));
        let events = stream::poll_fn(move |context| receiver.poll_recv(context));
        let task = tokio::spawn(follow(events, reporters, Instant::now()));
        Self { sender, task }
    }

    /// Where events go.
    pub(super) fn sink(&self) -> impl FnMut(Event) + Send + 'static {
        let sender = self.sender.clone();
        move |event| {
            // Reporters that are gone can't be told: the run goes on.
            _ = sender.send(event);
        }
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
    Masker::new(cluster.components.values().flat_map(|component| &component.secrets))
}
