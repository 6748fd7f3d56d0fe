//! How long to wait before the next connection attempt.
//!
//! Pure: the caller passes the random number and does the waiting. Full jitter: the pause is
//! uniform between nothing and the step, and the cap is applied to the step, *before* the jitter.
//! Capping afterwards would send a whole fleet back at the same second once everyone is at the cap.

use crate::limits::{BACKOFF_BASE, BACKOFF_CAP, RETRY_AFTER_S_MAX};
use std::time::Duration;

/// Counts failures in a row and turns them into pauses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    /// Bound of the next step.
    most: Option<Duration>,
}

impl Backoff {
    /// Starts without any failure.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            failures: 0,
            most: None,
        }
    }

    /// Records a failure and returns the pause before the next attempt.
    ///
    /// `random` is uniform over all of `u64`. `retry_after_s` is the server's hint in seconds; it
    /// is clamped to an hour and is a lower bound, to which the jitter is added.
    #[must_use]
    pub fn pause_after_failure(&mut self, random: u64, retry_after_s: Option<u64>) -> Duration {
        let most = self.most.take().unwrap_or(BACKOFF_CAP);
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        let step = step_ms(self.failures).min(most);
        self.failures = self.failures.saturating_add(1);
        let jitter = Duration::from_millis(scale(random, step.saturating_add(1)));
        let least = Duration::from_secs(retry_after_s.unwrap_or(0).min(RETRY_AFTER_S_MAX));
        least.saturating_add(jitter)
    }

    /// Keeps the next pause within this bound, for a failure that ends on this machine and at once;
    /// see [`TransportError::pause_max`](crate::TransportError::pause_max).
    pub const fn limit_next(&mut self, most: Option<Duration>) {
        self.most = most;
    }

    /// Forgets all failures after a verified answer.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the number of failures in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

/// Step before jitter: base * 2^n, capped.
fn step_ms(failures: u32) -> u64 {
    let base = u64::try_from(BACKOFF_BASE.as_millis()).unwrap_or(u64::MAX);
    let cap = u64::try_from(BACKOFF_CAP.as_millis()).unwrap_or(u64::MAX);
    let factor = 1_u64.checked_shl(failures.min(63)).unwrap_or(u64::MAX);
    base.saturating_mul(factor).min(cap)
}

/// Maps `random` from all of `u64` to `0..bound`, without the bias of a remainder.
pub(crate) fn scale(random: u64, bound: u64) -> u64 {
    let wide = u128::from(random) * u128::from(bound);
    u64::try_from(wide >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests;
