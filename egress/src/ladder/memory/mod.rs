//! What is remembered of networks beyond the process: which way worked, what it carried, whether QUIC met silence.
//!
//! At most 32 networks, the one unused for longest goes first; nothing older than 30 days counts. Hints only:
//! a wrong memory costs a head start, never a connection that the policy forbids. Refuses to keep an
//! address, a name or a URL: networks and ways are hashes.

mod record;

use super::Hints;
use super::way::WayKey;
use crate::body_size::BodySizes;
use crate::hold::Learnt;
use crate::limits::{NETWORK_AGE_S_MAX, NETWORK_WAYS_MAX, NETWORKS_MAX, UDP_HOSTILE_S};
use crate::network::NetworkId;
pub use record::RecordError;

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
    ways: Vec<Limits>,
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

    /// Writes the record: under 5 KiB.
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
    pub fn limits(&self, id: NetworkId, way: WayKey) -> Option<Limits> {
        let ways = &self.find(id)?.ways;
        ways.iter().find(|limits| limits.way == way).copied()
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
        network.ways.push(limits);
        before != Some(limits)
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
