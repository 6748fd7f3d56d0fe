//! What each hop of one way did, in its order: the evidence behind a diagnosis.
//!
//! A [`Client`](crate::Client) that was given a trail writes one [`Hop`] for every step of every
//! connection it opens and for every exchange. Holds no credential: places are hosts and ports, and
//! text of others is [`Foreign`](crate::Foreign) before it comes here. Refuses to grow: after
//! [`TRAIL_HOPS_MAX`] hops it only counts.

use crate::fault::Fault;
use crate::limits::TRAIL_HOPS_MAX;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A step on the way to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Looking up a name here.
    Lookup,
    /// Opening a TCP connection.
    Tcp,
    /// TLS to a proxy.
    ProxyTls,
    /// Getting a proxy to open a tunnel, credentials included.
    Tunnel,
    /// TLS to the mailbox.
    Tls,
    /// Opening a QUIC connection, its TLS included.
    Quic,
    /// Sending a body and getting an answer.
    Exchange,
}

impl Stage {
    /// Returns the word for it; a metric label may come from here.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Tcp => "tcp",
            Self::ProxyTls => "proxy-tls",
            Self::Tunnel => "tunnel",
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::Exchange => "exchange",
        }
    }
}

/// One step, as it went.
#[derive(Clone, Debug)]
pub struct Hop {
    /// What was done.
    pub stage: Stage,
    /// With whom: a host and port, or a proxy's URL without credentials.
    pub place: String,
    /// How long it took.
    pub took: Duration,
    /// What was seen: addresses, issuer, status. Never a secret; may be empty.
    pub evidence: String,
    /// What went wrong, if anything did.
    pub fault: Option<Fault>,
}

/// The hops of one client.
#[derive(Debug, Default)]
pub struct Trail {
    hops: Mutex<Vec<Hop>>,
}

impl Trail {
    fn hops(&self) -> MutexGuard<'_, Vec<Hop>> {
        self.hops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a hop down, while there is room.
    pub(crate) fn note(&self, hop: Hop) {
        let mut hops = self.hops();
        if hops.len() < TRAIL_HOPS_MAX {
            hops.push(hop);
        }
    }

    /// Takes everything that was written down so far.
    #[must_use]
    pub fn take(&self) -> Vec<Hop> {
        std::mem::take(&mut *self.hops())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(stage: Stage) -> Hop {
        Hop {
            stage,
            place: "controller.test:443".into(),
            took: Duration::ZERO,
            evidence: String::new(),
            fault: Some(Fault::Silent),
        }
    }

    #[test]
    fn trail_gives_hops_in_their_order_once() {
        let trail = Trail::default();
        trail.note(hop(Stage::Lookup));
        trail.note(hop(Stage::Tcp));
        let stages: Vec<_> = trail.take().iter().map(|hop| hop.stage).collect();
        assert_eq!(stages, [Stage::Lookup, Stage::Tcp]);
        assert!(trail.take().is_empty());
    }

    #[test]
    fn full_trail_takes_no_more_hops() {
        let trail = Trail::default();
        for _ in 0..TRAIL_HOPS_MAX {
            trail.note(hop(Stage::Exchange));
        }
        trail.note(hop(Stage::Quic));
        let hops = trail.take();
        assert_eq!(hops.len(), TRAIL_HOPS_MAX);
        assert!(hops.iter().all(|hop| hop.stage == Stage::Exchange));
    }
}
