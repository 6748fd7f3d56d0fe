//! Which counters of a session were seen: the highest and the 63 below it.
//!
//! Requests may overtake each other on different routes, so order is not required; a counter
//! is taken once, and one that is too old to be remembered is refused as if it had been seen.

use crate::reject::Reject;

/// Counters that are remembered, the highest included.
const WINDOW: u16 = 64;

/// A sliding window over counters (spec: #sessions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayWindow {
    highest: u16,
    /// Bit n tells that counter `highest - n` was seen.
    seen: u64,
}

impl ReplayWindow {
    /// Starts with nothing seen.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            highest: 0,
            seen: 0,
        }
    }

    /// The highest counter and what was seen, to go on in another process.
    pub(super) const fn parts(self) -> (u16, u64) {
        (self.highest, self.seen)
    }

    /// Goes on where [`Self::parts`] stood.
    pub(super) const fn from_parts(highest: u16, seen: u64) -> Self {
        Self { highest, seen }
    }

    //= spec/postern.md#sessions
    //# A mailbox MUST refuse with `session-replay` a counter that it has seen or that lies 64 or
    //# more below the highest.
    /// Takes a counter of an authenticated frame.
    ///
    /// # Errors
    /// `counter-exhausted` for 0, `session-replay` for one that was seen or is 64 below the highest.
    pub fn take(&mut self, counter: u16) -> Result<(), Reject> {
        if counter == 0 {
            return Err(Reject::CounterExhausted);
        }
        if let Some(ahead) = counter.checked_sub(self.highest).filter(|by| *by > 0) {
            let kept = if ahead >= WINDOW {
                0
            } else {
                self.seen << ahead
            };
            *self = Self {
                highest: counter,
                seen: kept | 1,
            };
            return Ok(());
        }
        let behind = self.highest - counter;
        let bit = 1_u64
            .checked_shl(u32::from(behind))
            .ok_or(Reject::SessionReplay)?;
        if self.seen & bit != 0 {
            return Err(Reject::SessionReplay);
        }
        self.seen |= bit;
        Ok(())
    }
}
