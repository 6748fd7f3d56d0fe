//! Public keys, their check at the door, and the trait behind which private keys live.
//!
//! A key that is not canonical, of small or of mixed order never becomes a [`PublicKey`]: with
//! `verify_strict` that leaves one accept-set that every implementation can reproduce.
//! Refuses to hold private keys of devices with secure elements: they implement [`Signer`] elsewhere.

#[cfg(test)]
mod tests;

use crate::cbor::{KeyOrder, Reader, Writer};
use crate::id::{KeyId, Thumbprint};
use crate::reject::Reject;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// COSE algorithm number of Ed25519 (RFC 9864).
pub const ALGORITHM_ED25519: i64 = -19;

/// A checked Ed25519 public key (spec: #keys).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    thumbprint: Thumbprint,
}

impl PublicKey {
    /// Checks 32 bytes: canonical, a point, not of small or mixed order. # Errors: `key-refused`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Reject> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| Reject::KeyRefused)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| Reject::KeyRefused)?;
        let point = key.to_edwards();
        //= spec/postern.md#keys
        //# A receiver MUST refuse with `key-refused`, at enrolment and when it accepts a bundle, a
        //# key that is not the canonical encoding of a curve point.
        let is_canonical = point.compress().to_bytes() == bytes;
        //= spec/postern.md#keys
        //# A receiver MUST refuse with `key-refused`, at enrolment and when it accepts a bundle, a
        //# key that is of small order or not in the prime-order subgroup.
        if !is_canonical || point.is_small_order() || !point.is_torsion_free() {
            return Err(Reject::KeyRefused);
        }
        Ok(Self {
            key,
            thumbprint: thumbprint_of(&bytes),
        })
    }

    /// Returns the 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Returns the key's identity.
    #[must_use]
    pub const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// Returns the id that stands in headers.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.thumbprint.key_id()
    }

    /// Verifies strictly: canonical S and R, no small-order points (spec: #keys).
    /// # Errors: `signature-length`, `signature-invalid`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Reject> {
        let bytes: [u8; 64] = signature.try_into().map_err(|_| Reject::SignatureLength)?;
        self.key
            //= spec/postern.md#keys
            //# A verifier MUST use the strict, cofactorless verification that refuses a
            //# non-canonical S and a small-order R.
            //= spec/postern.md#keys
            //# A verifier MUST NOT accept a signature because a batch that contains it verified.
            .verify_strict(message, &Signature::from_bytes(&bytes))
            .map_err(|_| Reject::SignatureInvalid)
    }

    /// Appends the key as a COSE_Key map (RFC 9052 section 7).
    pub fn encode(&self, writer: &mut Writer) {
        encode_cose_key(self.as_bytes(), writer);
    }

    /// Reads a COSE_Key map of an Ed25519 key. # Errors: `shape`, `key-refused`, or the CBOR reject.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Reject> {
        //= spec/postern.md#keys
        //# A public key on the wire MUST be an Ed25519 key (RFC 8032) as the COSE_Key map `{1: 1,
        //# -1: 6, -2: bstr32}`, 40 bytes, else `shape`.
        if reader.map()? != 3 {
            return Err(Reject::Shape);
        }
        let mut order = KeyOrder::new();
        for expected in [(1, 1), (-1, 6)] {
            if (reader.int_key(&mut order)?, reader.int()?) != expected {
                return Err(Reject::Shape);
            }
        }
        if reader.int_key(&mut order)? != -2 {
            return Err(Reject::Shape);
        }
        Self::from_bytes(&reader.bytes_of::<32>()?)
    }
}

fn encode_cose_key(bytes: &[u8; 32], writer: &mut Writer) {
    writer
        .map(3)
        .uint(1)
        .uint(1)
        .int(-1)
        .uint(6)
        .int(-2)
        .bytes(bytes);
}

fn thumbprint_of(bytes: &[u8; 32]) -> Thumbprint {
    let mut writer = Writer::new();
    encode_cose_key(bytes, &mut writer);
    Thumbprint::from_bytes(Sha256::digest(writer.as_bytes()).into())
}

/// Signs with a key that may live anywhere: memory, a file, a secure element.
pub trait Signer {
    /// The key that verifies what [`Signer::sign`] returns.
    fn public_key(&self) -> &PublicKey;
    /// Signs `message` (a Sig_structure) and returns the 64 bytes of the signature.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// An Ed25519 key in memory; wiped on drop.
pub struct MemorySigner {
    key: SigningKey,
    public: PublicKey,
}

impl MemorySigner {
    /// Derives the key pair from its 32-byte seed (RFC 8032 section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let verifying = key.verifying_key();
        let thumbprint = thumbprint_of(verifying.as_bytes());
        Self {
            public: PublicKey {
                key: verifying,
                thumbprint,
            },
            key,
        }
    }

    /// Returns the seed, to be stored where only the owner can read.
    #[must_use]
    pub fn danger_seed(&self) -> [u8; 32] {
        self.key.to_bytes()
    }
}

impl core::fmt::Debug for MemorySigner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MemorySigner")
            .field("public", &self.public.thumbprint)
            .finish_non_exhaustive()
    }
}

impl Signer for MemorySigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}
