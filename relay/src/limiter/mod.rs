//! Rate limits in fixed memory: a table of buckets that no flood can grow.
//!
//! A source is an IPv4 address or an IPv6 /64; its bucket is found by a seeded hash, and sources
//! that collide share one, which only makes the limit stricter. Each bucket is one number (GCRA:
//! the time at which it would be full again). Refuses to allocate per source.

#[cfg(test)]
mod tests;

use crate::limits::SOURCE_TABLE_SLOTS;
use postern_protocol::id::Digest;
use std::net::IpAddr;

/// Where a connection comes from, as far as limits tell sources apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// An IPv4 address.
    Address([u8; 4]),
    /// The first 64 bits of an IPv6 address: one subscriber has at least so many.
    Network([u8; 8]),
}

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

/// How much is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once, after a pause. At least 1.
    pub burst: u32,
    /// Per second, in the long run. At least 1.
    pub per_s: u32,
}

impl Rate {
    fn interval_us(self) -> u64 {
        1_000_000 / u64::from(self.per_s.max(1))
    }

    /// Takes one from a bucket. # Errors: milliseconds until one is free again, at least 1.
    fn take(self, full_at_us: &mut u64, now_us: u64) -> Result<(), u64> {
        let interval = self.interval_us();
        let room = interval.saturating_mul(u64::from(self.burst.max(1)));
        let next = (*full_at_us).max(now_us).saturating_add(interval);
        let ahead = next.saturating_sub(now_us);
        if ahead > room {
            return Err((ahead - room).div_ceil(1_000).max(1));
        }
        *full_at_us = next;
        Ok(())
    }
}

/// One bucket for everybody.
#[derive(Debug)]
pub struct Gate {
    rate: Rate,
    full_at_us: u64,
}

impl Gate {
    /// Starts full.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            full_at_us: 0,
        }
    }

    /// Takes one; `now_ms` is a monotonic clock.
    /// # Errors: milliseconds until one is free again.
    pub fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        self.rate
            .take(&mut self.full_at_us, now_ms.saturating_mul(1_000))
    }
}

/// One bucket for each source.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    seed: [u8; 16],
    full_at_us: Box<[u64]>,
}

impl Limiter {
    /// Starts full. `seed` keeps strangers from choosing whom they collide with.
    #[must_use]
    pub fn new(rate: Rate, seed: [u8; 16]) -> Self {
        Self {
            rate,
            seed,
            full_at_us: vec![0; SOURCE_TABLE_SLOTS].into_boxed_slice(),
        }
    }

    /// Takes one for `source`; `now_ms` is a monotonic clock.
    /// # Errors: milliseconds until one is free again.
    pub fn take(&mut self, source: Source, now_ms: u64) -> Result<(), u64> {
        let at = self.slot(source);
        match self.full_at_us.get_mut(at) {
            Some(full_at_us) => self.rate.take(full_at_us, now_ms.saturating_mul(1_000)),
            None => Ok(()),
        }
    }

    fn slot(&self, source: Source) -> usize {
        let keyed = [&self.seed[..], source.as_bytes()].concat();
        let [a, b, c, d, ..] = *Digest::of(&keyed).as_bytes();
        let hash = u32::from_be_bytes([a, b, c, d]) as usize;
        hash.checked_rem(self.full_at_us.len()).unwrap_or_default()
    }
}
