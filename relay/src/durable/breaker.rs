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

    /// Milliseconds until a try makes sense, where none does now; changes nothing.
    pub(super) const fn refuses_ms(&self, now_ms: u64) -> Option<u64> {
        if self.has_failed {
            return Some(BREAKER_TRY_MS);
        }
        match &self.opened {
            Some(opened) if now_ms < opened.next_try_ms => {
                Some(opened.next_try_ms.saturating_sub(now_ms))
            }
            Some(_) | None => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A breaker that slow commits have opened at `COMMITS_SLOW_MAX + 1` times the limit.
    fn opened() -> (Breaker, u64) {
        let (mut breaker, mut now_ms) = (Breaker::default(), 0);
        for _ in 0..=COMMITS_SLOW_MAX {
            breaker.begin(now_ms);
            now_ms += COMMIT_SLOW_MS + 1;
            breaker.end(now_ms);
        }
        assert_eq!(breaker.phase(), BreakerPhase::Open);
        (breaker, now_ms)
    }

    #[test]
    fn open_breaker_refuses_until_its_next_try_and_a_look_takes_no_try() {
        let (mut breaker, now_ms) = opened();
        assert_eq!(breaker.refuses_ms(now_ms), Some(BREAKER_TRY_MS));
        let due_ms = now_ms + BREAKER_TRY_MS;
        for _look in 0..3 {
            assert_eq!(breaker.refuses_ms(due_ms), None);
        }
        assert_eq!(breaker.admit(due_ms), Ok(()));
        assert!(breaker.refuses_ms(due_ms).is_some(), "one try at a time");
    }

    #[test]
    fn failed_breaker_refuses_for_ever_and_a_closed_one_never() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.refuses_ms(0), None);
        breaker.fail();
        assert_eq!(breaker.refuses_ms(u64::MAX), Some(BREAKER_TRY_MS));
    }
}
