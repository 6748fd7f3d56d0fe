//! Everything that one mailbox holds for one channel: the desired chain, one slot for each other
//! kind, the head of the actual plane, and when a `need` was last served.
//!
//! Refuses growth beyond the quota of the channel, and to let a slot's lower entry replace a higher.

use super::actual::ActualHead;
use super::beat::Beat;
use super::chain::{Chain, SnapshotWish};
use super::limits::MailboxLimits;
use super::room::{Full, Room};
use super::{Chunk, Entry, Heads, Posted};
use crate::limits::CHUNK_OVERHEAD_BYTES;
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::{Digest, Plane};
use postern_protocol::limits::{BODY_CHUNK_BYTES_MAX, NEED_INTERVAL_MS};
use postern_protocol::revision::{Generation, Revision};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The highest envelope of a kind.
#[derive(Debug)]
struct Letter {
    revision: Revision,
    envelope: Arc<[u8]>,
    /// The change of all mailboxes that brought it.
    number: u64,
}

/// A kind with one slot for each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// The acknowledgement of the device's reports.
    Ack,
    /// The writer's answer to a new device key.
    EnrolAnswer,
    /// Why the device's own plane was refused.
    Evidence,
}

/// Since when and for which report an answer to a post looks for slots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carry {
    /// The last change before the post.
    pub(super) since: u64,
    /// The highest report in the post that was not refused.
    pub(super) report: Option<Revision>,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    chain: Option<Chain>,
    has_gap: bool,
    ack: Option<Letter>,
    enrol_answer: Option<Letter>,
    evidence: Option<Letter>,
    pub(super) beat: Beat,
    pub(super) actual: ActualHead,
    need_served_ms: BTreeMap<Plane, u64>,
    changed: u64,
}

impl Slots {
    pub(super) fn bytes(&self) -> usize {
        let chain = self.chain.as_ref().map_or(0, Chain::bytes);
        let letters = [&self.ack, &self.enrol_answer, &self.evidence].into_iter();
        let letters: usize = letters.flatten().map(|letter| letter.envelope.len()).sum();
        chain
            .saturating_add(letters)
            .saturating_add(self.beat.bytes())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chain.is_none()
            && self.ack.is_none()
            && self.enrol_answer.is_none()
            && self.evidence.is_none()
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
        self.chain.as_ref().map(|chain| chain.head().revision)
    }

    pub(super) fn wants_snapshot(&self, limits: &MailboxLimits) -> Option<SnapshotWish> {
        match &self.chain {
            None => Some(SnapshotWish::NothingHeld),
            Some(_) if self.has_gap => Some(SnapshotWish::Gap),
            Some(chain) if chain.is_long(limits) => Some(SnapshotWish::ChainLong),
            Some(_) => None,
        }
    }

    /// Refuses growth beyond the mailbox's quota or the memory of all mailboxes.
    fn check_growth(
        &self,
        limits: &MailboxLimits,
        free: usize,
        removed: usize,
        added: usize,
    ) -> Result<(), Reject> {
        let before = self.bytes();
        let after = before.saturating_sub(removed).saturating_add(added);
        //= spec/postern.md#post
        //# A mailbox without room MUST refuse with `quota` and leave what it holds in place.
        if after > limits.bytes_max {
            return Err(Reject::Quota);
        }
        if after.saturating_sub(before) > free {
            return Err(Reject::Overloaded);
        }
        Ok(())
    }

    pub(super) fn post_snapshot(
        &mut self,
        limits: &MailboxLimits,
        free: usize,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
        bodies: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Posted, Reject> {
        //= spec/postern.md#mailboxes
        //# A snapshot MUST NOT be replaced by a delta.
        if let Some(posted) = self.compare_snapshot(generation, received)? {
            return Ok(posted);
        }
        let next = Chain::begin(generation, received, bodies, self.chain.as_ref())?;
        let removed = self.chain.as_ref().map_or(0, Chain::bytes);
        self.check_growth(limits, free, removed, next.bytes())?;
        self.chain = Some(next);
        self.has_gap = false;
        Ok(Posted::Kept)
    }

    /// Ranks a snapshot against the chain; `None` means that it replaces the chain.
    fn compare_snapshot(
        &self,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<Option<Posted>, Reject> {
        let Some(chain) = &self.chain else {
            return Ok(None);
        };
        let header = received.unverified_header();
        let head = chain.head();
        let incoming = (generation, Revision::new(header.epoch, header.seq));
        match incoming.cmp(&(head.generation, head.revision)) {
            //= spec/postern.md#mailboxes
            //# A snapshot that ranks above the chain's head as (generation, epoch, seq) MUST
            //# replace the chain.
            std::cmp::Ordering::Greater => Ok(None),
            //= spec/postern.md#mailboxes
            //# A mailbox MUST NOT drop the last entry that a recipient could use for one that it
            //# cannot prove acceptable.
            //= spec/postern.md#mailboxes
            //# A mailbox MUST keep the high-water mark of a chain and a slot after delivery.
            std::cmp::Ordering::Less => Ok(Some(Posted::Older)),
            std::cmp::Ordering::Equal if header.digest != Some(head.digest) => {
                Err(Reject::Equivocation)
            }
            std::cmp::Ordering::Equal if chain.is_only_snapshot() => Ok(Some(Posted::Held)),
            std::cmp::Ordering::Equal => Ok(None),
        }
    }

    pub(super) fn post_delta(
        &mut self,
        limits: &MailboxLimits,
        free: usize,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<Posted, Reject> {
        let Some(chain) = &self.chain else {
            return Err(Reject::NothingStored);
        };
        let result = chain
            .compare_delta(generation, received)
            .and_then(|posted| match posted {
                Posted::Kept => chain
                    .check_length(limits, received)
                    .and_then(|()| self.check_growth(limits, free, 0, received.as_bytes().len()))
                    .map(|()| Posted::Kept),
                Posted::Held | Posted::Older => Ok(posted),
            });
        self.note_gap(&result);
        if let (Ok(Posted::Kept), Some(chain)) = (result, self.chain.as_mut()) {
            chain.append(received)?;
        }
        result
    }

    /// A delta that could not be appended leaves the chain behind its writer until a snapshot comes.
    fn note_gap(&mut self, result: &Result<Posted, Reject>) {
        if let Err(
            Reject::BaseOlder
            | Reject::BaseNewer
            | Reject::EpochNeedsSnapshot
            | Reject::Quota
            | Reject::Overloaded,
        ) = result
        {
            self.has_gap = true;
        }
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
        let header = received.unverified_header();
        let revision = Revision::new(header.epoch, header.seq);
        let bytes = received.as_bytes();
        let removed = match self.letter(slot) {
            //= spec/postern.md#mailboxes
            //# A slot MUST hold the highest envelope of its kind, in the order that the kind
            //# compares by.
            Some(held) if held.revision > revision => return Ok(Posted::Older),
            Some(held) if held.envelope.as_ref() == bytes => return Ok(Posted::Held),
            // An acknowledgement is the same under every signature of it.
            Some(held) if held.revision == revision && slot == Slot::Ack => {
                return Ok(Posted::Held);
            }
            Some(held) => held.envelope.len(),
            None => 0,
        };
        self.check_growth(limits, free, removed, bytes.len())?;
        *self.letter_mut(slot) = Some(Letter {
            revision,
            envelope: Arc::from(bytes),
            number,
        });
        Ok(Posted::Kept)
    }

    pub(super) fn report_ack(&self) -> Option<Entry> {
        self.ack.as_ref().map(|ack| Entry {
            plane: Some(Plane::Desired),
            envelope: Arc::clone(&ack.envelope),
        })
    }

    const fn letter(&self, slot: Slot) -> Option<&Letter> {
        match slot {
            Slot::Ack => self.ack.as_ref(),
            Slot::EnrolAnswer => self.enrol_answer.as_ref(),
            Slot::Evidence => self.evidence.as_ref(),
        }
    }

    const fn letter_mut(&mut self, slot: Slot) -> &mut Option<Letter> {
        match slot {
            Slot::Ack => &mut self.ack,
            Slot::EnrolAnswer => &mut self.enrol_answer,
            Slot::Evidence => &mut self.evidence,
        }
    }

    /// Empties a slot whose content has served its purpose.
    pub(super) fn clear(&mut self, slot: Slot) {
        *self.letter_mut(slot) = None;
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
        self.check_growth(limits, free, self.beat.bytes(), bytes.len())?;
        self.beat.put(Arc::from(bytes), is_awaited, now_ms);
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
        if let Some(answer) = &self.enrol_answer {
            room.push(entries, None, &answer.envelope)?;
        }
        if let Some(chain) = &self.chain {
            chain.collect(heads.desired, room, entries)?;
        }
        if let (Some(ack), Some(acked)) = (&self.ack, heads.acked)
            && acked < ack.revision.seq
        {
            //= spec/postern.md#mailboxes
            //# A mailbox MUST send a report-ack when the poll's acked rseq is a number below the
            //# ack's.
            room.push(entries, Some(Plane::Desired), &ack.envelope)?;
        }
        if let Some(evidence) = &self.evidence {
            room.push(entries, Some(Plane::Actual), &evidence.envelope)?;
        }
        Ok(())
    }

    /// Collects what the answer to a post brings along: the acknowledgement of its report, and
    /// what was put into a slot since the post began.
    pub(super) fn collect_carried(&self, carry: Carry, room: &mut Room, entries: &mut Vec<Entry>) {
        let is_new = |letter: &&Letter| letter.number > carry.since;
        let is_acknowledged =
            |ack: &&Letter| carry.report.is_some_and(|report| ack.revision >= report);
        let letters = [
            (
                Some(Plane::Desired),
                self.ack.as_ref().filter(is_acknowledged),
            ),
            (None, self.enrol_answer.as_ref().filter(is_new)),
            (Some(Plane::Actual), self.evidence.as_ref().filter(is_new)),
        ];
        for (plane, letter) in letters {
            if let Some(letter) = letter {
                // What does not fit waits for the next poll.
                let _full = room.push(entries, plane, &letter.envelope);
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
        match (plane, &self.chain) {
            (Plane::Desired, Some(chain)) => {
                // What does not fit is asked for by the next poll.
                let _ = chain.collect(Revision::NONE, &mut Room::for_items(), &mut entries);
            }
            (Plane::Desired, None) | (Plane::Actual, _) => {}
        }
        Ok(entries)
    }

    pub(super) fn bodies(&self, wanted: &[(Digest, u64)]) -> Vec<Chunk> {
        let Some(chain) = &self.chain else {
            return Vec::new();
        };
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
}
