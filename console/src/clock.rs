//! The only place of this program that reads time.
//!
//! Order never comes from here: the monotonic clock paces waiting and counts suspended time too,
//! the wall clock is shown to people and may be wrong or unset. Refuses to sleep.

use postern_egress::clock::wall_s;
use postern_egress::{Reading, TimeSource};
use postern_protocol::context::Now;
use rustix::time::{ClockId, clock_gettime};

/// 2020-01-01: a machine that believes in an earlier day has no time, only a counter from boot.
const PLAUSIBLE_UNIX_S_MIN: u64 = 1_577_836_800;

/// Reads both clocks.
#[must_use]
pub fn now() -> Now {
    Now {
        mono_ms: mono_ms(),
        unix_s: unix_s(),
    }
}

/// Returns milliseconds since boot, suspended time included.
#[must_use]
pub fn mono_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let millis = u64::try_from(time.tv_nsec).unwrap_or_default() / 1_000_000;
    seconds.saturating_mul(1_000).saturating_add(millis)
}

/// Returns microseconds since boot, for durations that are shown to people.
#[must_use]
pub fn mono_us() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let micros = u64::try_from(time.tv_nsec).unwrap_or_default() / 1_000;
    seconds.saturating_mul(1_000_000).saturating_add(micros)
}

/// Returns seconds since 1970, or `None` where the machine's clock is not set.
#[must_use]
pub fn unix_s() -> Option<u64> {
    Some(wall_s()).filter(|seconds| *seconds >= PLAUSIBLE_UNIX_S_MIN)
}

/// The machine's clocks for the period of certificates: the wall clock, and the one that counts suspended time.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineClocks;

impl TimeSource for MachineClocks {
    fn read(&self) -> Reading {
        Reading {
            wall_s: wall_s(),
            mono_ms: mono_ms(),
        }
    }
}
