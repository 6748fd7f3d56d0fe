//! The only place of this crate that reads a clock.
//!
//! Pure modules (lockout, hold, backoff) take a [`Moment`] as an argument. A moment counts from an
//! arbitrary start and never goes back; it means nothing to another process and is not stored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A point in time: milliseconds since an arbitrary start, never going back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The start of counting.
    pub const START: Self = Self(0);

    /// Returns the moment `ms` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Returns the milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns this moment moved into the future, saturating.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        let ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(ms))
    }

    /// Returns the time since `earlier`, zero when that lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Reads the monotonic clock as [`Moment`]s.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Returns the present moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::START.after(self.start.elapsed())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::start()
    }
}

/// Real time spent, also on threads without a runtime and whatever a test does to the runtime's clock.
#[cfg(feature = "pac")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(std::time::Instant);

#[cfg(feature = "pac")]
impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the module that reads clocks"
    )]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Reads the wall clock: seconds since 1970, 0 before. Fit for the period of certificates only, through
/// [`crate::TlsClock`]; it may be wrong by decades.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where this crate reads the wall clock"
)]
pub fn wall_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
