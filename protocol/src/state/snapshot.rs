//! Section tables: a whole state by the digests of its parts.
//!
//! Refuses to look at bodies: who holds them is told apart by digest alone.

use super::document::{State, encode_table, root_of};
use super::section::SectionName;
use crate::cbor::{KeyOrder, Reader, Writer};
use crate::id::Digest;
use crate::limits::SECTIONS_MAX;
use crate::reject::Reject;
use alloc::collections::BTreeMap;

/// Names every section of a state with the digest of its body (spec: #snapshot).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SectionTable(BTreeMap<SectionName, Digest>);

impl SectionTable {
    /// Takes the table of a state.
    #[must_use]
    pub fn of(state: &State) -> Self {
        Self(
            state
                .section_digests()
                .map(|(name, digest)| (name.clone(), *digest))
                .collect(),
        )
    }

    /// Returns the root digest of the state that has these sections.
    #[must_use]
    pub fn root(&self) -> Digest {
        root_of(self.0.iter())
    }

    /// Returns names and body digests, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&SectionName, &Digest)> {
        self.0.iter()
    }

    /// How many sections the table names.
    #[must_use]
    pub fn sections_count(&self) -> usize {
        self.0.len()
    }

    /// Appends the table as a CBOR map.
    pub fn encode(&self, writer: &mut Writer) {
        encode_table(self.0.iter(), writer);
    }

    /// Reads a table. # Errors: `shape`, `section-invalid`, `state-oversize`, or the CBOR reject.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Reject> {
        let length = reader.map()?;
        if length > SECTIONS_MAX {
            return Err(Reject::StateOversize);
        }
        let mut order = KeyOrder::new();
        let mut table = BTreeMap::new();
        for _ in 0..length {
            let name = SectionName::parse(reader.text_key(&mut order)?)?;
            table.insert(name, Digest::from_bytes(reader.bytes_of()?));
        }
        Ok(Self(table))
    }
}
