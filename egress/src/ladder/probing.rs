//! When a better way is asked again, and how often it has to answer before it is taken. Pure.
//!
//! ```text
//!   10 min +-20 % -> ask -> good -> 1 min -> good -> 1 min -> good: take it
//!                     '---- bad: twice the pause, up to 6 h
//! ```

use crate::backoff::scale;
use crate::clock::Moment;
use crate::limits::{PROBE_PAUSE, PROBE_PAUSE_MAX, PROBES_NEEDED, PROBES_SPAN};
use std::time::Duration;

/// The schedule of one way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probing {
    due: Option<Moment>,
    is_under_way: bool,
    /// Probes in a row that failed.
    misses: u32,
    good: u32,
    first_good: Option<Moment>,
}

impl Probing {
    /// When it is asked, if that is planned.
    pub(super) const fn due(&self) -> Option<Moment> {
        if self.is_under_way { None } else { self.due }
    }

    /// Plans the first probe, unless one is planned.
    pub(super) fn plan(&mut self, now: Moment, random: u64) {
        if self.due.is_none() && !self.is_under_way {
            self.due = Some(now.after(pause(self.misses, random)));
        }
    }

    /// Plans nothing before this moment.
    pub(super) fn postpone(&mut self, until: Moment) {
        self.due = Some(self.due.map_or(until, |due| due.max(until)));
    }

    /// True when it is time; the end has to be told then.
    pub(super) fn begin(&mut self, now: Moment) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        self.is_under_way |= is_due;
        is_due
    }

    /// The way answered. True when it has answered often enough.
    pub(super) fn handle_good(&mut self, now: Moment) -> bool {
        self.is_under_way = false;
        self.misses = 0;
        self.good = self.good.saturating_add(1);
        let first = *self.first_good.get_or_insert(now);
        self.due = Some(now.after(PROBES_SPAN / (PROBES_NEEDED - 1)));
        self.good >= PROBES_NEEDED && now.since(first) >= PROBES_SPAN
    }

    /// The way did not answer.
    pub(super) fn handle_bad(&mut self, now: Moment, random: u64) {
        self.punish(1);
        self.due = Some(now.after(pause(self.misses, random)));
    }

    /// Counts failures without a probe: the next one comes later.
    pub(super) fn punish(&mut self, misses: u32) {
        *self = Self {
            misses: self.misses.saturating_add(misses),
            ..Self::default()
        };
    }
}

/// Mean +- 20 %, doubled for each miss, capped before the jitter.
fn pause(misses: u32, random: u64) -> Duration {
    let mean = PROBE_PAUSE
        .saturating_mul(1_u32.checked_shl(misses).unwrap_or(u32::MAX))
        .min(PROBE_PAUSE_MAX);
    let mean_ms = u64::try_from(mean.as_millis()).unwrap_or(u64::MAX);
    let width = mean_ms / 5 * 2;
    Duration::from_millis(mean_ms - mean_ms / 5 + scale(random, width + 1))
}
