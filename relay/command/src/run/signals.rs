//! What the process is told from outside: SIGHUP reads the configuration again, SIGTERM and SIGINT stop.
//!
//! Refuses to decide what stopping means: the loop does.

use postern_console::exit::CommandError;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Read the configuration again.
    Reload,
    /// Stop; the second time at once.
    Stop,
}

/// Receives signals from the moment that it is made.
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn receive() -> Result<Self, CommandError> {
        let failed = |error: io::Error| {
            CommandError::failure(
                "signals",
                format!("signals cannot be received: {error}"),
                "start again",
            )
        };
        Ok(Self {
            hangup: signal(SignalKind::hangup()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    /// Returns the next one. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.hangup.recv() => Told::Reload,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
        }
    }
}
