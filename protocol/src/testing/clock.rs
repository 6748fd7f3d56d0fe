//! What a device believes about time: a boot clock that drifts and counts suspension, and a date or none.
//!
//! Refuses to matter for order: whatever is chosen here, a device must end up with the same state.

use crate::context::Now;

/// Seconds since 1970 at which the virtual world begins: in 2026.
const BEGIN_UNIX_S: u64 = 1_790_000_000;

/// What a device believes about the date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// It is right.
    Right,
    /// It does not know it.
    Unknown,
    /// It begins in 1970 at each boot.
    Epoch,
    /// It is this many seconds ahead.
    Ahead(u64),
    /// It is this many seconds behind.
    Behind(u64),
}

/// The clocks of one machine.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The moment of the world at which it was booted.
    pub booted_ms: u64,
    /// Parts per million by which its boot clock is fast; negative for slow.
    pub drift_ppm: i64,
    /// What it believes about the date.
    pub wall: Wall,
}

impl Clock {
    /// A clock that is right and began with the world.
    pub const RIGHT: Self = Self {
        booted_ms: 0,
        drift_ppm: 0,
        wall: Wall::Right,
    };

    /// What the machine reads at a moment of the world.
    #[must_use]
    pub fn read(&self, world_ms: u64) -> Now {
        let since_ms = world_ms.saturating_sub(self.booted_ms);
        let unix_s = match self.wall {
            Wall::Right => Some(BEGIN_UNIX_S + world_ms / 1_000),
            Wall::Unknown => None,
            Wall::Epoch => Some(since_ms / 1_000),
            Wall::Ahead(ahead_s) => Some(BEGIN_UNIX_S + ahead_s + world_ms / 1_000),
            Wall::Behind(behind_s) => {
                Some((BEGIN_UNIX_S + world_ms / 1_000).saturating_sub(behind_s))
            }
        };
        Now {
            mono_ms: scale(since_ms, self.drift_ppm),
            unix_s,
        }
    }

    /// Milliseconds of the world until the boot clock shows `due_ms`.
    #[must_use]
    pub fn until(&self, world_ms: u64, due_ms: u64) -> u64 {
        let left_ms = due_ms.saturating_sub(self.read(world_ms).mono_ms);
        let mut wait_ms = scale(left_ms, -self.drift_ppm);
        while self.read(world_ms.saturating_add(wait_ms)).mono_ms < due_ms {
            wait_ms += 1;
        }
        wait_ms
    }
}

fn scale(ms: u64, ppm: i64) -> u64 {
    let share =
        ms / 1_000_000 * ppm.unsigned_abs() + ms % 1_000_000 * ppm.unsigned_abs() / 1_000_000;
    if ppm < 0 {
        ms.saturating_sub(share)
    } else {
        ms.saturating_add(share)
    }
}
