//! The last attempts to get an answer: which way, how far it came, what it was called, how long, when. Always on.
//!
//! ```text
//!   Client::exchange --ended--> one Attempt (48 bytes) --> ring of the last 200, oldest out first
//!   Path::note -------step----> a histogram for each route and stage
//! ```
//!
//! One for all clients of a [`Dialer`](crate::Dialer). An attempt that lost a race and was cancelled is none; one
//! that a diagnosis makes is that diagnosis' own. Refuses to hold an address, a name or text of others: routes, stages
//! and codes come from closed sets.

use crate::clock::{Clock, Moment};
use crate::limits::{ATTEMPT_BYTES_MAX, ATTEMPTS_MAX, STAGE_BUCKETS_MS};
use crate::scheme::Scheme;
use crate::trail::Stage;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One attempt, as it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it ended, by the clock of its [`Attempts`].
    pub ended: Moment,
    /// Milliseconds from its beginning, connecting included; for a held exchange that is mostly the hold.
    pub took_ms: u32,
    /// The step that it ended in.
    pub stage: Stage,
    /// The label of its kind of way, such as `direct` or `relay-proxy`.
    pub route: &'static str,
    /// The code of its failure; `None` where an answer came.
    pub code: Option<&'static str>,
}

const _: () = assert!(size_of::<Attempt>() <= ATTEMPT_BYTES_MAX);

/// How long a stage took, counted in buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many took no longer than the bound at the same place in [`STAGE_BUCKETS_MS`].
    pub buckets: [u64; STAGE_BUCKETS_MS.len()],
    /// How many there were in all.
    pub count: u64,
    /// Milliseconds of all of them together.
    pub sum_ms: u64,
}

impl Durations {
    fn add(&mut self, took_ms: u64) {
        for (bucket, bound) in self.buckets.iter_mut().zip(STAGE_BUCKETS_MS) {
            *bucket += u64::from(took_ms <= bound);
        }
        self.count += 1;
        self.sum_ms = self.sum_ms.saturating_add(took_ms);
    }
}

#[derive(Debug, Default)]
struct Inner {
    ring: VecDeque<Attempt>,
    ends: BTreeMap<(&'static str, Option<&'static str>), u64>,
    stages: BTreeMap<(&'static str, Stage), Durations>,
    challenges: u64,
    proofs: BTreeMap<(&'static str, &'static str), u64>,
}

/// The attempts of a process.
#[derive(Debug, Default)]
pub struct Attempts {
    clock: Clock,
    inner: Mutex<Inner>,
}

impl Attempts {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down how an attempt ended, with the code of its failure if it failed.
    pub(crate) fn note_end(
        &self,
        route: &'static str,
        stage: Stage,
        code: Option<&'static str>,
        took: Duration,
    ) {
        let attempt = Attempt {
            ended: self.clock.now(),
            took_ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
            stage,
            route,
            code,
        };
        let mut inner = self.lock();
        while inner.ring.len() >= ATTEMPTS_MAX {
            inner.ring.pop_front();
        }
        inner.ring.push_back(attempt);
        *inner.ends.entry((route, code)).or_default() += 1;
    }

    /// Counts how long a stage took. That of an exchange says how long it was held, and is not counted.
    pub(crate) fn note_stage(&self, route: &'static str, stage: Stage, took: Duration) {
        if stage != Stage::Exchange {
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let mut inner = self.lock();
            inner.stages.entry((route, stage)).or_default().add(took_ms);
        }
    }

    /// Counts a demand of a proxy for credentials (407).
    pub(crate) fn note_challenge(&self) {
        self.lock().challenges += 1;
    }

    /// Counts what a proxy made of credentials.
    pub(crate) fn note_proof(&self, scheme: Scheme, is_accepted: bool) {
        let result = if is_accepted { "accepted" } else { "rejected" };
        let mut inner = self.lock();
        *inner.proofs.entry((scheme.as_str(), result)).or_default() += 1;
    }

    /// Returns how often proxies asked for credentials (407).
    #[must_use]
    pub fn challenges(&self) -> u64 {
        self.lock().challenges
    }

    /// Returns what proxies made of credentials: scheme, `accepted` or `rejected`, number.
    #[must_use]
    pub fn proofs(&self) -> Vec<(&'static str, &'static str, u64)> {
        let inner = self.lock();
        let each = inner.proofs.iter();
        each.map(|((scheme, result), count)| (*scheme, *result, *count))
            .collect()
    }

    /// Returns the last attempts, the oldest first, each with the time since it ended.
    #[must_use]
    pub fn last(&self) -> Vec<(Duration, Attempt)> {
        let now = self.clock.now();
        let inner = self.lock();
        let each = inner.ring.iter();
        each.map(|attempt| (now.since(attempt.ended), *attempt))
            .collect()
    }

    /// Returns how many attempts ended how: route, code of the failure, number.
    #[must_use]
    pub fn ends(&self) -> Vec<(&'static str, Option<&'static str>, u64)> {
        let inner = self.lock();
        let each = inner.ends.iter();
        each.map(|((route, code), count)| (*route, *code, *count))
            .collect()
    }

    /// Returns how long the stages of each route took.
    #[must_use]
    pub fn stages(&self) -> Vec<(&'static str, Stage, Durations)> {
        let inner = self.lock();
        let each = inner.stages.iter();
        each.map(|((route, stage), durations)| (*route, *stage, *durations))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn last_attempts_stand_in_their_order_with_their_age() {
        let attempts = Attempts::default();
        attempts.note_end("quic", Stage::Quic, Some("PST-U01"), SECOND * 3);
        tokio::time::advance(SECOND).await;
        attempts.note_end("direct", Stage::Exchange, None, SECOND * 25);
        tokio::time::advance(SECOND * 2).await;
        let shown = attempts.last().into_iter().map(|(age, attempt)| {
            let Attempt {
                route,
                stage,
                code,
                took_ms,
                ..
            } = attempt;
            (age.as_secs(), route, stage, code, took_ms)
        });
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                (3, "quic", Stage::Quic, Some("PST-U01"), 3_000),
                (2, "direct", Stage::Exchange, None, 25_000),
            ]
        );
    }

    #[test]
    fn full_ring_forgets_the_oldest_and_its_count_goes_on() {
        let attempts = Attempts::default();
        for _ in 0..3 {
            attempts.note_end("quic", Stage::Quic, Some("PST-U01"), SECOND);
        }
        for _ in 0..ATTEMPTS_MAX {
            attempts.note_end("direct", Stage::Exchange, None, SECOND);
        }
        let last = attempts.last();
        assert_eq!(last.len(), ATTEMPTS_MAX);
        assert!(last.iter().all(|(_, attempt)| attempt.route == "direct"));
        let all = u64::try_from(ATTEMPTS_MAX).unwrap();
        assert_eq!(
            attempts.ends(),
            [("direct", None, all), ("quic", Some("PST-U01"), 3)]
        );
    }

    #[test]
    fn length_that_does_not_fit_is_the_longest_that_does() {
        let attempts = Attempts::default();
        attempts.note_end("direct", Stage::Tcp, Some("PST-T02"), Duration::MAX);
        assert_eq!(attempts.last()[0].1.took_ms, u32::MAX);
    }

    #[test]
    fn stages_are_counted_in_buckets_and_exchanges_are_not() {
        let attempts = Attempts::default();
        for took_ms in [1, 40, 999, 60_000] {
            attempts.note_stage("direct", Stage::Tls, Duration::from_millis(took_ms));
        }
        attempts.note_stage("direct", Stage::Exchange, SECOND);
        let [(route, stage, durations)] = attempts.stages()[..] else {
            panic!("one stage");
        };
        assert_eq!((route, stage), ("direct", Stage::Tls));
        assert_eq!(durations.buckets, [1, 2, 2, 3, 3]);
        assert_eq!((durations.count, durations.sum_ms), (4, 61_040));
    }
}
