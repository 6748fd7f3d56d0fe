//! One race: which way starts when, and who may not run beside whom. Pure.
//!
//! ```text
//!   0 s        last good way, QUIC        0.5 s  best proxy      3 s   first relay
//!   0.25 s     direct                     1.5 s  next proxy     10 s   ways that flapped
//! ```
//!
//! The caller starts what [`Race::poll_start`] names and tells how each way ended. Refuses to name a way
//! while another one shows the same password, and more ways than [`RACE_WAYS_MAX`] at a time.

use super::way::{Way, WayId};
use crate::clock::Moment;
use crate::limits::{RACE_BUDGET, RACE_WAYS_MAX};
use std::time::Duration;

/// A way in a race.
#[derive(Clone, Copy, Debug)]
struct Runner {
    id: WayId,
    at: Moment,
    secret: Option<u8>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    Ended,
}

/// One race from its start to its end.
#[derive(Clone, Debug)]
pub struct Race {
    runners: Vec<Runner>,
    until: Moment,
}

impl Race {
    /// Starts a race of these ways, each with its delay, the first ones first where delays are equal.
    #[must_use]
    pub fn new(now: Moment, ways: impl IntoIterator<Item = (Way, Duration)>) -> Self {
        let runners = ways.into_iter().map(|(way, delay)| Runner {
            id: way.id,
            at: now.after(delay),
            secret: way.secret,
            phase: Phase::Waiting,
        });
        let mut runners: Vec<_> = runners.collect();
        runners.sort_by_key(|runner| runner.at);
        Self {
            runners,
            until: now.after(RACE_BUDGET),
        }
    }

    /// Names the next way to start now. When all that run have failed, the next one does not wait
    /// for its moment.
    pub fn poll_start(&mut self, now: Moment) -> Option<WayId> {
        if now >= self.until || self.running() >= RACE_WAYS_MAX {
            return None;
        }
        let is_idle = self.running() == 0;
        let place = (0..self.runners.len()).find(|place| self.may_start(*place, now, is_idle))?;
        let runner = self.runners.get_mut(place)?;
        runner.phase = Phase::Running;
        Some(runner.id)
    }

    fn may_start(&self, place: usize, now: Moment, is_idle: bool) -> bool {
        let Some(runner) = self.runners.get(place) else {
            return false;
        };
        runner.phase == Phase::Waiting
            && (is_idle || runner.at <= now)
            && !(runner.secret.is_some() && self.shows(runner.secret))
    }

    /// Tells whether a way of this group is under way.
    fn shows(&self, secret: Option<u8>) -> bool {
        let mut running = self.runners.iter();
        running.any(|runner| runner.phase == Phase::Running && runner.secret == secret)
    }

    fn running(&self) -> usize {
        let running = self.runners.iter();
        running
            .filter(|runner| runner.phase == Phase::Running)
            .count()
    }

    /// A way ended without an answer that counts.
    pub fn handle_end(&mut self, way: WayId) {
        let mut runners = self.runners.iter_mut();
        if let Some(runner) = runners.find(|runner| runner.id == way) {
            runner.phase = Phase::Ended;
        }
    }

    /// The moment at which something is to be done: a way to start, or the end.
    #[must_use]
    pub fn due(&self) -> Moment {
        let waiting = self.runners.iter().filter(|runner| {
            runner.phase == Phase::Waiting
                && !(runner.secret.is_some() && self.shows(runner.secret))
        });
        let next = waiting.map(|runner| runner.at).min();
        let next = next.filter(|_| self.running() < RACE_WAYS_MAX);
        next.unwrap_or(self.until).min(self.until)
    }

    /// Tells whether nobody can win any more.
    #[must_use]
    pub fn is_lost(&self, now: Moment) -> bool {
        let mut runners = self.runners.iter();
        now >= self.until || runners.all(|runner| runner.phase == Phase::Ended)
    }

    /// The ways of this race, in the order in which they start.
    pub fn ways(&self) -> impl Iterator<Item = WayId> {
        self.runners.iter().map(|runner| runner.id)
    }
}
