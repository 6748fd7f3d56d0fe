//! Private keys: the trait behind which they live, and keys of either algorithm in memory.
//!
//! Signatures are deterministic (RFC 8032, RFC 6979): the same message gives the same bytes.
//! Refuses to show a private key by accident: its bytes have one getter, which says so.

use super::{Key, PublicKey};
use crate::reject::Reject;
use alloc::boxed::Box;
use ed25519_dalek::Signer as _;

/// Signs with a key that may live anywhere: memory, a file, a secure element.
pub trait Signer {
    /// The key that verifies what [`Signer::sign`] returns.
    fn public_key(&self) -> &PublicKey;
    /// Signs `message` (a Sig_structure) and returns the 64 bytes of the signature.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// A private key in memory; wiped on drop.
pub struct MemorySigner {
    key: Secret,
    public: PublicKey,
}

enum Secret {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Esp256(Box<p256::ecdsa::SigningKey>),
    #[cfg(any(test, feature = "testing"))]
    Test([u8; 32], super::test_key::TestKey),
}

impl MemorySigner {
    /// Derives an Ed25519 key pair from its 32-byte seed (RFC 8032 section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        Self {
            public: PublicKey::of(Key::Ed25519(key.verifying_key())),
            key: Secret::Ed25519(Box::new(key)),
        }
    }

    /// Derives a key of the simulator, which is no cryptography.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn danger_test_from_seed(seed: &[u8; 32]) -> Self {
        let key = super::test_key::TestKey::from_seed(seed);
        Self {
            public: PublicKey::of(Key::Test(key)),
            key: Secret::Test(*seed, key),
        }
    }

    /// Derives an ESP256 key pair from its secret number, big-endian.
    ///
    /// # Errors
    /// `key-refused` for 0 and for numbers not below the order of the curve.
    pub fn esp256_from_secret(secret: &[u8; 32]) -> Result<Self, Reject> {
        let key = p256::ecdsa::SigningKey::from_slice(secret).map_err(|_| Reject::KeyRefused)?;
        let point = key.verifying_key().to_sec1_point(false);
        Ok(Self {
            public: PublicKey::from_bytes(point.as_bytes())?,
            key: Secret::Esp256(Box::new(key)),
        })
    }

    /// Returns the seed or the secret number, to be stored where only the owner can read.
    #[must_use]
    pub fn danger_seed(&self) -> [u8; 32] {
        match &self.key {
            Secret::Ed25519(key) => key.to_bytes(),
            Secret::Esp256(key) => key.to_bytes().into(),
            #[cfg(any(test, feature = "testing"))]
            Secret::Test(seed, _) => *seed,
        }
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
        match &self.key {
            Secret::Ed25519(key) => key.sign(message).to_bytes(),
            Secret::Esp256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().into()
            }
            #[cfg(any(test, feature = "testing"))]
            Secret::Test(_, key) => key.sign(message),
        }
    }
}
