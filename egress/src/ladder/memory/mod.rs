//! What is remembered of networks beyond the process: which way worked, what it carried, whether QUIC met silence.
//!
//! At most 32 networks, the one unused for longest goes first; nothing older than 30 days counts. Hints only:
//! a wrong memory costs a head start, never a connection that the policy forbids. Refuses to keep an
//! address, a name or a URL: networks and ways are hashes.

mod record;

use super::Hints;
use super::way::WayKey;
use crate::body_size::BodySizes;
use crate::canary::{Believed, Verdict};
use crate::hold::Learnt;
use crate::limits::{
    NETWORK_AGE_S_MAX, NETWORK_DATE_SLACK_S, NETWORK_WAYS_MAX, NETWORKS_MAX, UDP_HOSTILE_S,
};
use crate::network::NetworkId;
use crate::push::limits::CANARY_AGE;
pub use record::RecordError;
use std::time::Duration;

/// The memory. All times are seconds since 1970; a machine that has none remembers without ageing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkMemory {
    /// The one used last stands last.
    networks: Vec<Network>,
}

/// What is known of one network.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Network {
    id: NetworkId,
    used_s: u64,
    last_good: Option<WayKey>,
    udp_hostile_until_s: u64,
    /// The one learnt last stands last.
    ways: Vec<Kept>,
}

/// What a way of one network carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The way.
    pub way: WayKey,
    /// How long it lets a poll wait.
    pub hold: Learnt,
    /// Largest request, in bytes.
    pub up_bytes_max: u32,
    /// Largest answer, in bytes.
    pub down_bytes_max: u32,
    /// Whether answers come one by one, where that was tested.
    pub canary: Option<Believed>,
}

/// The same as it is kept: what ages has the time at which it is forgotten, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    way: WayKey,
    rung: u8,
    cap: Option<u8>,
    /// 0 where there is no cap, or was no clock.
    cap_until_s: u64,
    up_bytes_max: u32,
    down_bytes_max: u32,
    canary: Option<Verdict>,
    /// 0 where there is no verdict.
    canary_until_s: u64,
}

impl Kept {
    /// Without a clock nobody could tell later how old a verdict is: it is not kept.
    fn of(limits: &Limits, unix_s: Option<u64>) -> Self {
        let until_s = |left: Option<Duration>| {
            let until_s = unix_s.zip(left);
            until_s.map_or(0, |(now_s, left)| now_s.saturating_add(left.as_secs()))
        };
        let canary = limits.canary.filter(|_| unix_s.is_some());
        Self {
            way: limits.way,
            rung: limits.hold.rung,
            cap: limits.hold.cap,
            cap_until_s: until_s(limits.hold.cap.and(limits.hold.cap_left)),
            up_bytes_max: limits.up_bytes_max,
            down_bytes_max: limits.down_bytes_max,
            canary: canary.map(|canary| canary.verdict),
            canary_until_s: until_s(canary.map(|canary| canary.left)),
        }
    }

    fn limits(&self, unix_s: Option<u64>) -> Limits {
        let left = |until_s: u64| {
            let now_s = unix_s.filter(|_| until_s > 0)?;
            Some(Duration::from_secs(until_s.saturating_sub(now_s)))
        };
        // One that lasts for longer than any was found out by a clock that was ahead.
        let canary_left = left(self.canary_until_s);
        let canary_left = canary_left.filter(|left| !left.is_zero() && *left <= CANARY_AGE);
        Limits {
            way: self.way,
            hold: Learnt {
                rung: self.rung,
                cap: self.cap,
                cap_left: left(self.cap_until_s),
            },
            up_bytes_max: self.up_bytes_max,
            down_bytes_max: self.down_bytes_max,
            canary: self
                .canary
                .zip(canary_left)
                .map(|(verdict, left)| Believed { verdict, left }),
        }
    }

    /// Takes over the dates of an earlier one that differ by no more than two clocks do: they are no news.
    fn dated_as(mut self, before: Self) -> Self {
        let is_same = |a: u64, b: u64| a.abs_diff(b) <= NETWORK_DATE_SLACK_S;
        if is_same(self.cap_until_s, before.cap_until_s) {
            self.cap_until_s = before.cap_until_s;
        }
        if is_same(self.canary_until_s, before.canary_until_s) {
            self.canary_until_s = before.canary_until_s;
        }
        self
    }
}

impl Limits {
    /// Returns the sizes as a way starts with them.
    #[must_use]
    pub fn sizes(&self) -> BodySizes {
        let bytes = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        BodySizes::resume(bytes(self.up_bytes_max), bytes(self.down_bytes_max))
    }
}

impl NetworkMemory {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`] for one that is damaged, too large or of another version: start with an empty memory.
    pub fn from_record(record: &[u8]) -> Result<Self, RecordError> {
        record::decode(record).map(|networks| Self { networks })
    }

    /// Writes the record: under 6 KiB.
    #[must_use]
    pub fn to_record(&self) -> Vec<u8> {
        record::encode(&self.networks)
    }

    /// Number of networks known.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.networks.len()
    }

    /// True when none is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    fn find(&self, id: NetworkId) -> Option<&Network> {
        self.networks.iter().find(|network| network.id == id)
    }

    /// Returns what a race in this network may know.
    #[must_use]
    pub fn hints(&self, id: NetworkId, unix_s: Option<u64>) -> Hints {
        let Some(network) = self.find(id) else {
            return Hints::default();
        };
        let now_s = unix_s.unwrap_or_default();
        // A clock that was far ahead once must not silence QUIC for years.
        let left_s = network.udp_hostile_until_s.saturating_sub(now_s);
        Hints {
            last_good: network.last_good,
            is_udp_hostile: unix_s.is_some() && (1..=UDP_HOSTILE_S).contains(&left_s),
        }
    }

    /// Returns what a way carries in this network.
    #[must_use]
    pub fn limits(&self, id: NetworkId, unix_s: Option<u64>, way: WayKey) -> Option<Limits> {
        let mut ways = self.find(id)?.ways.iter();
        let kept = ways.find(|kept| kept.way == way)?;
        Some(kept.limits(unix_s))
    }

    /// Returns what canaries showed in this network, and on which ways, as far as that is believed yet.
    #[must_use]
    pub fn canaries(&self, id: NetworkId, unix_s: Option<u64>) -> Vec<(WayKey, Believed)> {
        let network = self.find(id);
        let ways = network.into_iter().flat_map(|network| &network.ways);
        let known = ways.filter_map(|kept| Some((kept.way, kept.limits(unix_s).canary?)));
        known.collect()
    }

    /// Forgets what is too old, and moves this network to the place of the one used last.
    fn touch(&mut self, id: NetworkId, unix_s: Option<u64>) -> &mut Network {
        if let Some(now_s) = unix_s {
            let is_young =
                |network: &Network| now_s.saturating_sub(network.used_s) <= NETWORK_AGE_S_MAX;
            self.networks.retain(is_young);
        }
        let found = self.networks.iter().position(|network| network.id == id);
        let mut network = match found {
            Some(place) => self.networks.remove(place),
            None => Network::new(id),
        };
        network.used_s = unix_s.unwrap_or(network.used_s);
        while self.networks.len() >= NETWORKS_MAX {
            self.networks.remove(0);
        }
        self.networks.push(network);
        let Some(last) = self.networks.last_mut() else {
            unreachable!("one was pushed in the line above")
        };
        last
    }

    /// A way proved itself here. Returns true when that is news.
    pub fn note_good(&mut self, id: NetworkId, unix_s: Option<u64>, way: WayKey) -> bool {
        let network = self.touch(id, unix_s);
        network.last_good.replace(way) != Some(way)
    }

    /// QUIC met silence here while another way worked, or it works after all. Returns true when that is news.
    pub fn note_udp(&mut self, id: NetworkId, unix_s: Option<u64>, is_hostile: bool) -> bool {
        let network = self.touch(id, unix_s);
        let until_s = match (is_hostile, unix_s) {
            (true, Some(now_s)) => now_s.saturating_add(UDP_HOSTILE_S),
            (true, None) | (false, _) => 0,
        };
        std::mem::replace(&mut network.udp_hostile_until_s, until_s) != until_s
    }

    /// Keeps what a way carries here. Returns true when that is news.
    pub fn note_limits(&mut self, id: NetworkId, unix_s: Option<u64>, limits: Limits) -> bool {
        let network = self.touch(id, unix_s);
        let mut ways = network.ways.iter();
        let before = ways.position(|known| known.way == limits.way);
        let before = before.map(|place| network.ways.remove(place));
        while network.ways.len() >= NETWORK_WAYS_MAX {
            network.ways.remove(0);
        }
        let kept = Kept::of(&limits, unix_s);
        let kept = before.map_or(kept, |before| kept.dated_as(before));
        network.ways.push(kept);
        before != Some(kept)
    }
}

impl Network {
    const fn new(id: NetworkId) -> Self {
        Self {
            id,
            used_s: 0,
            last_good: None,
            udp_hostile_until_s: 0,
            ways: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
