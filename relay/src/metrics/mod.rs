//! Counters of a mailbox server. Labels come from closed enums only, never from what a peer sent.
//!
//! Refuses to name devices, sources or channels: those are for events and logs.

mod labels;
#[cfg(test)]
mod tests;
mod text;

pub use text::to_text;

pub use labels::{ConnectionRefusal, HttpRefusal, QuicAttempt, Shed};

use crate::budget::{Pool, Pressure};
use crate::limiter::Guard;
use postern_protocol::Reject;
use postern_protocol::frame::FrameType;
use std::sync::atomic::{AtomicU64, Ordering};

/// One counter for each member of a closed set.
#[derive(Debug)]
struct Family<K: 'static> {
    keys: &'static [K],
    counts: Vec<AtomicU64>,
}

impl<K: Copy + PartialEq> Family<K> {
    fn new(keys: &'static [K]) -> Self {
        let counts = keys.iter().map(|_| AtomicU64::new(0)).collect();
        Self { keys, counts }
    }

    fn add(&self, key: K) {
        let at = self.keys.iter().position(|known| *known == key);
        if let Some(count) = at.and_then(|at| self.counts.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn set(&self, key: K, value: usize) {
        let at = self.keys.iter().position(|known| *known == key);
        if let Some(count) = at.and_then(|at| self.counts.get(at)) {
            count.store(value as u64, Ordering::Relaxed);
        }
    }

    fn value(&self, key: K) -> u64 {
        let at = self.keys.iter().position(|known| *known == key);
        at.and_then(|at| self.counts.get(at))
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn samples(
        &self,
        name: &'static str,
        label: &'static str,
        text: impl Fn(K) -> &'static str,
    ) -> impl Iterator<Item = Sample> {
        self.keys
            .iter()
            .zip(&self.counts)
            .map(move |(key, count)| Sample {
                name,
                label: Some((label, text(*key))),
                value: count.load(Ordering::Relaxed),
            })
    }
}

/// One value of one metric, ready to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// `postern_<noun>_<unit|total>`.
    pub name: &'static str,
    /// Label and its value, from a closed set.
    pub label: Option<(&'static str, &'static str)>,
    /// The count.
    pub value: u64,
}

/// All counters of one server.
#[derive(Debug)]
pub struct Metrics {
    rejected: Family<Reject>,
    exchanges: Family<FrameType>,
    problems: Family<HttpRefusal>,
    connection_refusals: Family<ConnectionRefusal>,
    limited: Family<Guard>,
    limiter_keys: Family<Guard>,
    shed: Family<Shed>,
    quic_attempts: Family<QuicAttempt>,
    memory: Family<Pool>,
    memory_bytes_max: AtomicU64,
    pressure: AtomicU64,
    connections: AtomicU64,
    connections_total: AtomicU64,
    holds: AtomicU64,
    holds_total: AtomicU64,
    holds_released_total: AtomicU64,
    streams: AtomicU64,
    streams_total: AtomicU64,
    stream_answers_total: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            rejected: Family::new(Reject::ALL),
            exchanges: Family::new(&FrameType::ALL),
            problems: Family::new(HttpRefusal::ALL),
            connection_refusals: Family::new(ConnectionRefusal::ALL),
            limited: Family::new(Guard::ALL),
            limiter_keys: Family::new(Guard::ALL),
            shed: Family::new(Shed::ALL),
            quic_attempts: Family::new(QuicAttempt::ALL),
            memory: Family::new(Pool::ALL),
            memory_bytes_max: AtomicU64::new(0),
            pressure: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            connections_total: AtomicU64::new(0),
            holds: AtomicU64::new(0),
            holds_total: AtomicU64::new(0),
            holds_released_total: AtomicU64::new(0),
            streams: AtomicU64::new(0),
            streams_total: AtomicU64::new(0),
            stream_answers_total: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts something of a peer that was refused.
    pub fn rejected(&self, reject: Reject) {
        self.rejected.add(reject);
    }

    /// Counts an exchange that was answered in Postern.
    pub fn exchange(&self, frame_type: FrameType) {
        self.exchanges.add(frame_type);
    }

    /// Counts an answer below Postern.
    pub fn problem(&self, problem: HttpRefusal) {
        self.problems.add(problem);
    }

    /// Counts a connection that ended before its first request.
    pub fn connection_refused(&self, refusal: ConnectionRefusal) {
        self.connection_refusals.add(refusal);
    }

    /// Counts somebody whom a limiter told to come later.
    pub fn limited(&self, guard: Guard) {
        self.limited.add(guard);
    }

    /// Counts something that was given up.
    pub fn shed(&self, reason: Shed) {
        self.shed.add(reason);
    }

    pub(crate) fn quic_attempt(&self, outcome: QuicAttempt) {
        self.quic_attempts.add(outcome);
    }

    pub(crate) fn limiter_keys(&self, guard: Guard, keys: usize) {
        self.limiter_keys.set(guard, keys);
    }

    pub(crate) fn memory(&self, pool: Pool, bytes: usize) {
        self.memory.set(pool, bytes);
    }

    pub(crate) fn memory_budget(&self, bytes_max: usize, pressure: Pressure) {
        self.memory_bytes_max
            .store(bytes_max as u64, Ordering::Relaxed);
        let step = Pressure::ALL.iter().position(|known| *known == pressure);
        self.pressure
            .store(step.unwrap_or_default() as u64, Ordering::Relaxed);
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.connections_total.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn hold_began(&self) {
        self.holds.fetch_add(1, Ordering::Relaxed);
        self.holds_total.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn hold_ended(&self) {
        self.holds.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn stream_began(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.streams_total.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stream_ended(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn stream_answered(&self) {
        self.stream_answers_total.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn hold_released(&self) {
        self.holds_released_total.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how often a reject was counted.
    #[must_use]
    pub fn rejects(&self, reject: Reject) -> u64 {
        self.rejected.value(reject)
    }

    /// Returns how often an answer below Postern was given.
    #[must_use]
    pub fn problems(&self, problem: HttpRefusal) -> u64 {
        self.problems.value(problem)
    }

    /// Returns how often connections were refused for a reason.
    #[must_use]
    pub fn connections_refused(&self, refusal: ConnectionRefusal) -> u64 {
        self.connection_refusals.value(refusal)
    }

    /// Returns how often a limiter told somebody to come later.
    #[must_use]
    pub fn limits_hit(&self, guard: Guard) -> u64 {
        self.limited.value(guard)
    }

    /// Returns how often something was given up for a reason.
    #[must_use]
    pub fn sheds(&self, reason: Shed) -> u64 {
        self.shed.value(reason)
    }

    /// Returns how many QUIC connection attempts came to this.
    #[must_use]
    pub fn quic_attempts(&self, outcome: QuicAttempt) -> u64 {
        self.quic_attempts.value(outcome)
    }

    /// Returns the connections that are open now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Returns the polls that are held now.
    #[must_use]
    pub fn holds(&self) -> u64 {
        self.holds.load(Ordering::Relaxed)
    }

    /// Returns the streams that are open now; each is among the polls that are held, too.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.streams.load(Ordering::Relaxed)
    }

    /// Returns the bytes that are counted in memory, and how many there may be.
    #[must_use]
    pub fn memory_bytes(&self) -> (u64, u64) {
        let pools = Pool::ALL.iter().map(|pool| self.memory.value(*pool));
        let bytes_max = self.memory_bytes_max.load(Ordering::Relaxed);
        (pools.fold(0, u64::saturating_add), bytes_max)
    }

    /// Returns how full memory was when it was looked at last.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let step = usize::try_from(self.pressure.load(Ordering::Relaxed)).ok();
        let step = step.and_then(|step| Pressure::ALL.get(step));
        step.copied().unwrap_or(Pressure::Calm)
    }

    /// Returns every value, in a fixed order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Sample> {
        let rejected = self
            .rejected
            .samples("postern_envelopes_rejected_total", "reason", |key| {
                key.as_str()
            });
        let exchanges =
            self.exchanges
                .samples("postern_exchanges_total", "kind", FrameType::as_str);
        let problems =
            self.problems
                .samples("postern_http_refusals_total", "reason", HttpRefusal::as_str);
        let refusals = self.connection_refusals.samples(
            "postern_connections_refused_total",
            "reason",
            ConnectionRefusal::as_str,
        );
        let limited = self
            .limited
            .samples("postern_limited_total", "guard", Guard::as_str);
        let limiter_keys =
            self.limiter_keys
                .samples("postern_limiter_keys", "guard", Guard::as_str);
        let shed = self
            .shed
            .samples("postern_shed_total", "reason", Shed::as_str);
        let attempts = self.quic_attempts.samples(
            "postern_quic_attempts_total",
            "result",
            QuicAttempt::as_str,
        );
        let memory = self
            .memory
            .samples("postern_memory_bytes", "pool", Pool::as_str);
        rejected
            .chain(exchanges)
            .chain(problems)
            .chain(refusals)
            .chain(limited)
            .chain(limiter_keys)
            .chain(shed)
            .chain(attempts)
            .chain(memory)
            .chain(self.plain())
            .collect()
    }

    fn plain(&self) -> impl Iterator<Item = Sample> {
        let plain = [
            ("postern_memory_max_bytes", &self.memory_bytes_max),
            ("postern_memory_pressure", &self.pressure),
            ("postern_connections", &self.connections),
            ("postern_connections_total", &self.connections_total),
            ("postern_holds", &self.holds),
            ("postern_holds_total", &self.holds_total),
            ("postern_holds_released_total", &self.holds_released_total),
            ("postern_streams", &self.streams),
            ("postern_streams_total", &self.streams_total),
            ("postern_stream_answers_total", &self.stream_answers_total),
        ];
        plain.into_iter().map(|(name, count)| Sample {
            name,
            label: None,
            value: count.load(Ordering::Relaxed),
        })
    }
}
