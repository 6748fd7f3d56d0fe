//! Section tables: a whole state by the digests of its parts.
//!
//! ```text
//!  readable   section -> digest of the body
//!  encrypted  section -> [keyed digest of the body, SHA-256 of the encrypted body that is stored]
//! ```
//!
//! Refuses to look at bodies: who holds them is told apart by digest alone.

use super::document::{State, encode_table, root_of};
use super::path::encoded_order;
use super::section::SectionName;
use crate::cbor::{KeyOrder, Kind, Reader, Writer};
use crate::encryption::Digester;
use crate::id::Digest;
use crate::limits::SECTIONS_MAX;
use crate::reject::Reject;
use crate::revision::KeyGeneration;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Names every section of a state with the digest of its body (spec: #snapshot).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SectionTable {
    digests: BTreeMap<SectionName, Digest>,
    /// What mailboxes store, where that is not the body itself: the same sections.
    stored: Option<Stored>,
}

/// Encrypted bodies by their own digests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Stored {
    /// The key that encrypted them; 0 where the message around the table does not name it.
    generation: KeyGeneration,
    digests: BTreeMap<SectionName, Digest>,
}

impl SectionTable {
    /// Takes the table of a state.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let digests = state
            .section_digests()
            .map(|(name, digest)| (name.clone(), *digest));
        Self {
            digests: digests.collect(),
            stored: None,
        }
    }

    /// Puts the table of an encrypted state together: section, keyed digest, digest of what is stored.
    #[must_use]
    pub fn encrypted(
        generation: KeyGeneration,
        rows: impl IntoIterator<Item = (SectionName, Digest, Digest)>,
    ) -> Self {
        let (mut digests, mut stored) = (BTreeMap::new(), BTreeMap::new());
        for (name, digest, kept) in rows {
            digests.insert(name.clone(), digest);
            stored.insert(name, kept);
        }
        Self {
            digests,
            stored: Some(Stored {
                generation,
                digests: stored,
            }),
        }
    }

    /// Returns the root digest of the readable state that has these sections.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.root_under(&Digester::Plain)
    }

    /// Returns the root digest of the state that has these sections and digests made like this.
    #[must_use]
    pub fn root_under(&self, digester: &Digester) -> Digest {
        root_of(digester, self.digests.iter())
    }

    /// True when the rows name encrypted bodies. A table without rows tells nothing.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.stored.is_some()
    }

    /// Returns names and body digests, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&SectionName, &Digest)> {
        self.digests.iter()
    }

    /// Returns the digest under which the body of a section travels.
    #[must_use]
    pub fn stored(&self, name: &SectionName) -> Option<&Digest> {
        let stored = self.stored.as_ref().map(|stored| &stored.digests);
        stored.unwrap_or(&self.digests).get(name)
    }

    /// How many sections the table names.
    #[must_use]
    pub fn sections_count(&self) -> usize {
        self.digests.len()
    }

    /// Appends the table as a CBOR map.
    pub fn encode(&self, writer: &mut Writer) {
        let Some(stored) = &self.stored else {
            return encode_table(self.digests.iter(), writer);
        };
        let mut rows: Vec<_> = self.digests.iter().collect();
        rows.sort_unstable_by(|left, right| encoded_order(left.0.as_str(), right.0.as_str()));
        writer.map(rows.len());
        for (name, digest) in rows {
            let kept = stored.digests.get(name).unwrap_or(digest);
            writer.text(name.as_str()).array(2);
            writer.bytes(digest.as_bytes()).bytes(kept.as_bytes());
        }
    }

    /// Reads a table. Its first row tells which form all rows have.
    ///
    /// # Errors
    /// `shape`, `section-invalid`, `state-oversize`, or the CBOR reject.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Reject> {
        let length = reader.map()?;
        if length > SECTIONS_MAX {
            return Err(Reject::StateOversize);
        }
        let mut order = KeyOrder::new();
        let mut table = Self::default();
        for at in 0..length {
            let name = SectionName::parse(reader.text_key(&mut order)?)?;
            if at == 0 && reader.peek()? == Kind::Array {
                table.stored = Some(Stored::default());
            }
            //= spec/encryption.md#encrypted-snapshot
            //# All rows of a table MUST have one form, else `shape`.
            if let Some(stored) = &mut table.stored {
                reader.array_of(2)?;
                let digest = Digest::from_bytes(reader.bytes_of()?);
                let kept = Digest::from_bytes(reader.bytes_of()?);
                stored.digests.insert(name.clone(), kept);
                table.digests.insert(name, digest);
            } else {
                let digest = Digest::from_bytes(reader.bytes_of()?);
                table.digests.insert(name, digest);
            }
        }
        Ok(table)
    }

    /// The key generation of the encrypted bodies, where the message around the table names it.
    #[must_use]
    pub fn generation(&self) -> Option<KeyGeneration> {
        self.stored.as_ref().map(|stored| stored.generation)
    }

    /// Takes the key generation that the message around the table names.
    /// # Errors: `shape` for generation 0, or a table with readable rows.
    pub(crate) fn set_generation(&mut self, generation: KeyGeneration) -> Result<(), Reject> {
        let is_readable = self.stored.is_none() && !self.digests.is_empty();
        if is_readable || generation.number() == 0 {
            return Err(Reject::Shape);
        }
        self.stored.get_or_insert_default().generation = generation;
        Ok(())
    }
}
