//! The signals that end a program. They are installed late on purpose: until then they have their default action,
//! which as PID 1 without an init is none. The real programs are like that.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM or SIGINT.
    Graceful,
    /// SIGQUIT.
    Immediate,
}

pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    pub fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    pub async fn stop(&mut self) -> Stop {
        let stop = tokio::select! {
            _ = self.terminate.recv() => Stop::Graceful,
            _ = self.interrupt.recv() => Stop::Graceful,
            _ = self.quit.recv() => Stop::Immediate,
        };
        tracing::info!("stopping ({stop:?})");
        stop
    }
}
