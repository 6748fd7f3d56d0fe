//! From [`Draft`] to [`SealedEnvelope`]: the only thing that a transport may carry.
//!
//! Refuses to sign a kind for a plane that is not its own, and to make an envelope above the limit.

use super::verify::{message_id, sig_structure};
use super::{Binding, Header};
use crate::cbor::Writer;
use crate::id::{MessageId, Plane};
use crate::key::Signer;
use crate::kind::Role;
use crate::limits::ENVELOPE_BYTES_MAX;
use crate::reject::Reject;
use alloc::vec::Vec;

/// Bytes of a protected header with the largest numbers, so that it is written in one piece.
const PROTECTED_BYTES: usize = 96;

/// A message to be signed: its header and its encoded payload.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it says.
    pub header: Header,
    /// Deterministic CBOR of the kind's payload.
    pub payload: Vec<u8>,
}

/// A signed envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEnvelope {
    bytes: Vec<u8>,
    message_id: MessageId,
}

impl SealedEnvelope {
    /// The untagged COSE_Sign1.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the untagged COSE_Sign1.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The message's identity.
    #[must_use]
    pub const fn message_id(&self) -> MessageId {
        self.message_id
    }
}

impl Draft {
    /// Signs the draft as `role` for the channel that `binding` names; kind and role name the plane.
    ///
    /// # Errors
    /// `signer-role` when the role never signs this kind; `oversize` when the envelope would not fit;
    /// `plane-mismatch` when the binding names less than the kind binds.
    pub fn seal(
        &self,
        role: Role,
        binding: Binding<'_>,
        signer: &dyn Signer,
    ) -> Result<SealedEnvelope, Reject> {
        let plane = self.header.kind.plane_for(role)?;
        self.seal_about(plane, role, binding, signer)
    }

    /// Signs the draft as [`Self::seal`] does, for a role that signs its kind for both planes.
    ///
    /// # Errors
    /// Those of [`Self::seal`]; `plane-mismatch` when the kind is not signed for this plane.
    pub fn seal_about(
        &self,
        plane: Option<Plane>,
        role: Role,
        binding: Binding<'_>,
        signer: &dyn Signer,
    ) -> Result<SealedEnvelope, Reject> {
        let kind = self.header.kind;
        kind.check_signer(role, plane)?;
        let aad = binding
            .aad(kind, role, plane)
            .ok_or(Reject::PlaneMismatch)?;
        let protected = self.encode_protected(signer);
        let to_be_signed = sig_structure(&protected, &aad, &self.payload);
        let signature = signer.sign(&to_be_signed);
        let mut writer = Writer::with_capacity(self.payload.len() + protected.len() + 80);
        writer
            .array(4)
            .bytes(&protected)
            .map(0)
            .bytes(&self.payload)
            .bytes(&signature);
        let bytes = writer.into_bytes();
        //= spec/postern.md#envelope
        //# An envelope MUST NOT be larger than 48128 bytes without its tag, else `oversize`.
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(Reject::Oversize);
        }
        Ok(SealedEnvelope {
            bytes,
            message_id: message_id(&to_be_signed),
        })
    }

    fn encode_protected(&self, signer: &dyn Signer) -> Vec<u8> {
        let header = &self.header;
        let mut writer = Writer::with_capacity(PROTECTED_BYTES);
        //= spec/postern.md#envelope
        //# The protected header MUST encode exactly the map `{1: -19 or -9, 4: bstr8, -65537:
        //# [kind, epoch, seq, base, digest]}`.
        let key = signer.public_key();
        writer.map(3).uint(1).int(key.algorithm().number());
        writer.uint(4).bytes(key.key_id().as_bytes());
        writer.int(-65_537).array(5).uint(header.kind.number());
        writer
            .uint(header.epoch.number())
            .uint(header.seq.number())
            .uint(header.base.number());
        writer.bytes(
            header
                .digest
                .as_ref()
                .map_or(&[][..], |digest| digest.as_bytes()),
        );
        writer.into_bytes()
    }
}
