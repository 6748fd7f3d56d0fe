//! The key to which plane keys are encrypted: X25519, made by the device, bound at enrolment.
//!
//! HPKE in base mode (RFC 9180) with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20Poly1305.
//! The sender is known by the signature around it. Refuses keys that give no shared secret.

use crate::context::Random;
use crate::reject::Reject;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The `info` of every encapsulation.
const INFO: &[u8] = b"postern/1 plane-key";

/// An X25519 public key (RFC 7748) that a device bound to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgreementKey([u8; 32]);

/// The secret half; wiped on drop, never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct AgreementSecret([u8; 32]);

/// What HPKE makes of a plaintext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Encapsulated {
    pub(super) key: [u8; 32],
    pub(super) ciphertext: Vec<u8>,
}

impl AgreementSecret {
    /// Wraps 32 random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, to be stored where only the owner can read.
    #[must_use]
    pub const fn danger_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> AgreementKey {
        AgreementKey(crate::session::ephemeral_public(&self.0))
    }

    /// Decrypts what was encrypted to the public half. # Errors: `decryption-failed`.
    pub(super) fn open(
        &self,
        key: &[u8; 32],
        ciphertext: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, Reject> {
        self.open_with(INFO, key, ciphertext, aad)
    }

    pub(super) fn open_with(
        &self,
        info: &[u8],
        key: &[u8; 32],
        ciphertext: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, Reject> {
        type Secret = <X25519HkdfSha256 as Kem>::PrivateKey;
        type Encapped = <X25519HkdfSha256 as Kem>::EncappedKey;
        let opened = Secret::from_bytes(&self.0).and_then(|secret| {
            let key = Encapped::from_bytes(key)?;
            hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeR::Base,
                &secret,
                &key,
                info,
                ciphertext,
                aad,
            )
        });
        opened.map_err(|_| Reject::DecryptionFailed)
    }
}

impl fmt::Debug for AgreementSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgreementSecret(..)")
    }
}

impl AgreementKey {
    /// Takes the 32 bytes of a key. # Errors: `key-refused` for one that gives no shared secret.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, Reject> {
        //= spec/encryption.md#agreement-key
        //# A controller MUST refuse an agreement key that gives an all-zero shared secret with
        //# `key-refused`.
        let probe = x25519_dalek::StaticSecret::from(PROBE);
        if probe.diffie_hellman(&bytes.into()).was_contributory() {
            Ok(Self(bytes))
        } else {
            Err(Reject::KeyRefused)
        }
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Encrypts to this key. # Errors: `key-refused` for a key that gives no shared secret.
    pub(super) fn seal(
        &self,
        plaintext: &[u8],
        aad: &[u8],
        random: &mut dyn Random,
    ) -> Result<Encapsulated, Reject> {
        type Public = <X25519HkdfSha256 as Kem>::PublicKey;
        let sealed = Public::from_bytes(&self.0).and_then(|public| {
            hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &public,
                INFO,
                plaintext,
                aad,
                &mut Drawing(random),
            )
        });
        let (key, ciphertext) = sealed.map_err(|_| Reject::KeyRefused)?;
        Ok(Encapsulated {
            key: key.to_bytes().into(),
            ciphertext,
        })
    }
}

/// Any scalar tells the points of small order apart: it is cleared of the cofactor.
const PROBE: [u8; 32] = [0x42; 32];

/// The random bytes of the caller in the form that the KEM asks for.
struct Drawing<'a>(&'a mut dyn Random);

impl TryRng for Drawing<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(crate::context::draw(self.0)))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(crate::context::draw(self.0)))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Drawing<'_> {}
