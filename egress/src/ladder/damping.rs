//! How much a way flapped: a weight that each demotion adds to and time halves. Pure.
//!
//! A way over the upper bound is suppressed until its weight is below the lower one. Refuses floats:
//! the halving between two half-lives is linear, at most 6 % above the curve.

use crate::clock::Moment;
use crate::limits::{PENALTY_HALF_LIFE, PENALTY_REUSE, PENALTY_STEP, PENALTY_SUPPRESS};
use std::time::Duration;

/// The weight of one way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Penalty {
    weight: u64,
    since: Option<Moment>,
    is_suppressed: bool,
}

impl Penalty {
    /// The way was left because it failed.
    pub(super) fn add(&mut self, now: Moment) {
        self.weight = self.at(now).saturating_add(PENALTY_STEP);
        self.since = Some(now);
        self.is_suppressed |= self.weight >= PENALTY_SUPPRESS;
    }

    /// Returns the weight at this moment.
    pub(super) fn at(&self, now: Moment) -> u64 {
        let Some(since) = self.since else { return 0 };
        decayed(self.weight, now.since(since))
    }

    /// Tells whether the way is left alone now.
    pub(super) fn suppresses(&mut self, now: Moment) -> bool {
        if self.is_suppressed && self.at(now) <= PENALTY_REUSE {
            self.is_suppressed = false;
        }
        self.is_suppressed
    }

    /// Returns when the way is used again.
    pub(super) fn until(&self, now: Moment) -> Option<Moment> {
        let since = self.since.filter(|_| self.is_suppressed)?;
        let mut age = now.since(since);
        while decayed(self.weight, age) > PENALTY_REUSE {
            age += PENALTY_HALF_LIFE / 16;
        }
        Some(since.after(age))
    }
}

fn decayed(weight: u64, age: Duration) -> u64 {
    let half_life = u64::try_from(PENALTY_HALF_LIFE.as_millis()).unwrap_or(u64::MAX);
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let halvings = u32::try_from(age_ms / half_life).unwrap_or(u32::MAX);
    let whole = weight.checked_shr(halvings).unwrap_or(0);
    whole - whole.saturating_mul(age_ms % half_life) / half_life / 2
}
