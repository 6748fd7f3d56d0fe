//! The one place of the server that reads time: milliseconds of a monotonic clock, and what a welcome states.
//!
//! The first is tokio's clock, so that tests can pause it, and the only one that decides anything. Refuses
//! wall time for all but welcomes.

#[cfg(test)]
mod tests;

use postern_protocol::signed_time::SignedTime;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
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

/// 2020-01-01: a machine that believes in an earlier day has no time, only a counter from boot.
const PLAUSIBLE_UNIX_S_MIN: u64 = 1_577_836_800;

//= spec/freshness.md#signed-time
//# A mailbox or controller whose own clock is not set MUST leave the time out.
/// What the machine believes the time to be, for a welcome; `None` where its clock is not set.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the server reads the wall clock"
)]
pub(super) fn stated() -> Option<SignedTime> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    plausible(since.as_secs())
}

fn plausible(unix_s: u64) -> Option<SignedTime> {
    SignedTime::new(unix_s).filter(|_| unix_s >= PLAUSIBLE_UNIX_S_MIN)
}
