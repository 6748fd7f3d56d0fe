//! What is to be brought to one mailbox: the newest of each slot, a bounded chain of each desired plane.
//!
//! ```text
//!  Letter --push--> slots, chains --next--> in a deliver frame --answer--> gone | bodies wanted | refused
//! ```
//!
//! A letter stays until an answer names it. What does not fit becomes a channel that is refilled later,
//! when there is room: 16 bytes instead of a state. Refuses to hold more than its bytes.

use super::Letter;
use crate::envelope::{Header, ReceivedEnvelope};
use crate::frame::Wanted;
use crate::id::{ChannelId, Plane};
use crate::kind::MessageKind;
use crate::limits::{
    DELIVER_LETTERS_MAX, FRAME_BYTES_MAX, LINK_BYTES_MAX, LINK_BYTES_REFILL, LINK_DELTAS_MAX,
};
use crate::revision::Seq;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Bytes of a deliver frame without its letters: type, session, counter, tag.
const FRAME_OVERHEAD_BYTES: usize = 16;
/// Bytes around an envelope in a deliver frame: array, channel id, plane.
const LETTER_OVERHEAD_BYTES: usize = 20;

/// What a letter takes the place of. Deltas have no slot: they stand in a chain.
type Slot = (Option<ChannelId>, Option<Plane>, MessageKind);

/// A letter that waits, and what its header says.
#[derive(Debug)]
struct Waiting {
    letter: Letter,
    header: Header,
    /// True while the mailbox has it and lacks bodies that it names.
    is_lacking: bool,
}

/// What waits for one mailbox, in the order in which it is brought.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: BTreeMap<u64, Waiting>,
    slots: BTreeMap<Slot, u64>,
    /// Deltas of each desired plane behind its snapshot, if that waits too.
    chains: BTreeMap<ChannelId, Vec<u64>>,
    /// Letters that a frame under way carries, in its order.
    under_way: Vec<u64>,
    /// Channels of which something was dropped.
    refill: BTreeSet<ChannelId>,
    /// Channels whose deltas lead nowhere until a snapshot comes.
    broken: BTreeSet<ChannelId>,
    bytes: usize,
    last: u64,
}

/// What is missing of a body.
pub(super) struct Rest<'a> {
    /// True while the mailbox has the snapshot and waits for bodies.
    pub(super) is_lacking: bool,
    /// Bytes of the whole body.
    pub(super) size: usize,
    /// The bytes from the offset on, at least one.
    pub(super) bytes: &'a [u8],
}

/// What an answer says about one letter.
pub(super) struct Answered {
    pub(super) channel: Option<ChannelId>,
    pub(super) kind: MessageKind,
    /// The number of the reject, or `None` when it was taken.
    pub(super) code: Option<u16>,
}

impl Outbox {
    /// Takes a letter, or notes that its channel has to be filled anew. One that is no envelope is dropped.
    ///
    /// Returns the channel whose chain it does not continue: a snapshot is wanted.
    pub(super) fn push(&mut self, letter: Letter) -> Option<ChannelId> {
        let received = ReceivedEnvelope::parse(&letter.envelope).ok()?;
        let header = *received.unverified_header();
        match (letter.channel, header.kind) {
            (Some(channel), MessageKind::Delta) => self.push_delta(channel, letter, header),
            (Some(channel), MessageKind::Snapshot) => {
                self.drop_chain(channel);
                self.broken.remove(&channel);
                self.push_slot(letter, header);
                None
            }
            (Some(_) | None, _) => {
                self.push_slot(letter, header);
                None
            }
        }
    }

    fn push_slot(&mut self, letter: Letter, header: Header) {
        // Bundles follow one another: each has a slot of its own number.
        let is_bundle = header.kind == MessageKind::Bundle;
        if is_bundle && self.bundles().any(|held| held == header.seq) {
            return;
        }
        let slot = (letter.channel, letter.plane, header.kind);
        let held = self.slots.get(&slot).copied().filter(|_| !is_bundle);
        if let Some(serial) = held {
            self.remove(serial);
        }
        // What an answer under way is about must not be found again under its number.
        let place = held.filter(|serial| !self.under_way.contains(serial));
        let Some(serial) = self.insert(place, letter, header) else {
            return;
        };
        if !is_bundle {
            self.slots.insert(slot, serial);
        }
    }

    fn push_delta(
        &mut self,
        channel: ChannelId,
        letter: Letter,
        header: Header,
    ) -> Option<ChannelId> {
        if self.is_broken(channel) {
            return Some(channel);
        }
        let snapshot = (Some(channel), Some(Plane::Desired), MessageKind::Snapshot);
        let deltas = self.chains.get(&channel).map_or(&[][..], Vec::as_slice);
        let last = deltas.last().or_else(|| self.slots.get(&snapshot));
        let last = last.and_then(|serial| self.waiting.get(serial));
        let continues = last
            .is_none_or(|last| last.header.epoch == header.epoch && last.header.seq == header.base);
        if !continues || deltas.len() >= LINK_DELTAS_MAX {
            self.break_chain(channel);
            return Some(channel);
        }
        let serial = self.insert(None, letter, header)?;
        self.chains.entry(channel).or_default().push(serial);
        None
    }

    /// Keeps a letter at its place, or behind all others. Beyond the bytes its channel is noted instead.
    fn insert(&mut self, place: Option<u64>, letter: Letter, header: Header) -> Option<u64> {
        let size = letter.size_bytes();
        let is_full = self.bytes.saturating_add(size) > LINK_BYTES_MAX;
        if let Some(channel) = letter.channel.filter(|_| is_full) {
            self.forget(channel);
            self.refill.insert(channel);
            return None;
        }
        let serial = place.unwrap_or_else(|| {
            self.last = self.last.saturating_add(1);
            self.last
        });
        self.bytes = self.bytes.saturating_add(size);
        let waiting = Waiting {
            letter,
            header,
            is_lacking: false,
        };
        self.waiting.insert(serial, waiting);
        Some(serial)
    }

    fn remove(&mut self, serial: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&serial)?;
        self.bytes = self.bytes.saturating_sub(waiting.letter.size_bytes());
        Some(waiting)
    }

    /// Drops what a snapshot makes useless: the deltas of a desired plane.
    fn drop_chain(&mut self, channel: ChannelId) {
        for serial in self.chains.remove(&channel).unwrap_or_default() {
            self.remove(serial);
        }
    }

    /// Drops the desired plane of a channel, and what comes of it before the next snapshot: an older snapshot
    /// would leave the mailbox where it was.
    pub(super) fn break_chain(&mut self, channel: ChannelId) {
        self.drop_chain(channel);
        let snapshot = (Some(channel), Some(Plane::Desired), MessageKind::Snapshot);
        if let Some(serial) = self.slots.remove(&snapshot) {
            self.remove(serial);
        }
        self.broken.insert(channel);
    }

    /// Tells whether a channel waits for a snapshot.
    pub(super) fn is_broken(&self, channel: ChannelId) -> bool {
        self.broken.contains(&channel)
    }

    /// Drops everything of a channel.
    fn forget(&mut self, channel: ChannelId) {
        self.broken.remove(&channel);
        let of_channel = |(_, one): &(&u64, &Waiting)| one.letter.channel == Some(channel);
        let serials: Vec<u64> = self
            .waiting
            .iter()
            .filter(of_channel)
            .map(|(serial, _)| *serial)
            .collect();
        for serial in serials {
            self.remove(serial);
        }
        self.chains.remove(&channel);
        self.slots.retain(|(of, _, _), _| *of != Some(channel));
    }

    /// Notes channels that lack everything.
    pub(super) fn note_lacking(&mut self, channels: Vec<ChannelId>) {
        self.refill.extend(channels);
    }

    /// Takes a channel that is to be filled anew, while there is room.
    pub(super) fn next_refill(&mut self) -> Option<ChannelId> {
        if self.bytes > LINK_BYTES_REFILL {
            return None;
        }
        self.refill.pop_first()
    }

    /// True when nothing waits that the mailbox has not got already.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.values().all(|waiting| waiting.is_lacking)
    }

    /// Picks what fits into one frame, oldest first and at most one snapshot, and notes it as under way.
    pub(super) fn take_frame(&mut self) -> Vec<&Letter> {
        let mut room = FRAME_BYTES_MAX - FRAME_OVERHEAD_BYTES;
        self.under_way.clear();
        let fresh = self.waiting.iter().filter(|(_, one)| !one.is_lacking);
        for (serial, waiting) in fresh.take(DELIVER_LETTERS_MAX) {
            let size = waiting.letter.envelope.len() + LETTER_OVERHEAD_BYTES;
            let Some(left) = room.checked_sub(size) else {
                break;
            };
            room = left;
            self.under_way.push(*serial);
            // Its bodies are asked for in the answer, which has room for those of one.
            if waiting.header.kind == MessageKind::Snapshot {
                break;
            }
        }
        let carried = self.under_way.iter();
        let letters = carried.filter_map(|serial| self.waiting.get(serial));
        letters.map(|waiting| &waiting.letter).collect()
    }

    /// The frame did not come back: all of it is brought again.
    pub(super) fn take_back(&mut self) {
        self.under_way.clear();
    }

    /// The session ended: what lacked bodies is brought again too.
    pub(super) fn begin_session(&mut self) {
        self.take_back();
        let waiting = self.waiting.values_mut();
        waiting.for_each(|waiting| waiting.is_lacking = false);
    }

    /// The answer to the frame under way: `code_of` tells which of its letters were refused, and `lacks`
    /// whether the mailbox wants bodies of a channel. Returns what became of each but the latter, which stay.
    pub(super) fn settle(
        &mut self,
        code_of: impl Fn(usize) -> Option<u16>,
        lacks: impl Fn(ChannelId) -> bool,
    ) -> Vec<Answered> {
        let mut answered = Vec::new();
        for (place, serial) in core::mem::take(&mut self.under_way).into_iter().enumerate() {
            let code = code_of(place);
            let Some(waiting) = self.waiting.get_mut(&serial) else {
                continue;
            };
            let (channel, kind) = (waiting.letter.channel, waiting.header.kind);
            let is_lacking = kind == MessageKind::Snapshot && channel.is_some_and(&lacks);
            if code.is_none() && is_lacking {
                waiting.is_lacking = true;
                continue;
            }
            self.finish(serial);
            answered.push(Answered {
                channel,
                kind,
                code,
            });
        }
        answered
    }

    /// The mailbox has every body of a channel's snapshot. Returns false when none waits.
    pub(super) fn settle_bodies(&mut self, channel: ChannelId) -> bool {
        let slot = (Some(channel), Some(Plane::Desired), MessageKind::Snapshot);
        let serial = self.slots.get(&slot).copied();
        serial.is_some_and(|serial| self.finish(serial))
    }

    fn finish(&mut self, serial: u64) -> bool {
        let Some(Waiting { letter, header, .. }) = self.remove(serial) else {
            return false;
        };
        let slot = (letter.channel, letter.plane, header.kind);
        if self.slots.get(&slot) == Some(&serial) {
            self.slots.remove(&slot);
        }
        if let Some(channel) = letter.channel
            && let Some(chain) = self.chains.get_mut(&channel)
        {
            chain.retain(|one| *one != serial);
            if chain.is_empty() {
                self.chains.remove(&channel);
            }
        }
        true
    }

    /// What is missing of a body of the snapshot that waits for a channel.
    pub(super) fn rest_of(&self, channel: ChannelId, wanted: &Wanted) -> Option<Rest<'_>> {
        let slot = (Some(channel), Some(Plane::Desired), MessageKind::Snapshot);
        let waiting = self.waiting.get(self.slots.get(&slot)?)?;
        let mut bodies = waiting.letter.bodies.iter();
        let (_, body) = bodies.find(|(held, _)| *held == wanted.digest)?;
        let offset = usize::try_from(wanted.offset).ok()?;
        let bytes = body.get(offset..).filter(|rest| !rest.is_empty())?;
        Some(Rest {
            is_lacking: waiting.is_lacking,
            size: body.len(),
            bytes,
        })
    }

    /// True when a snapshot of the channel waits: none has to be signed for it.
    pub(super) fn has_snapshot(&self, channel: ChannelId) -> bool {
        let slot = (Some(channel), Some(Plane::Desired), MessageKind::Snapshot);
        self.slots.contains_key(&slot)
    }

    /// Bytes held. For tests and metrics.
    pub(super) const fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// The number of the newest bundle that waits, if one does.
    pub(super) fn newest_bundle(&self) -> Option<Seq> {
        self.bundles().max()
    }

    fn bundles(&self) -> impl Iterator<Item = Seq> {
        let waiting = self.waiting.values();
        let bundles = waiting.filter(|one| one.header.kind == MessageKind::Bundle);
        bundles.map(|one| one.header.seq)
    }
}
