//! Counters of a mailbox server. Labels come from closed enums only, never from what a peer sent.
//!
//! Refuses to name devices, sources or channels: those are for events and logs.

#[cfg(test)]
mod tests;
mod text;

pub use text::to_text;

use postern_protocol::Reject;
use postern_protocol::frame::FrameType;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection ended before its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// All connections are taken.
    Full,
    /// The source has as many connections as one source may have.
    SourceFull,
    /// The TLS handshake failed.
    TlsFailed,
    /// The TLS handshake took too long.
    TlsSlow,
}

impl ConnectionRefusal {
    /// Every reason.
    pub const ALL: &'static [Self] =
        &[Self::Full, Self::SourceFull, Self::TlsFailed, Self::TlsSlow];

    /// Returns the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::SourceFull => "source-full",
            Self::TlsFailed => "tls-failed",
            Self::TlsSlow => "tls-slow",
        }
    }
}

/// An answer below Postern: an RFC 9457 problem, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpRefusal {
    /// 404: no such resource.
    NotFound,
    /// 405: not a POST.
    MethodNotAllowed,
    /// 411: no Content-Length.
    LengthRequired,
    /// 413: larger than a frame may be.
    ContentTooLarge,
    /// 429: the source asks too much.
    TooManyRequests,
    /// 503: no capacity now.
    Unavailable,
    /// No answer: the body came too slowly or broke off.
    BodyBroken,
}

impl HttpRefusal {
    /// Every refusal.
    pub const ALL: &'static [Self] = &[
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::LengthRequired,
        Self::ContentTooLarge,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::BodyBroken,
    ];

    /// Returns the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::LengthRequired => "length-required",
            Self::ContentTooLarge => "content-too-large",
            Self::TooManyRequests => "too-many-requests",
            Self::Unavailable => "unavailable",
            Self::BodyBroken => "body-broken",
        }
    }
}

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
    connections: AtomicU64,
    connections_total: AtomicU64,
    holds: AtomicU64,
    holds_total: AtomicU64,
    holds_released_total: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            rejected: Family::new(Reject::ALL),
            exchanges: Family::new(&FrameType::ALL),
            problems: Family::new(HttpRefusal::ALL),
            connection_refusals: Family::new(ConnectionRefusal::ALL),
            connections: AtomicU64::new(0),
            connections_total: AtomicU64::new(0),
            holds: AtomicU64::new(0),
            holds_total: AtomicU64::new(0),
            holds_released_total: AtomicU64::new(0),
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

    /// Returns every value, in a fixed order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Sample> {
        let mut samples: Vec<Sample> = self
            .rejected
            .samples("postern_envelopes_rejected_total", "reason", |key| {
                key.as_str()
            })
            .collect();
        samples.extend(self.exchanges.samples(
            "postern_exchanges_total",
            "kind",
            FrameType::as_str,
        ));
        samples.extend(self.problems.samples(
            "postern_http_refusals_total",
            "reason",
            HttpRefusal::as_str,
        ));
        samples.extend(self.connection_refusals.samples(
            "postern_connections_refused_total",
            "reason",
            ConnectionRefusal::as_str,
        ));
        let plain = [
            ("postern_connections", &self.connections),
            ("postern_connections_total", &self.connections_total),
            ("postern_holds", &self.holds),
            ("postern_holds_total", &self.holds_total),
            ("postern_holds_released_total", &self.holds_released_total),
        ];
        samples.extend(plain.map(|(name, count)| Sample {
            name,
            label: None,
            value: count.load(Ordering::Relaxed),
        }));
        samples
    }
}
