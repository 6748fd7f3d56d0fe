//! From [`ReceivedEnvelope`] to [`Verified`]: the only way to believe bytes.
//!
//! Key, role, plane and binding come from the caller's expectation. Refuses to take any from the bytes.

use super::{Binding, Header, ReceivedEnvelope};
use crate::cbor::Writer;
use crate::id::{MessageId, Plane, Thumbprint};
use crate::key::PublicKey;
use crate::kind::Role;
use crate::reject::Reject;
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};

/// Which signer and plane the caller is ready to believe.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The role that must have signed.
    pub role: Role,
    /// The plane that the message must be about.
    pub plane: Option<Plane>,
}

/// A message whose signature, signer, kind, plane and channel are right.
#[derive(Debug, Clone)]
pub struct Verified<'a> {
    header: Header,
    payload: &'a [u8],
    to_be_signed: Vec<u8>,
    signer: Thumbprint,
    bytes: &'a [u8],
}

impl<'a> Verified<'a> {
    /// The signed header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The signed payload.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Computes the message's identity: one hash over what is signed. Most deltas never need it,
    /// and in software the hash costs as much as the signature.
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        message_id(&self.to_be_signed)
    }

    /// The key that signed.
    #[must_use]
    pub const fn signer(&self) -> Thumbprint {
        self.signer
    }

    /// The envelope's bytes, to be kept or forwarded.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> ReceivedEnvelope<'a> {
    /// Checks kind, plane and signature against what the caller is ready to believe.
    ///
    /// `keys` are those that hold `expected.role` now; `revoked` tells of keys that never count again.
    ///
    /// # Errors
    /// `signer-role`, `plane-mismatch`, `signature-length`, `key-unknown`, `algorithm-mismatch`, `key-revoked`, `signature-invalid`.
    pub fn verify<'k>(
        &self,
        expected: Expected,
        binding: Binding<'_>,
        keys: impl IntoIterator<Item = &'k PublicKey>,
        revoked: impl Fn(&Thumbprint) -> bool,
    ) -> Result<Verified<'a>, Reject> {
        //= spec/postern.md#kinds
        //# A caller MUST name the role and the plane that it expects before it verifies an
        //# envelope.
        //= spec/postern.md#verification-order
        //# A verifier MUST apply these steps in this order and refuse with the reject of the first
        //# that fails:
        self.header
            .kind
            .check_signer(expected.role, expected.plane)?;
        if self.signature.len() != 64 {
            return Err(Reject::SignatureLength);
        }
        let matching = keys.into_iter().filter(|key| key.key_id() == self.key_id);
        //= spec/postern.md#aad
        //# A verifier MUST take tenant, device, incarnation and plane from what it expects and
        //# never from the message alone.
        let Some(aad) = binding.aad(self.header.kind, expected.role, expected.plane) else {
            return Err(Reject::SignatureInvalid);
        };
        //= spec/postern.md#envelope
        //# A verifier MUST build Sig_structure from the received bytes and never from re-encoded
        //# values.
        let to_be_signed = sig_structure(self.protected, &aad, self.payload);
        let mut refusal = Reject::KeyUnknown;
        //= spec/postern.md#keys
        //# A verifier MUST NOT try more than 4 keys for one key id.
        for key in matching.take(crate::limits::KEY_CANDIDATES_MAX) {
            if key.algorithm() != self.algorithm {
                refusal = Reject::AlgorithmMismatch;
                continue;
            }
            if revoked(&key.thumbprint()) {
                refusal = Reject::KeyRevoked;
                continue;
            }
            match key.verify(&to_be_signed, self.signature) {
                Ok(()) => return Ok(self.verified(key.thumbprint(), to_be_signed)),
                Err(reject) => refusal = reject,
            }
        }
        Err(refusal)
    }

    /// Computes the identity that the message has if its signature verifies as `expected` and for
    /// `binding`, or returns `None` when the kind binds more than is known here. For macs over it.
    #[must_use]
    pub fn unverified_message_id(
        &self,
        expected: Expected,
        binding: Binding<'_>,
    ) -> Option<MessageId> {
        let aad = binding.aad(self.header.kind, expected.role, expected.plane)?;
        let to_be_signed = sig_structure(self.protected, &aad, self.payload);
        Some(message_id(&to_be_signed))
    }

    //= spec/postern.md#verification-order
    //# A verifier MUST NOT use any part of an envelope beyond selecting a key before step 14 has
    //# passed.
    fn verified(&self, signer: Thumbprint, to_be_signed: Vec<u8>) -> Verified<'a> {
        Verified {
            header: self.header,
            payload: self.payload,
            to_be_signed,
            signer,
            bytes: self.bytes,
        }
    }
}

/// Encodes what is signed (RFC 9052 section 4.4).
pub(super) fn sig_structure(protected: &[u8], aad: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(protected.len() + aad.len() + payload.len() + 32);
    writer
        .array(4)
        .text("Signature1")
        .bytes(protected)
        .bytes(aad)
        .bytes(payload);
    writer.into_bytes()
}

//= spec/postern.md#message-id
//# An implementation MUST NOT identify a message by a hash over its signature or its wire bytes.
/// Hashes what is signed: the message's identity, whatever the signature's bytes (spec: #message-id).
pub(super) fn message_id(to_be_signed: &[u8]) -> MessageId {
    MessageId::from_bytes(Sha256::digest(to_be_signed).into())
}
