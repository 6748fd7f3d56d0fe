//! P-256 keys as Postern takes them: 65 bytes, both coordinates, SHA-256, 64-byte signatures.
//!
//! Refuses compressed points, the point at infinity and DER: one key and one signature have one form.

#[cfg(test)]
mod tests;

use crate::reject::Reject;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};

/// Bytes of a public key: 04, x, y.
pub(super) const PUBLIC_BYTES: usize = 65;

/// First byte of a point with both coordinates (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A point on P-256 with the bytes that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Esp256Key {
    key: VerifyingKey,
    bytes: [u8; PUBLIC_BYTES],
}

impl Esp256Key {
    /// Checks the form, both coordinates and the curve equation. # Errors: `key-refused`.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Reject> {
        let bytes: [u8; PUBLIC_BYTES] = bytes.try_into().map_err(|_| Reject::KeyRefused)?;
        if bytes.first() != Some(&UNCOMPRESSED) {
            return Err(Reject::KeyRefused);
        }
        //= spec/postern.md#keys
        //# A receiver MUST refuse with `key-refused`, at enrolment and when it accepts a bundle, an
        //# ESP256 key with a coordinate that is not below p or a point that is not on P-256.
        let key = VerifyingKey::from_sec1_bytes(&bytes).map_err(|_| Reject::KeyRefused)?;
        Ok(Self { key, bytes })
    }

    pub(super) const fn as_bytes(&self) -> &[u8; PUBLIC_BYTES] {
        &self.bytes
    }

    pub(super) fn coordinates(&self) -> (&[u8], &[u8]) {
        let [_, both @ ..] = &self.bytes;
        both.split_at(both.len() / 2)
    }

    /// Verifies r and s, each in 1..n-1; a high s counts, since no identity hangs on a signature.
    /// # Errors: `signature-invalid`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), Reject> {
        //= spec/postern.md#keys
        //# An ESP256 signature MUST be r ‖ s, 32 bytes each, over SHA-256, with r and s in 1..n-1;
        //# a high s counts.
        let signature = Signature::from_slice(signature).map_err(|_| Reject::SignatureInvalid)?;
        self.key
            .verify(message, &signature)
            .map_err(|_| Reject::SignatureInvalid)
    }
}

/// Puts the coordinates of a COSE_Key behind the first byte.
pub(super) fn join(x: &[u8; 32], y: &[u8; 32]) -> [u8; PUBLIC_BYTES] {
    let mut bytes = [UNCOMPRESSED; PUBLIC_BYTES];
    let [_, both @ ..] = &mut bytes;
    let parts = x.iter().chain(y);
    both.iter_mut()
        .zip(parts)
        .for_each(|(to, from)| *to = *from);
    bytes
}
