//! Everything that one mailbox holds for one channel: the desired chain, the report-ack, and when
//! a `need` was last served.

use super::chain::{Chain, SnapshotWish};
use super::limits::MailboxLimits;
use super::room::Room;
use super::{Chunk, Entry, Heads, Posted};
use crate::limits::CHUNK_OVERHEAD_BYTES;
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::id::{Digest, Plane};
use postern_protocol::limits::{BODY_CHUNK_BYTES_MAX, NEED_INTERVAL_MS};
use postern_protocol::revision::{Generation, Revision};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The highest report acknowledgement.
#[derive(Debug)]
struct Ack {
    revision: Revision,
    envelope: Arc<[u8]>,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    chain: Option<Chain>,
    has_gap: bool,
    ack: Option<Ack>,
    need_served_ms: BTreeMap<Plane, u64>,
    changed: u64,
}

impl Slots {
    pub(super) fn bytes(&self) -> usize {
        let chain = self.chain.as_ref().map_or(0, Chain::bytes);
        let ack = self.ack.as_ref().map_or(0, |ack| ack.envelope.len());
        chain.saturating_add(ack)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.chain.is_none() && self.ack.is_none()
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
            //# A mailbox MUST keep the high-water mark of a chain and a slot after delivery.
            //= spec/postern.md#mailboxes
            //# A mailbox MUST NOT drop the last entry that a recipient could use for one that it
            //# cannot prove acceptable.
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

    pub(super) fn post_report_ack(
        &mut self,
        limits: &MailboxLimits,
        free: usize,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<Posted, Reject> {
        let header = received.unverified_header();
        let revision = Revision::new(header.epoch, header.seq);
        let removed = match &self.ack {
            //= spec/postern.md#mailboxes
            //# A slot MUST hold the highest envelope of its kind, in the order that the kind
            //# compares by.
            Some(held) if held.revision > revision => return Ok(Posted::Older),
            Some(held) if held.revision == revision => return Ok(Posted::Held),
            Some(held) => held.envelope.len(),
            None => 0,
        };
        let bytes = received.as_bytes();
        self.check_growth(limits, free, removed, bytes.len())?;
        self.ack = Some(Ack {
            revision,
            envelope: Arc::from(bytes),
        });
        Ok(Posted::Kept)
    }

    //= spec/postern.md#mailboxes
    //# A mailbox MUST NOT drop an entry because it was sent; only a higher entry or a later poll's
    //# head shows that it arrived.
    pub(super) fn collect(&self, heads: &Heads, room: &mut Room, entries: &mut Vec<Entry>) {
        if let Some(chain) = &self.chain
            && chain.collect(heads.desired, room, entries).is_err()
        {
            return;
        }
        if let (Some(ack), Some(acked)) = (&self.ack, heads.acked)
            //= spec/postern.md#mailboxes
            //# A mailbox MUST send a report-ack when the poll's acked rseq is a number below the
            //# ack's.
            && acked < ack.revision.seq
        {
            // A full answer leaves the acknowledgement to the next poll.
            let _ = room.push(entries, Some(Plane::Desired), &ack.envelope);
        }
    }

    pub(super) fn need(&mut self, plane: Plane, now_ms: u64) -> Result<Vec<Entry>, Reject> {
        let is_limited = self
            .need_served_ms
            .get(&plane)
            .is_some_and(|served| now_ms < served.saturating_add(NEED_INTERVAL_MS));
        //= spec/postern.md#need
        //# A mailbox MUST NOT serve more than one need of a plane in 5 s, else `need-limited`.
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
            let Some(body) = chain.body(&digest) else {
                continue;
            };
            let space = room.left().saturating_sub(CHUNK_OVERHEAD_BYTES);
            let length = space.min(BODY_CHUNK_BYTES_MAX);
            let rest = usize::try_from(offset).ok().and_then(|at| body.get(at..));
            let Some(bytes) = rest.and_then(|rest| rest.get(..length.min(rest.len()))) else {
                continue;
            };
            //= spec/postern.md#bodies
            //# A mailbox MUST leave out a digest that it does not hold, and chunks that do not fit
            //# into the frame.
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
