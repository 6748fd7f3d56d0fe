//! Everything that one mailbox holds for one channel: the lanes of its two planes, the head of the
//! actual plane, the writer's heartbeat, and when a `need` was last served.
//!
//! Lanes are what is stored where a mailbox outlives its process; the rest is of this process only.
//! Refuses growth beyond the quota of the channel.

use super::actual::ActualHead;
use super::beat::Beat;
use super::chain::{Chain, SnapshotWish};
use super::lane::{Lane, Slot};
use super::limits::MailboxLimits;
use super::receipts::Receipts;
use super::room::{Full, Room};
use super::{Chunk, Entry, Heads, Posted, Space, Stamp};
use crate::limits::CHUNK_OVERHEAD_BYTES;
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::{Digest, Plane, TenantId};
use postern_protocol::limits::{BODY_CHUNK_BYTES_MAX, NEED_INTERVAL_MS};
use postern_protocol::revision::{Generation, Revision};
use std::collections::BTreeMap;

/// Since when and for which report an answer to a post looks for slots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carry {
    /// The last change before the post.
    pub(super) since: u64,
    /// The highest report in the post that was not refused.
    pub(super) report: Option<Revision>,
}

/// What each end posted towards the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lanes {
    /// From the writer to the device.
    pub(crate) desired: Lane,
    /// From the device to the writer.
    pub(crate) actual: Lane,
}

impl Lanes {
    pub(crate) const fn of(&self, plane: Plane) -> &Lane {
        match plane {
            Plane::Desired => &self.desired,
            Plane::Actual => &self.actual,
        }
    }

    pub(crate) const fn of_mut(&mut self, plane: Plane) -> &mut Lane {
        match plane {
            Plane::Desired => &mut self.desired,
            Plane::Actual => &mut self.actual,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.desired.bytes().saturating_add(self.actual.bytes())
    }
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) lanes: Lanes,
    /// Whose channel it is, where the mailbox serves several.
    pub(super) tenant: Option<TenantId>,
    pub(super) beat: Beat,
    pub(super) actual: ActualHead,
    pub(super) receipts: Receipts,
    need_served_ms: BTreeMap<Plane, u64>,
    /// The change of all mailboxes that brought what is in a slot of the desired lane.
    came: BTreeMap<Slot, u64>,
    changed: u64,
}

impl Slots {
    pub(super) fn bytes(&self) -> usize {
        self.lanes.bytes().saturating_add(self.beat.bytes())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tenant.is_none()
            && self.lanes.desired.is_empty()
            && self.lanes.actual.is_empty()
            && self.beat.is_empty()
            && self.actual.is_empty()
    }

    pub(super) const fn changed(&self) -> u64 {
        self.changed
    }

    pub(super) const fn note_change(&mut self, number: u64) {
        self.changed = number;
    }

    pub(super) fn head(&self) -> Option<Revision> {
        self.lanes.desired.head().map(|head| head.revision)
    }

    pub(super) fn wants_snapshot(&self, limits: &MailboxLimits) -> Option<SnapshotWish> {
        self.lanes.desired.wants_snapshot(limits)
    }

    /// The room that the mailbox of a host without a store has.
    fn space(&self, limits: &MailboxLimits, free_bytes: usize) -> Space {
        Space {
            quota_bytes: limits.bytes_max.saturating_sub(self.beat.bytes()),
            free_bytes,
        }
    }

    pub(super) fn post_snapshot(
        &mut self,
        limits: &MailboxLimits,
        free: usize,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
        bodies: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Posted, Reject> {
        let space = self.space(limits, free);
        let desired = &mut self.lanes.desired;
        desired.post_whole(space, generation, received, bodies)
    }

    pub(super) fn post_delta(
        &mut self,
        limits: &MailboxLimits,
        free: usize,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<Posted, Reject> {
        let (space, stamp) = (self.space(limits, free), Stamp::default());
        let desired = &mut self.lanes.desired;
        desired.post_delta(limits, space, generation, received, stamp)
    }

    /// Keeps an envelope in its slot when it is the highest there; `number` tells when it came.
    pub(super) fn post_letter(
        &mut self,
        limits: &MailboxLimits,
        free: usize,
        slot: Slot,
        received: &ReceivedEnvelope<'_>,
        number: u64,
    ) -> Result<Posted, Reject> {
        let (space, stamp) = (self.space(limits, free), Stamp::default());
        let desired = &mut self.lanes.desired;
        let posted = desired.post_letter(space, slot, received, stamp)?;
        if posted == Posted::Kept {
            self.came.insert(slot, number);
        }
        Ok(posted)
    }

    /// Takes lanes that are durable now; `number` is that of the change. Tells whether the device
    /// has news of its chain, and of its slots.
    pub(super) fn install(&mut self, lanes: Lanes, number: u64, now_ms: u64) -> (bool, bool) {
        let before = std::mem::replace(&mut self.lanes, lanes);
        let (before, now) = (&before.desired, &self.lanes.desired);
        let (has_states, mut has_letters) = (before.chain != now.chain, false);
        for slot in Slot::ALL {
            let Some(envelope) = now.envelope(slot) else {
                continue;
            };
            if before.envelope(slot) == Some(envelope) {
                continue;
            }
            has_letters = true;
            if slot == Slot::Heartbeat {
                // Nobody here can tell whether the device waits for it: it is shown at once.
                self.beat.put(std::sync::Arc::clone(envelope), true, now_ms);
            } else {
                self.came.insert(slot, number);
            }
        }
        let had_heartbeat = before.envelope(Slot::Heartbeat).is_some();
        if had_heartbeat && now.envelope(Slot::Heartbeat).is_none() {
            self.beat = Beat::default();
        }
        let held = self.lanes.actual.head_on_its_way();
        self.actual.set(held.unwrap_or(Revision::NONE));
        (has_states, has_letters)
    }

    pub(super) fn report_ack(&self) -> Option<Entry> {
        self.entry(Slot::Ack)
    }

    fn entry(&self, slot: Slot) -> Option<Entry> {
        let envelope = self.lanes.desired.envelope(slot)?;
        Some(Entry {
            plane: slot.plane_in(Plane::Desired),
            envelope: std::sync::Arc::clone(envelope),
        })
    }

    /// Empties a slot whose content has served its purpose.
    pub(super) fn clear(&mut self, slot: Slot) {
        self.lanes.desired.clear(slot);
        self.came.remove(&slot);
    }

    /// Keeps a heartbeat; the newest put wins.
    pub(super) fn post_heartbeat(
        &mut self,
        limits: &MailboxLimits,
        free: usize,
        received: &ReceivedEnvelope<'_>,
        is_awaited: bool,
        now_ms: u64,
    ) -> Result<Posted, Reject> {
        if !self.beat.is_replaced_by(is_awaited, now_ms) {
            return Ok(Posted::Older);
        }
        let bytes = received.as_bytes();
        let grows = bytes.len().saturating_sub(self.beat.bytes());
        if grows > 0 && self.bytes().saturating_add(grows) > limits.bytes_max {
            return Err(Reject::Quota);
        }
        if grows > free {
            return Err(Reject::Overloaded);
        }
        self.beat
            .put(std::sync::Arc::from(bytes), is_awaited, now_ms);
        Ok(Posted::Kept)
    }

    //= spec/postern.md#mailboxes
    //# A mailbox MUST NOT drop an entry because it was sent; only a higher entry or a later poll's
    //# head shows that it arrived.
    pub(super) fn collect(&self, heads: &Heads, room: &mut Room, entries: &mut Vec<Entry>) {
        // A full answer leaves the rest to the next poll.
        let _full = self.collect_in_order(heads, room, entries);
    }

    fn collect_in_order(
        &self,
        heads: &Heads,
        room: &mut Room,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Full> {
        if let Some(answer) = self.entry(Slot::EnrolAnswer) {
            room.push(entries, answer.plane, &answer.envelope)?;
        }
        if let Some(chain) = &self.lanes.desired.chain {
            //= spec/encryption.md#plane-key
            //# A mailbox MUST send the plane-key that it holds before a snapshot of `desired`.
            if chain.sends_base(heads.desired)
                && let Some(keys) = self.entry(Slot::PlaneKey)
            {
                room.push(entries, keys.plane, &keys.envelope)?;
            }
            chain.collect(Plane::Desired, heads.desired, room, entries)?;
        }
        let acked = self.lanes.desired.letter(Slot::Ack);
        let acked = acked.map(|ack| ack.revision.seq);
        //= spec/postern.md#mailboxes
        //# A mailbox MUST send a report-ack when the poll's acked rseq is a number below the ack's.
        if heads.acked.is_some_and(|held| Some(held) < acked)
            && let Some(ack) = self.entry(Slot::Ack)
        {
            room.push(entries, ack.plane, &ack.envelope)?;
        }
        if let Some(evidence) = self.entry(Slot::Evidence) {
            room.push(entries, evidence.plane, &evidence.envelope)?;
        }
        Ok(())
    }

    /// Collects what the answer to a post brings along: the acknowledgement of its report, and
    /// what was put into a slot since the post began.
    pub(super) fn collect_carried(&self, carry: Carry, room: &mut Room, entries: &mut Vec<Entry>) {
        let is_new = |slot| self.came.get(&slot).is_some_and(|came| *came > carry.since);
        let acked = self.lanes.desired.letter(Slot::Ack);
        let acked = acked.map(|ack| ack.revision);
        let is_acknowledged = carry.report.is_some_and(|report| Some(report) <= acked);
        let slots = [
            (Slot::Ack, is_acknowledged),
            (Slot::EnrolAnswer, is_new(Slot::EnrolAnswer)),
            (Slot::Evidence, is_new(Slot::Evidence)),
        ];
        for (slot, is_carried) in slots {
            if let Some(entry) = self.entry(slot).filter(|_| is_carried) {
                // What does not fit waits for the next poll.
                let _full = room.push(entries, entry.plane, &entry.envelope);
            }
        }
    }

    pub(super) fn need(&mut self, plane: Plane, now_ms: u64) -> Result<Vec<Entry>, Reject> {
        //= spec/postern.md#need
        //# A mailbox MUST NOT serve more than one need of a plane in 5 s, else `need-limited`.
        let is_limited = self
            .need_served_ms
            .get(&plane)
            .is_some_and(|served| now_ms < served.saturating_add(NEED_INTERVAL_MS));
        if is_limited {
            return Err(Reject::NeedLimited);
        }
        self.need_served_ms.insert(plane, now_ms);
        let mut entries = Vec::new();
        match (plane, &self.lanes.desired.chain) {
            (Plane::Desired, Some(chain)) => {
                // What does not fit is asked for by the next poll.
                let room = &mut Room::for_items();
                if let Some(keys) = self.entry(Slot::PlaneKey) {
                    let _ = room.push(&mut entries, keys.plane, &keys.envelope);
                }
                let _ = chain.collect(plane, Revision::NONE, room, &mut entries);
            }
            (Plane::Desired, None) | (Plane::Actual, _) => {}
        }
        Ok(entries)
    }

    pub(super) fn bodies(&self, plane: Plane, wanted: &[(Digest, u64)]) -> Vec<Chunk> {
        let chain = self.lanes.of(plane).chain.as_ref();
        chain.map_or_else(Vec::new, |chain| pieces(chain, wanted))
    }
}

/// Cuts pieces of the bodies asked for, as much as fits into one frame.
fn pieces(chain: &Chain, wanted: &[(Digest, u64)]) -> Vec<Chunk> {
    let mut room = Room::for_items();
    let mut chunks = Vec::new();
    for &(digest, offset) in wanted {
        //= spec/postern.md#bodies
        //# A mailbox MUST leave out a digest that it does not hold, and chunks that do not fit
        //# into the frame.
        let Some(body) = chain.body(&digest) else {
            continue;
        };
        let space = room.left().saturating_sub(CHUNK_OVERHEAD_BYTES);
        let length = space.min(BODY_CHUNK_BYTES_MAX);
        let rest = usize::try_from(offset).ok().and_then(|at| body.get(at..));
        let Some(bytes) = rest.and_then(|rest| rest.get(..length.min(rest.len()))) else {
            continue;
        };
        if bytes.is_empty() || room.take(bytes.len() + CHUNK_OVERHEAD_BYTES).is_err() {
            continue;
        }
        chunks.push(Chunk {
            digest,
            //= spec/postern.md#bodies
            //# `size` MUST be the length of the whole body.
            size: body.len() as u64,
            offset,
            bytes: bytes.to_vec(),
        });
    }
    chunks
}
