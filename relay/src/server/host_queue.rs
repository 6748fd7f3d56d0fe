//! The queue in front of the host: some calls at once, some that wait, the rest come later.
//!
//! What is asked of the host costs it a signature check and a commit; whoever is sent away here
//! costs nothing of it. Refuses to let anybody wait for a host that does not keep up.

use super::clock::Clock;
use crate::delay::QueueDelay;
use crate::limits::{HOST_CALLS_AT_ONCE, HOST_CALLS_WAITING_MAX};
use crate::metrics::{Metrics, Shed};
use postern_protocol::Reject;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct HostQueue {
    calls: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    delay: Mutex<QueueDelay>,
}

impl Default for HostQueue {
    fn default() -> Self {
        Self::new(HOST_CALLS_AT_ONCE, HOST_CALLS_WAITING_MAX)
    }
}

impl HostQueue {
    pub(super) fn new(at_once_max: usize, waiting_max: usize) -> Self {
        Self {
            calls: Arc::new(Semaphore::new(at_once_max)),
            waiting: Arc::new(Semaphore::new(waiting_max)),
            delay: Mutex::new(QueueDelay::default()),
        }
    }

    /// Waits for a place at the host, at most until the deadline.
    /// # Errors: `overloaded` when too many wait, or waited too long.
    pub(super) async fn enter(
        &self,
        clock: Clock,
        metrics: &Metrics,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, Reject> {
        let came_ms = clock.now_ms();
        if let Ok(place) = Arc::clone(&self.calls).try_acquire_owned() {
            let _ = self.sheds(came_ms, 0);
            return Ok(place);
        }
        let Ok(_waiting) = self.waiting.try_acquire() else {
            metrics.shed(Shed::QueueFull);
            return Err(Reject::Overloaded);
        };
        let entering = Arc::clone(&self.calls).acquire_owned();
        let entered = tokio::time::timeout_at(deadline, entering).await;
        let now_ms = clock.now_ms();
        let is_shed = self.sheds(now_ms, now_ms.saturating_sub(came_ms));
        match entered {
            Ok(Ok(place)) if !is_shed => Ok(place),
            Ok(_) | Err(_) => {
                metrics.shed(Shed::QueueDelay);
                Err(Reject::Overloaded)
            }
        }
    }

    fn sheds(&self, now_ms: u64, waited_ms: u64) -> bool {
        let mut delay = self.delay.lock().unwrap_or_else(PoisonError::into_inner);
        delay.sheds(now_ms, waited_ms)
    }
}
