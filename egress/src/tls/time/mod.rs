//! The time at which certificates are checked, for machines that boot with a wrong clock.
//!
//! ```text
//!   nothing taken:   the later of the machine's clock and the floor
//!   a time taken:    that time, moved on by a clock that does not jump
//!   floor:           the time taken last, from the store at first, and at least the release
//! ```
//!
//! [`TlsClock`] is the decision and reads nothing; [`TimeKeeper`] shares one among connections. Refuses to set
//! the machine's clock, and to decide anything but the period of certificates: order and freshness know no
//! wall clock. Who may state a time is not known here; whoever calls [`TimeKeeper::take`] has verified it.

#[cfg(test)]
mod tests;

use super::period::{Date, Period};
use crate::clock;
use crate::limits::{RELEASE_UNIX_S, TIME_ASK_INTERVAL, TIME_JUMP_S};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the machine's clocks say at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock in seconds since 1970, as wrong as it may be.
    pub wall_s: u64,
    /// Milliseconds of a clock that never goes back or jumps, from an arbitrary start.
    pub mono_ms: u64,
}

/// Reads the machine's clocks.
pub trait TimeSource: fmt::Debug + Send + Sync {
    /// Reads both.
    fn read(&self) -> Reading;
}

/// The clocks of the system. Its second one stands still while the machine sleeps; a long-lived device brings a
/// source of its own.
#[derive(Debug, Default)]
pub struct SystemTimeSource(clock::Clock);

impl TimeSource for SystemTimeSource {
    fn read(&self) -> Reading {
        Reading {
            wall_s: clock::wall_s(),
            mono_ms: self.0.now().as_millis(),
        }
    }
}

/// A time that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stated time {} lies before this program's release {}", Date(*.unix_s), Date(RELEASE_UNIX_S))]
pub struct TimeRefused {
    /// The time, in seconds since 1970.
    pub unix_s: u64,
}

/// A time taken from a verified answer, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    unix_s: u64,
    mono_ms: u64,
}

/// Decides at which time certificates are checked. Pure: readings come in as arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsClock {
    floor_s: u64,
    taken: Option<Taken>,
}

impl TlsClock {
    /// Starts with the time that was taken last in an earlier life, in seconds since 1970.
    #[must_use]
    pub fn new(last_taken_s: Option<u64>) -> Self {
        Self {
            floor_s: last_taken_s.unwrap_or_default().max(RELEASE_UNIX_S),
            taken: None,
        }
    }

    /// The floor, in seconds since 1970.
    #[must_use]
    pub const fn floor_s(&self) -> u64 {
        self.floor_s
    }

    //= spec/freshness.md#signed-time
    //# A device MUST check certificates at the time that it took, moved on by a clock that does not
    //# jump, and before it took one at the later of its own clock and the floor.
    /// The time at which certificates are checked, in seconds since 1970.
    #[must_use]
    pub fn now_s(&self, reading: Reading) -> u64 {
        match self.taken {
            Some(taken) => {
                let passed_ms = reading.mono_ms.saturating_sub(taken.mono_ms);
                taken.unix_s.saturating_add(passed_ms / 1_000)
            }
            None => reading.wall_s.max(self.floor_s),
        }
    }

    /// How many seconds the machine's clock is ahead of the time that was taken; `None` before one was.
    #[must_use]
    pub fn ahead_s(&self, reading: Reading) -> Option<i64> {
        self.taken?;
        Some(ahead(reading.wall_s, self.now_s(reading)))
    }

    /// Tells whether it makes sense to ask for the time: none was taken lately.
    #[must_use]
    pub fn is_ask_due(&self, reading: Reading) -> bool {
        self.taken.is_none_or(|taken| {
            let passed_ms = reading.mono_ms.saturating_sub(taken.mono_ms);
            u128::from(passed_ms) >= TIME_ASK_INTERVAL.as_millis()
        })
    }

    /// Takes a time that was verified. Returns true when certificates are judged at another time from now on.
    ///
    /// # Errors
    /// [`TimeRefused`] for a time before the release: then nothing changes.
    pub fn take(&mut self, unix_s: u64, reading: Reading) -> Result<bool, TimeRefused> {
        //= spec/freshness.md#signed-time
        //# A device MUST take a time only from an answer that verifies, and never one before its release.
        if unix_s < RELEASE_UNIX_S {
            return Err(TimeRefused { unix_s });
        }
        let before_s = self.now_s(reading);
        // The last one counts, and not the latest: a mailbox whose clock ran ahead must not bar the way for good.
        self.floor_s = unix_s;
        self.taken = Some(Taken {
            unix_s,
            mono_ms: reading.mono_ms,
        });
        Ok(before_s.abs_diff(unix_s) > TIME_JUMP_S)
    }

    //= spec/freshness.md#signed-time
    //# A device whose handshake failed only by the period of the certificate MAY repeat it once with a
    //# period that reaches into the time after the floor, to ask for the time.
    /// A moment from the floor on at which a certificate of this period is valid; `None` when it ended before.
    #[must_use]
    pub fn relaxed_s(&self, period: Period) -> Option<u64> {
        let moment = self.floor_s.max(period.not_before_s);
        period.contains(moment).then_some(moment)
    }
}

/// How far `left` is ahead of `right`.
fn ahead(left: u64, right: u64) -> i64 {
    let distance = i64::try_from(left.abs_diff(right)).unwrap_or(i64::MAX);
    if left < right { -distance } else { distance }
}

/// Which time a handshake checks certificates at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeCheck {
    /// The time that is believed.
    Strict,
    /// Any time from the floor on: only to ask for the time.
    Relaxed,
    /// A time that somebody stated, in seconds since 1970.
    At(u64),
}

/// What an operator wants to know about time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeReport {
    /// The time at which certificates are checked, in seconds since 1970.
    pub checked_s: u64,
    /// The machine's clock, in seconds since 1970.
    pub wall_s: u64,
    /// The floor, in seconds since 1970.
    pub floor_s: u64,
    /// How many seconds the machine's clock is ahead of the time taken; `None` before one was.
    pub ahead_s: Option<i64>,
}

impl TimeReport {
    /// Says where the time that is checked at comes from: `mailbox` where one signed it, else `machine` or, where that
    /// clock is behind it, `floor`.
    #[must_use]
    pub const fn source(&self) -> &'static str {
        match self.ahead_s {
            Some(_) => "mailbox",
            None if self.wall_s < self.floor_s => "floor",
            None => "machine",
        }
    }
}

impl fmt::Display for TimeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "checked at {}; this machine's clock says {}, and it is at least {}",
            Date(self.checked_s),
            Date(self.wall_s),
            Date(self.floor_s),
        )
    }
}

/// Shares one [`TlsClock`] among the connections of a process.
#[derive(Debug)]
pub struct TimeKeeper {
    clock: Mutex<(TlsClock, u64)>,
    source: Arc<dyn TimeSource>,
}

impl TimeKeeper {
    /// Keeps `clock` by the clocks of `source`.
    #[must_use]
    pub fn new(clock: TlsClock, source: Arc<dyn TimeSource>) -> Self {
        Self {
            clock: Mutex::new((clock, 0)),
            source,
        }
    }

    fn lock(&self) -> MutexGuard<'_, (TlsClock, u64)> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a time that was verified; true when certificates are judged at another time from now on, and
    /// connections that were opened before should go.
    ///
    /// # Errors
    /// As [`TlsClock::take`].
    pub fn take(&self, unix_s: u64) -> Result<bool, TimeRefused> {
        let reading = self.source.read();
        let mut kept = self.lock();
        let is_jump = kept.0.take(unix_s, reading)?;
        if is_jump {
            kept.1 = kept.1.wrapping_add(1);
        }
        Ok(is_jump)
    }

    /// Looks at the clocks.
    #[must_use]
    pub fn report(&self) -> TimeReport {
        let reading = self.source.read();
        let (clock, _) = *self.lock();
        TimeReport {
            checked_s: clock.now_s(reading),
            wall_s: reading.wall_s,
            floor_s: clock.floor_s(),
            ahead_s: clock.ahead_s(reading),
        }
    }

    /// As [`TlsClock::is_ask_due`].
    #[must_use]
    pub fn is_ask_due(&self) -> bool {
        self.lock().0.is_ask_due(self.source.read())
    }

    /// The time for one check, in seconds since 1970.
    pub(crate) fn moment(&self, check: TimeCheck, period: Option<Period>) -> u64 {
        let (clock, _) = *self.lock();
        let strict_s = clock.now_s(self.source.read());
        match check {
            TimeCheck::Strict => strict_s,
            TimeCheck::At(unix_s) => unix_s,
            TimeCheck::Relaxed => period
                .and_then(|period| clock.relaxed_s(period))
                .unwrap_or(strict_s),
        }
    }

    /// Changes whenever certificates are judged at another time: tickets of earlier sessions no longer count.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().1
    }
}

impl Default for TimeKeeper {
    fn default() -> Self {
        Self::new(TlsClock::new(None), Arc::new(SystemTimeSource::default()))
    }
}
