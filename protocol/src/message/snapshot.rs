//! The payload of a snapshot: the section table and the lineage.
//!
//! Refuses to carry the bodies: those are fetched by the digests of the table.

use crate::cbor::{Reader, Writer, decode_all};
use crate::id::Digest;
use crate::limits::LINEAGE_MAX;
use crate::reject::Reject;
use crate::revision::{Epoch, KeyGeneration, Lineage, LineageEntry, Revision, Seq};
use crate::state::SectionTable;
use alloc::vec::Vec;

/// A whole state by its section table (spec: #snapshot).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The sections and their body digests.
    pub table: SectionTable,
    /// The earlier epochs that the writer continues.
    pub lineage: Lineage,
}

impl Snapshot {
    /// Encodes the payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let generation = self.table.generation();
        writer.array(2 + usize::from(generation.is_some()));
        self.table.encode(&mut writer);
        writer.array(self.lineage.entries().len());
        for entry in self.lineage.entries() {
            writer
                .array(3)
                .uint(entry.last.epoch.number())
                .uint(entry.last.seq.number())
                .bytes(entry.digest.as_bytes());
        }
        if let Some(generation) = generation {
            writer.uint(generation.number());
        }
        writer.into_bytes()
    }

    /// Reads the payload of a snapshot of `epoch`.
    ///
    /// # Errors
    /// `shape`, `section-invalid`, `state-oversize`, `lineage-invalid`, or the CBOR reject.
    pub fn decode(payload: &[u8], epoch: Epoch) -> Result<Self, Reject> {
        decode_all(payload, |reader| {
            let members = reader.array()?;
            if !(2..=3).contains(&members) {
                return Err(Reject::Shape);
            }
            let mut table = SectionTable::decode(reader)?;
            let lineage = read_lineage(reader, epoch)?;
            //= spec/encryption.md#encrypted-snapshot
            //# A snapshot with a key generation MUST have no readable row, and one without it no
            //# encrypted row, else `shape`.
            if members == 3 {
                table.set_generation(KeyGeneration::new(reader.uint()?))?;
            } else if table.is_encrypted() {
                return Err(Reject::Shape);
            }
            Ok(Self { table, lineage })
        })
    }
}

fn read_lineage(reader: &mut Reader<'_>, epoch: Epoch) -> Result<Lineage, Reject> {
    let length = reader.array()?;
    if length > LINEAGE_MAX {
        return Err(Reject::LineageInvalid);
    }
    let entries: Result<Vec<_>, Reject> = (0..length)
        .map(|_| {
            reader.array_of(3)?;
            Ok(LineageEntry {
                last: Revision::new(Epoch::new(reader.uint()?), Seq::new(reader.uint()?)),
                digest: Digest::from_bytes(reader.bytes_of()?),
            })
        })
        .collect();
    Lineage::new(entries?, epoch)
}
