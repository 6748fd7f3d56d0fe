//! Keys without mathematics, for long simulations: a hash stands where a curve would be.
//!
//! Whoever knows such a public key can sign with it, so a simulated adversary may hold only what it was
//! given. All 64 bytes of a signature follow from key and message, and all are compared. Refuses to be part
//! of a release: it is built with the feature `testing` alone, which no release has.

use crate::reject::Reject;
use sha2::{Digest as _, Sha256};

/// What the 32 bytes of such a key begin with; no key that a curve gave in a test does.
const MARK: [u8; 12] = *b"postern sim ";

/// A key of the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TestKey([u8; 32]);

impl TestKey {
    /// Derives a key from a seed.
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        let hash = Sha256::new()
            .chain_update(MARK)
            .chain_update(seed)
            .finalize();
        let mut bytes = [0; 32];
        let parts = MARK.iter().chain(hash.iter());
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = *part;
        }
        Self(bytes)
    }

    /// Reads such a key; every other key is `None`.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 32] = bytes.try_into().ok()?;
        bytes.starts_with(&MARK).then_some(Self(bytes))
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Signs: two chained hashes over key and message.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let first = Sha256::new().chain_update(self.0).chain_update(message);
        let first = first.finalize();
        let second = Sha256::new().chain_update(MARK).chain_update(first);
        let mut bytes = [0; 64];
        let parts = first.iter().copied().chain(second.finalize());
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = part;
        }
        bytes
    }

    /// Compares all 64 bytes. # Errors: `signature-invalid`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), Reject> {
        if self.sign(message) == *signature {
            Ok(())
        } else {
            Err(Reject::SignatureInvalid)
        }
    }
}

/// What the seeds of ephemeral keys begin with, whose agreement is a hash, too.
pub(crate) const SEED_MARK: [u8; 12] = MARK;

/// The public key of a marked seed; `None` for every other seed.
pub(crate) fn ephemeral_public(seed: &[u8; 32]) -> Option<[u8; 32]> {
    seed.starts_with(&MARK)
        .then(|| *TestKey::from_seed(seed).as_bytes())
}

/// What two marked keys agree on; `None` when one of them is of the curve.
pub(crate) fn agree(seed: &[u8; 32], peer: &[u8; 32]) -> Option<[u8; 32]> {
    let own = ephemeral_public(seed)?;
    let (low, high) = if own < *peer {
        (&own, peer)
    } else {
        (peer, &own)
    };
    let hash = Sha256::new().chain_update(low).chain_update(high);
    peer.starts_with(&MARK).then(|| hash.finalize().into())
}
