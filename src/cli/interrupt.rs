//! Ctrl-C: once asks the run to end, twice ends the process at once; unless signals are passed on to a container.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Counts the signals that ask the process to end.
#[derive(Debug, Clone)]
pub(super) struct Interrupts {
    sender: watch::Sender<u32>,
    count: watch::Receiver<u32>,
    /// How many end the process at once.
    most: watch::Sender<u32>,
}

/// A second signal ends the process.
const MOST: u32 = 2;
/// Where signals are for somebody else to answer, the process gets away with so many.
const MOST_PASSED_ON: u32 = 4;

impl Interrupts {
    /// Listens to SIGINT, SIGTERM and SIGHUP from now on.
    #[must_use]
    pub(super) fn listen() -> Self {
        let (sender, count) = watch::channel(0);
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            // A process that may not listen is ended by the signal itself, which is right as well.
            let Ok(mut signals) = signal(kind) else { continue };
            let sender = sender.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    sender.send_modify(|count| *count += 1);
                }
            });
        }
        Self { sender, count, most: watch::Sender::new(MOST) }
    }

    /// Counts the end of `what` as one more.
    pub(super) fn also(&self, what: impl Future<Output = ()> + Send + 'static) {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            what.await;
            sender.send_modify(|count| *count += 1);
        });
    }

    /// From now on signals are passed on to a container: it takes more of them to end the process.
    pub(super) fn are_passed_on(&self) {
        self.most.send_replace(MOST_PASSED_ON);
    }

    /// Resolves when there were so many that the process has to end at once.
    pub(super) async fn are_too_many(&self) {
        let mut most = self.most.subscribe();
        loop {
            let times = *most.borrow_and_update();
            tokio::select! {
                () = self.after(times) => if times == *most.borrow() { return },
                // Its sender is here.
                _ = most.changed() => {}
            }
        }
    }

    /// Resolves when `times` signals have come.
    pub(super) async fn after(&self, times: u32) {
        let mut count = self.count.clone();
        if count.wait_for(|count| *count >= times).await.is_err() {
            // Nobody listens: it never comes.
            std::future::pending::<()>().await;
        }
    }
}
