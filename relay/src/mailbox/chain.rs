//! One chain: the newest snapshot, its section bodies, and the contiguous deltas after it.
//!
//! ```text
//!   snapshot 7 --- delta 7->8 --- delta 8->9        head = 9; a reader at 7, 8 or 9 lies on the chain
//! ```
//!
//! Refuses a delta that does not continue the head, and a snapshot whose bodies are not all there.

use super::limits::MailboxLimits;
use super::room::{Full, Room};
use super::{Entry, Posted};
use crate::limits::CHAIN_FULL_QUARTERS;
use postern_protocol::Reject;
use postern_protocol::cbor::{KeyOrder, Reader};
use postern_protocol::envelope::{Header, ReceivedEnvelope};
use postern_protocol::id::{Digest, Plane};
use postern_protocol::limits::{
    CHAIN_BYTES_MAX, CHAIN_DELTAS_MAX, SECTION_BYTES_MAX, SECTIONS_MAX,
};
use postern_protocol::revision::{
    Arrival, Epoch, Generation, Head, Outcome, Revision, Seq, accept,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why a mailbox wants a snapshot of its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotWish {
    /// No snapshot is held.
    NothingHeld,
    /// A delta could not be appended: the chain is behind its writer.
    Gap,
    /// The chain has used three quarters of its bounds.
    ChainLong,
}

#[derive(Debug)]
struct Link {
    seq: Seq,
    digest: Digest,
    envelope: Arc<[u8]>,
}

impl Link {
    fn of(received: &ReceivedEnvelope<'_>) -> Result<Self, Reject> {
        let Header { seq, digest, .. } = *received.unverified_header();
        Ok(Self {
            seq,
            digest: digest.ok_or(Reject::DigestLength)?,
            envelope: Arc::from(received.as_bytes()),
        })
    }
}

#[derive(Debug)]
pub(super) struct Chain {
    generation: Generation,
    epoch: Epoch,
    snapshot: Link,
    bodies: BTreeMap<Digest, Arc<[u8]>>,
    body_bytes: usize,
    deltas: Vec<Link>,
    delta_bytes: usize,
}

impl Chain {
    /// Begins a chain with a snapshot; bodies that `previous` holds need not be given again.
    pub(super) fn begin(
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
        given: impl IntoIterator<Item = Vec<u8>>,
        previous: Option<&Self>,
    ) -> Result<Self, Reject> {
        let named = read_table(received.unverified_payload())?;
        let mut bodies = BTreeMap::new();
        for body in given {
            if body.len() > SECTION_BYTES_MAX {
                return Err(Reject::SectionOversize);
            }
            let digest = Digest::of(&body);
            if named.contains(&digest) {
                bodies.insert(digest, Arc::from(body));
            }
        }
        for digest in named {
            if bodies.contains_key(&digest) {
                continue;
            }
            let held = previous.and_then(|chain| chain.bodies.get(&digest));
            //= spec/postern.md#mailboxes
            //# A mailbox MUST hold every body that a snapshot in its chain names.
            bodies.insert(digest, Arc::clone(held.ok_or(Reject::BodyMismatch)?));
        }
        Ok(Self {
            generation,
            epoch: received.unverified_header().epoch,
            snapshot: Link::of(received)?,
            body_bytes: bodies.values().map(|body| body.len()).sum(),
            bodies,
            deltas: Vec::new(),
            delta_bytes: 0,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let snapshot = self.snapshot.envelope.len();
        snapshot
            .saturating_add(self.body_bytes)
            .saturating_add(self.delta_bytes)
    }

    pub(super) const fn is_only_snapshot(&self) -> bool {
        self.deltas.is_empty()
    }

    pub(super) fn head(&self) -> Head {
        let last = self.deltas.last().unwrap_or(&self.snapshot);
        Head {
            generation: self.generation,
            revision: Revision::new(self.epoch, last.seq),
            digest: last.digest,
        }
    }

    pub(super) fn body(&self, digest: &Digest) -> Option<&[u8]> {
        self.bodies.get(digest).map(AsRef::as_ref)
    }

    pub(super) fn is_long(&self, limits: &MailboxLimits) -> bool {
        let is_over = |used: usize, max: usize| {
            used.saturating_mul(4) >= max.saturating_mul(CHAIN_FULL_QUARTERS)
        };
        is_over(self.deltas.len(), limits.deltas_max)
            || is_over(self.delta_bytes, limits.delta_bytes_max)
    }

    /// Ranks a delta against the head: [`Posted::Kept`] means that it continues the chain.
    pub(super) fn compare_delta(
        &self,
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<Posted, Reject> {
        let header = received.unverified_header();
        let incoming = Head {
            generation,
            revision: Revision::new(header.epoch, header.seq),
            digest: header.digest.ok_or(Reject::DigestLength)?,
        };
        let arrival = Arrival::Delta { base: header.base };
        //= spec/postern.md#mailboxes
        //# A delta that continues the chain's head MUST be appended.
        match accept(Some(&self.head()), None, &incoming, arrival) {
            Outcome::Accept | Outcome::Apply => Ok(Posted::Kept),
            Outcome::Duplicate => Ok(Posted::Held),
            Outcome::Older => Ok(Posted::Older),
            Outcome::Need(reject) | Outcome::Refuse(reject) => Err(reject),
        }
    }

    /// Refuses a delta that would make the chain too long. # Errors: `quota`.
    pub(super) fn check_length(
        &self,
        limits: &MailboxLimits,
        received: &ReceivedEnvelope<'_>,
    ) -> Result<(), Reject> {
        let deltas_max = limits.deltas_max.min(CHAIN_DELTAS_MAX);
        let bytes_max = limits.delta_bytes_max.min(CHAIN_BYTES_MAX);
        let bytes = self.delta_bytes.saturating_add(received.as_bytes().len());
        //= spec/postern.md#mailboxes
        //# A mailbox MUST refuse a delta that would make more than 64 deltas or 131072 bytes of
        //# deltas in a chain with `quota`, which asks its writer for a snapshot.
        if self.deltas.len() >= deltas_max || bytes > bytes_max {
            return Err(Reject::Quota);
        }
        Ok(())
    }

    /// Appends a delta that [`Self::compare_delta`] and [`Self::check_length`] let pass.
    pub(super) fn append(&mut self, received: &ReceivedEnvelope<'_>) -> Result<(), Reject> {
        let link = Link::of(received)?;
        self.delta_bytes = self.delta_bytes.saturating_add(link.envelope.len());
        self.deltas.push(link);
        Ok(())
    }

    /// Appends what a reader at `held` lacks. # Errors: [`Full`] when not all of it fits.
    ///
    /// A reader beyond the head gets the snapshot too: whether it can use it depends on the
    /// generation, which a poll does not name, and only an answer lets it notice a restored writer.
    pub(super) fn collect(
        &self,
        held: Revision,
        room: &mut Room,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Full> {
        let plane = Some(Plane::Desired);
        //= spec/postern.md#mailboxes
        //# From the chain a mailbox MUST send the deltas after the poll's head when the head lies
        //# on the chain, nothing when it is the chain's head, and snapshot with deltas otherwise.
        let missing = match self.links_after(held) {
            Some(links) => links,
            None => {
                room.push(entries, plane, &self.snapshot.envelope)?;
                &self.deltas
            }
        };
        missing
            .iter()
            .try_for_each(|link| room.push(entries, plane, &link.envelope))
    }

    /// The deltas after `held`, or `None` when it does not lie on the chain.
    fn links_after(&self, held: Revision) -> Option<&[Link]> {
        if held.epoch != self.epoch {
            return None;
        }
        if held.seq == self.snapshot.seq {
            return Some(&self.deltas);
        }
        let at = self.deltas.iter().position(|link| link.seq == held.seq)?;
        self.deltas.get(at.checked_add(1)?..)
    }
}

/// Reads the digests that a snapshot's section table names (spec: #snapshot); the rest is not ours.
fn read_table(payload: &[u8]) -> Result<BTreeSet<Digest>, Reject> {
    let mut reader = Reader::new(payload);
    reader.array_of(2)?;
    let sections = reader.map()?;
    if sections > SECTIONS_MAX {
        return Err(Reject::StateOversize);
    }
    let mut order = KeyOrder::new();
    let mut digests = BTreeSet::new();
    for _ in 0..sections {
        reader.text_key(&mut order)?;
        digests.insert(Digest::from_bytes(reader.bytes_of()?));
    }
    reader.item()?;
    reader.finish()?;
    Ok(digests)
}
