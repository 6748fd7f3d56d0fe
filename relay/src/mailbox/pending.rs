//! A snapshot whose section bodies are not all here yet; nothing counts before they are.
//!
//! ```text
//!   snapshot --bodies held already, put one by one--> complete --> takes the place of the chain
//! ```
//!
//! A body counts once its digest is the one that the signed table names. Refuses bytes that are not
//! the next ones of a body that the table names, and more bytes than a state may have.

use super::chain::{Bodies, read_table};
use super::{Chunk, Stamp};
use postern_protocol::Reject;
use postern_protocol::envelope::{Header, ReceivedEnvelope};
use postern_protocol::frame::Wanted;
use postern_protocol::id::Digest;
use postern_protocol::limits::{SECTION_BYTES_MAX, STATE_BYTES_MAX};
use postern_protocol::revision::{Generation, Head, Revision};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A snapshot on its way, and what came of its bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) generation: Generation,
    pub(crate) stamp: Stamp,
    pub(crate) envelope: Arc<[u8]>,
    pub(crate) bodies: Bodies,
    head: Head,
    missing: BTreeSet<Digest>,
    /// Bodies under way. They are in memory only: after a restart each is asked for from its start.
    parts: BTreeMap<Digest, Part>,
    bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    size_bytes: usize,
    received: Vec<u8>,
}

impl Pending {
    /// Begins with those of the named bodies that `held` finds.
    ///
    /// # Errors
    /// CBOR rejects, `shape`, `state-oversize`, `digest-length`.
    pub(crate) fn begin(
        generation: Generation,
        received: &ReceivedEnvelope<'_>,
        stamp: Stamp,
        held: impl Fn(&Digest) -> Option<Arc<[u8]>>,
    ) -> Result<Self, Reject> {
        let Header {
            epoch, seq, digest, ..
        } = *received.unverified_header();
        let head = Head {
            generation,
            revision: Revision::new(epoch, seq),
            digest: digest.ok_or(Reject::DigestLength)?,
        };
        let mut bodies = Bodies::new();
        let mut missing = BTreeSet::new();
        for named in read_table(received.unverified_payload())? {
            match held(&named) {
                Some(body) => {
                    bodies.insert(named, body);
                }
                None => {
                    missing.insert(named);
                }
            }
        }
        let bytes = bodies.values().map(|body| body.len()).sum();
        if bytes > STATE_BYTES_MAX {
            return Err(Reject::StateOversize);
        }
        Ok(Self {
            generation,
            stamp,
            envelope: Arc::from(received.as_bytes()),
            bodies,
            head,
            missing,
            parts: BTreeMap::new(),
            bytes,
        })
    }

    pub(super) const fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.envelope.len().saturating_add(self.bytes)
    }

    /// What is still missing, each from the offset of its next byte.
    pub(super) fn wanted(&self) -> impl Iterator<Item = Wanted> {
        self.missing.iter().map(|digest| Wanted {
            digest: *digest,
            offset: self
                .parts
                .get(digest)
                .map_or(0, |part| part.received.len() as u64),
        })
    }

    /// Takes a whole body.
    ///
    /// # Errors
    /// `section-oversize`, `state-oversize`, `body-mismatch` for one that the table does not name.
    pub(super) fn put_whole(&mut self, body: Vec<u8>) -> Result<(), Reject> {
        if body.len() > SECTION_BYTES_MAX {
            return Err(Reject::SectionOversize);
        }
        let digest = Digest::of(&body);
        if !self.missing.remove(&digest) {
            return Err(Reject::BodyMismatch);
        }
        self.drop_part(&digest);
        self.bytes = self.bytes.saturating_add(body.len());
        self.bodies.insert(digest, Arc::from(body));
        if self.bytes > STATE_BYTES_MAX {
            return Err(Reject::StateOversize);
        }
        Ok(())
    }

    /// Takes a piece of a body. Bytes that were taken before are passed over; a body that turns
    /// out wrong starts again. Returns true when a body became complete.
    ///
    /// # Errors
    /// `section-oversize`, `state-oversize`, `body-mismatch` for a body that is not wanted, a gap,
    /// another size or a wrong hash.
    pub(super) fn put(&mut self, chunk: &Chunk) -> Result<bool, Reject> {
        let size_bytes = usize::try_from(chunk.size)
            .ok()
            .filter(|size| *size <= SECTION_BYTES_MAX)
            .ok_or(Reject::SectionOversize)?;
        if !self.missing.contains(&chunk.digest) {
            // Sent twice is no fault; named by nobody is.
            let is_held = self.bodies.contains_key(&chunk.digest);
            return if is_held {
                Ok(false)
            } else {
                Err(Reject::BodyMismatch)
            };
        }
        let taken = self.parts.get(&chunk.digest);
        let seen = taken.map_or(0, |part| part.received.len());
        let is_right_size = taken.is_none_or(|part| part.size_bytes == size_bytes);
        let offset = usize::try_from(chunk.offset).map_err(|_| Reject::BodyMismatch)?;
        let end = offset.checked_add(chunk.bytes.len());
        let fits = end.is_some_and(|end| end <= size_bytes);
        let fresh = seen
            .checked_sub(offset)
            .map(|seen| chunk.bytes.get(seen..).unwrap_or_default());
        let (true, true, Some(fresh)) = (fits, is_right_size, fresh) else {
            return Err(Reject::BodyMismatch);
        };
        let bytes = self.bytes.saturating_add(fresh.len());
        if bytes > STATE_BYTES_MAX {
            return Err(Reject::StateOversize);
        }
        self.bytes = bytes;
        let part = self.parts.entry(chunk.digest).or_insert_with(|| Part {
            size_bytes,
            received: Vec::new(),
        });
        part.received.extend_from_slice(fresh);
        if part.received.len() < size_bytes {
            return Ok(false);
        }
        let body = std::mem::take(&mut part.received);
        self.parts.remove(&chunk.digest);
        if Digest::of(&body) != chunk.digest {
            self.bytes = self.bytes.saturating_sub(body.len());
            return Err(Reject::BodyMismatch);
        }
        self.missing.remove(&chunk.digest);
        self.bodies.insert(chunk.digest, Arc::from(body));
        Ok(true)
    }

    fn drop_part(&mut self, digest: &Digest) {
        if let Some(part) = self.parts.remove(digest) {
            self.bytes = self.bytes.saturating_sub(part.received.len());
        }
    }
}
