//! One chain of either plane: the newest snapshot, its section bodies, and the contiguous deltas
//! after it.
//!
//! ```text
//!   snapshot 7 --- delta 7->8 --- delta 8->9        head = 9; a reader at 7, 8 or 9 lies on the chain
//!   mark 8 ------- delta 8->9                       the same, once the reader acknowledged up to 8
//! ```
//!
//! A mark is what is left of an acknowledged beginning: its place and digest, without bytes.
//! Refuses a delta that does not continue the head, and a snapshot whose bodies are not all there.

use super::limits::MailboxLimits;
use super::room::{Full, Room};
use super::{Arrived, Entry, Posted, Stamp};
use crate::limits::CHAIN_FULL_QUARTERS;
use postern_protocol::Reject;
use postern_protocol::cbor::{KeyOrder, Reader};
use postern_protocol::envelope::{Header, ReceivedEnvelope};
use postern_protocol::id::{Digest, Plane};
use postern_protocol::limits::{CHAIN_BYTES_MAX, CHAIN_DELTAS_MAX, SECTIONS_MAX};
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

/// One revision of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) seq: Seq,
    pub(crate) digest: Digest,
    pub(crate) stamp: Stamp,
    /// `None` in a mark: its bytes were acknowledged and dropped.
    pub(crate) envelope: Option<Arc<[u8]>>,
}

impl Link {
    fn of(received: &ReceivedEnvelope<'_>, stamp: Stamp) -> Result<Self, Reject> {
        let Header { seq, digest, .. } = *received.unverified_header();
        Ok(Self {
            seq,
            digest: digest.ok_or(Reject::DigestLength)?,
            stamp,
            envelope: Some(Arc::from(received.as_bytes())),
        })
    }

    fn bytes(&self) -> usize {
        self.envelope.as_ref().map_or(0, |bytes| bytes.len())
    }
}

/// The section bodies of a chain or of a snapshot on its way, by digest.
pub(crate) type Bodies = BTreeMap<Digest, Arc<[u8]>>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) generation: Generation,
    pub(crate) epoch: Epoch,
    /// The snapshot, or the mark that is left of it.
    pub(crate) base: Link,
    pub(crate) bodies: Bodies,
    body_bytes: usize,
    pub(crate) deltas: Vec<Link>,
    delta_bytes: usize,
}

impl Chain {
    /// Begins a chain with a snapshot whose bodies are all there.
    ///
    /// # Errors
    /// `digest-length`.
    pub(super) fn begin(
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
        stamp: Stamp,
        bodies: Bodies,
    ) -> Result<Self, Reject> {
        let base = Link::of(received, stamp)?;
        let epoch = received.unverified_header().epoch;
        Ok(Self::restore(generation, epoch, base, bodies, Vec::new()))
    }

    /// Puts a chain together from what was stored of it.
    pub(crate) fn restore(
        generation: Generation,
        epoch: Epoch,
        base: Link,
        bodies: Bodies,
        deltas: Vec<Link>,
    ) -> Self {
        Self {
            generation,
            epoch,
            base,
            body_bytes: bodies.values().map(|body| body.len()).sum(),
            bodies,
            delta_bytes: deltas.iter().map(Link::bytes).sum(),
            deltas,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.base
            .bytes()
            .saturating_add(self.body_bytes)
            .saturating_add(self.delta_bytes)
    }

    pub(super) const fn is_only_snapshot(&self) -> bool {
        self.deltas.is_empty() && self.base.envelope.is_some()
    }

    pub(super) fn head(&self) -> Head {
        let last = self.deltas.last().unwrap_or(&self.base);
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
    pub(super) fn append(
        &mut self,
        received: &ReceivedEnvelope<'_>,
        stamp: Stamp,
    ) -> Result<(), Reject> {
        let link = Link::of(received, stamp)?;
        self.delta_bytes = self.delta_bytes.saturating_add(link.bytes());
        self.deltas.push(link);
        Ok(())
    }

    /// Appends what a reader at `held` lacks. # Errors: [`Full`] when not all of it fits.
    ///
    /// A reader beyond the head gets the snapshot too: whether it can use it depends on the
    /// generation, which a poll does not name, and only an answer lets it notice a restored writer.
    pub(super) fn collect(
        &self,
        plane: Plane,
        held: Revision,
        room: &mut Room,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Full> {
        //= spec/postern.md#mailboxes
        //# From the chain a mailbox MUST send the deltas after the poll's head when the head lies
        //# on the chain, nothing when it is the chain's head, and snapshot with deltas otherwise.
        let (base, deltas) = match self.links_after(held) {
            Some(links) => (None, links),
            None => (Some(&self.base), self.deltas.as_slice()),
        };
        let links = base.into_iter().chain(deltas);
        let mut envelopes = links.filter_map(|link| link.envelope.as_ref());
        envelopes.try_for_each(|envelope| room.push(entries, Some(plane), envelope))
    }

    /// Tells whether a reader at `held` gets the snapshot.
    pub(super) fn sends_base(&self, held: Revision) -> bool {
        self.base.envelope.is_some() && self.links_after(held).is_none()
    }

    /// The links that still have their bytes.
    pub(crate) fn arrived(&self) -> impl Iterator<Item = Arrived<'_>> {
        let links = std::iter::once(&self.base).chain(&self.deltas);
        links.filter_map(|link| {
            let envelope = link.envelope.as_ref()?;
            Some(Arrived {
                stamp: link.stamp,
                envelope,
            })
        })
    }

    /// Leaves a mark of what arrived up to a number, deltas first to last. The snapshot goes with
    /// its bodies or not at all. Returns true when something went.
    pub(super) fn forget(&mut self, acknowledged: u64) -> bool {
        let is_covered = |link: &Link| link.stamp.arrival <= acknowledged;
        if !is_covered(&self.base) {
            return false;
        }
        let covered = self.deltas.iter().take_while(|link| is_covered(link));
        let count = covered.count();
        if count == 0 && self.base.envelope.is_none() {
            return false;
        }
        if let Some(last) = self.deltas.drain(..count).next_back() {
            self.base = last;
        }
        self.base.envelope = None;
        self.bodies.clear();
        self.body_bytes = 0;
        self.delta_bytes = self.deltas.iter().map(Link::bytes).sum();
        true
    }

    /// The deltas after `held`, or `None` when it does not lie on the chain.
    fn links_after(&self, held: Revision) -> Option<&[Link]> {
        if held.epoch != self.epoch {
            return None;
        }
        if held.seq == self.base.seq {
            return Some(&self.deltas);
        }
        let at = self.deltas.iter().position(|link| link.seq == held.seq)?;
        self.deltas.get(at.checked_add(1)?..)
    }
}

/// Reads the digests of the bodies that a snapshot's section table names (spec: #snapshot), in an
/// encrypted plane those of what is stored; the rest is not ours.
pub(super) fn read_table(payload: &[u8]) -> Result<BTreeSet<Digest>, Reject> {
    let mut reader = Reader::new(payload);
    let members = reader.array()?;
    let is_encrypted = match members {
        2 => false,
        3 => true,
        _ => return Err(Reject::Shape),
    };
    let sections = reader.map()?;
    if sections > SECTIONS_MAX {
        return Err(Reject::StateOversize);
    }
    let mut order = KeyOrder::new();
    let mut digests = BTreeSet::new();
    for _ in 0..sections {
        reader.text_key(&mut order)?;
        if is_encrypted {
            reader.array_of(2)?;
            reader.bytes_of::<32>()?;
        }
        digests.insert(Digest::from_bytes(reader.bytes_of()?));
    }
    reader.item()?;
    if is_encrypted {
        reader.uint()?;
    }
    reader.finish()?;
    Ok(digests)
}
