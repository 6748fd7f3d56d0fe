//! What writers brought, counted in the order in which it was shown: for mailboxes that depend on this one.
//!
//! ```text
//!   bundle, admission, lane of a channel --shown--> entries that are new: the next numbers
//!                                                   entries that are gone: vanish
//! ```
//!
//! The numbers are of this process: whoever collects by them is told another store epoch after a restart,
//! collects everything again, and holds most of it already. Refuses to give an entry that stays a new number.

use super::collect::{Arrival, Collected};
use super::lane::{Lane, Slot};
use postern_protocol::id::{ChannelId, Plane};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// What an entry is a part of: shown as a whole, each time anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The bundles.
    Bundles,
    /// The admission of a channel.
    Admission(ChannelId),
    /// The lane of a channel's writer.
    Lane(ChannelId),
}

impl Part {
    const fn channel(self) -> Option<ChannelId> {
        match self {
            Self::Bundles => None,
            Self::Admission(channel) | Self::Lane(channel) => Some(channel),
        }
    }
}

type Shown = (Option<Plane>, Arc<[u8]>);

/// See the head of this module.
#[derive(Debug, Default)]
pub(super) struct Onward {
    last: u64,
    live: BTreeMap<u64, (Part, Shown)>,
    parts: BTreeMap<Part, Vec<u64>>,
}

impl Onward {
    /// Shows what a part consists of now. Returns true when something of it is new.
    pub(super) fn show(&mut self, part: Part, now: Vec<Shown>) -> bool {
        let mut before = self.parts.remove(&part).unwrap_or_default();
        let mut numbers = Vec::with_capacity(now.len());
        let mut is_new = false;
        for shown in now {
            let held = before.iter().position(|number| {
                let held = self.live.get(number);
                held.is_some_and(|(_, held)| is_same(held, &shown))
            });
            //= spec/relays.md#chains
            //# A relay MUST NOT count an envelope that it holds already as a new arrival.
            let number = match held {
                Some(place) => before.remove(place),
                None => {
                    is_new = true;
                    self.last = self.last.saturating_add(1);
                    self.live.insert(self.last, (part, shown));
                    self.last
                }
            };
            numbers.push(number);
        }
        for gone in before {
            self.live.remove(&gone);
        }
        if !numbers.is_empty() {
            self.parts.insert(part, numbers);
        }
        is_new
    }

    /// Tells whether anything came after `cursor`.
    pub(super) fn has_after(&self, cursor: u64) -> bool {
        let last = self.live.last_key_value();
        last.is_some_and(|(number, _)| *number > cursor)
    }

    /// The last number given.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Returns what came after `cursor`, ascending, as much as fits into `room_bytes` with `overhead_bytes` for
    /// each entry.
    pub(super) fn collect(
        &self,
        cursor: u64,
        room_bytes: usize,
        overhead_bytes: usize,
    ) -> Vec<Collected> {
        let mut left = room_bytes;
        let after = (Bound::Excluded(cursor), Bound::Unbounded);
        let mut collected = Vec::new();
        for (number, (part, (plane, envelope))) in self.live.range(after) {
            let Some(rest) = left.checked_sub(envelope.len().saturating_add(overhead_bytes)) else {
                break;
            };
            left = rest;
            collected.push(Collected {
                arrival: *number,
                what: Arrival::Envelope {
                    channel: part.channel(),
                    plane: *plane,
                    envelope: Arc::clone(envelope),
                },
            });
        }
        collected
    }
}

fn is_same((plane, envelope): &Shown, other: &Shown) -> bool {
    let (other_plane, other) = other;
    plane == other_plane && (Arc::ptr_eq(envelope, other) || envelope == other)
}

/// The entries of a writer's lane: its chain, then what stands in its slots.
pub(super) fn entries_of(lane: &Lane) -> Vec<Shown> {
    let chain = lane.chain.iter().flat_map(|chain| chain.arrived());
    let chain = chain.map(|arrived| (Some(Plane::Desired), Arc::clone(arrived.envelope)));
    let slots = Slot::ALL.into_iter().filter_map(|slot| {
        let envelope = lane.envelope(slot)?;
        Some((slot.plane_in(Plane::Desired), Arc::clone(envelope)))
    });
    chain.chain(slots).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(byte: u8) -> Shown {
        (None, Arc::from([byte].as_slice()))
    }

    fn part(byte: u8) -> Part {
        Part::Lane(ChannelId::from_bytes([byte; 16]))
    }

    fn numbers(onward: &Onward, cursor: u64) -> Vec<u64> {
        let collected = onward.collect(cursor, 1_000, 0);
        collected.iter().map(|one| one.arrival).collect()
    }

    #[test]
    fn entry_that_stays_keeps_its_number_and_a_newer_takes_a_newer() {
        let mut onward = Onward::default();
        assert!(onward.show(part(1), vec![shown(1), shown(2)]));
        assert!(onward.show(part(2), vec![shown(1)]));
        assert!(!onward.show(part(1), vec![shown(1), shown(2)]));
        assert_eq!(numbers(&onward, 0), [1, 2, 3]);
        assert!(onward.show(part(1), vec![shown(9), shown(2)]));
        assert_eq!(numbers(&onward, 0), [2, 3, 4]);
        assert_eq!(numbers(&onward, 3), [4]);
    }

    #[test]
    fn part_that_is_gone_leaves_nothing_to_collect() {
        let mut onward = Onward::default();
        onward.show(part(1), vec![shown(1), shown(2)]);
        assert!(!onward.show(part(1), Vec::new()));
        assert_eq!(numbers(&onward, 0), [0_u64; 0]);
        assert!(!onward.has_after(0));
        assert_eq!(onward.last(), 2, "its numbers are not given again");
    }

    #[test]
    fn collect_stops_before_what_does_not_fit() {
        let mut onward = Onward::default();
        onward.show(part(1), vec![shown(1), shown(2), shown(3)]);
        let fits = onward.collect(0, 22, 10);
        assert_eq!(fits.len(), 2);
        assert!(onward.collect(0, 10, 10).is_empty());
    }
}
