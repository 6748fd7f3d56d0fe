//! Wakes the engine's thread at the moment that the engine names.
//!
//! Times are of the boot clock; a machine that slept notices at the next wake-up. Refuses to be
//! exact: early is looked at again, late is late.

use super::work::Work;
use crate::{clock, tasks};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Longest sleep in milliseconds: after a suspend, which timers do not count, the clock is read
/// again within it. Arbitrary.
const SLEEP_MS_MAX: u64 = 30_000;

/// Where the driver says when it wants to be woken.
#[derive(Debug, Clone)]
pub struct TimerHandle(watch::Sender<Option<u64>>);

impl TimerHandle {
    /// Starts the timer; it ends with the last handle, or with whoever takes the work.
    #[must_use]
    pub fn start(work: mpsc::Sender<Work>) -> Self {
        let (sender, receiver) = watch::channel(None);
        let _ends_with_its_channels = tasks::spawn(run(receiver, work));
        Self(sender)
    }

    /// Asks to be woken at a moment of the boot clock in milliseconds, or not at all.
    pub fn set(&self, at_ms: Option<u64>) {
        self.0.send_if_modified(|held| {
            let is_new = *held != at_ms;
            *held = at_ms;
            is_new
        });
    }
}

async fn run(mut receiver: watch::Receiver<Option<u64>>, work: mpsc::Sender<Work>) {
    loop {
        let Some(at_ms) = *receiver.borrow_and_update() else {
            if receiver.changed().await.is_err() {
                return;
            }
            continue;
        };
        let left_ms = at_ms.saturating_sub(clock::mono_ms());
        if left_ms > 0 {
            let sleep = Duration::from_millis(left_ms.min(SLEEP_MS_MAX));
            tokio::select! {
                changed = receiver.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep(sleep) => {}
            }
            continue;
        }
        if work.send(Work::Timeout).await.is_err() || receiver.changed().await.is_err() {
            return;
        }
    }
}
