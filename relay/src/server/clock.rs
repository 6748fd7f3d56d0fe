//! The one place of the server that reads time: milliseconds of a monotonic clock.
//!
//! It is tokio's clock, so that tests can pause it. Refuses wall time.

use std::time::Duration;
use tokio::time::Instant;

/// Milliseconds since the mailbox was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(crate) fn now_ms(self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant of a time of this clock, for timers.
    pub(super) fn instant(self, at_ms: u64) -> Instant {
        let after = Duration::from_millis(at_ms);
        self.start.checked_add(after).unwrap_or(self.start)
    }
}

/// Now, for timers.
pub(super) fn now() -> Instant {
    Instant::now()
}

/// A point `ms` from now, for timers.
pub(crate) fn after_ms(ms: u64) -> Instant {
    let now = Instant::now();
    now.checked_add(Duration::from_millis(ms)).unwrap_or(now)
}
