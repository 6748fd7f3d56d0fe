//! Reports: three cursors that are never confused, and every refusal until it is acknowledged.
//!
//! What else is to be told stands in its lists. Refuses a form that is longer than its content needs.

use super::report_lists::ReportLists;
use crate::cbor::{Kind, Reader, Writer, decode_all};
use crate::encryption::Encrypted;
use crate::reject::Reject;
use crate::revision::{Epoch, Revision, Seq};
use alloc::vec::Vec;

/// What a device received, accepted and applied (spec: #report).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The highest revision that was received and verified.
    pub received: Revision,
    /// The highest revision that is durable on the device.
    pub accepted: Revision,
    /// The highest revision that the application has finished with.
    pub applied: Revision,
    /// What is to be told until it is acknowledged.
    pub lists: ReportLists,
}

impl Report {
    /// Encodes the payload in the only form for its content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(|lists| lists)
    }

    /// Encodes the payload with lists that were encrypted.
    pub fn encode_with(&self, encrypt: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
        let is_short = self.received == self.accepted && self.accepted == self.applied;
        let cursors = if is_short { 2 } else { 6 };
        let mut writer = Writer::new();
        writer.array(cursors + usize::from(!self.lists.is_empty()));
        encode_revision(&mut writer, self.received);
        if !is_short {
            encode_revision(&mut writer, self.accepted);
            encode_revision(&mut writer, self.applied);
        }
        if !self.lists.is_empty() {
            let mut lists = Writer::new();
            self.lists.encode(&mut lists);
            writer.raw(&encrypt(lists.into_bytes()));
        }
        writer.into_bytes()
    }

    /// Reads the payload of a report whose lists are readable.
    ///
    /// # Errors
    /// `shape`, `report-cursors`, `report-list-oversize`, or the CBOR reject; `plane-key-missing` for
    /// encrypted lists.
    pub fn decode(payload: &[u8]) -> Result<Self, Reject> {
        Self::decode_with(payload, |_| Err(Reject::PlaneKeyMissing))
    }

    /// Reads the payload, and lists that are encrypted by what `decrypt` makes of them.
    /// # Errors: those of [`Self::decode`] and of `decrypt`.
    pub fn decode_with(
        payload: &[u8],
        decrypt: impl FnOnce(&Encrypted<'_>) -> Result<Vec<u8>, Reject>,
    ) -> Result<Self, Reject> {
        decode_all(payload, |reader| {
            let members = reader.array()?;
            if !matches!(members, 2 | 3 | 6 | 7) {
                return Err(Reject::Shape);
            }
            let received = read_revision(reader)?;
            let (accepted, applied) = if members >= 6 {
                (read_revision(reader)?, read_revision(reader)?)
            } else {
                (received, received)
            };
            //= spec/postern.md#report
            //# The long forms MUST NOT be used when all three cursors are equal, else `shape`.
            if members >= 6 && received == accepted && accepted == applied {
                return Err(Reject::Shape);
            }
            //= spec/postern.md#report
            //# The cursors MUST satisfy received >= accepted >= applied, each compared as (epoch,
            //# seq), else `report-cursors`.
            if received < accepted || accepted < applied {
                return Err(Reject::ReportCursors);
            }
            let lists = if members == 3 || members == 7 {
                //= spec/encryption.md#encrypted
                //# The lists of a report MAY be a COSE_Encrypt0 in the place of the map, under the key
                //# of `actual`.
                if reader.peek()? == Kind::Array {
                    let lists = decrypt(&Encrypted::read(reader)?)?;
                    decode_all(&lists, ReportLists::decode)?
                } else {
                    ReportLists::decode(reader)?
                }
            } else {
                ReportLists::default()
            };
            Ok(Self {
                received,
                accepted,
                applied,
                lists,
            })
        })
    }
}

pub(super) fn encode_revision(writer: &mut Writer, revision: Revision) -> &mut Writer {
    writer
        .uint(revision.epoch.number())
        .uint(revision.seq.number())
}

pub(super) fn read_revision(reader: &mut Reader<'_>) -> Result<Revision, Reject> {
    let epoch = Epoch::new(reader.uint()?);
    Ok(Revision::new(epoch, Seq::new(reader.uint()?)))
}
