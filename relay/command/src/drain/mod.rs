//! Letting go of devices over a window: who is told when. Pure; time is an argument.
//!
//! ```text
//!  announce            spread                         grace          over
//!  readiness false  -> polls are answered, evenly  -> what is under -> nobody is held
//!                      spread, with a retry hint      way may end
//! ```
//!
//! Devices that are told go to their next relay, or come back behind the hint. Refuses to let all go
//! at once: the machine that they go to would see a storm.

#[cfg(test)]
mod tests;

use crate::limits::DRAINED_RETRY_MS;
use serde::{Deserialize, Serialize};

/// How a drain is spread, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Between readiness turning false and the first hint.
    pub announce_ms: u64,
    /// From the first hint to the last.
    pub within_ms: u64,
    /// From the last hint until it is over.
    pub grace_ms: u64,
}

/// What a drain is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Readiness is false; nobody was told yet.
    Announce,
    /// Polls are being answered.
    Spread,
    /// What is under way may end.
    Grace,
    /// Nobody is held any more.
    Over,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Where the drain stands.
    pub phase: Phase,
    /// Held polls to answer now.
    pub release: usize,
    /// The least retry hint from now on; `None` while nobody is told.
    pub retry_ms: Option<u64>,
}

/// One drain from its begin.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    window: Window,
    began_ms: u64,
    told: usize,
}

impl Drain {
    /// Begins now.
    #[must_use]
    pub const fn begin(window: Window, now_ms: u64) -> Self {
        Self {
            window,
            began_ms: now_ms,
            told: 0,
        }
    }

    /// Tells what is due now, while `held` polls are held. What it tells counts as done.
    pub fn poll_due(&mut self, now_ms: u64, held: usize) -> Due {
        let phase = self.phase(now_ms);
        let release = match phase {
            Phase::Announce => 0,
            Phase::Spread => self.share(now_ms, held),
            Phase::Grace | Phase::Over => held,
        };
        self.told = self.told.saturating_add(release);
        let left_ms = self.left_ms(now_ms);
        Due {
            phase,
            release,
            // Whoever comes back before the end would only be told again.
            retry_ms: match phase {
                Phase::Announce => None,
                Phase::Spread | Phase::Grace => Some(left_ms),
                Phase::Over => Some(DRAINED_RETRY_MS),
            },
        }
    }

    /// Returns where the drain stands.
    #[must_use]
    pub const fn phase(&self, now_ms: u64) -> Phase {
        let age_ms = now_ms.saturating_sub(self.began_ms);
        let spread_from = self.window.announce_ms;
        let grace_from = spread_from.saturating_add(self.window.within_ms);
        if age_ms < spread_from {
            Phase::Announce
        } else if age_ms < grace_from {
            Phase::Spread
        } else if age_ms < grace_from.saturating_add(self.window.grace_ms) {
            Phase::Grace
        } else {
            Phase::Over
        }
    }

    /// Returns the milliseconds until it is over.
    #[must_use]
    pub const fn left_ms(&self, now_ms: u64) -> u64 {
        let window = self.window;
        let end = self
            .began_ms
            .saturating_add(window.announce_ms)
            .saturating_add(window.within_ms)
            .saturating_add(window.grace_ms);
        end.saturating_sub(now_ms)
    }

    /// Returns how many held polls have been answered so far.
    #[must_use]
    pub const fn told(&self) -> usize {
        self.told
    }

    /// Of those that are held and those that were told, the part that the time gone by has earned.
    fn share(&self, now_ms: u64, held: usize) -> usize {
        let all = self.told.saturating_add(held) as u128;
        let from = self.began_ms.saturating_add(self.window.announce_ms);
        let gone = u128::from(now_ms.saturating_sub(from));
        let within = u128::from(self.window.within_ms.max(1));
        let due = all.saturating_mul(gone).div_ceil(within);
        let due = usize::try_from(due).unwrap_or(usize::MAX);
        due.saturating_sub(self.told).min(held)
    }
}
