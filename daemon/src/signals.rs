//! Being told to stop: SIGTERM and SIGINT.
//!
//! Refuses to decide what stopping means: whoever asked ends its own work.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when the process is told to stop, or never where signals cannot be had.
pub async fn stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::warn!("signals cannot be received; stop this process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
