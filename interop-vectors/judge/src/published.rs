//! The published test keys, which everybody can make from their names, and a domain of them.
//!
//! Refuses to be used for anything else: whoever knows a name knows the key.

use crate::request::{Fault, wrong};
use postern_protocol::Reject;
use postern_protocol::id::{Channel, DeviceName, Tenant};
use postern_protocol::key::{MemorySigner, PublicKey, Signer as _};
use postern_protocol::revision::Generation;
use postern_protocol::trust::{BundleContent, Mailbox, Trust, Writership};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

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

/// Every published key that signs.
fn signers() -> impl Iterator<Item = MemorySigner> {
    let ed25519 = ED25519.iter().map(|name| signer(name));
    let esp256 = ESP256
        .iter()
        .filter_map(|name| MemorySigner::esp256_from_secret(&seed(name)).ok());
    ed25519.chain(esp256)
}

/// Returns the published key with this public key.
pub(crate) fn signer_of(key: &PublicKey) -> Option<MemorySigner> {
    signers().find(|signer| signer.public_key() == key)
}

/// Returns the published key with this thumbprint. # Errors: [`Fault::Unsupported`] when there is none.
pub(crate) fn key_of(thumbprint: &str) -> Result<PublicKey, Fault> {
    signers()
        .map(|signer| signer.public_key().clone())
        .find(|key| key.thumbprint().to_string() == thumbprint)
        .ok_or_else(|| wrong("a thumbprint is of no published key"))
}

/// The tenant of the published channel.
const TENANT: &str = "acme";

/// The device of the published channel.
const DEVICE: &str = "press-7";

/// The life of that device.
pub(crate) const INCARNATION: [u8; 16] = [0x1c; 16];

/// What trusts the first bundle of a domain of the published keys, and that bundle: one writer, one mailbox.
///
/// # Errors
/// The reject of a bundle, which none is.
pub(crate) fn trust() -> Result<(Trust, Vec<u8>), Reject> {
    let (root, recovery) = (signer("root"), signer("recovery"));
    let writership = Writership {
        generation: Generation::new(1),
        key: signer("writer").public_key().clone(),
    };
    let content = BundleContent {
        root: root.public_key().clone(),
        recovery: recovery.public_key().clone(),
        writers: BTreeMap::from([(Tenant::parse(TENANT)?, writership)]),
        mailboxes: Vec::from([Mailbox {
            key: signer("mailbox").public_key().clone(),
            urls: Vec::from(["https://box.example/".into()]),
        }]),
        revoked: BTreeSet::new(),
    };
    let domain = root.public_key().thumbprint();
    let bundle = content.seal(None, domain, &root)?.into_bytes();
    let recovery = recovery.public_key().thumbprint();
    let trust = Trust::from_chain(domain, recovery, [bundle.as_slice()])?;
    Ok((trust, bundle))
}

/// The published channel.
///
/// # Errors
/// The reject of a name, which none is.
pub(crate) fn channel() -> Result<Channel, Reject> {
    Ok(Channel {
        root: signer("root").public_key().thumbprint(),
        tenant: Tenant::parse(TENANT)?,
        device: DeviceName::parse(DEVICE)?,
    })
}
