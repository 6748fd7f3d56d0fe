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
use crate::encryption::{Digester, Vault};
use crate::id::{Digest, Plane};
use crate::limits::{SECTION_BYTES_MAX, STATE_BYTES_MAX};
use crate::reject::Reject;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A snapshot whose bodies are being fetched (spec: #bodies).
#[derive(Debug, Clone)]
pub struct SnapshotAssembly {
    root: Digest,
    /// What decrypts the bodies of an encrypted plane.
    decrypts: Option<(Vault, Plane)>,
    parts: BTreeMap<SectionName, Row>,
}

/// One section: its digest, the digest under which its body travels, what is here of it.
#[derive(Debug, Clone)]
struct Row {
    digest: Digest,
    stored: Digest,
    part: Part,
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
        Self::begin(table, held, None)
    }

    /// Starts with the sections that `held` has already, for a table whose bodies are encrypted.
    #[must_use]
    pub fn encrypted(table: &SectionTable, held: &State, vault: &Vault, plane: Plane) -> Self {
        Self::begin(table, held, Some((vault.clone(), plane)))
    }

    fn begin(table: &SectionTable, held: &State, decrypts: Option<(Vault, Plane)>) -> Self {
        let digester = digester_of(decrypts.as_ref());
        let parts = table.iter().map(|(name, digest)| {
            let part = held
                .sections
                .get(name)
                .filter(|section| held.digester == digester && section.digest() == digest)
                .map_or(Part::EMPTY, |section| Part::Held(Arc::clone(section)));
            let row = Row {
                digest: *digest,
                stored: *table.stored(name).unwrap_or(digest),
                part,
            };
            (name.clone(), row)
        });
        Self {
            root: table.root_under(&digester),
            parts: parts.collect(),
            decrypts,
        }
    }

    /// The root digest that the finished state will have.
    #[must_use]
    pub const fn root(&self) -> &Digest {
        &self.root
    }

    /// Returns the bodies that are not complete, each with the offset of the next byte.
    pub fn missing(&self) -> impl Iterator<Item = (Digest, u64)> {
        self.parts.values().filter_map(|row| match &row.part {
            Part::Held(_) => None,
            Part::Missing { received, .. } => Some((row.stored, received.len() as u64)),
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
        let mut rows = self.parts.iter_mut();
        let (name, row) = rows
            .find(|(_, row)| row.stored == *digest)
            .ok_or(Reject::BodyMismatch)?;
        let Part::Missing {
            size_bytes: known,
            received,
        } = &mut row.part
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
            row.part = Part::EMPTY;
            //= spec/postern.md#bodies
            //# A device MUST check the digest of the complete body before it uses any byte of it,
            //# else `body-mismatch`.
            let section = read_body(self.decrypts.as_ref(), name.as_str(), row, body)?;
            row.part = Part::Held(Arc::new(section));
        }
        Ok(())
    }

    fn collected_bytes(&self) -> usize {
        let bytes = self.parts.values().map(|row| match &row.part {
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
        for (name, row) in self.parts {
            match row.part {
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
        let state = State::from_sections(digester_of(self.decrypts.as_ref()), sections)?;
        if *state.root() == self.root {
            Ok(state)
        } else {
            Err(Reject::DigestMismatch)
        }
    }
}

fn digester_of(decrypts: Option<&(Vault, Plane)>) -> Digester {
    decrypts.map_or(Digester::Plain, |(vault, _)| vault.digester())
}

/// Reads a complete body, after decrypting it where the plane is encrypted.
fn read_body(
    decrypts: Option<&(Vault, Plane)>,
    name: &str,
    row: &Row,
    body: Vec<u8>,
) -> Result<Section, Reject> {
    let Some((vault, plane)) = decrypts else {
        return Section::decode(&Digester::Plain, name, row.digest, body);
    };
    //= spec/encryption.md#encrypted-snapshot
    //# A reader MUST check a stored body against the second digest of its row, decrypt it, and check
    //# the body against the first, else `body-mismatch`.
    if Digest::of(&body) != row.stored {
        return Err(Reject::BodyMismatch);
    }
    let body = vault.decrypt_body(*plane, name, &row.digest, &body)?;
    Section::decode(&vault.digester(), name, row.digest, body)
}
