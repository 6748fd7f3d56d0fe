//! The published test keys, which everybody can make from their names.
//!
//! Refuses to be used for anything else: whoever knows a name knows the key.

use crate::request::{Fault, wrong};
use postern_protocol::key::{MemorySigner, PublicKey, Signer as _};
use sha2::{Digest as _, Sha256};

/// Names of the published Ed25519 keys.
const ED25519: &[&str] = &[
    "root",
    "root-2",
    "recovery",
    "writer",
    "writer-2",
    "mailbox",
    "mailbox-2",
    "device-a",
    "device-b",
    "other",
];

/// Names of the published P-256 keys.
const ESP256: &[&str] = &[
    "root-p256",
    "recovery-p256",
    "writer-p256",
    "mailbox-p256",
    "device-p256",
    "other-p256",
];

fn seed(name: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update("postern test key ")
        .chain_update(name)
        .finalize()
        .into()
}

/// Makes the Ed25519 key of a name.
pub(crate) fn signer(name: &str) -> MemorySigner {
    MemorySigner::from_seed(&seed(name))
}

/// Returns the published key with this thumbprint. # Errors: [`Fault::Unsupported`] when there is none.
pub(crate) fn key_of(thumbprint: &str) -> Result<PublicKey, Fault> {
    let ed25519 = ED25519.iter().map(|name| signer(name));
    let esp256 = ESP256
        .iter()
        .filter_map(|name| MemorySigner::esp256_from_secret(&seed(name)).ok());
    let mut keys = ed25519.chain(esp256).map(|it| it.public_key().clone());
    keys.find(|key| key.thumbprint().to_string() == thumbprint)
        .ok_or_else(|| wrong("a thumbprint is of no published key"))
}
