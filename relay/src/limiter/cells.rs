//! Rate cells: governor's arithmetic (GCRA) over a map and a clock of ours.
//!
//! A cell is one number, the time at which it is full again; a full one is the same as none, so
//! each use sweeps a few others and the map holds nobody who is quiet. Refuses to read time, to
//! grow beyond its bound, and to sweep everything at once.

use super::Rate;
use crate::limits::CELLS_SWEPT_EACH;
use governor::clock::Clock;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use std::collections::BTreeMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Milliseconds that a clock may show: what follows stays far below the 584 years at which
/// nanoseconds overflow.
const NOW_MS_MAX: u64 = 1 << 42;

/// The time of the call, as its caller told it.
#[derive(Debug, Default)]
pub(super) struct Told {
    now_ns: AtomicU64,
}

impl Told {
    fn set(&self, now_ms: u64) -> Nanos {
        let now_ns = now_ms.min(NOW_MS_MAX).saturating_mul(1_000_000);
        self.now_ns.store(now_ns, Ordering::Relaxed);
        now_ns.into()
    }
}

impl Clock for Told {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.now_ns.load(Ordering::Relaxed).into()
    }
}

fn quota(rate: Rate) -> Quota {
    let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(at_least_one(rate.per_s)).allow_burst(at_least_one(rate.burst))
}

fn whole_ms(wait: Duration) -> u64 {
    let ms = wait.as_nanos().div_ceil(1_000_000);
    u64::try_from(ms).unwrap_or(u64::MAX).max(1)
}

/// One bucket for everybody.
#[derive(Debug)]
pub struct Gate {
    cell: RateLimiter<NotKeyed, InMemoryState, Told>,
}

impl Gate {
    /// Starts full.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            cell: RateLimiter::new(quota(rate), InMemoryState::default(), Told::default()),
        }
    }

    /// Takes one; `now_ms` is a monotonic clock.
    /// # Errors: milliseconds until one is free again, at least 1.
    pub fn take(&self, now_ms: u64) -> Result<(), u64> {
        let now = self.cell.clock().set(now_ms);
        self.cell
            .check()
            .map_err(|until| whole_ms(until.wait_time_from(now)))
    }
}

/// What became of an attempt to take from a bucket of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// It was there.
    Yes,
    /// Not for this many milliseconds, at least 1.
    NotFor(u64),
    /// The map is full and the key has no cell: its limiter must fall back.
    NoCell,
}

#[derive(Debug)]
struct Kept<K> {
    full_at_ns: BTreeMap<K, u64>,
    /// The last key that was looked at.
    swept: Option<K>,
}

/// The map, shared with governor's limiter, which hides what it was given.
#[derive(Debug)]
struct Store<K>(Arc<Mutex<Kept<K>>>);

impl<K> Store<K> {
    fn lock(&self) -> MutexGuard<'_, Kept<K>> {
        // Nothing under this lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone> Kept<K> {
    /// Looks at the next few cells and drops those that are full again.
    fn sweep(&mut self, now: Nanos, count: usize) {
        let from = match self.swept.take() {
            Some(key) => Bound::Excluded(key),
            None => Bound::Unbounded,
        };
        let next: Vec<(K, u64)> = self
            .full_at_ns
            .range((from, Bound::Unbounded))
            .take(count)
            .map(|(key, full_at)| (key.clone(), *full_at))
            .collect();
        let is_end = next.len() < count;
        for (key, full_at) in &next {
            if *full_at <= now.as_u64() {
                self.full_at_ns.remove(key);
            }
        }
        let last = next.into_iter().next_back().map(|(key, _)| key);
        self.swept = if is_end { None } else { last };
    }
}

impl<K: Ord + Clone> StateStore for Store<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut kept = self.lock();
        let held = kept
            .full_at_ns
            .get(key)
            .map(|full_at| Nanos::from(*full_at));
        let (outcome, full_at) = decide(held)?;
        kept.full_at_ns.insert(key.clone(), full_at.as_u64());
        Ok(outcome)
    }
}

/// One bucket for each key, for at most so many keys.
#[derive(Debug)]
pub struct Cells<K: Ord + Clone> {
    limiter: RateLimiter<K, Store<K>, Told>,
    store: Store<K>,
    burst: NonZeroU32,
    keys_max: usize,
}

impl<K: Ord + Hash + Clone> Cells<K> {
    /// Starts without a cell, which is the same as all full.
    #[must_use]
    pub fn new(rate: Rate, keys_max: usize) -> Self {
        let kept = Arc::new(Mutex::new(Kept {
            full_at_ns: BTreeMap::new(),
            swept: None,
        }));
        let quota = quota(rate);
        Self {
            limiter: RateLimiter::new(quota, Store(Arc::clone(&kept)), Told::default()),
            store: Store(kept),
            burst: quota.burst_size(),
            keys_max,
        }
    }

    /// Takes `count` for `key`, at most the burst; `now_ms` is a monotonic clock.
    pub fn take(&self, key: &K, count: u32, now_ms: u64) -> Drawn {
        let now = self.limiter.clock().set(now_ms);
        if !self.has_room(key, now) {
            return Drawn::NoCell;
        }
        let Some(count) = NonZeroU32::new(count) else {
            return Drawn::Yes;
        };
        match self.limiter.check_key_n(key, count.min(self.burst)) {
            Ok(Ok(())) => Drawn::Yes,
            Ok(Err(until)) => Drawn::NotFor(whole_ms(until.wait_time_from(now))),
            // Not reached: the count is at most the burst.
            Err(_) => Drawn::NotFor(u64::MAX),
        }
    }

    /// Drops those of the next `count` cells that are full again.
    pub fn sweep(&self, count: usize, now_ms: u64) {
        let now = self.limiter.clock().set(now_ms);
        self.store.lock().sweep(now, count);
    }

    /// Cells that are kept now.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.store.lock().full_at_ns.len()
    }

    fn has_room(&self, key: &K, now: Nanos) -> bool {
        let mut kept = self.store.lock();
        kept.sweep(now, CELLS_SWEPT_EACH);
        kept.full_at_ns.len() < self.keys_max || kept.full_at_ns.contains_key(key)
    }
}
