//! The breaker before the store: no post waits for a disk that does not answer.
//!
//! ```text
//!   closed --slow commits--> open --a try now and then, three quick ones--> closed
//!      '-----failed commit--> failed, until the process ends
//! ```
//!
//! Refuses to try a store again that has failed: its flush may have lost what it reports as done.

use super::limits::{
    BREAKER_TRIES, BREAKER_TRY_MS, COMMIT_SLOW_MS, COMMITS_SLOW_MAX, COMMITS_WATCHED,
};
use std::collections::VecDeque;

/// Whether posts are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerPhase {
    /// Posts are taken.
    Closed,
    /// The store is slow: posts are refused but for a try now and then.
    Open,
    /// The store failed: nothing is acknowledged until the process ends.
    Failed,
}

#[derive(Debug, Default)]
pub(super) struct Breaker {
    slow: VecDeque<bool>,
    began_ms: Option<u64>,
    opened: Option<Opened>,
    has_failed: bool,
}

#[derive(Debug)]
struct Opened {
    next_try_ms: u64,
    quick: u32,
}

impl Breaker {
    pub(super) const fn phase(&self) -> BreakerPhase {
        if self.has_failed {
            BreakerPhase::Failed
        } else if self.opened.is_some() {
            BreakerPhase::Open
        } else {
            BreakerPhase::Closed
        }
    }

    /// Tells whether a post may be taken now. # Errors: milliseconds until another try makes sense.
    pub(super) fn admit(&mut self, now_ms: u64) -> Result<(), u64> {
        if self.has_failed {
            return Err(BREAKER_TRY_MS);
        }
        let hangs = self
            .began_ms
            .is_some_and(|began| now_ms.saturating_sub(began) > COMMIT_SLOW_MS);
        if hangs {
            self.open(now_ms);
        }
        let Some(opened) = &mut self.opened else {
            return Ok(());
        };
        if hangs || now_ms < opened.next_try_ms {
            return Err(opened
                .next_try_ms
                .saturating_sub(now_ms)
                .max(BREAKER_TRY_MS));
        }
        opened.next_try_ms = now_ms.saturating_add(BREAKER_TRY_MS);
        Ok(())
    }

    fn open(&mut self, now_ms: u64) {
        self.opened.get_or_insert(Opened {
            next_try_ms: now_ms.saturating_add(BREAKER_TRY_MS),
            quick: 0,
        });
    }

    pub(super) const fn begin(&mut self, now_ms: u64) {
        self.began_ms = Some(now_ms);
    }

    /// Notes a commit that returned. Returns true when the phase changed.
    pub(super) fn end(&mut self, now_ms: u64) -> bool {
        let before = self.phase();
        let began = self.began_ms.take().unwrap_or(now_ms);
        let is_slow = now_ms.saturating_sub(began) > COMMIT_SLOW_MS;
        self.slow.push_back(is_slow);
        if self.slow.len() > COMMITS_WATCHED {
            self.slow.pop_front();
        }
        match &mut self.opened {
            Some(opened) if is_slow => opened.quick = 0,
            Some(opened) => {
                opened.quick = opened.quick.saturating_add(1);
                if opened.quick >= BREAKER_TRIES {
                    self.opened = None;
                    self.slow.clear();
                }
            }
            None if self.slow.iter().filter(|slow| **slow).count() > COMMITS_SLOW_MAX => {
                self.open(now_ms);
            }
            None => {}
        }
        before != self.phase()
    }

    pub(super) const fn fail(&mut self) {
        self.has_failed = true;
        self.began_ms = None;
    }
}
