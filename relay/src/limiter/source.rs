//! Where a connection comes from, and the rate of one such place.
//!
//! ```text
//!   cell of the address or /64 --(no room)--> bucket shared with strangers
//!   and, for IPv6, the cell of the /48 around it: one subscriber may own 65,536 of the former
//! ```
//!
//! Only addresses that were validated (a TCP or QUIC handshake, or the token of a Retry) may be
//! asked about: whoever forges addresses must not make keys. Refuses to grow beyond its bounds.

use super::{Cells, Drawn, Rate};
use crate::limits::{NETWORK_RATE_FACTOR, SHARED_BUCKETS, SOURCE_KEYS_MAX};
use postern_protocol::id::Digest;
use std::net::IpAddr;

/// Where a connection comes from, as far as limits tell sources apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An IPv4 address.
    Address([u8; 4]),
    /// The first 64 bits of an IPv6 address: one subscriber has at least so many.
    Network([u8; 8]),
}

/// The first 48 bits of an IPv6 address: what one site is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site([u8; 6]);

impl Source {
    /// Reads an address; IPv4 inside IPv6 counts as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::Address(v4.octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self::Network([a, b, c, d, e, f, g, h])
            }
        }
    }

    /// The network around it, where its owner may have many such sources.
    #[must_use]
    pub const fn site(self) -> Option<Site> {
        match self {
            Self::Address(_) => None,
            Self::Network([a, b, c, d, e, f, ..]) => Some(Site([a, b, c, d, e, f])),
        }
    }

    const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Address(bytes) => bytes,
            Self::Network(bytes) => bytes,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Address(bytes) => std::net::Ipv4Addr::from(bytes).fmt(f),
            Self::Network([a, b, c, d, e, g, h, i]) => {
                let network = [a, b, c, d, e, g, h, i, 0, 0, 0, 0, 0, 0, 0, 0];
                write!(f, "{}/64", std::net::Ipv6Addr::from(network))
            }
        }
    }
}

/// The rate of each source.
#[derive(Debug)]
pub struct Limiter {
    seed: [u8; 16],
    sources: Cells<Source>,
    sites: Cells<Site>,
    shared: Cells<u16>,
}

impl Limiter {
    /// Starts full. `seed` keeps strangers from choosing with whom they share a bucket.
    #[must_use]
    pub fn new(rate: Rate, seed: [u8; 16]) -> Self {
        Self::with_keys_max(rate, seed, SOURCE_KEYS_MAX)
    }

    pub(super) fn with_keys_max(rate: Rate, seed: [u8; 16], keys_max: usize) -> Self {
        let of_site = Rate {
            burst: rate.burst.saturating_mul(NETWORK_RATE_FACTOR),
            per_s: rate.per_s.saturating_mul(NETWORK_RATE_FACTOR),
        };
        Self {
            seed,
            sources: Cells::new(rate, keys_max),
            sites: Cells::new(of_site, keys_max),
            shared: Cells::new(rate, usize::from(SHARED_BUCKETS)),
        }
    }

    /// Takes one for `source`; `now_ms` is a monotonic clock.
    /// # Errors: milliseconds until one is free again.
    pub fn take(&self, source: Source, now_ms: u64) -> Result<(), u64> {
        self.take_from(&self.sources, source, &source, now_ms)?;
        match source.site() {
            Some(site) => self.take_from(&self.sites, source, &site, now_ms),
            None => Ok(()),
        }
    }

    /// Drops those of the next `count` cells that are full again.
    pub fn sweep(&self, count: usize, now_ms: u64) {
        self.sources.sweep(count, now_ms);
        self.sites.sweep(count, now_ms);
        self.shared.sweep(count, now_ms);
    }

    /// Cells that are kept now, of sources and what is around them.
    #[must_use]
    pub fn keys(&self) -> usize {
        let keys = self.sources.keys().saturating_add(self.sites.keys());
        keys.saturating_add(self.shared.keys())
    }

    fn take_from<K: Ord + std::hash::Hash + Clone>(
        &self,
        cells: &Cells<K>,
        source: Source,
        key: &K,
        now_ms: u64,
    ) -> Result<(), u64> {
        let taken = match cells.take(key, 1, now_ms) {
            Drawn::NoCell => self.shared.take(&self.bucket(source), 1, now_ms),
            taken @ (Drawn::Yes | Drawn::NotFor(_)) => taken,
        };
        match taken {
            // There are as many shared cells as shared buckets.
            Drawn::Yes | Drawn::NoCell => Ok(()),
            Drawn::NotFor(ms) => Err(ms),
        }
    }

    fn bucket(&self, source: Source) -> u16 {
        let keyed = [&self.seed[..], source.as_bytes()].concat();
        let [a, b, ..] = *Digest::of(&keyed).as_bytes();
        u16::from_be_bytes([a, b])
            .checked_rem(SHARED_BUCKETS)
            .unwrap_or_default()
    }
}
