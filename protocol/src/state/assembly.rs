//! Collecting the bodies that a section table names, in chunks that may come over days.
//!
//! ```text
//!  Missing(0 bytes) --chunk--> Missing(n bytes) --last chunk, hash right--> Held
//!         ^-------------------- hash wrong -------------'
//! ```
//!
//! Memory grows with the bytes that arrived, never with a size that somebody claims.
//! Refuses bytes that are not the next ones of a body that the table names.

use super::document::{State, check_ancestors};
use super::section::{Section, SectionName};
use super::snapshot::SectionTable;
use crate::id::Digest;
use crate::limits::{SECTION_BYTES_MAX, STATE_BYTES_MAX};
use crate::reject::Reject;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A snapshot whose bodies are being fetched (spec: #bodies).
#[derive(Debug, Clone)]
pub struct SnapshotAssembly {
    root: Digest,
    parts: BTreeMap<SectionName, (Digest, Part)>,
}

#[derive(Debug, Clone)]
enum Part {
    Held(Arc<Section>),
    Missing {
        size_bytes: Option<usize>,
        received: Vec<u8>,
    },
}

impl Part {
    const EMPTY: Self = Self::Missing {
        size_bytes: None,
        received: Vec::new(),
    };
}

impl SnapshotAssembly {
    /// Starts with the sections that `held` has already.
    #[must_use]
    pub fn new(table: &SectionTable, held: &State) -> Self {
        let parts = table.iter().map(|(name, digest)| {
            let part = held
                .sections
                .get(name)
                .filter(|section| section.digest() == digest)
                .map_or(Part::EMPTY, |section| Part::Held(Arc::clone(section)));
            (name.clone(), (*digest, part))
        });
        Self {
            root: table.root(),
            parts: parts.collect(),
        }
    }

    /// The root digest that the finished state will have.
    #[must_use]
    pub const fn root(&self) -> &Digest {
        &self.root
    }

    /// Returns the bodies that are not complete, each with the offset of the next byte.
    pub fn missing(&self) -> impl Iterator<Item = (Digest, u64)> {
        self.parts.values().filter_map(|(digest, part)| match part {
            Part::Held(_) => None,
            Part::Missing { received, .. } => Some((*digest, received.len() as u64)),
        })
    }

    /// True when every body is held and [`Self::finish`] can be called.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing().next().is_none()
    }

    /// Takes bytes of the body `digest`, of `size_bytes` in all, from `offset` on.
    ///
    /// Bytes that were taken before are passed over. A body that turns out wrong starts again.
    ///
    /// # Errors
    /// `section-oversize`, `state-oversize`, `body-mismatch` for a body that the table does not
    /// name, a gap, another size or a wrong hash; the reject of what is wrong inside the body.
    pub fn put(
        &mut self,
        digest: &Digest,
        size_bytes: u64,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), Reject> {
        let size_bytes = usize::try_from(size_bytes)
            .ok()
            .filter(|size| *size <= SECTION_BYTES_MAX)
            .ok_or(Reject::SectionOversize)?;
        let offset = usize::try_from(offset).map_err(|_| Reject::BodyMismatch)?;
        let collected_bytes = self.collected_bytes();
        let (name, part) = self
            .parts
            .iter_mut()
            .find_map(|(name, (named, part))| (named == digest).then_some((name, part)))
            .ok_or(Reject::BodyMismatch)?;
        let Part::Missing {
            size_bytes: known,
            received,
        } = part
        else {
            return Ok(());
        };
        let end = offset
            .checked_add(bytes.len())
            .filter(|end| *end <= size_bytes);
        let is_right_size = known.is_none_or(|known| known == size_bytes);
        let fresh = received
            .len()
            .checked_sub(offset)
            .map(|seen| bytes.get(seen..).unwrap_or_default());
        let (Some(_), true, Some(fresh)) = (end, is_right_size, fresh) else {
            return Err(Reject::BodyMismatch);
        };
        if collected_bytes + fresh.len() > STATE_BYTES_MAX {
            return Err(Reject::StateOversize);
        }
        *known = Some(size_bytes);
        received.extend_from_slice(fresh);
        if received.len() == size_bytes {
            let body = core::mem::take(received);
            *part = Part::EMPTY;
            //= spec/postern.md#bodies
            //# A device MUST check the digest of the complete body before it uses any byte of it,
            //# else `body-mismatch`.
            *part = Part::Held(Arc::new(Section::decode(name.as_str(), *digest, body)?));
        }
        Ok(())
    }

    fn collected_bytes(&self) -> usize {
        let bytes = self.parts.values().map(|(_, part)| match part {
            Part::Held(section) => section.body().len(),
            Part::Missing { received, .. } => received.len(),
        });
        bytes.sum()
    }

    /// Puts the bodies together.
    ///
    /// # Errors
    /// `body-mismatch` when a body is missing, `path-conflict`, `state-oversize`, `digest-mismatch`.
    pub fn finish(self) -> Result<State, Reject> {
        let mut sections = BTreeMap::new();
        for (name, (_, part)) in self.parts {
            match part {
                Part::Held(section) => sections.insert(name, section),
                //= spec/postern.md#snapshot
                //# A reader MUST hold every body that the table names before it accepts a snapshot.
                Part::Missing { .. } => return Err(Reject::BodyMismatch),
            };
        }
        let entries_of = |name: &str| {
            let section: Option<&Arc<Section>> = sections.get(name);
            section.map(|section| section.entries())
        };
        sections
            .values()
            .flat_map(|section| section.entries().keys())
            //= spec/postern.md#snapshot
            //# A reader MUST check `path-conflict` and the limits over the whole new state.
            .try_for_each(|path| check_ancestors(path, entries_of))?;
        let state = State::from_sections(sections)?;
        if *state.root() == self.root {
            Ok(state)
        } else {
            Err(Reject::DigestMismatch)
        }
    }
}
