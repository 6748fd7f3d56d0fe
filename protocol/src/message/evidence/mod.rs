//! Evidence: what the reader of a plane holds against its writer, with the envelopes that prove it.
//!
//! The envelopes inside are bytes until each is verified like any other. Refuses to accuse without
//! naming a message, and to say more than the two contradictions that a reader can prove.

#[cfg(test)]
mod tests;

use crate::cbor::{Reader, Writer, decode_all};
use crate::envelope::{Binding, Expected, ReceivedEnvelope, Verified};
use crate::id::{MessageId, Thumbprint};
use crate::key::PublicKey;
use crate::limits::{ENVELOPE_BYTES_MAX, ENVELOPE_OVERHEAD_BYTES_MAX, EVIDENCE_PROOFS_MAX};
use crate::reject::Reject;
use crate::state::SectionTable;
use alloc::vec::Vec;

/// What the writer of a plane did (spec: #evidence).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvidenceCode {
    /// It opened an epoch that does not continue what the reader holds.
    WriterBehind,
    /// It signed one number with two contents.
    Equivocation,
}

impl EvidenceCode {
    /// Returns the reject whose number stands on the wire.
    #[must_use]
    pub const fn reject(self) -> Reject {
        match self {
            Self::WriterBehind => Reject::WriterBehind,
            Self::Equivocation => Reject::Equivocation,
        }
    }

    fn from_number(number: u64) -> Result<Self, Reject> {
        [Self::WriterBehind, Self::Equivocation]
            .into_iter()
            .find(|code| u64::from(code.reject().code()) == number)
            .ok_or(Reject::Shape)
    }
}

/// One message that proves something (spec: #evidence). Not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof<'a> {
    /// The message's identity.
    pub message_id: MessageId,
    /// Its untagged envelope; `None` where it would not fit.
    pub envelope: Option<&'a [u8]>,
}

impl<'a> Proof<'a> {
    /// Verifies the envelope like any other and compares its identity; `None` when it was left out.
    ///
    /// # Errors
    /// Those of [`ReceivedEnvelope::parse`] and [`ReceivedEnvelope::verify`]; `digest-mismatch` when
    /// the message is not the one that is named.
    pub fn verify<'k>(
        &self,
        expected: Expected,
        binding: Binding<'_>,
        keys: impl IntoIterator<Item = &'k PublicKey>,
        revoked: impl Fn(&Thumbprint) -> bool,
    ) -> Result<Option<Verified<'a>>, Reject> {
        let Some(envelope) = self.envelope else {
            return Ok(None);
        };
        let verified =
            ReceivedEnvelope::parse(envelope)?.verify(expected, binding, keys, revoked)?;
        //= spec/lives.md#evidence
        //# The message id of an envelope in evidence MUST be the one beside it, else
        //# `digest-mismatch`.
        if verified.message_id() == self.message_id {
            Ok(Some(verified))
        } else {
            Err(Reject::DigestMismatch)
        }
    }
}

/// What the reader of a plane holds against its writer (spec: #evidence).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// What the writer did.
    pub code: EvidenceCode,
    /// The section table of the reader's state at its head; only with [`EvidenceCode::WriterBehind`].
    pub table: Option<SectionTable>,
    /// The messages that prove it: one or two.
    pub proofs: Vec<Proof<'a>>,
}

impl Evidence<'_> {
    /// Encodes the payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(3).uint(u64::from(self.code.reject().code()));
        match &self.table {
            Some(table) => table.encode(&mut writer),
            None => {
                writer.null();
            }
        }
        writer.array(self.proofs.len());
        for proof in &self.proofs {
            writer.array(2).bytes(proof.message_id.as_bytes());
            match proof.envelope {
                Some(envelope) => writer.bytes(envelope),
                None => writer.null(),
            };
        }
        writer.into_bytes()
    }

    /// Leaves out what would not fit into one envelope: the last envelope first, the table never.
    pub fn shorten(&mut self) {
        let bytes_max = ENVELOPE_BYTES_MAX - ENVELOPE_OVERHEAD_BYTES_MAX;
        for place in (0..self.proofs.len()).rev() {
            if self.encode().len() <= bytes_max {
                return;
            }
            if let Some(proof) = self.proofs.get_mut(place) {
                proof.envelope = None;
            }
        }
    }
}

impl<'a> Evidence<'a> {
    /// Reads the payload.
    ///
    /// # Errors
    /// `shape` for another code, a table with `equivocation`, or not one or two messages;
    /// `section-invalid`, `state-oversize`, or the CBOR reject.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Reject> {
        decode_all(payload, |reader| {
            reader.array_of(3)?;
            let code = EvidenceCode::from_number(reader.uint()?)?;
            let table = reader.optional(SectionTable::decode)?;
            //= spec/lives.md#evidence
            //# Another code, a table with `equivocation`, or another number of messages than 1 or 2
            //# MUST be refused with `shape`.
            if table.is_some() && code != EvidenceCode::WriterBehind {
                return Err(Reject::Shape);
            }
            let count = reader.array()?;
            if !(1..=EVIDENCE_PROOFS_MAX).contains(&count) {
                return Err(Reject::Shape);
            }
            let proofs: Result<_, Reject> = (0..count).map(|_| read_proof(reader)).collect();
            Ok(Self {
                code,
                table,
                proofs: proofs?,
            })
        })
    }
}

fn read_proof<'a>(reader: &mut Reader<'a>) -> Result<Proof<'a>, Reject> {
    reader.array_of(2)?;
    Ok(Proof {
        message_id: MessageId::from_bytes(reader.bytes_of()?),
        envelope: reader.optional(Reader::bytes)?,
    })
}
