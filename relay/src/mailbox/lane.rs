//! What one end of a channel posted towards the other: the chain of the plane that it writes, and
//! one slot for each other kind. The same for both planes.
//!
//! ```text
//!   snapshot --bodies missing--> pending --all there--+
//!            --bodies held--------------------------- + --> chain <-- delta
//!   report, acknowledgement, heartbeat, evidence, ... ----> slot: the highest
//! ```
//!
//! A lane is a value: it is changed as a whole and can be compared with what it was, so that what
//! is stored is exactly the difference. Refuses growth beyond its quota, to let a lower entry
//! replace a higher, and to forget a high-water mark when the bytes below it go.

use super::chain::{Bodies, Chain, SnapshotWish};
pub(crate) use super::letter::{Letter, Slot};
use super::limits::MailboxLimits;
use super::pending::Pending;
use super::{Chunk, Posted, Space, Stamp};
use postern_protocol::Reject;
use postern_protocol::envelope::ReceivedEnvelope;
use postern_protocol::frame::Wanted;
use postern_protocol::id::Digest;
use postern_protocol::kind::MessageKind;
use postern_protocol::limits::FETCH_DIGESTS_MAX;
use postern_protocol::revision::{Generation, Head, Revision};
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the head of this module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) chain: Option<Arc<Chain>>,
    pub(crate) pending: Option<Arc<Pending>>,
    pub(crate) letters: BTreeMap<Slot, Letter>,
    /// A change could not be appended: the chain is behind its writer.
    pub(crate) has_gap: bool,
}

impl Lane {
    pub(crate) fn is_empty(&self) -> bool {
        self.chain.is_none() && self.pending.is_none() && self.letters.is_empty()
    }

    /// Bytes held; section bodies that chain and pending snapshot share count twice.
    pub(crate) fn bytes(&self) -> usize {
        let chain = self.chain.as_ref().map_or(0, |chain| chain.bytes());
        let pending = self.pending.as_ref().map_or(0, |pending| pending.bytes());
        chain
            .saturating_add(pending)
            .saturating_add(self.letter_bytes())
    }

    fn letter_bytes(&self) -> usize {
        self.letters.values().map(Letter::bytes).sum()
    }

    pub(crate) fn head(&self) -> Option<Head> {
        self.chain.as_ref().map(|chain| chain.head())
    }

    /// The head that the lane will have once nothing is missing any more.
    pub(crate) fn head_on_its_way(&self) -> Option<Revision> {
        let pending = self.pending.as_ref().map(|pending| pending.head().revision);
        pending.or_else(|| self.head().map(|head| head.revision))
    }

    pub(crate) fn letter(&self, slot: Slot) -> Option<&Letter> {
        self.letters.get(&slot)
    }

    pub(crate) fn envelope(&self, slot: Slot) -> Option<&Arc<[u8]>> {
        self.letter(slot)?.envelope.as_ref()
    }

    pub(crate) fn wants_snapshot(&self, limits: &MailboxLimits) -> Option<SnapshotWish> {
        match &self.chain {
            _ if self.pending.is_some() => None,
            None => Some(SnapshotWish::NothingHeld),
            Some(_) if self.has_gap => Some(SnapshotWish::Gap),
            Some(chain) if chain.is_long(limits) => Some(SnapshotWish::ChainLong),
            Some(_) => None,
        }
    }

    /// The bodies that a pending snapshot lacks, at most as many as one answer asks for.
    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        let pending = self.pending.iter();
        let wanted = pending.flat_map(|pending| pending.wanted());
        wanted.take(FETCH_DIGESTS_MAX).collect()
    }

    /// Refuses growth beyond the quota or the memory of all mailboxes. Chain and pending snapshot
    /// are counted as the larger of them: one of the two goes when the other is complete.
    fn check_growth(&self, space: Space, next: &Self) -> Result<(), Reject> {
        let chain = next.chain.as_ref().map_or(0, |chain| chain.bytes());
        let pending = next.pending.as_ref().map_or(0, |pending| pending.bytes());
        let kept = chain.max(pending).saturating_add(next.letter_bytes());
        let grows = next.bytes().saturating_sub(self.bytes());
        //= spec/postern.md#post
        //# A mailbox without room MUST refuse with `quota` and leave what it holds in place.
        if grows > 0 && kept > space.quota_bytes {
            return Err(Reject::Quota);
        }
        if grows > space.free_bytes {
            return Err(Reject::Overloaded);
        }
        Ok(())
    }

    /// Takes the changed lane if it has room.
    fn replace(&mut self, space: Space, next: Self) -> Result<Posted, Reject> {
        self.check_growth(space, &next)?;
        *self = next;
        Ok(Posted::Kept)
    }

    fn held_body(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        let in_chain = self.chain.as_ref().and_then(|one| one.bodies.get(digest));
        let in_pending = || self.pending.as_ref().and_then(|one| one.bodies.get(digest));
        in_chain.or_else(in_pending).map(Arc::clone)
    }

    /// Keeps an envelope of the lane's writer, whatever its kind.
    /// # Errors: those of its kind; `signer-role` for one that no lane holds.
    pub(crate) fn post(
        &mut self,
        limits: &MailboxLimits,
        space: Space,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
        stamp: Stamp,
    ) -> Result<Posted, Reject> {
        let kind = received.unverified_header().kind;
        match (kind, Slot::of(kind)) {
            (MessageKind::Delta, _) => self.post_delta(limits, space, generation, received, stamp),
            (MessageKind::Snapshot, _) => self.post_snapshot(space, generation, received, stamp),
            (_, Some(slot)) => self.post_letter(space, slot, received, stamp),
            (_, None) => Err(Reject::SignerRole),
        }
    }

    /// Keeps a snapshot. One whose bodies are not all here waits for them and changes nothing else.
    pub(crate) fn post_snapshot(
        &mut self,
        space: Space,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
        stamp: Stamp,
    ) -> Result<Posted, Reject> {
        //= spec/postern.md#mailboxes
        //# A snapshot MUST NOT be replaced by a delta.
        if let Some(posted) = self.compare_snapshot(generation, received)? {
            return Ok(posted);
        }
        if let Some(posted) = self.compare_pending(generation, received)? {
            return Ok(posted);
        }
        let held = |digest: &Digest| self.held_body(digest);
        let pending = Pending::begin(generation, received, stamp, held)?;
        let mut next = self.clone();
        next.pending = Some(Arc::new(pending));
        next.finish_pending(stamp)?;
        self.replace(space, next)
    }

    /// Keeps a snapshot together with those of its bodies that are not held; others are ignored.
    /// # Errors: `body-mismatch` when one is missing then.
    pub(crate) fn post_whole(
        &mut self,
        space: Space,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
        bodies: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Posted, Reject> {
        if let Some(posted) = self.compare_snapshot(generation, received)? {
            return Ok(posted);
        }
        let held = |digest: &Digest| self.held_body(digest);
        let mut pending = Pending::begin(generation, received, Stamp::default(), held)?;
        for body in bodies {
            match pending.put_whole(body) {
                Ok(()) | Err(Reject::BodyMismatch) => {}
                Err(reject) => return Err(reject),
            }
        }
        //= spec/postern.md#mailboxes
        //# A mailbox MUST hold every body that a snapshot in its chain names.
        if !pending.is_complete() {
            return Err(Reject::BodyMismatch);
        }
        let mut next = self.clone();
        next.pending = Some(Arc::new(pending));
        next.finish_pending(Stamp::default())?;
        self.replace(space, next)
    }

    /// Takes a piece of a body of the pending snapshot. [`Posted::Kept`] means that there is
    /// something to store: a body became complete. The snapshot that it completes arrives now.
    pub(crate) fn put(
        &mut self,
        space: Space,
        chunk: &Chunk,
        stamp: Stamp,
    ) -> Result<Posted, Reject> {
        let Some(pending) = &self.pending else {
            return Ok(Posted::Held);
        };
        let mut pending = Arc::clone(pending);
        let put = Arc::make_mut(&mut pending).put(chunk);
        if put == Err(Reject::BodyMismatch) {
            // What turned out wrong starts again from its first byte.
            self.pending = Some(pending);
            return Err(Reject::BodyMismatch);
        }
        let is_complete = put?;
        let mut next = self.clone();
        next.pending = Some(pending);
        next.finish_pending(stamp)?;
        self.replace(space, next)?;
        Ok(if is_complete {
            Posted::Kept
        } else {
            Posted::Held
        })
    }

    /// Forgets the snapshot on its way; the chain stays.
    pub(crate) fn drop_pending(&mut self) {
        self.pending = None;
    }

    /// Lets the pending snapshot take the place of the chain once all its bodies are here: only
    /// then it can be collected, so its arrival is that of the last body.
    fn finish_pending(&mut self, stamp: Stamp) -> Result<(), Reject> {
        let Some(pending) = self.pending.take_if(|pending| pending.is_complete()) else {
            return Ok(());
        };
        let received = ReceivedEnvelope::parse(&pending.envelope)?;
        // Deltas may have overtaken it while its bodies were on their way.
        if self
            .compare_snapshot(pending.generation, &received)?
            .is_some()
        {
            return Ok(());
        }
        let bodies: Bodies = pending.bodies.clone();
        let chain = Chain::begin(pending.generation, &received, stamp, bodies)?;
        self.chain = Some(Arc::new(chain));
        self.has_gap = false;
        Ok(())
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

    /// Ranks a snapshot against the one on its way; `None` means that it takes its place.
    fn compare_pending(
        &self,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<Option<Posted>, Reject> {
        let Some(pending) = &self.pending else {
            return Ok(None);
        };
        let (header, head) = (received.unverified_header(), pending.head());
        let incoming = (generation, Revision::new(header.epoch, header.seq));
        match incoming.cmp(&(head.generation, head.revision)) {
            std::cmp::Ordering::Greater => Ok(None),
            std::cmp::Ordering::Less => Ok(Some(Posted::Older)),
            std::cmp::Ordering::Equal if header.digest != Some(head.digest) => {
                Err(Reject::Equivocation)
            }
            std::cmp::Ordering::Equal => Ok(Some(Posted::Held)),
        }
    }

    /// Appends a delta to the chain.
    pub(crate) fn post_delta(
        &mut self,
        limits: &MailboxLimits,
        space: Space,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
        stamp: Stamp,
    ) -> Result<Posted, Reject> {
        let result = self.append(limits, space, generation, received, stamp);
        self.note_gap(result);
        result
    }

    fn append(
        &mut self,
        limits: &MailboxLimits,
        space: Space,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
        stamp: Stamp,
    ) -> Result<Posted, Reject> {
        let chain = self.chain.as_ref().ok_or(Reject::NothingStored)?;
        match chain.compare_delta(generation, received)? {
            Posted::Kept => chain.check_length(limits, received)?,
            posted @ (Posted::Held | Posted::Older) => return Ok(posted),
        }
        let bytes = received.as_bytes().len();
        let kept = chain.bytes().saturating_add(self.letter_bytes());
        if kept.saturating_add(bytes) > space.quota_bytes {
            return Err(Reject::Quota);
        }
        if bytes > space.free_bytes {
            return Err(Reject::Overloaded);
        }
        if let Some(chain) = &mut self.chain {
            Arc::make_mut(chain).append(received, stamp)?;
        }
        Ok(Posted::Kept)
    }

    /// A delta that could not be appended leaves the chain behind its writer until a snapshot comes.
    fn note_gap(&mut self, result: Result<Posted, Reject>) {
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

    /// Keeps an envelope in its slot when it is the highest there.
    pub(crate) fn post_letter(
        &mut self,
        space: Space,
        slot: Slot,
        received: &ReceivedEnvelope<'_>,
        stamp: Stamp,
    ) -> Result<Posted, Reject> {
        let letter = Letter::of(received, stamp);
        if let Some(held) = self.letter(slot)
            && let Some(posted) = letter.compare(slot, held)?
        {
            return Ok(posted);
        }
        let removed = self.letter(slot).map_or(0, Letter::bytes);
        let added = letter.bytes().saturating_sub(removed);
        let chain = self.chain.as_ref().map_or(0, |chain| chain.bytes());
        let kept = chain.saturating_add(self.letter_bytes());
        if added > 0 && kept.saturating_add(added) > space.quota_bytes {
            return Err(Reject::Quota);
        }
        if added > space.free_bytes {
            return Err(Reject::Overloaded);
        }
        self.letters.insert(slot, letter);
        Ok(Posted::Kept)
    }

    /// Empties a slot whose content has served its purpose, its mark included.
    pub(crate) fn clear(&mut self, slot: Slot) {
        self.letters.remove(&slot);
    }

    /// Leaves marks of what arrived up to a number. Returns true when bytes went.
    pub(crate) fn forget(&mut self, acknowledged: u64) -> bool {
        let mut has_gone = self.forget_letters(|letter| letter.stamp.arrival <= acknowledged);
        if let Some(chain) = &mut self.chain {
            let mut next = Arc::clone(chain);
            if Arc::make_mut(&mut next).forget(acknowledged) {
                *chain = next;
                has_gone = true;
            }
        }
        has_gone
    }

    /// Leaves marks of the slots that fit. Returns true when bytes went.
    pub(crate) fn forget_letters(&mut self, is_over: impl Fn(&Letter) -> bool) -> bool {
        let mut has_gone = false;
        for letter in self.letters.values_mut().filter(|letter| is_over(letter)) {
            has_gone |= letter.envelope.take().is_some();
        }
        has_gone
    }
}
